// NodeApi over HTTP: what the command line uses when a daemon runs, and programs to drive one.
import type {
  ByteSource,
  Content,
  NodeApi,
  ObjectInfo,
  Progress,
  ProgressOptions,
} from '../contract/api.ts'
import { fieldsOf, type Route, routes } from '../contract/routes.ts'
import { GonkError } from '../core/errors.ts'
import { contentOf } from './content.ts'
import { dataOf } from './event-stream.ts'
import { errorOfProblem, isRecord } from './problem.ts'
import { type Connection, reading, send } from './request.ts'

export { GonkError }
export type * from '../contract/api.ts'

export type ClientOptions = {
  /** Address of the daemon: `http://HOST:PORT`. */
  readonly url: string
  /** Ends every call, beside the signal a call may have of its own. */
  readonly signal?: AbortSignal
} & (
  | {
      /** Of a user, from `gonk-node users add`. */
      readonly apiKey: string
    }
  | {
      /** Of the node itself, from HOME/daemon.json. */
      readonly token: string
    }
)

type CallOptions = ProgressOptions & { readonly onObject?: (object: ObjectInfo) => void }

type Method = (...args: unknown[]) => unknown

/** One call: where it goes, what it is, and what ends it. */
interface Call {
  readonly client: Connection
  readonly route: Route
  readonly args: readonly unknown[]
  readonly options: CallOptions
}

/** A line of an answer of kind `list` or `operation`. */
interface Line {
  readonly progress?: Progress
  readonly object?: ObjectInfo
  readonly result?: unknown
}

/** Methods throw what the daemon answers, NO_PEER when none answers, CANCELLED on `signal`. */
export function createClient(options: ClientOptions): NodeApi {
  const key = 'apiKey' in options ? options.apiKey : options.token
  const { url, signal } = options
  const methods = Object.entries(routes).map(([name, route]) => {
    const method = (...args: unknown[]): unknown => {
      const call = (args[route.args.length + (route.body === 'bytes' ? 1 : 0)] ?? {}) as CallOptions
      const client = { url: url.replace(/\/+$/, ''), key, signal: either(signal, call.signal) }
      return callOf(route)({ client, route, args, options: call })
    }
    return [name, method] as const
  })
  return Object.fromEntries(methods) as Record<keyof NodeApi, Method> as NodeApi
}

function callOf(route: Route): (call: Call) => unknown {
  switch (route.answer) {
    case 'value':
      return route.body === 'bytes' ? valueOfBytes : valueOf
    case 'content':
      return fileOf
    case 'events':
      return eventsOf
    case 'list':
      return objectsOf
    case 'operation':
      return resultOf
  }
}

async function valueOf({ client, route, args }: Call): Promise<unknown> {
  const response = await send(client, { route, fields: fieldsOf(route, args) })
  return reading(client.signal, () => response.json())
}

async function valueOfBytes({ client, route, args }: Call): Promise<unknown> {
  const body = args[route.args.length] as ByteSource
  const response = await send(client, { route, fields: fieldsOf(route, args), body })
  return reading(client.signal, () => response.json())
}

function fileOf({ client, route, args }: Call): Promise<Content> {
  return contentOf(client, { route, fields: fieldsOf(route, args) })
}

async function resultOf({ client, route, args, options }: Call): Promise<unknown> {
  const response = await send(client, { route, fields: fieldsOf(route, args) })
  // The daemon always streams objects; without a listener they belong to the result, as in process.
  const objects: ObjectInfo[] = []
  const onObject = options.onObject ?? ((object) => objects.push(object))
  return reading(client.signal, async () => {
    for await (const line of linesOf(response)) {
      if (line.progress !== undefined) options.onProgress?.(line.progress)
      else if (line.object !== undefined) onObject(line.object)
      else return objects.length > 0 ? Object.assign({}, line.result, { objects }) : line.result
    }
    throw new Error('the answer ended early')
  })
}

async function* objectsOf({ client, route, args }: Call): AsyncGenerator<unknown> {
  const response = await send(client, { route, fields: fieldsOf(route, args) })
  const lines = linesOf(response)
  try {
    for (;;) {
      const line = await reading(client.signal, () => lines.next())
      if (line.done === true) return
      yield line.value.object
    }
  } finally {
    await lines.return(undefined)
  }
}

async function* eventsOf({ client, route, args }: Call): AsyncGenerator<unknown> {
  const response = await send(client, { route, fields: fieldsOf(route, args) })
  const events = dataOf(response)
  try {
    for (;;) {
      const event = await reading(client.signal, async () => {
        const next = await events.next()
        if (next.done !== true) return next.value
        throw new Error('the stream ended')
      })
      yield event
    }
  } finally {
    await events.return(undefined)
  }
}

function either(a: AbortSignal | undefined, b: AbortSignal | undefined): AbortSignal | undefined {
  return a === undefined || b === undefined ? (a ?? b) : AbortSignal.any([a, b])
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
