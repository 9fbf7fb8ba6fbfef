// Events of one dataset that are set aside: their blocks are damaged, or they build on such. Neither is
// served; what was found is kept, and goes when the event is here again.
import { type EventId, hexOf } from '../core/ids.ts'
import { type Database, del, put, type Write } from './database.ts'
import { DATASET_PREFIX_BYTES, type DatasetKey, hex, homeKey, rangeOf } from './keys.ts'

export class Quarantine {
  readonly #db: Database
  readonly #key: DatasetKey

  constructor(db: Database, key: DatasetKey) {
    this.#db = db
    this.#key = key
  }

  /** In the order of their ids, with the bytes found; none where there were none. */
  async *list(): AsyncIterable<[id: EventId, found: Uint8Array]> {
    for await (const [key, found] of this.#db.iterator(rangeOf(this.#key('quarantine')))) {
      yield [hexOf(key.subarray(DATASET_PREFIX_BYTES)) as EventId, found]
    }
  }

  /** The bytes found of those that are set aside. */
  async found(ids: readonly EventId[]): Promise<Uint8Array[]> {
    const rows = await this.#db.getMany(ids.map((id) => this.#key('quarantine', hex(id))))
    return rows.filter((row) => row !== undefined)
  }

  async areIn(ids: readonly EventId[]): Promise<boolean[]> {
    return this.#db.hasMany(ids.map((id) => this.#key('quarantine', hex(id))))
  }

  /** Moves a block aside, so that it counts as not here. */
  set(id: EventId, found: Uint8Array | undefined): Write[] {
    return [del(homeKey('events', hex(id))), put(this.#key('quarantine', hex(id)), found)]
  }

  /** Puts the right block back. */
  putBack(id: EventId, block: Uint8Array): Write[] {
    return [put(homeKey('events', hex(id)), block), this.drop(id)]
  }

  drop(id: EventId): Write {
    return del(this.#key('quarantine', hex(id)))
  }
}
