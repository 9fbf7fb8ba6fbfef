// Rows for whoever may take long over each of them: a peer that reads slowly, a file to be fetched. An
// iterator that is left open meanwhile keeps on the disk whatever is deleted.
import type { Database, KeyRange } from './database.ts'

/** Most callers need few rows. */
const FIRST_PAGE_ROWS = 64
const PAGE_ROWS = 1_024

/** Rows that are added meanwhile may be among them, but none after what was the last at the beginning. */
export function pagedRows(
  db: Pick<Database, 'iterator' | 'keys'>,
  range: KeyRange,
): AsyncGenerator<[key: Uint8Array, value: Uint8Array]> {
  const read = (page: KeyRange) => db.iterator(page).all()
  return paged(db, range, read, ([key]) => key)
}

/** The same, of keys alone. */
export function pagedKeys(db: Pick<Database, 'keys'>, range: KeyRange): AsyncGenerator<Uint8Array> {
  return paged(
    db,
    range,
    (page) => db.keys(page).all(),
    (key) => key,
  )
}

async function* paged<Row>(
  db: Pick<Database, 'keys'>,
  { limit = -1, reverse = false, ...range }: KeyRange,
  read: (page: KeyRange) => Promise<Row[]>,
  keyOf: (row: Row) => Uint8Array,
): AsyncGenerator<Row> {
  let left = limit < 0 ? Number.POSITIVE_INFINITY : limit
  let page: KeyRange = range
  let end: Uint8Array | undefined
  for (let size = limit < 0 ? FIRST_PAGE_ROWS : PAGE_ROWS; left > 0; size = PAGE_ROWS) {
    const wanted = Math.min(size, left)
    const rows = await read({ ...page, reverse, limit: wanted })
    left -= rows.length
    const last = rows.at(-1)
    const isOver = rows.length < wanted || left === 0
    if (last !== undefined && !isOver) {
      // Asked for before the rows are worked on: those that are added meanwhile are not waited for.
      end ??= (await db.keys({ ...range, reverse: !reverse, limit: 1 }).all())[0] ?? keyOf(last)
      page = reverse ? { gte: end, lt: keyOf(last) } : { gt: keyOf(last), lte: end }
    }
    yield* rows
    if (isOver) return
  }
}
