// NodeApi over HTTP: what the command line uses when a daemon runs, and programs to drive one.
import { GonkError } from '../core/errors.ts'
import type { NodeApi, ObjectInfo, Progress, ProgressOptions } from '../api/types.ts'
import { errorOfProblem, isRecord } from './problem.ts'
import { apiPrefix, fieldsOf, pathFields, routes } from './routes.ts'
import type { Route } from './routes.ts'

export interface ClientOptions {
  /** Address of the daemon: `http://HOST:PORT`. */
  readonly url: string
  /** From HOME/daemon.json. */
  readonly token: string
  /** Ends every call, beside the signal a call may have of its own. */
  readonly signal?: AbortSignal
}

type CallOptions = ProgressOptions & { readonly onObject?: (object: ObjectInfo) => void }

type Method = (...args: unknown[]) => unknown

/** A line of an answer of kind `list` or `operation`. */
interface Line {
  readonly progress?: Progress
  readonly object?: ObjectInfo
  readonly result?: unknown
}

/** Methods throw what the daemon answers, NO_PEER when none answers, CANCELLED on `signal`. */
export function createClient(options: ClientOptions): NodeApi {
  const methods = Object.entries(routes).map(([name, route]) => {
    const method = (...args: unknown[]): unknown => {
      const call = (args[route.args.length] ?? {}) as CallOptions
      if (route.answer === 'value') return valueOf(options, route, args, call)
      return route.answer === 'list'
        ? objectsOf(options, route, args)
        : resultOf(options, route, args, call)
    }
    return [name, method] as const
  })
  return Object.fromEntries(methods) as Record<keyof NodeApi, Method> as NodeApi
}

async function valueOf(
  client: ClientOptions,
  route: Route,
  args: readonly unknown[],
  call: CallOptions,
): Promise<unknown> {
  const signal = signalOf(client, call)
  const response = await send(client, route, args, signal)
  return reading(signal, () => response.json())
}

async function resultOf(
  client: ClientOptions,
  route: Route,
  args: readonly unknown[],
  call: CallOptions,
): Promise<unknown> {
  const signal = signalOf(client, call)
  const response = await send(client, route, args, signal)
  // The daemon always streams objects; without a listener they belong to the result, as in process.
  const objects: ObjectInfo[] = []
  const onObject = call.onObject ?? ((object) => objects.push(object))
  return reading(signal, async () => {
    for await (const line of linesOf(response)) {
      if (line.progress !== undefined) call.onProgress?.(line.progress)
      else if (line.object !== undefined) onObject(line.object)
      else return objects.length > 0 ? Object.assign({}, line.result, { objects }) : line.result
    }
    throw new Error('the answer ended early')
  })
}

async function* objectsOf(
  client: ClientOptions,
  route: Route,
  args: readonly unknown[],
): AsyncGenerator<unknown> {
  const response = await send(client, route, args, client.signal)
  const lines = linesOf(response)
  for (;;) {
    const line = await reading(client.signal, () => lines.next())
    if (line.done === true) return
    yield line.value.object
  }
}

function signalOf(client: ClientOptions, call: CallOptions): AbortSignal | undefined {
  if (client.signal === undefined || call.signal === undefined) return call.signal ?? client.signal
  return AbortSignal.any([client.signal, call.signal])
}

async function send(
  client: ClientOptions,
  route: Route,
  args: readonly unknown[],
  signal: AbortSignal | undefined,
): Promise<Response> {
  const fields = fieldsOf(route, args)
  let path = route.path
  for (const name of pathFields(route)) {
    const value = String(fields[name])
    // A URL swallows these two segments, whatever their encoding.
    if (value === '.' || value === '..') throw new GonkError('NOT_FOUND', `there is no ${value}`)
    path = path.replace(`:${name}`, encodeURIComponent(value))
    delete fields[name]
  }
  const url = new URL(client.url + apiPrefix + path)
  const headers: Record<string, string> = { authorization: `Bearer ${client.token}` }
  const request: RequestInit = { method: route.method, headers, signal: signal ?? null }
  if (route.method === 'POST') {
    headers['content-type'] = 'application/json'
    request.body = JSON.stringify(fields)
  } else {
    for (const [name, value] of Object.entries(fields)) url.searchParams.set(name, String(value))
  }
  const response = await reading(signal, () => fetch(url, request))
  if (response.ok) return response
  const problem: unknown = await response.json().catch(() => undefined)
  throw errorOfProblem(problem, response.status)
}

/** Lines of a streamed answer. An `error` line is thrown. */
async function* linesOf(response: Response): AsyncGenerator<Line> {
  const decoder = new TextDecoder()
  let pending = ''
  for await (const chunk of response.body ?? []) {
    const lines = (pending + decoder.decode(chunk, { stream: true })).split('\n')
    pending = lines.pop() ?? ''
    // Empty lines only say that the daemon is still at it.
    for (const line of lines) if (line !== '') yield parseLine(line, response.status)
  }
  if (pending !== '') yield parseLine(pending, response.status)
}

function parseLine(text: string, status: number): Line {
  const line: unknown = JSON.parse(text)
  if (!isRecord(line)) throw new Error(`not an object: ${text.slice(0, 80)}`)
  if ('error' in line) throw errorOfProblem(line['error'], status)
  return line as Line
}

/** Runs `work`, giving failures of the connection their code. */
async function reading<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
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
