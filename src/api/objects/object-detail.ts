// One object in full: its versions in any status, and what was said of it.
import { GonkError } from '../../core/errors.ts'
import { SCHEMA_MEDIA_TYPE } from '../../core/event.ts'
import { compareBytes, type EventId, type ObjectId } from '../../core/ids.ts'
import type { ObjectRow } from '../../core/state.ts'
import type { ReviewRow } from '../../log/rows.ts'
import type { Replica } from '../../replica/replica.ts'
import { entriesOf } from '../history/history.ts'
import { objectInfo, objectNamed, objectsMatching, proposedInfo, rowOf } from './objects.ts'
import { withReasons } from '../review/reasons.ts'
import { onlyOne } from '../resolve.ts'
import {
  ProposalReader,
  type ProposedVersion,
  valueOf,
  versionInfosOf,
  versionsOf,
  versionsThatStand,
} from './versions.ts'
import type { LogEntry, ObjectDetail, ObjectInfo } from '../../contract/api.ts'

const CANDIDATES = 3
/** Anybody may propose versions and annotations of anything. */
const VERSIONS_SHOWN = 1_000
const ANNOTATIONS_COUNTED = 10_000

/**
 * The object that `ref` names, in any status: an accepted one by name or id prefix, else one of which
 * something was proposed, by id prefix. Throws NOT_FOUND, AMBIGUOUS.
 */
export async function resolveAnyObject(replica: Replica, ref: string): Promise<ObjectRow> {
  const { log } = replica
  const named = await objectNamed(log, ref)
  if (named !== undefined) return rowOf(log, named)
  const accepted = await objectsMatching(log, ref)
  const isPrefix = accepted.length === 0 && /^[0-9a-f]{1,64}$/.test(ref)
  const found = isPrefix ? await log.history.objectsByPrefix(ref, CANDIDATES) : accepted
  return rowOf(log, onlyOne(found, ref, 'object', String))
}

/** With the accepted ones and the newest 1,000 of all its versions, by arrival. Throws NOT_FOUND. */
export async function showObject(replica: Replica, ref: string): Promise<ObjectDetail> {
  const row = await resolveAnyObject(replica, ref)
  const versions = await versionsOf(new ProposalReader(replica), row.id)
  const infos = versionInfosOf(row, versions)
  const oldest = infos.length - VERSIONS_SHOWN
  const shown = infos
    .filter(({ status }, i) => i >= oldest || status === 'accepted')
    .slice(-2 * VERSIONS_SHOWN)
  return {
    ...(await infoOf(replica, row, versions)),
    kind: kindOf(row, versions),
    versions: await withReasons(replica.log, shown),
    annotations: await countAnnotations(replica, versions),
  }
}

/**
 * Of an object nothing of which is accepted: what its newest undecided version says, else its newest, of
 * those that can stand for it, if there are any.
 */
async function infoOf(
  replica: Replica,
  row: ObjectRow,
  versions: readonly ProposedVersion[],
): Promise<ObjectInfo> {
  if (row.versions.length > 0) return objectInfo(replica, row)
  const standing = versionsThatStand(versions)
  const shown =
    standing.findLast(({ decision }) => decision.status === 'pending') ??
    standing.at(-1) ??
    versions.at(-1)
  if (shown === undefined) throw new GonkError('NOT_FOUND', `no object ${row.id} here`)
  const { proposal, id, decision } = shown
  const status = decision.status === 'rejected' ? 'rejected' : 'pending'
  return proposedInfo(proposal, id.index, status)
}

function kindOf(row: ObjectRow, versions: readonly ProposedVersion[]): ObjectDetail['kind'] {
  const proposed = versions.map(({ operation }) => valueOf(operation))
  const value = row.current ?? proposed.find((candidate) => candidate !== undefined)
  if (value?.type === 'annotation') return 'annotation'
  return value?.mediaType === SCHEMA_MEDIA_TYPE ? 'schema' : 'file'
}

/** In any status; counting ends at 10,000. */
async function countAnnotations(
  { log }: Replica,
  versions: readonly ProposedVersion[],
): Promise<number> {
  const annotations = new Set<ObjectId>()
  let rows = 0
  for (const { id } of versions) {
    const limit = ANNOTATIONS_COUNTED - rows
    if (limit <= 0) break
    for await (const { object } of log.history.annotationsOf(id, { limit })) {
      annotations.add(object)
      rows++
    }
  }
  return annotations.size
}

/**
 * Proposals with operations on an object, annotation or schema, in the order of their arrival here,
 * each followed by the reviews that decide one of these. The newest 1,000 proposals. Throws NOT_FOUND.
 */
export async function history(replica: Replica, ref: string): Promise<LogEntry[]> {
  const { log } = replica
  const { id } = await resolveAnyObject(replica, ref)
  const indexes = new Map<EventId, number[]>()
  for await (const { proposal, index } of log.history.operationsOf(id)) {
    const known = indexes.get(proposal)
    if (known) known.push(index)
    else indexes.set(proposal, [index])
    const [oldest] = indexes.keys()
    if (indexes.size > VERSIONS_SHOWN && oldest !== undefined) indexes.delete(oldest)
  }
  const ids = new Set<EventId>()
  for (const [proposal, touched] of indexes) {
    ids.add(proposal)
    const reviews = (await log.reviewsOf(proposal)).filter((review) => isOn(review, touched))
    reviews.sort((a, b) => compareBytes(a.date, b.date))
    for (const { event } of reviews) ids.add(event)
  }
  const entries: LogEntry[] = []
  for await (const entry of entriesOf(log, ids, '')) entries.push(entry)
  return entries
}

function isOn({ ranges }: ReviewRow, indexes: readonly number[]): boolean {
  if (ranges === undefined) return true
  return indexes.some((index) => ranges.some(([from, to]) => from <= index && index <= to))
}
