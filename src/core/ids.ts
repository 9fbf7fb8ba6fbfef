// The ids of the domain and their three forms: hex inside the program, bytes on the wire, text for people.
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'

declare const brand: unique symbol
type Branded<T, B> = T & { readonly [brand]: B }

/** Hex of the sha2-256 of an event's block. Sorts as its bytes do. Text form: {@link textOfEventId}. */
export type EventId = Branded<string, 'EventId'>
/** The event id of a dataset's genesis. */
export type DatasetId = EventId
/** Hex of the sha2-256 of a checkpoint's block, `{v, d, height, prev, heads, without, root}`. */
export type CheckpointId = Branded<string, 'CheckpointId'>
/** Hex of sha2-256("gonk/object" ‖ 0 ‖ proposal digest ‖ index as 4 bytes, big-endian). */
export type ObjectId = Branded<string, 'ObjectId'>
/** 64 lower-case hex digits of an Ed25519 public key. */
export type PublicKey = Branded<string, 'PublicKey'>
/** `f0`, `f1`… for founders, else the id of the `add` event that created the tenure. */
export type TenureId = Branded<string, 'TenureId'>
/** `PROPOSAL:INDEX`, with the proposal's event id in hex. */
export type VersionKey = Branded<string, 'VersionKey'>

/** One operation of one proposal: the id of the version it makes. */
export interface VersionId {
  readonly proposal: EventId
  readonly index: number
}

/** sha2-256, passed in so that core needs no crypto of the platform. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array

const SHA2_256 = 0x12
const DAG_CBOR = 0x71
/** CIDv1, dag-cbor, sha2-256, 32 bytes. */
const EVENT_CID_PREFIX = Uint8Array.of(0x01, DAG_CBOR, SHA2_256, 0x20)
export const CID_BYTES = 36

export const hexOf = bytesToHex
export const bytesOfHex = hexToBytes

export function eventIdOfBlock(block: Uint8Array, sha256: Sha256): EventId {
  return hexOf(sha256(block)) as EventId
}

/** The 36 bytes of the CID, as used inside events. */
export function cidBytesOf(id: EventId | CheckpointId): Uint8Array {
  const bytes = new Uint8Array(CID_BYTES)
  bytes.set(EVENT_CID_PREFIX)
  bytes.set(bytesOfHex(id), 4)
  return bytes
}

/** @returns undefined unless `bytes` is a CIDv1 of a dag-cbor block with sha2-256. */
export function eventIdOfCidBytes(bytes: unknown): EventId | undefined {
  if (!(bytes instanceof Uint8Array) || bytes.length !== CID_BYTES) return undefined
  for (let i = 0; i < 4; i++) if (bytes[i] !== EVENT_CID_PREFIX[i]) return undefined
  return hexOf(bytes.subarray(4)) as EventId
}

export function cidOfDigest(digest: Uint8Array, codec: number = DAG_CBOR): CID {
  return CID.createV1(codec, Digest.create(SHA2_256, digest))
}

export function cidOfEventId(id: EventId | CheckpointId): CID {
  return cidOfDigest(bytesOfHex(id))
}

export function textOfEventId(id: EventId | CheckpointId): string {
  return cidOfEventId(id).toString()
}

/** @returns undefined unless `text` is the CID of a dag-cbor block with sha2-256. */
export function eventIdOfText(text: string): EventId | undefined {
  try {
    return eventIdOfCidBytes(CID.parse(text).toV1().bytes)
  } catch {
    return undefined
  }
}

const OBJECT_LABEL = new TextEncoder().encode('gonk/object\0')

export function objectIdOf(version: VersionId, sha256: Sha256): ObjectId {
  const bytes = new Uint8Array(OBJECT_LABEL.length + 36)
  bytes.set(OBJECT_LABEL)
  bytes.set(bytesOfHex(version.proposal), OBJECT_LABEL.length)
  new DataView(bytes.buffer).setUint32(OBJECT_LABEL.length + 32, version.index)
  return hexOf(sha256(bytes)) as ObjectId
}

export function versionKey(version: VersionId): VersionKey {
  return `${version.proposal}:${version.index}` as VersionKey
}

export function compareVersions(a: VersionId, b: VersionId): number {
  if (a.proposal !== b.proposal) return a.proposal < b.proposal ? -1 : 1
  return a.index - b.index
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

export function founderTenure(index: number): TenureId {
  return `f${index}` as TenureId
}

/** @returns undefined for the tenure of an owner who was added (whose hex may begin with f too). */
export function founderIndexOf(tenure: TenureId): number | undefined {
  return tenure.length < 64 ? Number(tenure.slice(1)) : undefined
}
