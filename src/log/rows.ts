// Rows ⇄ bytes. Compact dag-cbor arrays: there is one row an object, and there may be millions.
import * as dagCbor from '@ipld/dag-cbor'
import { GonkError } from '../core/errors.ts'
import type { Operation, Value, Verdict } from '../core/event.ts'
import {
  bytesOfHex,
  type EventId,
  founderIndexOf,
  founderTenure,
  hexOf,
  type PublicKey,
  type TenureId,
  type VersionId,
} from '../core/ids.ts'
import type { AcceptDate, Decision, OwnerHeader, Version } from '../core/state.ts'

const idBytes = bytesOfHex
const eventIdOf = (bytes: Uint8Array): EventId => hexOf(bytes) as EventId

/** Inclusive runs of small numbers, ascending: the operations in an event's past. */
export type Runs = readonly (readonly [from: number, to: number])[]

export interface HeaderRow extends OwnerHeader {
  readonly author: PublicKey
  /** Ordinals of the `add`, `remove`, `endorse` and `policy` events in the event's past. */
  readonly seen: Runs
  /** 0 in rows of earlier versions, until replica/history-anew.ts has been there. */
  readonly arrival: number
}

export interface ProposalRow {
  readonly operations: number
  readonly author: PublicKey
  readonly arrival: number
  /** Of its block. */
  readonly sizeBytes: number
  /** What it counts for among undecided proposals of others, with what is said of it; 0 for no such. */
  readonly poolBytes: number
  /** The number of the share of the pool it counts for, see replica/pool.ts. */
  readonly poolPeer: number
  /** Made on this node. */
  readonly own: boolean
  /** Named by an owner event: part of the dataset's history. */
  readonly named: boolean
  readonly decisions: readonly Decision[]
}

export interface ReviewRow {
  readonly event: EventId
  readonly key: PublicKey
  readonly verdict: Verdict
  readonly date: AcceptDate
  readonly ranges?: readonly (readonly [number, number])[]
  readonly rejectsBefore: readonly EventId[]
  readonly validRejectsBefore: readonly EventId[]
}

export interface OperationRow {
  readonly id: EventId
  readonly kind: OperationKind
}

/** What has an ordinal: what authority depends on, beside reviews. */
export type OperationKind = 'add' | 'remove' | 'endorse' | 'policy'

export function encodeHeader(row: HeaderRow): Uint8Array {
  return dagCbor.encode([
    row.kind,
    founderIndexOf(row.tenure) ?? idBytes(row.tenure),
    row.depth,
    row.parents.map(idBytes),
    aboutOf(row),
    idBytes(row.author),
    row.seen,
    row.arrival,
  ])
}

/** What the event is about: a key, an operation, or a number. */
function aboutOf({ key, operation, kReview }: HeaderRow): Uint8Array | number | null {
  const id = key ?? operation
  return id === undefined ? (kReview ?? null) : idBytes(id)
}

function aboutFields(kind: string, about: Uint8Array | number | null) {
  if (about === null) return {}
  if (typeof about === 'number') return { kReview: about }
  return kind === 'endorse' ? { operation: eventIdOf(about) } : { key: hexOf(about) as PublicKey }
}

type HeaderWire = [
  string,
  number | Uint8Array,
  number,
  Uint8Array[],
  Uint8Array | number | null,
  Uint8Array,
  Runs,
  number | undefined,
]

export function decodeHeader(id: EventId, bytes: Uint8Array): HeaderRow {
  const [kind, tenure, depth, parents, about, author, seen, arrival = 0] =
    decoded<HeaderWire>(bytes)
  return {
    id,
    kind,
    tenure: typeof tenure === 'number' ? founderTenure(tenure) : (hexOf(tenure) as TenureId),
    depth,
    parents: parents.map(eventIdOf),
    ...aboutFields(kind, about),
    author: hexOf(author) as PublicKey,
    seen,
    arrival,
  }
}

const STATUSES = ['pending', 'rejected', 'accepted'] as const

export function encodeProposal(row: ProposalRow): Uint8Array {
  return dagCbor.encode([
    row.operations,
    idBytes(row.author),
    row.arrival,
    row.sizeBytes,
    row.own,
    row.named,
    row.decisions.map((decision) => [
      decision.from,
      decision.to,
      STATUSES.indexOf(decision.status),
      decision.status === 'pending' ? null : idBytes(decision.by),
      decision.status === 'accepted' ? decision.date : null,
    ]),
    row.poolBytes,
    row.poolPeer,
  ])
}

type DecisionWire = [number, number, number, Uint8Array | null, Uint8Array | null]
type ProposalWire = [
  number,
  Uint8Array,
  number,
  number,
  boolean,
  boolean,
  DecisionWire[],
  number | undefined,
  number | undefined,
]

export function decodeProposal(bytes: Uint8Array): ProposalRow {
  const [operations, author, arrival, sizeBytes, own, named, decisions, poolBytes, poolPeer = 0] =
    decoded<ProposalWire>(bytes)
  return {
    operations,
    author: hexOf(author) as PublicKey,
    arrival,
    sizeBytes,
    // Rows of earlier versions counted for their blocks.
    poolBytes: poolBytes ?? (own ? 0 : sizeBytes),
    poolPeer,
    own,
    named,
    decisions: decisions.map(([from, to, status, by, date]): Decision => {
      if (by === null) return { from, to, status: 'pending' }
      if (date === null || status !== 2) return { from, to, status: 'rejected', by: eventIdOf(by) }
      return { from, to, status: 'accepted', by: eventIdOf(by), date }
    }),
  }
}

export function encodeReview(row: ReviewRow): Uint8Array {
  return dagCbor.encode([
    row.verdict === 'accept' ? 1 : 0,
    idBytes(row.key),
    row.date,
    row.ranges ?? null,
    row.rejectsBefore.map(idBytes),
    row.validRejectsBefore.map(idBytes),
  ])
}

type ReviewWire = [
  number,
  Uint8Array,
  Uint8Array,
  [number, number][] | null,
  Uint8Array[],
  Uint8Array[],
]

export function decodeReview(event: EventId, bytes: Uint8Array): ReviewRow {
  const [verdict, key, date, ranges, before, validBefore] = decoded<ReviewWire>(bytes)
  return {
    event,
    key: hexOf(key) as PublicKey,
    verdict: verdict === 1 ? 'accept' : 'reject',
    date,
    ...(ranges && { ranges }),
    rejectsBefore: before.map(eventIdOf),
    validRejectsBefore: validBefore.map(eventIdOf),
  }
}

const OPS: readonly Operation['op'][] = ['create', 'update', 'delete', 'purge']
type VersionIdWire = [Uint8Array, number]
type ValueWire =
  | [0, string, string, number, Uint8Array, string | null]
  | [1, VersionIdWire[], VersionIdWire, number, Uint8Array | null, Uint8Array | null]
type VersionWire = [Uint8Array, number, Uint8Array, number, VersionIdWire[], ValueWire | null]

const versionWire = (id: VersionId): VersionIdWire => [idBytes(id.proposal), id.index]
const versionIdOf = ([proposal, index]: VersionIdWire): VersionId => ({
  proposal: eventIdOf(proposal),
  index,
})

/** An object is stored as its accepted versions, and the head a checkpoint keeps (object-table.ts). */
export function encodeVersions(versions: readonly Version[], head?: VersionId): Uint8Array {
  const list = versions.map((version) => [
    idBytes(version.id.proposal),
    version.id.index,
    version.date,
    OPS.indexOf(version.op),
    version.base.map(versionWire),
    version.value === undefined ? null : valueWire(version.value),
  ])
  return dagCbor.encode(head === undefined ? list : { head: versionWire(head), list })
}

function valueWire(value: Value): ValueWire {
  if (value.type === 'file') {
    const { name, mediaType, sizeBytes, content, meta } = value
    return [0, name, mediaType, sizeBytes, content, meta ?? null]
  }
  const { targets, schema, sizeBytes, inline, content } = value
  return [
    1,
    targets.map(versionWire),
    versionWire(schema),
    sizeBytes,
    inline ?? null,
    content ?? null,
  ]
}

export function decodeVersions(bytes: Uint8Array): { versions: Version[]; head?: VersionId } {
  const row = dagCbor.decode<VersionWire[] | { head: VersionIdWire; list: VersionWire[] }>(bytes)
  const { head, list } = Array.isArray(row) ? { list: row } : row
  const versions = list.map(([proposal, index, date, op, base, value]) => ({
    id: { proposal: eventIdOf(proposal), index },
    date,
    op: OPS[op] as Operation['op'],
    base: base.map(versionIdOf),
    ...(value && { value: valueOf(value) }),
  }))
  return { versions, ...(head && { head: versionIdOf(head) }) }
}

function valueOf(wire: ValueWire): Value {
  if (wire[0] === 0) {
    const [, name, mediaType, sizeBytes, content, meta] = wire
    return { type: 'file', name, mediaType, sizeBytes, content, ...(meta !== null && { meta }) }
  }
  const [, targets, schema, sizeBytes, inline, content] = wire
  return {
    type: 'annotation',
    targets: targets.map(versionIdOf),
    schema: versionIdOf(schema),
    sizeBytes,
    ...(inline && { inline }),
    ...(content && { content }),
  }
}

export function encodeRow(value: unknown): Uint8Array {
  return dagCbor.encode(value)
}

export function decodeRow<T>(bytes: Uint8Array): T {
  return decoded<T>(bytes)
}

/** Rows are made here: bytes that are none were damaged. */
function decoded<T>(bytes: Uint8Array): T {
  try {
    return dagCbor.decode<T>(bytes)
  } catch (error) {
    throw new GonkError('HOME_DAMAGED', 'a row of the database is damaged', { cause: error })
  }
}
