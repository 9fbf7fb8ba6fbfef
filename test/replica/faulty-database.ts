// A database in memory that fails on command: a write that is refused, or a process that ends
// before or after a write. What was written stays for the next one that opens it.
import { MemoryLevel } from 'memory-level'
import type { Database } from '../../src/log/database.ts'

/**
 * `refused`: not written, as on a full disk. `unsure`: it fails, and yet is written. `lost`: the
 * process ends before it. `last`: the process ends after it.
 */
export type Fault = 'refused' | 'unsure' | 'lost' | 'last'

export class FaultyDatabase {
  readonly disk: Database = new MemoryLevel({ keyEncoding: 'view', valueEncoding: 'view' })
  /** Writes so far, and reads but those of iterators. */
  writes = 0
  reads = 0
  #next: { atWrite: number; fault: Fault } | undefined

  /** The write `inWrites` from now (1: the next) fails so. */
  failIn(inWrites: number, fault: Fault): void {
    this.#next = { atWrite: this.writes + inWrites, fault }
  }

  heal(): void {
    this.#next = undefined
  }

  /** The database as one process sees it: once it has ended, nothing it still does is written. */
  open(): { db: Database; hasEnded: () => boolean } {
    let ended = false
    const guard = async (write: () => Promise<unknown>): Promise<void> => {
      if (ended) throw new Error('the process has ended')
      this.writes++
      const fault = this.#next?.atWrite === this.writes ? this.#next.fault : undefined
      if (fault === undefined) {
        await write()
        return
      }
      this.#next = undefined
      ended = fault === 'lost' || fault === 'last'
      if (fault === 'last' || fault === 'unsure') await write()
      throw new Error(ended ? 'the process has ended' : 'no space left on device')
    }
    const db = new Proxy(this.disk, {
      get: (disk, name) => {
        const value: unknown = Reflect.get(disk, name, disk)
        if (typeof value !== 'function') return value
        const method = value.bind(disk) as (...parameters: unknown[]) => Promise<unknown>
        if (name === 'batch' || name === 'put' || name === 'del' || name === 'clear') {
          return (...parameters: unknown[]) => guard(() => method(...parameters))
        }
        if (name === 'get' || name === 'getMany') {
          return (...parameters: unknown[]) => {
            this.reads++
            return method(...parameters)
          }
        }
        return method
      },
    })
    return { db, hasEnded: () => ended }
  }
}
