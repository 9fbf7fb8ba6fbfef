// Bodies of requests: JSON within limits, and files as they come in.
import type { IncomingMessage } from 'node:http'
import { GonkError, quoted } from '../core/errors.ts'

export interface JsonLimits {
  readonly depthMax: number
  /** Elements of arrays and members of objects. */
  readonly valuesMax: number
}

/**
 * No request of ours is nested deeper, and what is would overflow the stack of whoever walks it. Each
 * value takes up to a hundred times its bytes in memory: long documents come as text.
 */
const limitsOfJson: JsonLimits = { depthMax: 128, valuesMax: 500_000 }

/** How long a server waits for clients. */
export interface Patience {
  /** For a JSON body as a whole. */
  readonly bodyMs: number
  /** For the next bytes of a file, which as a whole may take as long as it likes. */
  readonly silenceMs: number
  /** For the end of what nobody takes any more, so that the answer arrives. */
  readonly lingerMs: number
}

export const defaultPatience: Patience = { bodyMs: 60_000, silenceMs: 60_000, lingerMs: 2_000 }

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false })

/** JSON text to a value; an empty body is an empty object. Throws USAGE, TOO_LARGE. */
export function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) return {}
  checkJson(bytes, limitsOfJson)
  try {
    return JSON.parse(utf8.decode(bytes)) as unknown
  } catch (error) {
    const reason = error instanceof SyntaxError ? quoted(error.message) : 'it is not UTF-8 text'
    throw new GonkError('USAGE', `the body is not JSON: ${reason}`, {
      hint: 'send one JSON object in UTF-8',
    })
  }
}

/**
 * Throws TOO_LARGE for JSON text with more in it than allowed, before anything is made of it. Counts
 * brackets and commas outside of strings: never less than there are; what is no JSON is left to the
 * parser.
 */
export function checkJson(bytes: Uint8Array, { depthMax, valuesMax }: JsonLimits): void {
  let depth = 0
  let values = 0
  let inString = false
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]
    if (byte === 0x22) inString = !inString
    else if (inString) {
      if (byte === 0x5c) i++
    } else if (byte === 0x2c) values++
    else if (byte === 0x5b || byte === 0x7b) {
      values++
      if (++depth > depthMax) {
        throw new GonkError('TOO_LARGE', `the body is nested more than ${depthMax} levels deep`, {
          hint: 'send it with fewer levels',
        })
      }
    } else if (byte === 0x5d || byte === 0x7d) depth--
    if (values > valuesMax) {
      throw new GonkError('TOO_LARGE', `the body has more than ${valuesMax} values in it`, {
        hint: 'send fewer things at once, and a long document as text',
      })
    }
  }
}

/**
 * The bytes of a request as they are asked for: whoever stores them sets the pace. Throws CANCELLED
 * when the client hangs up or `signal` fires, TIMEOUT when it falls silent.
 */
export async function* bytesOf(
  raw: IncomingMessage,
  { signal, silenceMs }: { readonly signal: AbortSignal; readonly silenceMs: number },
): AsyncGenerator<Uint8Array> {
  const end = (error: GonkError) => raw.destroy(error)
  const stop = () => end(new GonkError('CANCELLED', 'the upload was interrupted'))
  const silent = () => end(new GonkError('TIMEOUT', 'the upload fell silent'))
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  let timer = setTimeout(silent, silenceMs)
  try {
    // Whoever takes no more of it may still answer: the connection stays.
    for await (const chunk of raw.iterator({ destroyOnReturn: false })) {
      clearTimeout(timer)
      yield chunk as Uint8Array
      timer = setTimeout(silent, silenceMs)
    }
  } catch (error) {
    if (error instanceof GonkError) throw error
    throw new GonkError('CANCELLED', 'the client hung up before the end of the file', {
      cause: error,
    })
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
  }
}

/** Throws USAGE for a form, which is a file with its wrapping: nobody wants to store that. */
export function refuseForm(header: string | undefined): void {
  if (!/^\s*multipart\/form-data\b/i.test(header ?? '')) return
  throw new GonkError('USAGE', 'the body is a form (multipart/form-data), not the file itself', {
    hint: 'send the bytes alone; with curl: `--data-binary @FILE` in place of `-F file=@FILE`',
  })
}

/** What the Content-Type of a file says it is; undefined where that is only a client's habit. */
export function mediaTypeOf(header: string | undefined): string | undefined {
  const type = header?.split(';', 1)[0]?.trim().toLowerCase()
  const habits = ['', 'application/octet-stream', 'application/x-www-form-urlencoded']
  return type === undefined || habits.includes(type) ? undefined : type
}
