// One schema → a function that checks documents against it. Every failure comes out as an answer.
import { MissingRefError, type ValidateFunction } from 'ajv'
import type { Conformance, SchemaDraft } from '../ports.ts'
import { ajvFor, draftOf, metaSchemaOf, refStandsAlone, type Schema } from './drafts.ts'
import { parseJson } from './json-text.ts'
import type { Limits, SchemaAnswer } from './messages.ts'
import { Refusal, refusal, schemaError, schemaErrors } from './schema-errors.ts'

export interface Compiled {
  readonly answer: SchemaAnswer
  /** JSON text → answer. */
  check(document: Uint8Array): Conformance
}

/** Never throws, whatever `bytes` says; takes as long as it takes. */
export function compile(bytes: Uint8Array, limits: Limits): Compiled {
  try {
    const schema = parseJson(bytes, {
      bytesMax: limits.schemaBytesMax,
      depthMax: limits.schemaDepthMax,
    })
    const draft = draftOf(schema)
    const validate = compiled(schema, draft)
    return { answer: { draft }, check: (document) => conformance(validate, document, limits) }
  } catch (error) {
    const answer = schemaFailure(error)
    return { answer, check: () => ({ conforms: false, ...answer }) }
  }
}

function compiled(schema: unknown, draft: SchemaDraft): ValidateFunction {
  const metaSchema = metaSchemaOf(draft)
  if (metaSchema(schema) !== true) throw new Refusal(schemaErrors(metaSchema.errors))
  tame(schema, draft)
  return ajvFor(draft).compile(schema as Schema | boolean)
}

/** Keywords that Ajv gives a meaning which JSON Schema does not. */
const FOREIGN = ['$async', 'nullable']
/** Keywords whose value maps names to schemas, and those whose value is data. */
const MAPS = new Set(
  ['properties', 'patternProperties', 'definitions', '$defs'].concat(
    'dependentSchemas',
    'dependencies',
  ),
)
const DATA = new Set(['const', 'enum', 'default', 'examples'])

/**
 * Takes from a schema what only Ajv reads in it, and from its objects what they inherit, so that
 * references find in them what is written there and nothing else.
 */
function tame(node: unknown, draft: SchemaDraft, isMap = false): void {
  if (Array.isArray(node)) for (const item of node) tame(item, draft)
  if (typeof node !== 'object' || node === null || Array.isArray(node)) return
  const schema = Object.setPrototypeOf(node, null) as Schema
  if ('__proto__' in schema) throw refusal('__proto__', 'uses the name __proto__')
  if (!isMap) {
    for (const keyword of FOREIGN) delete schema[keyword]
    const ref = schema['$ref']
    if (typeof ref === 'string') {
      if (ref in Object.prototype) throw unresolved(ref)
      if (refStandsAlone(draft)) delete schema['type']
    }
  }
  for (const [key, value] of Object.entries(schema)) {
    if (isMap || !DATA.has(key)) tame(value, draft, !isMap && MAPS.has(key))
  }
}

function unresolved(ref: string): Refusal {
  return refusal(
    '$ref',
    `refers to "${ref}", which is not in it; nothing is fetched from elsewhere`,
  )
}

function schemaFailure(error: unknown): Extract<SchemaAnswer, { code: string }> {
  if (error instanceof Refusal) return { code: 'BAD_SCHEMA', errors: error.errors }
  if (error instanceof MissingRefError) {
    return { code: 'BAD_SCHEMA', errors: unresolved(error.missingRef).errors }
  }
  if (error instanceof RangeError) return { code: 'TOO_COSTLY', errors: [overflow('the schema')] }
  return { code: 'BAD_SCHEMA', errors: [schemaError('', '', `cannot be used: ${reason(error)}`)] }
}

function conformance(
  validate: ValidateFunction,
  document: Uint8Array,
  limits: Limits,
): Conformance {
  const no = { conforms: false, code: 'NOT_CONFORMING' } as const
  try {
    const value = parseJson(document, {
      bytesMax: limits.documentBytesMax,
      depthMax: limits.documentDepthMax,
    })
    return validate(value) === true
      ? { conforms: true }
      : { ...no, errors: schemaErrors(validate.errors) }
  } catch (error) {
    if (error instanceof Refusal) return { ...no, errors: error.errors }
    if (error instanceof RangeError) {
      return { conforms: false, code: 'TOO_COSTLY', errors: [overflow('the document')] }
    }
    // A pattern that is too large says so when it is first used.
    const code = error instanceof SyntaxError ? 'BAD_SCHEMA' : 'NOT_CONFORMING'
    const text = `cannot be checked: ${reason(error)}`
    return { conforms: false, code, errors: [schemaError('', '', text)] }
  }
}

function overflow(what: string) {
  return schemaError('', 'cost', `checking ${what} needs more depth than there is`)
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
