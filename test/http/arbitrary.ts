// Requests made from the shapes of a route by fast-check: as they should be, and broken.
import fc from 'fast-check'
import type { TSchema } from 'typebox'
import { apiPrefix, pathFields, type Route } from '../../src/contract/routes.ts'

export interface FuzzedRequest {
  readonly method: Route['method']
  readonly url: string
  readonly headers: Record<string, string>
  readonly payload?: string | Buffer
}

/** Values a field may well have, by its name: what exists makes requests go deeper. */
export type Known = Readonly<Record<string, readonly string[]>>

type Value = fc.Arbitrary<unknown>

/** What is in the shape of a field; TypeBox shapes are JSON Schema. */
interface Shape {
  readonly type?: string
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly anyOf?: readonly TSchema[]
  readonly items?: TSchema
  readonly minItems?: number
  readonly maxItems?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly properties?: Readonly<Record<string, TSchema>>
  readonly required?: readonly string[]
}

const oddText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.constantFrom('', ' ', '.', '..', '../x', '\0', 'a/b', '%', '%zz', 'é', 'e\u0301', '\ud800'),
  fc.constantFrom('__proto__', 'constructor', 'null', '-1', '1e999', `${'x'.repeat(5_000)}`),
)
const oddNumber = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.constantFrom(-1, 0, 2 ** 53, 2 ** 63, 1e308, -0.5),
)
const oddJson = fc.oneof(
  oddText,
  oddNumber,
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom(null, true, [], {}, [[]], { __proto__: null }),
)

/** A value that fits the shape. */
function fitting(name: string, schema: TSchema, known: Known): Value {
  const shape = schema as Shape
  if (shape.enum !== undefined) return fc.constantFrom(...shape.enum)
  if (shape.const !== undefined) return fc.constant(shape.const)
  if (shape.anyOf !== undefined) {
    return fc.oneof(...shape.anyOf.map((one) => fitting(name, one, known)))
  }
  switch (shape.type) {
    case 'string':
      return fittingText(name, shape, known)
    case 'integer':
    case 'number': {
      const [min, max] = [shape.minimum ?? -1_000, shape.maximum ?? 2 ** 53 - 1]
      return fc.oneof(fc.integer({ min, max: Math.min(max, min + 100) }), fc.constantFrom(min, max))
    }
    case 'boolean':
      return fc.boolean()
    case 'array': {
      const [minLength, maxLength] = [shape.minItems ?? 0, Math.min(shape.maxItems ?? 4, 4)]
      const items = fitting(name, shape.items as TSchema, known)
      return fc.array(items, { minLength, maxLength })
    }
    case 'object':
      return fittingFields(shape, known)
    default:
      return fc.jsonValue({ maxDepth: 4 })
  }
}

function fittingText(
  name: string,
  { minLength = 0, maxLength = 100, pattern }: Shape,
  known: Known,
) {
  const examples = known[name] ?? []
  const own = pattern?.startsWith('^[0-9a-f]')
    ? fc.constantFrom('ab'.repeat(32), '00'.repeat(32), 'ff'.repeat(32))
    : pattern === undefined
      ? fc.string({ unit: 'grapheme', minLength, maxLength: Math.min(maxLength, 60) })
      : fc.stringMatching(new RegExp(pattern))
  if (examples.length === 0) return own
  return fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...examples) }, own)
}

function fittingFields({ properties = {}, required = [] }: Shape, known: Known): Value {
  const model = Object.entries(properties).map(([name, schema]) => [
    name,
    fitting(name, schema, known),
  ])
  const requiredKeys = required as string[]
  return fc.record(Object.fromEntries(model) as Record<string, Value>, { requiredKeys })
}

/** Fields as they should be, and the same with something wrong in them. */
function fieldsOf(route: Route, known: Known): fc.Arbitrary<Record<string, unknown>> {
  const names = Object.keys(route.fields)
  const values = Object.fromEntries(
    Object.entries(route.fields).map(([name, schema]) => [name, fitting(name, schema, known)]),
  )
  // Optional ones carry a mark of TypeBox that JSON does not show.
  const requiredKeys = names.filter((name) => !('~optional' in (route.fields[name] as object)))
  const good = fc.record(values, { requiredKeys }) as fc.Arbitrary<Record<string, unknown>>
  if (names.length === 0) return good
  const broken = fc
    .tuple(good, fc.constantFrom(...names), oddJson, fc.constantFrom('change', 'drop', 'add'))
    .map(([fields, name, value, how]) => {
      const changed = { ...fields }
      if (how === 'drop') delete changed[name]
      else changed[how === 'add' ? `${name}2` : name] = value
      return changed
    })
  return fc.oneof({ weight: 3, arbitrary: good }, { weight: 2, arbitrary: broken })
}

/** `guard`: makes fields harmless, such as folders that would be written to. */
export function requestsFor(
  route: Route,
  known: Known,
  guard: (fields: Record<string, unknown>) => Record<string, unknown>,
): fc.Arbitrary<FuzzedRequest> {
  const file = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes))
  const garbage = fc.constantFrom(
    '',
    '{',
    'null',
    '[]',
    '"x"',
    '{"a":1}x',
    '['.repeat(50_000),
    `${'{"a":'.repeat(2_000)}1${'}'.repeat(2_000)}`,
    '{"__proto__":{"x":1}}',
    '\ud800',
  )
  const raw = fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, garbage)
  return fc
    .tuple(fieldsOf(route, known).map(guard), file, raw, oddHeaders(route))
    .map(([fields, bytes, text, headers]) => {
      const request = requestOf(route, fields, { bytes, raw: text })
      return { ...request, headers: { ...headers, ...request.headers } }
    })
}

/** What the server reads of headers, as it should be and not. */
function oddHeaders(route: Route): fc.Arbitrary<Record<string, string>> {
  const any = fc.string({ unit: 'grapheme-ascii', maxLength: 30 }).map((text) => text.trim())
  const value = (...good: string[]) => fc.oneof(fc.constantFrom(...good), any)
  const byRange = {
    range: value('bytes=0-1', 'bytes=-1', 'bytes=9-', 'bytes=0-0,2-3'),
    'if-none-match': value('*', '"x"', 'W/"x", "y"'),
    'if-range': value('"x"', 'Wed, 21 Oct 2026 07:28:00 GMT'),
    'last-event-id': value('0', '1', 'x'),
  }
  const ofBody = { 'content-type': value('image/png', 'text/plain; charset=x', 'a/b;c="') }
  const model = route.method === 'GET' ? byRange : route.body === 'bytes' ? ofBody : {}
  const some = fc.record(model as Record<string, fc.Arbitrary<string>>, { requiredKeys: [] })
  return fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, some) as fc.Arbitrary<
    Record<string, string>
  >
}

function requestOf(
  route: Route,
  fields: Record<string, unknown>,
  { bytes, raw }: { bytes: Buffer; raw: string | null },
): FuzzedRequest {
  const others = { ...fields }
  let url = apiPrefix + route.path
  for (const name of pathFields(route)) {
    const value = textOf(others[name])
    url = url.replace(`:${name}`, () => encodeURIComponent(value))
    delete others[name]
  }
  const { method } = route
  if (route.body === undefined && method !== 'GET' && method !== 'DELETE') {
    const headers = { 'content-type': 'application/json' }
    return { method, url, headers, payload: raw ?? JSON.stringify(others) }
  }
  const query = new URLSearchParams(route.query ?? {})
  for (const [name, value] of Object.entries(others)) {
    for (const one of [value].flat()) query.append(name, textOf(one))
  }
  const withQuery = query.size === 0 ? url : `${url}?${query.toString()}`
  return { method, url: withQuery, headers: {}, ...(route.body === 'bytes' && { payload: bytes }) }
}

function textOf(value: unknown): string {
  const isObject = typeof value === 'object' && value !== null
  return (isObject ? JSON.stringify(value) : String(value)).toWellFormed()
}
