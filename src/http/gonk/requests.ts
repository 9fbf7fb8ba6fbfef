// Bodies, ids and cursors of Gonk's requests, read strictly: the texts of what is missing are
// Gonk's.
import { GonkError } from '../../core/errors.ts'
import { checkJson } from '../body.ts'
import type { AnnotationRequest, Cursor, Identifier, ObjectRequest } from '../../api/gonk/types.ts'
import { badUuid, Refusal, uncaught } from './errors.ts'

type Fields = Readonly<Record<string, unknown>>

/** Requests of Gonk's clients are flat; the longest list in them is that of what is annotated. */
const limitsOfJson = { depthMax: 32, valuesMax: 100_000 }
const SCHEMA_PREFIX = 'schema-'

const bad = (text: string) => new GonkError('USAGE', text)
const missingKey = (key: string) => bad(`Missing key '${key}'.`)

/** What is no JSON object has no keys. */
export function fieldsOf(body: unknown): Fields {
  const value = parsed(body)
  if (value === null) throw new Refusal(500, 'Request JSON is None.')
  return isMap(value) ? value : {}
}

function parsed(body: unknown): unknown {
  const bytes = body instanceof Uint8Array ? body : new Uint8Array(0)
  checkJson(bytes, limitsOfJson)
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    const text = 'The browser (or proxy) sent a request that this server could not understand.'
    throw uncaught('BadRequest', `400 Bad Request: ${text}`)
  }
}

const isMap = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function required(fields: Fields, ...keys: string[]): void {
  for (const key of keys) if (!(key in fields)) throw missingKey(key)
}

function text(fields: Fields, key: string): string {
  const value = fields[key]
  if (typeof value !== 'string') throw bad(`Key '${key}' must be a string.`)
  return value
}

function bytes(fields: Fields, key: string): Uint8Array {
  const encoded = text(fields, key)
  const decoded = Buffer.from(encoded, 'base64')
  const padding = encoded.endsWith('==') ? 2 : Number(encoded.endsWith('='))
  // The decoder leaves out what is in no alphabet, stops at padding, and takes a second alphabet.
  const isWhole = encoded.length % 4 === 0 && decoded.length === (encoded.length / 4) * 3 - padding
  if (!isWhole || encoded.includes('-') || encoded.includes('_')) {
    throw bad(`Key '${key}' must be base64 in the standard alphabet, with padding.`)
  }
  return decoded
}

/** A version as a number or as its digits. */
function version(value: unknown, key: string): number {
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
  if (Number.isSafeInteger(number) && (number as number) >= 0) return number as number
  throw bad(`Key '${key}' must be a version.`)
}

export function datasetName(fields: Fields): string {
  required(fields, 'name')
  return text(fields, 'name')
}

export function newSchema(fields: Fields): { name: string; schema: Uint8Array } {
  required(fields, 'name', 'schema')
  const name = text(fields, 'name')
  if (!name.startsWith(SCHEMA_PREFIX)) throw bad("Schema names must start with 'schema-'.")
  return { name, schema: bytes(fields, 'schema') }
}

export function schemaBytes(fields: Fields): Uint8Array {
  required(fields, 'schema')
  return bytes(fields, 'schema')
}

export function objectRequest(fields: Fields): ObjectRequest {
  required(fields, 'name', 'object', 'mimetype')
  const name = text(fields, 'name')
  if (name.startsWith(SCHEMA_PREFIX)) throw bad("Object names may not start with 'schema-'.")
  return { name, mimetype: text(fields, 'mimetype'), object: bytes(fields, 'object') }
}

export function annotationRequest(fields: Fields): AnnotationRequest {
  required(fields, 'annotation')
  if (!('schema' in fields)) throw missingKey('schema_name')
  const schema = isMap(fields['schema']) ? fields['schema'] : {}
  for (const key of ['name', 'version']) {
    if (!(key in schema)) throw bad(`Missing schema key '${key}'.`)
  }
  return {
    schema: { name: text(schema, 'name'), version: version(schema['version'], 'version') },
    annotation: bytes(fields, 'annotation'),
  }
}

export function newAnnotation(
  fields: Fields,
): AnnotationRequest & { readonly objects: readonly Identifier[] } {
  const request = annotationRequest(fields)
  required(fields, 'object_identifiers')
  const list = fields['object_identifiers']
  if (!Array.isArray(list) || list.length === 0) throw bad('Requires at least 1 object identifier.')
  const areIdentifiers = list.every((one) => isMap(one) && 'uuid' in one && 'version' in one)
  if (!areIdentifiers) throw bad("Object identifiers require 'uuid' and 'version'.")
  const objects = (list as Fields[]).map((one) => ({
    uuid: uuidOf(text(one, 'uuid')),
    version: version(one['version'], 'version'),
  }))
  return { ...request, objects }
}

/** In any of the ways people write one. Throws what Gonk throws. */
export function uuidOf(text: string): string {
  const digits = text.replace(/^(urn:)?(uuid:)?\{?|\}$/g, '').replaceAll('-', '')
  if (!/^[0-9a-fA-F]{32}$/.test(digits)) throw badUuid()
  return digits.toLowerCase().replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** `after=UUID`, and where versions are listed `after_version=NUMBER`. */
export function cursorOf(query: URLSearchParams): Cursor | undefined {
  const after = query.get('after')
  if (after === null || after === '') return undefined
  const number = query.get('after_version')
  const uuid = uuidOf(after)
  return number === null
    ? { after: uuid }
    : { after: uuid, version: version(number, 'after_version') }
}
