// Accepted objects: page by page in name order, and one of them by name or id.
import type { FileValue } from '../core/event.ts'
import { hexOf, type ObjectId, type VersionId } from '../core/ids.ts'
import { objectRowOf } from '../core/objects.ts'
import type { NameClaim, ObjectRow, Version } from '../core/state.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { Replica } from '../replica/replica.ts'
import { onlyOne } from './resolve.ts'
import { cidText, versionText } from './text.ts'
import type { ObjectInfo } from './types.ts'

const PAGE_OBJECTS = 200
const PAGE_OBJECTS_MAX = 1_000
const CANDIDATES = 3
/** Between the name and the rest of a cursor that stops among several claims on one name. */
const CURSOR_SEPARATOR = '\0'

export interface ObjectPage {
  readonly objects: ObjectInfo[]
  /** What to give as `after` for the next page; absent at the end. */
  readonly next?: string
}

/**
 * Objects that claim a name in `files/`, shadowed ones too, in the byte order of their names.
 * @param page `after`: a name, or `next` of the page before; `limit`: 1 to 1,000.
 */
export async function listObjects(
  replica: Replica,
  page: { after?: string; limit?: number } = {},
): Promise<ObjectPage> {
  const limit = Math.max(1, Math.min(page.limit ?? PAGE_OBJECTS, PAGE_OBJECTS_MAX))
  // Who owns a name is known once the snapshot is up to date.
  await replica.snapshot()
  const claims: NameClaim[] = []
  for await (const claim of claimsAfter(replica.log, page.after)) {
    claims.push(claim)
    if (claims.length > limit) break
  }
  const shown = claims.slice(0, limit)
  const [rows, owned] = await Promise.all([
    replica.log.versions(shown.map((claim) => claim.object)),
    replica.log.names.owned(shown),
  ])
  const objects = shown.map(async (claim, i) => {
    const row = objectRowOf(claim.object, rows[i] ?? [])
    const isShadowed = owned[i]?.object !== claim.object
    return objectInfoOf(row, isShadowed, await originalOf(replica.log, row))
  })
  const more = claims[limit]
  return {
    objects: await Promise.all(objects),
    ...(more && { next: cursorOf(shown.at(-1) as NameClaim, more) }),
  }
}

function cursorOf(last: NameClaim, more: NameClaim): string {
  return last.name === more.name ? last.name + CURSOR_SEPARATOR + placeOf(last) : last.name
}

/** Sorts as claims on one name do. */
function placeOf(claim: NameClaim): string {
  return hexOf(claim.date) + claim.object
}

async function* claimsAfter(log: DatasetLog, cursor: string | undefined): AsyncIterable<NameClaim> {
  if (cursor === undefined) return yield* log.names.claims('file')
  const [name = '', place] = cursor.split(CURSOR_SEPARATOR)
  if (place !== undefined) {
    for (const claim of await log.names.claimsOn('file', name))
      if (placeOf(claim) > place) yield claim
  }
  yield* log.names.claims('file', name)
}

/**
 * The accepted object that `ref` names: an exact name (the earliest claim on it, a file before a
 * schema), an id, or a unique prefix of one. Throws NOT_FOUND, AMBIGUOUS.
 */
export async function resolveObject(replica: Replica, ref: string): Promise<ObjectRow> {
  const { log } = replica
  const id =
    (await objectNamed(log, ref)) ?? onlyOne(await objectsMatching(log, ref), ref, 'object', String)
  return rowOf(log, id)
}

/** The object with the earliest claim on exactly this name. */
export async function objectNamed(log: DatasetLog, name: string): Promise<ObjectId | undefined> {
  for (const space of ['file', 'schema'] as const) {
    const [claim] = await log.names.claimsOn(space, name)
    if (claim) return claim.object
  }
  return undefined
}

/** A few of the objects whose id begins with `ref`. */
export async function objectsMatching(log: DatasetLog, ref: string): Promise<ObjectId[]> {
  return /^[0-9a-f]{1,64}$/.test(ref) ? log.objectsByPrefix(ref, CANDIDATES) : []
}

/** An object nothing of which is accepted has no versions. */
export async function rowOf(log: DatasetLog, id: ObjectId): Promise<ObjectRow> {
  const [versions] = await log.versions([id])
  return objectRowOf(id, versions ?? [])
}

/** One object with its status and mark looked up. */
export async function objectInfo(replica: Replica, row: ObjectRow): Promise<ObjectInfo> {
  return objectInfoOf(row, await isShadowed(replica, row), await originalOf(replica.log, row))
}

async function isShadowed(replica: Replica, { id, claim }: ObjectRow): Promise<boolean> {
  if (claim === undefined) return false
  await replica.snapshot()
  const [owned] = await replica.log.names.owned([claim])
  return owned?.object !== id
}

/** The object whose canonical head was first to hold the same content; undefined when it is this one. */
async function originalOf(log: DatasetLog, row: ObjectRow): Promise<ObjectId | undefined> {
  const content = row.current?.content
  const original = content && (await log.contents.originalOf(content))
  return original === row.id ? undefined : original
}

/**
 * What lists show of an object: its canonical head. Of a deleted one, the last file it held; of a
 * purged one and of an annotation, empty texts for what it does not have.
 */
export function objectInfoOf(
  row: ObjectRow,
  isShadowed: boolean,
  duplicateOf?: ObjectId,
): ObjectInfo {
  const file = lastFileOf(row)
  const version = headOf(row)
  const content = file?.content ?? row.current?.content
  return {
    id: row.id,
    version: version === undefined ? '' : versionText(version),
    name: file?.name ?? '',
    mediaType: file?.mediaType ?? (row.current === undefined ? '' : 'application/json'),
    size: file?.sizeBytes ?? row.current?.sizeBytes ?? 0,
    cid: content === undefined ? '' : cidText(content),
    status: statusOf(row, isShadowed),
    ...(duplicateOf !== undefined && { duplicateOf }),
  }
}

function statusOf(row: ObjectRow, isShadowed: boolean): ObjectInfo['status'] {
  if (row.purged) return 'purged'
  // Accepted updates of an object whose creation is not accepted.
  if (row.heads.length === 0) return 'pending'
  if (row.current === undefined) return 'deleted'
  return isShadowed ? 'shadowed' : 'accepted'
}

function headOf({ versions, heads }: ObjectRow): VersionId | undefined {
  const [head] = heads
  return (head === undefined ? versions.at(-1) : versions[head])?.id
}

/** What the canonical head holds, or of a tombstone what the newest version before it held. */
export function lastFileOf({ current, versions, active }: ObjectRow): FileValue | undefined {
  if (current !== undefined) return current.type === 'file' ? current : undefined
  const held = active.map((i) => (versions[i] as Version).value)
  return held.findLast((value) => value?.type === 'file')
}
