// The sealed twin of a dataset's tables: what a final checkpoint covers, and the state of it, as a log of
// its own. Events are stored once; what only people and peers ask for is not kept twice.
import type { AbstractSnapshot } from 'abstract-level'
import type { DatasetId, EventId } from '../core/ids.ts'
import { type Database, put, type Write } from './database.ts'
import { DatasetLog } from './dataset-log.ts'
import {
  concat,
  DATASET_PREFIX_BYTES,
  datasetPrefix,
  datasetTables,
  rangeOf,
  type Table,
  tables,
} from './keys.ts'

const NOT_KEPT: readonly Table[] = [
  'events',
  'arrivals',
  'pending',
  'pool',
  'contents',
  'accepted',
  'lacking',
  'touches',
  'annotations',
  'authors',
  'ownAuthors',
  'statuses',
  'checkpoints',
  'votes',
  'tips',
  'selfForks',
  'quarantine',
]
const notKept = new Set(NOT_KEPT.map((table) => tables[table].charCodeAt(0)))

/** Name of the single row that is there while others are written: none sorts after it. */
export const UNFINISHED = 'unfinished'
const ROWS_PER_WRITE = 1_000

/** Rows of the twin arrive in the order in which they were sealed: their `arrival` counts that. */
export class SealedLog extends DatasetLog {
  readonly #db: Database

  /** @param ordinal see `sealedOrdinal`, `draftOrdinal`. */
  constructor(db: Database, id: DatasetId, ordinal: number) {
    super(db, id, ordinal)
    this.#db = db
  }

  /** As it is now, whatever is written later: until the snapshot is closed. */
  at(snapshot: AbstractSnapshot): SealedLog {
    return new SealedLog(databaseAt(this.#db, snapshot), this.id, this.ordinal)
  }

  /** Whether events are sealed: that their blocks are here says nothing. */
  override async hasMany(ids: readonly EventId[]): Promise<boolean[]> {
    return (await this.arrivalsOf(ids)).map((arrival) => arrival !== undefined)
  }

  override commit(writes: Write[]): Promise<void> {
    return super.commit(writes.filter(({ key }) => !notKept.has(key[0] as number)))
  }

  /**
   * Drops all rows, single ones last and {@link UNFINISHED} as the very last: what is cut off leaves it
   * there.
   */
  async clearAll(): Promise<void> {
    await this.commit([this.putMeta(UNFINISHED, true)])
    await this.clear(datasetTables.filter((table) => table !== 'meta'))
    await this.clear(['meta'])
  }

  /** Puts a copy of all rows into the tables of another ordinal. */
  async copyTo(other: SealedLog): Promise<void> {
    for (const table of datasetTables) {
      const [from, to] = [datasetPrefix(table, this.ordinal), datasetPrefix(table, other.ordinal)]
      const writes: Write[] = []
      for await (const [key, value] of this.#db.iterator(rangeOf(from))) {
        writes.push(put(concat(to, key.subarray(DATASET_PREFIX_BYTES)), value))
        if (writes.length >= ROWS_PER_WRITE) await other.commit(writes.splice(0))
      }
      await other.commit(writes)
    }
  }
}

const READS = new Set<PropertyKey>(['get', 'getMany', 'hasMany'])
const ITERATORS = new Set<PropertyKey>(['iterator', 'keys'])

/** The same database, read as of the snapshot. */
function databaseAt(db: Database, snapshot: AbstractSnapshot): Database {
  return new Proxy(db, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      const method = value.bind(target) as (...parameters: unknown[]) => unknown
      if (READS.has(name)) return (keys: unknown) => method(keys, { snapshot })
      if (ITERATORS.has(name)) return (range: object) => method({ ...range, snapshot })
      return method
    },
  })
}
