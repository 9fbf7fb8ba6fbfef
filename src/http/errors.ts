// Whatever was thrown, as a GonkError, and how that is answered.
import type { Writable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { problemOf, problemType } from '../client/problem.ts'
import { GonkError } from '../core/errors.ts'

/** Fastify's own failures by their code; everything else of ours is a GonkError already. */
export function gonkErrorOf(error: unknown): GonkError {
  if (error instanceof GonkError) return error
  const { code, statusCode, message, validation } = failureOf(error)
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new GonkError('TOO_LARGE', message)
  if (code === 'FST_ERR_MAX_PARAM_LENGTH') return new GonkError('USAGE', 'the path is too long')
  if (validation !== undefined) {
    return new GonkError('USAGE', validationText(message, validation), {
      hint: 'correct the fields of the request',
      details: { problems: validation },
    })
  }
  // Malformed JSON, URLs and headers, unknown content types.
  if (statusCode !== undefined && statusCode < 500) return new GonkError('USAGE', message)
  return new GonkError('INTERNAL', message, { cause: error })
}

/** Answers with the problem document of `error`; unexpected ones are logged with their stack. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const gonkError = gonkErrorOf(error)
  const problem = problemOf(gonkError)
  logFailure(gonkError, request)
  if (problem.code === 'UNAUTHORIZED') reply.header('www-authenticate', 'Bearer realm="gonk-node"')
  reply.code(problem.status).type(problemType).send(JSON.stringify(problem))
}

export function logFailure(error: GonkError, request: FastifyRequest): void {
  const fields = { code: error.code, method: request.method, path: pathOf(request) }
  if (error.code === 'INTERNAL')
    request.log.error({ ...fields, err: error.cause ?? error }, 'failed')
  else request.log.debug({ ...fields, reason: error.message }, 'refused')
}

/** Without the query, which is where people put tokens by mistake. */
export function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? ''
}

interface Failure {
  readonly code?: unknown
  readonly statusCode?: number
  readonly message: string
  readonly validation?: readonly Violation[]
}

interface Violation {
  readonly instancePath?: string
  readonly message?: string
  readonly params?: Readonly<Record<string, unknown>>
}

/** `founders/0: must match …`: the first field that is wrong. */
function validationText(message: string, [first]: readonly Violation[]): string {
  const field = (first?.instancePath ?? '').slice(1)
  const unknown = first?.params?.['additionalProperty']
  if (unknown !== undefined) return `there is no field ${String(unknown)}`
  return field === ''
    ? message.replace(/^(body|querystring|params)\/? /, '')
    : `${field}: ${first?.message}`
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
