// Adds events that passed the intake to the log: parents, depth, tenure, layer A's verdict, and
// what they touch, in one atomic batch.
import { acceptDateOf } from '../core/accept-date.ts'
import type { Event, Genesis, OwnerEvent, Proposal } from '../core/event.ts'
import {
  bytesOfHex,
  type EventId,
  founderIndexOf,
  type Sha256,
  type TenureId,
} from '../core/ids.ts'
import { headerOf } from '../core/owner-header.ts'
import { bytesOf } from '../log/database.ts'
import type { AcceptDate } from '../core/state.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { HeaderRow, OperationKind, ProposalRow, ReviewRow, Runs } from '../log/rows.ts'
import { assert } from './assert.ts'
import type { Authority } from './authority.ts'
import { Draft } from './draft.ts'
import type { Fresh } from './fresh.ts'
import type { Refused } from './intake.ts'
import type { From, Pool } from './pool.ts'
import type { EventJournalEntry } from './publish.ts'
import { inParts, readAheadOf } from './read-ahead.ts'
import { hasRun, runsUnion, runsWith } from './runs.ts'
import { noteSelfForks, type SelfFork } from './self-forks.ts'
import { applyVerdicts, eventOf } from './verdicts.ts'

export interface Stored {
  readonly stored: readonly Event[]
  readonly refused: readonly Refused[]
  readonly missingParents: readonly EventId[]
  /** Undecided proposals that gave way to others. */
  readonly evicted: readonly EventId[]
}

export interface StoreNeeds {
  readonly log: DatasetLog
  readonly authority: Authority
  readonly sha256: Sha256
  /** Told what there is to derive. */
  readonly fresh: Fresh
  readonly pool: Pool
  /** Told of forks that are new, once they are on disk. */
  readonly onSelfForks?: ((forks: readonly SelfFork[]) => void) | undefined
}

/** Numbers that only grow; the replica keeps them between batches. */
export interface Counters {
  arrival: number
  eventJournal: number
}

/** Call inside the replica's mutex. What is our own is on disk before it resolves. */
export async function store(
  needs: StoreNeeds,
  counters: Counters,
  events: readonly Event[],
  from: From,
): Promise<Stored> {
  const draft = new Draft()
  // Arrival numbers are not used twice: what came last stays until something comes after it.
  const evictable = counters.arrival - 1
  const known = await needs.log.hasMany(events.map((event) => event.id))
  const fresh = events.filter((_, i) => known[i] !== true)
  for (const event of fresh) {
    if (event.family === 'genesis') await addGenesis(needs, counters, draft, event)
  }
  const owners = fresh.filter((event) => event.family === 'owner')
  owners.sort((a, b) => a.depth - b.depth || (a.id < b.id ? -1 : 1))
  for (const some of inParts(owners)) {
    draft.readAhead = await readAheadOf(needs.log, some, [])
    for (const event of some) await addOwnerEvent(needs, counters, draft, event)
  }
  // After the events that name them: a full pool must not keep out what is no part of it.
  const proposals = fresh.filter((event) => event.family === 'proposal')
  for (const some of inParts(proposals)) {
    draft.readAhead = await readAheadOf(needs.log, [], some)
    for (const event of some) await addProposal(needs, counters, draft, event, from, evictable)
  }
  await needs.pool.expire(draft, evictable)
  await applyVerdicts(needs, draft)
  const headers = [...draft.headers.values()]
  const noted = await noteSelfForks(needs.log, headers, (ids) => headersOf(needs, draft, ids))
  draft.writes.push(...noted.writes)
  await finish(needs, counters, draft)
  await needs.log.commit(draft.writes, { durable: from === 'own' })
  if (noted.forks.length > 0) needs.onSelfForks?.(noted.forks)
  needs.authority.committed()
  needs.fresh.add(draft)
  const { stored, refused, evicted } = draft
  return { stored, refused, evicted: [...evicted], missingParents: [...draft.missing] }
}

async function addGenesis(
  needs: StoreNeeds,
  counters: Counters,
  draft: Draft,
  event: Genesis,
): Promise<void> {
  const { log, authority } = needs
  const row: HeaderRow = {
    id: event.id,
    kind: 'genesis',
    tenure: 'f0' as TenureId,
    depth: 0,
    parents: [],
    author: event.author,
    seen: [],
    arrival: counters.arrival,
  }
  authority.begin(event)
  draft.headers.set(event.id, row)
  draft.owner.push(event.id)
  draft.stored.push(event)
  draft.writes.push(...log.putEvent(event, counters.arrival++, needs.sha256))
  draft.writes.push(...log.putHeader(row), log.setHead(event.id, true))
}

async function addProposal(
  needs: StoreNeeds,
  counters: Counters,
  draft: Draft,
  event: Proposal,
  from: From,
  evictable: number,
): Promise<void> {
  const { log, pool } = needs
  const own = from === 'own'
  const named = draft.readAhead.wanted.has(event.id) || draft.wanted.has(event.id)
  const isPooled = !named && !own
  const writes = log.putEvent(event, counters.arrival, needs.sha256)
  // What is said of many small operations takes several times their own bytes.
  const poolBytes = isPooled ? bytesOf(writes) : 0
  const newcomer = { id: event.id, author: event.author, bytes: poolBytes }
  const poolPeer = isPooled ? await pool.admit(draft, newcomer, from, evictable) : 0
  if (poolPeer === undefined) {
    const what = `${pool.bytes} bytes of undecided proposals are here`
    draft.refused.push({ refused: 'over-quota', what, event: event.id })
    return
  }
  const row: ProposalRow = {
    operations: event.operations.length,
    author: event.author,
    arrival: counters.arrival++,
    sizeBytes: event.block.length,
    poolBytes,
    poolPeer,
    own,
    named,
    decisions: [{ from: 0, to: event.operations.length - 1, status: 'pending' }],
  }
  draft.proposals.set(event.id, row)
  draft.stored.push(event)
  draft.writes.push(...writes, log.setPending(event.id, row.arrival, true))
  if (own) draft.writes.push(log.history.putOwnAuthor(event.author))
  if (isPooled) pool.entry(draft, { ...newcomer, peer: poolPeer, arrival: row.arrival })
  if (!named) {
    draft.poolIn.add(event.id)
    return
  }
  draft.named.add(event.id)
  draft.dirty.add(event.id)
  draft.writes.push(log.setWanted(event.id, false))
}

async function addOwnerEvent(
  needs: StoreNeeds,
  counters: Counters,
  draft: Draft,
  event: OwnerEvent,
): Promise<void> {
  const { log, authority } = needs
  const parents = await headersOf(needs, draft, event.parents)
  const missing = event.parents.filter((_, i) => parents[i] === undefined)
  if (missing.length > 0) {
    for (const id of missing) draft.missing.add(id)
    draft.refused.push({
      refused: 'missing-parents',
      what: `${missing.length} of ${event.parents.length}`,
      event: event.id,
    })
    return
  }
  const held = parents as HeaderRow[]
  const depth = 1 + Math.max(...held.map((parent) => parent.depth))
  if (depth !== event.depth) {
    const what = `depth ${event.depth}, its parents give ${depth}`
    draft.refused.push({ refused: 'wrong-depth', what, event: event.id })
    return
  }
  const seen = seenBy(authority, held)
  if (!isTenureOf(authority, event, seen)) {
    const isUnknown = await mayBeginTenure(needs, draft, event.tenure)
    const refused = isUnknown ? 'unknown-tenure' : 'wrong-tenure'
    const what = `${event.author} does not hold tenure ${event.tenure} there`
    draft.refused.push({ refused, what, event: event.id })
    return
  }
  const row: HeaderRow = {
    ...headerOf(event),
    author: event.author,
    seen,
    arrival: counters.arrival,
  }
  draft.headers.set(event.id, row)
  draft.owner.push(event.id)
  draft.stored.push(event)
  draft.writes.push(...log.putEvent(event, counters.arrival++, needs.sha256))
  draft.writes.push(...log.putHeader(row), log.setHead(event.id, true))
  draft.writes.push(...event.parents.map((parent) => log.setHead(parent, false)))
  const kind = operationKindOf(event)
  if (kind !== undefined) {
    const ordinal = authority.number(event.id, kind)
    draft.writes.push(log.putOperation(ordinal, { id: event.id, kind }))
  }
  authority.admit(row)
  if (event.body.kind === 'release') {
    const date = await dateOf(needs, draft, row)
    draft.writes.push(log.putRelease(event.body.tag, date, event.id))
  }
  if (event.body.kind === 'review') await addReview(needs, draft, event, row)
  draft.writes.push(...log.checkpoints.putVote(event, needs.sha256))
}

function operationKindOf({ body }: OwnerEvent): OperationKind | undefined {
  const { kind } = body
  const has = kind === 'add' || kind === 'remove' || kind === 'endorse' || kind === 'policy'
  return has ? kind : undefined
}

/** Ordinals of the operations in the past of an event with these parents. */
function seenBy(authority: Authority, parents: readonly HeaderRow[]): Runs {
  let seen = runsUnion(parents.map((parent) => parent.seen))
  for (const parent of parents) {
    const ordinal = authority.ordinalOf(parent.id)
    if (ordinal !== undefined) seen = runsWith(seen, ordinal)
  }
  return seen
}

/** Rule 1: the author holds the tenure, and the tenure began in the event's past. */
function isTenureOf(authority: Authority, event: OwnerEvent, seen: Runs): boolean {
  const founder = founderIndexOf(event.tenure)
  if (founder !== undefined) return authority.founders[founder] === event.author
  const ordinal = authority.ordinalOf(event.tenure as string as EventId)
  if (ordinal === undefined || !hasRun(seen, ordinal)) return false
  return authority.keyAddedBy(event.tenure as string as EventId) === event.author
}

/** Whether the tenure is named after an event whose kind or version is not known here. */
async function mayBeginTenure(needs: StoreNeeds, draft: Draft, tenure: TenureId): Promise<boolean> {
  if (founderIndexOf(tenure) !== undefined) return false
  const id = tenure as string as EventId
  const [header] = await headersOf(needs, draft, [id])
  if (header === undefined) return false
  const event = draft.stored.find((candidate) => candidate.id === id) ?? (await eventOf(needs, id))
  return event?.family === 'owner' && event.body.kind === 'unknown'
}

async function headersOf(
  needs: StoreNeeds,
  draft: Draft,
  ids: readonly EventId[],
): Promise<(HeaderRow | undefined)[]> {
  const { headers } = draft.readAhead
  const unread = ids.filter((id) => !draft.headers.has(id) && !headers.has(id))
  const rows = unread.length > 0 ? await needs.log.headers(unread) : []
  const read = new Map(unread.map((id, i) => [id, rows[i]]))
  return ids.map((id) => draft.headers.get(id) ?? headers.get(id) ?? read.get(id))
}

async function addReview(
  needs: StoreNeeds,
  draft: Draft,
  event: OwnerEvent,
  header: HeaderRow,
): Promise<void> {
  const { log } = needs
  assert(event.body.kind === 'review', 'only reviews get here')
  const { verdict, items } = event.body
  const date = await dateOf(needs, draft, header)
  const rejects = new Map<EventId, readonly EventId[]>()
  for (const { proposal } of items) {
    const row = draft.proposals.get(proposal) ?? draft.readAhead.proposals.get(proposal)
    if (row === undefined) {
      draft.wanted.add(proposal)
      draft.writes.push(log.setWanted(proposal, true))
    } else if (!row.named && !draft.named.has(proposal)) {
      draft.named.add(proposal)
      draft.poolOut.add(proposal)
      if (!row.own) needs.pool.leave(draft, row)
    }
    if (row !== undefined) draft.proposals.set(proposal, row)
    const stored = await storedReviewsOf(needs, draft, proposal, row)
    const all = [...stored, ...(draft.reviews.get(proposal) ?? [])]
    const found = all.filter((review) => review.verdict === 'reject').map((review) => review.event)
    if (found.length > 0) rejects.set(proposal, found)
  }
  const past = await rejectsInPast(needs, draft, [...new Set([...rejects.values()].flat())], header)
  for (const { proposal, ranges } of items) {
    const before = (rejects.get(proposal) ?? []).filter((reject) => past.rejects.has(reject))
    const review: ReviewRow = {
      event: event.id,
      key: event.author,
      verdict,
      date,
      ...(ranges && { ranges }),
      rejectsBefore: before,
      validRejectsBefore: before.filter((reject) => past.valid.has(reject)),
    }
    draft.reviews.set(proposal, [...(draft.reviews.get(proposal) ?? []), review])
    draft.writes.push(log.putReview(proposal, review))
    draft.dirty.add(proposal)
  }
}

/** A proposal that no stored review names has none; to look for them costs more than all the rest. */
async function storedReviewsOf(
  { log }: StoreNeeds,
  draft: Draft,
  proposal: EventId,
  row: ProposalRow | undefined,
): Promise<readonly ReviewRow[]> {
  const known = draft.storedReviews.get(proposal)
  if (known) return known
  const isNamed = row?.named ?? draft.readAhead.wanted.has(proposal)
  const stored = isNamed ? await log.reviewsOf(proposal) : []
  draft.storedReviews.set(proposal, stored)
  return stored
}

async function dateOf(needs: StoreNeeds, draft: Draft, header: HeaderRow): Promise<AcceptDate> {
  const lookUp = (ids: readonly EventId[]) => headersOf(needs, draft, ids)
  const rank = await needs.authority.rankOf(header.tenure, lookUp)
  return acceptDateOf(header.depth, rank, header.id)
}

/**
 * Which rejects the author of a review had seen, and which of them stood at that moment. Asked once
 * for all items of a review: it may read all of its past.
 */
async function rejectsInPast(
  needs: StoreNeeds,
  draft: Draft,
  rejects: readonly EventId[],
  header: HeaderRow,
): Promise<{ rejects: ReadonlySet<EventId>; valid: ReadonlySet<EventId> }> {
  if (rejects.length === 0) return { rejects: new Set(), valid: new Set() }
  const lookUp = (ids: readonly EventId[]) => headersOf(needs, draft, ids)
  const seen = await needs.authority.inPast(header, rejects, lookUp)
  const valid = await needs.authority.validInPast(header, seen, lookUp)
  return { rejects: new Set(seen), valid: new Set(valid) }
}

async function finish(needs: StoreNeeds, counters: Counters, draft: Draft): Promise<void> {
  const { log } = needs
  await needs.pool.settle(draft)
  for (const [id, before] of draft.proposals) {
    const row = { ...before, named: before.named || draft.named.has(id) }
    draft.proposals.set(id, row)
    draft.writes.push(log.putProposal(id, row))
  }
  for (const id of draft.dirty) draft.writes.push(log.setDirty(id, true))
  const entry: EventJournalEntry = {
    owner: [...draft.owner, ...draft.named].map(bytesOfHex),
    proposals: draft.named.size,
    poolIn: [...draft.poolIn].map(bytesOfHex),
    poolOut: [...draft.poolOut].map(bytesOfHex),
  }
  if (entry.owner.length + entry.poolIn.length + entry.poolOut.length === 0) return
  draft.writes.push(log.appendJournal('eventJournal', counters.eventJournal++, entry))
}
