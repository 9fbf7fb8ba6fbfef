// A database that LevelDB could not open, or of which writes were lost, as far as it can be read again: the
// rows that every home has are put back, and datasets whose own row was lost are found by their events.
import { isRejection } from '../core/errors.ts'
import { decodeEvent } from '../core/event-codec.ts'
import { type DatasetId, hexOf, type Sha256, textOfEventId } from '../core/ids.ts'
import {
  checkFormatIs,
  type Database,
  DATABASE_FORMAT,
  openDatabase,
  put,
  repairDatabase,
  type Write,
} from './database.ts'
import {
  concat,
  DATASET_PREFIX_BYTES,
  datasetKeys,
  endOf,
  hex,
  homeKey,
  rangeOf,
  u32,
} from './keys.ts'
import { decodeRow, encodeRow } from './rows.ts'

export interface Salvaged {
  /** Names of datasets that are in the catalog again. */
  readonly found: readonly string[]
}

/** Name of the single row of a dataset that says that its rows are to be made again. */
export const DOUBTED = 'doubted'

/** Ordinals above are of tables that are made from others. */
const ORDINALS_END = 0x80_00_00_00

/**
 * Call when no process has the database open; a copy of it should be kept. What is left may lack rows, and
 * old rows may be back. Throws HOME_DAMAGED, HOME_BUSY, DISK.
 */
export async function salvage(directory: string, sha256: Sha256): Promise<Salvaged> {
  await repairDatabase(directory)
  const db = await openDatabase(directory, { salvaged: true })
  try {
    return await restoreCatalog(db, sha256)
  } finally {
    await db.close()
  }
}

/**
 * Puts back what every home has, and finds datasets by their events. All datasets are marked as doubted:
 * their rows may contradict each other, and are made again when they are opened next.
 */
export async function restoreCatalog(db: Database, sha256: Sha256): Promise<Salvaged> {
  const used = await ordinals(db)
  const known = new Map<string, { ordinal: number; name: string }>()
  for await (const [key, value] of db.iterator(rangeOf(homeKey('datasets')))) {
    known.set(hexOf(key.subarray(1)), decodeRow<{ ordinal: number; name: string }>(value))
  }
  const listed = new Set([...known.values()].map(({ ordinal }) => ordinal))
  const forgotten = await forgottenOf(db)
  // Tables under the number of a forgotten one go at the next start.
  let next = Math.max(await nextOrdinalOf(db), 1 + Math.max(0, ...used, ...listed, ...forgotten))
  const taken = new Set([...known.values()].map(({ name }) => name))
  const writes: Write[] = []
  const found: string[] = []
  for (const [id, given] of await strays(db, new Set(known.keys()), sha256)) {
    const text = textOfEventId(id)
    const name = given === undefined || taken.has(given) ? text : given
    taken.add(name)
    found.push(name)
    const ordinal = next++
    listed.add(ordinal)
    writes.push(put(homeKey('datasets', hex(id)), encodeRow({ ordinal, name })))
  }
  for (const ordinal of listed) {
    writes.push(put(datasetKeys(ordinal)('meta', DOUBTED), encodeRow(true)))
  }
  // Nobody knows any more whose they are; the events are kept without them.
  for (const ordinal of used) {
    const isOfNobody = !listed.has(ordinal) && !forgotten.has(ordinal)
    if (isOfNobody) writes.push(put(homeKey('forgotten', u32(ordinal))))
  }
  const home = { format: DATABASE_FORMAT, nextOrdinal: next }
  await db.batch([...writes, put(homeKey('home'), encodeRow(home))], { sync: true } as object)
  return { found }
}

/** Datasets of events that are here and in no catalog, with the names that their owners gave them. */
async function strays(
  db: Database,
  known: Set<string>,
  sha256: Sha256,
): Promise<Map<DatasetId, string | undefined>> {
  for await (const id of db.values(rangeOf(homeKey('forgotten')))) known.add(hexOf(id))
  const found = new Map<DatasetId, string | undefined>()
  for await (const [key, block] of db.iterator(rangeOf(homeKey('events')))) {
    const event = decodeEvent(block, sha256)
    if (isRejection(event) || event.id !== hexOf(key.subarray(1))) continue
    const id = event.family === 'genesis' ? event.id : event.dataset
    if (known.has(id)) continue
    found.set(id, event.family === 'genesis' ? event.name : found.get(id))
  }
  return found
}

/** As the home says, if its row is still here. Throws HOME_FORMAT: what it says may mean something else. */
async function nextOrdinalOf(db: Database): Promise<number> {
  const row = await db.get(homeKey('home'))
  if (row === undefined) return 1
  checkFormatIs(row)
  return decodeRow<{ nextOrdinal: number }>(row).nextOrdinal
}

async function forgottenOf(db: Database): Promise<Set<number>> {
  const found = new Set<number>()
  for await (const key of db.keys(rangeOf(homeKey('forgotten')))) {
    found.add(Buffer.from(key).readUInt32BE(1))
  }
  return found
}

/** Of all tables of datasets that hold anything: one seek each. */
async function ordinals(db: Database): Promise<number[]> {
  const found: number[] = []
  const letter = homeKey('arrivals')
  const keys = db.keys({ gte: letter, lt: concat(letter, u32(ORDINALS_END)) })
  try {
    for (let key = await keys.next(); key !== undefined; key = await keys.next()) {
      found.push(Buffer.from(key).readUInt32BE(1))
      keys.seek(endOf(key.subarray(0, DATASET_PREFIX_BYTES)))
    }
  } finally {
    await keys.close()
  }
  return found
}
