// Lists of objects, page by page: accepted ones by name, all others by arrival.
import { GonkError } from '../../core/errors.ts'
import { type Operation, type Proposal, SCHEMA_MEDIA_TYPE } from '../../core/event.ts'
import { compareBytes, hexOf, type ObjectId, type VersionId } from '../../core/ids.ts'
import type { NameClaim } from '../../core/state.ts'
import { throwIfAborted } from '../../files/concurrent.ts'
import type { DatasetLog } from '../../log/dataset-log.ts'
import type { AbortOptions } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import { lastFileOf, objectInfo, objectInfoOf, originalOf, proposedInfo, rowOf } from './objects.ts'
import type { ObjectFilter, ObjectInfo, ObjectPage } from '../../contract/api.ts'
import { inGroups } from '../../files/concurrent.ts'

const PAGE_OBJECTS = 200
const PAGE_OBJECTS_MAX = 1_000
/** A page that has looked at as many ends early, so that a filter nothing passes costs little. */
const LOOKED_AT_MAX = 5_000
/** Between the name and the rest of a cursor that stops among several claims on one name. */
const CURSOR_SEPARATOR = '\0'

/**
 * A page of files; fewer than `limit` with `next` when much was looked at. `accepted` (the default):
 * those that claim a name in `files/`, shadowed ones too, in the byte order of their names. `pending`
 * and `rejected`: those whose creation is; `deleted`: tombstones and purged ones; by arrival here.
 * @param filter `limit`: 1 to 1,000, 200 by default. Throws USAGE for a cursor that is none.
 */
export async function listObjects(
  replica: Replica,
  filter: ObjectFilter = {},
  { signal }: AbortOptions = {},
): Promise<ObjectPage> {
  const limit = Math.max(1, Math.min(filter.limit ?? PAGE_OBJECTS, PAGE_OBJECTS_MAX))
  const { status = 'accepted' } = filter
  if (status === 'accepted') return listByName(replica, filter, limit, signal)
  return listByArrival(replica, filter, status, limit, signal)
}

function passes(info: ObjectInfo, { prefix = '', mediaType = '' }: ObjectFilter): boolean {
  if (!info.name.startsWith(prefix)) return false
  const isRange = mediaType === '' || mediaType.endsWith('/')
  return isRange ? info.mediaType.startsWith(mediaType) : info.mediaType === mediaType
}

// ---------------------------------------------------------------- by name

async function listByName(
  replica: Replica,
  filter: ObjectFilter,
  limit: number,
  signal: AbortSignal | undefined,
): Promise<ObjectPage> {
  // Who owns a name is known once the snapshot is up to date.
  await replica.snapshot()
  const objects: ObjectInfo[] = []
  let last: NameClaim | undefined
  let looked = 0
  const claims = claimsFrom(replica.log, filter.prefix ?? '', filter.after)
  for await (const some of inGroups(claims, Math.min(limit + 1, PAGE_OBJECTS))) {
    throwIfAborted(signal)
    const infos = await infosOf(replica, some)
    for (const [i, info] of infos.entries()) {
      const claim = some[i] as NameClaim
      if (passes(info, filter)) {
        if (objects.length === limit) return { objects, next: nameCursor(last ?? claim, claim) }
        objects.push(info)
      }
      last = claim
    }
    looked += some.length
    if (last && looked >= LOOKED_AT_MAX) return { objects, next: nameCursor(last, last) }
  }
  return { objects }
}

async function infosOf(replica: Replica, claims: readonly NameClaim[]): Promise<ObjectInfo[]> {
  const { log } = replica
  const [rows, owned] = await Promise.all([
    log.objectRows(claims.map((claim) => claim.object)),
    log.names.owned(claims),
  ])
  const infos = rows.map(async (row, i) => {
    const claim = claims[i] as NameClaim
    return objectInfoOf(row, owned[i]?.object !== claim.object, await originalOf(log, row))
  })
  return Promise.all(infos)
}

/** Claims on names that begin with `prefix`, after the place of the cursor. */
async function* claimsFrom(
  { names }: DatasetLog,
  prefix: string,
  cursor: string | undefined,
): AsyncIterable<NameClaim> {
  const [name = '', place] = (cursor ?? '').split(CURSOR_SEPARATOR)
  const isBefore = compareBytes(Buffer.from(name), Buffer.from(prefix)) < 0
  const start = isBefore ? prefix : name
  if (isBefore || place !== undefined) {
    for (const claim of await names.claimsOn('file', start))
      if (isBefore || placeOf(claim) > (place as string)) yield claim
  }
  for await (const claim of names.claims('file', start === '' ? undefined : start)) {
    if (!claim.name.startsWith(prefix)) return
    yield claim
  }
}

function nameCursor(last: NameClaim, more: NameClaim): string {
  return last.name === more.name ? last.name + CURSOR_SEPARATOR + placeOf(last) : last.name
}

/** Sorts as claims on one name do. */
function placeOf(claim: NameClaim): string {
  return hexOf(claim.date) + claim.object
}

// ---------------------------------------------------------------- by arrival

/** An operation, by the arrival of its proposal at this node. */
interface Place {
  readonly arrival: number
  readonly index: number
}

async function listByArrival(
  replica: Replica,
  filter: ObjectFilter,
  status: 'pending' | 'rejected' | 'deleted',
  limit: number,
  signal: AbortSignal | undefined,
): Promise<ObjectPage> {
  const after = filter.after === undefined ? undefined : placeAt(filter.after)
  const objects: ObjectInfo[] = []
  let last = after
  let looked = 0
  const isDeleted = status === 'deleted'
  const decided = isDeleted ? 'accepted' : status
  const from = after === undefined ? {} : { from: after.arrival }
  const kind = isDeleted ? 'removal' : 'object'
  for await (const [arrival, id] of replica.log.history.byStatus(kind, decided, from)) {
    throwIfAborted(signal)
    const row = await replica.log.proposal(id)
    const proposal = await replica.proposal(id)
    looked++
    if (row === undefined || proposal === undefined) continue
    const begin = after?.arrival === arrival ? after.index + 1 : 0
    for (const run of row.decisions.filter((decision) => decision.status === decided)) {
      for (let index = Math.max(run.from, begin); index <= run.to; index++) {
        const info = isDeleted
          ? await deletedInfo(replica, proposal, index)
          : createdInfo(proposal, index, status)
        if (info && passes(info, filter)) {
          if (objects.length === limit && last) return { objects, next: arrivalCursor(last) }
          objects.push(info)
        }
        last = { arrival, index }
        looked++
      }
    }
    if (last && looked >= LOOKED_AT_MAX) return { objects, next: arrivalCursor(last) }
  }
  return { objects }
}

const arrivalCursor = ({ arrival, index }: Place): string => `${arrival}.${index}`

function placeAt(cursor: string): Place {
  const [, arrival, index] = /^(0|[1-9]\d{0,14})\.(0|[1-9]\d{0,4})$/.exec(cursor) ?? []
  if (arrival !== undefined) return { arrival: Number(arrival), index: Number(index) }
  throw new GonkError('USAGE', 'this is not the `next` of a page of the same list', {
    hint: 'begin again without `after`',
  })
}

function createdInfo(
  proposal: Proposal,
  index: number,
  status: 'pending' | 'rejected',
): ObjectInfo | undefined {
  const operation = proposal.operations[index]
  return operation?.op === 'create' && isFile(operation)
    ? proposedInfo(proposal, index, status)
    : undefined
}

function isFile(operation: Operation | undefined): boolean {
  if (operation === undefined || !('value' in operation)) return false
  const { value } = operation
  return value.type === 'file' && value.mediaType !== SCHEMA_MEDIA_TYPE
}

/** Undefined unless just this operation made a file what it is now: deleted or purged. */
async function deletedInfo(
  replica: Replica,
  proposal: Proposal,
  index: number,
): Promise<ObjectInfo | undefined> {
  const operation = proposal.operations[index]
  if (operation?.op !== 'delete' && operation?.op !== 'purge') return undefined
  const row = await rowOf(replica.log, operation.object)
  const isThis = (id: VersionId | undefined) => id?.proposal === proposal.id && id.index === index
  if (row.purged) {
    const first = row.versions.find(({ op }) => op === 'purge')
    const isFirst = isThis(first?.id) && (await wasFile(replica, row.id))
    return isFirst ? objectInfo(replica, row) : undefined
  }
  const [head] = row.heads
  const file = lastFileOf(row)
  if (head === undefined || row.current !== undefined || !isThis(row.versions[head]?.id)) return
  if (file === undefined || file.mediaType === SCHEMA_MEDIA_TYPE) return undefined
  return objectInfo(replica, row)
}

/** What a purged object held is known from its creation only. */
async function wasFile(replica: Replica, object: ObjectId): Promise<boolean> {
  for await (const { op, proposal, index } of replica.log.history.operationsOf(object)) {
    if (op === 'create') return isFile((await replica.proposal(proposal))?.operations[index])
  }
  return false
}
