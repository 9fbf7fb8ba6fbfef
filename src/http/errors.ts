// Whatever was thrown, as a GonkError, and how that is answered.
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Problem, problemOf, problemType } from '../client/problem.ts'
import { type ErrorCode, GonkError } from '../core/errors.ts'
import type { Asker } from './auth.ts'

/** Fastify's own failures by their code; everything else of ours is a GonkError already. */
export function gonkErrorOf(error: unknown): GonkError {
  if (error instanceof GonkError) return error
  const { code, statusCode, message } = failureOf(error)
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new GonkError('TOO_LARGE', message)
  if (code === 'FST_ERR_MAX_PARAM_LENGTH') return new GonkError('USAGE', 'the path is too long')
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new GonkError('USAGE', 'the body has a content type that is not taken here', {
      hint: 'send JSON, with the header `content-type: application/json`',
    })
  }
  // Malformed URLs and headers.
  if (statusCode !== undefined && statusCode < 500) return new GonkError('USAGE', message)
  return new GonkError('INTERNAL', message, { cause: error })
}

/** When to try again what was TOO_MANY. */
export const RETRY_AFTER_S = 2

/**
 * What others than admins are told of failures that are none of theirs: what the system says of them
 * names paths and more of this machine.
 */
const plainly: Partial<Record<ErrorCode, string>> = {
  DISK: 'the disk of this node has no room for it, or failed',
  INTERNAL: 'something went wrong in this node; its log says what',
  HOME_DAMAGED: 'something that this node keeps is damaged',
}

/** Answers with the problem document of `error`; unexpected ones are logged with their stack. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const gonkError = gonkErrorOf(error)
  const problem = problemFor(gonkError, request)
  logFailure(gonkError, request)
  if (problem.code === 'UNAUTHORIZED') reply.header('www-authenticate', 'Bearer realm="gonk-node"')
  if (problem.code === 'TOO_MANY') reply.header('retry-after', String(RETRY_AFTER_S))
  answerBeforeClosing(request, reply)
  reply.code(problem.status).type(problemType).send(JSON.stringify(problem))
}

/** The problem document of a failure, with no more in it than whoever asks may know. */
export function problemFor(error: GonkError, request: FastifyRequest): Problem {
  const plain = plainly[error.code]
  if (plain === undefined || isAdmin(request)) return problemOf(error)
  return problemOf(new GonkError(error.code, plain, { hint: 'tell the operator of this node' }))
}

function isAdmin(request: FastifyRequest): boolean {
  if (!request.server.hasRequestDecorator('asker')) return false
  return request.getDecorator<Asker | null>('asker')?.role === 'admin'
}

/** Aborted when the client closes the connection before it has the whole answer. */
export function hungUp(reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort()
  })
  return controller.signal
}

/**
 * Lets the answer arrive where a body is refused that is still on its way: whoever sends into a
 * closed connection gets a reset and no answer. What nobody takes is read and thrown away, and only
 * then the connection closes where the client wants that.
 */
export function answerBeforeClosing({ raw }: FastifyRequest, reply: FastifyReply): void {
  // Of Fastify, for bodies that are refused.
  reply.removeHeader('connection')
  const { 'content-length': length, 'transfer-encoding': coding } = raw.headers
  const isComing = !raw.complete && (coding !== undefined || Number(length) > 0)
  if (!isComing || reply.raw.shouldKeepAlive) return
  reply.raw.shouldKeepAlive = true
  const done = Promise.all([once(raw, 'end'), once(reply.raw, 'finish')])
  done.then(
    () => raw.socket.end(),
    () => {},
  )
}

/** Answers a request whose body did not arrive: it is the client that took too long. */
export function sendLate(request: FastifyRequest, reply: FastifyReply): void {
  const error = new GonkError('TIMEOUT', 'the body of the request did not arrive in time')
  logFailure(error, request)
  const problem = { ...problemOf(error), status: 408 }
  reply.code(408).type(problemType).send(JSON.stringify(problem))
}

export function logFailure(error: GonkError, request: FastifyRequest): void {
  const fields = { code: error.code, method: request.method, path: pathOf(request) }
  const { cause } = error
  if (error.code === 'INTERNAL') {
    const what = cause instanceof Error ? cause : error
    request.log.error({ ...fields, stack: withoutKeys(what.stack ?? what.message) }, 'failed')
  } else if (error.code in plainly) {
    request.log.warn({ ...fields, reason: withoutKeys(error.message) }, 'failed')
  } else request.log.debug({ ...fields, reason: withoutKeys(error.message) }, 'refused')
}

/** The answer to a request that no route takes. */
export function noRoute(request: FastifyRequest): GonkError {
  return new GonkError('NOT_FOUND', `there is no ${request.method} ${pathOf(request)}`, {
    hint: 'see /docs, or /openapi.json, for what there is',
  })
}

/** Without the query and without keys, which people put there by mistake. */
export function pathOf(request: FastifyRequest): string {
  return withoutKeys(request.url.split('?', 1)[0] ?? '')
}

/** Keys of users (`gk_…`) and of daemons (`gkd_…`) are left out, however they are encoded. */
export function withoutKeys(text: string): string {
  return text.replaceAll(/(?:[\w-]|%[0-9a-f]{2}){20,}/gi, (word) => {
    const plain = word.replaceAll(/%([0-9a-f]{2})/gi, (_all, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    )
    return /gkd?_[\w-]{16,}/i.test(plain) ? '[secret]' : word
  })
}

interface Failure {
  readonly code?: unknown
  readonly statusCode?: number
  readonly message: string
}

/**
 * Answers what Node could not read as a request: too large headers, no HTTP at all, or one that
 * did not arrive in time.
 */
export function answerClientError(error: Error & { code?: string }, socket: Writable): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const [status, code, message] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ([431, 'TOO_LARGE', 'the headers of the request are too large'] as const)
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ([408, 'TIMEOUT', 'the request did not arrive in time'] as const)
        : ([400, 'USAGE', 'this is not an HTTP request'] as const)
  const body = JSON.stringify({ ...problemOf(new GonkError(code, message)), status })
  const head = [
    `HTTP/1.1 ${status} ${code}`,
    `Content-Type: ${problemType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

function failureOf(error: unknown): Failure {
  return error instanceof Error ? error : { message: String(error) }
}
