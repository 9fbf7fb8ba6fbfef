// Many decisions in one call: everything that can be signed is, and of every operation it is said what
// became of it. Whoever asks again gets the same answer.
import { GonkError } from '../../core/errors.ts'
import type { Proposal } from '../../core/event.ts'
import {
  type EventId,
  textOfEventId,
  type VersionId,
  type VersionKey,
  versionKey,
} from '../../core/ids.ts'
import { throwIfAborted } from '../../files/concurrent.ts'
import type { ProposalRow } from '../../log/rows.ts'
import type { AbortOptions, CheckOptions } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import { runsUnion } from '../../replica/runs.ts'
import type {
  Approvals,
  CheckResult,
  Decided,
  DecideRequest,
  DecisionRequest,
  ItemOutcome,
} from '../../contract/api.ts'
import { type Obstacles, obstaclesTo, requireCurrent } from './acceptable.ts'
import { answerOnce } from './answers.ts'
import { approvalRuns, approvalsText, othersOf } from './approvals.ts'
import { findChanged, type Outcomes, type Seen } from './changed.ts'
import { checksOfRequest } from '../annotations/conformity.ts'
import type { NodeContext } from '../context.ts'
import {
  inReviews,
  isIn,
  openRuns,
  operationsOf,
  readProposal,
  requireReviewer,
  type Run,
  type Saying,
  type Selected,
  signReview,
  without,
} from './review-batch.ts'
import { parseRuns } from './review-queue.ts'
import { OPERATIONS_AT_ONCE, selectedItems, tooMany } from './selections.ts'
import { versionText } from '../text.ts'

type Decision = DecisionRequest['decisions'][number]

/** All that is to be said with one verdict and one reason. */
interface Group {
  readonly saying: Saying
  readonly proposals: Map<EventId, Run[]>
}

interface Plan {
  readonly groups: readonly Group[]
  /** Operations in the order of the request. */
  readonly order: readonly VersionId[]
  readonly seen: ReadonlyMap<VersionKey, Seen>
}

/** Somebody else decided something in between so many times in a row. */
const TRIES_MAX = 5

/**
 * Signs what can be decided. The answer is on disk before it is given. A crash between signing and
 * that, or an end of the request, is no harm: asked again, what was signed is `alreadyDecided`, and is
 * not signed twice. Throws NOT_OWNER, USAGE, NOT_FOUND (items that do not exist, selections that have
 * expired), AMBIGUOUS, TOO_LARGE, TOO_COSTLY (the checks of all together), LOCKED, CANCELLED, and EXISTS
 * for a key that stands for another request.
 */
export async function decide(
  context: NodeContext,
  replica: Replica,
  { idempotencyKey: key, decisions }: DecideRequest,
  options: AbortOptions = {},
): Promise<Decided> {
  const checks = { signal: options.signal, budget: checksOfRequest() }
  const answer = async (): Promise<Decided> => {
    const plan = await planOf(context, replica, decisions, options)
    const outcomes: Outcomes = new Map()
    const events: string[] = []
    await findChanged(replica, plan, outcomes, options)
    for (const group of plan.groups) {
      for await (const batch of inReviews(openOf(context, replica, group, outcomes, options))) {
        events.push(...(await decideBatch(context, replica, batch, group.saying, outcomes, checks)))
      }
    }
    return { events, results: resultsOf(plan, outcomes) }
  }
  if (key === undefined) return answer()
  const { publicKey } = context.signer
  return answerOnce(context, replica, { publicKey, key, request: decisions }, answer)
}

/**
 * What {@link decide} would do now, without fetching anything: what is not on this node yet is
 * `notHere`, though deciding may get it. Throws as it does.
 */
export async function checkDecisions(
  context: NodeContext,
  replica: Replica,
  { decisions }: DecisionRequest,
  options: AbortOptions = {},
): Promise<CheckResult> {
  const plan = await planOf(context, replica, decisions, options)
  const checks = { signal: options.signal, budget: checksOfRequest(), lookOnly: true }
  const outcomes: Outcomes = new Map()
  const accepted = new Set<VersionKey>()
  let events = 0
  await findChanged(replica, plan, outcomes, options)
  for (const group of plan.groups) {
    for await (const batch of inReviews(openOf(context, replica, group, outcomes, options))) {
      const isAccept = group.saying.verdict === 'accept'
      const obstacles: Obstacles = isAccept
        ? await obstaclesTo(context, replica, batch, { ...checks, accepted })
        : new Map()
      note(obstacles, outcomes)
      for await (const part of inReviews(without(batch, isIn(obstacles)))) {
        events++
        if (isAccept) await noteSaid(context, replica, part, 'ifAccepted', outcomes)
        else noteDecided(part, outcomes)
        if (isAccept) for (const { id } of operationsOf(part)) accepted.add(versionKey(id))
      }
    }
  }
  return { results: resultsOf(plan, outcomes), events }
}

// ---------------------------------------------------------------- what is asked

async function planOf(
  context: NodeContext,
  replica: Replica,
  decisions: readonly Decision[],
  options: AbortOptions,
): Promise<Plan> {
  requireReviewer(
    context,
    replica,
    decisions.map(({ reason }) => reason),
  )
  const groups = new Map<string, Group>()
  const takenBy = new Map<VersionKey, Decision>()
  const order: VersionId[] = []
  const seen = new Map<VersionKey, Seen>()
  for (const decision of decisions) {
    const { verdict, reason } = decision
    const name = JSON.stringify([verdict, reason])
    const group = groups.get(name) ?? { saying: { verdict, reason }, proposals: new Map() }
    groups.set(name, group)
    for (const { proposal, run, as } of await runsAsked(context, replica, decision, options)) {
      const runs = group.proposals.get(proposal)
      if (runs) runs.push(run)
      else group.proposals.set(proposal, [run])
      for (let index = run[0]; index <= run[1]; index++) {
        const version = { proposal, index }
        const key = versionKey(version)
        if (as !== undefined) seen.set(key, as)
        const before = takenBy.get(key)
        if (before === decision) continue
        if (before !== undefined) {
          throw new GonkError('USAGE', `${versionText(version)} is in two of the decisions`)
        }
        takenBy.set(key, decision)
        if (order.push(version) > OPERATIONS_AT_ONCE) throw tooMany()
      }
    }
  }
  for (const { proposals } of groups.values()) {
    for (const [id, runs] of proposals) {
      proposals.set(id, [...runsUnion(runs.map((run) => [run]))])
    }
  }
  return { groups: [...groups.values()], order, seen }
}

interface AskedRun {
  readonly proposal: EventId
  readonly run: Run
  /** As it was shown. */
  readonly as?: Seen | undefined
}

async function runsAsked(
  context: NodeContext,
  replica: Replica,
  { items = [], selection }: Decision,
  options: AbortOptions,
): Promise<AskedRun[]> {
  if (items.length === 0 && selection === undefined) {
    throw new GonkError('USAGE', 'a decision names neither items nor a selection')
  }
  const texts = items.map(({ item }) => item)
  const named = await parseRuns(replica, texts, options)
  const asked = named.map(({ proposal, run }, i): AskedRun => {
    return { proposal, run, as: items[i]?.seen }
  })
  if (selection === undefined) return asked
  for (const { proposal, ranges = [] } of selectedItems(context, replica, selection)) {
    for (const run of ranges) asked.push({ proposal, run })
  }
  return asked
}

// ---------------------------------------------------------------- deciding

/** What of a group is open and unchanged, by arrival: bases mostly come before what builds on them. */
async function* openOf(
  context: NodeContext,
  replica: Replica,
  { proposals, saying }: Group,
  outcomes: Outcomes,
  { signal }: AbortOptions,
): AsyncGenerator<Selected> {
  const ids = [...proposals.keys()]
  const rows = await replica.log.proposals(ids)
  const known = ids.map((id, i) => ({ id, arrival: rows[i]?.arrival ?? 0 }))
  for (const { id } of known.sort((a, b) => a.arrival - b.arrival)) {
    throwIfAborted(signal)
    const proposal = await readProposal(replica, id)
    const whole = [{ proposal, runs: proposals.get(id) ?? [] }]
    const [selected] = without(whole, isIn(outcomes))
    const some = selected === undefined ? [] : [selected]
    const [open] = await stillOpen(context, replica, some, saying, outcomes)
    if (open !== undefined) yield open
  }
}

/** Notes what is decided, and what whoever asks has accepted already. @returns the rest */
async function stillOpen(
  { signer }: NodeContext,
  replica: Replica,
  batch: readonly Selected[],
  { verdict }: Saying,
  outcomes: Outcomes,
): Promise<Selected[]> {
  const rows = await replica.log.proposals(batch.map(({ proposal }) => proposal.id))
  const open: Selected[] = []
  for (const [i, { proposal, runs }] of batch.entries()) {
    const row = rows[i] as ProposalRow
    noteAlready(proposal, row, runs, outcomes)
    let rest = openRuns(row, runs)
    if (verdict === 'accept') {
      const known = await approvalRuns(replica, { id: proposal.id, row, runs }, signer.publicKey)
      for (const { run, approvals, isMine } of known) {
        if (isMine) noteApproved('alreadyApproved', proposal, run, approvals, outcomes)
      }
      rest = othersOf(known)
    }
    if (rest.length > 0) open.push({ proposal, runs: rest })
  }
  return open
}

function noteAlready(
  { id }: Proposal,
  { decisions }: ProposalRow,
  runs: readonly Run[],
  outcomes: Outcomes,
): void {
  for (const decision of decisions) {
    if (decision.status === 'pending') continue
    const what = `${decision.status} by ${textOfEventId(decision.by)}`
    for (const [from, to] of runs) {
      const end = Math.min(to, decision.to)
      for (let index = Math.max(from, decision.from); index <= end; index++) {
        outcomes.set(versionKey({ proposal: id, index }), { outcome: 'alreadyDecided', what })
      }
    }
  }
}

/** Signs what nothing stands in the way of. @returns ids of the events */
async function decideBatch(
  context: NodeContext,
  replica: Replica,
  batch: readonly Selected[],
  saying: Saying,
  outcomes: Outcomes,
  checks: CheckOptions,
): Promise<string[]> {
  const events: string[] = []
  let open = batch
  for (let tries = 1; open.length > 0; tries++) {
    try {
      // What was fetched for an acceptance is kept by nothing else until that is signed.
      await context.keeper.gate.shared(() => sign(open))
      return events
    } catch (error) {
      if (!isOvertaken(error) || tries === TRIES_MAX) throw error
    }
    open = await stillOpen(context, replica, without(open, isIn(outcomes)), saying, outcomes)
  }
  return events

  async function sign(selected: readonly Selected[]): Promise<void> {
    const isAccept = saying.verdict === 'accept'
    const obstacles = isAccept ? await obstaclesTo(context, replica, selected, checks) : new Map()
    throwIfAborted(checks.signal)
    const rest = without(selected, isIn(obstacles))
    // What is signed in several parts stands or falls together.
    const accepted = new Set([...operationsOf(rest)].map(({ id }) => versionKey(id)))
    for await (const part of inReviews(rest)) {
      const check = isAccept ? () => requireCurrent(replica, part, { accepted }) : undefined
      events.push(await signReview(context, replica, part, saying, check))
      await noteSaid(context, replica, part, 'approvals', outcomes)
    }
    note(obstacles, outcomes)
  }
}

/** Another decision came between looking and signing. */
function isOvertaken(error: unknown): boolean {
  const code = error instanceof GonkError ? error.code : undefined
  return code === 'ALREADY_DECIDED' || code === 'STALE_BASE'
}

// ---------------------------------------------------------------- what became of it

function note(obstacles: Obstacles, outcomes: Outcomes): void {
  for (const [key, { outcome, code, what }] of obstacles) {
    outcomes.set(key, { outcome, what: `${code}: it ${what}` })
  }
}

function noteDecided(batch: readonly Selected[], outcomes: Outcomes): void {
  for (const { id } of operationsOf(batch)) outcomes.set(versionKey(id), { outcome: 'decided' })
}

/** What is decided of a batch that was accepted or is about to be, and what waits for more owners. */
async function noteSaid(
  { signer }: NodeContext,
  replica: Replica,
  batch: readonly Selected[],
  when: 'approvals' | 'ifAccepted',
  outcomes: Outcomes,
): Promise<void> {
  noteDecided(batch, outcomes)
  const rows = await replica.log.proposals(batch.map(({ proposal }) => proposal.id))
  for (const [i, { proposal, runs }] of batch.entries()) {
    const about = { id: proposal.id, row: rows[i] as ProposalRow, runs }
    for (const { run, [when]: approvals } of await approvalRuns(replica, about, signer.publicKey)) {
      if (approvals.have >= approvals.needed) continue
      noteApproved('approved', proposal, run, approvals, outcomes)
    }
  }
}

function noteApproved(
  outcome: 'approved' | 'alreadyApproved',
  { id }: Proposal,
  [from, to]: Run,
  approvals: Approvals,
  outcomes: Outcomes,
): void {
  const what = approvalsText(approvals)
  for (let index = from; index <= to; index++) {
    outcomes.set(versionKey({ proposal: id, index }), { outcome, what, approvals })
  }
}

function resultsOf({ order }: Plan, outcomes: Outcomes): ItemOutcome[] {
  return order.map((version) => {
    const outcome = outcomes.get(versionKey(version))
    if (outcome === undefined) throw new Error(`nothing became of ${versionText(version)}`)
    return { item: versionText(version), ...outcome }
  })
}
