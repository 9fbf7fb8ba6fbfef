// A fuzz target: one decoder of bytes from outside, with what must hold for whatever it is given.
import { isDeepStrictEqual } from 'node:util'
import { errorCodes, GonkError, type Rejection, rejections } from '../../src/core/errors.ts'
import { compareBytes } from '../../src/core/ids.ts'

export interface Target {
  /** Inputs that go deep: valid ones, and refused ones of every kind. */
  readonly seeds: () => readonly Uint8Array[]
  /** What mutations are made of, beside what the fuzzer finds out by itself. */
  readonly words?: readonly (string | Uint8Array)[]
  /** Of one input. */
  readonly bytesMax?: number
  /** Runs so many times fewer inputs than others: each takes long. */
  readonly costs?: number
  /** Its answer is a promise. */
  readonly isAsync?: true
  /** Throws where something does not hold. */
  readonly check: (bytes: Uint8Array) => void | Promise<void>
}

export const bytesMaxOf = ({ bytesMax = 4_096 }: Target) => bytesMax

/** Processor time of one input: generous, as the instrumented code is slower than the code is. */
const CPU_MS_MAX = 1_000
const MESSAGE_CHARS_MAX = 1_000
/** What all objects inherit. */
const inherited = Reflect.ownKeys(Object.prototype).length

/** One input. Throws where something does not hold, or where it took too long. */
export function tryInput(target: Target, input: Uint8Array): void | Promise<void> {
  // As it comes from the network: a Buffer has methods of its own.
  const bytes = new Uint8Array(input)
  const before = process.threadCpuUsage()
  const end = () => {
    hold(Reflect.ownKeys(Object.prototype).length === inherited, 'every object has got more')
    const { user, system } = process.threadCpuUsage(before)
    hold((user + system) / 1_000 < CPU_MS_MAX, `takes ${(user + system) / 1_000} ms`)
  }
  const result = target.check(bytes)
  return result instanceof Promise ? result.then(end) : end()
}

export function hold(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`does not hold: ${what}`)
}

export function holdSame(a: unknown, b: unknown, what: string): void {
  if (!isDeepStrictEqual(a, b)) throw new Error(`not the same: ${what}`)
}

export function holdSameBytes(a: Uint8Array, b: Uint8Array, what: string): void {
  if (compareBytes(a, b) !== 0) throw new Error(`not the same bytes: ${what}`)
}

/** Refused for a reason of the closed list, in one line that a log or a terminal can show. */
export function holdRefusal({ refused, what }: Rejection): void {
  hold(Object.hasOwn(rejections, refused), `reason ${refused}`)
  holdLine(what)
}

/**
 * What `work` gives, or undefined where it throws a GonkError with one of these codes.
 * @param isOwn the text is that of whoever reads the message, who may be shown it as it is.
 */
export function allowing<T>(
  codes: readonly string[],
  work: () => T,
  { isOwn = false } = {},
): T | undefined {
  try {
    return work()
  } catch (error) {
    return refusedBy(error, codes, isOwn)
  }
}

export async function allowingLater<T>(
  codes: readonly string[],
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    return refusedBy(error, codes)
  }
}

function refusedBy(error: unknown, codes: readonly string[], isOwn = false): undefined {
  if (!(error instanceof GonkError) || !codes.includes(error.code)) throw error
  hold(Object.hasOwn(errorCodes, error.code), `code ${error.code}`)
  if (!isOwn) holdLine(error.message)
}

function holdLine(text: string): void {
  hold(text.length <= MESSAGE_CHARS_MAX, `a message of ${text.length} characters`)
  hold(!/[\x00-\x1f\x7f-\x9f]/.test(text), `control characters in ${JSON.stringify(text)}`)
}

export const utf8 = (text: string) => new TextEncoder().encode(text)

/** As a program reads text from outside that has no other check of its own. */
export const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
