// A simulated network between whole processes: messages are late, lost, doubled and overtake each
// other, in each direction differently. Gossip spreads from peer to peer as far as it is accepted.
import { hash } from 'node:crypto'
import { GonkError } from '../../src/core/errors.ts'
import type { DatasetId } from '../../src/core/ids.ts'
import type { Network, NetworkHandlers, PeerId, PeerInfo } from '../../src/ports.ts'
import type { Choices } from '../reference/generator.ts'
import type { Process } from './disk.ts'
import type { Scheduler } from './scheduler.ts'

/** One direction between two peers. */
export interface Link {
  /** Nothing gets through, and nobody is told. */
  isCut: boolean
  /** Time that a message takes, in ms. */
  minMs: number
  spreadMs: number
}

export type Handlers = Pick<NetworkHandlers, 'request' | 'gossip' | 'peerSeen' | 'peerLost'>

export interface NetworkCounts {
  delivered: number
  lost: number
  doubled: number
}

/** Requests to a peer that is not there fail after so long. */
const REFUSED_MS = 1

export class SimulatedNetwork {
  /** In percent. */
  lossPercent = 0
  doublePercent = 0
  readonly counts: NetworkCounts = { delivered: 0, lost: 0, doubled: 0 }
  /** Told what no honest peer does: banning another one, or passing on what is provably wrong. */
  onFault: (what: string) => void = () => {}
  readonly scheduler: Scheduler
  readonly #choices: Choices
  readonly #endpoints = new Map<PeerId, Endpoint>()
  readonly #links = new Map<string, Link>()
  readonly #unlinked = new Set<string>()

  constructor(scheduler: Scheduler, choices: Choices) {
    this.scheduler = scheduler
    this.#choices = choices
  }

  link(from: PeerId, to: PeerId): Link {
    const key = `${from} ${to}`
    let link = this.#links.get(key)
    if (link === undefined) {
      this.#links.set(key, (link = { isCut: false, minMs: 1, spreadMs: 9 }))
    }
    return link
  }

  /** These two never know each other: what one has, the other learns from those between. */
  unlink(a: PeerId, b: PeerId): void {
    this.#unlinked.add(pairOf(a, b))
  }

  links(): Iterable<Link> {
    return this.#links.values()
  }

  areLinked(a: PeerId, b: PeerId): boolean {
    return a !== b && !this.#unlinked.has(pairOf(a, b))
  }

  /** A process comes up: its peers and it see each other. */
  attach(peerId: PeerId, dataset: DatasetId, process: Process, handlers: Handlers): Endpoint {
    const endpoint = new Endpoint(this, peerId, dataset, process, handlers)
    for (const other of this.neighbours(peerId)) {
      this.later(peerId, other.peerId, () => endpoint.met(other.peerId), endpoint)
      this.later(other.peerId, peerId, () => other.met(peerId), other)
    }
    this.#endpoints.set(peerId, endpoint)
    return endpoint
  }

  /** A process is gone. */
  detach(peerId: PeerId): void {
    this.#endpoints.delete(peerId)
    for (const other of this.neighbours(peerId)) {
      this.scheduler.in(REFUSED_MS, () => {
        if (other.process.isAlive && this.endpoint(peerId) === undefined) {
          other.handlers.peerLost(peerId)
        }
      })
    }
  }

  endpoint(peerId: PeerId): Endpoint | undefined {
    return this.#endpoints.get(peerId)
  }

  neighbours(peerId: PeerId): Endpoint[] {
    return [...this.#endpoints.values()].filter((other) => this.areLinked(peerId, other.peerId))
  }

  /** A message on its way, if it gets through; with `twice` perhaps two. */
  send(from: PeerId, to: PeerId, arrive: (there: Endpoint) => void, twice = false): void {
    const link = this.link(from, to)
    if (link.isCut || this.#choices.chance(this.lossPercent)) {
      this.counts.lost++
      return
    }
    const isDouble = twice && this.#choices.chance(this.doublePercent)
    if (isDouble) this.counts.doubled++
    for (let copies = isDouble ? 2 : 1; copies > 0; copies--) {
      this.scheduler.in(link.minMs + this.#share() * link.spreadMs, () => {
        const there = this.#endpoints.get(to)
        if (there === undefined || !there.process.isAlive) return
        this.counts.delivered++
        arrive(there)
      })
    }
  }

  /** Runs `then` when something has travelled, if the process is still there. */
  later(from: PeerId, to: PeerId, then: () => void, { process }: { process: Process }): void {
    const { minMs, spreadMs } = this.link(from, to)
    this.scheduler.in(minMs + this.#share() * spreadMs, () => {
      if (process.isAlive) then()
    })
  }

  #share(): number {
    return this.#choices.below(1_000) / 1_000
  }
}

/** The network as one process sees it. */
export class Endpoint implements Pick<Network, 'request' | 'publish' | 'ban' | 'peers'> {
  readonly peerId: PeerId
  readonly process: Process
  readonly handlers: Handlers
  readonly #network: SimulatedNetwork
  readonly #dataset: DatasetId
  readonly #seen = new Set<string>()
  readonly #banned = new Set<PeerId>()

  constructor(
    network: SimulatedNetwork,
    peerId: PeerId,
    dataset: DatasetId,
    process: Process,
    handlers: Handlers,
  ) {
    this.#network = network
    this.peerId = peerId
    this.#dataset = dataset
    this.process = process
    this.handlers = handlers
  }

  met(peer: PeerId): void {
    if (this.#network.endpoint(peer) && !this.#banned.has(peer)) {
      this.handlers.peerSeen(peer, this.#dataset)
    }
  }

  peers(): PeerInfo[] {
    const others = this.#network.neighbours(this.peerId)
    return others
      .filter(({ peerId }) => !this.#banned.has(peerId))
      .map(({ peerId }) => ({
        peerId,
        multiaddrs: [],
        direction: 'outbound' as const,
        datasets: [this.#dataset],
      }))
  }

  async publish(_dataset: DatasetId, body: Uint8Array): Promise<void> {
    this.#spread(hash('sha256', body), body, undefined)
  }

  ban(peer: PeerId, reason: string): void {
    this.#banned.add(peer)
    this.handlers.peerLost(peer)
    if (this.#network.endpoint(peer)) {
      this.#network.onFault(`${this.peerId} banned ${peer}: ${reason}`)
    }
  }

  request(peer: PeerId, body: Uint8Array, { signal }: { signal?: AbortSignal } = {}) {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
    const failed = (why: string) => reject(new GonkError('PEER_FAILED', `peer ${peer} ${why}`))
    if (signal?.aborted === true) failed('was not asked')
    signal?.addEventListener('abort', () => failed('was not waited for'), { once: true })
    if (this.#network.endpoint(peer) === undefined || this.#banned.has(peer)) {
      this.#network.later(this.peerId, peer, () => failed('is not connected'), this)
      return promise
    }
    this.#network.send(this.peerId, peer, (there) => {
      const reset = () => this.#network.later(peer, this.peerId, () => failed('reset'), this)
      there.handlers.request(this.peerId, body, new AbortController().signal).then((answer) => {
        if (!there.process.isAlive) return
        this.#network.send(peer, this.peerId, (here) => {
          if (here === this) resolve(answer)
        })
      }, reset)
    })
    return promise
  }

  /** Gossip arrives. */
  hear(from: PeerId, id: string, body: Uint8Array): void {
    if (this.#seen.has(id) || this.#banned.has(from)) return
    this.#seen.add(id)
    const judged = this.handlers.gossip(from, this.#dataset, body).catch(() => 'ignore' as const)
    void judged.then((verdict) => {
      if (verdict === 'accept') this.#spread(id, body, from)
      const isHonest = this.#network.endpoint(from) !== undefined
      if (verdict === 'reject' && isHonest) {
        this.#network.onFault(`${this.peerId} rejects what ${from} passed on`)
      }
    })
  }

  #spread(id: string, body: Uint8Array, from: PeerId | undefined): void {
    this.#seen.add(id)
    for (const { peerId } of this.#network.neighbours(this.peerId)) {
      if (peerId === from || this.#banned.has(peerId)) continue
      this.#network.send(this.peerId, peerId, (there) => there.hear(this.peerId, id, body), true)
    }
  }
}

function pairOf(a: PeerId, b: PeerId): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}
