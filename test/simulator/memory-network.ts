// The Network port without a network: every node of a test lives in one MemoryWorld, whose seed and
// clock decide the order and the fate of messages. Deterministic: the same seed gives the same run.
import { createHash } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import { GonkError } from '../../src/core/errors.ts'
import type { DatasetId } from '../../src/core/ids.ts'
import type {
  AbortOptions,
  Clock,
  Network,
  NetworkHandlers,
  PeerId,
  PeerInfo,
} from '../../src/ports.ts'

export interface MemoryWorldOptions {
  /** @default 1 */
  readonly seed?: number
  /** Virtual time of latencies and bans. Without it messages arrive as soon as the program is idle. */
  readonly clock?: Clock
  /** One way, in ms of the clock; drawn evenly from the range. @default [1, 5] */
  readonly latencyMs?: readonly [min: number, max: number]
}

/** What crossed between nodes since the world began. */
export interface Traffic {
  requests: number
  requestBytes: number
  responseBytes: number
  blocks: number
  blockBytes: number
  gossip: number
  gossipBytes: number
}

const REQUEST_BYTES_MAX = 1024 * 1024
const RESPONSE_BYTES_MAX = 2 * 1024 * 1024
const GOSSIP_BYTES_MAX = 64 * 1024
const BAN_MS = 10 * 60_000
/** Blocks that share one trip, as a batch of questions does. */
const BLOCKS_PER_TRIP = 32

export class MemoryWorld {
  /** Share of gossip deliveries that get lost, and of requests whose answer does: 0 to 1. */
  gossipLoss = 0
  requestLoss = 0
  readonly traffic: Traffic = {
    requests: 0,
    requestBytes: 0,
    responseBytes: 0,
    blocks: 0,
    blockBytes: 0,
    gossip: 0,
    gossipBytes: 0,
  }
  readonly #nodes = new Map<PeerId, MemoryNetwork>()
  readonly #cuts = new Set<string>()
  readonly #clock: Clock | undefined
  readonly #latencyMs: readonly [number, number]
  #state: number

  constructor({ seed = 1, clock, latencyMs = [1, 5] }: MemoryWorldOptions = {}) {
    this.#state = seed >>> 0
    this.#clock = clock
    this.#latencyMs = latencyMs
  }

  /** A node that is not started; its address is `/memory/NAME`. */
  network(name: string): MemoryNetwork {
    const node = new MemoryNetwork(this, name)
    this.#nodes.set(node.peerId, node)
    return node
  }

  /** Cuts two nodes apart: their connection ends, and none is made until `heal`. */
  partition(a: MemoryNetwork, b: MemoryNetwork): void {
    this.#cuts.add(pairOf(a.peerId, b.peerId))
    this.disconnect(a, b)
  }

  /** Joins two nodes again, or all; the named peers of each are connected again. */
  async heal(a?: MemoryNetwork, b?: MemoryNetwork): Promise<void> {
    if (a === undefined || b === undefined) this.#cuts.clear()
    else this.#cuts.delete(pairOf(a.peerId, b.peerId))
    for (const node of this.#nodes.values()) await node.redial()
  }

  /** Ends a connection; a named peer stays away until `heal` or `connect`. */
  disconnect(a: MemoryNetwork, b: MemoryNetwork): void {
    a.drop(b.peerId)
    b.drop(a.peerId)
  }

  // -------------------------------------------------------------- for the nodes

  nodes(): Iterable<MemoryNetwork> {
    return this.#nodes.values()
  }

  /** A node that runs and is not cut off from `from`. */
  reach(from: PeerId, to: PeerId): MemoryNetwork | undefined {
    const node = this.#nodes.get(to)
    return node?.running === true && !this.#cuts.has(pairOf(from, to)) ? node : undefined
  }

  nowMs(): number {
    return this.#clock?.nowMs() ?? 0
  }

  async travel(): Promise<void> {
    const [min, max] = this.#latencyMs
    const ms = min + this.random() * (max - min)
    if (this.#clock === undefined) await new Promise<void>((resolve) => setImmediate(resolve))
    else await this.#clock.sleep(ms)
  }

  /** mulberry32 */
  random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

function pairOf(a: PeerId, b: PeerId): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}

export class MemoryNetwork implements Network {
  readonly peerId: PeerId
  running = false
  readonly #world: MemoryWorld
  readonly #address: string
  readonly #connections = new Map<PeerId, 'inbound' | 'outbound'>()
  readonly #named = new Set<PeerId>()
  readonly #bans = new Map<PeerId, number>()
  readonly #datasets = new Set<DatasetId>()
  readonly #seen = new Set<string>()
  #handlers: NetworkHandlers | undefined

  constructor(world: MemoryWorld, name: string) {
    this.#world = world
    this.peerId = `memory-${name}`
    this.#address = `/memory/${name}`
  }

  async start(handlers: NetworkHandlers): Promise<void> {
    this.#handlers = handlers
    this.running = true
  }

  async stop(): Promise<void> {
    this.running = false
    for (const peer of [...this.#connections.keys()]) {
      const other = this.#world.reach(this.peerId, peer)
      this.drop(peer)
      other?.drop(this.peerId)
    }
  }

  multiaddrs(): string[] {
    return [this.#address]
  }

  peers(): PeerInfo[] {
    return [...this.#connections].map(([peerId, direction]) => ({
      peerId,
      multiaddrs: [peerId.replace('memory-', '/memory/')],
      direction,
      datasets: [...this.#datasets].filter((dataset) => this.#isSubscribed(peerId, dataset)),
    }))
  }

  isNamed(peer: PeerId): boolean {
    return this.#named.has(peer)
  }

  async connect(multiaddr: string, { signal }: AbortOptions = {}): Promise<PeerId> {
    const [, name] = /^\/memory\/([\w-]+)$/.exec(multiaddr) ?? []
    if (name === undefined) throw new GonkError('BAD_ADDRESS', `not an address: ${multiaddr}`)
    const peer = `memory-${name}`
    this.#bans.delete(peer)
    await this.#world.travel()
    failIfAborted(signal)
    if (!this.#link(peer)) throw new GonkError('NO_PEER', `cannot reach ${multiaddr}`)
    this.#named.add(peer)
    return peer
  }

  join(dataset: DatasetId): void {
    if (this.#datasets.has(dataset)) return
    this.#datasets.add(dataset)
    for (const peer of this.#connections.keys()) {
      if (!this.#isSubscribed(peer, dataset)) continue
      this.#later(peer, (other) => {
        this.#handlers?.peerSeen(peer, dataset)
        other.meet(this.peerId, dataset)
      })
    }
  }

  leave(dataset: DatasetId): void {
    this.#datasets.delete(dataset)
  }

  peersOf(dataset: DatasetId): PeerId[] {
    if (!this.#datasets.has(dataset)) return []
    return [...this.#connections.keys()].filter((peer) => this.#isSubscribed(peer, dataset))
  }

  async discover(dataset: DatasetId, { signal }: AbortOptions = {}): Promise<void> {
    await this.#world.travel()
    failIfAborted(signal)
    for (const node of this.#world.nodes()) {
      if (node !== this && node.hasJoined(dataset)) this.#link(node.peerId)
    }
  }

  async publish(dataset: DatasetId, body: Uint8Array): Promise<void> {
    if (body.length > GOSSIP_BYTES_MAX) {
      throw new GonkError('TOO_LARGE', `a gossip message of ${body.length} bytes`)
    }
    this.#remember(dataset, body)
    this.#spread(dataset, body.slice(), undefined)
  }

  async request(
    peer: PeerId,
    body: Uint8Array,
    { signal }: AbortOptions = {},
  ): Promise<Uint8Array> {
    if (body.length > REQUEST_BYTES_MAX) throw new GonkError('TOO_LARGE', 'a request too large')
    failIfAborted(signal)
    const { traffic } = this.#world
    traffic.requests++
    traffic.requestBytes += body.length
    const answer = await raceAbort(this.#exchange(peer, body.slice(), signal), signal)
    traffic.responseBytes += answer.length
    return answer
  }

  async *blocks(
    peer: PeerId,
    dataset: DatasetId,
    cids: Iterable<CID> | AsyncIterable<CID>,
    { signal }: AbortOptions = {},
  ): AsyncGenerator<{ cid: CID; bytes: Uint8Array | undefined }> {
    const { traffic } = this.#world
    this.#peer(peer)
    let count = 0
    for await (const cid of cids) {
      failIfAborted(signal)
      if (cid.version !== 1 || cid.multihash.code !== 0x12 || cid.code >= 0x80) {
        throw new GonkError('BAD_CID', `${cid} is not a CIDv1 with sha2-256`)
      }
      if (count++ % BLOCKS_PER_TRIP === 0) await raceAbort(this.#world.travel(), signal)
      const bytes = await raceAbort(this.#peer(peer).giveBlock(this.peerId, dataset, cid), signal)
      this.#peer(peer)
      traffic.blocks++
      traffic.blockBytes += bytes?.length ?? 0
      if (bytes !== undefined && !isBlockOf(cid, bytes)) {
        throw new GonkError('BAD_BLOCK', `peer ${peer}: the bytes sent for ${cid} are not its own`)
      }
      yield { cid, bytes }
    }
  }

  ban(peer: PeerId, _reason: string): void {
    this.#bans.set(peer, this.#world.nowMs() + BAN_MS)
    const other = this.#world.reach(this.peerId, peer)
    this.drop(peer)
    other?.drop(this.peerId)
  }

  // -------------------------------------------------------------- between nodes

  hasJoined(dataset: DatasetId): boolean {
    return this.#datasets.has(dataset)
  }

  isConnected(peer: PeerId): boolean {
    return this.#connections.has(peer)
  }

  accepts(peer: PeerId): boolean {
    return this.running && (this.#bans.get(peer) ?? -Infinity) <= this.#world.nowMs()
  }

  accepted(peer: PeerId): void {
    this.#connections.set(peer, 'inbound')
  }

  meet(peer: PeerId, dataset: DatasetId | undefined): void {
    if (!this.running || !this.#connections.has(peer)) return
    if (dataset === undefined || this.#datasets.has(dataset))
      this.#handlers?.peerSeen(peer, dataset)
  }

  drop(peer: PeerId): void {
    if (this.#connections.delete(peer)) this.#handlers?.peerLost(peer)
  }

  async redial(): Promise<void> {
    if (!this.running) return
    for (const peer of this.#named) this.#link(peer)
  }

  async giveBlock(peer: PeerId, dataset: DatasetId, cid: CID): Promise<Uint8Array | undefined> {
    return (await this.#handlers?.block(peer, dataset, cid))?.slice()
  }

  async answer(peer: PeerId, body: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    if (this.#handlers === undefined) throw new Error('not started')
    return this.#handlers.request(peer, body, signal)
  }

  async hear(from: PeerId, dataset: DatasetId, body: Uint8Array): Promise<void> {
    if (!this.#datasets.has(dataset) || !this.#remember(dataset, body)) return
    const verdict = await this.#handlers?.gossip(from, dataset, body)
    if (verdict === 'accept') this.#spread(dataset, body, from)
  }

  // -------------------------------------------------------------- inside

  #link(peer: PeerId): boolean {
    if (this.#connections.has(peer)) return true
    const other = this.#world.reach(this.peerId, peer)
    if (other === undefined || other === this) return false
    if (!this.accepts(peer) || !other.accepts(this.peerId)) return false
    this.#connections.set(peer, 'outbound')
    other.accepted(this.peerId)
    this.#later(peer, () => {
      this.meet(peer, undefined)
      other.meet(this.peerId, undefined)
      for (const dataset of this.#datasets) {
        if (!other.hasJoined(dataset)) continue
        this.meet(peer, dataset)
        other.meet(this.peerId, dataset)
      }
    })
    return true
  }

  #isSubscribed(peer: PeerId, dataset: DatasetId): boolean {
    return this.#world.reach(this.peerId, peer)?.hasJoined(dataset) === true
  }

  /** Runs `then` when a message has travelled, if the connection still stands. */
  #later(peer: PeerId, then: (other: MemoryNetwork) => void): void {
    void this.#world.travel().then(() => {
      const other = this.#world.reach(this.peerId, peer)
      if (other !== undefined && this.running && this.#connections.has(peer)) then(other)
    })
  }

  #peer(peer: PeerId): MemoryNetwork {
    const other = this.#world.reach(this.peerId, peer)
    if (other === undefined || !this.running || !this.#connections.has(peer)) {
      throw new GonkError('PEER_FAILED', `peer ${peer} is not connected`)
    }
    return other
  }

  async #exchange(peer: PeerId, body: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    this.#peer(peer)
    await this.#world.travel()
    let answer: Uint8Array
    try {
      const never = new AbortController().signal
      answer = (await this.#peer(peer).answer(this.peerId, body, signal ?? never)).slice()
    } catch (error) {
      throw new GonkError('PEER_FAILED', `peer ${peer} reset the stream`, { cause: error })
    }
    if (answer.length > RESPONSE_BYTES_MAX) throw new GonkError('PEER_FAILED', 'answer too large')
    await this.#world.travel()
    this.#peer(peer)
    if (this.#world.random() < this.#world.requestLoss) {
      throw new GonkError('TIMEOUT', `peer ${peer} gave no answer`)
    }
    return answer
  }

  #remember(dataset: DatasetId, body: Uint8Array): boolean {
    const id = createHash('sha256').update(dataset).update(body).digest('hex')
    if (this.#seen.has(id)) return false
    this.#seen.add(id)
    return true
  }

  #spread(dataset: DatasetId, body: Uint8Array, from: PeerId | undefined): void {
    const { traffic } = this.#world
    for (const peer of this.peersOf(dataset)) {
      if (peer === from) continue
      traffic.gossip++
      traffic.gossipBytes += body.length
      if (this.#world.random() < this.#world.gossipLoss) continue
      this.#later(peer, (other) => void other.hear(this.peerId, dataset, body.slice()))
    }
  }
}

function isBlockOf(cid: CID, bytes: Uint8Array): boolean {
  return createHash('sha256').update(bytes).digest().equals(cid.multihash.digest)
}

function failIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal)
}

function abortError({ reason }: AbortSignal): GonkError {
  if (reason instanceof GonkError) return reason
  const timedOut = reason instanceof Error && reason.name === 'TimeoutError'
  return new GonkError(timedOut ? 'TIMEOUT' : 'CANCELLED', 'aborted', { cause: reason })
}

async function raceAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  failIfAborted(signal)
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(abortError(signal))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
