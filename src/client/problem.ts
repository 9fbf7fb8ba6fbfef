// A GonkError on its way through HTTP: application/problem+json (RFC 9457) and back.
import { GonkError, errorCodes } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'

export const problemType = 'application/problem+json'

export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: ErrorCode
  readonly hint: string
  readonly details?: Record<string, unknown>
}

export function problemOf(error: GonkError): Problem {
  return {
    type: `urn:gonk-node:error:${error.code}`,
    title: error.code.toLowerCase().replaceAll('_', ' '),
    status: errorCodes[error.code].status,
    detail: error.message,
    code: error.code,
    hint: error.hint,
    ...(error.details === undefined ? {} : { details: error.details }),
  }
}

/** The error a problem document stands for; INTERNAL when it is none of ours. */
export function errorOfProblem(value: unknown, status: number): GonkError {
  if (!isRecord(value) || !isErrorCode(value['code'])) {
    return new GonkError(
      'INTERNAL',
      `the daemon answered ${status} in a form this version cannot read`,
    )
  }
  const { code, detail, hint, details } = value
  return new GonkError(code, String(detail), {
    ...(typeof hint === 'string' ? { hint } : {}),
    ...(isRecord(details) ? { details } : {}),
  })
}

function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(errorCodes, value)
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
