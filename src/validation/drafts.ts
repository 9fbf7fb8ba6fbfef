// The drafts of JSON Schema: which one a schema is written in, and an Ajv that knows that one alone.
import { Ajv, type Options, type ValidateFunction } from 'ajv'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type Core from 'ajv/dist/core.js'
import draft06 from 'ajv/dist/refs/json-schema-draft-06.json' with { type: 'json' }
import Ajv04 from 'ajv-draft-04'
import type { SchemaDraft } from '../ports.ts'
import { refusal } from './schema-errors.ts'

interface Draft {
  /** Of its meta-schema. */
  readonly uri: string
  create(options: Options): Core.default
  /** What this Ajv knows beyond the draft, and what asks for more than JSON Schema says. */
  readonly foreign: readonly string[]
  /** Whether `$ref` stands alone: what is beside it has no meaning. */
  readonly refStandsAlone: boolean
}

const drafts: Readonly<Record<SchemaDraft, Draft>> = {
  '04': {
    uri: 'http://json-schema.org/draft-04/schema',
    create: (options) => new Ajv04.default(options),
    foreign: ['const', 'contains', 'propertyNames', 'if', 'then', 'else'],
    refStandsAlone: true,
  },
  '06': {
    uri: 'http://json-schema.org/draft-06/schema',
    create: (options) => new Ajv({ ...options, meta: draft06 }),
    foreign: ['id', 'if', 'then', 'else'],
    refStandsAlone: true,
  },
  '07': {
    uri: 'http://json-schema.org/draft-07/schema',
    create: (options) => new Ajv(options),
    foreign: ['id'],
    refStandsAlone: true,
  },
  '2019-09': {
    uri: 'https://json-schema.org/draft/2019-09/schema',
    create: (options) => new Ajv2019(options),
    foreign: ['id', 'dependencies'],
    refStandsAlone: false,
  },
  '2020-12': {
    uri: 'https://json-schema.org/draft/2020-12/schema',
    create: (options) => new Ajv2020(options),
    foreign: ['id', 'dependencies'],
    refStandsAlone: false,
  },
}
const names = Object.keys(drafts) as SchemaDraft[]

/** A schema that stands for the meta-schema of another draft. */
const CONFORMS_TO_DRAFT = 'gonk:conformsToDraft'

/**
 * The draft that `$schema` names, 2020-12 where it names none.
 * Throws a {@link Refusal} for draft-03, and for what is no schema at all.
 */
export function draftOf(schema: unknown): SchemaDraft {
  if (typeof schema === 'boolean') return '2020-12'
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) {
    throw refusal('type', 'is neither an object nor true or false')
  }
  const written = Object.hasOwn(schema, '$schema') ? (schema as Schema)['$schema'] : undefined
  const uri = typeof written === 'string' ? written.replace(/#$/, '') : ''
  if (uri === 'http://json-schema.org/draft-03/schema') {
    throw refusal(
      '$schema',
      'is written in draft-03; drafts 04, 06, 07, 2019-09, 2020-12 are known',
    )
  }
  return names.find((name) => drafts[name].uri === uri) ?? '2020-12'
}

export type Schema = Record<string, unknown>

/** An Ajv for one schema: two schemas in one would see each other's ids. */
export function ajvFor(name: SchemaDraft): Core.default {
  const draft = drafts[name]
  const ajv = bareAjv(draft)
  for (const keyword of draft.foreign) ajv.removeKeyword(keyword)
  ajv.addKeyword({
    keyword: CONFORMS_TO_DRAFT,
    schemaType: 'string',
    errors: false,
    validate: (other: string, data: unknown) =>
      metaSchemaOf(names.find((candidate) => candidate === other) ?? name)(data) === true,
  })
  for (const other of names) {
    const { uri } = drafts[other]
    if (ajv.schemas[uri] === undefined) ajv.addSchema({ [CONFORMS_TO_DRAFT]: other }, uri)
  }
  return ajv
}

export function refStandsAlone(name: SchemaDraft): boolean {
  return drafts[name].refStandsAlone
}

const metaSchemas = new Map<SchemaDraft, ValidateFunction>()

/** Says whether a value is a schema of a draft. */
export function metaSchemaOf(name: SchemaDraft): ValidateFunction {
  const known = metaSchemas.get(name)
  if (known !== undefined) return known
  const { uri } = drafts[name]
  const metaSchema = bareAjv(drafts[name]).getSchema(uri) as ValidateFunction
  metaSchemas.set(name, metaSchema)
  return metaSchema
}

function bareAjv({ create, refStandsAlone }: Draft): Core.default {
  return create({
    strict: false,
    logger: false,
    validateSchema: false,
    validateFormats: false,
    // What an object inherits is not in the document.
    ownProperties: true,
    // A schema's code grows with the schema, not with schema × references.
    inlineRefs: false,
    ...(refStandsAlone && { ignoreKeywordsWithRef: true }),
    code: { regExp: patternOf },
  })
}

/** As ECMA-262 has it; patterns made for other engines, with escapes that `u` forbids, without. */
function patternOf(pattern: string, flags: string): RegExp {
  try {
    return new RegExp(pattern, flags)
  } catch {
    return new RegExp(pattern)
  }
}
patternOf.code = 'new RegExp'
