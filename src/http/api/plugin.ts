// The native API as a Fastify plugin: each row of the route table becomes a route. Mounted at
// /api/v1.
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import { problemOf } from '../../client/problem.ts'
import { argsOf, pathFields, routes } from '../../client/routes.ts'
import type { Route } from '../../client/routes.ts'
import { GonkError } from '../../core/errors.ts'
import type { NodeApi } from '../../api/types.ts'
import { checkToken } from '../auth.ts'
import { gonkErrorOf, logFailure, pathOf } from '../errors.ts'
import { linesType, listLines, operationLines, startedLines } from '../lines.ts'

export interface ApiOptions {
  readonly api: NodeApi
  readonly token: string
  readonly version: string
  /** Aborted when the server stops: ends operations that still run. */
  readonly stopping: AbortSignal
}

type Method = (...args: unknown[]) => unknown

export async function apiPlugin(app: FastifyInstance, options: ApiOptions): Promise<void> {
  app.addHook('onRequest', async (request) => {
    checkToken(request.headers.authorization, options.token)
  })
  app.setNotFoundHandler((request) => {
    throw new GonkError('NOT_FOUND', `there is no ${request.method} ${pathOf(request)}`)
  })
  // Also how a command finds out whether the daemon of its home is the one that answers.
  app.get('/version', async () => ({ version: options.version }))
  for (const [name, route] of Object.entries(routes)) {
    const target = options.api[name as keyof NodeApi]
    const method: Method = (...args) => Reflect.apply(target, options.api, args)
    app.route({
      method: route.method,
      url: route.path,
      schema: schemaOf(route),
      preValidation: async (request) => {
        request.body ??= {}
      },
      handler: (request, reply) => answer(route, method, options, request, reply),
    })
  }
}

async function answer(
  route: Route,
  method: Method,
  options: ApiOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const args = argsOf(route, fieldsOf(request))
  const signal = AbortSignal.any([options.stopping, hungUp(reply)])
  if (route.answer === 'value') {
    reply.code(route.status ?? 200)
    return route.abortable ? method(...args, { signal }) : method(...args)
  }
  const lines =
    route.answer === 'list'
      ? listLines(method(...args) as AsyncIterable<unknown>)
      : operationLines(async (call) => method(...args, call), signal)
  const started = await startedLines(lines, (error) => {
    const gonkError = gonkErrorOf(error)
    logFailure(gonkError, request)
    return { error: problemOf(gonkError) }
  })
  reply.type(linesType)
  return reply.send(Readable.from(started))
}

/** Aborted when the client closes the connection before it has the whole answer. */
function hungUp(reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort()
  })
  return controller.signal
}

function fieldsOf(request: FastifyRequest): Record<string, unknown> {
  return { ...asRecord(request.query), ...asRecord(request.body), ...asRecord(request.params) }
}

const asRecord = (value: unknown) => (typeof value === 'object' && value !== null ? value : {})

function schemaOf(route: Route): FastifySchema {
  const inPath = pathFields(route)
  const others = Object.entries(route.fields).filter(([name]) => !inPath.includes(name))
  const params = {
    type: 'object',
    properties: Object.fromEntries(inPath.map((name) => [name, route.fields[name]])),
  }
  const fields = {
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(others),
    required: route.required ?? [],
  }
  return { params, ...(route.method === 'POST' ? { body: fields } : { querystring: fields }) }
}
