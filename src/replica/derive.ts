// Drains the dirty proposals: loads the rows their decisions touch, asks core, writes one atomic
// batch. Runs the same after every commit and after a crash.
import { GonkError } from '../core/errors.ts'
import type { FrozenPrefix } from '../core/frozen.ts'
import type { Operation, Proposal } from '../core/event.ts'
import {
  compareBytes,
  compareVersions,
  type EventId,
  hexOf,
  type ObjectId,
  type Sha256,
  textOfEventId,
} from '../core/ids.ts'
import type { Thresholds } from '../core/policy.ts'
import type { Rules } from '../core/rules.ts'
import type { AcceptDate, Decision, NameClaim, ObjectRow, Version } from '../core/state.ts'
import { objectOf } from '../core/touched.ts'
import type { Write } from '../log/database.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import { rowOfStored, type StoredObject } from '../log/object-table.ts'
import type { ProposalRow, ReviewRow } from '../log/rows.ts'
import { assert } from './assert.ts'
import type { Fresh } from './fresh.ts'
import type { FrozenSource } from './frozen-source.ts'
import { type ClaimChange, claimWrites } from './claim-writes.ts'

export interface StateCounts {
  /** Live files and schemas. */
  readonly objects: number
  /** Accepted versions of anything. */
  readonly versions: number
  /** Live annotations. */
  readonly annotations: number
}

/** What the snapshot has yet to take in. */
export interface StateJournalEntry {
  readonly objects: readonly Uint8Array[]
  readonly names: readonly [space: NameClaim['space'], name: string][]
}

export interface DeriveNeeds {
  readonly log: DatasetLog
  readonly sha256: Sha256
  readonly frozen: FrozenSource
  /** What is settled is another: objects are looked at again, also where nothing is decided anew. */
  readonly anew?: boolean
  readonly rules: Rules
  /** Of the genesis. */
  readonly thresholds: Thresholds
  readonly proposal: (id: EventId) => Promise<Proposal | undefined>
  readonly fresh: Fresh
  /** Which files are complete here. */
  readonly areHeld: (contents: readonly Uint8Array[]) => Promise<boolean[]>
}

export interface Derived {
  readonly proposals: readonly EventId[]
  readonly objects: readonly ObjectId[]
  readonly counts: StateCounts
}

/** Operations and proposals of one batch: bounds memory and the length of one write. */
const OPERATIONS_PER_BATCH = 2_000
const PROPOSALS_PER_BATCH = 256

/**
 * One batch of derivation. `journalNumber` is used for its journal entry.
 * @returns undefined when nothing is dirty.
 */
export async function deriveBatch(
  needs: DeriveNeeds,
  counts: StateCounts,
  journalNumber: number,
): Promise<Derived | undefined> {
  const { log } = needs
  const dirty = await dirtyProposals(needs)
  if (dirty.length === 0) return undefined
  const writes: Write[] = []
  const changes = new Map<ObjectId, VersionChange[]>()
  for (const [i, judged] of (await judge(needs, dirty)).entries()) {
    writes.push(log.setDirty(dirty[i] as EventId, false))
    if (judged) decideProposal(needs, judged, changes, writes)
  }
  const after = await deriveObjects(needs, changes, counts, journalNumber, writes)
  await log.commit(writes)
  needs.fresh.forget(dirty)
  return { proposals: dirty, objects: [...changes.keys()], counts: after }
}

interface VersionChange {
  readonly version: Version
  readonly accepted: boolean
}

/** The next proposals to derive, with a bounded number of operations but at least one. */
async function dirtyProposals({ log, fresh }: DeriveNeeds): Promise<EventId[]> {
  const ids = fresh.dirty
    ? [...fresh.dirty].slice(0, PROPOSALS_PER_BATCH)
    : await log.dirty(PROPOSALS_PER_BATCH)
  if (ids.length === 0) fresh.dirty = new Set()
  const unread = ids.filter((id) => !fresh.rows.has(id))
  const rows = await log.proposals(unread)
  for (const [i, row] of rows.entries()) if (row) fresh.rows.set(unread[i] as EventId, row)
  let operations = 0
  return ids.filter((id, i) => {
    operations += fresh.rows.get(id)?.operations ?? 0
    return i === 0 || operations <= OPERATIONS_PER_BATCH
  })
}

/** A proposal with all that decides about it. */
interface Judged {
  readonly proposal: Proposal
  readonly row: ProposalRow
  readonly reviews: readonly (ReviewRow & { valid: boolean; requires: number })[]
}

/** @returns undefined for proposals that are not here. */
async function judge(
  { log, fresh, proposal, thresholds }: DeriveNeeds,
  ids: readonly EventId[],
): Promise<(Judged | undefined)[]> {
  const [proposals, reviews] = await Promise.all([
    Promise.all(ids.map(async (id) => fresh.proposals.get(id) ?? proposal(id))),
    Promise.all(ids.map(async (id) => fresh.reviews.get(id) ?? log.reviewsOf(id))),
  ])
  const events = [...new Set(reviews.flat().map((review) => review.event))]
  const areVoid = await log.areVoid(events)
  const voids = new Set(events.filter((_, i) => areVoid[i] === true))
  const required = await requiredBy(log, events, thresholds)
  return ids.map((id, i) => {
    const row = fresh.rows.get(id)
    const found = proposals[i]
    if (row === undefined) return undefined
    // To leave it out would give another state than everybody else has, and nobody would know.
    if (found === undefined) {
      throw new GonkError('HOME_DAMAGED', `event ${textOfEventId(id)} is missing or damaged`)
    }
    const valid = (reviews[i] ?? []).map((each) => ({
      ...each,
      valid: !voids.has(each.event),
      requires: required.get(each.event) ?? thresholds.kReview,
    }))
    return { proposal: found, row, reviews: valid }
  })
}

async function requiredBy(
  log: DatasetLog,
  reviews: readonly EventId[],
  { kOwner }: Thresholds,
): Promise<Map<EventId, number | undefined>> {
  // One key is enough then, whatever policies say.
  if (kOwner === 1) return new Map()
  const required = await log.requirements.of(reviews)
  return new Map(reviews.map((id, i) => [id, required[i]]))
}

/** Decides a proposal anew and collects the versions that came, went or changed their date. */
function decideProposal(
  needs: DeriveNeeds,
  { proposal, row, reviews }: Judged,
  changes: Map<ObjectId, VersionChange[]>,
  writes: Write[],
): void {
  const { log } = needs
  const decisions = needs.rules.decide(row.operations, reviews)
  collect(needs, proposal, row.decisions, decisions, changes)
  const next: ProposalRow = { ...row, decisions }
  writes.push(log.putProposal(proposal.id, next))
  const { arrival } = row
  writes.push(...log.history.changeStatuses(proposal, arrival, row.decisions, decisions))
  const wasPending = isPending(row)
  if (wasPending !== isPending(next)) {
    writes.push(log.setPending(proposal.id, arrival, isPending(next)))
  }
}

export function isPending(row: ProposalRow): boolean {
  return row.decisions.some((decision) => decision.status === 'pending')
}

function collect(
  needs: DeriveNeeds,
  proposal: Proposal,
  before: readonly Decision[],
  after: readonly Decision[],
  changes: Map<ObjectId, VersionChange[]>,
): void {
  const old = datesOf(before, proposal.operations.length)
  const now = datesOf(after, proposal.operations.length)
  proposal.operations.forEach((operation, index) => {
    const oldDate = old[index]
    const newDate = now[index]
    if (oldDate === undefined && newDate === undefined) return
    const isSame = oldDate && newDate && compareBytes(oldDate, newDate) === 0
    if (isSame && needs.anew !== true) return
    const id = { proposal: proposal.id, index }
    const object = objectOf(proposal, index, needs.sha256)
    const list = changes.get(object) ?? []
    changes.set(object, list)
    if (isSame) return
    if (oldDate) list.push({ version: versionOf(id, operation, oldDate), accepted: false })
    if (newDate) list.push({ version: versionOf(id, operation, newDate), accepted: true })
  })
}

function datesOf(decisions: readonly Decision[], count: number): (AcceptDate | undefined)[] {
  const dates = new Array<AcceptDate | undefined>(count).fill(undefined)
  for (const decision of decisions) {
    if (decision.status === 'accepted') dates.fill(decision.date, decision.from, decision.to + 1)
  }
  return dates
}

function versionOf(id: Version['id'], operation: Operation, date: AcceptDate): Version {
  return {
    id,
    date,
    op: operation.op,
    base: 'base' in operation ? operation.base : [],
    ...('value' in operation && { value: operation.value }),
  }
}

/** Rewrites the rows of touched objects, and what is indexed by their canonical heads. */
async function deriveObjects(
  needs: DeriveNeeds,
  changes: Map<ObjectId, VersionChange[]>,
  counts: StateCounts,
  journalNumber: number,
  writes: Write[],
): Promise<StateCounts> {
  const { log, rules } = needs
  const ids = [...changes.keys()]
  const [rows, settled] = await Promise.all([
    log.objectTable.stored(ids),
    needs.frozen.ofObjects(ids),
  ])
  const contents = new ContentChanges()
  const claims: ClaimChange[] = []
  let total = counts
  ids.forEach((id, i) => {
    // Rows keep what a purge hides: the purge itself may yet lose its acceptance.
    const stored = rows[i] as StoredObject
    const versions = applied(stored.versions, changes.get(id) ?? [])
    const before = rowOfStored(id, stored, rules.objectRowOf)
    const after = rules.objectRowOf(id, versions, settled.frozen)
    writes.push(log.objectTable.put(id, { versions, ...keptHead(needs, after, settled.frozen) }))
    writes.push(...indexWrites(log, before, after), ...contents.writesFor(log, before, after))
    claims.push({ before: before.claim, after: after.claim })
    total = counted(counted(total, before, -1), after, 1)
  })
  const names = await claimWrites(log, claims, writes, needs.frozen)
  writes.push(...(await lackingWrites(needs, contents)))
  // Who owned a name in the settled state, and has left it since, decides about names in its way.
  if (needs.anew === true) names.push(...settled.claims)
  if (ids.length > 0) {
    const entry: StateJournalEntry = {
      objects: ids.map((id) => Buffer.from(id, 'hex')),
      names: names.map(({ space, name }) => [space, name]),
    }
    writes.push(log.appendJournal('stateJournal', journalNumber, entry))
    writes.push(log.putMeta('counts', total))
  }
  return total
}

/** The canonical head, where it is another one only because it was settled. */
function keptHead(
  { rules }: DeriveNeeds,
  { id, versions, heads }: ObjectRow,
  frozen: FrozenPrefix,
): Pick<StoredObject, 'head'> {
  const [canonical] = heads
  if (canonical === undefined || frozen.headOf(id) === undefined) return {}
  const free = rules.objectRowOf(id, versions).heads[0]
  return free === canonical ? {} : { head: (versions[canonical] as Version).id }
}

function applied(versions: readonly Version[], changes: readonly VersionChange[]): Version[] {
  const gone = changes.filter((change) => !change.accepted)
  const kept = versions.filter(
    (version) => !gone.some((change) => compareVersions(change.version.id, version.id) === 0),
  )
  return [...kept, ...changes.filter((change) => change.accepted).map(({ version }) => version)]
}

function indexWrites(log: DatasetLog, before: ObjectRow, after: ObjectRow): Write[] {
  const writes: Write[] = []
  for (const [row, isHeld] of [
    [before, false],
    [after, true],
  ] as const) {
    const content = row.current?.content
    const head = row.heads[0]
    if (content === undefined || head === undefined) continue
    const date = row.claim?.date ?? row.versions[head]?.date
    assert(date !== undefined, 'a head is a version')
    writes.push(log.contents.setContent(content, date, row.id, isHeld))
  }
  return writes
}

interface Content {
  readonly content: Uint8Array
  readonly sizeBytes: number
}

/** What accepted content the objects of a batch name anew, and what they name no more. */
class ContentChanges {
  readonly wanted = new Map<string, Content>()
  readonly dropped = new Map<string, { content: Uint8Array; by: Set<ObjectId> }>()

  /** Notes one object's changes. @returns the writes for the index of accepted content. */
  writesFor({ contents }: DatasetLog, before: ObjectRow, after: ObjectRow): Write[] {
    const old = contentsOf(before)
    const now = contentsOf(after)
    const writes: Write[] = []
    for (const [key, { content }] of old) {
      if (now.has(key)) continue
      writes.push(contents.setAccepted(content, before.id, false))
      const dropped = this.dropped.get(key) ?? { content, by: new Set() }
      this.dropped.set(key, dropped)
      dropped.by.add(before.id)
    }
    for (const [key, entry] of now) {
      if (old.has(key)) continue
      writes.push(contents.setAccepted(entry.content, after.id, true))
      this.wanted.set(key, entry)
    }
    return writes
  }
}

/** Accepted content that is not here is lacking; what no object names any more is not. */
async function lackingWrites(
  { log, areHeld }: DeriveNeeds,
  { wanted, dropped }: ContentChanges,
): Promise<Write[]> {
  const writes: Write[] = []
  for (const [key, { content, by }] of dropped) {
    if (wanted.has(key) || (await log.contents.isAcceptedBesides(content, by))) continue
    writes.push(log.contents.setLacking(content, undefined))
  }
  const list = [...wanted.values()]
  const held = await areHeld(list.map(({ content }) => content))
  list.forEach(({ content, sizeBytes }, i) => {
    if (held[i] !== true) writes.push(log.contents.setLacking(content, sizeBytes))
  })
  return writes
}

function contentsOf(row: ObjectRow): Map<string, Content> {
  const contents = new Map<string, Content>()
  for (const { value } of row.versions) {
    if (value?.content === undefined) continue
    const { content, sizeBytes } = value
    contents.set(hexOf(content), { content, sizeBytes })
  }
  return contents
}

function counted(counts: StateCounts, row: ObjectRow, sign: 1 | -1): StateCounts {
  const live = row.current === undefined ? 0 : sign
  const isAnnotation = row.current?.type === 'annotation'
  return {
    objects: counts.objects + (isAnnotation ? 0 : live),
    versions: counts.versions + sign * row.versions.length,
    annotations: counts.annotations + (isAnnotation ? live : 0),
  }
}
