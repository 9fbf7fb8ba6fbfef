// What a fetch still has to get: files as trees of blocks, blocks as items of one queue. Knows
// nothing of peers but their names; fetcher.ts moves the bytes.
import type { CID } from 'multiformats/cid'
import { limits } from '../core/limits.ts'
import type { Blocks, PeerId } from '../ports.ts'
import { blockKey, isFileBlock, isRaw, parseFileNode } from './dag.ts'

export interface WantedFile {
  readonly cid: CID
  /** As stated by the dataset; content of another size is refused. */
  readonly sizeBytes: number
}

/** A block that is not here, and who was found not to have it. */
export interface WorkItem {
  readonly cid: CID
  readonly key: string
  /** About how many bytes it will be. */
  readonly costBytes: number
  readonly absentAt: Set<PeerId>
  readonly files: Set<FileJob>
}

interface FileJob {
  readonly cid: CID
  /** Every block of the file known so far, and what its parent says of it. */
  readonly places: Map<string, Place>
  pending: number
  state: 'good' | 'missing' | 'invalid'
}

interface Place {
  readonly cid: CID
  /** Bytes of the file at and below this block. */
  readonly sizeBytes: number
  readonly depth: number
}

export interface FetchWork {
  /** Takes up a file. Resolves when its blocks are queued, as far as they are known. */
  begin(file: WantedFile): Promise<void>
  /** Removes from the queue what `peer` may have, the oldest first. */
  take(peer: PeerId, bounds: { bytes: number; count: number }): WorkItem[]
  /** Keeps the bytes, which the caller knows to match, and queues what they link to. */
  store(item: WorkItem, bytes: Uint8Array): Promise<void>
  /** Puts items back, to be asked for first. */
  giveBack(items: Iterable<WorkItem>): void
  /** Ends the queued items for which it holds: their files are missing. */
  giveUp(isHopeless: (item: WorkItem) => boolean): Promise<void>
  queued(): number
  /** Blocks wanted and not settled. */
  unsettled(): number
}

export interface FetchWorkNeeds {
  readonly blocks: Blocks
  /** A file is done with. `blocks`: all its blocks, which are here when the state is good. */
  readonly onFile: (
    file: CID,
    state: 'good' | 'missing' | 'invalid',
    blocks: CID[],
  ) => void | Promise<void>
  readonly onQueued: () => void
}

/** Of an inner node whose size is not known. */
const NODE_BYTES = 64 * 1024
const DEPTH_MAX = 32

export function createFetchWork({ blocks, onFile, onQueued }: FetchWorkNeeds): FetchWork {
  const items = new Map<string, WorkItem>()
  let queue: WorkItem[] = []

  /** The block is here, or (`bytes` undefined) cannot be had. */
  async function settle(item: WorkItem, bytes: Uint8Array | 'here' | undefined): Promise<void> {
    // Files that want the block meanwhile join `item.files` and are visited too.
    for (const file of item.files) {
      const place = file.places.get(item.key) as Place
      if (bytes === undefined) {
        if (file.state === 'good') file.state = 'missing'
      } else if (file.state !== 'invalid' && bytes !== 'here') await expand(file, place, bytes)
      file.pending -= 1
      if (file.pending > 0) continue
      await onFile(file.cid, file.state, [...file.places.values()].map(({ cid }) => cid))
    }
    items.delete(item.key)
  }

  async function expand(file: FileJob, place: Place, bytes: Uint8Array): Promise<void> {
    const children = childrenOf(place, bytes)
    const isNew = (child: Place) => file.places.get(blockKey(child.cid)) === undefined
    const sameAsBefore = (child: Place) =>
      file.places.get(blockKey(child.cid))?.sizeBytes === child.sizeBytes
    if (children === undefined || !children.every((child) => isNew(child) || sameAsBefore(child))) {
      file.state = 'invalid'
      return
    }
    const wanted: WorkItem[] = []
    const checks: Promise<void>[] = []
    for (const child of children) {
      if (!isNew(child)) continue
      checks.push(want(file, child, wanted))
      if (checks.length >= 16) await Promise.all(checks.splice(0))
    }
    await Promise.all(checks)
    enqueueFirst(wanted)
  }

  /** Looks for the block here; otherwise adds it to `missing`, unless it is on its way already. */
  async function want(file: FileJob, place: Place, missing: WorkItem[]): Promise<void> {
    const key = blockKey(place.cid)
    file.places.set(key, place)
    file.pending += 1
    const known = items.get(key)
    if (known !== undefined) {
      known.files.add(file)
      return
    }
    const { cid } = place
    const costBytes = isRaw(cid) ? Math.min(place.sizeBytes, limits.blockBytesMax) : NODE_BYTES
    const item = { cid, key, costBytes, absentAt: new Set<PeerId>(), files: new Set([file]) }
    items.set(key, item)
    if (isRaw(cid)) {
      if (await blocks.has(cid)) return settle(item, 'here')
    } else {
      const bytes = await blocks.get(cid)
      if (bytes !== undefined) return settle(item, bytes)
    }
    missing.push(item)
  }

  function enqueueFirst(found: readonly WorkItem[]): void {
    if (found.length === 0) return
    queue = [...found, ...queue]
    onQueued()
  }

  return {
    async begin({ cid, sizeBytes }) {
      if (!isFileBlock(cid)) return onFile(cid, 'invalid', [])
      const job: FileJob = { cid, places: new Map(), pending: 0, state: 'good' }
      const missing: WorkItem[] = []
      await want(job, { cid, sizeBytes, depth: 0 }, missing)
      queue.push(...missing)
      if (missing.length > 0) onQueued()
    },

    take(peer, bounds) {
      const taken: WorkItem[] = []
      let bytes = 0
      queue = queue.filter((item) => {
        const fits = taken.length < bounds.count && (taken.length === 0 || bytes + item.costBytes <= bounds.bytes)
        if (!fits || item.absentAt.has(peer)) return true
        taken.push(item)
        bytes += item.costBytes
        return false
      })
      return taken
    },

    async store(item, bytes) {
      await blocks.put(item.cid, bytes)
      await settle(item, bytes)
    },

    giveBack: (returned) => enqueueFirst([...returned]),

    async giveUp(isHopeless) {
      const hopeless = queue.filter((item) => isHopeless(item) || !isWorthFetching(item))
      if (hopeless.length === 0) return
      const gone = new Set(hopeless)
      queue = queue.filter((item) => !gone.has(item))
      for (const item of hopeless) await settle(item, undefined)
    },

    queued: () => queue.length,
    unsettled: () => items.size,
  }
}

/** Not when all that is wanted of it are files found to be invalid. */
function isWorthFetching(item: WorkItem): boolean {
  for (const file of item.files) if (file.state !== 'invalid') return true
  return false
}

/** @returns undefined when the block is not what its parent, or the dataset, says of it. */
function childrenOf(place: Place, bytes: Uint8Array): Place[] | undefined {
  if (isRaw(place.cid)) return bytes.length === place.sizeBytes ? [] : undefined
  try {
    const node = parseFileNode(place.cid, bytes)
    if (node.sizeBytes !== place.sizeBytes || place.depth >= DEPTH_MAX) return undefined
    const depth = place.depth + 1
    // An empty child would let a file of no size have any number of blocks.
    if (!node.children.every(({ cid, sizeBytes }) => isFileBlock(cid) && sizeBytes > 0)) return undefined
    return node.children.map(({ cid, sizeBytes }) => ({ cid, sizeBytes, depth }))
  } catch {
    return undefined
  }
}
