// With whom to sync next, when and why. Pure: time and chance are given, nothing is done.
import type { PeerId } from '../ports.ts'
import type { SessionEnd } from './sync-session.ts'

export type SyncReason =
  /** The peer connected, or subscribed to the dataset. */
  | 'peer-seen'
  /** It announced roots that are not ours. */
  | 'have'
  /** It began a session with us, and its roots are not ours. */
  | 'peer-hello'
  /** It sent an event whose parents are not here. */
  | 'missing-parents'
  /** The last session ended with more to come. */
  | 'more'
  /** The last session failed. */
  | 'retry'
  /** Nothing was heard for a while. */
  | 'periodic'
  /** A person or a command asked for it. */
  | 'asked'

/** What became of a session, as far as it matters for the next one. */
export type Outcome = 'done' | 'more' | 'failed' | 'not-shared'

export interface ScheduleOptions {
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
  readonly periodMinMs: number
  readonly periodMaxMs: number
  /** A session that stored nothing for so long lets another peer begin. */
  readonly patienceMs: number
  /** A session that brings proposals ends after so long where others wait. */
  readonly turnMs: number
  /** Sessions at the same time, when those before are stuck. */
  readonly sessionsMax: number
}

export const scheduleDefaults: ScheduleOptions = {
  backoffMinMs: 1_000,
  backoffMaxMs: 60_000,
  periodMinMs: 30_000,
  periodMaxMs: 60_000,
  patienceMs: 2_000,
  turnMs: 2_000,
  sessionsMax: 4,
}

interface Entry {
  isConnected: boolean
  due: { reason: SyncReason; atMs: number } | undefined
  /** When the session under way last stored something, or began. */
  progressAtMs: number | undefined
  beganAtMs: number
  failures: number
  notBeforeMs: number
}

/** What was only announced may turn out to be known, and then the session is left out. */
const WEIGHTS: Readonly<Record<SyncReason, number>> = {
  asked: 3,
  'missing-parents': 2,
  'peer-seen': 2,
  more: 2,
  retry: 2,
  have: 1,
  'peer-hello': 1,
  periodic: 0,
}

/** Peers that failed are remembered when they are gone, so that reconnecting clears nothing. */
const GONE_PEERS_MAX = 256

export class SyncSchedule {
  readonly #options: ScheduleOptions
  readonly #peers = new Map<PeerId, Entry>()

  constructor(options: ScheduleOptions = scheduleDefaults) {
    this.#options = options
  }

  lost(peer: PeerId): void {
    const entry = this.#peers.get(peer)
    if (entry === undefined) return
    entry.isConnected = false
    entry.due = undefined
    if (entry.failures === 0) this.#peers.delete(peer)
    const gone = [...this.#peers].filter(([, { isConnected }]) => !isConnected)
    for (const [old] of gone.slice(0, -GONE_PEERS_MAX)) this.#peers.delete(old)
  }

  /**
   * Of two wishes the earlier time counts and the weightier reason. One sooner than the backoff
   * allows waits, unless it was `asked` for.
   */
  want(peer: PeerId, reason: SyncReason, atMs: number): void {
    const entry = this.#entry(peer)
    entry.isConnected = true
    const allowedMs = reason === 'asked' ? atMs : Math.max(atMs, entry.notBeforeMs)
    const { due } = entry
    entry.due = {
      reason: due && WEIGHTS[due.reason] >= WEIGHTS[reason] ? due.reason : reason,
      atMs: Math.min(allowedMs, due?.atMs ?? Infinity),
    }
  }

  /** Sessions to begin now; they count as begun. */
  begin(nowMs: number): { peer: PeerId; reason: SyncReason }[] {
    const started: { peer: PeerId; reason: SyncReason }[] = []
    const waiting = [...this.#peers].filter(([, entry]) => isWaiting(entry))
    // Of two at the same time the one whose turn was longer ago.
    waiting.sort(
      ([, a], [, b]) => (a.due?.atMs ?? 0) - (b.due?.atMs ?? 0) || a.beganAtMs - b.beganAtMs,
    )
    for (const [peer, entry] of waiting) {
      if (entry.due === undefined || entry.due.atMs > nowMs || !this.#hasRoom(nowMs)) break
      started.push({ peer, reason: entry.due.reason })
      entry.due = undefined
      entry.progressAtMs = nowMs
      entry.beganAtMs = nowMs
    }
    return started
  }

  progressed(peer: PeerId, nowMs: number): void {
    const entry = this.#peers.get(peer)
    if (entry?.progressAtMs !== undefined) entry.progressAtMs = nowMs
  }

  /** Whether the peer's session has had its time, and another peer waits for one. */
  isTurnOver(peer: PeerId, nowMs: number): boolean {
    const entry = this.#peers.get(peer)
    if (entry === undefined || nowMs - entry.beganAtMs < this.#options.turnMs) return false
    return [...this.#peers.values()].some(
      (other) => isWaiting(other) && other.due !== undefined && other.due.atMs <= nowMs,
    )
  }

  /** @param chance 0 to 1, spreads what follows. */
  ended(peer: PeerId, outcome: Outcome, nowMs: number, chance: number): void {
    const entry = this.#peers.get(peer)
    if (entry === undefined) return
    const { backoffMinMs, backoffMaxMs, periodMinMs, periodMaxMs } = this.#options
    entry.progressAtMs = undefined
    if (outcome === 'failed') {
      const backoffMs = Math.min(backoffMaxMs, backoffMinMs * 2 ** entry.failures)
      entry.failures = Math.min(entry.failures + 1, 30)
      entry.notBeforeMs = nowMs + backoffMs * (0.5 + chance / 2)
      const asked = entry.due?.reason === 'asked' ? entry.due : undefined
      entry.due = asked ?? { reason: 'retry', atMs: entry.notBeforeMs }
    } else {
      entry.failures = 0
      entry.notBeforeMs = 0
      if (outcome === 'more') this.want(peer, 'more', nowMs)
      const periodMs = periodMinMs + chance * (periodMaxMs - periodMinMs)
      entry.due ??= { reason: 'periodic', atMs: nowMs + periodMs }
    }
    if (!entry.isConnected) this.lost(peer)
  }

  /** When `begin` may have something to do; Infinity: not before something is wanted. */
  nextMs(nowMs: number): number {
    let next = Infinity
    const hasRoom = this.#hasRoom(nowMs)
    for (const entry of this.#peers.values()) {
      if (!isWaiting(entry) || entry.due === undefined) continue
      next = Math.min(next, Math.max(entry.due.atMs, hasRoom ? 0 : this.#roomAtMs(nowMs)))
    }
    return next
  }

  get isSyncing(): boolean {
    return this.#running().length > 0
  }

  #entry(peer: PeerId): Entry {
    let entry = this.#peers.get(peer)
    if (entry === undefined) {
      entry = {
        isConnected: true,
        due: undefined,
        progressAtMs: undefined,
        beganAtMs: -1,
        failures: 0,
        notBeforeMs: 0,
      }
      this.#peers.set(peer, entry)
    }
    return entry
  }

  /** One at a time, so that nothing is fetched twice; more when the ones under way are stuck. */
  #hasRoom(nowMs: number): boolean {
    const running = this.#running()
    return (
      running.length < this.#options.sessionsMax &&
      running.every((progressAtMs) => nowMs - progressAtMs >= this.#options.patienceMs)
    )
  }

  #roomAtMs(nowMs: number): number {
    const running = this.#running()
    if (running.length >= this.#options.sessionsMax) return Infinity
    return Math.max(nowMs, Math.max(...running) + this.#options.patienceMs)
  }

  #running(): number[] {
    return [...this.#peers.values()].flatMap(({ progressAtMs }) => progressAtMs ?? [])
  }
}

function isWaiting(entry: Entry): boolean {
  return entry.isConnected && entry.due !== undefined && entry.progressAtMs === undefined
}

export function outcomeOf(end: SessionEnd, refusal: string | undefined): Outcome {
  switch (end) {
    case 'equal':
    case 'ahead':
    case 'settled':
    case 'over-quota':
    case 'newer':
    case 'cancelled':
      return 'done'
    case 'partial':
      return 'more'
    case 'refused':
      return refusal === 'unknown-dataset' ? 'not-shared' : 'failed'
    case 'unreachable':
    case 'peer-fault':
      return 'failed'
  }
}
