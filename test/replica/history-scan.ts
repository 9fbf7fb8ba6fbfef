// The rows of the history index in a form that says nothing of the order in which events arrived, and
// the same by a scan of all events.
import { isRejection } from '../../src/core/errors.ts'
import { decodeEvent } from '../../src/core/event-codec.ts'
import type { Operation, Proposal } from '../../src/core/event.ts'
import { type EventId, hexOf, objectIdOf, type VersionId } from '../../src/core/ids.ts'
import type { Database } from '../../src/log/database.ts'
import type { DatasetLog } from '../../src/log/dataset-log.ts'
import { datasetPrefix, rangeOf, type Table } from '../../src/log/keys.ts'
import { sha256 } from '../makers.ts'

/** Sorted lines, table by table. */
export type HistoryText = Readonly<
  Record<'touches' | 'annotations' | 'authors' | 'statuses', string[]>
>

export const HISTORY_TABLES = ['touches', 'annotations', 'authors', 'statuses'] as const

const OPS = ['create', 'update', 'delete', 'purge']
const KINDS = ['object', 'schema', 'annotation', 'removal']
const STATUSES = ['pending', 'accepted', 'rejected']
/** Hex digits. */
const ID = 64
const ARRIVAL = 16
const INDEX = 8

/** What is on disk; throws where a row has the arrival of another event. */
export async function indexedHistory(db: Database, log: DatasetLog): Promise<HistoryText> {
  const arrivals = new Map<number, string>()
  for await (const [arrival, id] of log.arrivals()) arrivals.set(arrival, id)
  const check = (arrival: string, id: string): string => {
    if (arrivals.get(Number.parseInt(arrival, 16)) === id) return id
    throw new Error(`a row of ${id} says that it arrived as ${arrival}`)
  }
  const ids = [...arrivals.values()] as EventId[]
  for (const [i, arrival] of (await log.arrivalsOf(ids)).entries()) {
    check(arrival?.toString(16) ?? '', ids[i] as EventId)
  }
  const lines = async (table: Table, lineOf: (key: string, value: string) => string) => {
    const prefix = datasetPrefix(table, log.ordinal)
    const found: string[] = []
    for await (const [key, value] of db.iterator(rangeOf(prefix))) {
      found.push(lineOf(hexOf(key.subarray(prefix.length)), hexOf(value)))
    }
    return found.sort()
  }
  const number = (text: string) => Number.parseInt(text, 16)
  const placeOf = (place: string, id: string) =>
    `${check(place.slice(0, ARRIVAL), id)}:${number(place.slice(ARRIVAL))}`
  return {
    touches: await lines('touches', (key, value) => {
      const op = OPS[number(value.slice(0, 2))]
      return `${key.slice(0, ID)} ${op} ${placeOf(key.slice(ID), value.slice(2))}`
    }),
    annotations: await lines('annotations', (key, value) => {
      const role = key.startsWith('00') ? 'target' : 'schema'
      const version = `${key.slice(2, 2 + ID)}:${number(key.slice(2 + ID, 2 + ID + INDEX))}`
      const place = placeOf(key.slice(2 + ID + INDEX), value.slice(ID))
      return `${role} ${version} ${value.slice(0, ID)} ${place}`
    }),
    authors: await lines('authors', (key, id) => `${key.slice(0, ID)} ${check(key.slice(ID), id)}`),
    statuses: await lines('statuses', (key, id) => {
      const bit = number(key.slice(0, 2))
      return `${KINDS[Math.floor(bit / 3)]} ${STATUSES[bit % 3]} ${check(key.slice(2), id)}`
    }),
  }
}

/** What should be there, from the events and the decisions about them. */
export async function scannedHistory(log: DatasetLog): Promise<HistoryText> {
  const text = { touches: [], annotations: [], authors: [], statuses: [] } as HistoryText
  for await (const [, id] of log.arrivals()) {
    const event = decodeEvent((await log.block(id)) ?? new Uint8Array(0), sha256)
    if (isRejection(event)) throw new Error(`${id}: ${event.what}`)
    text.authors.push(`${event.author} ${id}`)
    if (event.family !== 'proposal') continue
    event.operations.forEach((operation, index) => scanOperation(text, event, operation, index))
    const { decisions = [] } = (await log.proposal(id)) ?? {}
    const statuses = decisions.flatMap(({ from, to, status }) =>
      event.operations
        .slice(from, to + 1)
        .map((operation) => `${kindOf(operation)} ${status} ${id}`),
    )
    text.statuses.push(...new Set(statuses))
  }
  for (const lines of Object.values(text)) lines.sort()
  return text
}

function scanOperation(
  text: HistoryText,
  { id }: Proposal,
  operation: Operation,
  index: number,
): void {
  const place = `${id}:${index}`
  const object =
    operation.op === 'create' ? objectIdOf({ proposal: id, index }, sha256) : operation.object
  text.touches.push(`${object} ${operation.op} ${place}`)
  if (!('value' in operation) || operation.value.type !== 'annotation') return
  const { targets, schema } = operation.value
  const version = (of: VersionId) => `${of.proposal}:${of.index}`
  for (const target of targets) {
    text.annotations.push(`target ${version(target)} ${object} ${place}`)
  }
  text.annotations.push(`schema ${version(schema)} ${object} ${place}`)
}

export function kindOf(operation: Operation): string {
  if (operation.op === 'delete' || operation.op === 'purge') return 'removal'
  if (operation.value.type === 'annotation') return 'annotation'
  return operation.value.mediaType === 'application/schema+json' ? 'schema' : 'object'
}
