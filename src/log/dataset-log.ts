// What one dataset remembers: typed reads of its tables, and the writes that batches are made of.
// Nothing here decides anything, and no write happens but through `commit`.
import type { Event } from '../core/event.ts'
import type { ObjectRow, Version } from '../core/state.ts'
import { type DatasetId, type EventId, hexOf, type ObjectId, type Sha256 } from '../core/ids.ts'
import { CheckpointTable } from './checkpoint-table.ts'
import { ContentIndex } from './content-index.ts'
import { type Database, del, put, type Write } from './database.ts'
import { rowsOf } from './gathered.ts'
import { GonkLog } from './gonk-log.ts'
import { Opening } from './guarded.ts'
import { HistoryIndex } from './history-index.ts'
import {
  concat,
  DATASET_PREFIX_BYTES,
  type DatasetKey,
  datasetKeys,
  endOf,
  hex,
  homeKey,
  numberOfU64,
  rangeOf,
  type Table,
  textOf,
  u32,
  u64,
} from './keys.ts'
import { NameIndex } from './name-index.ts'
import { ObjectTable } from './object-table.ts'
import { pagedKeys, pagedRows } from './pages.ts'
import { PoolIndex } from './pool-index.ts'
import { Quarantine } from './quarantine.ts'
import { Requirements } from './requirements.ts'
import {
  decodeHeader,
  decodeProposal,
  decodeReview,
  decodeRow,
  encodeHeader,
  encodeProposal,
  encodeReview,
  encodeRow,
  type HeaderRow,
  type OperationRow,
  type ProposalRow,
  type ReviewRow,
} from './rows.ts'
import { SelfForkTable } from './self-fork-table.ts'

const ZERO = Uint8Array.of(0)

interface RangeOptions {
  readonly reverse?: boolean
  readonly limit?: number
}

/** Reads of one dataset's tables; writes are values, which `commit` puts in one batch. */
export class DatasetLog {
  readonly id: DatasetId
  readonly ordinal: number
  readonly objectTable: ObjectTable
  /** Claims on names, and who owns them. */
  readonly names: NameIndex
  /** Which content the objects hold. */
  readonly contents: ContentIndex
  /** Everything that was proposed, whatever became of it. */
  readonly history: HistoryIndex
  /** How many keys must accept what a review accepts. */
  readonly requirements: Requirements
  /** What is undecided and of others, by whom it came from. */
  readonly pool: PoolIndex
  /** The dataset as Gonk would tell it. */
  readonly gonk: GonkLog
  readonly checkpoints: CheckpointTable
  /** Owners with two histories. */
  readonly selfForks: SelfForkTable
  /** Events that are damaged, or whose parents are. */
  readonly quarantine: Quarantine
  readonly opening: Opening
  readonly #db: Database
  readonly #key: DatasetKey

  constructor(db: Database, id: DatasetId, ordinal: number) {
    this.#db = db
    this.id = id
    this.ordinal = ordinal
    this.#key = datasetKeys(ordinal)
    this.objectTable = new ObjectTable(db, this.#key)
    this.names = new NameIndex(db, this.#key)
    this.contents = new ContentIndex(db, this.#key)
    this.history = new HistoryIndex(db, this.#key)
    this.requirements = new Requirements(db, this.#key)
    this.pool = new PoolIndex(db, this.#key)
    this.gonk = new GonkLog(rowsOf(db), this.#key)
    this.checkpoints = new CheckpointTable(db, this.#key)
    this.selfForks = new SelfForkTable(db, this.#key)
    this.quarantine = new Quarantine(db, this.#key)
    this.opening = new Opening(db)
  }

  /** One atomic batch. `durable`: on disk before it resolves. Throws DISK. */
  async commit(writes: Write[], options: { durable?: boolean } = {}): Promise<void> {
    if (writes.length === 0) return
    await this.opening.check()
    await this.#db.batch(writes, { sync: options.durable === true } as object)
  }

  // ---- events

  async block(id: EventId): Promise<Uint8Array | undefined> {
    return this.#db.get(homeKey('events', hex(id)))
  }

  async blocks(ids: readonly EventId[]): Promise<(Uint8Array | undefined)[]> {
    return this.#db.getMany(ids.map((id) => homeKey('events', hex(id))))
  }

  async hasMany(ids: readonly EventId[]): Promise<boolean[]> {
    return this.#db.hasMany(ids.map((id) => homeKey('events', hex(id))))
  }

  /** The event, its place in the order of arrival, and what the history says of it. */
  putEvent(event: Event, arrival: number, sha256: Sha256): Write[] {
    return [
      put(homeKey('events', hex(event.id)), event.block),
      put(this.#key('arrivals', u64(arrival)), hex(event.id)),
      ...this.history.putEvent(event, arrival, sha256),
    ]
  }

  /** Event ids by arrival at this node. */
  async *arrivals(
    from = 0,
    options: RangeOptions = {},
  ): AsyncIterable<[arrival: number, id: EventId]> {
    const prefix = this.#key('arrivals')
    const range = { gte: concat(prefix, u64(from)), lt: endOf(prefix) }
    for await (const [key, value] of pagedRows(this.#db, { ...range, ...options })) {
      yield [numberOfU64(key.subarray(DATASET_PREFIX_BYTES)), hexOf(value) as EventId]
    }
  }

  /** The arrival of each event, owner events and proposals alike; undefined where it is not here. */
  async arrivalsOf(ids: readonly EventId[]): Promise<(number | undefined)[]> {
    const [headers, proposals] = await Promise.all([this.headers(ids), this.proposals(ids)])
    return ids.map((_, i) => headers[i]?.arrival ?? proposals[i]?.arrival)
  }

  // ---- owner events

  async header(id: EventId): Promise<HeaderRow | undefined> {
    return (await this.headers([id]))[0]
  }

  async headers(ids: readonly EventId[]): Promise<(HeaderRow | undefined)[]> {
    const rows = await this.#db.getMany(ids.map((id) => this.#key('headers', hex(id))))
    return rows.map((bytes, i) => bytes && decodeHeader(ids[i] as EventId, bytes))
  }

  putHeader(row: HeaderRow): Write[] {
    return [
      put(this.#key('headers', hex(row.id)), encodeHeader(row)),
      put(this.#key('depths', u64(row.depth), hex(row.id))),
    ]
  }

  /** Owner events in (depth, id) order, from the given place, itself included. */
  async *byDepth(
    from: { depth: number; id: EventId | '' } = { depth: 0, id: '' },
    options: RangeOptions = {},
  ): AsyncIterable<{ depth: number; id: EventId }> {
    const prefix = this.#key('depths')
    const range = { gte: concat(prefix, u64(from.depth), hex(from.id)), lt: endOf(prefix) }
    for await (const key of pagedKeys(this.#db, { ...range, ...options })) {
      const rest = key.subarray(DATASET_PREFIX_BYTES)
      yield { depth: numberOfU64(rest), id: hexOf(rest.subarray(8)) as EventId }
    }
  }

  async heads(): Promise<EventId[]> {
    return this.#all('heads', (key) => hexOf(key) as EventId)
  }

  setHead(id: EventId, isHead: boolean): Write {
    const key = this.#key('heads', hex(id))
    return isHead ? put(key) : del(key)
  }

  async operations(): Promise<OperationRow[]> {
    return this.#all('operations', (_, value) => {
      const [id, kind] = decodeRow<[Uint8Array, OperationRow['kind']]>(value)
      return { id: hexOf(id) as EventId, kind }
    })
  }

  putOperation(ordinal: number, row: OperationRow): Write {
    return put(this.#key('operations', u32(ordinal)), encodeRow([hex(row.id), row.kind]))
  }

  async voids(): Promise<Set<EventId>> {
    return new Set(await this.#all('voids', (key) => hexOf(key) as EventId))
  }

  async areVoid(ids: readonly EventId[]): Promise<boolean[]> {
    return this.#db.hasMany(ids.map((id) => this.#key('voids', hex(id))))
  }

  setVoid(id: EventId, isVoid: boolean): Write {
    const key = this.#key('voids', hex(id))
    return isVoid ? put(key) : del(key)
  }

  // ---- proposals and reviews

  async proposal(id: EventId): Promise<ProposalRow | undefined> {
    return (await this.proposals([id]))[0]
  }

  async proposals(ids: readonly EventId[]): Promise<(ProposalRow | undefined)[]> {
    const rows = await this.#db.getMany(ids.map((id) => this.#key('proposals', hex(id))))
    return rows.map((bytes) => bytes && decodeProposal(bytes))
  }

  async *allProposals(): AsyncIterable<[EventId, ProposalRow]> {
    for await (const [key, value] of this.#db.iterator(rangeOf(this.#key('proposals')))) {
      yield [hexOf(key.subarray(DATASET_PREFIX_BYTES)) as EventId, decodeProposal(value)]
    }
  }

  putProposal(id: EventId, row: ProposalRow): Write {
    return put(this.#key('proposals', hex(id)), encodeProposal(row))
  }

  async reviewsOf(proposal: EventId): Promise<ReviewRow[]> {
    const prefix = this.#key('reviews', hex(proposal))
    const rows: ReviewRow[] = []
    for await (const [key, value] of this.#db.iterator(rangeOf(prefix))) {
      rows.push(decodeReview(hexOf(key.subarray(prefix.length)) as EventId, value))
    }
    return rows
  }

  putReview(proposal: EventId, row: ReviewRow): Write {
    return put(this.#key('reviews', hex(proposal), hex(row.event)), encodeReview(row))
  }

  /** Proposals with undecided operations, oldest arrival (at least `from`) first. */
  async *pending({
    from = 0,
    ...options
  }: RangeOptions & { from?: number } = {}): AsyncIterable<EventId> {
    const prefix = this.#key('pending')
    const range = { gte: concat(prefix, u64(from)), lt: endOf(prefix) }
    for await (const key of pagedKeys(this.#db, { ...range, ...options })) {
      yield hexOf(key.subarray(DATASET_PREFIX_BYTES + 8)) as EventId
    }
  }

  setPending(id: EventId, arrival: number, isPending: boolean): Write {
    const key = this.#key('pending', u64(arrival), hex(id))
    return isPending ? put(key) : del(key)
  }

  async wanted(limit = 1_000): Promise<EventId[]> {
    return this.#all('wanted', (key) => hexOf(key) as EventId, limit)
  }

  async areWanted(ids: readonly EventId[]): Promise<boolean[]> {
    return this.#db.hasMany(ids.map((id) => this.#key('wanted', hex(id))))
  }

  setWanted(id: EventId, isWanted: boolean): Write {
    const key = this.#key('wanted', hex(id))
    return isWanted ? put(key) : del(key)
  }

  async dirty(limit: number): Promise<EventId[]> {
    return this.#all('dirty', (key) => hexOf(key) as EventId, limit)
  }

  setDirty(proposal: EventId, isDirty: boolean): Write {
    const key = this.#key('dirty', hex(proposal))
    return isDirty ? put(key) : del(key)
  }

  // ---- objects, names, contents

  /** Accepted versions only: which of them is current, {@link objectRows} says. */
  async versions(ids: readonly ObjectId[]): Promise<(readonly Version[])[]> {
    return (await this.objectTable.stored(ids)).map(({ versions }) => versions)
  }

  /** Objects as they are now; without versions where nothing of one is accepted. */
  async objectRows(ids: readonly ObjectId[]): Promise<ObjectRow[]> {
    return this.objectTable.rows(ids)
  }

  /** Object ids that begin with the hex digits given. */
  async objectsByPrefix(prefix: string, limit: number): Promise<ObjectId[]> {
    return this.#byHexPrefix('objects', prefix, limit) as Promise<ObjectId[]>
  }

  /** Ids of events of one table that begin with the hex digits given. */
  async eventsByPrefix(
    table: 'headers' | 'proposals',
    prefix: string,
    limit: number,
  ): Promise<EventId[]> {
    return this.#byHexPrefix(table, prefix, limit) as Promise<EventId[]>
  }

  async #byHexPrefix(table: Table, prefix: string, limit: number): Promise<string[]> {
    const start = this.#key(table)
    const gte = concat(start, hex(prefix.padEnd(64, '0')))
    const lte = concat(start, hex(prefix.padEnd(64, 'f')))
    const found: string[] = []
    for await (const key of this.#db.keys({ gte, lte, limit })) {
      found.push(hexOf(key.subarray(DATASET_PREFIX_BYTES)))
    }
    return found
  }

  async countPending(): Promise<number> {
    let count = 0
    for await (const _ of this.#db.keys(rangeOf(this.#key('pending')))) count++
    return count
  }

  // ---- releases

  putRelease(tag: string, date: Uint8Array, event: EventId): Write {
    return put(this.#key('releases', tag, ZERO, date, hex(event)))
  }

  /** Claims on tags, by tag and then by date. */
  async releases(): Promise<{ tag: string; event: EventId }[]> {
    return this.#all('releases', (key) => ({
      tag: textOf(key.subarray(0, key.length - 113)),
      event: hexOf(key.subarray(key.length - 32)) as EventId,
    }))
  }

  // ---- journals: work for the snapshot

  /** Entries, oldest first. */
  async *journal<T>(
    table: 'stateJournal' | 'eventJournal',
  ): AsyncIterable<{ key: Uint8Array; entry: T }> {
    for await (const [key, value] of this.#db.iterator(rangeOf(this.#key(table)))) {
      yield { key, entry: decodeRow<T>(value) }
    }
  }

  appendJournal(table: 'stateJournal' | 'eventJournal', number: number, entry: unknown): Write {
    return put(this.#key(table, u64(number)), encodeRow(entry))
  }

  /** The number after the last key of a table that is keyed by number. */
  async nextNumber(table: 'arrivals' | 'stateJournal' | 'eventJournal'): Promise<number> {
    const options = { ...rangeOf(this.#key(table)), reverse: true, limit: 1 }
    for await (const key of this.#db.keys(options)) {
      return numberOfU64(key.subarray(DATASET_PREFIX_BYTES)) + 1
    }
    return 0
  }

  // ---- single rows

  async meta<T>(name: string): Promise<T | undefined> {
    const bytes = await this.#db.get(this.#key('meta', name))
    return bytes && decodeRow<T>(bytes)
  }

  putMeta(name: string, value: unknown): Write {
    return put(this.#key('meta', name), encodeRow(value))
  }

  deleteMeta(name: string): Write {
    return del(this.#key('meta', name))
  }

  // ---- whole tables

  /** Drops every derived row; the events stay. */
  async clear(list: readonly Table[]): Promise<void> {
    for (const table of list) await this.#db.clear(rangeOf(this.#key(table)))
  }

  async #all<T>(
    table: Table,
    read: (key: Uint8Array, value: Uint8Array) => T,
    limit = -1,
  ): Promise<T[]> {
    const rows: T[] = []
    for await (const [key, value] of this.#db.iterator({ ...rangeOf(this.#key(table)), limit })) {
      rows.push(read(key.subarray(DATASET_PREFIX_BYTES), value))
    }
    return rows
  }
}
