// What a block of file content says: whether it is what its CID names, and which blocks it links.
import { hash } from 'node:crypto'
import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import type { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { GonkError } from '../core/errors.ts'

const SHA2_256 = 0x12
const DIGEST_BYTES = 32

/** Hashed with sha2-256: the only blocks this node keeps. */
export function isSha256(cid: CID): boolean {
  return cid.multihash.code === SHA2_256 && cid.multihash.digest.length === DIGEST_BYTES
}

/** A block that may be part of a file: raw or dag-pb, sha2-256. */
export function isFileBlock(cid: CID): boolean {
  return isSha256(cid) && (cid.code === raw.code || cid.code === dagPb.code)
}

export function isRaw(cid: CID): boolean {
  return cid.code === raw.code
}

export function matches(cid: CID, bytes: Uint8Array): boolean {
  if (!isSha256(cid)) return false
  return hash('sha256', bytes, 'buffer').equals(cid.multihash.digest)
}

/** One text per block, whichever version its CID is written in. */
export function blockKey(cid: CID): string {
  return cid.toV1().toString()
}

/** Links of a block, in order, as often as they are written. Throws BAD_BLOCK. */
export function linksOf(cid: CID, bytes: Uint8Array): CID[] {
  if (cid.code !== dagPb.code) return []
  return decodePb(cid, bytes).Links.map((link) => link.Hash as CID)
}

/** An inner node (or a leaf of an older layout) of a file. */
export interface FileNode {
  /** Bytes of the file that stand before those of the children. */
  readonly data: Uint8Array
  readonly children: readonly { readonly cid: CID; readonly sizeBytes: number }[]
  readonly sizeBytes: number
}

/** Throws BAD_BLOCK when the block is not part of a UnixFS file. */
export function parseFileNode(cid: CID, bytes: Uint8Array): FileNode {
  const node = decodePb(cid, bytes)
  const entry = unmarshal(cid, node.Data)
  if (entry.type !== 'file' && entry.type !== 'raw') bad(cid, `a ${entry.type}, not a file`)
  if (entry.blockSizes.length !== node.Links.length) bad(cid, 'sizes and links do not agree')
  const children = node.Links.map((link, i) => ({
    cid: link.Hash as CID,
    sizeBytes: Number(entry.blockSizes[i]),
  }))
  const sizeBytes = Number(entry.fileSize())
  if (!Number.isSafeInteger(sizeBytes)) bad(cid, 'larger than any file')
  return { data: entry.data ?? new Uint8Array(0), children, sizeBytes }
}

function decodePb(cid: CID, bytes: Uint8Array): dagPb.PBNode {
  try {
    return dagPb.decode(bytes)
  } catch (error) {
    return bad(cid, 'not dag-pb', error)
  }
}

function unmarshal(cid: CID, data: Uint8Array | undefined): UnixFS {
  try {
    return UnixFS.unmarshal(data ?? new Uint8Array(0))
  } catch (error) {
    return bad(cid, 'not UnixFS', error)
  }
}

export function bad(cid: CID, what: string, cause?: unknown): never {
  throw new GonkError('BAD_BLOCK', `block ${cid}: ${what}`, {
    hint: 'the file was made by something that breaks the UnixFS format',
    details: { cid: cid.toString() },
    cause,
  })
}
