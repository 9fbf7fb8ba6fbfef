// Which version of which schema a reference means, and what is said of it.
import { GonkError } from '../../core/errors.ts'
import { type FileValue, SCHEMA_MEDIA_TYPE, type Value } from '../../core/event.ts'
import { type EventId, type ObjectId, type VersionId, versionKey } from '../../core/ids.ts'
import type { ObjectRow } from '../../core/state.ts'
import { objectOf } from '../../core/touched.ts'
import type { SchemaInfo } from '../../contract/api.ts'
import { sha256 } from '../../crypto.ts'
import type { OperationStatus } from '../../log/history-index.ts'
import type { Replica } from '../../replica/replica.ts'
import { type ArrivalList, keysThatCount, sharedArrivals, signedBy } from '../objects/arrivals.ts'
import { rowOf } from '../objects/objects.ts'
import { onlyOne } from '../resolve.ts'
import { cidText, versionText } from '../text.ts'
import {
  countVersions,
  decisionOn,
  isVersion,
  type ProposalReader,
  type ProposedVersion,
  resolveVersion,
  valueOf,
  versionsOf,
  versionsThatStand,
} from '../objects/versions.ts'

/** Proposals of each status that are looked through for a name that no accepted schema has. */
const PROPOSALS_MAX = 1_000
/** Where there are more: places looked at for those by one of the keys that count. */
const STEPS_MAX = 1_000
const CANDIDATES = 3

export interface Schema {
  readonly object: ObjectId
  readonly row: ObjectRow
  readonly id: VersionId
  readonly value: FileValue
  readonly decision: ProposedVersion['decision']['status']
  /** It was asked for by its number or id. */
  readonly isExact: boolean
}

/**
 * `NAME` (its current version, else its newest), `NAME@NUMBER`, `EVENT:INDEX`, or an object id.
 * Throws NOT_FOUND, AMBIGUOUS.
 */
export async function resolveSchema(reader: ProposalReader, ref: string): Promise<Schema> {
  if (isVersion(ref)) return exactSchema(reader, ref)
  // First: that anybody may name a schema `NAME@NUMBER` must not decide what that means.
  const [, name, digits] = /^(.+)@(\d{1,9})$/.exec(ref) ?? []
  const numbered = name === undefined ? undefined : await schemaNamed(reader, name)
  if (numbered !== undefined) return numberOf(reader, numbered, Number(digits), ref)
  const object = await schemaNamed(reader, ref)
  if (object !== undefined) return newestSchema(reader, object, ref)
  const { history } = reader.replica.log
  const isPrefix = /^[0-9a-f]{1,64}$/.test(ref)
  const found = isPrefix ? await history.objectsByPrefix(ref, CANDIDATES) : []
  return newestSchema(reader, onlyOne(found, ref, 'schema', String), ref)
}

async function exactSchema(reader: ProposalReader, ref: string): Promise<Schema> {
  const { id, read, operation } = await resolveVersion(reader, ref)
  const value = valueOf(operation)
  if (!isSchema(value)) throw new GonkError('NOT_FOUND', `${ref} is not a schema`)
  const object = objectOf(read.proposal, id.index, sha256)
  const row = await rowOf(reader.replica.log, object)
  const { status } = decisionOn(read.decisions, id.index)
  return { object, row, id, value, decision: status, isExact: true }
}

async function numberOf(
  reader: ProposalReader,
  object: ObjectId,
  number: number,
  ref: string,
): Promise<Schema> {
  const versions = schemaVersions(await versionsOf(reader, object))
  const found = versions.find((version) => version.number === number)
  if (found) return schemaOf(object, await rowOf(reader.replica.log, object), found, true)
  const newest = versions.findLast((version) => version.number !== undefined)
  throw new GonkError('NOT_FOUND', `no schema "${ref}" here`, {
    hint: `versions count from 0; the newest is ${newest?.number ?? 0}`,
  })
}

/**
 * The current version; of one that has none, the newest that may become it, else the newest, of those
 * that were accepted once or can stand for it.
 * @param ref how errors call it. Throws NOT_FOUND for what is no schema.
 */
export async function newestSchema(
  reader: ProposalReader,
  object: ObjectId,
  ref: string = object,
): Promise<Schema> {
  const row = await rowOf(reader.replica.log, object)
  const head = row.versions[row.heads[0] ?? -1]
  if (head !== undefined && isSchema(head.value)) {
    const { id, value } = head
    return { object, row, id, value, decision: 'accepted', isExact: false }
  }
  const versions = schemaVersions(versionsThatStand(await versionsOf(reader, object)))
  const statuses = row.versions.length > 0 ? ['accepted', 'pending'] : ['pending', 'accepted']
  const newest =
    statuses
      .map((status) => versions.findLast(({ decision }) => decision.status === status))
      .find((version) => version !== undefined) ?? versions.at(-1)
  if (newest) return schemaOf(object, row, newest, false)
  throw new GonkError('NOT_FOUND', `${ref} is not a schema`)
}

function schemaOf(
  object: ObjectId,
  row: ObjectRow,
  { id, value, decision }: SchemaVersion,
  isExact: boolean,
): Schema {
  return { object, row, id, value, decision: decision.status, isExact }
}

type SchemaVersion = ProposedVersion & { readonly value: FileValue }

function schemaVersions(versions: readonly ProposedVersion[]): SchemaVersion[] {
  return versions.flatMap((version) => {
    const value = valueOf(version.operation)
    return isSchema(value) ? [{ ...version, value }] : []
  })
}

export function isSchema(value: Value | undefined): value is FileValue {
  return value?.type === 'file' && value.mediaType === SCHEMA_MEDIA_TYPE
}

/**
 * The object that owns the name; where none does, one that was created under it: the newest undecided
 * one of this node or, failing that, of an owner, else one that is out of use, else the only one that
 * waits, else one that was rejected. Throws AMBIGUOUS: strangers do not decide what a name means.
 */
async function schemaNamed(reader: ProposalReader, name: string): Promise<ObjectId | undefined> {
  const [claim] = await reader.replica.log.names.claimsOn('schema', name)
  if (claim) return claim.object
  const waiting = await createdUnder(reader, name, 'pending')
  if (waiting.best) return waiting.best
  const once = await createdUnder(reader, name, 'accepted')
  const found = once.best ?? once.others[0]
  if (found !== undefined) return found
  if (waiting.others.length > 0) return onlyCandidate(waiting.others, name)
  const rejected = await createdUnder(reader, name, 'rejected')
  return rejected.best ?? onlyCandidate(rejected.others, name)
}

async function createdUnder(
  reader: ProposalReader,
  name: string,
  status: OperationStatus,
): Promise<{ best?: ObjectId; others: ObjectId[] }> {
  let byOwner: ObjectId | undefined
  const others: ObjectId[] = []
  for await (const created of createdSchemas(reader, status)) {
    if (created.value.name !== name) continue
    if (created.own) return { best: created.object, others }
    if (created.byOwner) byOwner ??= created.object
    else if (others.length < CANDIDATES) others.push(created.object)
  }
  return { ...(byOwner !== undefined && { best: byOwner }), others }
}

function onlyCandidate(found: readonly ObjectId[], name: string): ObjectId | undefined {
  if (found.length <= 1) return found[0]
  throw new GonkError('AMBIGUOUS', `"${name}" could be ${found.join(', ')}`, {
    hint: 'nobody has decided which; name one by its id',
  })
}

export interface Created {
  readonly object: ObjectId
  readonly id: VersionId
  readonly value: FileValue
  /** Made on this node. */
  readonly own: boolean
  readonly byOwner: boolean
}

/**
 * Schemas whose creation has this status, the newest first. Where strangers propose many, the newest
 * and those of the keys that count.
 */
export async function* createdSchemas(
  reader: ProposalReader,
  status: OperationStatus,
): AsyncIterable<Created> {
  const { history } = reader.replica.log
  const options = { reverse: true, limit: PROPOSALS_MAX }
  let oldest = 0
  let seen = 0
  for await (const [arrival, proposal] of history.byStatus('schema', status, options)) {
    yield* createdIn(reader, proposal, status)
    oldest = arrival
    seen++
  }
  if (seen < PROPOSALS_MAX) return
  for (const proposal of await olderByThoseThatCount(reader.replica, status, oldest)) {
    yield* createdIn(reader, proposal, status)
  }
}

async function* createdIn(
  reader: ProposalReader,
  proposal: EventId,
  status: OperationStatus,
): AsyncIterable<Created> {
  const read = await reader.read(proposal)
  if (read === undefined) return
  const byOwner = reader.replica.tenureOf(read.proposal.author) !== undefined
  for (const [index, operation] of [...read.proposal.operations.entries()].reverse()) {
    if (operation.op !== 'create' || !isSchema(operation.value)) continue
    if (decisionOn(read.decisions, index).status !== status) continue
    const object = objectOf(read.proposal, index, sha256)
    const { value } = operation
    yield { object, id: { proposal, index }, value, own: read.own, byOwner }
  }
}

/** Proposals of schemas by the keys that count, before an arrival, the newest first. */
async function olderByThoseThatCount(
  replica: Replica,
  status: OperationStatus,
  before: number,
): Promise<EventId[]> {
  const { history } = replica.log
  const proposed: ArrivalList = async (from) => {
    for await (const [arrival] of history.byStatus('schema', status, { from, limit: 1 }))
      return arrival < before ? arrival : undefined
    return undefined
  }
  const found: number[] = []
  for (const key of await keysThatCount(replica)) {
    const { arrivals } = await sharedArrivals(proposed, signedBy(replica, key), STEPS_MAX)
    found.push(...arrivals)
  }
  const ids: EventId[] = []
  for (const from of found.sort((a, b) => b - a).slice(0, PROPOSALS_MAX)) {
    for await (const [, id] of history.byStatus('schema', status, { from, limit: 1 })) ids.push(id)
  }
  return ids
}

/** The create that waits under this name on this node, with its newest own version. */
export async function ownPendingSchema(
  reader: ProposalReader,
  name: string,
): Promise<{ object: ObjectId; newest: VersionId; value: FileValue } | undefined> {
  for await (const { object, value, own } of createdSchemas(reader, 'pending')) {
    if (!own || value.name !== name) continue
    const versions = schemaVersions(await versionsOf(reader, object))
    const newest = versions.findLast((v) => v.own && v.decision.status === 'pending')
    if (newest) return { object, newest: newest.id, value: newest.value }
  }
  return undefined
}

export async function schemaInfo(reader: ProposalReader, schema: Schema): Promise<SchemaInfo> {
  const { object, id, value } = schema
  const { count, number } = await countVersions(reader, object, id)
  return {
    id: object,
    name: value.name,
    version: versionText(id),
    ...(number !== undefined && { number }),
    versions: count,
    status: await statusOf(reader, schema),
    size: value.sizeBytes,
    cid: cidText(value.content),
  }
}

async function statusOf(
  { replica }: ProposalReader,
  { object, row, id, decision }: Schema,
): Promise<SchemaInfo['status']> {
  if (row.purged) return 'purged'
  if (decision !== 'accepted') return decision
  if (isDeprecated(row, id)) return 'deprecated'
  if (row.active.length === 0) return 'pending'
  if (row.claim === undefined) return 'accepted'
  const [owner] = await replica.log.names.claimsOn('schema', row.claim.name)
  return owner === undefined || owner.object === object ? 'accepted' : 'shadowed'
}

/** Whether a deletion of exactly this version is accepted. */
export function isDeprecated({ versions }: ObjectRow, id: VersionId): boolean {
  const key = versionKey(id)
  return versions.some(({ op, base }) => op === 'delete' && base.some((b) => versionKey(b) === key))
}
