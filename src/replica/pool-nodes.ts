// Nodes of the pool's tree that newer ones took the place of: strangers decide how often that happens,
// so these nodes do not wait for the collector.
import type { CID } from 'multiformats/cid'
import { isRejection } from '../core/errors.ts'
import type { EventId } from '../core/ids.ts'
import { decodeTrieNode } from '../core/trie.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { NodeBlocks } from '../log/node-blocks.ts'
import type { Clock } from '../ports.ts'
import type { NodeWriter } from './node-writer.ts'

export interface PoolNodesNeeds {
  readonly log: DatasetLog
  readonly nodes: NodeBlocks
  readonly clock: Pick<Clock, 'nowMs'>
}

/** As much of a writer as the updating of a tree takes. */
type TreeStore = Pick<NodeWriter, 'get' | 'put'>

/** Whoever compares sets with a peer may still read the tree as it was. */
const KEPT_MS = 5 * 60_000
/** More go at once, the oldest first. */
const KEPT_MAX = 20_000
/** Of one round. */
const DELETED_MAX = 2_000

export class PoolNodes {
  readonly #needs: PoolNodesNeeds
  /** Replaced nodes by CID, and when they were; in that order. */
  readonly #replaced = new Map<string, { readonly cid: CID; readonly atMs: number }>()
  #read = new Map<string, CID>()

  constructor(needs: PoolNodesNeeds) {
    this.#needs = needs
  }

  /** For a tree that may have nodes in common with the pool's: what it needs again stays. */
  kept({ get, put }: TreeStore): TreeStore {
    return {
      get,
      put: async (cid, bytes) => {
        this.#keep(cid)
        await put(cid, bytes)
      },
    }
  }

  /** For the pool's tree: what is read of it is written anew, or not needed any more. */
  pool(writer: TreeStore): TreeStore {
    const { put } = this.kept(writer)
    return {
      put,
      get: async (cid) => {
        this.#read.set(cid.toString(), cid)
        return writer.get(cid)
      },
    }
  }

  /** Call when the trees are on disk that were being written: drops nodes that were replaced long ago. */
  async collect(): Promise<void> {
    const nowMs = this.#needs.clock.nowMs()
    for (const [key, cid] of this.#read) this.#replaced.set(key, { cid, atMs: nowMs })
    this.#read.clear()
    let deleted = 0
    for (const [key, { cid, atMs }] of this.#replaced) {
      const isDue = nowMs - atMs >= KEPT_MS || this.#replaced.size > KEPT_MAX
      if (!isDue || deleted++ === DELETED_MAX) return
      this.#replaced.delete(key)
      if (!(await this.#mayBeShared(cid))) await this.#needs.nodes.delete(cid)
    }
  }

  /** What was to be written was not: nothing was replaced. */
  forget(): void {
    this.#read.clear()
  }

  #keep(cid: CID): void {
    const key = cid.toString()
    this.#replaced.delete(key)
    this.#read.delete(key)
  }

  /** A tree of owner events has the same node only where owners name all that is under it. */
  async #mayBeShared(cid: CID): Promise<boolean> {
    const { log, nodes } = this.#needs
    for (let at: CID | undefined = cid; at !== undefined;) {
      const bytes: Uint8Array | undefined = await nodes.node(at)
      // What is below it is gone: it was not shared.
      if (bytes === undefined) return false
      const node = decodeTrieNode(bytes)
      if (isRejection(node)) return true
      if (node.kind === 'leaf') {
        const [first] = node.entries
        return first === undefined || (await log.proposal(first.key as EventId))?.named === true
      }
      at = node.children.find((child) => child !== undefined)
    }
    return true
  }
}
