// The HTTP server without a socket: limits, the Host check, /healthz, and one plugin per dialect.
// Tests use `inject`; daemon.ts listens.
import { LogController, fastify } from 'fastify'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { apiPrefix } from '../client/routes.ts'
import { GonkError } from '../core/errors.ts'
import type { NodeApi } from '../api/types.ts'
import { apiPlugin } from './api/plugin.ts'
import { checkHost } from './auth.ts'
import { answerClientError, pathOf, sendProblem } from './errors.ts'

export interface ServerOptions {
  /** Bearer token of the native API. */
  readonly token: string
  /** Host names, without port, under which the server may be addressed. */
  readonly hosts: readonly string[]
  readonly version: string
  readonly logger: FastifyBaseLogger
}

/** JSON bodies: long lists of paths and review items. Files do not come this way. */
const BODY_BYTES_MAX = 8 * 1024 * 1024
/** A request must be here as a whole within this time. */
const REQUEST_TIMEOUT_MS = 60_000
/** A percent-encoded object name may be three times its 1,024 bytes. */
const PARAM_LENGTH_MAX = 4_096

/** Builds the server for `api`. It answers `inject` at once and a socket after `listen`. */
export function buildServer(api: NodeApi, options: ServerOptions): FastifyInstance {
  const hosts = new Set(options.hosts.map((host) => host.toLowerCase()))
  const stopping = new AbortController()
  const app = fastify({
    loggerInstance: options.logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    // What fails before a route is found: paths that cannot be read, requests that are none.
    frameworkErrors: sendProblem,
    clientErrorHandler: answerClientError,
    routerOptions: { maxParamLength: PARAM_LENGTH_MAX },
    // Unknown fields are refused, not dropped; only the strings of a query become numbers.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true, useDefaults: false } },
  })
  app.setErrorHandler(sendProblem)
  app.setNotFoundHandler((request) => {
    throw new GonkError('NOT_FOUND', `there is no ${request.method} ${pathOf(request)}`)
  })
  app.addHook('onRequest', async (request) => checkHost(request.headers.host, hosts))
  app.addHook('onResponse', async (request, reply) => {
    const { method } = request
    const path = pathOf(request)
    const fields = { method, path, status: reply.statusCode, ms: Math.round(reply.elapsedTime) }
    request.log.debug(fields, 'answered')
  })
  app.addHook('preClose', async () => stopping.abort())

  app.get('/healthz', async () => ({ ok: true, version: options.version }))
  // The node is open before the server listens, and Fastify answers 503 while it stops.
  app.get('/readyz', async () => ({ ready: true }))
  app.get('/', async (_request, reply) => {
    reply.type('text/plain; charset=utf-8')
    return `gonk-node ${options.version} runs here. The API is at ${apiPrefix}.\n`
  })
  app.register(apiPlugin, {
    prefix: apiPrefix,
    api,
    token: options.token,
    version: options.version,
    stopping: stopping.signal,
  })
  return app
}
