// What is held against peers: provable faults, which lower the gossip score and end in a ban, and the
// token buckets that slow a peer down without holding anything against it.
import type { Logger, PeerId } from '../ports.ts'
import type { ErrorCode } from '../core/errors.ts'
import { TokenBucket } from './token-bucket.ts'

export interface ConductOptions {
  /** A peer with more demerits is banned. A fault is 1, a block that is not its CID 2. */
  readonly demeritsMax: number
  /** How long a ban lasts. */
  readonly banMs: number
  /** Requests, and blocks that are not here, a second; a burst is four times that. Over it: waiting. */
  readonly requestsPerSecond: number
  /** Bytes of requests a second; a burst is four times that. Over it: waiting. */
  readonly requestBytesPerSecond: number
  /** Bytes of gossip a second; a burst is four times that. Over it: dropped. */
  readonly gossipBytesPerSecond: number
  /** The same of what gossip comes in; a burst is sixteen times that. Over it: read later. */
  readonly gossipReadPerSecond: number
}

export const conductDefaults: ConductOptions = {
  demeritsMax: 4,
  banMs: 10 * 60_000,
  requestsPerSecond: 1_000,
  requestBytesPerSecond: 8 * 1024 * 1024,
  gossipBytesPerSecond: 2 * 1024 * 1024,
  gossipReadPerSecond: 4 * 1024 * 1024,
}

/** Gossip of peers with less is dropped unread. */
export const GRAYLIST = -80
/** A demerit is forgotten by half in this time. */
const HALF_LIFE_MS = 5 * 60_000
/** The same fault of the same peer is logged once in this time. */
const LOG_EVERY_MS = 10_000
/** Peers remembered; the one longest unseen is forgotten first. */
const PEERS_MAX = 4_096
const BURST_SECONDS = 4
const READ_BURST_SECONDS = 16
/** A message that was read in vain counts as so many bytes: about 128 of them a second. */
const IN_VAIN_BYTES = 32 * 1024

interface PeerRecord {
  demerits: number
  demeritsAtMs: number
  bannedUntilMs: number
  readonly logged: Map<string, number>
  readonly requests: TokenBucket
  readonly requestBytes: TokenBucket
  readonly gossipBytes: TokenBucket
  readonly gossipRead: TokenBucket
}

/** Faults, bans and budgets by peer; they outlive the connection, so that reconnecting clears nothing. */
export class PeerConduct {
  readonly #log: Logger
  readonly #options: ConductOptions
  readonly #onBan: (peer: PeerId) => void
  readonly #peers = new Map<PeerId, PeerRecord>()

  constructor(needs: { log: Logger; onBan: (peer: PeerId) => void }, options: ConductOptions) {
    this.#log = needs.log
    this.#onBan = needs.onBan
    this.#options = options
  }

  /** Something only a faulty or hostile peer does: one log line, demerits, and a ban at the limit. */
  fault(peer: PeerId, code: ErrorCode, what: string, weight = 1): void {
    this.note(peer, code, what)
    const record = this.#recordOf(peer)
    record.demerits = this.#demeritsOf(record) + weight
    record.demeritsAtMs = Date.now()
    if (record.demerits > this.#options.demeritsMax) this.ban(peer, what)
  }

  /** One log line, at most one in ten seconds for the same peer and code; nothing is held against it. */
  note(peer: PeerId, code: ErrorCode, what: string): void {
    const { logged } = this.#recordOf(peer)
    const nowMs = Date.now()
    if (nowMs - (logged.get(code) ?? -Infinity) < LOG_EVERY_MS) return
    logged.set(code, nowMs)
    this.#log.warn({ peer, code, what }, 'peer failed')
  }

  ban(peer: PeerId, reason: string): void {
    const record = this.#recordOf(peer)
    record.demerits = 0
    record.bannedUntilMs = Date.now() + this.#options.banMs
    this.#log.warn({ peer, reason, seconds: this.#options.banMs / 1000 }, 'peer banned')
    this.#onBan(peer)
  }

  lift(peer: PeerId): void {
    const record = this.#peers.get(peer)
    if (record !== undefined) record.bannedUntilMs = 0
  }

  isBanned(peer: PeerId): boolean {
    return (this.#peers.get(peer)?.bannedUntilMs ?? 0) > Date.now()
  }

  /** Its gossip is not heard. gossipsub notices that, too, a second later. */
  isIgnored(peer: PeerId): boolean {
    return this.isBanned(peer) || this.score(peer) < GRAYLIST
  }

  /** For gossipsub: one fault leaves the mesh (-10), three are ignored altogether (below -80). */
  score(peer: PeerId): number {
    const record = this.#peers.get(peer)
    if (record === undefined) return 0
    const demerits = this.#demeritsOf(record)
    return demerits < 0.5 ? 0 : -10 * demerits ** 2
  }

  /** How long the peer's request must wait, in ms, so that its rate holds. */
  requestDelayMs(peer: PeerId, bytes: number): number {
    const record = this.#recordOf(peer)
    return Math.max(record.requests.spend(1), record.requestBytes.spend(bytes))
  }

  /** For how long not to read the peer's gossip after so many bytes of it, in ms. */
  gossipDelayMs(peer: PeerId, bytes: number): number {
    return this.#recordOf(peer).gossipRead.spend(bytes)
  }

  /** One of more messages than this node wants of the peer: what comes next is read later. */
  gossipInVain(peer: PeerId): void {
    this.#recordOf(peer).gossipRead.spend(IN_VAIN_BYTES)
  }

  /** False: more gossip than a peer's share; drop it. */
  admitsGossip(peer: PeerId, bytes: number): boolean {
    return this.#recordOf(peer).gossipBytes.take(bytes)
  }

  #demeritsOf(record: PeerRecord): number {
    return record.demerits * 0.5 ** ((Date.now() - record.demeritsAtMs) / HALF_LIFE_MS)
  }

  #recordOf(peer: PeerId): PeerRecord {
    let record = this.#peers.get(peer)
    if (record === undefined) {
      record = this.#newRecord()
      if (this.#peers.size >= PEERS_MAX) this.#forgetOne()
    } else {
      this.#peers.delete(peer)
    }
    this.#peers.set(peer, record)
    return record
  }

  /** Bans are kept over everything else, unless there is nothing else. */
  #forgetOne(): void {
    const nowMs = Date.now()
    let victim: PeerId | undefined
    for (const [peer, record] of this.#peers) {
      victim ??= peer
      if (record.bannedUntilMs <= nowMs) {
        victim = peer
        break
      }
    }
    if (victim !== undefined) this.#peers.delete(victim)
  }

  #newRecord(): PeerRecord {
    const { requestsPerSecond, requestBytesPerSecond } = this.#options
    const { gossipBytesPerSecond, gossipReadPerSecond: readPerSecond } = this.#options
    const bucket = (perSecond: number): TokenBucket =>
      new TokenBucket(perSecond, perSecond * BURST_SECONDS)
    return {
      demerits: 0,
      demeritsAtMs: 0,
      bannedUntilMs: 0,
      logged: new Map(),
      requests: bucket(requestsPerSecond),
      requestBytes: bucket(requestBytesPerSecond),
      gossipBytes: bucket(gossipBytesPerSecond),
      gossipRead: new TokenBucket(readPerSecond, readPerSecond * READ_BURST_SECONDS),
    }
  }
}
