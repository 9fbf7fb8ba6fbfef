// Keeps one dataset in step with its peers: runs sessions when the schedule says so, tells peers
// what is held here, and takes in gossip. Delivery rests on the sessions; gossip makes it fast.
import { GonkError, isRejection } from '../core/errors.ts'
import { type DatasetId, type EventId, type Sha256 } from '../core/ids.ts'
import type { Clock, GossipVerdict, Logger, Network, PeerId, Random } from '../ports.ts'
import { Canary, type DerivedState, type RootAlarm } from './canary.ts'
import { decodeGossip, encodeGossip } from './gossip-messages.ts'
import { isCrowded, verdictOf } from './gossip-verdict.ts'
import { fetchEvents } from './sync-client.ts'
import type { Roots } from './sync-messages.ts'
import { outcomeOf, type ScheduleOptions, scheduleDefaults, SyncSchedule } from './sync-schedule.ts'
import type { SyncReason } from './sync-schedule.ts'
import { keyOfRoots, rootsOf, type SyncSource } from './sync-server.ts'
import { runSession, type SessionResult, type Submit, type Submitted } from './sync-session.ts'

export interface SyncLoopNeeds {
  readonly dataset: DatasetId
  readonly network: Pick<Network, 'request' | 'publish' | 'ban' | 'peers'>
  readonly clock: Clock
  readonly random: Random
  readonly source: SyncSource
  readonly submit: Submit
  readonly sha256: Sha256
  readonly logger: Logger
  /** What follows from the events that are here. @default it is neither told nor compared */
  readonly state?: () => Promise<DerivedState>
  /** Whether there is room for proposals that the peer has and this node lacks. @default there is */
  readonly hasRoom?: (peer: PeerId) => boolean
  /** Told after each session. */
  readonly onSession?: (peer: PeerId, reason: SyncReason, result: SessionResult) => void
}

export interface SyncLoopOptions extends ScheduleOptions {
  /** @default 30 000 */
  readonly requestTimeoutMs: number
  /** Faults in a row after which a peer is banned. Invalid events ban at once. @default 5 */
  readonly faultsMax: number
}

export const syncLoopDefaults: SyncLoopOptions = {
  ...scheduleDefaults,
  requestTimeoutMs: 30_000,
  faultsMax: 5,
}

/** Events from gossip that wait for their parents, over all peers and of one. */
const WAITING_MAX = 1_000
const WAITING_BYTES_MAX = 16 * 1024 * 1024
const WAITING_PER_PEER_MAX = 64
/** Gossip is given a moment to arrive before a session is begun for it. */
const HAVE_DELAY_MS = { min: 50, max: 250 }
const ANNOUNCE_DELAY_MS = 50
const CROWDED_DELAY_MS = 2_000
/** Peers remembered; the one longest known is forgotten first. */
const PEERS_MAX = 1_024

interface PeerMemory {
  /** Roots it last told, outside of sessions. */
  heard?: string
  /** Ours and its at the end of the last session that left nothing to do. */
  settled?: string
  faults: number
  fetches: number
}

type Waiter = (result: SessionResult) => void

export class SyncLoop {
  readonly #needs: SyncLoopNeeds
  readonly #options: SyncLoopOptions
  readonly #schedule: SyncSchedule
  readonly #canary: Canary
  readonly #peers = new Map<PeerId, PeerMemory>()
  readonly #waiters = new Map<PeerId, Waiter[]>()
  readonly #sessions = new Set<Promise<void>>()
  readonly #stopped = new AbortController()
  #wake = new AbortController()
  #running: Promise<void> | undefined
  #wakesAtMs = Infinity
  #announceAtMs = Infinity
  #waiting = { count: 0, bytes: 0 }

  constructor(needs: SyncLoopNeeds, options: Partial<SyncLoopOptions> = {}) {
    this.#needs = needs
    this.#options = { ...syncLoopDefaults, ...options }
    this.#schedule = new SyncSchedule(this.#options)
    this.#canary = new Canary(needs)
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Ends the sessions under way and waits for them. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    this.#wake.abort()
    await Promise.all([this.#running, ...this.#sessions])
    for (const waiters of this.#waiters.values()) for (const tell of waiters) tell(cancelled)
    this.#waiters.clear()
  }

  /** Peers that hold the same events and say that another state follows from them. */
  get alarms(): readonly RootAlarm[] {
    return this.#canary.alarms
  }

  get isSyncing(): boolean {
    return this.#schedule.isSyncing
  }

  /** A peer connected or subscribed. */
  peerSeen(peer: PeerId): void {
    this.#want(peer, 'peer-seen', 0)
  }

  peerLost(peer: PeerId): void {
    this.#schedule.lost(peer)
    const memory = this.#peers.get(peer)
    if (memory?.fetches === 0 && memory.faults === 0) this.#peers.delete(peer)
  }

  /** A peer told its roots in the hello of its own session with us. */
  peerHello(peer: PeerId, roots: Roots): void {
    this.#memory(peer).heard = keyOfRoots(roots)
    this.#want(peer, 'peer-hello', 0)
  }

  /** Runs a session now, and again while it gets on. Resolves also when the peer fails. */
  async sync(peer: PeerId): Promise<SessionResult> {
    for (;;) {
      if (this.#stopped.signal.aborted) return cancelled
      const { promise, resolve } = Promise.withResolvers<SessionResult>()
      this.#waiters.set(peer, [...(this.#waiters.get(peer) ?? []), resolve])
      this.#want(peer, 'asked', 0)
      const result = await promise
      if (result.end !== 'partial') return result
    }
  }

  /** Tells peers soon what is held here, once for several calls. */
  announce(delayMs = ANNOUNCE_DELAY_MS): void {
    const atMs = this.#needs.clock.nowMs() + delayMs
    if (atMs >= this.#announceAtMs) return
    this.#announceAtMs = atMs
    this.#wake.abort()
  }

  /** The `gossip` handler of the network for this dataset. */
  async gossip(peer: PeerId, body: Uint8Array): Promise<GossipVerdict> {
    const message = decodeGossip(body)
    if (isRejection(message)) return 'reject'
    switch (message.k) {
      case 'have': {
        // Not passed on: it is about this peer, and whoever learns from it announces that itself.
        this.#memory(peer).heard = keyOfRoots(message.roots)
        this.#launchTask(this.#canary.heard(peer, message))
        const { min, max } = HAVE_DELAY_MS
        this.#want(peer, 'have', min + this.#chance() * (max - min))
        return 'ignore'
      }
      case 'event': {
        const outcome = await this.#needs.submit([message.block], peer, true)
        this.#comeBack(peer, outcome)
        if (outcome.missingParents.length === 0) return verdictOf(outcome)
        return verdictOf(await this.fetch(peer, outcome.missingParents, message.block))
      }
      case 'news': {
        const { source, hasRoom = () => true } = this.#needs
        if (message.kind === 'propose' && !hasRoom(peer)) return 'surplus'
        const [held] = await source.blocks([message.id])
        return held === undefined ? verdictOf(await this.fetch(peer, [message.id])) : 'ignore'
      }
    }
  }

  /** What was one of too many comes in one go, where there is room. */
  #comeBack(peer: PeerId, outcome: Submitted): void {
    const { hasRoom = () => true } = this.#needs
    if (isCrowded(outcome) && hasRoom(peer)) this.#want(peer, 'more', CROWDED_DELAY_MS)
  }

  /**
   * Asks the peer for events by id and submits them together with the one that waits for them.
   * What that does not settle, a session will. @returns undefined when nothing was submitted.
   */
  async fetch(
    peer: PeerId,
    ids: readonly EventId[],
    waiting?: Uint8Array,
  ): Promise<Submitted | undefined> {
    const memory = this.#memory(peer)
    const bytes = waiting?.length ?? 0
    const isFull =
      memory.fetches >= WAITING_PER_PEER_MAX ||
      this.#waiting.count >= WAITING_MAX ||
      this.#waiting.bytes + bytes > WAITING_BYTES_MAX
    if (isFull || this.#stopped.signal.aborted) {
      this.#want(peer, 'missing-parents', 0)
      return undefined
    }
    memory.fetches++
    this.#waiting.count++
    this.#waiting.bytes += bytes
    try {
      const { dataset, sha256, submit } = this.#needs
      const blocks = await fetchEvents({ dataset, sha256, ask: this.#askOf(peer) }, ids)
      const outcome = await submit(waiting ? [...blocks, waiting] : blocks, peer, true)
      const isDone = blocks.length > 0 && outcome.missingParents.length === 0
      if (!isDone) this.#want(peer, 'missing-parents', 0)
      return outcome
    } catch (error) {
      this.#needs.logger.debug({ peer, error: (error as Error).message }, 'fetch failed')
      this.#want(peer, 'missing-parents', 0)
      return undefined
    } finally {
      memory.fetches--
      this.#waiting.count--
      this.#waiting.bytes -= bytes
    }
  }

  async #run(): Promise<void> {
    const { clock } = this.#needs
    this.#announceAtMs = clock.nowMs() + this.#periodMs()
    while (!this.#stopped.signal.aborted) {
      this.#wake = new AbortController()
      const nowMs = clock.nowMs()
      for (const { peer, reason } of this.#schedule.begin(nowMs)) this.#launch(peer, reason)
      if (nowMs >= this.#announceAtMs) {
        this.#announceAtMs = nowMs + this.#periodMs()
        this.#launchTask(this.#publishHave())
      }
      this.#wakesAtMs = Math.min(this.#schedule.nextMs(nowMs), this.#announceAtMs)
      const ms = Math.max(0, this.#wakesAtMs - nowMs)
      await clock.sleep(ms, { signal: this.#wake.signal }).catch(() => {})
    }
  }

  #launch(peer: PeerId, reason: SyncReason): void {
    const waiters = this.#waiters.get(peer) ?? []
    this.#waiters.delete(peer)
    this.#launchTask(
      this.#session(peer, reason).then((result) => {
        for (const tell of waiters) tell(result)
      }),
    )
  }

  #launchTask(task: Promise<void>): void {
    this.#sessions.add(task)
    void task.finally(() => this.#sessions.delete(task))
  }

  async #session(peer: PeerId, reason: SyncReason): Promise<SessionResult> {
    const { clock, logger, onSession } = this.#needs
    let result: SessionResult
    try {
      if (!(await this.#isNews(peer, reason))) {
        this.#schedule.ended(peer, 'done', clock.nowMs(), this.#chance())
        this.#wake.abort()
        return { ...cancelled, end: 'settled', what: 'nothing new' }
      }
      result = await this.#sessionOf(peer, reason)
    } catch (error) {
      const what = (error as Error).message
      logger.error({ peer, reason, error: what }, 'sync failed here')
      result = { ...cancelled, end: 'unreachable', what: `failed here: ${what}` }
    }
    const { end, what, fault, stored, traffic } = result
    logger.debug({ peer, reason, end, what, stored, ...traffic }, 'sync session')
    this.#schedule.ended(peer, outcomeOf(end, result.refusal), clock.nowMs(), this.#chance())
    if (end === 'unreachable' && !this.#isConnected(peer)) this.#schedule.lost(peer)
    if (fault !== undefined) this.#judge(peer, result)
    else if (end !== 'unreachable' && end !== 'cancelled') this.#memory(peer).faults = 0
    if (stored > 0) this.announce()
    onSession?.(peer, reason, result)
    this.#wake.abort()
    return result
  }

  /** False when the roots that the peer told are ours by now, or have been dealt with. */
  async #isNews(peer: PeerId, reason: SyncReason): Promise<boolean> {
    if (reason !== 'have' && reason !== 'peer-hello') return true
    const { heard, settled } = this.#memory(peer)
    const ours = keyOfRoots(rootsOf(await this.#needs.source.sets()))
    return heard !== ours && settled !== `${ours} ${heard}`
  }

  async #sessionOf(peer: PeerId, reason: SyncReason): Promise<SessionResult> {
    const { dataset, source, submit, sha256, clock, hasRoom = () => true } = this.#needs
    const { signal } = this.#stopped
    const memory = this.#memory(peer)
    const result = await runSession(
      {
        peer,
        dataset,
        source,
        submit,
        sha256,
        ask: this.#askOf(peer),
        hasRoom: () => hasRoom(peer),
      },
      {
        signal,
        isSettled: (ours, theirs) =>
          reason !== 'asked' && memory.settled === `${keyOfRoots(ours)} ${keyOfRoots(theirs)}`,
        onStored: () => this.#schedule.progressed(peer, clock.nowMs()),
        isTurnOver: () => this.#schedule.isTurnOver(peer, clock.nowMs()),
      },
    )
    const { end, ours, theirs } = result
    const isDone = ['equal', 'ahead', 'over-quota', 'newer'].includes(end)
    if (isDone && ours && theirs) memory.settled = `${keyOfRoots(ours)} ${keyOfRoots(theirs)}`
    return result
  }

  #judge(peer: PeerId, { fault, what }: SessionResult): void {
    const memory = this.#memory(peer)
    memory.faults++
    // A ban is logged by the network: one line for one fault.
    if (fault === 'invalid-event' || memory.faults >= this.#options.faultsMax) {
      this.#needs.network.ban(peer, what)
    } else {
      this.#needs.logger.warn({ peer, code: fault, what }, 'peer is at fault')
    }
  }

  async #publishHave(): Promise<void> {
    const { dataset, network, source, logger } = this.#needs
    try {
      const roots = rootsOf(await source.sets())
      const snapshot = source.snapshot?.()
      const told = this.isSyncing ? {} : await this.#canary.told(roots)
      const nonce = this.#needs.random.bytes(8)
      const have = { roots, nonce, ...(snapshot && { snapshot }), ...told }
      await network.publish(dataset, encodeGossip({ k: 'have', ...have }))
    } catch (error) {
      logger.debug({ dataset, error: (error as Error).message }, 'have was not published')
    }
  }

  #askOf(peer: PeerId): (body: Uint8Array) => Promise<Uint8Array> {
    const { network, clock } = this.#needs
    const { requestTimeoutMs } = this.#options
    return async (body) => {
      const over = new AbortController()
      const signal = AbortSignal.any([over.signal, this.#stopped.signal])
      const late = clock.sleep(requestTimeoutMs, { signal }).then(() => {
        throw new GonkError('TIMEOUT', `no answer in ${requestTimeoutMs} ms`)
      })
      try {
        return await Promise.race([network.request(peer, body, { signal }), late])
      } finally {
        over.abort()
      }
    }
  }

  #want(peer: PeerId, reason: SyncReason, inMs: number): void {
    const nowMs = this.#needs.clock.nowMs()
    this.#schedule.want(peer, reason, nowMs + inMs)
    const wasSetForward = this.#wakesAtMs <= nowMs
    if (wasSetForward || this.#schedule.nextMs(nowMs) < this.#wakesAtMs) this.#wake.abort()
  }

  #isConnected(peer: PeerId): boolean {
    return this.#needs.network.peers().some(({ peerId }) => peerId === peer)
  }

  #memory(peer: PeerId): PeerMemory {
    const known = this.#peers.get(peer)
    if (known !== undefined) return known
    const memory = { faults: 0, fetches: 0 }
    this.#peers.set(peer, memory)
    for (const [old, { fetches }] of this.#peers) {
      if (this.#peers.size <= PEERS_MAX) break
      if (fetches === 0 && old !== peer) this.#peers.delete(old)
    }
    return memory
  }

  #periodMs(): number {
    const { periodMinMs, periodMaxMs } = this.#options
    return periodMinMs + this.#chance() * (periodMaxMs - periodMinMs)
  }

  /** 0 to 1. */
  #chance(): number {
    const [high = 0, low = 0] = this.#needs.random.bytes(2)
    return (high * 256 + low) / 65_535
  }
}

const cancelled: SessionResult = {
  end: 'cancelled',
  what: 'stopped',
  stored: 0,
  traffic: { roundTrips: 0, sentBytes: 0, receivedBytes: 0 },
}
