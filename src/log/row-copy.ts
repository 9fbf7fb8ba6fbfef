// The database as it is at one moment, read while it goes on changing: all its rows into another
// database, and the content blocks that they need.
import type { AbstractSnapshot } from 'abstract-level'
import { CID } from 'multiformats/cid'
import { type Database, openDatabase, put, type Write } from './database.ts'
import { homeKey, rangeOf } from './keys.ts'

/** Of one moment; close it, for the database keeps for it what has changed since. */
export type Snapshot = AbstractSnapshot

export interface RowsCopied {
  readonly rows: number
  readonly bytes: number
}

const ROWS_PER_READ = 1_000
const BYTES_PER_BATCH = 1 << 20
/** It is written from one end to the other, and read by nobody. */
const WRITE_ONLY = { writeBufferBytes: 8 << 20, cacheBytes: 1 << 20 }

/**
 * Copies every row into a new database under `directory`, in constant memory. What it wrote is not
 * synced. Throws DISK, and what `onRows` throws.
 */
export async function copyRows(
  db: Database,
  snapshot: Snapshot,
  directory: string,
  onRows: (sofar: RowsCopied) => void,
): Promise<RowsCopied> {
  const copy = await openDatabase(directory, WRITE_ONLY)
  const rows = db.iterator({ snapshot })
  const sofar = { rows: 0, bytes: 0 }
  try {
    let batch: Write[] = []
    let batchBytes = 0
    for (;;) {
      const entries = await rows.nextv(ROWS_PER_READ)
      for (const [key, value] of entries) {
        batch.push(put(key, value))
        batchBytes += key.length + value.length
      }
      if (batchBytes < BYTES_PER_BATCH && entries.length > 0) continue
      await copy.batch(batch)
      sofar.rows += batch.length
      sofar.bytes += batchBytes
      batch = []
      batchBytes = 0
      onRows(sofar)
      if (entries.length === 0) return sofar
    }
  } finally {
    await rows.close()
    await copy.close()
  }
}

/** Every block of the files that are complete here, each once. */
export async function* blocksHeld(db: Database, snapshot: Snapshot): AsyncIterable<CID> {
  for await (const key of db.keys({ ...rangeOf(homeKey('held')), snapshot })) {
    yield CID.decode(key.subarray(1))
  }
  const inner: CID[] = []
  let last: CID | undefined
  for await (const key of db.keys({ ...rangeOf(homeKey('refs')), snapshot })) {
    const [block] = CID.decodeFirst(key.subarray(1))
    if (last?.equals(block) === true) continue
    last = block
    inner.push(block)
    if (inner.length === ROWS_PER_READ) yield* await notFiles(db, snapshot, inner.splice(0))
  }
  yield* await notFiles(db, snapshot, inner)
}

/** Those that are no file themselves. */
async function notFiles(db: Database, snapshot: Snapshot, blocks: readonly CID[]): Promise<CID[]> {
  const keys = blocks.map(({ bytes }) => homeKey('held', bytes))
  const areFiles = await db.hasMany(keys, { snapshot })
  return blocks.filter((_, i) => areFiles[i] !== true)
}

/** Whether a block is among those that {@link blocksHeld} gives. */
export async function isBlockHeld(
  db: Database,
  snapshot: Snapshot,
  { bytes }: CID,
): Promise<boolean> {
  if (await db.has(homeKey('held', bytes), { snapshot })) return true
  const range = rangeOf(homeKey('refs', bytes))
  for await (const _ of db.keys({ ...range, limit: 1, snapshot })) return true
  return false
}
