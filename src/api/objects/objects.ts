// Objects: one of them by name or id, and what lists show of it.
import type { FileValue, Operation, Proposal } from '../../core/event.ts'
import type { ObjectId, VersionId } from '../../core/ids.ts'
import type { ObjectRow, Version } from '../../core/state.ts'
import { objectOf } from '../../core/touched.ts'
import { sha256 } from '../../crypto.ts'
import type { DatasetLog } from '../../log/dataset-log.ts'
import type { Replica } from '../../replica/replica.ts'
import { onlyOne } from '../resolve.ts'
import { cidText, versionText } from '../text.ts'
import type { ObjectInfo } from '../../contract/api.ts'

const CANDIDATES = 3

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
  const [row] = await log.objectRows([id])
  return row as ObjectRow
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
export async function originalOf(log: DatasetLog, row: ObjectRow): Promise<ObjectId | undefined> {
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

/** What lists show of a file that an operation proposes: by that operation alone. */
export function proposedInfo(
  proposal: Proposal,
  index: number,
  status: ObjectInfo['status'],
): ObjectInfo {
  const operation = proposal.operations[index] as Operation
  const value = 'value' in operation ? operation.value : undefined
  const file = value?.type === 'file' ? value : undefined
  return {
    id: objectOf(proposal, index, sha256),
    version: versionText({ proposal: proposal.id, index }),
    name: file?.name ?? '',
    mediaType: file?.mediaType ?? (value === undefined ? '' : 'application/json'),
    size: value?.sizeBytes ?? 0,
    cid: value?.content === undefined ? '' : cidText(value.content),
    status,
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
