// Opens the one LevelDB of a home: lock, format version, and the loud refusal of anything unknown.
import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as dagCbor from '@ipld/dag-cbor'
import type { AbstractLevel } from 'abstract-level'
import { Level } from 'level'
import { GonkError } from '../core/errors.ts'
import { guarded, type Health } from './guarded.ts'
import { homeKey } from './keys.ts'

/** Binary keys and values; the sublevels are key prefixes (keys.ts). */
export type Database = AbstractLevel<string | Buffer | Uint8Array, Uint8Array, Uint8Array> & {
  /** Of one on a disk. */
  readonly health?: Health
}

export type Write =
  { type: 'put'; key: Uint8Array; value: Uint8Array } | { type: 'del'; key: Uint8Array }

/** `limit`: rows, -1 for all. */
export interface KeyRange {
  readonly gte?: Uint8Array
  readonly gt?: Uint8Array
  readonly lte?: Uint8Array
  readonly lt?: Uint8Array
  readonly reverse?: boolean
  readonly limit?: number
}

/** Raised with every change of keys.ts or rows.ts that older code cannot read. */
export const DATABASE_FORMAT = 1

const EMPTY = new Uint8Array(0)
export const put = (key: Uint8Array, value: Uint8Array = EMPTY): Write => ({
  type: 'put',
  key,
  value,
})
export const del = (key: Uint8Array): Write => ({ type: 'del', key })

/** Keys and values of rows that are put. */
export function bytesOf(writes: readonly Write[]): number {
  return writes.reduce(
    (sum, write) => sum + (write.type === 'put' ? write.key.length + write.value.length : 0),
    0,
  )
}

export interface DatabaseOptions {
  /** Bytes of recent writes in memory, twice over. @default 16 MiB */
  readonly writeBufferBytes?: number
  /** Bytes of blocks read. @default 32 MiB */
  readonly cacheBytes?: number
  /** It was repaired, and may lack its format row. @default false */
  readonly salvaged?: boolean
}

/**
 * Opens or makes the database under `directory`.
 * Throws HOME_BUSY when another process has it, HOME_FORMAT when its format is unknown,
 * HOME_DAMAGED when LevelDB cannot read it, DISK when it cannot be written.
 */
export async function openDatabase(
  directory: string,
  { writeBufferBytes = 16 << 20, cacheBytes = 32 << 20, salvaged = false }: DatabaseOptions = {},
): Promise<Database> {
  // LevelDB silently starts anew when its CURRENT file is lost: a witness beside it forbids that.
  const witness = `${directory}.format`
  const db = new Level<Uint8Array, Uint8Array>(directory, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    createIfMissing: !existsSync(witness) && !(await hasRows(directory)),
    writeBufferSize: writeBufferBytes,
    cacheSize: cacheBytes,
    maxFileSize: 16 << 20,
  }) as unknown as Database
  try {
    await db.open()
  } catch (error) {
    throw openFailure(directory, error)
  }
  const guard = guarded(db, directory, await lostBytes(directory))
  try {
    if (!salvaged) await checkFormat(guard)
    if (!existsSync(witness)) await writeFile(witness, `${DATABASE_FORMAT}\n`)
  } catch (error) {
    await db.close()
    throw error
  }
  return guard
}

/** Nothing is begun anew over what is left of a database: `repair` finds in it what there is. */
async function hasRows(directory: string): Promise<boolean> {
  const names = await readdir(directory).catch(() => [])
  return names.some((name) => /\.(ldb|log)$/.test(name))
}

/** LevelDB says so nowhere but in its own log, which begins anew each time. */
async function lostBytes(directory: string): Promise<number> {
  const text = await readFile(join(directory, 'LOG'), 'utf8').catch(() => '')
  return [...text.matchAll(/dropping (\d+) bytes/g)].reduce((sum, [, n]) => sum + Number(n), 0)
}

/**
 * Makes LevelDB's own files anew from the tables and logs that can be read; what cannot is moved to
 * `lost` in `directory`. Throws HOME_BUSY, HOME_DAMAGED, DISK.
 */
export async function repairDatabase(directory: string): Promise<void> {
  await checkUnused(directory)
  // Types of `level` are those of all platforms.
  const { repair } = Level as unknown as { repair(location: string): Promise<void> }
  try {
    await repair.call(Level, directory)
  } catch (error) {
    throw openFailure(directory, error)
  }
}

/** LevelDB repairs what somebody else has open as well, who then writes for nothing: opening asks first. */
async function checkUnused(directory: string): Promise<void> {
  const db = new Level(directory, { createIfMissing: false })
  try {
    await db.open()
  } catch (error) {
    const failure = openFailure(directory, error)
    if (failure.code !== 'HOME_DAMAGED') throw failure
  } finally {
    await db.close()
  }
}

function openFailure(directory: string, error: unknown): GonkError {
  const failure = error as { code?: string; cause?: { code?: string; message?: string } }
  const cause = failure.cause ?? (failure as { code?: string; message?: string })
  const text = cause.message ?? String(error)
  if (cause.code === 'LEVEL_LOCKED') {
    return new GonkError('HOME_BUSY', `${directory} is open in another process`, { cause: error })
  }
  if (
    cause.code === 'LEVEL_CORRUPTION' ||
    /corrupt|does not exist|missing|no such file/i.test(text)
  ) {
    return new GonkError('HOME_DAMAGED', `${directory} cannot be read: ${text}`, { cause: error })
  }
  return new GonkError('DISK', `${directory} cannot be opened: ${text}`, { cause: error })
}

/** Checks the format row, or writes it into an empty database. */
export async function checkFormat(db: Database): Promise<void> {
  const key = homeKey('home')
  const row = await db.get(key)
  if (row === undefined) {
    for await (const _ of db.keys({ limit: 1 })) {
      throw new GonkError('HOME_DAMAGED', 'the database has lost its format row')
    }
    const value = dagCbor.encode({ format: DATABASE_FORMAT, nextOrdinal: 1 })
    await db.batch([put(key, value)], { sync: true } as object)
    return
  }
  checkFormatIs(row)
}

/** Throws HOME_FORMAT. */
export function checkFormatIs(row: Uint8Array): void {
  const { format } = dagCbor.decode<{ format: number }>(row)
  if (format !== DATABASE_FORMAT) {
    throw new GonkError(
      'HOME_FORMAT',
      `database format ${format}; this version reads ${DATABASE_FORMAT}`,
    )
  }
}
