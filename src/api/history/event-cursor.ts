// Where a reader of events stands in each dataset, as one text that only this node understands.
import { GonkError } from '../../core/errors.ts'

/** Ordinal of a dataset → arrival number of the next event. Nothing of the others was read. */
export type Positions = Map<number, number>

const FORMAT = 1
/** Continues in the next byte. */
const MORE = 0x80
const DIGIT = 0x80

/** Base64url of a format byte and, by ordinal, pairs of numbers with seven bits a byte, low ones first. */
export function cursorOf(positions: Positions): string {
  const bytes = [FORMAT]
  for (const [ordinal, arrival] of [...positions].sort(([a], [b]) => a - b)) {
    putNumber(bytes, ordinal)
    putNumber(bytes, arrival)
  }
  return Buffer.from(bytes).toString('base64url')
}

/** The inverse: every cursor has exactly one form. Throws USAGE for any other text. */
export function positionsOf(cursor: string): Positions {
  const bytes = Buffer.from(cursor, 'base64url')
  if (bytes[0] !== FORMAT || bytes.toString('base64url') !== cursor) throw notOne()
  const numbers: number[] = []
  for (let at = 1; at < bytes.length;) {
    let value = 0
    let scale = 1
    for (;;) {
      const byte = bytes[at++]
      if (byte === undefined || (byte === 0 && scale > 1)) throw notOne()
      value += (byte % MORE) * scale
      if (!Number.isSafeInteger(value)) throw notOne()
      if (byte < MORE) break
      scale *= DIGIT
    }
    numbers.push(value)
  }
  if (numbers.length % 2 !== 0) throw notOne()
  const positions: Positions = new Map()
  let last = -1
  for (let i = 0; i < numbers.length; i += 2) {
    const [ordinal, arrival] = numbers.slice(i, i + 2) as [number, number]
    if (ordinal <= last) throw notOne()
    positions.set(ordinal, arrival)
    last = ordinal
  }
  return positions
}

function putNumber(bytes: number[], number: number): void {
  let rest = number
  for (; rest >= DIGIT; rest = Math.floor(rest / DIGIT)) bytes.push((rest % DIGIT) + MORE)
  bytes.push(rest)
}

function notOne(): GonkError {
  return new GonkError('USAGE', '`after` is not the cursor of an event of this node', {
    hint: 'give `cursor` of the last event you have, or begin again without it',
  })
}
