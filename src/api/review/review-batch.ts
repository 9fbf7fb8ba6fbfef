// Operations of proposals on their way into signed reviews: parts of what one event may hold.
import { GonkError } from '../../core/errors.ts'
import type { Operation, Proposal, ReviewItem, Verdict } from '../../core/event.ts'
import { type EventId, textOfEventId, type VersionId, versionKey } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { ProposalRow, Runs } from '../../log/rows.ts'
import type { Replica } from '../../replica/replica.ts'
import type { NodeContext } from '../context.ts'

export type Run = readonly [from: number, to: number]

/** Operations of one proposal that are to be decided. */
export interface Selected {
  readonly proposal: Proposal
  readonly runs: readonly Run[]
}

/** What a review says of a batch. */
export interface Saying {
  readonly verdict: Verdict
  readonly reason?: string | undefined
}

/** Of one review; in memory they take several times that. */
const PROPOSAL_BYTES_AT_ONCE = 16 << 20

/** Throws NOT_OWNER, and TOO_LARGE for a reason that no event holds. */
export function requireReviewer(
  context: Pick<NodeContext, 'signer'>,
  replica: Replica,
  reasons: readonly (string | undefined)[],
): void {
  const { publicKey } = context.signer
  if (replica.tenureOf(publicKey) === undefined) {
    throw new GonkError('NOT_OWNER', `key ${publicKey} is not an owner of this dataset`)
  }
  const isLong = reasons.some((reason = '') => Buffer.byteLength(reason) > limits.textBytesMax)
  if (isLong) throw new GonkError('TOO_LARGE', `a reason has at most ${limits.textBytesMax} bytes`)
}

/** Throws NOT_FOUND, also for one that is damaged. */
export async function readProposal(replica: Replica, id: EventId): Promise<Proposal> {
  const proposal = await replica.proposal(id)
  if (proposal !== undefined) return proposal
  throw new GonkError('NOT_FOUND', `no proposal ${textOfEventId(id)}`)
}

/** What of some operations is undecided. */
export function openRuns(row: ProposalRow, runs: readonly Run[]): Run[] {
  const open = row.decisions.filter(({ status }) => status === 'pending')
  return runs
    .flatMap(([from, to]) =>
      open.map((run): Run => [Math.max(from, run.from), Math.min(to, run.to)]),
    )
    .filter(([from, to]) => from <= to)
}

/** Those an item names, or all. */
export function runsOf({ ranges }: ReviewItem, row: ProposalRow): Runs {
  return ranges ?? [[0, row.operations - 1]]
}

/** Groups of what one event may hold, and of what may be in memory. */
export async function* inReviews(
  selected: AsyncIterable<Selected> | Iterable<Selected>,
): AsyncGenerator<Selected[]> {
  let batch: Selected[] = []
  let ranges = 0
  let bytes = 0
  for await (const { proposal, runs } of selected) {
    for (let i = 0; i < runs.length; i += limits.reviewRangesMax) {
      const part = runs.slice(i, i + limits.reviewRangesMax)
      const isFull = batch.length === limits.reviewItemsMax || bytes >= PROPOSAL_BYTES_AT_ONCE
      if (isFull || ranges + part.length > limits.reviewRangesMax) {
        if (batch.length > 0) yield batch
        batch = []
        ranges = 0
        bytes = 0
      }
      batch.push({ proposal, runs: part })
      ranges += isWhole(proposal, part) ? 0 : part.length
      bytes += proposal.block.length
    }
  }
  if (batch.length > 0) yield batch
}

function isWhole(proposal: Proposal, runs: readonly Run[]): boolean {
  const [only] = runs
  return runs.length === 1 && only?.[0] === 0 && only[1] === proposal.operations.length - 1
}

/** Every operation of a batch, in order. */
export function* operationsOf(
  batch: readonly Selected[],
): Generator<{ operation: Operation; id: VersionId; proposal: Proposal }> {
  for (const { proposal, runs } of batch) {
    for (const [from, to] of runs) {
      for (let index = from; index <= to; index++) {
        const operation = proposal.operations[index] as Operation
        yield { operation, id: { proposal: proposal.id, index }, proposal }
      }
    }
  }
}

/** The batch without some operations: it may have more ranges than one event holds. */
export function without(
  batch: readonly Selected[],
  isLeftOut: (id: VersionId) => boolean,
): Selected[] {
  const kept = new Map<Proposal, [number, number][]>()
  for (const { id, proposal } of operationsOf(batch)) {
    if (isLeftOut(id)) continue
    const runs = kept.get(proposal) ?? []
    kept.set(proposal, runs)
    const last = runs.at(-1)
    if (last?.[1] === id.index - 1) last[1] = id.index
    else runs.push([id.index, id.index])
  }
  return [...kept].map(([proposal, runs]) => ({ proposal, runs }))
}

/** `EVENT:INDEX`, `EVENT:FROM-TO`. */
export function runText(id: EventId, [from, to]: Run): string {
  return `${textOfEventId(id)}:${from}-${to}`
}

/**
 * Signs one review and stores it durably; `check` runs behind the lock of the replica, just before.
 * Throws ALREADY_DECIDED when a decision came first, and what `check` throws.
 * @returns the id of the event as text.
 */
export async function signReview(
  context: Pick<NodeContext, 'signer'>,
  replica: Replica,
  batch: readonly Selected[],
  { verdict, reason }: Saying,
  check: () => Promise<void> = async () => {},
): Promise<string> {
  const items = batch.map(({ proposal, runs }): ReviewItem =>
    isWhole(proposal, runs) ? { proposal: proposal.id } : { proposal: proposal.id, ranges: runs },
  )
  const body = { kind: 'review' as const, verdict, items, ...(reason !== undefined && { reason }) }
  const event = await replica.act(context.signer, body, async () => {
    await requireOpen(replica, batch)
    await check()
  })
  return textOfEventId(event.id)
}

async function requireOpen(replica: Replica, batch: readonly Selected[]): Promise<void> {
  const rows = await replica.log.proposals(batch.map(({ proposal }) => proposal.id))
  for (const [i, { proposal, runs }] of batch.entries()) {
    const row = rows[i]
    const isOpen = row !== undefined && countOf(openRuns(row, runs)) === countOf(runs)
    if (!isOpen) throw alreadyDecided(proposal.id)
  }
}

export function alreadyDecided(id: EventId): GonkError {
  return new GonkError('ALREADY_DECIDED', `${textOfEventId(id)} is decided`)
}

/** Operations in runs that do not overlap. */
export function countOf(runs: readonly Run[]): number {
  return runs.reduce((sum, [from, to]) => sum + to - from + 1, 0)
}

/** Whether one of the operations is among some. */
export const isIn = (ids: ReadonlySet<string> | ReadonlyMap<string, unknown>) => (id: VersionId) =>
  ids.has(versionKey(id))
