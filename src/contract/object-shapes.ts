// What the API says of the things in a dataset: objects and their versions, schemas, annotations.
import { Type } from 'typebox'
import { Approvals } from './owner-shapes.ts'
import {
  bytes,
  cid,
  count,
  eventId,
  exact,
  flag,
  listOf,
  next,
  objectId,
  oneOf,
  optional,
  page,
  publicKey,
  type Shape,
  text,
  time,
  versionId,
  word,
} from './shape.ts'

/** With `accept`, where one owner is not enough. */
const waitsFor = optional(Approvals)
const accept = optional(Type.Boolean({ description: 'Also accept it, for owners' }))

/** `pending`: nothing of it is accepted yet; `shadowed`: another object owns the name. */
export const ObjectStatus = oneOf(
  'pending',
  'accepted',
  'rejected',
  'deleted',
  'purged',
  'shadowed',
)
export type ObjectStatus = Shape<typeof ObjectStatus>

export const ObjectInfo = Type.Object({
  id: objectId,
  version: versionId,
  name: word,
  mediaType: word,
  size: bytes,
  cid: word,
  status: ObjectStatus,
  duplicateOf: optional(
    Type.String({ description: 'The object that was first to hold the same content' }),
  ),
})
export type ObjectInfo = Shape<typeof ObjectInfo>

export const ObjectPage = Type.Object({ objects: listOf(ObjectInfo), next })
export type ObjectPage = Shape<typeof ObjectPage>

/** What of an object may be listed; `status` `accepted` lists by name, the others by arrival. */
export const objectFilter = {
  ...page,
  status: optional(oneOf('accepted', 'pending', 'rejected', 'deleted')),
  prefix: optional(Type.String({ maxLength: 1_024, description: 'Names that begin with this' })),
  mediaType: optional(Type.String({ maxLength: 255, description: '`image/png` or `image/`' })),
}
export type ObjectFilter = Shape<ReturnType<typeof exact<typeof objectFilter>>>

/** One proposed or accepted version of an object, a schema or an annotation. */
export const VersionInfo = Type.Object({
  version: versionId,
  number: optional(
    Type.Integer({
      minimum: 0,
      description:
        "This node's own number: the order in which versions arrived here, from 0. Has it: what is " +
        'accepted, or was proposed here, by an owner, or by the creator',
    }),
  ),
  op: oneOf('create', 'update', 'delete', 'purge'),
  status: oneOf('pending', 'accepted', 'rejected'),
  isHead: Type.Boolean({ description: 'No accepted version builds on it' }),
  isCurrent: Type.Boolean({ description: 'It is what the object holds now' }),
  author: publicKey,
  at: time,
  base: listOf(versionId),
  decidedBy: optional(eventId),
  reason: optional(Type.String({ description: 'Why, as that review says' })),
  name: optional(word),
  mediaType: optional(word),
  size: optional(bytes),
  cid: optional(word),
  meta: optional(word),
  labels: optional(Type.Record(Type.String(), Type.String())),
})
export type VersionInfo = Shape<typeof VersionInfo>

export const ObjectDetail = Type.Object({
  ...ObjectInfo.properties,
  kind: oneOf('file', 'schema', 'annotation'),
  versions: listOf(VersionInfo),
  annotations: Type.Integer({ minimum: 0, description: 'Annotations of any of its versions' }),
})
export type ObjectDetail = Shape<typeof ObjectDetail>

export const AddResult = Type.Object({
  events: listOf(eventId),
  objects: listOf(ObjectInfo),
  skipped: Type.Integer({ minimum: 0, description: 'Unchanged or already pending content' }),
  warnings: listOf(word),
  approvals: waitsFor,
})
export type AddResult = Shape<typeof AddResult>

export const addFields = {
  paths: Type.Array(text, { minItems: 1, maxItems: 100_000 }),
  prefix: optional(Type.String({ maxLength: 4_096 })),
  meta: optional(
    Type.String({ maxLength: 65_536, description: 'JSON text kept with each object' }),
  ),
  accept,
}
export type AddRequest = Shape<ReturnType<typeof exact<typeof addFields>>>

/** The body of the request is the file itself. */
export const uploadFields = {
  name: Type.String({
    minLength: 1,
    maxLength: 4_096,
    description: 'The name it gets, such as `images/a.jpg`; one that exists gets a new version',
  }),
  mediaType: optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'Absent: the Content-Type of the request, else by the name',
    }),
  ),
  meta: optional(Type.String({ maxLength: 4_096, description: 'JSON text kept with it' })),
  accept,
}
export type UploadRequest = Shape<ReturnType<typeof exact<typeof uploadFields>>>

/** Content that is here and in no proposal yet; kept for a day. */
export const StoredContent = Type.Object({ cid, size: bytes })
export type StoredContent = Shape<typeof StoredContent>

export const Proposed = Type.Object({ events: listOf(eventId), approvals: waitsFor })
export type Proposed = Shape<typeof Proposed>

/** Deletions. */
export const Removed = Type.Object({
  events: listOf(eventId),
  skipped: Type.Integer({ minimum: 0, description: 'You have proposed it already' }),
})
export type Removed = Shape<typeof Removed>

/** One change of a batch. `object` is a name or an id; content must be here already. */
export const ProposedOperation = Type.Union([
  exact({
    op: Type.Literal('create'),
    name: text,
    cid: text,
    mediaType: optional(Type.String({ minLength: 1, maxLength: 255 })),
    meta: optional(Type.String({ maxLength: 4_096 })),
  }),
  exact({
    op: Type.Literal('update'),
    object: text,
    cid: optional(text),
    name: optional(text),
    mediaType: optional(Type.String({ minLength: 1, maxLength: 255 })),
    meta: optional(Type.String({ maxLength: 4_096 })),
  }),
  exact({ op: Type.Literal('delete'), object: text }),
  exact({ op: Type.Literal('purge'), object: text }),
])
export type ProposedOperation = Shape<typeof ProposedOperation>

export const proposeFields = {
  operations: Type.Array(ProposedOperation, { minItems: 1, maxItems: 10_000 }),
  accept,
}
export type ProposeRequest = Shape<ReturnType<typeof exact<typeof proposeFields>>>

/** Events that were signed elsewhere, by a key the node does not hold. */
export const submitFields = {
  events: Type.Array(Type.String({ maxLength: 360_000, description: 'A signed block, base64' }), {
    minItems: 1,
    maxItems: 1_000,
  }),
}
export const Submitted = Type.Object({
  stored: listOf(eventId),
  known: count,
  refused: listOf(Type.Object({ index: count, reason: word, what: word })),
})
export type Submitted = Shape<typeof Submitted>

// ---------------------------------------------------------------- schemas

export const SchemaInfo = Type.Object({
  id: objectId,
  name: word,
  version: versionId,
  number: optional(
    Type.Integer({ minimum: 0, description: 'Of the version, if it has one, as in NAME@NUMBER' }),
  ),
  versions: Type.Integer({ minimum: 0, description: 'How many have a number, in any status' }),
  status: oneOf('pending', 'accepted', 'rejected', 'deprecated', 'purged', 'shadowed'),
  size: bytes,
  cid: word,
})
export type SchemaInfo = Shape<typeof SchemaInfo>

export const SchemaDetail = Type.Object({
  ...SchemaInfo.properties,
  document: Type.String({ description: 'The schema: JSON text' }),
  history: listOf(VersionInfo),
})
export type SchemaDetail = Shape<typeof SchemaDetail>

export const SchemaAdded = Type.Object({
  event: eventId,
  schema: SchemaInfo,
  approvals: waitsFor,
})
export type SchemaAdded = Shape<typeof SchemaAdded>

export const addSchemaFields = {
  name: Type.String({
    minLength: 1,
    maxLength: 1_024,
    pattern: '^schema-',
    description: 'The name of a schema begins with `schema-`; one that exists gets a new version',
  }),
  document: Type.String({ maxLength: 262_144, description: 'The schema: JSON text' }),
  accept,
}
export type AddSchemaRequest = Shape<ReturnType<typeof exact<typeof addSchemaFields>>>

/** A schema that comes with gonk-node. */
export const CommonSchema = Type.Object({
  name: word,
  title: word,
  document: word,
  example: word,
})
export type CommonSchema = Shape<typeof CommonSchema>

// ---------------------------------------------------------------- annotations

export const AnnotationInfo = Type.Object({
  id: objectId,
  version: versionId,
  objects: listOf(
    Type.Object({ version: versionId, object: optional(objectId), name: optional(word) }),
  ),
  schema: Type.Object({
    version: versionId,
    name: optional(word),
    number: optional(count),
  }),
  size: bytes,
  status: oneOf('pending', 'accepted', 'rejected', 'deleted', 'purged'),
  author: publicKey,
  at: time,
})
export type AnnotationInfo = Shape<typeof AnnotationInfo>

export const AnnotationPage = Type.Object({ annotations: listOf(AnnotationInfo), next })
export type AnnotationPage = Shape<typeof AnnotationPage>

export const annotationFilter = {
  ...page,
  object: optional(Type.String({ maxLength: 4_096, description: 'Name or id of an object' })),
  schema: optional(Type.String({ maxLength: 4_096, description: 'NAME or NAME@NUMBER' })),
  status: optional(oneOf('accepted', 'pending', 'rejected', 'deleted')),
}
export type AnnotationFilter = Shape<ReturnType<typeof exact<typeof annotationFilter>>>

export const Conformity = Type.Object({
  status: oneOf('conforms', 'invalid', 'unknown'),
  code: optional(word),
  errors: listOf(Type.Object({ path: word, rule: word, text: word })),
})
export type Conformity = Shape<typeof Conformity>

export const AnnotationDetail = Type.Object({
  ...AnnotationInfo.properties,
  text: Type.String({ description: 'The document as it was given; empty when it is not here' }),
  here: flag,
  conformity: Conformity,
  history: listOf(VersionInfo),
})
export type AnnotationDetail = Shape<typeof AnnotationDetail>

/** The document: `value`, or `text` where its bytes matter. */
const documentFields = {
  value: optional(Type.Unknown({ description: 'The document, a JSON value' })),
  text: optional(Type.String({ description: 'In its place: JSON text, kept byte by byte' })),
}

export const annotateFields = {
  annotations: Type.Array(
    exact({
      objects: Type.Array(text, {
        minItems: 1,
        maxItems: 64,
        description: 'Names, ids or versions (EVENT:INDEX) of objects',
      }),
      schema: Type.String({
        minLength: 1,
        maxLength: 4_096,
        description: 'NAME, NAME@NUMBER or EVENT:INDEX of a schema',
      }),
      ...documentFields,
    }),
    { minItems: 1, maxItems: 10_000 },
  ),
  accept,
}
export type AnnotateRequest = Shape<ReturnType<typeof exact<typeof annotateFields>>>

export const updateAnnotationFields = {
  schema: optional(text),
  ...documentFields,
  accept,
}
export type UpdateAnnotationRequest = Shape<ReturnType<typeof exact<typeof updateAnnotationFields>>>

/** What stands for each annotation that was asked for, in that order: it, or an equal one. */
export const Annotated = Type.Object({
  events: listOf(eventId),
  annotations: listOf(AnnotationInfo),
  skipped: Type.Integer({
    minimum: 0,
    description:
      'Equal to one that is accepted, that you have proposed, or that was asked for before',
  }),
  approvals: waitsFor,
})
export type Annotated = Shape<typeof Annotated>

export const importFields = {
  format: oneOf('gonk'),
  path: Type.String({ minLength: 1, maxLength: 4_096, description: "On the node's machine" }),
}
export type ImportRequest = Shape<ReturnType<typeof exact<typeof importFields>>>
