// Which files are complete on this node, and which blocks belong to them.
import { type Database, del, put, type Write } from './database.ts'
import { homeKey, numberOfU64, rangeOf, u64 } from './keys.ts'
import { decodeRow, encodeRow } from './rows.ts'

const PREFETCHED = homeKey('prefetched')

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

  /** Notes content that was fetched only so that it is here for a review. */
  async addPrefetched(file: Uint8Array, sizeBytes: number): Promise<void> {
    let next = 0
    for await (const key of this.#db.keys({ ...rangeOf(PREFETCHED), reverse: true, limit: 1 })) {
      next = numberOfU64(key.subarray(1)) + 1
    }
    await this.#db.put(homeKey('prefetched', u64(next), file), encodeRow(sizeBytes))
  }

  /** Forgets the oldest prefetched content until `bytes` more fit into `bytesMax`. @returns their CIDs. */
  async makeRoomForPrefetch(bytes: number, bytesMax: number): Promise<Uint8Array[]> {
    const rows: { key: Uint8Array; sizeBytes: number }[] = []
    for await (const [key, value] of this.#db.iterator(rangeOf(PREFETCHED))) {
      rows.push({ key, sizeBytes: decodeRow<number>(value) })
    }
    let total = rows.reduce((sum, row) => sum + row.sizeBytes, bytes)
    const dropped: Uint8Array[] = []
    for (const row of rows) {
      if (total <= bytesMax) break
      total -= row.sizeBytes
      dropped.push(row.key)
    }
    await this.#db.batch(dropped.map(del))
    return dropped.map((key) => key.slice(9))
  }

  async *prefetched(): AsyncIterable<Uint8Array> {
    for await (const key of this.#db.keys(rangeOf(PREFETCHED))) yield key.slice(9)
  }

  async *list(): AsyncIterable<Uint8Array> {
    for await (const key of this.#db.keys(rangeOf(homeKey('held')))) yield key.slice(1)
  }
}
