// Annotations that are here already, word for word: in force, or proposed by the same key and not
// decided.
import type { AnnotationValue } from '../../core/event.ts'
import {
  cidOfDigest,
  type EventId,
  hexOf,
  type ObjectId,
  type PublicKey,
  type VersionId,
  versionKey,
} from '../../core/ids.ts'
import { objectRowOf } from '../../core/objects.ts'
import { sha256 } from '../../crypto.ts'
import type { AnnotationRow } from '../../log/history-index.ts'
import type { Replica } from '../../replica/replica.ts'
import { type Annotation, justProposed } from './annotation-info.ts'
import { decisionOn, type ProposalReader } from '../objects/versions.ts'

const RAW = 0x55
/** For all objects together, and for each value: how many annotations of the same are looked at. */
const ROWS = 500
const ROWS_EACH = 20
const ROWS_PER_READ = 500

/** The same for annotations of the same versions by the same schema version with the same bytes. */
export function textOfAnnotation({ targets, schema, inline, content }: AnnotationValue): string {
  // A short file is one raw block, whose CID is known without storing it.
  const bytes = content ?? cidOfDigest(sha256(inline ?? new Uint8Array()), RAW).bytes
  return [...targets, schema].map(versionKey).join(' ') + ` ${hexOf(bytes)}`
}

/**
 * Equal ones, by {@link textOfAnnotation}: `accepted` and current, else `pending` and proposed by
 * `author`. Looks at the newest annotations of the same objects, a bounded number for each value.
 */
export async function twinsOf(
  reader: ProposalReader,
  author: PublicKey,
  values: ReadonlyMap<string, AnnotationValue>,
): Promise<Map<string, Annotation>> {
  const rows = await rowsBeside(reader.replica, [...values.values()])
  const textIn = findIn(values)
  const twins = await acceptedTwins(reader.replica, rows, textIn)
  for (const row of await pendingRows(reader.replica, author, rows)) {
    if (twins.size === values.size) break
    const read = await reader.read(row.version.proposal)
    if (read?.proposal.operations[row.version.index]?.op !== 'create') continue
    const { index } = row.version
    const twin = justProposed(read.proposal, index, 'pending', objectRowOf(row.object, []))
    const text = twin && textIn(twin.value)
    if (twin && text !== undefined && !twins.has(text)) twins.set(text, twin)
  }
  return twins
}

/** The text of a value that is among them. */
function findIn(values: ReadonlyMap<string, AnnotationValue>) {
  const sizes = new Set([...values.values()].map(({ sizeBytes }) => sizeBytes))
  return (value: AnnotationValue): string | undefined => {
    const text = sizes.has(value.sizeBytes) ? textOfAnnotation(value) : ''
    return values.has(text) ? text : undefined
  }
}

/** What annotates the first object of any of the values, the newest of each object first. */
async function rowsBeside(
  { log }: Replica,
  values: readonly AnnotationValue[],
): Promise<AnnotationRow[]> {
  const targets = new Map<string, { target: VersionId; count: number }>()
  for (const value of values) {
    const [target] = value.targets
    if (target === undefined) continue
    const key = versionKey(target)
    targets.set(key, { target, count: 1 + (targets.get(key)?.count ?? 0) })
  }
  const rows: AnnotationRow[] = []
  for (const { target, count } of targets.values()) {
    const limit = Math.floor(ROWS / targets.size) + ROWS_EACH * count
    for await (const row of log.history.annotationsOf(target, { reverse: true, limit })) {
      rows.push(row)
    }
  }
  return rows
}

async function acceptedTwins(
  { log }: Replica,
  rows: readonly AnnotationRow[],
  textIn: (value: AnnotationValue) => string | undefined,
): Promise<Map<string, Annotation>> {
  const twins = new Map<string, Annotation>()
  const objects = [...new Set<ObjectId>(rows.map(({ object }) => object))]
  for (let at = 0; at < objects.length; at += ROWS_PER_READ) {
    const some = objects.slice(at, at + ROWS_PER_READ)
    for (const row of await log.objectRows(some)) {
      const head = row.versions[row.heads[0] ?? -1]
      const { current: value } = row
      if (head === undefined || value?.type !== 'annotation') continue
      const text = textIn(value)
      if (text === undefined) continue
      twins.set(text, { id: row.id, row, shown: head.id, value, status: 'accepted' })
    }
  }
  return twins
}

/** Those that the author proposed and nobody has decided, the newest first. */
async function pendingRows(
  { log }: Replica,
  author: PublicKey,
  rows: readonly AnnotationRow[],
): Promise<AnnotationRow[]> {
  const proposals = new Map<EventId, AnnotationRow[]>()
  for (const row of rows) {
    const known = proposals.get(row.version.proposal)
    if (known) known.push(row)
    else proposals.set(row.version.proposal, [row])
  }
  const ids = [...proposals.keys()]
  const pending: AnnotationRow[] = []
  for (let at = 0; at < ids.length; at += ROWS_PER_READ) {
    const some = ids.slice(at, at + ROWS_PER_READ)
    for (const [i, proposal] of (await log.proposals(some)).entries()) {
      if (proposal?.author !== author) continue
      for (const row of proposals.get(some[i] as EventId) ?? []) {
        const { status } = decisionOn(proposal.decisions, row.version.index)
        if (status === 'pending') pending.push(row)
      }
    }
  }
  return pending.sort((a, b) => b.arrival - a.arrival)
}
