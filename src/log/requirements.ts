// How many keys must accept what a review accepts, for reviews of which the genesis does not say it.
import { type EventId, hexOf } from '../core/ids.ts'
import { type Database, del, put, type Write } from './database.ts'
import { DATASET_PREFIX_BYTES, type DatasetKey, hex, rangeOf } from './keys.ts'
import { decodeRow, encodeRow } from './rows.ts'

export class Requirements {
  readonly #db: Database
  readonly #key: DatasetKey

  constructor(db: Database, key: DatasetKey) {
    this.#db = db
    this.#key = key
  }

  /** Undefined where the genesis says it. */
  async of(reviews: readonly EventId[]): Promise<(number | undefined)[]> {
    const keys = reviews.map((id) => this.#key('requirements', hex(id)))
    const rows = await this.#db.getMany(keys)
    return rows.map((bytes) => bytes && decodeRow<number>(bytes))
  }

  async all(): Promise<Map<EventId, number>> {
    const found = new Map<EventId, number>()
    for await (const [key, bytes] of this.#db.iterator(rangeOf(this.#key('requirements')))) {
      const id = hexOf(key.subarray(DATASET_PREFIX_BYTES)) as EventId
      found.set(id, decodeRow<number>(bytes))
    }
    return found
  }

  set(review: EventId, requires: number | undefined): Write {
    const key = this.#key('requirements', hex(review))
    return requires === undefined ? del(key) : put(key, encodeRow(requires))
  }
}
