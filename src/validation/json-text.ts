// JSON text from outside → a value: strict UTF-8, bounded size and depth, and nothing else read into it.
import { refusal } from './schema-errors.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN = new Set([0x5b, 0x7b])
const CLOSE = new Set([0x5d, 0x7d])

export interface TextLimits {
  readonly bytesMax: number
  readonly depthMax: number
}

/** Throws a {@link Refusal} whose rule is `size`, `depth`, `utf-8` or `json`. */
export function parseJson(bytes: Uint8Array, { bytesMax, depthMax }: TextLimits): unknown {
  if (bytes.length > bytesMax) {
    throw refusal('size', `has ${bytes.length} bytes; at most ${bytesMax} are allowed`)
  }
  if (isDeeperThan(bytes, depthMax)) {
    throw refusal('depth', `is nested more than ${depthMax} levels deep`)
  }
  try {
    return JSON.parse(decode(bytes)) as unknown
  } catch (error) {
    if (error instanceof SyntaxError) throw refusal('json', `is not JSON: ${error.message}`)
    throw error
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw refusal('utf-8', 'is not UTF-8 text')
  }
}

/** Counts brackets outside of strings; exact for JSON, and for anything else the parser decides. */
function isDeeperThan(bytes: Uint8Array, depthMax: number): boolean {
  let depth = 0
  let inString = false
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number
    if (inString) {
      if (byte === BACKSLASH) i++
      else if (byte === QUOTE) inString = false
    } else if (byte === QUOTE) inString = true
    else if (OPEN.has(byte)) {
      if (++depth > depthMax) return true
    } else if (CLOSE.has(byte)) depth--
  }
  return false
}
