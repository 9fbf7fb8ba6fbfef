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
const LOOKUPS_AT_ONCE = 16

export class FetchWork {
  readonly #needs: FetchWorkNeeds
  /** Every block wanted and not settled, also those asked for. */
  readonly #items = new Map<string, WorkItem>()
  #queue: WorkItem[] = []

  constructor(needs: FetchWorkNeeds) {
    this.#needs = needs
  }

  /** Blocks nobody is asked for yet. */
  get queued(): number {
    return this.#queue.length
  }

  /** Blocks wanted and not settled. */
  get unsettled(): number {
    return this.#items.size
  }

  /** Takes up a file. Resolves when its blocks are queued, as far as they are known. */
  async begin({ cid, sizeBytes }: WantedFile): Promise<void> {
    if (!isFileBlock(cid)) return this.#needs.onFile(cid, 'invalid', [])
    const job: FileJob = { cid, places: new Map(), pending: 0, state: 'good' }
    const missing: WorkItem[] = []
    await this.#want(job, { cid, sizeBytes, depth: 0 }, missing)
    this.#queue.push(...missing)
    if (missing.length > 0) this.#needs.onQueued()
  }

  /** Removes from the queue what `peer` may have, the first first; at least one however large. */
  take(peer: PeerId, bounds: { bytes: number; count: number }): WorkItem[] {
    const taken: WorkItem[] = []
    let bytes = 0
    this.#queue = this.#queue.filter((item) => {
      const fits = taken.length === 0 || bytes + item.costBytes <= bounds.bytes
      if (!fits || taken.length >= bounds.count || item.absentAt.has(peer)) return true
      taken.push(item)
      bytes += item.costBytes
      return false
    })
    return taken
  }

  /** Keeps the bytes, which the caller knows to match, and queues what they link to. */
  async store(item: WorkItem, bytes: Uint8Array): Promise<void> {
    await this.#needs.blocks.put(item.cid, bytes)
    await this.#settle(item, bytes)
  }

  /** Puts items in the queue, to be asked for before others. */
  giveBack(items: Iterable<WorkItem>): void {
    const found = [...items]
    if (found.length === 0) return
    this.#queue = [...found, ...this.#queue]
    this.#needs.onQueued()
  }

  /** Ends the queued items for which it holds: their files are missing. */
  async giveUp(isHopeless: (item: WorkItem) => boolean): Promise<void> {
    const hopeless = this.#queue.filter((item) => isHopeless(item) || !isWorthFetching(item))
    if (hopeless.length === 0) return
    const gone = new Set(hopeless)
    this.#queue = this.#queue.filter((item) => !gone.has(item))
    for (const item of hopeless) await this.#settle(item, undefined)
  }

  /** Looks for the block here; otherwise adds it to `missing`, unless it is on its way already. */
  async #want(file: FileJob, place: Place, missing: WorkItem[]): Promise<void> {
    const { blocks } = this.#needs
    const { cid } = place
    const key = blockKey(cid)
    file.places.set(key, place)
    file.pending += 1
    const known = this.#items.get(key)
    if (known !== undefined) {
      known.files.add(file)
      return
    }
    const costBytes = isRaw(cid) ? Math.min(place.sizeBytes, limits.blockBytesMax) : NODE_BYTES
    const item = { cid, key, costBytes, absentAt: new Set<PeerId>(), files: new Set([file]) }
    this.#items.set(key, item)
    // Roots are read, so that the stated size is checked; of leaves it follows from the parent.
    if (isRaw(cid) && place.depth > 0) {
      if (await blocks.has(cid)) return this.#settle(item, 'here')
    } else {
      const bytes = await blocks.get(cid)
      if (bytes !== undefined) return this.#settle(item, bytes)
    }
    missing.push(item)
  }

  /** The block is here, or (`bytes` undefined) cannot be had. */
  async #settle(item: WorkItem, bytes: Uint8Array | 'here' | undefined): Promise<void> {
    // Files that want the block meanwhile join `item.files` and are visited too.
    for (const file of item.files) {
      const place = file.places.get(item.key) as Place
      if (bytes === undefined) {
        if (file.state === 'good') file.state = 'missing'
      } else if (bytes !== 'here') await this.#expand(file, place, bytes)
      file.pending -= 1
      if (file.pending > 0) continue
      const blocks = [...file.places.values()].map(({ cid }) => cid)
      await this.#needs.onFile(file.cid, file.state, blocks)
    }
    this.#items.delete(item.key)
  }

  async #expand(file: FileJob, place: Place, bytes: Uint8Array): Promise<void> {
    if (file.state === 'invalid') return
    const children = childrenOf(place, bytes)
    if (children === undefined) {
      file.state = 'invalid'
      return
    }
    const missing: WorkItem[] = []
    const lookups: Promise<void>[] = []
    for (const child of children) {
      const known = file.places.get(blockKey(child.cid))
      if (known === undefined) lookups.push(this.#want(file, child, missing))
      else if (known.sizeBytes !== child.sizeBytes) file.state = 'invalid'
      if (lookups.length >= LOOKUPS_AT_ONCE) await Promise.all(lookups.splice(0))
    }
    await Promise.all(lookups)
    this.giveBack(missing)
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
    if (!node.children.every(({ cid, sizeBytes }) => isFileBlock(cid) && sizeBytes > 0))
      return undefined
    return node.children.map(({ cid, sizeBytes }) => ({ cid, sizeBytes, depth }))
  } catch {
    return undefined
  }
}
