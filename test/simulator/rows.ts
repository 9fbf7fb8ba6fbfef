// What is on a simulated disk: keys in the order of their bytes. Small and quick, as thousands of disks
// come and go in one run.
import type { KeyRange, Write } from '../../src/log/database.ts'

/** Keys as text of one character a byte, which sorts as the bytes do. */
export const textOfKey = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('latin1')
export const keyOfText = (text: string): Uint8Array => Buffer.from(text, 'latin1')

/** What a write changed, to take it back: the value there was, or none. */
export type Undo = readonly (readonly [key: string, before: Uint8Array | undefined])[]

export type Row = [key: string, value: Uint8Array]

/** Keys of one table: all that begin with one letter. */
interface Table {
  keys: string[]
  readonly values: Map<string, Uint8Array>
}

export class Rows {
  readonly #tables = new Map<number, Table>()

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#tables.get(key[0] as number)?.values.get(textOfKey(key))
  }

  /** One batch, which is whole. */
  apply(writes: readonly Write[]): Undo {
    return writes.map((write) => {
      const key = textOfKey(write.key)
      return [key, this.#set(key, write.type === 'put' ? write.value : undefined)] as const
    })
  }

  takeBack(undo: Undo): void {
    for (const [key, before] of undo.toReversed()) this.#set(key, before)
  }

  /** Rows as of now. */
  range(range: KeyRange): Row[] {
    const from = range.gte ?? range.gt
    const to = range.lte ?? range.lt
    const low = from === undefined ? undefined : textOfKey(from)
    const high = to === undefined || to.length === 0 ? undefined : textOfKey(to)
    const max = range.limit === undefined || range.limit < 0 ? Infinity : range.limit
    const rows: Row[] = []
    const letters = [...this.#tables.keys()].sort((a, b) =>
      range.reverse === true ? b - a : a - b,
    )
    for (const letter of letters) {
      if (low !== undefined && letter < low.charCodeAt(0)) continue
      if (high !== undefined && letter > high.charCodeAt(0)) continue
      const { keys, values } = this.#tables.get(letter) as Table
      const start = low === undefined ? 0 : placeOf(keys, low, range.gt !== undefined)
      const end = high === undefined ? keys.length : placeOf(keys, high, range.lte !== undefined)
      for (let k = 0; k < end - start && rows.length < max; k++) {
        const key = keys[range.reverse === true ? end - 1 - k : start + k] as string
        rows.push([key, values.get(key) as Uint8Array])
      }
    }
    return rows
  }

  copy(): Rows {
    const copy = new Rows()
    for (const [letter, { keys, values }] of this.#tables) {
      copy.#tables.set(letter, { keys: [...keys], values: new Map(values) })
    }
    return copy
  }

  #set(key: string, value: Uint8Array | undefined): Uint8Array | undefined {
    const letter = key.charCodeAt(0)
    let table = this.#tables.get(letter)
    if (table === undefined) this.#tables.set(letter, (table = { keys: [], values: new Map() }))
    const { keys, values } = table
    const before = values.get(key)
    if (value !== undefined) {
      if (before === undefined) keys.splice(placeOf(keys, key, false), 0, key)
      values.set(key, value)
    } else if (before !== undefined) {
      keys.splice(placeOf(keys, key, false), 1)
      values.delete(key)
    }
    return before
  }
}

/** The first key that is not before `key`; with `isAfter`, the first that is after it. */
function placeOf(keys: readonly string[], key: string, isAfter: boolean): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >> 1
    const there = keys[middle] as string
    if (there < key || (isAfter && there === key)) low = middle + 1
    else high = middle
  }
  return low
}
