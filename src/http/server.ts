// The HTTP server without a socket: limits, the Host check, /healthz, the documentation, and one
// plugin per dialect. Tests use `inject`; daemon.ts listens.
import type { IncomingMessage } from 'node:http'
import { LogController, fastify } from 'fastify'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { apiPrefix } from '../contract/routes.ts'
import { apiPlugin } from './api/plugin.ts'
import { checkHost, type Doors } from './auth.ts'
import { defaultPatience, type Patience } from './body.ts'
import { docsPlugin } from './docs.ts'
import { answerClientError, noRoute, pathOf, sendProblem } from './errors.ts'
import { gonkPlugin, type GonkPluginOptions } from './gonk/plugin.ts'
import { JsonBudget, type JsonBudgetOptions } from './json-budget.ts'

export interface ServerOptions {
  /** The key that stands for the node itself, with the role admin. */
  readonly token: string
  /** Host names, without port, under which the server may be addressed. */
  readonly hosts: readonly string[]
  readonly version: string
  readonly logger: FastifyBaseLogger
  readonly patience?: Partial<Patience>
  /** Of JSON bodies under way. */
  readonly budget?: Partial<JsonBudgetOptions>
  /** For clients of Gonk, below `/gonk`. */
  readonly gonk?: GonkPluginOptions
}

/** The head of a request must be here within this time; bodies have limits of their own. */
const HEADERS_TIMEOUT_MS = 60_000
/** A percent-encoded object name may be three times its 1,024 bytes. */
const PARAM_LENGTH_MAX = 4_096

/** Builds the server for a node. It answers `inject` at once and a socket after `listen`. */
export function buildServer(doors: Doors, options: ServerOptions): FastifyInstance {
  const hosts = new Set(options.hosts.map((host) => host.toLowerCase()))
  const stopping = new AbortController()
  const patience = { ...defaultPatience, ...options.patience }
  const app = fastify({
    loggerInstance: options.logger,
    logController: new LogController({ disableRequestLogging: true }),
    // Files may take hours.
    requestTimeout: 0,
    http: { headersTimeout: HEADERS_TIMEOUT_MS },
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    // What fails before a route is found: paths that cannot be read, requests that are none.
    frameworkErrors: sendProblem,
    clientErrorHandler: answerClientError,
    routerOptions: { maxParamLength: PARAM_LENGTH_MAX },
  })
  app.setErrorHandler(sendProblem)
  app.setNotFoundHandler((request) => {
    throw noRoute(request)
  })
  app.addHook('onRequest', (request, _reply, done) => {
    checkHost(request.headers.host, hosts)
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    linger(request.raw, patience.lingerMs, stopping.signal)
    if (request.log.level === 'debug' || request.log.level === 'trace') {
      const { method } = request
      const ms = Math.round(reply.elapsedTime)
      const fields = { method, path: pathOf(request), status: reply.statusCode, ms }
      request.log.debug(fields, 'answered')
    }
    done()
  })
  app.addHook('preClose', async () => stopping.abort())

  app.get('/healthz', async () => ({ ok: true, version: options.version }))
  // The node is open before the server listens, and Fastify answers 503 while it stops.
  app.get('/readyz', async () => ({ ready: true }))
  app.get('/', async (_request, reply) => {
    reply.type('text/plain; charset=utf-8')
    return `gonk-node ${options.version} runs here. The API is at ${apiPrefix}, described at /docs/.\n`
  })
  const { token, version } = options
  app.register(docsPlugin, { version })
  app.register(apiPlugin, {
    prefix: apiPrefix,
    doors,
    token,
    version,
    stopping: stopping.signal,
    patience,
    budget: new JsonBudget(options.budget),
  })
  if (options.gonk) app.register(gonkPlugin, { prefix: '/gonk', ...options.gonk })
  return app
}

/** Ends the connection of a client that does not stop sending what nobody takes any more. */
function linger(raw: IncomingMessage, lingerMs: number, stopping: AbortSignal): void {
  const { socket } = raw
  // Without a socket (`inject`) there is nothing to say of it.
  if (raw.complete !== false || socket.destroyed) return
  const timer = setTimeout(() => socket.destroy(), lingerMs)
  const stop = () => {
    clearTimeout(timer)
    socket.removeListener('close', stop)
  }
  socket.once('close', stop)
  raw.once('end', () => {
    stop()
    // A server that stops has looked for idle connections already.
    if (stopping.aborted) socket.destroy()
  })
}
