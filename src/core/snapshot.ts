// The snapshot: the one block a root CID names. Everything of a full clone hangs off it by links, and
// `ROOT/files/NAME` resolves with plain IPLD and UnixFS paths.
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { isRejection, type Rejection } from './errors.ts'
import {
  bytesOfHex,
  type CheckpointId,
  CID_BYTES,
  cidBytesOf,
  cidOfDigest,
  type DatasetId,
  type EventId,
  eventIdOfCidBytes,
  hexOf,
  type PublicKey,
  type Sha256,
  type TenureId,
} from './ids.ts'
import { limits } from './limits.ts'
import type { Tenure } from './state.ts'
import { decodeCanonical } from './trie-node.ts'

export { objectRecordOf, objectRowOfRecord, recordBlocksOf } from './object-record.ts'

export interface SnapshotCounts {
  readonly events: number
  readonly proposals: number
  readonly objects: number
  readonly versions: number
  readonly annotations: number
  readonly files: number
  readonly bytes: number
}

export interface Snapshot {
  readonly dataset: DatasetId
  /** Owner events that are no other's parent, in any order; the first 1,024 by id are in the block. */
  readonly heads: readonly EventId[]
  /** By rank; the first 4,096 are in the block. The events tree commits to all of them anyway. */
  readonly owners: readonly Pick<Tenure, 'id' | 'key' | 'live'>[]
  readonly policy: { readonly kOwner: number; readonly kReview: number }
  readonly counts: SnapshotCounts
  /** Merkle trie: object id → {@link objectRecordOf}. */
  readonly stateRoot: CID
  /** Merkle trie: event id → link to the event. */
  readonly eventsRoot: CID
  /** UnixFS directory. */
  readonly files: CID
  /** The newest checkpoint of the chain that the state was computed under; absent without one. */
  readonly checkpoint?: CheckpointId
}

type Plain = Record<string, unknown>

const FORMAT_VERSION = 1
/** A block that lists so many heads may leave out others. */
export const HEADS_MAX = 1_024
const OWNERS_MAX = 4_096
const SNAPSHOT_BYTES_MAX = 512 * 1024
const DAG_PB = 0x70
const KEY_BYTES = 32
const CHECKPOINT = 'checkpoint'
const FIELDS = ['v', 'd', 'heads', 'owners', 'policy', 'counts', 'stateRoot', 'eventsRoot', 'files']
const POLICY_FIELDS = ['kOwner', 'kReview'] as const
const COUNT_FIELDS = [
  'events',
  'proposals',
  'objects',
  'versions',
  'annotations',
  'files',
  'bytes',
] as const

/** @returns the root CID and its block, a function of the fields alone. */
export function encodeSnapshot(
  snapshot: Snapshot,
  sha256: Sha256,
): { cid: CID; bytes: Uint8Array } {
  const { counts, policy, checkpoint } = snapshot
  const bytes = dagCbor.encode({
    v: FORMAT_VERSION,
    d: cidBytesOf(snapshot.dataset),
    heads: snapshot.heads.toSorted().slice(0, HEADS_MAX).map(cidBytesOf),
    owners: snapshot.owners.slice(0, OWNERS_MAX).map(({ key, id, live }) => ({
      key: bytesOfHex(key),
      tenure: wireOfTenure(id),
      live,
    })),
    policy: Object.fromEntries(POLICY_FIELDS.map((field) => [field, policy[field]])),
    counts: Object.fromEntries(COUNT_FIELDS.map((field) => [field, counts[field]])),
    stateRoot: snapshot.stateRoot,
    eventsRoot: snapshot.eventsRoot,
    files: snapshot.files,
    ...(checkpoint && { [CHECKPOINT]: cidBytesOf(checkpoint as string as EventId) }),
  })
  return { cid: cidOfDigest(sha256(bytes)), bytes }
}

/** Strict: one snapshot has one encoding. Says nothing about whether the history gives it. */
export function decodeSnapshot(bytes: Uint8Array): Snapshot | Rejection {
  if (bytes.length > SNAPSHOT_BYTES_MAX) return { refused: 'too-large', what: 'snapshot' }
  const decoded = decodeCanonical(bytes)
  if (isRejection(decoded)) return decoded
  return snapshotOf(decoded.value) ?? { refused: 'malformed', what: 'snapshot' }
}

function snapshotOf(value: unknown): Snapshot | undefined {
  const wire = fieldsOf(value, FIELDS, CHECKPOINT)
  if (wire?.['v'] !== FORMAT_VERSION) return undefined
  const dataset = eventIdOfCidBytes(wire['d'])
  const heads = listOf(wire['heads'], HEADS_MAX, eventIdOfCidBytes)
  const owners = listOf(wire['owners'], OWNERS_MAX, ownerOf)
  const policy = numbersOf(wire['policy'], POLICY_FIELDS)
  const counts = numbersOf(wire['counts'], COUNT_FIELDS)
  const stateRoot = linkOf(wire['stateRoot'], dagCbor.code)
  const eventsRoot = linkOf(wire['eventsRoot'], dagCbor.code)
  const files = linkOf(wire['files'], DAG_PB)
  if (!dataset || !heads || !owners || !policy || !counts) return undefined
  if (!stateRoot || !eventsRoot || !files) return undefined
  if (heads.some((head, i) => i > 0 && head <= (heads[i - 1] as EventId))) return undefined
  const snapshot = { dataset, heads, owners, policy, counts, stateRoot, eventsRoot, files }
  if (!Object.hasOwn(wire, CHECKPOINT)) return snapshot
  const id = eventIdOfCidBytes(wire[CHECKPOINT])
  return id === undefined ? undefined : { ...snapshot, checkpoint: id as string as CheckpointId }
}

function ownerOf(value: unknown): Snapshot['owners'][number] | undefined {
  const wire = fieldsOf(value, ['key', 'tenure', 'live'])
  if (!wire) return undefined
  const { key, live } = wire
  const id = tenureOf(wire['tenure'])
  if (!(key instanceof Uint8Array) || key.length !== KEY_BYTES) return undefined
  if (typeof live !== 'boolean' || !id) return undefined
  return { id, key: hexOf(key) as PublicKey, live }
}

function wireOfTenure(id: TenureId): number | Uint8Array {
  return id.length < KEY_BYTES ? Number(id.slice(1)) : cidBytesOf(id as string as EventId)
}

function tenureOf(value: unknown): TenureId | undefined {
  if (!isUint(value)) return eventIdOfCidBytes(value) as string | undefined as TenureId | undefined
  return value < limits.foundersMax ? (`f${value}` as TenureId) : undefined
}

/** A map of exactly these fields, and the optional one. */
function fieldsOf(value: unknown, fields: readonly string[], optional?: string): Plain | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const has = (field: string) => Object.hasOwn(value, field)
  const count = fields.length + Number(optional !== undefined && has(optional))
  const isExact = Object.keys(value).length === count && fields.every(has)
  return isExact ? (value as Plain) : undefined
}

function listOf<T>(
  value: unknown,
  max: number,
  read: (entry: unknown) => T | undefined,
): T[] | undefined {
  if (!Array.isArray(value) || value.length > max) return undefined
  const list: T[] = []
  for (const entry of value as unknown[]) {
    const item = read(entry)
    if (item === undefined) return undefined
    list.push(item)
  }
  return list
}

function numbersOf<K extends string>(
  value: unknown,
  fields: readonly K[],
): Record<K, number> | undefined {
  const wire = fieldsOf(value, fields)
  return wire && fields.every((field) => isUint(wire[field]))
    ? (wire as Record<K, number>)
    : undefined
}

function isUint(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function linkOf(value: unknown, codec: number): CID | undefined {
  const cid = CID.asCID(value) ?? undefined
  return cid?.code === codec && cid.byteLength === CID_BYTES && cid.multihash.code === 0x12
    ? cid
    : undefined
}
