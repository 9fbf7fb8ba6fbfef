// What waits for a decision and what was decided, proposal by proposal, and the text form of parts of
// proposals: `EVENT`, `EVENT:INDEX`, `EVENT:FROM-TO`.
import { GonkError } from '../core/errors.ts'
import type { Proposal, ReviewItem } from '../core/event.ts'
import { type EventId, textOfEventId } from '../core/ids.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { ProposalRow } from '../log/rows.ts'
import type { Replica } from '../replica/replica.ts'
import { runsUnion } from '../replica/runs.ts'
import { readProposals, resolveEvent } from './resolve.ts'
import { proposalTypeOf, summaryOfProposal } from './summary.ts'
import { timeText } from './text.ts'
import type { ReviewEntry, ReviewFilter } from './types.ts'

type Status = keyof ReviewEntry['status']
type Run = readonly [from: number, to: number]

const ROWS_PER_READ = 500
/** Blocks of at most 256 KiB. */
const PROPOSALS_PER_READ = 16

/** {@link reviews} as a list. */
export async function listReviews(
  replica: Replica,
  filter: ReviewFilter = {},
): Promise<ReviewEntry[]> {
  const entries: ReviewEntry[] = []
  for await (const entry of reviews(replica, filter)) entries.push(entry)
  return entries
}

/**
 * Proposals with at least one operation of the status asked for, oldest arrival first.
 * @param filter `author`: a public key or its beginning. Throws USAGE when it is none.
 */
export async function* reviews(
  replica: Replica,
  filter: ReviewFilter = {},
): AsyncIterable<ReviewEntry> {
  const { log } = replica
  for await (const batch of batchesOf(matching(log, filter), PROPOSALS_PER_READ)) {
    const proposals = await readProposals(
      log,
      batch.map(([id]) => id),
    )
    for (const [i, [, row]] of batch.entries()) {
      const proposal = proposals[i]
      if (proposal !== undefined) yield await entryOf(log, proposal, row)
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
): AsyncIterable<[EventId, ProposalRow]> {
  if (!/^[0-9a-f]{0,64}$/.test(author)) {
    throw new GonkError('USAGE', `"${author}" is not a public key`, {
      hint: 'a key is 64 lower-case hex digits',
    })
  }
  const ids = status === 'pending' ? log.pending() : arrivalsOf(log)
  for await (const batch of batchesOf(ids, ROWS_PER_READ)) {
    const rows = await log.proposals(batch)
    for (const [i, id] of batch.entries()) {
      const row = rows[i]
      if (row === undefined || !row.author.startsWith(author)) continue
      if (status === 'all' || countsOf(row)[status] > 0) yield [id, row]
    }
  }
}

async function* arrivalsOf(log: DatasetLog): AsyncIterable<EventId> {
  for await (const [, id] of log.arrivals()) yield id
}

async function* batchesOf<T>(items: AsyncIterable<T>, size: number): AsyncIterable<T[]> {
  let batch: T[] = []
  for await (const item of items) {
    batch.push(item)
    if (batch.length < size) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

async function entryOf(
  log: DatasetLog,
  proposal: Proposal,
  row: ProposalRow,
): Promise<ReviewEntry> {
  return {
    event: textOfEventId(proposal.id),
    type: proposalTypeOf(proposal),
    author: proposal.author,
    summary: await summaryOfProposal(log, proposal),
    at: timeText(proposal.claimedAtMs),
    operations: row.operations,
    status: countsOf(row),
  }
}

function countsOf(row: ProposalRow): Record<Status, number> {
  const counts = { pending: 0, accepted: 0, rejected: 0 }
  for (const { from, to, status } of row.decisions) counts[status] += to - from + 1
  return counts
}

// ---------------------------------------------------------------- parts of proposals

/**
 * What `texts` name, in the order of first mention, each proposal once. EVENT may be a unique
 * prefix. Throws USAGE, NOT_FOUND (also past the last operation), AMBIGUOUS.
 */
export async function parseItems(
  replica: Replica,
  texts: readonly string[],
): Promise<ReviewItem[]> {
  const runs = new Map<EventId, Run[]>()
  const sizes = new Map<EventId, number>()
  for (const text of texts) {
    const { ref, from, to } = splitItem(text)
    const id = await resolveEvent(replica.log, ref, ['proposals'])
    const operations = sizes.get(id) ?? (await operationsOf(replica.log, id))
    sizes.set(id, operations)
    const run: Run = [from ?? 0, to ?? from ?? operations - 1]
    if (run[1] >= operations) {
      throw new GonkError('NOT_FOUND', `${text}: the proposal has ${operations} operations`, {
        hint: 'operations count from 0',
      })
    }
    runs.set(id, [...(runs.get(id) ?? []), run])
  }
  return [...runs].map(([proposal, list]): ReviewItem => {
    const ranges = runsUnion(list.map((run) => [run]))
    const [first] = ranges
    const isWhole = first?.[0] === 0 && first[1] === (sizes.get(proposal) as number) - 1
    return isWhole ? { proposal } : { proposal, ranges }
  })
}

async function operationsOf(log: DatasetLog, id: EventId): Promise<number> {
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
