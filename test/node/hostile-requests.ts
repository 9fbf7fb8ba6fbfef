// Requests made to hang or to burst a node, and what others are told while it deals with them.
// Used by tests and by a benchmark.
import { request as httpRequest } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'

const MB = 1_000_000
/** What an annotation may not have, six times over. */
export const HUGE_BYTES = 50 * MB

export interface HostileSchema {
  readonly what: string
  /** JSON text; another one for each `salt`, so that no refusal is remembered. */
  schema(salt: string): string
  /** JSON text of an annotation. */
  readonly document: string
}

const doubling = (salt: string) => {
  const next = (i: number) => ({ $ref: `#/$defs/${i + 1}` })
  const defs = Array.from({ length: 60 }, (_, i) => [i, { allOf: [next(i), next(i)] }] as const)
  return { title: salt, $ref: '#/$defs/0', $defs: { ...Object.fromEntries(defs), 60: {} } }
}

export const hostileSchemas: readonly HostileSchema[] = [
  {
    what: 'a pattern that backtracks',
    schema: (salt) => JSON.stringify({ title: salt, pattern: '^(a+)+$' }),
    document: `"${'a'.repeat(60)}b"`,
  },
  {
    what: 'references that double',
    schema: (salt) => JSON.stringify(doubling(salt)),
    document: '1',
  },
  {
    what: 'a pattern of 180 KB',
    schema: (salt) => JSON.stringify({ title: salt, pattern: '\\p{L}{1,50}'.repeat(15_000) }),
    document: '"a"',
  },
  {
    what: 'twenty thousand branches',
    schema: (salt) =>
      JSON.stringify({ title: salt, anyOf: Array.from({ length: 20_000 }, () => ({ not: {} })) }),
    document: '1',
  },
]

export interface RawAnswer {
  readonly status: number
  readonly type: string
  readonly body: ReturnType<typeof JSON.parse>
}

export interface RawRequest {
  readonly headers: Readonly<Record<string, string>>
  /** In pieces: a length that is not among the headers is not told. */
  readonly body: Iterable<Uint8Array> | AsyncIterable<Uint8Array>
}

/**
 * Posts a body as it is, whatever its headers say of it, until the answer is there. Then the
 * connection ends. Throws where it ends before.
 */
export async function sendRaw(url: string, request: RawRequest): Promise<RawAnswer> {
  const { headers, body } = request
  const sending = httpRequest(url, { method: 'POST', headers, agent: false })
  const answered = Promise.withResolvers<RawAnswer>()
  let hasAnswer = false
  sending.on('response', (response) => {
    hasAnswer = true
    let text = ''
    response.setEncoding('utf8').on('data', (piece: string) => (text += piece))
    response.on('error', answered.reject).on('end', () => {
      const type = response.headers['content-type'] ?? ''
      answered.resolve({ status: response.statusCode ?? 0, type, body: JSON.parse(text) })
    })
  })
  // Nobody takes the rest of a body that was refused.
  sending.on('error', (error) => hasAnswer || answered.reject(error))
  const write = async () => {
    for await (const piece of body) {
      if (hasAnswer || sending.destroyed) return
      if (!sending.write(piece)) await drained(sending)
    }
    sending.end()
  }
  write().catch(answered.reject)
  try {
    return await answered.promise
  } finally {
    sending.destroy()
  }
}

function drained(stream: ReturnType<typeof httpRequest>): Promise<void> {
  return new Promise((resolve) => {
    const names = ['drain', 'response', 'close'] as const
    const done = () => {
      for (const name of names) stream.removeListener(name, done)
      resolve()
    }
    for (const name of names) stream.once(name, done)
  })
}

const PIECE_BYTES = 1 << 16

/** `before`, so many letters, `after`. The letters are base64, too, where their number is even by 4. */
export function* filled(before: string, letters: number, after: string): Generator<Uint8Array> {
  const piece = Buffer.alloc(PIECE_BYTES, 'A')
  yield Buffer.from(before)
  for (let left = letters; left > 0; left -= PIECE_BYTES) {
    yield piece.subarray(0, Math.min(left, PIECE_BYTES))
  }
  yield Buffer.from(after)
}

/** So that whoever asks takes no time from whoever answers. */
const BETWEEN_QUESTIONS_MS = 5

/** Asks each question again and again until `work` is over. @returns seconds, of each answer. */
export async function askedMeanwhile<T, K extends string>(
  work: Promise<T>,
  questions: Readonly<Record<K, () => Promise<unknown>>>,
): Promise<{ value: T; waited: Record<K, number[]> }> {
  let isOver = false
  const watched = work.finally(() => (isOver = true))
  watched.catch(() => {})
  const names = Object.keys(questions) as K[]
  const waited = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<
    K,
    number[]
  >
  const ask = async (name: K) => {
    do {
      const startMs = performance.now()
      await questions[name]()
      waited[name].push((performance.now() - startMs) / 1000)
      await pause(BETWEEN_QUESTIONS_MS)
    } while (!isOver)
  }
  await Promise.all(names.map(ask))
  return { value: await watched, waited }
}

/** A request to annotate one object, cut in two where its document stands. */
export interface Halves {
  /** Where it is posted. */
  readonly url: string
  readonly before: string
  /** How many in between make {@link HUGE_BYTES} of document. */
  readonly letters: number
  readonly after: string
}

/** To the API. `url`: of the daemon. */
export const nativeHalves = (url: string, dataset: string, item: object): Halves => ({
  url: `${url}/api/v1/datasets/${dataset}/annotations`,
  before: `{"annotations":[${JSON.stringify(item).slice(0, -1)},"value":"`,
  letters: HUGE_BYTES,
  after: '"}]}',
})

/** To the Gonk dialect, whose documents are base64. */
export const gonkHalves = (url: string, dataset: string, item: object): Halves => ({
  url: `${url}/datasets/${dataset}/annotations`,
  before: `${JSON.stringify(item).slice(0, -1)},"annotation":"`,
  letters: Math.floor(HUGE_BYTES / 3) * 4,
  after: '"}',
})

export const CHUNKED = { 'transfer-encoding': 'chunked' }

export const lengthOf = ({ before, letters, after }: Halves) => ({
  'content-length': String(before.length + letters + after.length),
})

/** @param length the headers that tell it, truly or not. */
export function sendHuge(
  halves: Halves,
  apiKey: string,
  length: Readonly<Record<string, string>>,
): Promise<RawAnswer> {
  const { url, before, letters, after } = halves
  const headers = { ...jsonHeaders(apiKey), ...length }
  return sendRaw(url, { headers, body: filled(before, letters, after) })
}

export const jsonHeaders = (apiKey: string) => ({
  'x-api-key': apiKey,
  'content-type': 'application/json',
})
