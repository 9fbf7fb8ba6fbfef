// The small blocks: signed events, nodes of trees, `files/` directories, snapshots. They live in the
// database, because there are many, they are tiny, and they must be as durable as the log.
import { hash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import type { AbortOptions, Blocks } from '../ports.ts'
import { compareBytes } from '../core/ids.ts'
import { type Database, del, put, type Write } from './database.ts'
import { homeKey, rangeOf } from './keys.ts'

const DAG_CBOR = 0x71

export class NodeBlocks implements Blocks {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async get(cid: CID, options?: AbortOptions): Promise<Uint8Array | undefined> {
    options?.signal?.throwIfAborted()
    const bytes = (await this.#db.get(homeKey('nodes', cid.bytes))) ?? (await this.#event(cid))
    if (bytes === undefined) return undefined
    const digest = hash('sha256', bytes, 'buffer')
    return compareBytes(digest, cid.multihash.digest) === 0 ? bytes : undefined
  }

  /** A block of a tree, unchecked; events are none. */
  node(cid: CID): Promise<Uint8Array | undefined> {
    return this.#db.get(homeKey('nodes', cid.bytes))
  }

  async nodesOf(cids: readonly CID[]): Promise<(Uint8Array | undefined)[]> {
    return this.#db.getMany(cids.map((cid) => homeKey('nodes', cid.bytes)))
  }

  async has(cid: CID): Promise<boolean> {
    const keys = [homeKey('nodes', cid.bytes), homeKey('events', cid.multihash.digest)]
    const [isNode, isEvent] = await this.#db.hasMany(keys)
    return isNode === true || (cid.code === DAG_CBOR && isEvent === true)
  }

  async put(cid: CID, bytes: Uint8Array): Promise<void> {
    await this.#db.put(homeKey('nodes', cid.bytes), bytes)
  }

  /** The write that `put` would do, for a batch. */
  putOf(cid: CID, bytes: Uint8Array): Write {
    return put(homeKey('nodes', cid.bytes), bytes)
  }

  /** The write that `delete` would do, for a batch. */
  deleteOf(cid: CID): Write {
    return del(homeKey('nodes', cid.bytes))
  }

  async write(writes: Write[]): Promise<void> {
    if (writes.length > 0) await this.#db.batch(writes)
  }

  async delete(cid: CID): Promise<void> {
    await this.#db.del(homeKey('nodes', cid.bytes))
  }

  /** Every node, events not among them, for the collector. */
  async *list(): AsyncIterable<CID> {
    for await (const key of this.#db.keys(rangeOf(homeKey('nodes')))) {
      yield CID.decode(key.subarray(1))
    }
  }

  async #event(cid: CID): Promise<Uint8Array | undefined> {
    if (cid.code !== DAG_CBOR) return undefined
    return this.#db.get(homeKey('events', cid.multihash.digest))
  }
}
