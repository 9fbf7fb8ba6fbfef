// The vocabulary that the shapes of requests and answers are made of: TypeBox, which is JSON Schema
// and a TypeScript type at once.
import { type Static, type TSchema, Type } from 'typebox'

/** The type of a shape, read-only all the way down. */
export type Shape<T extends TSchema> = Frozen<Static<T>>

type Frozen<T> = T extends readonly (infer Item)[]
  ? readonly Frozen<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Frozen<T[Key]> }
    : T

/** An object of exactly these fields, for requests: unknown ones are refused. */
export const exact = <T extends Record<string, TSchema>>(fields: T, description?: string) =>
  Type.Object(fields, { additionalProperties: false, ...(description && { description }) })

export const optional = Type.Optional
export const listOf = <T extends TSchema>(items: T, maxItems?: number) =>
  Type.Array(items, maxItems === undefined ? {} : { maxItems })
/** One of these words. */
export const oneOf = <const Words extends readonly string[]>(...words: Words) =>
  Type.Unsafe<Words[number]>({ type: 'string', enum: words })

export const flag = Type.Boolean()
export const text = Type.String({ minLength: 1, maxLength: 4_096 })
export const optionalText = Type.String({ maxLength: 4_096 })
export const longText = Type.String({ maxLength: 65_536 })
export const word = Type.String()
export const count = Type.Integer({ minimum: 0 })
export const positive = (maximum: number) => Type.Integer({ minimum: 1, maximum })
/** Any JSON value. */
export const anyJson = Type.Unknown()
export const jsonObject = Type.Record(Type.String(), Type.Unknown())

export const publicKey = Type.String({
  pattern: '^[0-9a-f]{64}$',
  description: 'An Ed25519 public key: 64 lower-case hex digits',
})
export const authorText = Type.String({
  maxLength: 64,
  description: '`me`, a public key, its beginning, or the name of a user of this node',
})
export const localName = Type.String({
  description:
    'The name this node has for that key: of its user, or its own. Not what the key claims',
})
export const cid = Type.String({ description: 'A CID (version 1, base32)' })
export const time = Type.String({ description: 'RFC 3339, UTC' })
export const bytes = Type.Integer({ minimum: 0, description: 'Bytes' })
export const eventId = Type.String({
  description: 'The id of an event: the CID of its signed block',
})
export const versionId = Type.String({
  description: '`EVENT:INDEX`: a version of an object, which is one operation of a proposal',
})
export const objectId = Type.String({ description: 'The id of an object: 64 hex digits' })

/** At most so many things on one page of an answer. */
export const PAGE_MAX = 1_000
/** Fields of every request that is answered page by page. */
export const page = {
  after: optional(
    Type.String({
      maxLength: 8_192,
      description: '`next` of the page before',
    }),
  ),
  limit: optional(
    Type.Integer({ minimum: 1, maximum: PAGE_MAX, description: 'At most so many on the page' }),
  ),
}
/** Of every answer that is a page: give it as `after` to get the following one; absent at the end. */
export const next = optional(Type.String())
