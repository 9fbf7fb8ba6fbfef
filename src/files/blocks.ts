// Blocks that are not on disk: in memory, and two stores seen as one.
import type { CID } from 'multiformats/cid'
import type { AbortOptions, Blocks } from '../ports.ts'
import { throwIfAborted } from './concurrent.ts'
import { blockKey } from './dag.ts'

/** Blocks that can also be enumerated, as a file store needs for its collector. */
export interface ListedBlocks extends Blocks {
  /** Every block, in any order. Blocks put or deleted meanwhile may or may not appear. */
  list(options?: AbortOptions): AsyncIterable<CID>
}

/** For tests and the simulator. */
export function memoryBlocks(): ListedBlocks {
  const blocks = new Map<string, { cid: CID; bytes: Uint8Array }>()
  return {
    async get(cid) {
      return blocks.get(blockKey(cid))?.bytes
    },
    async has(cid) {
      return blocks.has(blockKey(cid))
    },
    async put(cid, bytes) {
      blocks.set(blockKey(cid), { cid: cid.toV1(), bytes })
    },
    async delete(cid) {
      blocks.delete(blockKey(cid))
    },
    async *list({ signal } = {}) {
      for (const { cid } of [...blocks.values()]) {
        throwIfAborted(signal)
        yield cid
      }
    },
  }
}

/**
 * Two stores as one: a block is read from `first` (small metadata blocks), then from `second`
 * (content). New blocks go to `second`; whoever makes metadata puts it into `first` directly.
 */
export function blocksOf(first: Blocks, second: Blocks): Blocks {
  return {
    async get(cid, options) {
      return (await first.get(cid, options)) ?? (await second.get(cid, options))
    },
    async has(cid) {
      return (await first.has(cid)) || (await second.has(cid))
    },
    async put(cid, bytes) {
      if (!(await first.has(cid))) await second.put(cid, bytes)
    },
    async delete(cid) {
      await Promise.all([first.delete(cid), second.delete(cid)])
    },
  }
}
