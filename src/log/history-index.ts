// History of one dataset: everything that was proposed, whatever became of it, by object, by what is
// annotated, by author, and by kind and status.
import type { Event, Operation, Proposal } from '../core/event.ts'
import { SCHEMA_MEDIA_TYPE } from '../core/event.ts'
import {
  type EventId,
  hexOf,
  type ObjectId,
  type PublicKey,
  type Sha256,
  type VersionId,
} from '../core/ids.ts'
import type { Decision } from '../core/state.ts'
import { objectOf } from '../core/touched.ts'
import { type Database, del, put, type Write } from './database.ts'
import {
  concat,
  DATASET_PREFIX_BYTES,
  type DatasetKey,
  endOf,
  hex,
  numberOfU64,
  rangeOf,
  type Table,
  u32,
  u64,
} from './keys.ts'
import { pagedRows } from './pages.ts'

const OPS = ['create', 'update', 'delete', 'purge'] as const satisfies readonly Operation['op'][]
const KINDS = ['object', 'schema', 'annotation', 'removal'] as const
const STATUSES = ['pending', 'accepted', 'rejected'] as const
const ROLES = ['target', 'schema'] as const
const ID_BYTES = 32

/** What an operation is about: a file, a schema, an annotation, or a deletion or purge of any. */
export type OperationKind = (typeof KINDS)[number]
export type OperationStatus = Decision['status']

/** An operation on an object. */
export interface TouchRow {
  readonly arrival: number
  readonly proposal: EventId
  readonly index: number
  readonly op: Operation['op']
}

/** An operation that makes a version of an annotation. */
export interface AnnotationRow {
  readonly arrival: number
  readonly object: ObjectId
  readonly version: VersionId
}

export interface WalkOptions {
  /** Where to begin, itself included: the first arrival, or the last one when `reverse`. */
  readonly from?: number
  /** Latest arrival first. */
  readonly reverse?: boolean
  /** @default all */
  readonly limit?: number
}

export interface PageOptions {
  /** Only what comes after this operation. */
  readonly after?: { readonly arrival: number; readonly index: number }
  /** Where to begin, itself included, unless `after` says so. */
  readonly from?: number
  /** The latest first. */
  readonly reverse?: boolean
  /** @default all */
  readonly limit?: number
}

/**
 * Rows that say what was proposed are written with the event and never change. Those by status follow
 * the decisions of the proposal's row, in the same batches. What strangers propose is here too: an
 * object may have operations and no creation.
 */
export class HistoryIndex {
  readonly #db: Database
  readonly #key: DatasetKey

  constructor(db: Database, key: DatasetKey) {
    this.#db = db
    this.#key = key
  }

  // ---- reads

  /** Operations on an object, in order of arrival; the first need not be its creation. */
  async *operationsOf(object: ObjectId, options: PageOptions = {}): AsyncIterable<TouchRow> {
    for await (const [place, value] of this.#page(this.#key('touches', hex(object)), options)) {
      yield {
        arrival: numberOfU64(place),
        proposal: idOf(value.subarray(1)),
        index: numberOfU32(place, 8),
        op: OPS[value[0] as number] as Operation['op'],
      }
    }
  }

  /** Ids, ascending, of objects with an operation that begin with the hex digits given. */
  async objectsByPrefix(prefix: string, limit: number): Promise<ObjectId[]> {
    return (await this.#firstParts('touches', prefix, limit)) as ObjectId[]
  }

  /** Operations that annotate this version, in order of arrival. */
  annotationsOf(target: VersionId, options: PageOptions = {}): AsyncIterable<AnnotationRow> {
    return this.#annotations('target', target, options)
  }

  /** Operations that make an annotation by this version of a schema, in order of arrival. */
  annotationsBySchema(schema: VersionId, options: PageOptions = {}): AsyncIterable<AnnotationRow> {
    return this.#annotations('schema', schema, options)
  }

  async *#annotations(
    role: (typeof ROLES)[number],
    version: VersionId,
    options: PageOptions,
  ): AsyncIterable<AnnotationRow> {
    const prefix = this.#annotationKey(role, version)
    for await (const [place, value] of this.#page(prefix, options)) {
      yield {
        arrival: numberOfU64(place),
        object: hexOf(value.subarray(0, ID_BYTES)) as ObjectId,
        version: { proposal: idOf(value.subarray(ID_BYTES)), index: numberOfU32(place, 8) },
      }
    }
  }

  /** Proposals and owner events, the genesis too, that a key signed. */
  authoredBy(author: PublicKey, options: WalkOptions = {}): AsyncIterable<[number, EventId]> {
    return this.#walk(this.#key('authors', hex(author)), options)
  }

  /** Keys, ascending, that signed an event and begin with the hex digits given. */
  async authorsByPrefix(prefix: string, limit: number): Promise<PublicKey[]> {
    return (await this.#firstParts('authors', prefix, limit)) as PublicKey[]
  }

  /** Keys that have proposed on this node. */
  async ownAuthors(): Promise<PublicKey[]> {
    const prefix = this.#key('ownAuthors')
    const keys = await this.#db.keys(rangeOf(prefix)).all()
    return keys.map((key) => hexOf(key.subarray(prefix.length)) as PublicKey)
  }

  putOwnAuthor(author: PublicKey): Write {
    return put(this.#key('ownAuthors', hex(author)))
  }

  /** Proposals with at least one operation of the kind that has the status now. */
  byStatus(
    kind: OperationKind,
    status: OperationStatus,
    options: WalkOptions = {},
  ): AsyncIterable<[arrival: number, id: EventId]> {
    return this.#walk(this.#statusKey(bitOf(kind, status)), options)
  }

  /** Rows whose keys are `prefix` ‖ arrival ‖ index: that rest of the key, and the value. */
  async *#page(
    prefix: Uint8Array,
    { after, from, reverse = false, limit = -1 }: PageOptions,
  ): AsyncIterable<[place: Uint8Array, value: Uint8Array]> {
    const lower =
      after === undefined
        ? { gte: from === undefined ? prefix : concat(prefix, u64(from)) }
        : { gt: concat(prefix, u64(after.arrival), u32(after.index)) }
    const range = { ...lower, lt: endOf(prefix), reverse, limit }
    for await (const [key, value] of this.#db.iterator(range)) {
      yield [key.subarray(prefix.length), value]
    }
  }

  /** Rows whose keys are `prefix` ‖ arrival and whose values are event ids. */
  async *#walk(
    prefix: Uint8Array,
    { from, reverse = false, limit = -1 }: WalkOptions,
  ): AsyncIterable<[arrival: number, id: EventId]> {
    const { gte, lt } = rangeOf(prefix)
    const start = from === undefined ? gte : concat(prefix, u64(from))
    const range = from !== undefined && reverse ? { gte, lte: start } : { gte: start, lt }
    for await (const [key, value] of pagedRows(this.#db, { ...range, reverse, limit })) {
      yield [numberOfU64(key.subarray(prefix.length)), idOf(value)]
    }
  }

  /** Distinct ids that keys of a table begin with: one seek each, however many rows each has. */
  async #firstParts(table: Table, prefix: string, limit: number): Promise<string[]> {
    const start = this.#key(table)
    const gte = concat(start, hex(prefix.padEnd(2 * ID_BYTES, '0')))
    const lt = endOf(concat(start, hex(prefix.padEnd(2 * ID_BYTES, 'f'))))
    const found: string[] = []
    const keys = this.#db.keys({ gte, lt })
    try {
      while (found.length < limit) {
        const key = await keys.next()
        if (key === undefined) break
        const end = DATASET_PREFIX_BYTES + ID_BYTES
        found.push(hexOf(key.subarray(DATASET_PREFIX_BYTES, end)))
        keys.seek(endOf(key.subarray(0, end)))
      }
    } finally {
      await keys.close()
    }
    return found
  }

  // ---- writes

  /** What is said of an event; of a proposal with these decisions, or undecided. */
  putEvent(
    event: Event,
    arrival: number,
    sha256: Sha256,
    decisions?: readonly Decision[],
  ): Write[] {
    const writes = [put(this.#key('authors', hex(event.author), u64(arrival)), hex(event.id))]
    if (event.family !== 'proposal') return writes
    this.#putOperations(event, arrival, sha256, writes)
    const bits = statusBits(event, decisions ?? [undecided(event)])
    this.#setStatuses(event.id, arrival, bits, bits, writes)
    return writes
  }

  #putOperations(event: Proposal, arrival: number, sha256: Sha256, writes: Write[]): void {
    const proposal = hex(event.id)
    const at = u64(arrival)
    const values = OPS.map((_, op) => concat(Uint8Array.of(op), proposal))
    for (const [index, operation] of event.operations.entries()) {
      const object = hex(objectOf(event, index, sha256))
      const place = concat(at, u32(index))
      const value = values[OPS.indexOf(operation.op)]
      writes.push(put(this.#key('touches', object, place), value))
      if (!('value' in operation) || operation.value.type !== 'annotation') continue
      const { targets, schema } = operation.value
      const annotation = concat(object, proposal)
      for (const target of targets) {
        writes.push(put(concat(this.#annotationKey('target', target), place), annotation))
      }
      writes.push(put(concat(this.#annotationKey('schema', schema), place), annotation))
    }
  }

  /** What differs between two states of a proposal's decisions. */
  changeStatuses(
    proposal: Proposal,
    arrival: number,
    before: readonly Decision[],
    after: readonly Decision[],
  ): Write[] {
    const writes: Write[] = []
    const now = statusBits(proposal, after)
    const changed = statusBits(proposal, before) ^ now
    this.#setStatuses(proposal.id, arrival, changed, now, writes)
    return writes
  }

  /** Writes the rows of the bits `changed` as `now` has them. */
  #setStatuses(id: EventId, arrival: number, changed: number, now: number, writes: Write[]): void {
    for (let bit = 0; changed >> bit !== 0; bit++) {
      if (((changed >> bit) & 1) === 0) continue
      const key = concat(this.#statusKey(bit), u64(arrival))
      writes.push(((now >> bit) & 1) === 1 ? put(key, hex(id)) : del(key))
    }
  }

  #annotationKey(role: (typeof ROLES)[number], { proposal, index }: VersionId): Uint8Array {
    const code = Uint8Array.of(ROLES.indexOf(role))
    return this.#key('annotations', code, hex(proposal), u32(index))
  }

  #statusKey(bit: number): Uint8Array {
    return this.#key('statuses', Uint8Array.of(bit))
  }
}

const idOf = (bytes: Uint8Array): EventId => hexOf(bytes) as EventId

function numberOfU32(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + offset, 4).getUint32(0)
}

/** By its own value, not by the object it is an operation on. */
export function kindOf(operation: Operation): OperationKind {
  if (!('value' in operation)) return 'removal'
  const { value } = operation
  if (value.type === 'annotation') return 'annotation'
  return value.mediaType === SCHEMA_MEDIA_TYPE ? 'schema' : 'object'
}

/** A number for each pair of kind and status; on disk too. */
function bitOf(kind: OperationKind, status: OperationStatus): number {
  return KINDS.indexOf(kind) * STATUSES.length + STATUSES.indexOf(status)
}

/** The pairs of kind and status that operations of a proposal have, as bits of a number. */
function statusBits({ operations }: Proposal, decisions: readonly Decision[]): number {
  let bits = 0
  for (const { from, to, status } of decisions) {
    for (const operation of operations.slice(from, to + 1)) {
      bits |= 1 << bitOf(kindOf(operation), status)
    }
  }
  return bits
}

function undecided({ operations }: Proposal): Decision {
  return { from: 0, to: operations.length - 1, status: 'pending' }
}
