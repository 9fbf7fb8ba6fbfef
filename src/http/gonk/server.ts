// The Gonk dialect on an address of its own, without a socket: tests use `inject`, daemon.ts
// listens.
import { LogController, fastify } from 'fastify'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { checkHost } from '../auth.ts'
import { answerClientError, pathOf } from '../errors.ts'
import { notFound, sendFailure } from './errors.ts'
import { gonkPlugin, type GonkPluginOptions } from './plugin.ts'

export interface GonkServerOptions extends GonkPluginOptions {
  /** Host names, without port, under which the server may be addressed. */
  readonly hosts: readonly string[]
  readonly logger: FastifyBaseLogger
}

/** A request must be here as a whole within this time. */
const REQUEST_TIMEOUT_MS = 60_000

export function buildGonkServer({ hosts, logger, ...options }: GonkServerOptions): FastifyInstance {
  const known = new Set(hosts.map((host) => host.toLowerCase()))
  const app = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    // What fails before a route is found: paths that cannot be read.
    frameworkErrors: (_error, request, reply) => sendFailure(notFound(), request, reply),
    clientErrorHandler: answerClientError,
  })
  app.setErrorHandler(sendFailure)
  app.addHook('onRequest', async (request) => checkHost(request.headers.host, known))
  app.addHook('onResponse', async (request, reply) => {
    const { method } = request
    const fields = { method, path: pathOf(request), status: reply.statusCode }
    request.log.debug({ ...fields, ms: Math.round(reply.elapsedTime) }, 'answered')
  })
  app.register(gonkPlugin, options)
  return app
}
