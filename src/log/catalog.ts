// Which datasets this home holds, and under which ordinal their tables are.
import type { DatasetId, EventId } from '../core/ids.ts'
import { hexOf } from '../core/ids.ts'
import { type Database, DATABASE_FORMAT, del, put } from './database.ts'
import { DatasetLog } from './dataset-log.ts'
import { datasetPrefix, hex, homeKey, rangeOf, type Table, tables } from './keys.ts'
import { decodeRow, encodeRow } from './rows.ts'

export interface DatasetRow {
  readonly ordinal: number
  /** This node's own name for it. */
  readonly name: string
  /** Serves exactly this root (text of its CID) and does not follow. */
  readonly pinnedRoot?: string
  /** A clone that has not finished: the root it must reach. */
  readonly cloning?: { readonly root?: string; readonly peers: readonly string[] }
  /** Addresses it was cloned from: a node that follows the dataset stays connected to them. */
  readonly peers?: readonly string[]
}

export interface CatalogEntry extends DatasetRow {
  readonly id: DatasetId
}

/** Fields to set, or to drop when undefined. */
type Changed<T> = { [K in keyof T]?: T[K] | undefined }

/** Tables without an ordinal. */
const HOME_TABLES = new Set<Table>([
  'home',
  'datasets',
  'events',
  'nodes',
  'held',
  'refs',
  'prefetched',
])

export class Catalog {
  readonly #db: Database
  readonly #entries: Map<DatasetId, CatalogEntry>
  #nextOrdinal: number

  private constructor(db: Database, entries: Map<DatasetId, CatalogEntry>, nextOrdinal: number) {
    this.#db = db
    this.#entries = entries
    this.#nextOrdinal = nextOrdinal
  }

  static async open(db: Database): Promise<Catalog> {
    const entries = new Map<DatasetId, CatalogEntry>()
    for await (const [key, value] of db.iterator(rangeOf(homeKey('datasets')))) {
      const id = hexOf(key.subarray(1)) as DatasetId
      entries.set(id, { ...decodeRow<DatasetRow>(value), id })
    }
    const home = await db.get(homeKey('home'))
    const { nextOrdinal } = decodeRow<{ nextOrdinal: number }>(home as Uint8Array)
    return new Catalog(db, entries, nextOrdinal)
  }

  list(): CatalogEntry[] {
    return [...this.#entries.values()].sort((a, b) => a.ordinal - b.ordinal)
  }

  get(id: DatasetId): CatalogEntry | undefined {
    return this.#entries.get(id)
  }

  logOf(entry: CatalogEntry): DatasetLog {
    return new DatasetLog(this.#db, entry.id, entry.ordinal)
  }

  async create(id: DatasetId, row: Omit<DatasetRow, 'ordinal'>): Promise<CatalogEntry> {
    const entry = { ...row, ordinal: this.#nextOrdinal++, id }
    const home = { format: DATABASE_FORMAT, nextOrdinal: this.#nextOrdinal }
    const writes = [put(homeKey('home'), encodeRow(home)), this.#write(entry)]
    await this.#db.batch(writes, { sync: true } as object)
    this.#entries.set(id, entry)
    return entry
  }

  async update(id: DatasetId, change: Changed<Omit<DatasetRow, 'ordinal'>>): Promise<CatalogEntry> {
    const merged = { ...(this.#entries.get(id) as CatalogEntry), ...change }
    const entry = Object.fromEntries(
      Object.entries(merged).filter(([, value]) => value !== undefined),
    ) as unknown as CatalogEntry
    await this.#db.batch([this.#write(entry)], { sync: true } as object)
    this.#entries.set(id, entry)
    return entry
  }

  /** Forgets the dataset first and drops its rows after: a crash leaves garbage, not half a dataset. */
  async remove(id: DatasetId): Promise<void> {
    const entry = this.#entries.get(id)
    if (!entry) return
    const log = this.logOf(entry)
    await this.#db.batch([del(homeKey('datasets', hex(id)))], { sync: true } as object)
    this.#entries.delete(id)
    let deletions = []
    for await (const [, event] of log.arrivals()) {
      deletions.push(del(homeKey('events', hex(event as EventId))))
      if (deletions.length >= 1_000) await this.#db.batch(deletions.splice(0))
    }
    await this.#db.batch(deletions)
    for (const name of Object.keys(tables)) {
      if (HOME_TABLES.has(name as Table)) continue
      await this.#db.clear(rangeOf(datasetPrefix(name as Table, entry.ordinal)))
    }
  }

  #write(entry: CatalogEntry) {
    const { id, ...row } = entry
    return put(homeKey('datasets', hex(id)), encodeRow(row))
  }
}
