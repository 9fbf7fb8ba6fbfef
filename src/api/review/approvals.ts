// How many owners have accepted what waits, and how many must. Where one is enough, nothing is read.
import { compareDates } from '../../core/accept-date.ts'
import { GonkError } from '../../core/errors.ts'
import { type EventId, type PublicKey, textOfEventId, type VersionId } from '../../core/ids.ts'
import type { ReviewOfProposal } from '../../core/state.ts'
import type { ProposalRow, Runs } from '../../log/rows.ts'
import type { Replica } from '../../replica/replica.ts'
import { runsUnion } from '../../replica/runs.ts'
import type { Approvals } from '../../contract/api.ts'
import { openRuns, type Run } from './review-batch.ts'

/** Undecided operations of one proposal of which the same is to be said. */
export interface ApprovalRun {
  readonly run: Run
  readonly approvals: Approvals
  /** The same once the key asked about has accepted them now; enough where `have` is `needed`. */
  readonly ifAccepted: Approvals
  /** That key has accepted them, and cannot add anything to it. */
  readonly isMine: boolean
}

const alone: Omit<ApprovalRun, 'run'> = {
  approvals: { have: 0, needed: 1 },
  ifAccepted: { have: 1, needed: 1 },
  isMine: false,
}

/**
 * What is open of some operations of a proposal, ascending; together the runs are all of it.
 * @param key of whoever may accept.
 */
export async function approvalRuns(
  replica: Replica,
  { id, row, runs }: { readonly id: EventId; readonly row: ProposalRow; readonly runs: Runs },
  key?: PublicKey,
): Promise<ApprovalRun[]> {
  const open = openRuns(row, runs)
  const { kOwner, kReview } = replica.policy
  if (open.length === 0 || kOwner === 1) return open.map((run) => ({ run, ...alone }))
  return approvalsIn(open, await reviewsOf(replica, id), { kReview, key })
}

/**
 * The reviews that together accept an operation, one of each key, the one that dates it last; none
 * where it is not accepted.
 */
export async function acceptsOf(
  replica: Replica,
  { proposal, index }: VersionId,
): Promise<EventId[]> {
  const accepts = countingAt(await reviewsOf(replica, proposal), index)
  const soFar: ReviewOfProposal[] = []
  for (const accept of accepts.sort((a, b) => compareDates(a.date, b.date))) {
    soFar.push(accept)
    // The one that comes is needed: without it they were not enough.
    for (let enough = accept.requires; enough <= soFar.length; enough++) {
      const some = soFar.filter(({ requires }) => requires <= enough)
      const byKey = new Map(some.map(({ key, event }) => [key, event]))
      if (byKey.size >= enough) return [...byKey.values()]
    }
  }
  return []
}

/** Acceptances of an operation that count. */
function countingAt(reviews: readonly ReviewOfProposal[], index: number): ReviewOfProposal[] {
  const byEvent = new Map(reviews.map((review) => [review.event, review]))
  return reviews.filter(
    (review) =>
      review.valid &&
      review.verdict === 'accept' &&
      covers(review, index) &&
      !review.validRejectsBefore.some((reject) => covers(byEvent.get(reject), index)),
  )
}

async function reviewsOf({ log, thresholds }: Replica, id: EventId): Promise<ReviewOfProposal[]> {
  const reviews = await log.reviewsOf(id)
  const events = reviews.map(({ event }) => event)
  const [voids, required] = await Promise.all([log.areVoid(events), log.requirements.of(events)])
  return reviews.map((review, i): ReviewOfProposal => {
    return { ...review, valid: voids[i] !== true, requires: required[i] ?? thresholds.kReview }
  })
}

/**
 * The same of undecided operations and all reviews of their proposal.
 * @param by `kReview`: what an acceptance signed now requires; `key`: of whoever would sign it.
 */
export function approvalsIn(
  open: readonly Run[],
  reviews: readonly ReviewOfProposal[],
  { kReview, key }: { readonly kReview: number; readonly key?: PublicKey | undefined },
): ApprovalRun[] {
  return piecesOf(open, reviews).map((run): ApprovalRun => {
    const [index] = run
    const required = new Map<PublicKey, number>()
    const accept = (by: PublicKey, requires: number) =>
      required.set(by, Math.min(required.get(by) ?? Infinity, requires))
    for (const one of countingAt(reviews, index)) accept(one.key, one.requires)
    const approvals = approvalsOf([...required.values()], kReview)
    const isMine = key !== undefined && (required.get(key) ?? Infinity) <= kReview
    if (key !== undefined) accept(key, kReview)
    return { run, approvals, isMine, ifAccepted: approvalsOf([...required.values()], kReview) }
  })
}

/**
 * Who accepts now asks for `kReview` keys; with those before, another number may be nearer.
 * @param required of each key that has accepted.
 */
function approvalsOf(required: readonly number[], kReview: number): Approvals {
  let best: Approvals | undefined
  for (const needed of [kReview, ...required].sort((a, b) => a - b)) {
    if (needed < kReview) continue
    const have = required.filter((one) => one <= needed).length
    if (best === undefined || needed - have < best.needed - best.have) best = { have, needed }
  }
  return best as Approvals
}

function covers(review: ReviewOfProposal | undefined, index: number): boolean {
  if (review?.ranges === undefined) return review !== undefined
  return review.ranges.some(([from, to]) => from <= index && index <= to)
}

/** The runs, cut wherever a review begins or ends. */
function piecesOf(open: readonly Run[], reviews: readonly ReviewOfProposal[]): Run[] {
  const starts = reviews.flatMap(({ ranges = [] }) =>
    ranges.flatMap(([from, to]) => [from, to + 1]),
  )
  const cuts = [...new Set(starts)].sort((a, b) => a - b)
  return open.flatMap(([from, to]) => {
    const inside = cuts.filter((cut) => cut > from && cut <= to)
    return [from, ...inside].map((start, i): Run => [start, (inside[i] ?? to + 1) - 1])
  })
}

/** Of operations that may be anywhere; undefined for what is decided, or not here. */
export async function approvalsOfAll(
  replica: Replica,
  versions: readonly VersionId[],
  key: PublicKey,
): Promise<(ApprovalRun | undefined)[]> {
  const ids = [...new Set(versions.map(({ proposal }) => proposal))]
  const rows = await replica.log.proposals(ids)
  const known = new Map<EventId, ApprovalRun[]>()
  for (const [i, id] of ids.entries()) {
    const row = rows[i]
    if (row === undefined) continue
    const runs: Runs = [[0, row.operations - 1]]
    known.set(id, await approvalRuns(replica, { id, row, runs }, key))
  }
  return versions.map(({ proposal, index }) =>
    known.get(proposal)?.find(({ run: [from, to] }) => from <= index && index <= to),
  )
}

/** Of several, that which is furthest from being accepted. */
export function furthest(runs: readonly Pick<ApprovalRun, 'approvals'>[]): Approvals | undefined {
  const lack = ({ have, needed }: Approvals) => needed - have
  return runs.map(({ approvals }) => approvals).sort((a, b) => lack(b) - lack(a))[0]
}

/** Without those that the key has accepted already, neighbours joined. */
export function othersOf(runs: readonly ApprovalRun[]): Run[] {
  return [...runsUnion(runs.filter(({ isMine }) => !isMine).map(({ run }) => [run]))]
}

/** `1 of 2, 1 more owner must accept`. */
export function approvalsText({ have, needed }: Approvals): string {
  const more = needed - have
  return `${have} of ${needed}, ${more} more owner${more === 1 ? '' : 's'} must accept`
}

/** For who accepts again what waits for others. */
export function alreadyAccepted(id: EventId, approvals: Approvals): GonkError {
  const what = `you have accepted ${textOfEventId(id)} already; ${approvalsText(approvals)}`
  return new GonkError('ALREADY_APPROVED', what, {
    hint: 'another owner runs `gonk-node review accept`; `gonk-node owner list` names them',
    details: { approvals },
  })
}
