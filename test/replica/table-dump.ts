// What a replica has on disk, in a form that says nothing of the order in which events arrived: two
// replicas of the same events must be equal in it.
import type { EventId } from '../../src/core/ids.ts'
import { compareVersions, hexOf } from '../../src/core/ids.ts'
import type { Database } from '../../src/log/database.ts'
import { datasetPrefix, rangeOf, type Table } from '../../src/log/keys.ts'
import type { DatasetLog } from '../../src/log/dataset-log.ts'
import { indexedHistory } from './history-scan.ts'

/** Rows whose keys and values do not depend on arrival. */
const PLAIN: readonly Table[] = [
  'depths',
  'heads',
  'voids',
  'requirements',
  'wanted',
  'dirty',
  'names',
  'directories',
  'owned',
  'contents',
  'accepted',
  'releases',
  'stateJournal',
  'eventJournal',
]

export type Dump = Readonly<Record<string, unknown>>

/** Call after `snapshot()`, when nothing is under way. */
export async function dumpOf(db: Database, log: DatasetLog): Promise<Dump> {
  const dump: Record<string, unknown> = {}
  for (const table of PLAIN) dump[table] = await rowsOf(db, log, table)
  // How large a content is said to be depends on who named it first, and is a hint.
  dump['lacking'] = (await rowsOf(db, log, 'lacking')).map(([key]) => key)
  dump['headers'] = await headersOf(log)
  dump['proposals'] = await proposalsOf(log)
  dump['objects'] = await objectsOf(log)
  dump['history'] = await indexedHistory(db, log)
  // Where nothing was ever accepted there is no row; where it was for a while, there is one.
  dump['counts'] = (await log.meta('counts')) ?? { objects: 0, versions: 0, annotations: 0 }
  const { state, events, files, ...counts } =
    (await log.meta<Record<string, unknown>>('trees')) ?? {}
  dump['trees'] = { state, events, files, ...counts }
  return dump
}

async function rowsOf(db: Database, log: DatasetLog, table: Table): Promise<[string, string][]> {
  const prefix = datasetPrefix(table, log.ordinal)
  const rows: [string, string][] = []
  for await (const [key, value] of db.iterator(rangeOf(prefix))) {
    rows.push([hexOf(key.subarray(prefix.length)), hexOf(value)])
  }
  return rows
}

async function headersOf(log: DatasetLog) {
  const operations = await log.operations()
  const headers: unknown[] = []
  for await (const { id } of log.byDepth()) {
    const header = await log.header(id)
    if (header === undefined) throw new Error(`no header of ${id}`)
    const { seen, arrival: _, ...rest } = header
    const ids = operations.filter((_, i) => seen.some(([from, to]) => from <= i && i <= to))
    headers.push({ ...rest, seen: ids.map((operation) => operation.id).sort() })
  }
  return headers
}

async function proposalsOf(log: DatasetLog) {
  const proposals: unknown[] = []
  const pending = new Set<EventId>()
  for await (const id of log.pending()) pending.add(id)
  for await (const [id, row] of log.allProposals()) {
    const { operations, author, sizeBytes, named, decisions } = row
    const reviews = (await log.reviewsOf(id)).map((review) => ({
      ...review,
      rejectsBefore: [...review.rejectsBefore].sort(),
      validRejectsBefore: [...review.validRejectsBefore].sort(),
    }))
    const isPending = pending.has(id)
    proposals.push({ id, operations, author, sizeBytes, named, decisions, reviews, isPending })
  }
  return proposals
}

async function objectsOf(log: DatasetLog) {
  const objects: unknown[] = []
  for await (const [id, { versions, head }] of log.objectTable.all()) {
    objects.push([id, versions.toSorted((a, b) => compareVersions(a.id, b.id)), head])
  }
  return objects
}
