// Object names: what is a name. Who owns one is decided in claims.ts.
import { limits } from './limits.ts'

/**
 * Why `name` cannot be an object's name, as every node decides it: by bytes only. (NFC is asked for
 * where a name is made and where an owner signs, never here: its answer may change with Unicode.)
 */
export function namePathProblem(name: string): string | undefined {
  const encoder = new TextEncoder()
  const sizeBytes = encoder.encode(name).length
  if (sizeBytes < 1 || sizeBytes > limits.nameBytesMax) return `1 to ${limits.nameBytesMax} bytes`
  for (const segment of name.split('/')) {
    const segmentBytes = encoder.encode(segment).length
    if (segmentBytes < 1) return 'empty segment'
    if (segmentBytes > limits.nameSegmentBytesMax) return 'segment too long'
    if (segment === '.' || segment === '..') return 'relative segment'
  }
  for (const character of name) {
    const code = character.codePointAt(0) as number
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return 'control character'
    if (character === '\\') return 'backslash'
    // Decoders of text drop it where a segment begins, and the directory would be another one.
    if (code === 0xfeff) return 'byte order mark'
  }
  return undefined
}
