// The fields of a request against the shapes of its route. Validators are made when they are first
// needed, so that a daemon with many routes still starts at once.
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import { Type } from 'typebox'
import { pathFields, type Route } from '../../contract/routes.ts'
import type { Fields } from '../../contract/route.ts'
import { GonkError, quoted } from '../../core/errors.ts'

export type Part = 'path' | 'query' | 'body'

/** What is told of an invalid request, at most. */
const PROBLEMS_MAX = 10

/** Unknown fields are refused, not dropped. Only the text of paths and queries becomes numbers. */
const strict = {
  removeAdditional: false,
  useDefaults: false,
  allowUnionTypes: true,
  verbose: true,
} as const
let ofText: Ajv | undefined
let ofJson: Ajv | undefined

/** The fields of a route by where they are: in its path, its query, its JSON body. */
export function partsOf(route: Route): Record<Part, Fields> {
  const inPath = new Set(pathFields(route))
  const entries = Object.entries(route.fields)
  const others = Object.fromEntries(entries.filter(([name]) => !inPath.has(name)))
  const path = Object.fromEntries(entries.filter(([name]) => inPath.has(name)))
  return hasJsonBody(route) ? { path, query: {}, body: others } : { path, query: others, body: {} }
}

export function hasJsonBody(route: Route): boolean {
  return route.body === undefined && route.method !== 'GET' && route.method !== 'DELETE'
}

/** An object of exactly these fields. */
export function shapeOf(fields: Fields) {
  return Type.Object({ ...fields }, { additionalProperties: false })
}

/** Makes `data` what the fields say (text to numbers) or throws USAGE. */
export type Check = (data: Record<string, unknown>) => void

export function checkerOf(fields: Fields, part: Part): Check {
  if (Object.keys(fields).length === 0) return refuseAny
  let validate: ValidateFunction | undefined
  return (data) => {
    validate ??= ajvOf(part).compile(shapeOf(fields))
    if (!validate(data)) throw usageError(validate.errors ?? [])
  }
}

/** Without a validator for what most routes have: nothing there. */
function refuseAny(data: Record<string, unknown>): void {
  for (const name in data) throw unknownField(name)
}

function ajvOf(part: Part): Ajv {
  if (part === 'body') return (ofJson ??= new Ajv(strict))
  return (ofText ??= new Ajv({ ...strict, coerceTypes: 'array' }))
}

/** `founders/0 must match …`: the first field that is wrong. */
function usageError(errors: readonly ErrorObject[]): GonkError {
  const [first] = errors
  const unknown: unknown = first?.params['additionalProperty']
  if (typeof unknown === 'string') return unknownField(unknown)
  const problems = errors.slice(0, PROBLEMS_MAX).map((error) => ({
    path: error.instancePath,
    rule: error.keyword,
    text: textOf(error),
  }))
  return new GonkError('USAGE', first === undefined ? 'a field is wrong' : sentenceOf(first), {
    hint: 'correct the fields of the request; /docs describes them',
    details: { problems },
  })
}

/** `name is missing`, `items/0 must be string`: fields by their path from the top. */
function sentenceOf(error: ErrorObject): string {
  const { instancePath, keyword, params } = error
  const missing = keyword === 'required' ? `/${String(params['missingProperty'])}` : ''
  const field = `${instancePath}${missing}`.slice(1)
  const text = missing === '' ? textOf(error) : 'is missing'
  return field === '' ? text : `${field} ${text}`
}

/** Ajv's words, save where they say less than is known: the words that would do, what a pattern is. */
function textOf({ keyword, message = 'is wrong', params, parentSchema }: ErrorObject): string {
  if (keyword === 'enum')
    return `must be one of ${(params['allowedValues'] as string[]).join(', ')}`
  const about: unknown = parentSchema?.['description']
  return keyword === 'pattern' && typeof about === 'string' ? `is wrong: ${about}` : message
}

function unknownField(name: string): GonkError {
  return new GonkError('USAGE', `there is no field ${quoted(name)}`, {
    hint: 'correct the fields of the request; /docs lists those there are',
  })
}
