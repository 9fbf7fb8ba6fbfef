// Keeps the files that datasets name: fetches what is accepted and not here, and, for owners, what
// waits for their review. Remembers which files are complete, so that nobody has to look again.
import { CID } from 'multiformats/cid'
import { blockKey, isRaw, linksOf } from '../files/dag.ts'
import { type BlockSource, fetchFiles } from '../files/fetcher.ts'
import { GonkError } from '../core/errors.ts'
import { type DatasetId, textOfEventId } from '../core/ids.ts'
import type { HeldFiles } from '../log/held-files.ts'
import type { AbortOptions, Clock, FileStore, Logger, Network, PeerId } from '../ports.ts'
import { Gate } from './gate.ts'
import { prefetch, type PrefetchNeeds } from './prefetch.ts'
import type { Replica } from './replica.ts'

export interface KeeperNeeds {
  readonly files: FileStore
  readonly held: HeldFiles
  readonly network: Network
  readonly clock: Clock
  readonly logger: Logger
  /**
   * Tells of a file whether a dataset or a proposal of this node needs it.
   * @default all are needed, and none that was fetched ahead is removed
   */
  readonly neededFiles?: PrefetchNeeds['neededFiles']
}

export interface KeeperOptions {
  /** Undecided content of others that is fetched ahead for an owner. Oldest goes first. @default 10 GiB */
  readonly prefetchBytesMax: number
}

export interface WantedContent {
  readonly cid: CID
  readonly sizeBytes: number
}

export interface BringOptions extends AbortOptions {
  /** Peers to ask beside those known to share the dataset. */
  readonly peers?: readonly PeerId[]
  readonly onProgress?: (progress: {
    what: string
    done: number
    total: number
    bytes: number
  }) => void
}

const FILES_PER_ROUND = 1_000
/**
 * A peer passes news on before it has the files of it, and may lack them for long. So it is asked again,
 * with pauses that double until something comes.
 */
const RETRY_MIN_MS = 1_000
const RETRY_MAX_MS = 10 * 60_000

/** What goes on in the background for one dataset. */
interface Keeping {
  prefetch: boolean
  /** Something may have changed since the last look. */
  again: boolean
  /** Ends the pause before the next look. */
  wake: () => void
  readonly stop: AbortController
  ended?: Promise<void>
}

export class FileKeeper {
  /** `shared` while files come in; `exclusive` for the collector. */
  readonly gate: Gate
  readonly #needs: KeeperNeeds
  readonly #options: KeeperOptions
  readonly #running = new Map<DatasetId, Keeping>()
  readonly #stop = new AbortController()
  #tasks = new Set<Promise<void>>()

  constructor(needs: KeeperNeeds, options: KeeperOptions) {
    this.gate = new Gate(needs.clock)
    this.#needs = needs
    this.#options = options
  }

  /** Remembers files whose blocks are all stored. */
  async hold(files: readonly CID[]): Promise<void> {
    const { held } = this.#needs
    const isHeld = await held.areHeld(files.map((file) => file.bytes))
    const writes = []
    for (const [i, file] of files.entries()) {
      if (isHeld[i] === true) continue
      const blocks = isRaw(file) ? [] : await this.#innerBlocks(file)
      writes.push(...held.holdOf(file.bytes, blocks))
    }
    await held.write(writes)
  }

  /** CIDs below a file's root. Reads inner nodes only, never leaves. */
  async #innerBlocks(file: CID): Promise<Uint8Array[]> {
    const seen = new Set<string>()
    const blocks: Uint8Array[] = []
    const open = [file]
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      const bytes = await this.#needs.files.blocks.get(node)
      if (bytes === undefined) {
        throw new GonkError('NOT_HERE', `block ${node.toString()} of ${file.toString()} is missing`)
      }
      for (const link of linksOf(node, bytes)) {
        if (seen.has(blockKey(link))) continue
        seen.add(blockKey(link))
        blocks.push(link.bytes)
        if (!isRaw(link)) open.push(link)
      }
    }
    return blocks
  }

  /** Forgets that a file is kept; its blocks go at the next collection unless others need them. */
  async release(file: CID): Promise<void> {
    const blocks = isRaw(file) ? [] : await this.#innerBlocks(file).catch(() => [])
    await this.#needs.held.release(file.bytes, blocks)
  }

  /**
   * Gets every block of the files here, from this node's store and from peers. Every block is read
   * and checked against its CID: what was damaged on disk is fetched again. Call inside `gate.shared`,
   * and stay there until something keeps the files.
   * @returns the files that could not be had.
   */
  async bringHere(
    dataset: DatasetId,
    wanted: readonly WantedContent[],
    options: BringOptions = {},
  ): Promise<CID[]> {
    const lacking: WantedContent[] = []
    for (const content of wanted) if (!(await this.#isWhole(content.cid))) lacking.push(content)
    const isHeld = await this.#needs.held.areHeld(wanted.map(({ cid }) => cid.bytes))
    const whole = wanted.filter((content, i) => isHeld[i] !== true && !lacking.includes(content))
    await this.hold(whole.map(({ cid }) => cid))
    if (lacking.length === 0) return []
    const result = await this.#fetch(dataset, lacking, options)
    return [...result.missing, ...result.invalid]
  }

  async #isWhole(file: CID): Promise<boolean> {
    for await (const { bytes } of this.#needs.files.walk(file))
      if (bytes === undefined) return false
    return true
  }

  #fetch(
    dataset: DatasetId,
    wanted: Iterable<WantedContent> | AsyncIterable<WantedContent>,
    options: BringOptions,
    onFile: (file: CID) => Promise<void> = async () => {},
  ) {
    const { files, held, network, clock, logger } = this.#needs
    const sourceOf = (peer: PeerId): BlockSource => ({
      peer,
      blocks: (cids, more) => network.blocks(peer, dataset, cids, more),
    })
    const sources = () => {
      const connected = new Set(network.peers().map(({ peerId }) => peerId))
      const extra = (options.peers ?? []).filter((peer) => connected.has(peer))
      return [...new Set([...network.peersOf(dataset), ...extra])].map(sourceOf)
    }
    return fetchFiles(
      wanted,
      { blocks: files.blocks, sources, clock },
      {
        signal: options.signal,
        onFile: async (file, blocks) => {
          const inner = blocks.filter((block) => !block.equals(file)).map((block) => block.bytes)
          await held.write(held.holdOf(file.bytes, inner))
          await onFile(file)
        },
        onProgress: ({ files, bytes }) =>
          options.onProgress?.({ what: 'fetching files', done: files, total: 0, bytes }),
        onPeerFailed: (peer, error) => {
          const code = error instanceof GonkError ? error.code : 'PEER_FAILED'
          // The network has logged that, and holds it against the peer.
          if (code === 'BAD_BLOCK') return
          const fields = { peer, dataset: textOfEventId(dataset), code, reason: String(error) }
          logger.warn(fields, 'peer failed to send blocks')
        },
      },
    )
  }

  /**
   * Fetches accepted files that are not here, until none is left or no peer has them. What was fetched
   * is held, so that the collector may come in between.
   * @returns how many are still lacking.
   */
  async fetchLacking(replica: Replica, options: BringOptions = {}): Promise<number> {
    const sum = { files: 0, bytes: 0, lacking: 0 }
    let after: Uint8Array | undefined
    await this.gate.shared(() => this.#dropHeld(replica))
    do {
      after = await this.gate.shared(() => this.#fetchRound(replica, after, sum, options))
    } while (after !== undefined)
    return sum.lacking
  }

  /**
   * Fetches until nothing more is lacking, or somebody waits for the gate.
   * @param sum of the rounds before; this one is added. @returns where the next round begins.
   */
  async #fetchRound(
    { id, log }: Replica,
    after: Uint8Array | undefined,
    sum: { files: number; bytes: number; lacking: number },
    { onProgress, ...options }: BringOptions,
  ): Promise<Uint8Array | undefined> {
    const { gate } = this
    let last: Uint8Array | undefined
    async function* wanted(): AsyncIterable<WantedContent> {
      for await (const { content, sizeBytes } of log.contents.lacking(after)) {
        // At least one, so that rounds come to an end however often somebody waits.
        if (last !== undefined && gate.isWanted) return
        last = content
        yield { cid: CID.decode(content), sizeBytes }
      }
      last = undefined
    }
    const before = { ...sum }
    const result = await this.#fetch(
      id,
      wanted(),
      {
        ...options,
        onProgress: ({ done, bytes, ...more }) =>
          onProgress?.({ ...more, done: before.files + done, bytes: before.bytes + bytes }),
      },
      (file) => log.commit([log.contents.setLacking(file.bytes, undefined)]),
    )
    sum.files += result.files
    sum.bytes += result.bytes
    sum.lacking += result.missing.length + result.invalid.length
    return last
  }

  /** Content that came by another way is lacking no more. */
  async #dropHeld({ log }: Replica): Promise<void> {
    let contents: Uint8Array[] = []
    const drop = async () => {
      const isHeld = await this.#needs.held.areHeld(contents)
      const here = contents.filter((_, i) => isHeld[i] === true)
      await log.commit(here.map((content) => log.contents.setLacking(content, undefined)))
      contents = []
    }
    for await (const { content } of log.contents.lacking()) {
      contents.push(content)
      if (contents.length === FILES_PER_ROUND) await drop()
    }
    await drop()
  }

  /** Sees to it, in the background, that a dataset's files come here. Cheap when nothing is lacking. */
  poke(replica: Replica, prefetch: boolean): void {
    const running = this.#running.get(replica.id)
    if (running) {
      running.prefetch = prefetch
      running.again = true
      running.wake()
      return
    }
    const stop = new AbortController()
    const keeping: Keeping = { prefetch, again: false, wake: () => {}, stop }
    this.#running.set(replica.id, keeping)
    const task = this.#keep(replica, keeping).finally(() => this.#tasks.delete(task))
    keeping.ended = task
    this.#tasks.add(task)
  }

  /** Ends what goes on in the background for a dataset that is forgotten. */
  async drop(dataset: DatasetId): Promise<void> {
    const keeping = this.#running.get(dataset)
    keeping?.stop.abort()
    await keeping?.ended
  }

  /** Until nothing is lacking, or nobody is there to ask: then the next peer pokes. */
  async #keep(replica: Replica, keeping: Keeping): Promise<void> {
    const { clock, network, logger } = this.#needs
    const signal = AbortSignal.any([this.#stop.signal, keeping.stop.signal])
    let lackingBefore = Infinity
    let pauseMs = RETRY_MIN_MS
    try {
      while (!signal.aborted) {
        keeping.again = false
        const lacking = await this.#fetchIfLacking(replica, signal)
        if (keeping.prefetch) await this.#prefetch(replica, signal)
        if (keeping.again) continue
        if (lacking === 0 || network.peersOf(replica.id).length === 0) return
        pauseMs = lacking < lackingBefore ? RETRY_MIN_MS : Math.min(RETRY_MAX_MS, pauseMs * 2)
        lackingBefore = lacking
        const woken = new AbortController()
        keeping.wake = () => woken.abort()
        const wake = AbortSignal.any([woken.signal, signal])
        await clock.sleep(pauseMs, { signal: wake }).catch(() => {})
      }
    } catch (error) {
      if (signal.aborted) return
      const fields = { dataset: textOfEventId(replica.id), reason: String(error) }
      logger.warn(fields, 'files could not be fetched')
    } finally {
      // Here and not later, so that no poke is lost in between.
      this.#running.delete(replica.id)
    }
  }

  async #fetchIfLacking(replica: Replica, signal: AbortSignal): Promise<number> {
    for await (const _ of replica.log.contents.lacking()) {
      return this.fetchLacking(replica, { signal })
    }
    return 0
  }

  #prefetch(replica: Replica, signal: AbortSignal): Promise<void> {
    const { files, held, network, neededFiles = async () => async () => true } = this.#needs
    const needs = {
      files,
      held,
      gate: this.gate,
      hasPeers: (dataset: DatasetId) => network.peersOf(dataset).length > 0,
      fetch: (dataset: DatasetId, wanted: readonly WantedContent[], signal: AbortSignal) =>
        this.#fetch(dataset, wanted, { signal }),
      neededFiles,
    }
    return prefetch(needs, replica, this.#options.prefetchBytesMax, signal)
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await Promise.allSettled([...this.#tasks])
  }
}
