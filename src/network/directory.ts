// The private DHT as a directory of who has which dataset: announcing in the background, and looking up.
import type { PeerId as Libp2pPeerId, PeerInfo } from '@libp2p/interface'
import { cidOfEventId, type DatasetId } from '../core/ids.ts'
import type { Logger } from '../ports.ts'
import type { Host } from './host.ts'

export interface DirectoryOptions {
  /** Pause between a change of the routing table and announcing again, and after a failure. */
  readonly settleMs: number
  readonly provideTimeoutMs: number
  readonly findTimeoutMs: number
  /** Providers dialled in one search. */
  readonly foundMax: number
}

export const directoryDefaults: DirectoryOptions = {
  settleMs: 2_000,
  provideTimeoutMs: 30_000,
  findTimeoutMs: 10_000,
  foundMax: 16,
}

/** The size of a Kademlia bucket: an announcement that reached so many peers need not be repeated. */
const REACH_COUNT = 20

export class Directory {
  readonly #host: Host
  readonly #log: Logger
  readonly #options: DirectoryOptions
  /** By dataset: the peers there were in the routing table when it was last announced. */
  readonly #announced = new Map<DatasetId, number>()
  #timer: NodeJS.Timeout | undefined
  #running = false
  #again = false
  readonly #stop = new AbortController()

  constructor(needs: { host: Host; log: Logger }, options: DirectoryOptions) {
    this.#host = needs.host
    this.#log = needs.log
    this.#options = options
  }

  announce(dataset: DatasetId): void {
    if (!this.#announced.has(dataset)) this.#announced.set(dataset, -1)
    this.#soon(0)
  }

  /** Records already given expire by themselves. */
  withdraw(dataset: DatasetId): void {
    if (!this.#announced.delete(dataset)) return
    const signal = AbortSignal.timeout(this.#options.provideTimeoutMs)
    this.#host.services.dht
      .cancelReprovide(cidOfEventId(dataset), { signal })
      .catch((error: unknown) =>
        this.#log.debug({ dataset, error: String(error) }, 'not withdrawn'),
      )
  }

  /** More peers can be told now than the last time. */
  peersChanged(): void {
    this.#soon(this.#options.settleMs)
  }

  /** Peers that say they have the dataset, with the addresses known for them. Best effort. */
  async *find(dataset: DatasetId, signal?: AbortSignal): AsyncGenerator<PeerInfo> {
    const limit = AbortSignal.timeout(this.#options.findTimeoutMs)
    const signals = [limit, this.#stop.signal, ...(signal === undefined ? [] : [signal])]
    let found = 0
    const { peerId, contentRouting } = this.#host
    try {
      const providers = contentRouting.findProviders(cidOfEventId(dataset), {
        signal: AbortSignal.any(signals),
      })
      for await (const provider of providers) {
        if (isSame(provider.id, peerId)) continue
        yield provider
        if (++found >= this.#options.foundMax) return
      }
    } catch (error) {
      this.#log.debug({ dataset, found, error: String(error) }, 'search ended')
    }
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#stop.abort(new Error('stopped'))
  }

  #soon(ms: number): void {
    if (this.#running) this.#again = true
    if (this.#timer !== undefined || this.#running || this.#stop.signal.aborted) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      void this.#announceAll()
    }, ms)
    this.#timer.unref()
  }

  /** One at a time: announcing is never urgent. */
  async #announceAll(): Promise<void> {
    this.#running = true
    this.#again = false
    let failed = false
    for (const [dataset, reached] of this.#announced) {
      if (this.#stop.signal.aborted) break
      const peers = this.#host.getPeers().length
      if (peers <= reached || reached >= REACH_COUNT) continue
      if (await this.#provide(dataset)) {
        if (this.#announced.has(dataset)) this.#announced.set(dataset, peers)
      } else failed = true
    }
    this.#running = false
    if (failed) this.#soon(this.#options.settleMs * 5)
    else if (this.#again) this.#soon(this.#options.settleMs)
  }

  async #provide(dataset: DatasetId): Promise<boolean> {
    const limit = AbortSignal.timeout(this.#options.provideTimeoutMs)
    try {
      await this.#host.contentRouting.provide(cidOfEventId(dataset), {
        signal: AbortSignal.any([limit, this.#stop.signal]),
      })
      return true
    } catch (error) {
      this.#log.debug({ dataset, error: String(error) }, 'dataset not announced')
      return false
    }
  }
}

function isSame(a: Libp2pPeerId, b: Libp2pPeerId): boolean {
  return a.toString() === b.toString()
}
