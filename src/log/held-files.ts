// Which files are complete on this node, and which blocks belong to them.
import { type Database, del, put, type Write } from './database.ts'
import { homeKey, numberOfU64, rangeOf, u64 } from './keys.ts'
import { decodeRow, encodeRow } from './rows.ts'

const PREFETCHED = homeKey('prefetched')

/** One row of what was prefetched. */
export interface Prefetched {
  readonly key: Uint8Array
  readonly file: Uint8Array
}

/** A file that is kept until a time, and what it counts while no proposal names it. */
type Kept = readonly [untilMs: number, bytes: number]

/** Which files this node keeps, and which blocks belong to them. Rows of files that are complete here. */
export class HeldFiles {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async areHeld(files: readonly Uint8Array[]): Promise<boolean[]> {
    return this.#db.hasMany(files.map((cid) => homeKey('held', cid)))
  }

  /** `blocks`: CIDs of all blocks of the file but its root. Call after they are stored. */
  holdOf(file: Uint8Array, blocks: readonly Uint8Array[]): Write[] {
    return [put(homeKey('held', file)), ...blocks.map((block) => put(homeKey('refs', block, file)))]
  }

  async write(writes: Write[]): Promise<void> {
    if (writes.length > 0) await this.#db.batch(writes)
  }

  async release(file: Uint8Array, blocks: readonly Uint8Array[]): Promise<void> {
    const refs = blocks.map((block) => del(homeKey('refs', block, file)))
    await this.#db.batch([del(homeKey('held', file)), ...refs])
  }

  /** The held files a block is part of: itself, or files of several blocks. */
  async *filesWith(block: Uint8Array): AsyncIterable<Uint8Array> {
    if (await this.#db.has(homeKey('held', block))) yield block
    const prefix = homeKey('refs', block)
    for await (const key of this.#db.keys(rangeOf(prefix))) yield key.slice(prefix.length)
  }

  /** Notes content that is fetched only so that it is here for a review. */
  async addPrefetched(files: readonly { file: Uint8Array; sizeBytes: number }[]): Promise<void> {
    let next = 0
    for await (const key of this.#db.keys({ ...rangeOf(PREFETCHED), reverse: true, limit: 1 })) {
      next = numberOfU64(key.subarray(1)) + 1
    }
    await this.#db.batch(
      files.map(({ file, sizeBytes }, i) =>
        put(homeKey('prefetched', u64(next + i), file), encodeRow(sizeBytes)),
      ),
    )
  }

  /** The oldest prefetched content, as much as must go until `bytes` more fit into `bytesMax`. */
  async oldestPrefetched(bytes: number, bytesMax: number): Promise<Prefetched[]> {
    const rows = () => this.#db.iterator(rangeOf(PREFETCHED))
    let total = bytes
    for await (const [, value] of rows()) total += decodeRow<number>(value)
    const oldest: Prefetched[] = []
    if (total <= bytesMax) return oldest
    for await (const [key, value] of rows()) {
      oldest.push({ key, file: key.slice(9) })
      total -= decodeRow<number>(value)
      if (total <= bytesMax) break
    }
    return oldest
  }

  async forgetPrefetched(rows: readonly Prefetched[]): Promise<void> {
    await this.#db.batch(rows.map(({ key }) => del(key)))
  }

  async *prefetched(): AsyncIterable<Uint8Array> {
    for await (const key of this.#db.keys(rangeOf(PREFETCHED))) yield key.slice(9)
  }

  /** Keeps a file that nothing names yet until a time, in ms since 1970; `bytes`: what it counts. */
  keepUntil(file: Uint8Array, untilMs: number, bytes: number): Write {
    return put(homeKey('stored', file), encodeRow([untilMs, bytes]))
  }

  /** What those of the files count that {@link keepUntil} keeps and no proposal names. */
  async waitingBytes(files: readonly Uint8Array[]): Promise<number> {
    const rows = await this.#db.getMany(files.map((file) => homeKey('stored', file)))
    return rows.reduce((sum, row) => sum + (row ? decodeRow<Kept>(row)[1] : 0), 0)
  }

  /** The same of all files, as of `nowMs`. */
  async allWaitingBytes(nowMs: number): Promise<number> {
    let sum = 0
    for await (const value of this.#db.values(rangeOf(homeKey('stored')))) {
      const [untilMs, bytes] = decodeRow<Kept>(value)
      if (untilMs > nowMs) sum += bytes
    }
    return sum
  }

  /** Of files that a proposal names now: they are kept as before and count nothing. */
  async endWaiting(files: readonly Uint8Array[]): Promise<void> {
    const rows = await this.#db.getMany(files.map((file) => homeKey('stored', file)))
    const writes = files.flatMap((file, i) => {
      const row = rows[i]
      return row ? [this.keepUntil(file, decodeRow<Kept>(row)[0], 0)] : []
    })
    await this.write(writes)
  }

  /** What {@link keepUntil} keeps longer than until `nowMs`; forgets the rest. */
  async keptAfter(nowMs: number): Promise<Uint8Array[]> {
    const kept: Uint8Array[] = []
    for await (const [key, value] of this.#db.iterator(rangeOf(homeKey('stored')))) {
      if (decodeRow<Kept>(value)[0] > nowMs) kept.push(key.slice(1))
      else await this.#db.del(key)
    }
    return kept
  }

  async *list(): AsyncIterable<Uint8Array> {
    for await (const key of this.#db.keys(rangeOf(homeKey('held')))) yield key.slice(1)
  }
}
