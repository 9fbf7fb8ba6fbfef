// The pool of one dataset: undecided proposals of others that no owner names, by arrival, and by the
// peer they came from and their authors, with what each of these takes.
import { type EventId, hexOf, type PublicKey } from '../core/ids.ts'
import { type Database, del, put, type Write } from './database.ts'
import {
  concat,
  type DatasetKey,
  endOf,
  hex,
  homeKey,
  numberOfU64,
  rangeOf,
  u32,
  u64,
} from './keys.ts'
import { decodeRow, encodeRow } from './rows.ts'

const BY_ARRIVAL = Uint8Array.of(0)
const BY_AUTHOR = Uint8Array.of(1)
const BYTES = Uint8Array.of(2)
const BY_BYTES = Uint8Array.of(3)

/** A proposal of the pool. `peer`: the number of the share it counts for. */
export interface PoolEntry {
  readonly id: EventId
  readonly peer: number
  readonly author: PublicKey
  readonly arrival: number
}

export class PoolIndex {
  readonly #db: Database
  readonly #key: DatasetKey

  constructor(db: Database, key: DatasetKey) {
    this.#db = db
    this.#key = key
  }

  /** @param atMs when it came. */
  putEntry({ id, peer, author, arrival }: PoolEntry, atMs: number): Write[] {
    return [
      put(this.#key('pool', BY_ARRIVAL, u64(arrival)), encodeRow([hex(id), atMs])),
      put(this.#key('pool', BY_AUTHOR, u32(peer), hex(author), u64(arrival)), hex(id)),
    ]
  }

  deleteEntry({ peer, author, arrival }: Omit<PoolEntry, 'id'>): Write[] {
    return [
      del(this.#key('pool', BY_ARRIVAL, u64(arrival))),
      del(this.#key('pool', BY_AUTHOR, u32(peer), hex(author), u64(arrival))),
    ]
  }

  /** Takes back what was written of a proposal: `writes` are those that put it in. */
  deleteProposal(entry: PoolEntry, writes: readonly Write[]): Write[] {
    return [
      ...writes.map(({ key }) => del(key)),
      del(this.#key('arrivals', u64(entry.arrival))),
      del(homeKey('events', hex(entry.id))),
      del(this.#key('proposals', hex(entry.id))),
      del(this.#key('pending', u64(entry.arrival), hex(entry.id))),
      ...this.deleteEntry(entry),
    ]
  }

  /** What the proposals of each author take that came from the peer. */
  async bytesOf(list: readonly Pick<PoolEntry, 'peer' | 'author'>[]): Promise<number[]> {
    const keys = list.map(({ peer, author }) => this.#key('pool', BYTES, u32(peer), hex(author)))
    return (await this.#db.getMany(keys)).map((value) => (value ? numberOfU64(value) : 0))
  }

  setBytes(of: Pick<PoolEntry, 'peer' | 'author'>, before: number, after: number): Write[] {
    const [peer, author] = [u32(of.peer), hex(of.author)]
    const key = this.#key('pool', BYTES, peer, author)
    const placed = (bytes: number) => this.#key('pool', BY_BYTES, peer, u64(bytes), author)
    return [
      ...(before > 0 ? [del(placed(before))] : []),
      ...(after > 0 ? [put(key, u64(after)), put(placed(after))] : [del(key)]),
    ]
  }

  /** Authors of what came from the peer, those whose proposals take most first. */
  async *largest(peer: number): AsyncGenerator<{ author: PublicKey; bytes: number }> {
    const prefix = this.#key('pool', BY_BYTES, u32(peer))
    for await (const key of this.#db.keys({ ...rangeOf(prefix), reverse: true })) {
      const rest = key.subarray(prefix.length)
      yield { author: hexOf(rest.subarray(8)) as PublicKey, bytes: numberOfU64(rest) }
    }
  }

  /** What is of the author and came from the peer, oldest first. */
  async *entriesOf(peer: number, author: PublicKey): AsyncGenerator<PoolEntry> {
    const prefix = this.#key('pool', BY_AUTHOR, u32(peer), hex(author))
    for await (const [key, value] of this.#db.iterator(rangeOf(prefix))) {
      const arrival = numberOfU64(key.subarray(prefix.length))
      yield { id: hexOf(value) as EventId, peer, author, arrival }
    }
  }

  /** What came first. */
  async oldest(limit: number): Promise<{ id: EventId; arrival: number; atMs: number }[]> {
    const prefix = this.#key('pool', BY_ARRIVAL)
    const rows = await this.#db.iterator({ gte: prefix, lt: endOf(prefix), limit }).all()
    return rows.map(([key, value]) => {
      const [id, atMs] = decodeRow<[Uint8Array, number]>(value)
      const arrival = numberOfU64(concat(key.subarray(prefix.length)))
      return { id: hexOf(id) as EventId, arrival, atMs }
    })
  }
}
