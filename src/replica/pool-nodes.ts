// Nodes of the pool's tree that newer ones took the place of: strangers decide how often that happens,
// so these nodes do not wait for the collector.
import type { CID } from 'multiformats/cid'
import { isRejection } from '../core/errors.ts'
import type { EventId } from '../core/ids.ts'
import { decodeTrieNode, firstKeyOf } from '../core/trie.ts'
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
const KEPT_MS = 60_000
/** More go at once, the oldest first. */
const KEPT_MAX = 4_096
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
    const due: CID[] = []
    for (const [key, { cid, atMs }] of this.#replaced) {
      const isDue = nowMs - atMs >= KEPT_MS || this.#replaced.size > KEPT_MAX
      if (!isDue || due.length === DELETED_MAX) break
      this.#replaced.delete(key)
      due.push(cid)
    }
    const { nodes } = this.#needs
    await nodes.write((await this.#unshared(due)).map((cid) => nodes.deleteOf(cid)))
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

  /**
   * A tree of owner events has the same node only where owners name all that is under it, so the first
   * entry under it tells.
   */
  async #unshared(cids: readonly CID[]): Promise<CID[]> {
    const { log, nodes } = this.#needs
    const unshared: CID[] = []
    const firsts: { cid: CID; id: EventId }[] = []
    for (let level = cids.map((cid) => ({ cid, at: cid })); level.length > 0;) {
      const blocks = await nodes.nodesOf(level.map(({ at }) => at))
      const below: typeof level = []
      for (const [i, { cid }] of level.entries()) {
        const bytes = blocks[i]
        const key = bytes && firstKeyOf(bytes)
        const child = bytes && key === undefined ? firstChildOf(bytes) : undefined
        if (key !== undefined) firsts.push({ cid, id: key as EventId })
        else if (child !== undefined) below.push({ cid, at: child })
        // What is below it is gone: it was not shared.
        else if (bytes === undefined) unshared.push(cid)
      }
      level = below
    }
    const rows = await log.proposals(firsts.map(({ id }) => id))
    return [...unshared, ...firsts.filter((_, i) => rows[i]?.named !== true).map(({ cid }) => cid)]
  }
}

function firstChildOf(bytes: Uint8Array): CID | undefined {
  const node = decodeTrieNode(bytes)
  if (isRejection(node) || node.kind === 'leaf') return undefined
  return node.children.find((child) => child !== undefined)
}
