// A simulated disk and the database on it. It knows what is safe: a crash takes the last writes that
// were not synced, each batch whole, as LevelDB's log does; a write that was cut off is lost whole.
import type { Database, KeyRange, Write } from '../../src/log/database.ts'
import type { Choices } from '../reference/generator.ts'
import { keyOfText, type Row, Rows, type Undo } from './rows.ts'
import type { Scheduler } from './scheduler.ts'

/**
 * What the next write does. `refused`: not written, as on a full disk. `unsure`: it fails, and yet is
 * written. `cut`: the process ends before it. `last`: the process ends after it, before it knows.
 */
export type DiskFault = 'refused' | 'unsure' | 'cut' | 'last'

/** One process that has the disk open. Nothing it does after its end has an effect. */
export interface Process {
  isAlive: boolean
}

/** All rows as they were. */
interface Snapshot {
  readonly rows: Rows
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

interface ReadOptions {
  readonly snapshot?: Snapshot
}

/** Writes that the system has not written by itself yet: more than that are safe without a sync. */
const UNSYNCED_MAX = 400

export const FULL = 'no space left on device'

export class SimulatedDisk {
  rows = new Rows()
  /** Longest time that one write takes, in ms. */
  slownessMs = 2
  fault: DiskFault | undefined
  /** Called when a fault ends the process. */
  onEnd: () => void = () => {}
  writes = 0
  readonly #scheduler: Scheduler
  readonly #choices: Choices
  /** Of the writes that a crash may take, oldest first. */
  #unsynced: Undo[] = []
  #freeAtMs = 0

  constructor(scheduler: Scheduler, choices: Choices) {
    this.#scheduler = scheduler
    this.#choices = choices
  }

  /** The power goes: some of the last writes are lost. @returns how many. */
  crash(): number {
    const lost = this.#choices.below(this.#unsynced.length + 1)
    for (let i = 0; i < lost; i++) this.rows.takeBack(this.#unsynced.pop() as Undo)
    this.#unsynced = []
    this.#freeAtMs = 0
    this.fault = undefined
    return lost
  }

  /** Somebody puts an older copy in the place of what is there. No process must have it open. */
  restore(copy: Rows): void {
    this.rows = copy.copy()
    this.#unsynced = []
  }

  /** As much of LevelDB as the node uses; an iterator sees the rows as they were when it began. */
  open(process: Process): Database {
    const read = <T>(what: (rows: Rows) => T, options?: ReadOptions): Promise<T> =>
      process.isAlive ? Promise.resolve(what(options?.snapshot?.rows ?? this.rows)) : never<T>()
    const write = (writes: () => readonly Write[], options?: { sync?: boolean }) =>
      this.#write(process, writes, options?.sync === true)
    const walk = <T>(range: KeyRange & ReadOptions, pick: (row: Row) => T) =>
      iterate(process, () => (range.snapshot?.rows ?? this.rows).range(range), pick)
    const db = {
      get: (key: Uint8Array, options?: ReadOptions) => read((rows) => rows.get(key), options),
      getSync: (key: Uint8Array, options?: ReadOptions) =>
        (options?.snapshot?.rows ?? this.rows).get(key),
      getMany: (keys: readonly Uint8Array[], options?: ReadOptions) =>
        read((rows) => keys.map((key) => rows.get(key)), options),
      has: (key: Uint8Array, options?: ReadOptions) =>
        read((rows) => rows.get(key) !== undefined, options),
      hasMany: (keys: readonly Uint8Array[], options?: ReadOptions) =>
        read((rows) => keys.map((key) => rows.get(key) !== undefined), options),
      put: (key: Uint8Array, value: Uint8Array, options?: { sync?: boolean }) =>
        write(() => [{ type: 'put', key, value }], options),
      del: (key: Uint8Array, options?: { sync?: boolean }) =>
        write(() => [{ type: 'del', key }], options),
      batch: (writes: readonly Write[], options?: { sync?: boolean }) =>
        write(() => writes, options),
      clear: (range: KeyRange) =>
        write(() => this.rows.range(range).map(([key]) => ({ type: 'del', key: keyOfText(key) }))),
      iterator: (range: KeyRange = {}) => walk(range, ([key, value]) => [keyOfText(key), value]),
      keys: (range: KeyRange = {}) => walk(range, ([key]) => keyOfText(key)),
      values: (range: KeyRange = {}) => walk(range, ([, value]) => value),
      snapshot: (): Snapshot => {
        const close = async () => {}
        return { rows: this.rows.copy(), close, [Symbol.asyncDispose]: close }
      },
      close: async () => {},
    }
    return db as unknown as Database
  }

  /** Writes come one after the other. */
  #write(process: Process, writes: () => readonly Write[], sync: boolean): Promise<void> {
    if (!process.isAlive) return never()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const { nowMs } = this.#scheduler
    const tookMs = (this.#choices.below(100) / 100) * this.slownessMs
    this.#freeAtMs = Math.max(nowMs, this.#freeAtMs) + tookMs
    this.#scheduler.in(this.#freeAtMs - nowMs, () => {
      if (!process.isAlive) return
      this.writes++
      const { fault } = this
      this.fault = undefined
      if (fault !== 'refused' && fault !== 'cut') this.#apply(writes(), sync)
      if (fault === 'cut' || fault === 'last') this.onEnd()
      else if (fault === undefined) resolve()
      else reject(new Error(FULL))
    })
    return promise
  }

  #apply(writes: readonly Write[], sync: boolean): void {
    this.#unsynced.push(this.rows.apply(writes))
    if (sync) this.#unsynced = []
    else if (this.#unsynced.length > UNSYNCED_MAX) this.#unsynced.shift()
  }
}

/** A promise of its own each time: a shared one would remember everybody who waits. */
function never<T>(): Promise<T> {
  return new Promise<T>(() => {})
}

function iterate<T>(
  process: Process,
  read: () => Row[],
  pick: (row: Row) => T,
): AsyncIterableIterator<T> & { all(): Promise<T[]> } {
  let rows: Row[] | undefined
  let next = 0
  return {
    next(): Promise<IteratorResult<T>> {
      if (!process.isAlive) return never()
      rows ??= read()
      const row = rows[next++]
      if (row === undefined) return Promise.resolve({ done: true, value: undefined })
      return Promise.resolve({ done: false, value: pick(row) })
    },
    all: () => (process.isAlive ? Promise.resolve(read().map(pick)) : never()),
    return(): Promise<IteratorResult<T>> {
      rows = []
      return Promise.resolve({ done: true, value: undefined })
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
