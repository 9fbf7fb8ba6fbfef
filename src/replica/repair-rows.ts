// The rows of a dataset beside those that its events give, table by table: what is damaged there would
// not be noticed by anybody who reads it.
import { compareBytes, type EventId, hexOf, type ObjectId } from '../core/ids.ts'
import { throwIfAborted } from '../files/concurrent.ts'
import type { Database } from '../log/database.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import { DATASET_PREFIX_BYTES, datasetPrefix, rangeOf, type Table } from '../log/keys.ts'
import {
  decodeHeader,
  decodeProposal,
  decodeReview,
  decodeVersions,
  encodeRow,
  type Runs,
} from '../log/rows.ts'
import { runsUnion } from './runs.ts'

export interface Rows {
  readonly db: Database
  readonly log: DatasetLog
}

/** What a row says that does not depend on the order of arrival; undefined: it is not compared. */
type Reading = (key: Uint8Array, value: Uint8Array) => Uint8Array | undefined

const asItIs: Reading = (_, value) => value

/** Keys and values that do not depend on the order of arrival, and not on the pool. */
const PLAIN: readonly Table[] = [
  'depths',
  'heads',
  'voids',
  'requirements',
  'names',
  'directories',
  'owned',
  'contents',
  'accepted',
  'releases',
]

/**
 * Tables whose rows differ, with how many. The indexes by arrival (who proposed what, of what kind and
 * status) are not compared.
 */
export async function differingRows(
  here: Rows,
  again: Rows,
  signal?: AbortSignal,
): Promise<{ table: Table; rows: number }[]> {
  const readings: [Table, (rows: Rows, other: Rows) => Promise<Reading>][] = [
    ...PLAIN.map((table): [Table, () => Promise<Reading>] => [table, async () => asItIs]),
    ['headers', headerReading],
    ['proposals', async () => proposal],
    ['reviews', async () => review],
    ['objects', async () => object],
  ]
  const found: { table: Table; rows: number }[] = []
  for (const [table, readingOf] of readings) {
    const sides = await Promise.all([
      rowsOf(here, table, await readingOf(here, again)),
      rowsOf(again, table, await readingOf(again, here)),
    ])
    const rows = await countDifferent(...sides, signal)
    if (rows > 0) found.push({ table, rows })
  }
  return found
}

type Row = readonly [key: Uint8Array, reading: Uint8Array]

async function* rowsOf({ db, log }: Rows, table: Table, reading: Reading): AsyncGenerator<Row> {
  for await (const [key, value] of db.iterator(rangeOf(datasetPrefix(table, log.ordinal)))) {
    const rest = key.slice(DATASET_PREFIX_BYTES)
    const read = readingOr(reading, rest, value)
    if (read !== undefined) yield [rest, read]
  }
}

/** A row that cannot be read is like no other. */
function readingOr(reading: Reading, key: Uint8Array, value: Uint8Array): Uint8Array | undefined {
  try {
    return reading(key, value)
  } catch {
    return value
  }
}

async function countDifferent(
  a: AsyncGenerator<Row>,
  b: AsyncGenerator<Row>,
  signal: AbortSignal | undefined,
): Promise<number> {
  let different = 0
  let [left, right] = [await a.next(), await b.next()]
  while (left.done !== true || right.done !== true) {
    throwIfAborted(signal)
    const order =
      left.done === true
        ? 1
        : right.done === true
          ? -1
          : compareBytes(left.value[0], right.value[0])
    const isSame =
      order === 0 && compareBytes(left.value?.[1] as Uint8Array, right.value?.[1]) === 0
    if (!isSame) different++
    if (order <= 0) left = await a.next()
    if (order >= 0) right = await b.next()
  }
  return different
}

/** Ordinals of what was seen follow the order of arrival: they are compared by what they stand for. */
async function headerReading({ log }: Rows, other: Rows): Promise<Reading> {
  const [mine, theirs] = await Promise.all([log.operations(), other.log.operations()])
  const ids = mine.map(({ id }) => id)
  const isSameOrder = ids.join() === theirs.map(({ id }) => id).join()
  const seenOf = (seen: Runs): unknown => {
    if (isSameOrder) return runsUnion([seen])
    return seen.flatMap(([from, to]) => ids.slice(from, to + 1)).sort()
  }
  return (key, value) => {
    const { arrival: _, seen, ...row } = decodeHeader(hexOf(key) as EventId, value)
    return encodeRow({ ...row, key: row.key ?? null, seen: seenOf(seen) })
  }
}

/** Of those that are part of the history. */
const proposal: Reading = (_, value) => {
  const { operations, author, sizeBytes, named, decisions } = decodeProposal(value)
  return named ? encodeRow({ operations, author, sizeBytes, decisions }) : undefined
}

const review: Reading = (key, value) => {
  const row = decodeReview(hexOf(key.subarray(32)) as EventId, value)
  return encodeRow({
    ...row,
    ranges: row.ranges ?? null,
    rejectsBefore: [...row.rejectsBefore].sort(),
    validRejectsBefore: [...row.validRejectsBefore].sort(),
  })
}

const object: Reading = (key, value) => {
  const { versions, head } = decodeVersions(value)
  const rows = versions.map((version) => hexOf(encodeRow(version)))
  return encodeRow({ id: hexOf(key) as ObjectId, rows: rows.sort(), head: head ?? null })
}
