// Rows that go to the database together: until then they are read from memory.
import type { Database, Write } from './database.ts'

/** Of keys. */
export interface Range {
  readonly gte?: Uint8Array
  readonly gt?: Uint8Array
  readonly lt: Uint8Array
  readonly reverse?: boolean
  readonly limit?: number
}

/** As much of a database as a table asks of it. */
export interface Rows {
  /** At once: what is asked for is mostly what was written last. */
  get(key: Uint8Array): Uint8Array | undefined
  batch(writes: Write[]): Promise<void>
  iterator(range: Range): AsyncIterable<[key: Uint8Array, value: Uint8Array]>
}

export function rowsOf(db: Database): Rows {
  return {
    get: (key) => db.getSync(key),
    batch: (writes) => db.batch(writes),
    iterator: (range) => db.iterator(range),
  }
}

/** Rows that are gathered before they are on disk: others have their turn then. */
const WRITES_MAX = 1_000

/**
 * For one writer. What is gathered is on disk after `flush`, all of it or none, and earlier when there is
 * much of it or a range is asked for: after each `batch`, it must be right by itself.
 */
export class Gathered implements Rows {
  readonly #rows: Rows
  readonly #writes = new Map<string, Write>()

  constructor(rows: Rows) {
    this.#rows = rows
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const write = this.#writes.get(textOf(key))
    if (write === undefined) return this.#rows.get(key)
    return write.type === 'put' ? write.value : undefined
  }

  async batch(writes: Write[]): Promise<void> {
    for (const write of writes) this.#writes.set(textOf(write.key), write)
    if (this.#writes.size >= WRITES_MAX) await this.flush()
  }

  async *iterator(range: Range): AsyncGenerator<[key: Uint8Array, value: Uint8Array]> {
    await this.flush()
    yield* this.#rows.iterator(range)
  }

  async flush(): Promise<void> {
    if (this.#writes.size === 0) return
    await this.#rows.batch([...this.#writes.values()])
    this.#writes.clear()
  }
}

const textOf = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('latin1')
