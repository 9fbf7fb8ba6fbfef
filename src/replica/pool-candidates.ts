// What may go of one share of the pool: of the author that takes most, the oldest first. Reads no more
// than is asked for.
import type { PublicKey } from '../core/ids.ts'
import type { PoolEntry, PoolIndex } from '../log/pool-index.ts'

interface Author {
  readonly author: PublicKey
  bytes: number
  readonly entries: AsyncIterator<PoolEntry>
}

/** As it is on disk: what a batch changes meanwhile is not seen, but for what is `gone`. */
export class Candidates {
  readonly #index: PoolIndex
  readonly #slot: number
  readonly #before: number
  readonly #authors = new Map<PublicKey, Author>()
  readonly #rest: AsyncIterator<{ author: PublicKey; bytes: number }>
  /** The largest author that is not among `authors`. */
  #nextAuthor: { author: PublicKey; bytes: number } | undefined
  #hasBegun = false

  /** @param before only what arrived earlier. */
  constructor(index: PoolIndex, slot: number, before: number) {
    this.#index = index
    this.#slot = slot
    this.#before = before
    this.#rest = index.largest(slot)
  }

  async next(): Promise<PoolEntry | undefined> {
    for (;;) {
      const largest = await this.#largest()
      if (largest === undefined) return undefined
      const { value, done } = await largest.entries.next()
      if (done !== true && value.arrival < this.#before) return value
      await largest.entries.return?.()
      this.#authors.delete(largest.author)
    }
  }

  /** What came from `next` is pushed out. An author of whom that was all is not kept in mind. */
  async gone(author: PublicKey, bytes: number): Promise<void> {
    const known = this.#authors.get(author)
    if (known === undefined) return
    known.bytes -= bytes
    if (known.bytes > 0) return
    this.#authors.delete(author)
    await known.entries.return?.()
  }

  async close(): Promise<void> {
    await this.#rest.return?.()
    for (const { entries } of this.#authors.values()) await entries.return?.()
    this.#authors.clear()
  }

  async #largest(): Promise<Author | undefined> {
    if (!this.#hasBegun) await this.#advance()
    this.#hasBegun = true
    let largest: Author | undefined
    for (const each of this.#authors.values()) {
      if (largest === undefined || each.bytes > largest.bytes) largest = each
    }
    const next = this.#nextAuthor
    if (next === undefined || (largest !== undefined && largest.bytes >= next.bytes)) return largest
    const entries = this.#index.entriesOf(this.#slot, next.author)
    const added = { ...next, entries }
    this.#authors.set(next.author, added)
    await this.#advance()
    return added
  }

  async #advance(): Promise<void> {
    const { value, done } = await this.#rest.next()
    this.#nextAuthor = done === true ? undefined : value
  }
}
