// The bytes of /gonk/blocks/1.
//
//   client: dataset (CID, 36 bytes), then batches: count (2 bytes, 1 to 256), count × CID (36 bytes);
//           count 0 ends the questions.
//   server: for each CID in the order asked: length (4 bytes, at most 2 MiB), the block;
//           or MISSING alone. After the last, END alone.
//
// Numbers are big-endian. CIDs are CIDv1 with a codec below 0x80 and sha2-256, so always 36 bytes.
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { CID_BYTES } from '../core/ids.ts'

export const BATCH_COUNT_MAX = 256
export const MISSING = 0xffff_ffff
export const END = 0xffff_fffe
export const HEAD_BYTES = 4
export const COUNT_BYTES = 2

const SHA2_256 = 0x12
const DIGEST_BYTES = 32

/** @returns undefined unless the CID is one this protocol can carry */
export function wireCid(cid: CID): Uint8Array | undefined {
  const ok = cid.version === 1 && cid.code < 0x80 && isSha256(cid) && cid.bytes.length === CID_BYTES
  return ok ? cid.bytes : undefined
}

function isSha256({ multihash }: CID): boolean {
  return multihash.code === SHA2_256 && multihash.digest.length === DIGEST_BYTES
}

/** @returns undefined unless the 36 bytes are such a CID */
export function readWireCid(bytes: Uint8Array): CID | undefined {
  if (bytes[0] !== 1 || (bytes[1] as number) >= 0x80) return undefined
  if (bytes[2] !== SHA2_256 || bytes[3] !== DIGEST_BYTES) return undefined
  return CID.createV1(bytes[1] as number, Digest.create(SHA2_256, bytes.slice(4, CID_BYTES)))
}

export function encodeBatch(cids: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(COUNT_BYTES + cids.length * CID_BYTES)
  new DataView(bytes.buffer).setUint16(0, cids.length)
  cids.forEach((cid, index) => bytes.set(cid, COUNT_BYTES + index * CID_BYTES))
  return bytes
}

/** The bytes say what the CID says. */
export function matchesDigest(cid: CID, sha256: Uint8Array): boolean {
  const { digest } = cid.multihash
  for (let i = 0; i < DIGEST_BYTES; i++) if (digest[i] !== sha256[i]) return false
  return true
}
