// One request to a node: the fields of a call as path, query and body, and failures as GonkErrors.
import type { ByteSource } from '../contract/api.ts'
import { apiPrefix, pathFields, type Route } from '../contract/routes.ts'
import { GonkError } from '../core/errors.ts'
import { errorOfProblem } from './problem.ts'

export interface Connection {
  /** `http://HOST:PORT`, without a slash at the end. */
  readonly url: string
  /** API key or token. */
  readonly key: string
  readonly signal: AbortSignal | undefined
}

export interface Ask {
  readonly route: Route
  readonly fields: Readonly<Record<string, unknown>>
  /** The file, where the body is one. */
  readonly body?: ByteSource
  /** @default that of the route */
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Answers with a status of success. Throws what the node says, NO_PEER, CANCELLED. */
export async function send({ url, key, signal }: Connection, ask: Ask): Promise<Response> {
  const { route, body } = ask
  const method = ask.method ?? route.method
  const { path, others } = placed(route, ask.fields)
  const target = new URL(url + apiPrefix + path)
  const headers: Record<string, string> = { ...ask.headers, authorization: `Bearer ${key}` }
  const request: RequestInit & { duplex?: 'half' } = { method, headers, signal: signal ?? null }
  const sent = body && streamed(body)
  if (sent !== undefined) {
    headers['content-type'] = 'application/octet-stream'
    request.body = sent.stream
    request.duplex = 'half'
  } else if (!['GET', 'HEAD', 'DELETE'].includes(method)) {
    headers['content-type'] = 'application/json'
    request.body = JSON.stringify(others)
  }
  if (request.body === undefined || sent !== undefined) addQuery(target, others)
  for (const [name, value] of Object.entries(route.query ?? {})) {
    target.searchParams.set(name, value)
  }
  const response = await reading(signal, async () => {
    try {
      return await fetch(target, request)
    } catch (error) {
      throw sent?.failure() ?? error
    }
  })
  if (response.ok) return response
  const problem: unknown = await response.json().catch(() => undefined)
  throw errorOfProblem(problem, response.status)
}

/** The path with its fields, and the fields that go elsewhere. */
function placed(route: Route, fields: Readonly<Record<string, unknown>>) {
  const others = { ...fields }
  let path = route.path
  for (const name of pathFields(route)) {
    const value = String(fields[name])
    // A URL swallows these two segments, whatever their encoding.
    if (value === '.' || value === '..') throw new GonkError('NOT_FOUND', `there is no ${value}`)
    path = path.replace(`:${name}`, () => encodeURIComponent(value.toWellFormed()))
    delete others[name]
  }
  return { path, others }
}

function addQuery(url: URL, fields: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(fields)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      url.searchParams.append(name, String(item))
    }
  }
}

/** As the body of a request; remembers why a source failed, for `fetch` tells only that it did. */
function streamed(source: ByteSource): { stream: ReadableStream; failure: () => unknown } {
  const iterator = source[Symbol.asyncIterator]()
  let failure: unknown
  const stream = new ReadableStream({
    async pull(controller) {
      try {
        const next = await iterator.next()
        if (next.done === true) controller.close()
        else controller.enqueue(next.value)
      } catch (error) {
        failure = error
        throw error
      }
    },
    async cancel() {
      await iterator.return?.()
    },
  })
  return { stream, failure: () => failure }
}

/** Runs `work`, giving failures of the connection their code. */
export async function reading<T>(
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof GonkError) throw error
    if (signal?.aborted === true) throw new GonkError('CANCELLED', 'interrupted', { cause: error })
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new GonkError('NO_PEER', `the daemon does not answer: ${reason}`, {
      hint: 'look at its log, or start it again with `gonk-node start`',
      cause: error,
    })
  }
}
