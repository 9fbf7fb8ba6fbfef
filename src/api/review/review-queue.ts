// What waits for a decision and what was decided, proposal by proposal, and the text form of parts of
// proposals: `EVENT`, `EVENT:INDEX`, `EVENT:FROM-TO`.
import { GonkError } from '../../core/errors.ts'
import type { Operation, Proposal, ReviewItem } from '../../core/event.ts'
import { type EventId, eventIdOfText, textOfEventId, type VersionId } from '../../core/ids.ts'
import { throwIfAborted } from '../../files/concurrent.ts'
import type { DatasetLog } from '../../log/dataset-log.ts'
import type { ProposalRow } from '../../log/rows.ts'
import type { AbortOptions } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import { runsUnion } from '../../replica/runs.ts'
import { approvalRuns, furthest } from './approvals.ts'
import type { NodeContext } from '../context.ts'
import { isJudged, judge } from './judge.ts'
import { readProposals, resolveEvent } from '../resolve.ts'
import { openRuns, operationsOf, type Run, type Selected } from './review-batch.ts'
import { proposalTypeOf, summaryOfProposal } from '../history/summary.ts'
import { timeText } from '../text.ts'
import type { ReviewEntry, ReviewFilter, ReviewListFilter } from '../../contract/api.ts'
import { inGroups } from '../../files/concurrent.ts'

type Status = keyof ReviewEntry['status']

/** Of one answer. */
const ENTRIES_MAX = 1_000
const ROWS_PER_READ = 500
/** Blocks of at most 256 KiB. */
const PROPOSALS_PER_READ = 16
/** Of one list: annotations and schemas whose conformity is looked at, and for how long. */
const JUDGED_MAX = 1_000
const JUDGING_MS = 2_000

/**
 * {@link reviews} as a list of at most 1,000, those behind `after` (an event of the list). Of
 * annotations and schemas that wait, it says how many are known not to conform, as far as they are here,
 * for a bounded number of them and a short time. Throws USAGE, NOT_FOUND, CANCELLED.
 */
export async function listReviews(
  context: Pick<NodeContext, 'files' | 'validator' | 'signer'>,
  replica: Replica,
  { limit = ENTRIES_MAX, after, ...filter }: ReviewListFilter = {},
  options: AbortOptions = {},
): Promise<ReviewEntry[]> {
  const from = after === undefined ? 0 : 1 + (await arrivalOf(replica.log, after))
  const entries: ReviewEntry[] = []
  const signal = AbortSignal.timeout(JUDGING_MS)
  let left = JUDGED_MAX
  for await (const { entry, selected } of found(replica, byKey(context, filter), from)) {
    throwIfAborted(options.signal)
    const judged = [...operationsOf([selected])].filter(({ operation }) => isJudged(operation))
    const some = judged.slice(0, left)
    left -= some.length
    const invalid = await countInvalid(context, replica, some, signal)
    entries.push(invalid > 0 ? { ...entry, invalid } : entry)
    if (entries.length === Math.min(limit, ENTRIES_MAX)) break
  }
  return entries
}

async function arrivalOf(log: DatasetLog, event: string): Promise<number> {
  const id = eventIdOfText(event)
  const row = id && (await log.proposal(id))
  if (row) return row.arrival
  throw new GonkError('NOT_FOUND', `no proposal ${event.slice(0, 100)} here`, {
    hint: 'give `event` of the last entry that is known as `after`',
  })
}

/** With `me` as the key of whoever asks. */
export function byKey({ signer }: Pick<NodeContext, 'signer'>, filter: ReviewFilter): ReviewFilter {
  return filter.author === 'me' ? { ...filter, author: signer.publicKey } : filter
}

/** Of those that could be looked at in time. */
async function countInvalid(
  context: Pick<NodeContext, 'files' | 'validator'>,
  replica: Replica,
  operations: readonly { operation: Operation; id: VersionId }[],
  signal: AbortSignal,
): Promise<number> {
  let invalid = 0
  if (operations.length === 0 || signal.aborted) return invalid
  try {
    for await (const part of judge(context, replica, operations, { signal })) {
      invalid += part.filter(({ conformity }) => conformity.status === 'invalid').length
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
  return invalid
}

/**
 * Proposals with at least one operation of the status asked for, oldest arrival first.
 * @param filter `author`: a public key or its beginning. Throws USAGE when it is none.
 */
export async function* reviews(
  replica: Replica,
  filter: ReviewFilter = {},
): AsyncIterable<ReviewEntry> {
  for await (const { entry } of found(replica, filter)) yield entry
}

/** With what is open of each. */
async function* found(
  replica: Replica,
  filter: ReviewFilter,
  from = 0,
): AsyncIterable<{ entry: ReviewEntry; selected: Selected }> {
  const { log } = replica
  for await (const batch of inGroups(matching(log, filter, from), PROPOSALS_PER_READ)) {
    const proposals = await readProposals(
      log,
      batch.map(([id]) => id),
    )
    for (const [i, [, row]] of batch.entries()) {
      const proposal = proposals[i]
      if (proposal === undefined) continue
      const runs = openRuns(row, [[0, row.operations - 1]])
      yield { entry: await entryOf(replica, proposal, row), selected: { proposal, runs } }
    }
  }
}

/** All proposals that pass the filter and have something left to decide, for a review of them all. */
export async function findReviews(
  replica: Replica,
  filter: ReviewFilter = {},
): Promise<ReviewItem[]> {
  const items: ReviewItem[] = []
  for await (const [proposal, row] of matching(replica.log, filter)) {
    if (countsOf(row).pending > 0) items.push({ proposal })
  }
  return items
}

async function* matching(
  log: DatasetLog,
  { status = 'pending', author = '' }: ReviewFilter,
  from = 0,
): AsyncIterable<[EventId, ProposalRow]> {
  if (!/^[0-9a-f]{0,64}$/.test(author)) {
    throw new GonkError('USAGE', `"${author}" is not a public key`, {
      hint: 'a key is 64 lower-case hex digits',
    })
  }
  const ids = status === 'pending' ? log.pending({ from }) : arrivalsOf(log, from)
  for await (const batch of inGroups(ids, ROWS_PER_READ)) {
    const rows = await log.proposals(batch)
    for (const [i, id] of batch.entries()) {
      const row = rows[i]
      if (row === undefined || !row.author.startsWith(author)) continue
      if (status === 'all' || countsOf(row)[status] > 0) yield [id, row]
    }
  }
}

async function* arrivalsOf(log: DatasetLog, from: number): AsyncIterable<EventId> {
  for await (const [, id] of log.arrivals(from)) yield id
}

export async function entryOf(
  replica: Replica,
  proposal: Proposal,
  row: ProposalRow,
): Promise<ReviewEntry> {
  const whole = { id: proposal.id, row, runs: [[0, row.operations - 1]] as const }
  const approvals = furthest(await approvalRuns(replica, whole))
  return {
    event: textOfEventId(proposal.id),
    type: proposalTypeOf(proposal),
    author: proposal.author,
    summary: await summaryOfProposal(replica.log, proposal),
    at: timeText(proposal.claimedAtMs),
    operations: row.operations,
    status: countsOf(row),
    ...(approvals && { approvals }),
  }
}

export function countsOf(row: ProposalRow): Record<Status, number> {
  const counts = { pending: 0, accepted: 0, rejected: 0 }
  for (const { from, to, status } of row.decisions) counts[status] += to - from + 1
  return counts
}

// ---------------------------------------------------------------- parts of proposals

/** Some operations of one proposal, as one text names them. */
export interface NamedRun {
  readonly proposal: EventId
  readonly run: Run
  /** Operations of the proposal. */
  readonly of: number
}

/**
 * What each text names. EVENT may be a unique prefix. Throws USAGE, NOT_FOUND (also past the last
 * operation), AMBIGUOUS, CANCELLED.
 */
export async function parseRuns(
  replica: Replica,
  texts: readonly string[],
  { signal }: AbortOptions = {},
): Promise<NamedRun[]> {
  const known = new Map<string, { proposal: EventId; of: number }>()
  const named: NamedRun[] = []
  for (const text of texts) {
    const { ref, from, to } = splitItem(text)
    let found = known.get(ref)
    if (found === undefined) {
      throwIfAborted(signal)
      const proposal = await resolveEvent(replica.log, ref, ['proposals'])
      found = { proposal, of: await countOperations(replica.log, proposal) }
      known.set(ref, found)
    }
    const run: Run = [from ?? 0, to ?? from ?? found.of - 1]
    if (run[1] >= found.of) {
      throw new GonkError('NOT_FOUND', `${text}: the proposal has ${found.of} operations`, {
        hint: 'operations count from 0',
      })
    }
    named.push({ ...found, run })
  }
  return named
}

/** What `texts` name, in the order of first mention, each proposal once. Throws as {@link parseRuns}. */
export async function parseItems(
  replica: Replica,
  texts: readonly string[],
  options: AbortOptions = {},
): Promise<ReviewItem[]> {
  const named = new Map<EventId, { runs: Run[]; of: number }>()
  for (const { proposal, run, of } of await parseRuns(replica, texts, options)) {
    const before = named.get(proposal)
    if (before) before.runs.push(run)
    else named.set(proposal, { runs: [run], of })
  }
  return [...named].map(([proposal, { runs, of }]): ReviewItem => {
    const ranges = runsUnion(runs.map((run) => [run]))
    const [first] = ranges
    const isWhole = first?.[0] === 0 && first[1] === of - 1
    return isWhole ? { proposal } : { proposal, ranges }
  })
}

async function countOperations(log: DatasetLog, id: EventId): Promise<number> {
  const row = await log.proposal(id)
  if (row === undefined) throw new GonkError('NOT_FOUND', `no proposal ${textOfEventId(id)} here`)
  return row.operations
}

function splitItem(text: string): { ref: string; from?: number; to?: number } {
  const [, ref, from, to] = /^([^:]+)(?::(\d{1,9})(?:-(\d{1,9}))?)?$/.exec(text) ?? []
  const isOrdered = from === undefined || to === undefined || Number(from) <= Number(to)
  if (ref === undefined || !isOrdered) {
    throw new GonkError('USAGE', `"${text}" is not EVENT, EVENT:INDEX or EVENT:FROM-TO`)
  }
  return {
    ref,
    ...(from !== undefined && { from: Number(from) }),
    ...(to !== undefined && { to: Number(to) }),
  }
}
