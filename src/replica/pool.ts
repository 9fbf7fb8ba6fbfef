// Which undecided proposals of others are kept: keys are free, so each peer that forwards them has a
// share, and who takes most gives way. Runs behind the replica's lock.
import { isRejection } from '../core/errors.ts'
import { decodeEvent } from '../core/event-codec.ts'
import type { Event } from '../core/event.ts'
import type { EventId, PublicKey, Sha256 } from '../core/ids.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { PoolEntry } from '../log/pool-index.ts'
import type { ProposalRow } from '../log/rows.ts'
import type { PeerId } from '../ports.ts'
import type { Draft } from './draft.ts'
import type { Door } from './intake.ts'
import { NewsBudget } from './news-budget.ts'
import { Candidates } from './pool-candidates.ts'
import { type Forwarder, type Share, Shares } from './pool-shares.ts'
import { Rate } from './rate.ts'

export interface PoolNeeds {
  readonly log: DatasetLog
  readonly crypto: { readonly sha256: Sha256 }
  readonly clock: { nowMs(): number }
  /** @default no limit */
  readonly poolBytesMax?: number | undefined
}

/** Where events came from. `isNews`: told by the peer, not asked for here. */
export interface Source extends Forwarder {
  readonly isNews: boolean
}

/** `own`: made on this node. `peer`: of nobody in particular. */
export type From = 'own' | 'peer' | Source

/** A proposal that wants to be in the pool, with all that is said of it. */
export interface Newcomer {
  readonly id: EventId
  readonly author: PublicKey
  readonly bytes: number
}

/** After so long an undecided proposal goes. */
export const POOL_AGE_MAX_MS = 30 * 24 * 3_600_000
/** What one batch of events may push out, and what of it by age. */
const EVICTED_MAX = 4_096
const EXPIRED_MAX = 64
/** Where nobody takes more than the peer, its news replace what it brought before; so many a second. */
const TURNOVER = { perSecond: 20, burst: 200 }
/** Parts of the whole: less free is no room, and shares that differ by less are equal. */
const FREE_PART = 64
const EVEN_PART = 1_024

interface Change {
  readonly peer: number
  readonly author: PublicKey
  bytes: number
}

/** Its numbers are of what is on disk, once the writes of `settle` are. */
export class Pool {
  readonly #needs: PoolNeeds
  readonly #bytesMax: number
  readonly #shares: Shares
  #evictedBytes: number
  /** Nothing is too old before. */
  #expiryMs = 0
  readonly #turnover = new Rate(TURNOVER)
  readonly #news = new NewsBudget()
  /** Proposals are wanted that are not here; undefined: only the disk knows. */
  #waits: boolean | undefined
  // ---- of one batch
  #changes = new Map<string, Change>()
  #candidates = new Map<number, Candidates>()
  #left = EVICTED_MAX
  #isTouched = false

  private constructor(needs: PoolNeeds, stored: { shares: Shares; evictedBytes: number }) {
    this.#needs = needs
    this.#bytesMax = needs.poolBytesMax ?? Number.POSITIVE_INFINITY
    this.#shares = stored.shares
    this.#evictedBytes = stored.evictedBytes
  }

  static async load(needs: PoolNeeds): Promise<Pool> {
    const { log } = needs
    const shares = await log.meta<Share[]>('poolShares')
    const evictedBytes = (await log.meta<number>('poolEvicted')) ?? 0
    const pool = new Pool(needs, { shares: new Shares(shares ?? []), evictedBytes })
    if (shares === undefined && (await log.meta('poolBytes')) !== undefined) await pool.#anew()
    return pool
  }

  get bytes(): number {
    return this.#shares.bytes
  }

  /** Whether something of it is older than it may be. */
  get hasExpired(): boolean {
    return this.bytes > 0 && this.#needs.clock.nowMs() >= this.#expiryMs
  }

  /**
   * Whether to ask a peer for what it has and this node lacks. False where it would only take the place
   * of what came from the peer itself, or from others who take no more.
   */
  hasRoomFor(from: Forwarder): boolean {
    if (this.#bytesMax - this.bytes > this.#bytesMax / FREE_PART) return true
    const slot = this.#shares.slotOf(from)
    const mine = this.#shares.of(slot) + this.#bytesMax / EVEN_PART
    return this.#shares.largestBut(slot).bytes > mine
  }

  /**
   * Turns away proposals that nobody waits for, when there is no room or when there are too many: to
   * verify them would be in vain.
   */
  doorFor(from: From): Door {
    const isNews = typeof from !== 'string' && from.isNews
    const crowded = async (events: readonly Event[]): Promise<ReadonlySet<EventId>> => {
      // An event beside them may name them.
      if (events.some(({ family }) => family !== 'proposal')) return new Set()
      const ids = events
        .filter(({ block }) => this.#refuses(from, block.length))
        .map(({ id }) => id)
      if (ids.length === 0 || !(await this.#isWaiting())) return new Set(ids)
      const wanted = await this.#needs.log.areWanted(ids)
      return new Set(ids.filter((_, i) => wanted[i] !== true))
    }
    return { isNews, crowded }
  }

  #refuses(from: From, blockBytes: number): boolean {
    const isNews = typeof from !== 'string' && from.isNews
    if (isNews && !this.#news.take(from, this.#needs.clock.nowMs())) return true
    if (this.bytes + blockBytes <= this.#bytesMax || from === 'own') return false
    return this.#wayIn(from, blockBytes) === undefined
  }

  /** Whether owners name proposals that are not here: read once, then known. */
  async #isWaiting(): Promise<boolean> {
    this.#waits ??= (await this.#needs.log.wanted(1)).length > 0
    return this.#waits
  }

  /** At whose cost there would be room: that of others alone, or of the peer itself as well. */
  #wayIn(from: From, bytes: number): 'others' | 'itself' | undefined {
    const source = typeof from === 'string' ? undefined : from
    const slot = this.#shares.slotOf(source)
    const lacking = this.bytes + bytes - this.#bytesMax
    if (this.#shares.above(this.#shares.of(slot) + bytes, slot) >= lacking) return 'others'
    const mayReplace = source?.isNews === true && this.#shares.of(slot) >= lacking
    return mayReplace && this.#turnover.left(this.#needs.clock.nowMs()) >= 1 ? 'itself' : undefined
  }

  /**
   * Makes room if it may: from whoever takes more than the peer will then, of the author that takes most
   * of that, the oldest first. Nothing is pushed out for what then does not fit.
   * @param before only what arrived earlier may go.
   * @returns the number of the share it counts for; undefined: there is no room.
   */
  async admit(
    draft: Draft,
    { author, bytes }: Newcomer,
    from: From,
    before: number,
  ): Promise<number | undefined> {
    const source = typeof from === 'string' ? undefined : from
    const slot = this.#shares.slotOf(source)
    const lacking = this.bytes + bytes - this.#bytesMax
    if (lacking > 0) {
      if (bytes > this.#bytesMax || this.#left <= 0) return undefined
      const way = this.#wayIn(from, bytes)
      if (way === undefined) return undefined
      if (way === 'itself') this.#turnover.take(this.#needs.clock.nowMs())
      const afterwards = this.#shares.of(slot) + bytes
      while (this.bytes + bytes > this.#bytesMax) {
        const largest = this.#shares.largestBut(slot)
        const isLarger = largest.bytes > afterwards
        const giver = isLarger ? largest.slot : way === 'itself' ? slot : undefined
        if (giver === undefined || !(await this.#evictFrom(draft, giver, before))) return undefined
      }
    }
    this.#change({ peer: slot, author }, source?.peer, bytes)
    return slot
  }

  /** The rows of a proposal that was admitted. */
  entry(draft: Draft, entry: PoolEntry): void {
    const nowMs = this.#needs.clock.nowMs()
    if (this.#expiryMs === Infinity) this.#expiryMs = nowMs + POOL_AGE_MAX_MS
    draft.writes.push(...this.#needs.log.pool.putEntry(entry, nowMs))
  }

  /** An owner event names it: from now on it is no part of the pool. */
  leave(draft: Draft, { poolPeer: peer, author, arrival, poolBytes }: ProposalRow): void {
    this.#change({ peer, author }, undefined, -poolBytes)
    draft.writes.push(...this.#needs.log.pool.deleteEntry({ peer, author, arrival }))
  }

  /** Drops what is too old, some of it each time. */
  async expire(draft: Draft, before: number): Promise<void> {
    if (!this.hasExpired) return
    const { log, clock } = this.#needs
    const oldest = await log.pool.oldest(EXPIRED_MAX + 1)
    this.#expiryMs = Infinity
    for (const [i, { id, atMs, arrival }] of oldest.entries()) {
      this.#expiryMs = atMs + POOL_AGE_MAX_MS
      if (this.#expiryMs > clock.nowMs() || i === EXPIRED_MAX || arrival >= before) return
      const row = await log.proposal(id)
      if (row && !draft.named.has(id) && !draft.evicted.has(id)) await this.#evict(draft, id, row)
      this.#expiryMs = Infinity
    }
  }

  /** Ends a batch: what is to be written of all shares that changed. */
  async settle(draft: Draft): Promise<void> {
    const { log } = this.#needs
    if (draft.wanted.size > 0) this.#waits = true
    else if (draft.named.size > 0) this.#waits = undefined
    const changes = [...this.#changes.values()]
    const before = await log.pool.bytesOf(changes)
    for (const [i, change] of changes.entries()) {
      const bytes = before[i] as number
      if (change.bytes === 0) continue
      draft.writes.push(...log.pool.setBytes(change, bytes, Math.max(0, bytes + change.bytes)))
    }
    if (this.#isTouched) {
      draft.writes.push(
        log.putMeta('poolBytes', this.bytes),
        log.putMeta('poolShares', this.#shares.list()),
        log.putMeta('poolEvicted', this.#evictedBytes),
      )
    }
    await this.#endBatch()
  }

  async #endBatch(): Promise<void> {
    const candidates = [...this.#candidates.values()]
    this.#candidates.clear()
    this.#changes.clear()
    this.#left = EVICTED_MAX
    this.#isTouched = false
    for (const each of candidates) await each.close()
  }

  /** @returns false when nothing of the share may go. */
  async #evictFrom(draft: Draft, slot: number, before: number): Promise<boolean> {
    const { log } = this.#needs
    let candidates = this.#candidates.get(slot)
    if (candidates === undefined) {
      candidates = new Candidates(log.pool, slot, before)
      this.#candidates.set(slot, candidates)
    }
    for (;;) {
      if (this.#left-- <= 0) return false
      const entry = await candidates.next()
      if (entry === undefined) return false
      const row = draft.named.has(entry.id) ? undefined : await log.proposal(entry.id)
      if (row === undefined || row.named || row.own) continue
      await candidates.gone(entry.author, row.poolBytes)
      await this.#evict(draft, entry.id, row)
      return true
    }
  }

  async #evict(draft: Draft, id: EventId, row: ProposalRow): Promise<void> {
    const { log, crypto } = this.#needs
    const { sha256 } = crypto
    const { poolPeer: peer, author, arrival, poolBytes } = row
    const block = await log.block(id)
    const event = block && decodeEvent(block, sha256)
    // Of a damaged one, what is said of its operations is not known, and stays.
    const isWhole = event !== undefined && !isRejection(event) && event.id === id
    const said = isWhole ? log.putEvent(event, arrival, sha256) : []
    draft.writes.push(...log.pool.deleteProposal({ id, peer, author, arrival }, said))
    draft.poolOut.add(id)
    draft.evicted.add(id)
    this.#change({ peer, author }, undefined, -poolBytes)
    this.#evictedBytes += poolBytes
  }

  #change(
    { peer, author }: Pick<PoolEntry, 'peer' | 'author'>,
    of: PeerId | undefined,
    bytes: number,
  ): void {
    const key = `${peer} ${author}`
    const change = this.#changes.get(key) ?? { peer, author, bytes: 0 }
    this.#changes.set(key, change)
    change.bytes += bytes
    this.#shares.add(peer, of, bytes)
    this.#isTouched = true
  }

  /** The entries of a home that kept none: all as if they came from one peer, now. */
  async #anew(): Promise<void> {
    const { log, clock } = this.#needs
    const atMs = clock.nowMs()
    const changes = new Map<PublicKey, number>()
    for await (const [id, { author, arrival, poolBytes, own, named }] of log.allProposals()) {
      if (own || named) continue
      changes.set(author, (changes.get(author) ?? 0) + poolBytes)
      await log.commit(log.pool.putEntry({ id, peer: 0, author, arrival }, atMs))
      this.#shares.add(0, undefined, poolBytes)
    }
    for (const [author, bytes] of changes) {
      await log.commit(log.pool.setBytes({ peer: 0, author }, 0, bytes))
    }
    await log.commit([
      log.putMeta('poolBytes', this.bytes),
      log.putMeta('poolShares', this.#shares.list()),
    ])
  }
}
