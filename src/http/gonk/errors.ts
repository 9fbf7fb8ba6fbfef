// Failures as Gonk answers them: what is wrong with a request by its status, and everything that
// nobody caught as 500 with the class of the error.
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ErrorCode } from '../../core/errors.ts'
import { answerBeforeClosing, gonkErrorOf, logFailure } from '../errors.ts'

/** An answer that is none of GonkError's. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>

  constructor(status: number, error: unknown, more: Readonly<Record<string, unknown>> = {}) {
    super(JSON.stringify(error))
    this.status = status
    this.body = { error, ...more }
  }
}

/** @param type class of an error of Gonk. */
export const uncaught = (type: string, text: string): Refusal => new Refusal(500, { [type]: text })

export const badUuid = (): Refusal => uncaught('ValueError', 'badly formed hexadecimal UUID string')

/** Of the rest, the text alone is the error. */
const STATUSES: Partial<Record<ErrorCode, number>> = {
  USAGE: 400,
  UNAUTHORIZED: 401,
  BAD_HOST: 403,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  TOO_LARGE: 413,
  TOO_MANY: 429,
  TIMEOUT: 503,
}

/** Of those that pass by themselves. */
const RETRY_AFTER_S = 5

export function sendFailure(thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const { status, body } = thrown instanceof Refusal ? thrown : refusalOf(thrown, request)
  answerBeforeClosing(request, reply)
  if (status === 429 || status === 503) reply.header('retry-after', RETRY_AFTER_S)
  reply.code(status).type('application/json').send(JSON.stringify(body))
}

function refusalOf(thrown: unknown, request: FastifyRequest): Refusal {
  const error = gonkErrorOf(thrown)
  logFailure(error, request)
  const { code, message, details } = error
  if (code === 'INTERNAL') return uncaught('Exception', 'An incommunicable error occurred.')
  if (code === 'NOT_ALLOWED') return uncaught('ValidationError', message)
  if (typeof details?.['class'] === 'string') return uncaught(details['class'], message)
  const status = STATUSES[code]
  if (status !== undefined) return new Refusal(status, message)
  return uncaught(classOf(code), message)
}

/** `NOT_HERE` → `NotHere`. */
function classOf(code: ErrorCode): string {
  return code
    .split('_')
    .map((word) => word.charAt(0) + word.slice(1).toLowerCase())
    .join('')
}

export const notFound = (): Refusal =>
  uncaught(
    'NotFound',
    '404 Not Found: The requested URL was not found on the server. ' +
      'If you entered the URL manually please check your spelling and try again.',
  )

export const wrongMethod = (): Refusal =>
  uncaught(
    'MethodNotAllowed',
    '405 Method Not Allowed: The method is not allowed for the requested URL.',
  )
