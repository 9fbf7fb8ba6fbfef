// Object names: what is a name. Who owns one is decided in claims.ts.
import { limits } from './limits.ts'

/** Printable ASCII but the backslash: one byte a character, and nothing to refuse in it. */
const PLAIN = /^[ -[\]-~]*$/

/**
 * Why `name` cannot be an object's name, as every node decides it: by bytes only. (NFC is asked for
 * where a name is made and where an owner signs, never here: its answer may change with Unicode.)
 */
export function namePathProblem(name: string): string | undefined {
  const isPlain = PLAIN.test(name)
  const sizeOf = (text: string) => (isPlain ? text.length : new TextEncoder().encode(text).length)
  const sizeBytes = sizeOf(name)
  if (sizeBytes < 1 || sizeBytes > limits.nameBytesMax) return `1 to ${limits.nameBytesMax} bytes`
  for (const segment of name.split('/')) {
    const segmentBytes = sizeOf(segment)
    if (segmentBytes < 1) return 'empty segment'
    if (segmentBytes > limits.nameSegmentBytesMax) return 'segment too long'
    if (segment === '.' || segment === '..') return 'relative segment'
  }
  if (isPlain) return undefined
  for (const character of name) {
    const code = character.codePointAt(0) as number
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return 'control character'
    if (character === '\\') return 'backslash'
    // Decoders of text drop it where a segment begins, and the directory would be another one.
    if (code === 0xfeff) return 'byte order mark'
  }
  return undefined
}
