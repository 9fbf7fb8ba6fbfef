// The Gonk dialect as a Fastify plugin, with checks, texts and statuses of its own.
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Cursor, GonkApi } from '../../api/gonk/types.ts'
import type { Me } from '../../contract/api.ts'
import { GonkError } from '../../core/errors.ts'
import { hungUp } from '../errors.ts'
import { JsonBudget } from '../json-budget.ts'
import { Details } from './details.ts'
import { Refusal, notFound, sendFailure, wrongMethod } from './errors.ts'
import { type Call, type GonkRoute, routesOf } from './routes.ts'
import { turnOfBody, turnOfContent } from './turns.ts'

/** How the dialect gets at a node: whose an API key is, and what its owner can do. */
export interface GonkDoor {
  authenticate(apiKey: string): Me | undefined
  gonkOf(me: Me): GonkApi
}

export interface GonkPluginOptions {
  readonly door: GonkDoor
  /** Of a JSON body, with the content in it as base64. */
  readonly bodyBytesMax: number
  /** Shared by servers of one process. @default one of its own */
  readonly budget?: JsonBudget
}

/** A request that may be answered once its body is here. */
interface Admitted extends Pick<Call, 'api' | 'pieces' | 'query'> {
  readonly route: GonkRoute
  /** Key of whoever asks. */
  readonly id: string
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

export const gonkPlugin: FastifyPluginAsync<GonkPluginOptions> = async (app, options) => {
  const admitted = new WeakMap<FastifyRequest, Admitted>()
  const { prefix } = app
  const { bodyBytesMax, budget = new JsonBudget() } = options
  app.setErrorHandler(sendFailure)
  app.setNotFoundHandler(() => {
    throw notFound()
  })
  // Read by the routes that have one: the others take no notice of what is sent along.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.addHook('onRequest', async (request, reply) => {
    const [path = '', query = ''] = request.url.slice(prefix.length).split(/\?(.*)/s, 2)
    const found = routesOf(path === '' ? '/' : path)
    if (found.length === 0) throw notFound()
    if (request.method === 'OPTIONS') {
      const methods = found.map(({ route }) => route.method)
      return reply.header('allow', [...new Set(methods), 'HEAD', 'OPTIONS'].join(', ')).send({})
    }
    const { route, pieces } = routeFor(found, request.method)
    checkContentType(request)
    checkLength(route, Number(request.headers['content-length']))
    const me = whoAsks(request, options.door)
    if (me.role === 'reader' && route.method !== 'GET') {
      throw new Refusal(403, 'This key may only read.')
    }
    admitted.set(request, {
      route,
      pieces,
      id: me.publicKey,
      query: new URLSearchParams(query),
      api: options.door.gonkOf(me),
    })
    return undefined
  })
  app.addHook('preParsing', async (request, reply, payload) => {
    const { id, route } = admitted.get(request) as Admitted
    const bytesMax = Math.min(bodyBytesMax, route.bodyBytesMax ?? bodyBytesMax)
    if (route.method !== 'GET') await turnOfBody(request, reply, budget, { id, bytesMax })
    return payload
  })
  const handler = async (request: FastifyRequest, reply: FastifyReply) => {
    const { route, id, ...call } = admitted.get(request) as Admitted
    if (Buffer.isBuffer(request.body)) checkLength(route, request.body.length)
    const setNext = (next: Cursor) => void reply.header('link', linkTo(request, next))
    const turn = (sizeBytes: number) => turnOfContent(reply, budget, { id, sizeBytes })
    const signal = () => hungUp(reply)
    const answer = await route.answer({ ...call, body: request.body, setNext, turn, signal })
    const payload = answer instanceof Details ? answer.payload() : JSON.stringify(answer)
    return reply.type('application/json').send(payload)
  }
  const bodyLimit = bodyBytesMax
  app.route({ method: [...METHODS], url: '/', bodyLimit, handler })
  app.route({ method: [...METHODS], url: '/*', bodyLimit, handler })
}

function routeFor(
  found: ReturnType<typeof routesOf>,
  asked: string,
): ReturnType<typeof routesOf>[number] {
  const method = asked === 'HEAD' ? 'GET' : asked
  const match = found.find(({ route }) => route.method === method)
  if (match === undefined) throw wrongMethod()
  return match
}

function checkContentType({ method, headers }: FastifyRequest): void {
  if (method !== 'POST' && method !== 'PATCH') return
  const [type = ''] = (headers['content-type'] ?? '').split(';', 1)
  if (type.trim().toLowerCase() === 'application/json') return
  throw new Refusal(400, 'Endpoint only accepts JSON.')
}

/** Before it is read where it is told, and before anything is made of it where it is not. */
function checkLength({ bodyBytesMax }: GonkRoute, bytes: number): void {
  if (bodyBytesMax === undefined || !(bytes > bodyBytesMax)) return
  throw new GonkError('TOO_LARGE', `this request has at most ${bodyBytesMax} bytes`)
}

function whoAsks({ headers }: FastifyRequest, door: GonkDoor): Me {
  const key = headers['x-api-key']
  if (typeof key !== 'string' || key === '') throw new Refusal(400, 'Missing x-api-key header.')
  const me = door.authenticate(key)
  if (me === undefined) throw new Refusal(401, 'Invalid API key.')
  return me
}

function linkTo(request: FastifyRequest, { after, version }: Cursor): string {
  const [path = ''] = request.url.split('?', 1)
  const more = version === undefined ? '' : `&after_version=${version}`
  return `<${path}?after=${after}${more}>; rel="next"`
}
