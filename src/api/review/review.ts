// Decisions of the key of whoever asks, all or nothing. An acceptance is signed only for content that
// is here and verified, and that conforms.
import { GonkError } from '../../core/errors.ts'
import type { Proposal, ReviewItem, Verdict } from '../../core/event.ts'
import { type PublicKey, textOfEventId } from '../../core/ids.ts'
import { throwIfAborted } from '../../files/concurrent.ts'
import type { CatalogEntry } from '../../log/catalog.ts'
import type { CheckOptions } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import {
  type AcceptOptions,
  obstacleOf,
  obstaclesTo,
  refusalOf,
  requireCurrent,
} from './acceptable.ts'
import { checksOfRequest } from '../annotations/conformity.ts'
import { alreadyAccepted, approvalRuns, furthest, othersOf } from './approvals.ts'
import type { NodeContext } from '../context.ts'
import { isJudged, judge } from './judge.ts'
import {
  alreadyDecided,
  inReviews,
  openRuns,
  operationsOf,
  requireReviewer,
  runsOf,
  type Saying,
  type Selected,
  signReview,
} from './review-batch.ts'
import { byKey, findReviews, parseItems } from './review-queue.ts'
import { noteSigned, type Signed } from './signed.ts'
import { versionText } from '../text.ts'
import type { ProgressOptions, ReviewRequest, ReviewResult } from '../../contract/api.ts'

/**
 * Signs a verdict on the items named, or on all that wait. Fetches and verifies first what it
 * accepts. Throws NOT_OWNER, NOT_FOUND, ALREADY_DECIDED, ALREADY_APPROVED (others must accept it now),
 * STALE_BASE, NOT_HERE, BAD_NAME, NOT_CONFORMING, BAD_SCHEMA, TOO_COSTLY, LOCKED.
 */
export async function review(
  context: NodeContext,
  entry: CatalogEntry,
  request: ReviewRequest,
  options: ProgressOptions = {},
): Promise<ReviewResult> {
  const replica = await context.replicas.get(entry.id)
  requireReviewer(context, replica, [request.reason])
  const asked = await askedFor(context, replica, request)
  // What is named must all be open before anything is signed; all that waits may be too much to hold.
  const by = { verdict: request.verdict, key: context.signer.publicKey }
  const selected = request.all
    ? select(replica, asked, { ...by, skips: 'all' })
    : await listOf(select(replica, asked, by))
  const result: Signed = { events: [], decided: [], waiting: [] }
  const checked = { ...options, budget: checksOfRequest() }
  for await (const batch of inReviews(selected)) {
    throwIfAborted(options.signal)
    result.events.push(await decideBatch(context, replica, batch, request, checked))
    await noteSigned(context, replica, batch, result)
    const { length: done } = [...result.decided, ...result.waiting]
    const what = `${request.verdict}ing`
    options.onProgress?.({ what, done, total: asked.length, bytes: 0 })
  }
  const { waiting, ...rest } = result
  return waiting.length > 0 ? result : rest
}

/**
 * As {@link review}, of items that are known by their ids, without those that the key has accepted
 * already. Both enter `keeper.gate.shared` themselves:
 * never call them from inside.
 * @param decision `allowStale`: accept also what builds on a version that is not current.
 * @returns ids of the events.
 */
export async function decideItems(
  context: NodeContext,
  replica: Replica,
  decision: {
    readonly verdict: Verdict
    readonly items: readonly ReviewItem[]
    readonly reason?: string
    readonly allowStale?: boolean
  },
  options: ProgressOptions = {},
): Promise<string[]> {
  requireReviewer(context, replica, [decision.reason])
  const { allowStale = false } = decision
  const budget = checksOfRequest()
  const events: string[] = []
  const by = { verdict: decision.verdict, key: context.signer.publicKey, skips: 'mine' as const }
  const selected = await listOf(select(replica, decision.items, by))
  for await (const batch of inReviews(selected)) {
    const event = decideBatch(context, replica, batch, decision, { ...options, allowStale, budget })
    events.push(await event)
  }
  return events
}

/**
 * Accepts whole proposals that were made here just now, whose content is known to be here.
 * Throws NOT_OWNER, NOT_CONFORMING, BAD_SCHEMA, TOO_COSTLY, LOCKED.
 */
export async function acceptProposals(
  context: NodeContext,
  replica: Replica,
  proposals: readonly Proposal[],
): Promise<void> {
  const whole = proposals.map((proposal): Selected => {
    return { proposal, runs: [[0, proposal.operations.length - 1]] }
  })
  const budget = checksOfRequest()
  for await (const batch of inReviews(whole)) {
    await requireConforming(context, replica, batch, { budget })
    await signReview(context, replica, batch, { verdict: 'accept' })
  }
}

async function requireConforming(
  context: NodeContext,
  replica: Replica,
  batch: readonly Selected[],
  options: CheckOptions,
): Promise<void> {
  if (!batch.some(({ proposal }) => proposal.operations.some(isJudged))) return
  for await (const part of judge(context, replica, operationsOf(batch), options)) {
    for (const { id, conformity } of part) {
      const obstacle = obstacleOf(conformity)
      if (obstacle === undefined) continue
      const { code, what, details = {} } = obstacle
      throw new GonkError(code, `${versionText(id)} ${what}`, { details })
    }
  }
}

async function askedFor(
  context: NodeContext,
  replica: Replica,
  request: ReviewRequest,
): Promise<ReviewItem[]> {
  if (request.all) return findReviews(replica, byKey(context, request.all))
  const asked = await parseItems(replica, request.items ?? [])
  if (asked.length > 0) return asked
  throw new GonkError('USAGE', 'no proposal is named', {
    hint: 'name events from `gonk-node review list`, or use --all',
  })
}

interface Selecting {
  readonly verdict: Verdict
  /** Of whoever decides. */
  readonly key: PublicKey
  /** What is left out and not refused: what is not open to the key, or only what it has accepted. */
  readonly skips?: 'all' | 'mine'
}

async function* select(
  replica: Replica,
  asked: readonly ReviewItem[],
  { verdict, key, skips }: Selecting,
): AsyncGenerator<Selected> {
  for (const item of asked) {
    const row = await replica.log.proposal(item.proposal)
    const proposal = await replica.proposal(item.proposal)
    if (!row || !proposal) {
      throw new GonkError('NOT_FOUND', `no proposal ${textOfEventId(item.proposal)}`)
    }
    const runs = openRuns(row, runsOf(item, row))
    if (runs.length === 0 && skips !== 'all') throw alreadyDecided(item.proposal)
    if (verdict === 'reject') {
      if (runs.length > 0) yield { proposal, runs }
      continue
    }
    const known = await approvalRuns(replica, { id: proposal.id, row, runs }, key)
    const rest = othersOf(known)
    const approvals = furthest(known)
    if (rest.length > 0) yield { proposal, runs: rest }
    else if (approvals && skips === undefined) throw alreadyAccepted(item.proposal, approvals)
  }
}

async function listOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

async function decideBatch(
  context: NodeContext,
  replica: Replica,
  batch: readonly Selected[],
  saying: Saying,
  options: AcceptOptions,
): Promise<string> {
  if (saying.verdict === 'reject') return signReview(context, replica, batch, saying)
  // What was fetched for an acceptance is kept by nothing else until that is signed.
  return context.keeper.gate.shared(async () => {
    const obstacles = await obstaclesTo(context, replica, batch, { ...options, firstOnly: true })
    if (obstacles.size > 0) throw refusalOf(context, replica, obstacles, batch)
    const check = () => requireCurrent(replica, batch, options)
    return signReview(context, replica, batch, saying, check)
  })
}
