// The events of a Gonk record keeper: JSON text of strangers → typed events, or a reason.
import { type Static, type TSchema, Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { GonkError, quoted } from '../../core/errors.ts'

/** Gonk bounds authors only; the largest event is an annotation of very many objects. */
export const EVENT_BYTES_MAX = 256 * 1024

/** As Gonk writes them. Whatever passes is safe as a part of a path. */
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

const uuid = Type.String({ pattern: UUID.source })
const whole = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const hash = Type.String({ pattern: '^[0-9a-fA-F]{64}$' })
const text = Type.String({ minLength: 1, maxLength: 64 * 1024 })
const someone = Type.String({ minLength: 1, maxLength: 512 })

const Identifier = Type.Object({ uuid, version: whole })
const blob = { uuid, version: whole, size: whole, hash_type: Type.Literal(1), hash }
const StoredObject = Type.Object({ ...blob, name: text, format: text })
const StoredAnnotation = Type.Object({ ...blob, schema: Identifier })

const common = {
  uuid,
  timestamp: Type.String({ minLength: 1, maxLength: 64 }),
  integrity: Type.String({ pattern: '^[0-9a-fA-F]{32,256}$' }),
  author: someone,
}
const review = { ...common, event_uuid: uuid }
const ownership = { ...common, owner: someone }
const create = Type.Literal(1)
const change = Type.Literal(2)
const remove = Type.Literal(4)

const shapes = {
  ObjectCreateEvent: Type.Object({ ...common, action: create, object: StoredObject }),
  ObjectUpdateEvent: Type.Object({ ...common, action: change, object: StoredObject }),
  ObjectDeleteEvent: Type.Object({ ...common, action: remove, object_identifier: Identifier }),
  AnnotationCreateEvent: Type.Object({
    ...common,
    action: create,
    object_identifiers: Type.Array(Identifier, { minItems: 1 }),
    annotation: StoredAnnotation,
  }),
  AnnotationUpdateEvent: Type.Object({ ...common, action: change, annotation: StoredAnnotation }),
  AnnotationDeleteEvent: Type.Object({
    ...common,
    action: remove,
    annotation_identifier: Identifier,
  }),
  ReviewAcceptEvent: Type.Object({ ...review, decision: Type.Literal(1) }),
  ReviewRejectEvent: Type.Object({ ...review, decision: Type.Literal(2) }),
  OwnerAddEvent: Type.Object({ ...ownership, owner_action: Type.Literal(1) }),
  OwnerRemoveEvent: Type.Object({ ...ownership, owner_action: Type.Literal(2) }),
} as const satisfies Record<string, TSchema>

type Shapes = typeof shapes
export type GonkEvent = {
  [Name in keyof Shapes]: { readonly type: Name } & Static<Shapes[Name]>
}[keyof Shapes]
export type GonkIdentifier = Static<typeof Identifier>
export type GonkObject = Static<typeof StoredObject>
export type GonkAnnotation = Static<typeof StoredAnnotation>

const checkers = new Map(Object.entries(shapes).map(([name, shape]) => [name, Compile(shape)]))

/**
 * Throws BAD_EVENT, TOO_LARGE.
 * @param where names the event for people.
 * @returns the event, and what the file layout says of its successor (undefined: nothing).
 */
export function parseEvent(
  json: string,
  where: string,
): { event: GonkEvent; next: string | null | undefined } {
  if (Buffer.byteLength(json) > EVENT_BYTES_MAX) {
    throw new GonkError('TOO_LARGE', `${where} has more than ${EVENT_BYTES_MAX} bytes`, {
      hint: 'no Gonk writes such an event: look at it, or restore it from a copy',
    })
  }
  const value = parseJson(json, where)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return broken(`${where} is no JSON object`)
  }
  const { type, next } = value as Record<string, unknown>
  const checker = typeof type === 'string' ? checkers.get(type) : undefined
  if (checker === undefined) {
    const what = typeof type === 'string' ? `the type "${quoted(type)}"` : 'no type'
    return broken(`${where} has ${what}`)
  }
  if (!checker.Check(value)) {
    const [error] = checker.Errors(value)
    return broken(`${where} (${type}) ${error?.instancePath ?? ''} ${error?.message ?? ''}`)
  }
  if (next !== undefined && next !== null && !(typeof next === 'string' && UUID.test(next))) {
    return broken(`${where} has a "next" that is no UUID`)
  }
  return { event: value as GonkEvent, next }
}

function parseJson(json: string, where: string): unknown {
  try {
    return JSON.parse(json)
  } catch (cause) {
    throw new GonkError('BAD_EVENT', `${where} is not JSON`, { hint: RESTORE, cause })
  }
}

const RESTORE = 'the folder is damaged: restore it from a copy, then repeat'

/** Refuses the folder for what an event says. Nothing is signed by then. */
export function broken(what: string): never {
  throw new GonkError('BAD_EVENT', what, { hint: RESTORE })
}
