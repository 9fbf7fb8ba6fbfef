// What commands read: a file, or standard input where it is called `-`.
import { open } from 'node:fs/promises'
import { GonkError } from '../core/errors.ts'

const STDIN = '-'
const NEWLINE = 0x0a
const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * All of it as text. Throws NOT_FOUND, DISK, TOO_LARGE (more than `maxBytes`), USAGE (no UTF-8).
 */
export async function readText(path: string, maxBytes: number): Promise<string> {
  const pieces: Uint8Array[] = []
  let sizeBytes = 0
  for await (const piece of bytesOf(path)) {
    sizeBytes += piece.length
    if (sizeBytes > maxBytes) throw tooLarge(nameOf(path), maxBytes)
    pieces.push(piece)
  }
  return decode(Buffer.concat(pieces), nameOf(path))
}

export interface Line {
  /** From 1. */
  readonly number: number
  readonly text: string
  readonly sizeBytes: number
}

/** Its lines, without empty ones. Throws as {@link readText}, where `maxBytes` is of one line. */
export async function* linesOf(path: string, maxBytes: number): AsyncIterable<Line> {
  let number = 1
  let begun: Uint8Array[] = []
  let sizeBytes = 0
  const add = (piece: Uint8Array) => {
    sizeBytes += piece.length
    if (sizeBytes > maxBytes) throw tooLarge(`line ${number}`, maxBytes)
    begun.push(piece)
  }
  const take = (): Line => {
    const text = decode(Buffer.concat(begun), `line ${number}`)
    const line = { number, text, sizeBytes }
    begun = []
    sizeBytes = 0
    number++
    return line
  }
  for await (const piece of bytesOf(path)) {
    let from = 0
    for (let end = piece.indexOf(NEWLINE); end >= 0; end = piece.indexOf(NEWLINE, from)) {
      add(piece.subarray(from, end))
      from = end + 1
      const line = take()
      if (line.text.trim() !== '') yield line
    }
    add(piece.subarray(from))
  }
  const last = take()
  if (last.text.trim() !== '') yield last
}

async function* bytesOf(path: string): AsyncIterable<Uint8Array> {
  if (path === STDIN) return yield* process.stdin
  try {
    await using file = await open(path)
    yield* file.createReadStream({ autoClose: false })
  } catch (cause) {
    if (!(cause instanceof Error) || !('code' in cause)) throw cause
    const isMissing = cause.code === 'ENOENT'
    const what = isMissing ? 'no such file' : `cannot be read: ${cause.message}`
    throw new GonkError(isMissing ? 'NOT_FOUND' : 'DISK', `${path}: ${what}`, {
      hint: 'check the path, or give - for standard input',
      cause,
    })
  }
}

const nameOf = (path: string): string => (path === STDIN ? 'standard input' : path)

function decode(bytes: Uint8Array, what: string): string {
  try {
    return utf8.decode(bytes)
  } catch (cause) {
    throw new GonkError('USAGE', `${what} is not UTF-8 text`, { hint: 'give JSON text', cause })
  }
}

function tooLarge(what: string, maxBytes: number): GonkError {
  return new GonkError('TOO_LARGE', `${what} has more than ${maxBytes} bytes`)
}
