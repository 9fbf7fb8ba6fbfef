// Reasons for a refusal, in few and short words: their parts come from hostile texts.
import type { ErrorObject } from 'ajv'
import type { SchemaError } from '../ports.ts'

const ERRORS_MAX = 10
const TEXT_CHARS_MAX = 300
const VALUES_MAX = 12

/** A schema or document that cannot be accepted, whatever else holds. */
export class Refusal extends Error {
  readonly errors: readonly SchemaError[]

  constructor(errors: readonly SchemaError[]) {
    super(errors[0]?.text)
    this.errors = errors
  }
}

export function refusal(rule: string, text: string): Refusal {
  return new Refusal([schemaError('', rule, text)])
}

/** One line of at most 300 characters each, nothing in them that moves a terminal's cursor. */
export function schemaError(path: string, rule: string, text: string): SchemaError {
  return { path: plain(path), rule: plain(rule), text: plain(text) }
}

export function schemaErrors(errors: readonly ErrorObject[] | null | undefined): SchemaError[] {
  return (errors ?? []).slice(0, ERRORS_MAX).map(({ instancePath, keyword, message, params }) => {
    return schemaError(instancePath, keyword, textOf(message ?? 'does not conform', params))
  })
}

/** Ajv's words, and what they leave out: values that would do, a property that will not. */
function textOf(message: string, params: Record<string, unknown>): string {
  const name = params['additionalProperty'] ?? params['unevaluatedProperty']
  if (typeof name === 'string') return `${message}, such as "${name.slice(0, TEXT_CHARS_MAX)}"`
  const { allowedValues, allowedValue } = params
  if (allowedValue !== undefined) return `must be ${JSON.stringify(allowedValue)}`
  if (!Array.isArray(allowedValues)) return message
  const some = allowedValues.slice(0, VALUES_MAX).map((value) => JSON.stringify(value))
  return `must be one of ${some.join(', ')}${allowedValues.length > VALUES_MAX ? ', …' : ''}`
}

function plain(text: string): string {
  // Twice the room first: cutting before replacing keeps long texts cheap.
  const cut = text
    .slice(0, TEXT_CHARS_MAX * 2)
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\ufffd')
  return cut.length > TEXT_CHARS_MAX ? `${cut.slice(0, TEXT_CHARS_MAX - 1)}…` : cut
}
