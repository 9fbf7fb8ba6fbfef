// Which datasets this home holds, and under which ordinal their tables are.
import { GonkError } from '../core/errors.ts'
import { type DatasetId, type EventId, hexOf, textOfEventId } from '../core/ids.ts'
import { type Database, DATABASE_FORMAT, del, put } from './database.ts'
import { DatasetLog } from './dataset-log.ts'
import {
  datasetPrefix,
  datasetTables,
  draftOrdinal,
  hex,
  homeKey,
  rangeOf,
  sealedOrdinal,
  u32,
} from './keys.ts'
import { decodeRow, encodeRow } from './rows.ts'

export interface DatasetRow {
  readonly ordinal: number
  /** This node's own name for it. */
  readonly name: string
  /** Serves exactly this root (text of its CID) and does not follow. */
  readonly pinnedRoot?: string
  /** A clone that has not finished: the root it must reach. */
  readonly cloning?: {
    readonly root?: string
    readonly peers: readonly string[]
    /** The id of a checkpoint that the dataset must contain. */
    readonly anchor?: string
  }
  /** Addresses it was cloned from: a node that follows the dataset stays connected to them. */
  readonly peers?: readonly string[]
}

export interface CatalogEntry extends DatasetRow {
  readonly id: DatasetId
}

/** Fields to set, or to drop when undefined. */
type Changed<T> = { [K in keyof T]?: T[K] | undefined }

export class Catalog {
  readonly #db: Database
  readonly #entries: Map<DatasetId, CatalogEntry>
  /** Ordinals of datasets that were forgotten and whose rows are still here. */
  readonly #forgotten = new Map<DatasetId, number>()
  #nextOrdinal: number
  #lastTask: Promise<unknown> = Promise.resolve()

  private constructor(db: Database, entries: Map<DatasetId, CatalogEntry>, nextOrdinal: number) {
    this.#db = db
    this.#entries = entries
    this.#nextOrdinal = nextOrdinal
  }

  /** Ends first what a crash left of a dataset that was being forgotten. */
  static async open(db: Database): Promise<Catalog> {
    const entries = new Map<DatasetId, CatalogEntry>()
    for await (const [key, value] of db.iterator(rangeOf(homeKey('datasets')))) {
      const id = hexOf(key.subarray(1)) as DatasetId
      entries.set(id, { ...decodeRow<DatasetRow>(value), id })
    }
    const home = await db.get(homeKey('home'))
    const { nextOrdinal } = decodeRow<{ nextOrdinal: number }>(home as Uint8Array)
    const catalog = new Catalog(db, entries, nextOrdinal)
    const unused: number[] = []
    for await (const [key, id] of db.iterator(rangeOf(homeKey('forgotten')))) {
      const ordinal = Buffer.from(key).readUInt32BE(1)
      if (id.length === 0) unused.push(ordinal)
      else catalog.#forgotten.set(hexOf(id) as DatasetId, ordinal)
    }
    for (const id of [...catalog.#forgotten.keys()]) await catalog.#sweep(id)
    for (const ordinal of unused) await catalog.#sweepRows(ordinal)
    return catalog
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

  /** Throws EXISTS. */
  create(id: DatasetId, row: Omit<DatasetRow, 'ordinal'>): Promise<CatalogEntry> {
    return this.#inTurn(async () => {
      for (const { id: other, name } of this.#entries.values()) {
        if (other === id) throw new GonkError('EXISTS', `the dataset is here already, as "${name}"`)
        if (name === row.name) {
          throw new GonkError('EXISTS', `a dataset named "${name}" is here already`)
        }
      }
      // Events are kept by id alone: those that are yet to go would be taken for the new ones.
      await this.#sweep(id)
      const entry = { ...row, ordinal: this.#nextOrdinal++, id }
      const home = { format: DATABASE_FORMAT, nextOrdinal: this.#nextOrdinal }
      const writes = [put(homeKey('home'), encodeRow(home)), this.#write(entry)]
      await this.#db.batch(writes, { sync: true } as object)
      this.#entries.set(id, entry)
      return entry
    })
  }

  /** Throws NOT_FOUND when the dataset was forgotten meanwhile. */
  update(id: DatasetId, change: Changed<Omit<DatasetRow, 'ordinal'>>): Promise<CatalogEntry> {
    return this.#inTurn(async () => {
      const before = this.#entries.get(id)
      if (!before) throw new GonkError('NOT_FOUND', `no dataset ${textOfEventId(id)}`)
      const entry = Object.fromEntries(
        Object.entries({ ...before, ...change }).filter(([, value]) => value !== undefined),
      ) as unknown as CatalogEntry
      await this.#db.batch([this.#write(entry)], { sync: true } as object)
      this.#entries.set(id, entry)
      return entry
    })
  }

  /**
   * Forgets the dataset, so that nothing finds it any more, and then drops its rows: what a crash
   * leaves of them goes when the home is opened.
   * @param close is waited for in between: nothing writes rows of the dataset afterwards.
   */
  remove(id: DatasetId, close: () => Promise<void> = async () => {}): Promise<void> {
    return this.#inTurn(async () => {
      const entry = this.#entries.get(id)
      if (!entry) return
      const forget = [
        del(homeKey('datasets', hex(id))),
        put(homeKey('forgotten', u32(entry.ordinal)), hex(id)),
      ]
      await this.#db.batch(forget, { sync: true } as object)
      this.#entries.delete(id)
      this.#forgotten.set(id, entry.ordinal)
      await close()
      await this.#sweep(id)
    })
  }

  /** An ordinal for tables that are yet to be filled: they go when the home is opened, unless `moveTo`. */
  reserve(): Promise<number> {
    return this.#inTurn(async () => {
      const ordinal = this.#nextOrdinal++
      const home = { format: DATABASE_FORMAT, nextOrdinal: this.#nextOrdinal }
      const writes = [
        put(homeKey('home'), encodeRow(home)),
        put(homeKey('forgotten', u32(ordinal))),
      ]
      await this.#db.batch(writes, { sync: true } as object)
      return ordinal
    })
  }

  /** From now on the dataset's tables are those of a reserved ordinal; the others go. Throws NOT_FOUND. */
  moveTo(id: DatasetId, ordinal: number): Promise<CatalogEntry> {
    return this.#inTurn(async () => {
      const before = this.#entries.get(id)
      if (!before) throw new GonkError('NOT_FOUND', `no dataset ${textOfEventId(id)}`)
      const entry = { ...before, ordinal }
      const writes = [
        this.#write(entry),
        del(homeKey('forgotten', u32(ordinal))),
        put(homeKey('forgotten', u32(before.ordinal))),
      ]
      await this.#db.batch(writes, { sync: true } as object)
      this.#entries.set(id, entry)
      await this.#sweepRows(before.ordinal)
      return entry
    })
  }

  async #sweep(id: DatasetId): Promise<void> {
    const ordinal = this.#forgotten.get(id)
    if (ordinal === undefined) return
    let deletions = []
    for await (const [, event] of new DatasetLog(this.#db, id, ordinal).arrivals()) {
      deletions.push(del(homeKey('events', hex(event as EventId))))
      if (deletions.length >= 1_000) await this.#db.batch(deletions.splice(0))
    }
    await this.#db.batch(deletions)
    await this.#sweepRows(ordinal)
    this.#forgotten.delete(id)
  }

  async #sweepRows(ordinal: number): Promise<void> {
    for (const table of datasetTables) {
      for (const own of [ordinal, sealedOrdinal(ordinal), draftOrdinal(ordinal)]) {
        await this.#db.clear(rangeOf(datasetPrefix(table, own)))
      }
    }
    await this.#db.del(homeKey('forgotten', u32(ordinal)))
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#lastTask.then(task)
    this.#lastTask = result.catch(() => {})
    return result
  }

  #write(entry: CatalogEntry) {
    const { id, ...row } = entry
    return put(homeKey('datasets', hex(id)), encodeRow(row))
  }
}
