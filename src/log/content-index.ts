// Content of one dataset: which objects hold it, and what of it is not here.
import { hexOf, type ObjectId } from '../core/ids.ts'
import { type Database, del, put, type Write } from './database.ts'
import { DATASET_PREFIX_BYTES, type DatasetKey, hex, rangeOf } from './keys.ts'
import { pagedRows } from './pages.ts'
import { decodeRow, encodeRow } from './rows.ts'

export class ContentIndex {
  readonly #db: Database
  readonly #key: DatasetKey

  constructor(db: Database, key: DatasetKey) {
    this.#db = db
    this.#key = key
  }

  /** Marks which objects' canonical head holds this content; the earliest is the original. */
  setContent(content: Uint8Array, date: Uint8Array, object: ObjectId, isHeld: boolean): Write {
    const key = this.#key('contents', content, date, hex(object))
    return isHeld ? put(key) : del(key)
  }

  async originalOf(content: Uint8Array): Promise<ObjectId | undefined> {
    const prefix = this.#key('contents', content)
    for await (const key of this.#db.keys({ ...rangeOf(prefix), limit: 1 })) {
      return hexOf(key.subarray(key.length - 32)) as ObjectId
    }
    return undefined
  }

  /** Content that accepted versions of an object hold. */
  setAccepted(content: Uint8Array, object: ObjectId, isAccepted: boolean): Write {
    const key = this.#key('accepted', content, hex(object))
    return isAccepted ? put(key) : del(key)
  }

  async isAccepted(content: Uint8Array): Promise<boolean> {
    const options = { ...rangeOf(this.#key('accepted', content)), limit: 1 }
    for await (const _ of this.#db.keys(options)) return true
    return false
  }

  /** Whether an object that is none of these holds the content. */
  async isAcceptedBesides(content: Uint8Array, objects: ReadonlySet<ObjectId>): Promise<boolean> {
    for await (const key of this.#db.keys(rangeOf(this.#key('accepted', content)))) {
      if (!objects.has(hexOf(key.subarray(key.length - 32)) as ObjectId)) return true
    }
    return false
  }

  async *allAccepted(): AsyncIterable<Uint8Array> {
    for await (const key of this.#db.keys(rangeOf(this.#key('accepted')))) {
      yield key.slice(DATASET_PREFIX_BYTES, key.length - 32)
    }
  }

  setLacking(content: Uint8Array, sizeBytes: number | undefined): Write {
    const key = this.#key('lacking', content)
    return sizeBytes === undefined ? del(key) : put(key, encodeRow(sizeBytes))
  }

  /** Accepted content that is not here, in the order of its CIDs: all of it, or what comes after one. */
  async *lacking(
    after: Uint8Array = new Uint8Array(),
  ): AsyncIterable<{ content: Uint8Array; sizeBytes: number }> {
    const range = { gt: this.#key('lacking', after), lt: rangeOf(this.#key('lacking')).lt }
    for await (const [key, value] of pagedRows(this.#db, range)) {
      yield { content: key.slice(DATASET_PREFIX_BYTES), sizeBytes: decodeRow<number>(value) }
    }
  }

  async countLacking(): Promise<number> {
    let count = 0
    for await (const _ of this.#db.keys(rangeOf(this.#key('lacking')))) count++
    return count
  }
}
