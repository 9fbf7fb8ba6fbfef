// LevelDB as the rest may rely on it: failures have codes, and after a write that failed nothing is
// written until the database was opened anew. What was written behind a torn record would be told to be
// on disk, and be gone at the next start.
import { access, constants, readdir, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { GonkError } from '../core/errors.ts'
import type { Database } from './database.ts'

/** What whoever keeps rows in memory must know: see {@link Opening}. */
export interface Health {
  /** Of the last writes before it was opened first: LevelDB could not read them, and went on without. */
  readonly lostBytes: number
  /** How often the database was opened anew: it may hold what was said to have failed before. */
  readonly openings: number
  /** Opens it anew if it must be. Throws DISK where that cannot be yet; then it can still be read. */
  heal(): Promise<void>
}

/**
 * Which opening of the database rows in memory are of: after another one they are to be read again, since
 * what was said to have failed may be there.
 */
export class Opening {
  readonly #db: Pick<Database, 'health'>
  #of: number | undefined

  constructor(db: Pick<Database, 'health'>) {
    this.#db = db
    this.reread()
  }

  /** Whether rows that were read before {@link reread} may not be those on disk. */
  async isOver(): Promise<boolean> {
    await this.#db.health?.heal().catch(() => {})
    return this.#db.health?.openings !== this.#of
  }

  reread(): void {
    this.#of = this.#db.health?.openings
  }

  /** Throws DISK when it is over. */
  async check(): Promise<void> {
    if (!(await this.isOver())) return
    throw new GonkError('DISK', 'the database was opened anew after a failure of the disk', {
      hint: 'try again',
    })
  }
}

/** Opening writes what is in the newest files once more, and begins new ones. */
const ROOM_TO_OPEN_BYTES = 1 << 20

const WRITES = new Set<PropertyKey>(['put', 'del', 'batch', 'clear'])
const READS = new Set<PropertyKey>(['get', 'getMany', 'has', 'hasMany'])
const NOW = new Set<PropertyKey>(['getSync', 'snapshot'])
const ITERATORS = new Set<PropertyKey>(['iterator', 'keys', 'values'])

type Method = (...parameters: unknown[]) => unknown

/**
 * @param directory of the database, for messages and to see whether there is room.
 * @returns the same database; DISK for what the disk refuses, HOME_DAMAGED for what cannot be read.
 */
export function guarded(level: Database, directory: string, lostBytes: number): Database {
  const guard = new Guard(level, directory, lostBytes)
  return new Proxy(level, {
    get(target, name) {
      if (name === 'health') return guard
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      const method = value.bind(target) as Method
      if (WRITES.has(name)) return (...all: unknown[]) => guard.write(() => method(...all))
      if (READS.has(name)) return (...all: unknown[]) => guard.read(() => method(...all))
      if (NOW.has(name)) return (...all: unknown[]) => guard.now(() => method(...all))
      if (ITERATORS.has(name)) return (...all: unknown[]) => guard.iterator(() => method(...all))
      if (name === 'close') return () => guard.close()
      return method
    },
  })
}

class Guard implements Health {
  openings = 0
  readonly lostBytes: number
  readonly #level: Database
  readonly #directory: string
  /** What came last does not end where LevelDB thinks it does. */
  #isTorn = false
  #isClosed = false
  #opening: Promise<void> | undefined
  /** One at a time: none is under way behind one that fails, and then told to be on disk. */
  #lastWrite: Promise<unknown> = Promise.resolve()

  constructor(level: Database, directory: string, lostBytes: number) {
    this.lostBytes = lostBytes
    this.#level = level
    this.#directory = directory
  }

  async heal(): Promise<void> {
    if (this.#isTorn) await this.#openAnew()
  }

  write(write: () => unknown): Promise<unknown> {
    const written = this.#lastWrite.then(() => this.#write(write))
    this.#lastWrite = written.catch(() => {})
    return written
  }

  async #write(write: () => unknown): Promise<unknown> {
    await this.heal()
    try {
      return await write()
    } catch (error) {
      if (codeOf(error) === 'LEVEL_IO_ERROR') this.#isTorn = true
      throw this.#failureOf(error)
    }
  }

  async read(read: () => unknown): Promise<unknown> {
    await this.#opening?.catch(() => {})
    // An attempt to open it anew has failed.
    if (this.#isTorn && this.#level.status !== 'open') await this.#openAnew()
    return this.#settled(read)
  }

  async #settled(read: () => unknown): Promise<unknown> {
    try {
      return await read()
    } catch (error) {
      throw this.#failureOf(error)
    }
  }

  now(read: () => unknown): unknown {
    try {
      return read()
    } catch (error) {
      throw this.#failureOf(error)
    }
  }

  iterator(open: () => unknown): unknown {
    const iterator = this.now(open)
    const methods = iterator as Record<'next' | 'nextv' | 'all', Method>
    for (const name of ['next', 'nextv', 'all'] as const) {
      const method = methods[name].bind(iterator)
      methods[name] = async (...all) => this.#settled(() => method(...all))
    }
    return iterator
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#lastWrite
    await this.#opening?.catch(() => {})
    await this.#level.close()
  }

  /** Once for all who wait. Throws DISK while there is no room, and then nothing is closed. */
  #openAnew(): Promise<void> {
    this.#opening ??= this.#reopen().finally(() => (this.#opening = undefined))
    return this.#opening
  }

  async #reopen(): Promise<void> {
    if (this.#isClosed) throw new GonkError('CANCELLED', `${this.#directory} was closed`)
    try {
      await this.#checkRoom()
      await this.#level.close()
      await this.#level.open({ createIfMissing: false } as object)
      this.#isTorn = false
      this.openings++
    } catch (error) {
      throw this.#failureOf(error)
    }
  }

  async #checkRoom(): Promise<void> {
    await access(this.#directory, constants.W_OK)
    let needed = ROOM_TO_OPEN_BYTES
    for (const name of await readdir(this.#directory)) {
      if (name.endsWith('.log')) needed += (await stat(join(this.#directory, name))).size
    }
    const { bavail, bsize } = await statfs(this.#directory)
    if (bavail * bsize >= needed) return
    throw new GonkError('DISK', `a write to ${this.#directory} failed for want of room`, {
      hint: `make room for ${needed} bytes there: it goes on by itself then`,
    })
  }

  #failureOf(error: unknown): unknown {
    return storageFailure(error, this.#directory)
  }
}

/** What LevelDB or the file system threw, as a GonkError; anything else as it is. */
function storageFailure(error: unknown, directory: string): unknown {
  if (error instanceof GonkError || !(error instanceof Error)) return error
  const { cause } = error as { cause?: Error & { code?: string } }
  const code = codeOf(error)
  const text = cause?.message ?? error.message
  if (code === 'LEVEL_CORRUPTION' || codeOf(cause) === 'LEVEL_CORRUPTION') {
    return new GonkError('HOME_DAMAGED', `${directory} cannot be read: ${text}`, { cause: error })
  }
  if (/^LEVEL_(IO_ERROR|(DATABASE|ITERATOR|SNAPSHOT)_NOT_OPEN|DATABASE_CLOSED)/.test(code)) {
    return new GonkError('DISK', `${directory}: ${text}`, { cause: error })
  }
  if (/^E[A-Z]+$/.test(code)) {
    return new GonkError('DISK', `${directory} cannot be written: ${text}`, { cause: error })
  }
  return error
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
