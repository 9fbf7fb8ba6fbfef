// Fetches files block by block from several peers at once. Each peer draws batches from one queue
// as fast as it answers; what a peer does not have or fails to send is asked of the next.
import type { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import type { AbortOptions, Blocks, Clock, PeerId } from '../ports.ts'
import { throwIfAborted } from './concurrent.ts'
import { blockKey } from './dag.ts'
import { FetchWork, type WantedFile, type WorkItem } from './fetch-work.ts'

/** `Network.blocks` bound to one peer and dataset. Its bytes are verified, and not hashed again. */
export interface BlockSource {
  readonly peer: PeerId
  blocks(
    cids: readonly CID[],
    options?: AbortOptions,
  ): AsyncIterable<{ cid: CID; bytes: Uint8Array | undefined }>
}

export interface FetchNeeds {
  readonly blocks: Blocks
  /** The peers to ask now; looked at again whenever one is free. */
  readonly sources: () => readonly BlockSource[]
  readonly clock: Clock
}

export interface FetchProgress {
  /** Files whose blocks are all here. */
  readonly files: number
  /** Blocks that were fetched, and their bytes. */
  readonly blocks: number
  readonly bytes: number
}

export interface FetchOptions extends AbortOptions {
  /** All blocks of the file are here. Waited for; a throw ends the fetch. */
  readonly onFile?: (file: CID, blocks: CID[]) => void | Promise<void>
  readonly onProgress?: (progress: FetchProgress) => void
  /** A peer sent something wrong (BAD_BLOCK, PEER_FAILED), or nothing for too long (TIMEOUT). */
  readonly onPeerFailed?: (peer: PeerId, error: unknown) => void
  /** A peer from which no block comes for this long is taken for stalled; default 15 s. */
  readonly stallMs?: number
  /** Wait before a peer that failed is asked again, doubled each time; default 500 ms. */
  readonly retryMs?: number
}

export interface FetchResult extends FetchProgress {
  /** Files of which no peer asked has some block. */
  readonly missing: CID[]
  /** Files whose blocks are not those of a file of the stated size: no peer can help. */
  readonly invalid: CID[]
}

/** Bytes asked for and not yet here: of one batch, and of all. */
const BATCH_BYTES = 4 << 20
const BATCH_COUNT = 256
const ASKED_BYTES_MAX = 32 << 20
/** Batches asked of one peer at once, so that it never waits for us. */
const BATCHES_PER_PEER = 2
const WRITES_AT_ONCE = 8
/** Failures in a row, without a block between, after which a peer is left alone. */
const FAILURES_MAX = 3
/** Files taken up before the blocks of earlier ones are here. */
const QUEUE_MAX = 1024
const LOOKUPS_AT_ONCE = 16

interface PeerState {
  batches: number
  failures: number
  retryAtMs: number
  givenUp: boolean
}

/**
 * Gets every block of the files that is not here yet. Blocks already here are not asked for, so a
 * fetch that was stopped goes on where it was. Peers that fail do not fail the fetch: see
 * `missing`. Leaves that are here are not read; `FileStore.walk` does that.
 * Throws CANCELLED, DISK.
 */
export async function fetchFiles(
  wanted: AsyncIterable<WantedFile> | Iterable<WantedFile>,
  needs: FetchNeeds,
  options: FetchOptions = {},
): Promise<FetchResult> {
  throwIfAborted(options.signal)
  return new Fetch(needs, options).run(wanted)
}

class Fetch {
  readonly #needs: FetchNeeds
  readonly #options: FetchOptions
  readonly #work: FetchWork
  readonly #peers = new Map<PeerId, PeerState>()
  readonly #running = new Set<Promise<void>>()
  readonly #stop = new AbortController()
  readonly #done = Promise.withResolvers<void>()
  readonly #missing: CID[] = []
  readonly #invalid: CID[] = []
  #progress = { files: 0, blocks: 0, bytes: 0 }
  #askedBytes = 0
  #fed = false
  #scheduled = false
  #wakeFeeder: () => void = () => undefined

  constructor(needs: FetchNeeds, options: FetchOptions) {
    this.#needs = needs
    this.#options = options
    this.#work = new FetchWork({
      blocks: needs.blocks,
      onFile: (file, state, blocks) => this.#fileDone(file, state, blocks),
      onQueued: () => this.#schedule(),
    })
  }

  async run(wanted: AsyncIterable<WantedFile> | Iterable<WantedFile>): Promise<FetchResult> {
    const { signal } = this.#options
    const cancel = () => {
      try {
        throwIfAborted(signal)
      } catch (error) {
        this.#done.reject(error)
      }
    }
    signal?.addEventListener('abort', cancel, { once: true })
    try {
      this.#guard(this.#feed(wanted))
      await this.#done.promise
    } finally {
      signal?.removeEventListener('abort', cancel)
      this.#stop.abort()
      this.#wakeFeeder()
      await Promise.allSettled(this.#running)
    }
    return { ...this.#progress, missing: this.#missing, invalid: this.#invalid }
  }

  /** What fails here is not a peer's fault and ends the fetch. */
  #guard(work: Promise<void>): void {
    work.catch((error) => this.#done.reject(error))
  }

  async #feed(wanted: AsyncIterable<WantedFile> | Iterable<WantedFile>): Promise<void> {
    const lookups = new Set<Promise<void>>()
    for await (const file of wanted) {
      while (this.#work.queued >= QUEUE_MAX && !this.#stop.signal.aborted) {
        await new Promise<void>((resolve) => (this.#wakeFeeder = resolve))
      }
      if (this.#stop.signal.aborted) return
      const lookup = this.#work.begin(file)
      lookups.add(lookup)
      const done = () => lookups.delete(lookup)
      lookup.then(done, done)
      if (lookups.size >= LOOKUPS_AT_ONCE) await Promise.race(lookups)
    }
    await Promise.all(lookups)
    this.#fed = true
    this.#schedule()
  }

  async #fileDone(file: CID, state: 'good' | 'missing' | 'invalid', blocks: CID[]): Promise<void> {
    if (state === 'missing') this.#missing.push(file)
    else if (state === 'invalid') this.#invalid.push(file)
    else {
      await this.#options.onFile?.(file, blocks)
      this.#progress = { ...this.#progress, files: this.#progress.files + 1 }
      this.#options.onProgress?.(this.#progress)
    }
    this.#schedule()
  }

  /** Soon, so that what is queued in one go makes one batch. */
  #schedule(): void {
    if (this.#scheduled || this.#stop.signal.aborted) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      if (!this.#stop.signal.aborted) this.#guard(this.#handOut())
    })
  }

  /** Gives work to every peer that is free, and ends the fetch when there is none left. */
  async #handOut(): Promise<void> {
    const live = this.#needs.sources().filter(({ peer }) => !this.#peer(peer).givenUp)
    await this.#work.giveUp((item) => live.every(({ peer }) => item.absentAt.has(peer)))
    const now = this.#needs.clock.nowMs()
    for (const source of live) {
      const state = this.#peer(source.peer)
      while (state.batches < BATCHES_PER_PEER && state.retryAtMs <= now) {
        const room = ASKED_BYTES_MAX - this.#askedBytes
        if (room <= 0) break
        const bounds = { bytes: Math.min(BATCH_BYTES, room), count: BATCH_COUNT }
        const items = this.#work.take(source.peer, bounds)
        if (items.length === 0) break
        this.#start(source, state, items)
      }
    }
    if (this.#work.queued < QUEUE_MAX) this.#wakeFeeder()
    if (this.#fed && this.#work.unsettled === 0) this.#done.resolve()
  }

  #peer(peer: PeerId): PeerState {
    let state = this.#peers.get(peer)
    if (state === undefined) {
      state = { batches: 0, failures: 0, retryAtMs: 0, givenUp: false }
      this.#peers.set(peer, state)
    }
    return state
  }

  #start(source: BlockSource, state: PeerState, items: WorkItem[]): void {
    const askedBytes = items.reduce((sum, item) => sum + item.costBytes, 0)
    this.#askedBytes += askedBytes
    state.batches += 1
    const batch = this.#runBatch(source, state, items).finally(() => {
      this.#askedBytes -= askedBytes
      state.batches -= 1
      this.#running.delete(batch)
      this.#schedule()
    })
    this.#running.add(batch)
    this.#guard(batch)
  }

  /** Throws only what is not the peer's fault. */
  async #runBatch(source: BlockSource, state: PeerState, items: WorkItem[]): Promise<void> {
    const left = new Map(items.map((item) => [item.key, item]))
    const writes = new Set<Promise<void>>()
    const write = async (item: WorkItem, bytes: Uint8Array) => {
      await this.#work.store(item, bytes)
      const { files, blocks, bytes: sum } = this.#progress
      this.#progress = { files, blocks: blocks + 1, bytes: sum + bytes.length }
      this.#options.onProgress?.(this.#progress)
    }
    try {
      for await (const { cid, bytes } of this.#answers(source, items)) {
        const item = left.get(blockKey(cid))
        if (item === undefined) throw new GonkError('PEER_FAILED', `sent ${cid}, not asked for`)
        left.delete(item.key)
        if (bytes === undefined) {
          item.absentAt.add(source.peer)
          this.#work.giveBack([item])
          continue
        }
        state.failures = 0
        const writing = write(item, bytes)
        writes.add(writing)
        const done = () => writes.delete(writing)
        writing.then(done, done)
        this.#guard(writing)
        if (writes.size >= WRITES_AT_ONCE) await Promise.race(writes).catch(() => undefined)
      }
      if (left.size > 0) throw new GonkError('PEER_FAILED', 'ended before all was answered')
    } catch (error) {
      if (!this.#stop.signal.aborted && left.size > 0) this.#peerFailed(source.peer, state, error)
    }
    this.#work.giveBack(left.values())
    await Promise.allSettled(writes)
  }

  /** The peer's answers; throws TIMEOUT when none comes for too long, whatever the peer does. */
  async *#answers(source: BlockSource, items: WorkItem[]) {
    const { stallMs = 15_000 } = this.#options
    const { clock } = this.#needs
    const ended = new AbortController()
    const signal = AbortSignal.any([ended.signal, this.#stop.signal])
    let heardAtMs = clock.nowMs()
    const stalled = (async () => {
      for (let waitMs = stallMs; waitMs > 0; waitMs = heardAtMs + stallMs - clock.nowMs()) {
        await clock.sleep(waitMs, { signal })
        signal.throwIfAborted()
      }
      throw new GonkError('TIMEOUT', `no block for ${stallMs} ms`)
    })()
    stalled.catch(() => undefined)
    const cids = items.map(({ cid }) => cid)
    const answers = source.blocks(cids, { signal })[Symbol.asyncIterator]()
    try {
      for (;;) {
        const next = await Promise.race([answers.next(), stalled])
        if (next.done === true) return
        yield next.value
        heardAtMs = clock.nowMs()
      }
    } finally {
      ended.abort()
      // Not waited for: a stalled peer would hold us here.
      answers.return?.().catch(() => undefined)
    }
  }

  #peerFailed(peer: PeerId, state: PeerState, error: unknown): void {
    this.#options.onPeerFailed?.(peer, error)
    const { clock } = this.#needs
    // Two batches that end together are one failure.
    if (state.retryAtMs <= clock.nowMs()) state.failures += 1
    const isLiar = error instanceof GonkError && error.code === 'BAD_BLOCK'
    state.givenUp = isLiar || state.failures >= FAILURES_MAX
    if (state.givenUp) return
    const waitMs = (this.#options.retryMs ?? 500) * 2 ** (state.failures - 1)
    state.retryAtMs = clock.nowMs() + waitMs
    const wake = () => this.#schedule()
    clock.sleep(waitMs, { signal: this.#stop.signal }).then(wake, wake)
  }
}
