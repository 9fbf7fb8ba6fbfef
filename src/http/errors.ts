// Whatever was thrown, as a GonkError, and how that is answered.
import type { FastifyReply, FastifyRequest } from 'fastify'
import { problemOf, problemType } from '../client/problem.ts'
import { GonkError } from '../core/errors.ts'

/** Fastify's own failures by their code; everything else of ours is a GonkError already. */
export function gonkErrorOf(error: unknown): GonkError {
  if (error instanceof GonkError) return error
  const { code, statusCode, message, validation } = failureOf(error)
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new GonkError('TOO_LARGE', message)
  if (validation !== undefined) {
    return new GonkError('USAGE', message, {
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
  const fields = { code: error.code, method: request.method, url: request.url }
  if (error.code === 'INTERNAL')
    request.log.error({ ...fields, err: error.cause ?? error }, 'failed')
  else request.log.debug({ ...fields, reason: error.message }, 'refused')
}

interface Failure {
  readonly code?: unknown
  readonly statusCode?: number
  readonly message: string
  readonly validation?: unknown
}

function failureOf(error: unknown): Failure {
  return error instanceof Error ? error : { message: String(error) }
}
