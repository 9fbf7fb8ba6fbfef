// One session with one peer: pulls what the peer has and this node lacks, in bytes proportional to
// the difference. Whatever the peer answers, the work is bounded and ends with one result.
import { GonkError, rejections } from '../core/errors.ts'
import { type DatasetId, type EventId, eventIdOfBlock, type Sha256 } from '../core/ids.ts'
import {
  answerProblem,
  lackingTest,
  narrow,
  openingParts,
  type Part,
  reconcileLimits,
  sameBytes,
  type SetView,
  type Width,
} from '../core/reconcile.ts'
import type { PeerId } from '../ports.ts'
import type { SessionEnd, SessionResult, Submit } from './session-result.ts'
import {
  type Ask,
  fault,
  FaultError,
  RefusedError,
  RequestError,
  SyncClient,
} from './sync-client.ts'
import { type LogCursor, type Roots, type SetName, syncLimits } from './sync-messages.ts'
import { rootsOf, type SyncSource } from './sync-server.ts'

export type * from './session-result.ts'

export interface SessionNeeds {
  readonly peer: PeerId
  readonly dataset: DatasetId
  readonly source: Pick<SyncSource, 'sets' | 'snapshot'>
  readonly submit: Submit
  readonly sha256: Sha256
  readonly ask: Ask
  /** Whether there is room for proposals that the peer has and this node lacks. @default there is */
  readonly hasRoom?: () => boolean
}

export interface SessionOptions {
  /** Asked after hello: true when a session over exactly these roots has ended before. */
  readonly isSettled?: (ours: Roots, theirs: Roots) => boolean
  readonly onStored?: (events: number) => void
  /** Asked between pages of proposals: true when others wait, and the rest is for a session after theirs. */
  readonly isTurnOver?: () => boolean
  readonly signal?: AbortSignal
}

const ROUNDS_MAX = 64
/** Rounds in a row that bring nothing, although roots change meanwhile. */
const IDLE_ROUNDS_MAX = 16
/** A clone: so little is here that reading the log from its start wastes less than comparing. */
const LOG_WHEN_TIMES_BEHIND = 8
const LOG_WHEN_BEHIND_BY = 256
/** Up to so many missing owner events are asked for at once, and parents may come last. */
const UNORDERED_MAX = 512
/** So many are put in order by the peer first; more are read from the log, which is in order. */
const ORDERED_MAX = reconcileLimits.partsMax
const PENDING_BYTES_MAX = 4 * 1024 * 1024
/** Proposals have no parents, and what owners say comes in between. */
const POOL_PENDING_BYTES_MAX = 64 * 1024
const PROBE_BYTES = 64 * 1024
const FIRST_GAP = 64

/** Never throws for what the peer does or fails to do; what fails on this node is thrown. */
export async function runSession(
  needs: SessionNeeds,
  options: SessionOptions = {},
): Promise<SessionResult> {
  const client = new SyncClient(needs, options)
  const session = new Session(needs, options, client)
  const result = (end: SessionEnd, what: string, more: Partial<SessionResult> = {}) => {
    const { ours, stored, theirs = client.theirs } = session
    const { traffic } = client
    return { end, what, stored, traffic, ...(ours && { ours }), ...(theirs && { theirs }), ...more }
  }
  try {
    const end = await session.run()
    return result(end, end === 'newer' ? 'the peer has events of a later version' : end)
  } catch (error) {
    if (options.signal?.aborted) return result('cancelled', 'stopped')
    if (error instanceof FaultError) {
      return result('peer-fault', `${error.fault}: ${error.message}`, { fault: error.fault })
    }
    if (error instanceof RefusedError) {
      return result('refused', error.message, { refusal: error.code })
    }
    if (error instanceof RequestError) return result('unreachable', error.message)
    throw error
  }
}

interface Walk {
  readonly set: SetName
  /** Events the peer lists and this set does not. */
  lacking: number
  /** Of these, listed but not sent. */
  absent: number
  stored: number
  missingParents: boolean
  overQuota: boolean
  /** This set has events that the peer's does not. */
  extra: boolean
  cut: boolean
  /** The rest was left for another session. */
  isTurnOver: boolean
  /** Depth at which to start reading the log, when that is the better way. */
  logFrom?: number
}

const nothing: Roots[SetName] = { root: new Uint8Array(32), count: 0 }

class Session {
  stored = 0
  ours: Roots | undefined
  theirs: Roots | undefined
  readonly #needs: SessionNeeds
  readonly #options: SessionOptions
  readonly #client: SyncClient
  #pending: Uint8Array[] = []
  #pendingBytes = 0
  /** The set that is being compared, as both sides had it. */
  #own = nothing
  #their = nothing
  /** Some event can only be judged by a later version: what builds on it cannot be stored either. */
  #isBehind = false

  constructor(needs: SessionNeeds, options: SessionOptions, client: SyncClient) {
    this.#needs = needs
    this.#options = options
    this.#client = client
  }

  async run(): Promise<SessionEnd> {
    const { source } = this.#needs
    const roots = await this.#ownRoots()
    const snapshot = source.snapshot?.()
    await this.#client.request({ k: 'hello', roots, ...(snapshot && { snapshot }) }, 'hello')
    if (this.#options.isSettled?.(roots, this.#client.roots())) return 'settled'
    const owner = await this.#pull('owner')
    if (owner === 'partial') return 'partial'
    const compared = { ours: this.#own, theirs: this.#their }
    const pool = await this.#pull('pool')
    // Each set as it was when it was compared: what moved since is for another session.
    this.ours = { owner: compared.ours, pool: this.#own }
    this.theirs = { owner: compared.theirs, pool: this.#their }
    return pool === 'equal' ? owner : pool
  }

  async #pull(set: SetName): Promise<'equal' | 'ahead' | 'over-quota' | 'newer' | 'partial'> {
    let width: Width = 8
    let idleRounds = 0
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const mine = (await this.#ownRoots())[set]
      const before = this.#client.roots()[set]
      this.#own = mine
      this.#their = before
      if (sameBytes(mine.root, before.root)) return 'equal'
      if (before.count === 0) return 'ahead'
      if (set === 'pool' && this.#needs.hasRoom?.() === false) return 'over-quota'
      if (set === 'pool' && round > 0 && this.#options.isTurnOver?.()) return this.#cutShort()
      const isClone = before.count > mine.count * LOG_WHEN_TIMES_BEHIND + LOG_WHEN_BEHIND_BY
      if (set === 'owner' && round === 0 && isClone) {
        await this.#readLog(0)
        continue
      }
      if (idleRounds++ >= IDLE_ROUNDS_MAX) {
        // A full pool changes all the time, and is nobody's fault.
        if (set === 'pool') return 'ahead'
        fault('no-progress', 'always new roots, never new events')
      }
      const walk = await this.#walk(set, width).catch((error: unknown) => {
        // Nodes of a pool that changes fast are gone while a slow peer answers.
        if (set === 'pool' && error instanceof GonkError && error.code === 'NOT_HERE')
          return undefined
        throw error
      })
      if (walk === undefined) continue
      // What is refused of the owner set is not named by anything here yet: it will be.
      if (walk.overQuota && set === 'pool') return 'over-quota'
      if (walk.isTurnOver) return this.#cutShort()
      if (walk.logFrom !== undefined) walk.stored += await this.#readLog(walk.logFrom)
      if (walk.stored > 0) idleRounds = 0
      const after = (await this.#ownRoots())[set]
      const theirs = this.#client.roots()[set]
      this.#own = after
      if (sameBytes(after.root, theirs.root)) {
        this.#their = theirs
        return 'equal'
      }
      const isStill = sameBytes(before.root, theirs.root)
      const isShort = walk.missingParents || walk.overQuota || walk.logFrom !== undefined
      const isWhole = !walk.cut && !isShort && walk.absent === 0
      if (walk.stored > 0 && !(isWhole && isStill)) continue
      if (this.#isBehind) return 'newer'
      if (isWhole && (walk.lacking > 0 || walk.extra)) return 'ahead'
      if (width === 8) {
        width = 32
        continue
      }
      if (walk.absent > 0 && (set === 'owner' || isStill))
        fault('absent-events', `${walk.absent} ids listed and not sent`)
      if (walk.missingParents) fault('incomplete-history', 'events without their parents')
      if (isStill && sameBytes(mine.root, after.root)) {
        fault('inconsistent-hashes', 'the roots differ and nothing under them does')
      }
    }
    return 'partial'
  }

  /** Others wait. Whoever brought nothing new is not the next to wait for. */
  #cutShort(): 'partial' | 'ahead' {
    return this.stored > 0 ? 'partial' : 'ahead'
  }

  /** Descends where the two tries differ, fetches what is missing here and stores it. */
  async #walk(set: SetName, width: Width): Promise<Walk> {
    const view = (await this.#needs.source.sets())[set]
    const walk: Walk = {
      set,
      lacking: 0,
      absent: 0,
      stored: 0,
      missingParents: false,
      overQuota: false,
      extra: false,
      cut: false,
      isTurnOver: false,
    }
    const want = new Set<string>()
    let lowest = Infinity
    let ask: readonly Part[] = await openingParts(view, width)
    while (ask.length > 0) {
      const reply = await this.#diff(set, width, ask, walk)
      for (const id of reply.more) want.add(id)
      lowest = Math.min(lowest, reply.lowestDepth ?? Infinity)
      const next = await narrow(view, reply.parts, width)
      for (const id of next.want) want.add(id)
      walk.extra ||= reply.extra || next.extra
      walk.cut ||= reply.cut || next.cut
      ask = next.ask
    }
    walk.lacking += want.size
    let ids = await this.#notElsewhere(set, want)
    if (set === 'owner' && (walk.cut || ids.length > UNORDERED_MAX)) {
      const isMore = walk.cut || ids.length > ORDERED_MAX
      const ordered = await this.#inOrder(set, width, ids, walk)
      lowest = Math.min(lowest, ordered.lowest)
      if (isMore && lowest < Infinity) {
        await this.#flush(walk)
        return { ...walk, logFrom: lowest }
      }
      ids = [...ordered.ids, ...ids.slice(ORDERED_MAX)]
    }
    await this.#get(set, width, ids, walk)
    await this.#flush(walk)
    if (set === 'pool' || !walk.missingParents) return walk
    if (lowest === Infinity) lowest = (await this.#inOrder(set, width, ids, walk)).lowest
    return lowest === Infinity ? walk : { ...walk, logFrom: lowest }
  }

  /** Has the peer sort the first of these ids by depth; as many as fit are taken in at once. */
  async #inOrder(set: SetName, width: Width, ids: readonly string[], walk: Walk) {
    const parts = ids.slice(0, ORDERED_MAX).map((prefix) => ({ prefix, ids: [] }))
    const reply = await this.#diff(set, width, parts, walk)
    walk.absent += Math.max(0, parts.length - reply.more.length - reply.events.length)
    return { ids: reply.more, lowest: reply.lowestDepth ?? Infinity }
  }

  /** One question and its answer; the events in it are taken in. */
  async #diff(set: SetName, width: Width, parts: readonly Part[], walk: Walk) {
    const reply = await this.#client.request({ k: 'diff', set, width, parts }, 'diff', width)
    const problem = answerProblem(parts, reply.parts)
    if (problem !== undefined) fault('unasked', problem)
    const isLacking = lackingTest(parts, width)
    const ids = [...reply.more, ...reply.events.map((block) => this.#idOf(block))]
    if (!ids.every(isLacking)) fault('unasked', 'an event that was not asked for')
    walk.lacking += reply.events.length
    for (const block of reply.events) await this.#receive(block, walk)
    return reply
  }

  /** A proposal may be in the other set here: it moves when the event that names it comes. */
  async #notElsewhere(set: SetName, want: ReadonlySet<string>): Promise<string[]> {
    const sets = await this.#needs.source.sets()
    const other: SetView = set === 'owner' ? sets.pool : sets.owner
    const ids: string[] = []
    for (const id of want) if ((await other.subtree(id)).count === 0) ids.push(id)
    return ids
  }

  async #get(set: SetName, width: Width, ids: readonly string[], walk: Walk): Promise<void> {
    for (let at = 0; at < ids.length && !(walk.overQuota && set === 'pool');) {
      const asked = ids.slice(at, at + syncLimits.getIdsMax)
      const reply = await this.#client.request({ k: 'get', set, width, ids: asked }, 'get')
      if (reply.done < 1 || reply.done > asked.length) fault('malformed', 'a page of nothing')
      const covered = new Set(asked.slice(0, reply.done))
      const open = new Set(covered)
      for (const block of reply.events) {
        const short = this.#idOf(block).slice(0, width * 2)
        if (!covered.has(short)) fault('unasked', 'an event that was not asked for')
        open.delete(short)
        await this.#receive(block, walk)
      }
      walk.absent += open.size
      at += reply.done
      walk.isTurnOver = set === 'pool' && at < ids.length && this.#options.isTurnOver?.() === true
      if (walk.isTurnOver) return
    }
  }

  /** Holds events back a little, since children may come before their parents. */
  async #receive(block: Uint8Array, walk: Walk): Promise<void> {
    this.#pending.push(block)
    this.#pendingBytes += block.length
    const bytesMax = walk.set === 'pool' ? POOL_PENDING_BYTES_MAX : PENDING_BYTES_MAX
    if (this.#pendingBytes > bytesMax) await this.#flush(walk)
  }

  async #flush(walk: Walk): Promise<void> {
    const blocks = this.#pending
    this.#pending = []
    this.#pendingBytes = 0
    const { stored, missingParents, overQuota } = await this.#store(blocks)
    walk.stored += stored
    walk.missingParents ||= missingParents
    walk.overQuota ||= overQuota
  }

  async #store(blocks: readonly Uint8Array[]) {
    if (blocks.length === 0) return { stored: 0, missingParents: false, overQuota: false }
    const { stored, missingParents, refused } = await this.#needs.submit(blocks, this.#needs.peer)
    this.stored += stored
    if (stored > 0) {
      this.#client.progressed()
      this.#options.onStored?.(stored)
    }
    const lie = refused.find((refusal) => rejections[refusal.refused].provable)
    if (lie !== undefined) fault('invalid-event', `${lie.refused}: ${lie.what}`)
    const overQuota = refused.some((refusal) => refusal.refused === 'over-quota')
    this.#isBehind ||= refused.some((refusal) => refusal.refused === 'unknown-tenure')
    return { stored, missingParents: missingParents.length > 0, overQuota }
  }

  /** Reads the log from a depth on, and from further down as long as parents are missing there. */
  async #readLog(fromDepth: number): Promise<number> {
    let total = 0
    for (let gap = FIRST_GAP, depth = fromDepth; ; gap *= 2) {
      const { stored, missingParents } = await this.#readLogOnce(depth)
      total += stored
      if (!missingParents || stored > 0 || this.#isBehind) return total
      if (depth === 0) fault('incomplete-history', 'the log names parents it does not hold')
      depth = Math.max(0, fromDepth - gap)
    }
  }

  async #readLogOnce(depth: number): Promise<{ stored: number; missingParents: boolean }> {
    let total = 0
    let cursor: LogCursor = { depth, id: '', skip: 0 }
    let bytesMax: number = depth === 0 ? syncLimits.pageBytesMax : PROBE_BYTES
    let page = await this.#client.request({ k: 'log', from: cursor, bytesMax }, 'log')
    for (;;) {
      let ahead: Promise<typeof page> | undefined
      if (page.next !== undefined) {
        if (page.events.length === 0 || !isAfter(page.next, cursor)) {
          fault('malformed', 'a log that does not go on')
        }
        cursor = page.next
        bytesMax = syncLimits.pageBytesMax
        ahead = this.#client.request({ k: 'log', from: cursor, bytesMax }, 'log')
        ahead.catch(() => {})
      }
      const { stored, missingParents } = await this.#store(page.events)
      total += stored
      if (missingParents || ahead === undefined) return { stored: total, missingParents }
      page = await ahead
    }
  }

  async #ownRoots(): Promise<Roots> {
    this.ours = rootsOf(await this.#needs.source.sets())
    return this.ours
  }

  #idOf(block: Uint8Array): EventId {
    return eventIdOfBlock(block, this.#needs.sha256)
  }
}

function isAfter(next: LogCursor, cursor: LogCursor): boolean {
  if (next.depth !== cursor.depth) return next.depth > cursor.depth
  if (next.id !== cursor.id) return next.id > cursor.id
  return next.skip > cursor.skip
}
