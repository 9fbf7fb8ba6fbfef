// One item of a review as Gonk's events, one for each operation it decides, and the statuses that
// follow from it.
import type { Labels, OwnerEvent, Proposal, ReviewItem } from '../../core/event.ts'
import type { EventId, VersionId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { GonkOperationRow, Parked } from '../../log/gonk-log.ts'
import type { ProposalRow } from '../../log/rows.ts'
import { readEvents } from '../resolve.ts'
import { rowOf, type Telling, type Write } from './line.ts'
import { decisionAt, statusAt, statusWrites } from './rows.ts'
import type { EventBody } from './types.ts'
import { awaitedVersion, uuidOfEvent } from './uuids.ts'
import { wordsOf } from './words.ts'

/** A review with one of its items. `arrival`: when it came. */
export interface ItemOfReview {
  readonly event: OwnerEvent & { readonly body: { readonly kind: 'review' } }
  readonly item: number
  readonly arrival: number
}

export function isReview(event: OwnerEvent): event is ItemOfReview['event'] {
  return event.body.kind === 'review'
}

/** Waits for a proposal that has not come. */
export async function tellReview(telling: Telling, review: ItemOfReview): Promise<void> {
  const { log, line } = telling
  const { event, item, arrival } = review
  const { proposal } = event.body.items[item] as ReviewItem
  const row = await rowOf(telling, proposal)
  if (row === undefined || row.arrival > arrival) {
    return line.park(log.park(proposal, arrival, { review: event.id, item, arrival }))
  }
  await tellDecisions(telling, review, row)
}

async function tellDecisions(
  telling: Telling,
  review: ItemOfReview,
  row: ProposalRow,
): Promise<void> {
  const { proposal, ranges } = review.event.body.items[review.item] as ReviewItem
  const said = await telling.replica.proposal(proposal)
  for (const [from, to] of ranges ?? [[0, row.operations - 1] as const]) {
    for (let index = from; index <= Math.min(to, row.operations - 1); index++) {
      await tellReviewOf(telling, review, { proposal, index }, row, said)
    }
  }
}

/** A review that waited for a proposal, or for one operation of it. */
export async function tellParkedReview(
  telling: Telling,
  awaited: string,
  { review, item, arrival }: Extract<Parked, { review: EventId }>,
): Promise<void> {
  const { log } = telling.replica
  const [event] = await readEvents(log, [review])
  const [isVoid] = await log.areVoid([review])
  if (event?.family !== 'owner' || !isReview(event) || isVoid === true) return
  const { proposal } = event.body.items[item] as ReviewItem
  const row = await rowOf(telling, proposal)
  if (row === undefined) return
  if (awaited === proposal) return tellDecisions(telling, { event, item, arrival }, row)
  const index = Number.parseInt(awaited.slice(proposal.length), 16)
  const said = await telling.replica.proposal(proposal)
  await tellReviewOf(telling, { event, item, arrival }, { proposal, index }, row, said)
}

async function tellReviewOf(
  telling: Telling,
  { event, item, arrival }: ItemOfReview,
  id: VersionId,
  row: ProposalRow,
  said: Proposal | undefined,
): Promise<void> {
  const { log, line } = telling
  const operation = await log.operation(id)
  if (operation === undefined) {
    if ((await log.standIn(id)) !== undefined) return
    const parked: Parked = { review: event.id, item, arrival }
    return line.park(log.park(awaitedVersion(id), arrival, parked))
  }
  const { verdict } = event.body
  const status = statusAt(row, id.index)
  const writes = await changesTo(telling, operation, status)
  // Gonk knows one review of an event. Another is told only when it is the one that decides now; an
  // acceptance that waits for more owners is none yet.
  const isTold =
    (verdict === 'accept' && status === 'pending') ||
    operation.verdict === verdict ||
    (operation.verdict !== undefined && decidedBy(row, id.index) !== event.id)
  const after = { ...operation, status, ...(!isTold && { verdict }) }
  writes.push(log.putOperation(id, after))
  if (isTold) return log.commit(writes)
  const body: EventBody =
    verdict === 'accept'
      ? { type: 'ReviewAcceptEvent', decision: 1, event_uuid: operation.uuid }
      : { type: 'ReviewRejectEvent', decision: 2, event_uuid: operation.uuid }
  const labels = importedLabels(event, said, id.index)
  const words = wordsOf(telling, telling.replica, event, labels)
  const isFree = words.event !== undefined && (await log.seqOf(words.event)) === undefined
  const derived = uuidOfEvent(event.id, item * limits.operationsMax + id.index)
  const uuid = isFree ? (words.event as string) : derived
  await line.emit({ uuid, words, body, places: operation.places, writes })
}

/**
 * What an import kept of a review: one of ours is many of Gonk's, so what was said of each stands
 * with the operation it decides, which the same key proposed.
 */
function importedLabels(
  event: ItemOfReview['event'],
  said: Proposal | undefined,
  index: number,
): Labels {
  const { labels = {} } = said?.operations[index] ?? {}
  if (said?.author !== event.author || labels['gonk.verdict'] !== event.body.verdict) return {}
  const words = {
    'gonk.event': labels['gonk.review'],
    'gonk.author': labels['gonk.reviewer'],
    'gonk.timestamp': labels['gonk.reviewed'],
  }
  return Object.fromEntries(
    Object.entries(words).filter(([, word]) => word !== undefined),
  ) as Labels
}

async function changesTo(
  { log }: Telling,
  operation: GonkOperationRow,
  status: GonkOperationRow['status'],
): Promise<Write[]> {
  if (operation.status === status) return []
  return statusWrites(log, operation, operation.status, status)
}

function decidedBy(row: ProposalRow, index: number): EventId | undefined {
  const decision = decisionAt(row, index)
  return decision && 'by' in decision ? decision.by : undefined
}

/**
 * Statuses that changed because reviews were struck, or are no longer, or need more owners than
 * before, or fewer.
 */
export async function tellStrikes(telling: Telling): Promise<Write[]> {
  const { log, replica } = telling
  const [was, is] = await Promise.all([log.voids(), replica.log.voids()])
  const [needed, needs] = await Promise.all([log.required(), replica.log.requirements.all()])
  const struck = differing([...was, ...is], (id) => was.has(id) === is.has(id))
  const changed = differing([...needed.keys(), ...needs.keys()], (id) => {
    return needed.get(id) === needs.get(id)
  })
  if (struck.length + changed.length === 0) return []
  // What struck them may have come just now: it is derived first, and the rows at hand are older.
  await replica.settled()
  telling.rows.clear()
  for (const event of await readEvents(replica.log, [...new Set([...struck, ...changed])])) {
    if (event?.family !== 'owner' || !isReview(event)) continue
    for (const { proposal } of event.body.items) await refresh(telling, proposal)
  }
  return [
    ...struck.map((id) => log.setVoid(id, is.has(id))),
    ...changed.map((id) => log.setRequired(id, needs.get(id))),
  ]
}

const differing = (ids: readonly EventId[], isSame: (id: EventId) => boolean): EventId[] => [
  ...new Set(ids.filter((id) => !isSame(id))),
]

async function refresh(telling: Telling, proposal: EventId): Promise<void> {
  const { log } = telling
  const row = await rowOf(telling, proposal)
  if (row === undefined) return
  for (let index = 0; index < row.operations; index++) {
    const id = { proposal, index }
    const operation = await log.operation(id)
    const status = statusAt(row, index)
    if (operation === undefined || operation.status === status) continue
    const writes = await changesTo(telling, operation, status)
    await log.commit([...writes, log.putOperation(id, { ...operation, status })])
  }
}
