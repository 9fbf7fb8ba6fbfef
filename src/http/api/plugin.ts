// The native API as a Fastify plugin: each row of the route table becomes a route. Mounted at
// /api/v1.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { NodeApi } from '../../contract/api.ts'
import { type Route, routes } from '../../contract/routes.ts'
import { GonkError } from '../../core/errors.ts'
import { type Asker, authenticator, checkRole, type Doors } from '../auth.ts'
import { parseJson, type Patience } from '../body.ts'
import { hungUp, noRoute, sendLate } from '../errors.ts'
import type { JsonBudget } from '../json-budget.ts'
import { type Answering, answer } from './answer.ts'
import { Streams } from './streams.ts'
import { checkerOf, hasJsonBody, partsOf } from './validate.ts'

export interface ApiOptions {
  readonly doors: Doors
  readonly token: string
  readonly version: string
  /** Aborted when the server stops: ends operations that still run. */
  readonly stopping: AbortSignal
  readonly patience: Patience
  readonly budget: JsonBudget
}

/** JSON bodies: long lists of paths and review items. Files do not come this way. */
const BODY_BYTES_MAX = 8 * 1024 * 1024

type Fields = Record<string, unknown>

/** A row of the table, ready to be called. */
interface Variant {
  readonly name: keyof NodeApi
  readonly route: Route
  /** Throws USAGE; makes numbers of text. */
  check(request: FastifyRequest): void
}

export async function apiPlugin(app: FastifyInstance, options: ApiOptions): Promise<void> {
  const authenticate = authenticator(options.doors, options.token)
  const { stopping, patience, budget } = options
  const answering = { stopping, patience, streams: new Streams() }
  app.decorateRequest('asker', null)
  app.addHook('onRequest', (request, _reply, done) => {
    request.setDecorator('asker', authenticate(request.headers))
    done()
  })
  app.setNotFoundHandler((request) => {
    throw noRoute(request)
  })
  // Also how a command finds out whether the daemon of its home is the one that answers.
  app.get('/version', async () => ({ version: options.version }))

  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    async (_request: FastifyRequest, body: Buffer) => parseJson(body),
  )
  await app.register(async (files) => {
    files.removeAllContentTypeParsers()
    files.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
    for (const variants of routesByAddress((route) => route.body === 'bytes')) {
      addRoute(files, variants, answering, budget)
    }
  })
  for (const variants of routesByAddress((route) => route.body !== 'bytes')) {
    addRoute(app, variants, answering, budget)
  }
}

/** Rows with the same method and path together: what their queries always have tells them apart. */
function routesByAddress(passes: (route: Route) => boolean): Variant[][] {
  const groups = new Map<string, Variant[]>()
  for (const [name, route] of Object.entries(routes)) {
    if (!passes(route)) continue
    const address = `${route.method} ${route.path}`
    const variant = variantOf(name as keyof NodeApi, route)
    groups.set(address, [...(groups.get(address) ?? []), variant])
  }
  return [...groups.values()]
}

function variantOf(name: keyof NodeApi, route: Route): Variant {
  const parts = partsOf(route)
  const ofPath = checkerOf(parts.path, 'path')
  const ofQuery = checkerOf(parts.query, 'query')
  const ofBody = checkerOf(parts.body, 'body')
  return {
    name,
    route,
    check(request) {
      const query = request.query as Fields
      for (const fixed in route.query) delete query[fixed]
      const last = request.headers['last-event-id']
      if (route.sse !== undefined && typeof last === 'string') query[route.sse.resume] = last
      ofPath(request.params as Fields)
      ofQuery(query)
      if (hasJsonBody(route)) ofBody((request.body ??= {}) as Fields)
    },
  }
}

function addRoute(
  app: FastifyInstance,
  variants: readonly Variant[],
  answering: Answering,
  budget: JsonBudget,
): void {
  const [first] = variants as [Variant]
  const { route } = first
  const bodyLimit = route.bodyBytesMax ?? BODY_BYTES_MAX
  app.route({
    method: route.answer === 'content' ? ['GET', 'HEAD'] : route.method,
    url: route.path,
    bodyLimit,
    // Before any of the body is read.
    onRequest: (request, _reply, done) => {
      checkRole(askerOf(request), chosen(variants, request).route.role)
      if (hasJsonBody(route)) checkLength(request, bodyLimit)
      done()
    },
    preParsing: async (request, reply, payload) => {
      if (!hasJsonBody(route)) return payload
      await takeTurn(request, reply, budget, bodyLimit)
      limitTime(request, reply, answering.patience)
      return payload
    },
    handler: (request, reply) => {
      const { name, route: row, check } = chosen(variants, request)
      check(request)
      const { api } = askerOf(request)
      const method = api[name]
      const call = (...args: unknown[]): unknown => Reflect.apply(method, api, args)
      return answer({ route: row, call, asker: askerOf(request) }, answering, request, reply)
    },
  })
}

function chosen(variants: readonly Variant[], request: FastifyRequest): Variant {
  const query = request.query as Fields
  const fits = ({ route }: Variant) =>
    route.query !== undefined &&
    Object.entries(route.query).every(([name, value]) => query[name] === value)
  return variants.find(fits) ?? (variants[0] as Variant)
}

function askerOf(request: FastifyRequest): Asker {
  return request.getDecorator<Asker>('asker')
}

function checkLength({ headers }: FastifyRequest, bytesMax: number): void {
  const length = Number(headers['content-length'])
  if (!(length > bytesMax)) return
  throw new GonkError('TOO_LARGE', `the body has ${length} bytes; at most ${bytesMax} are taken`)
}

/** Waits until the body may be read; one that does not say its length counts as the largest. */
async function takeTurn(
  request: FastifyRequest,
  reply: FastifyReply,
  budget: JsonBudget,
  bytesMax: number,
): Promise<void> {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  const bytes = coding === undefined ? Number(length ?? 0) : bytesMax
  if (bytes === 0) return
  const giveBack = await budget.take(askerOf(request).id, bytes, hungUp(reply))
  if (reply.raw.closed || reply.raw.destroyed) giveBack()
  else reply.raw.once('close', giveBack)
}

/** Answers TIMEOUT when a body does not arrive; the connection ends with that. */
function limitTime(request: FastifyRequest, reply: FastifyReply, { bodyMs }: Patience): void {
  const { raw } = request
  if (raw.complete) return
  const timer = setTimeout(() => {
    if (!reply.sent) sendLate(request, reply)
  }, bodyMs)
  raw.once('close', () => clearTimeout(timer))
}
