// Gonk's endpoints as one table: the first row whose path fits is meant.
import type {
  Cursor,
  GonkApi,
  GonkStatus,
  Identifier,
  Page,
  VersionDetails,
} from '../../api/gonk/types.ts'
import { Details } from './details.ts'
import { Refusal } from './errors.ts'
import {
  annotationRequest,
  cursorOf,
  datasetName,
  fieldsOf,
  newAnnotation,
  newSchema,
  objectRequest,
  schemaBytes,
  uuidOf,
} from './requests.ts'

/** One request, as the rows of the table see it. */
export interface Call {
  readonly api: GonkApi
  /** Pieces of the path by name, decoded. */
  readonly pieces: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  readonly body: unknown
  /** Where the next page begins. */
  readonly setNext: (next: Cursor) => void
  /** Waits until as many bytes may be sent. Throws TOO_MANY, CANCELLED. */
  readonly turn: (sizeBytes: number) => Promise<void>
  /** Fires when the client hangs up. */
  readonly signal: () => AbortSignal
}

export interface GonkRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Pieces that begin with a colon stand for any text, or for what {@link pieces} says. */
  readonly path: string
  /** Limit of its body, where that is less than any request may have. */
  readonly bodyBytesMax?: number
  readonly answer: (call: Call) => Promise<unknown>
}

/** A document as base64, and what stands around it: annotations have 8 MiB, schemas 256 KiB. */
const ANNOTATION_BODY_BYTES_MAX = 12 * 1024 * 1024
const SCHEMA_BODY_BYTES_MAX = 1024 * 1024

const pieces: Readonly<Record<string, RegExp>> = {
  id: /^[0-9A-Fa-f-]{36}$/,
  version: /^\d+$/,
  schema: /^schema-/,
}

const D = '/datasets/:dataset'
const OBJECT_STATUSES = ['accepted', 'pending', 'deleted', 'rejected'] as const
const SCHEMA_STATUSES = ['accepted', 'pending', 'deprecated', 'rejected'] as const

const piece = (call: Call, name: string): string => call.pieces[name] ?? ''
const dataset = (call: Call): string => piece(call, 'dataset')
const fields = (call: Call) => fieldsOf(call.body)

/** The uuid as it is written where versions are asked for: what is none is not found. */
const identifier = (call: Call): Identifier => ({
  uuid: piece(call, 'id'),
  version: Number(piece(call, 'version')),
})

const reference = (call: Call) => ({
  name: piece(call, 'name'),
  version: Number(piece(call, 'version')),
})

function itemsOf<T>(call: Call, { items, next }: Page<T>): readonly T[] {
  if (next !== undefined) call.setNext(next)
  return items
}

function statusOf(call: Call, known: readonly string[]): GonkStatus {
  const word = piece(call, 'status')
  if (known.includes(word)) return (word === 'deprecated' ? 'deleted' : word) as GonkStatus
  throw new Refusal(400, 'Invalid status.', { valid_statuses: known })
}

/** With its bytes, when it is their turn. */
async function whole<T extends VersionDetails>(call: Call, found: Promise<T>): Promise<Details> {
  const { value, sizeBytes, ...fields } = await found
  await call.turn(sizeBytes)
  return new Details(fields, await call.api.bytes(value, { signal: call.signal() }))
}

const reviewBy =
  (verdict: 'accept' | 'reject') =>
  ({ api, ...call }: Call) =>
    api.review(call.pieces['dataset'] ?? '', uuidOf(call.pieces['event'] ?? ''), verdict)

/** What objects and annotations have in common. */
function thingRoutes(kind: 'object' | 'annotation'): GonkRoute[] {
  const path = `${D}/${kind}s`
  return [
    {
      method: 'GET',
      path,
      answer: async (call) => {
        const after = cursorOf(call.query)?.after
        return itemsOf(call, await call.api.list(dataset(call), kind, after))
      },
    },
    {
      method: 'GET',
      path: `${path}/:id`,
      answer: (call) => call.api.summary(dataset(call), kind, uuidOf(piece(call, 'id'))),
    },
    {
      method: 'GET',
      path: `${path}/:status`,
      answer: async (call) => {
        const cursor = cursorOf(call.query)
        const status = statusOf(call, OBJECT_STATUSES)
        return itemsOf(call, await call.api.listWith(dataset(call), kind, status, cursor))
      },
    },
    {
      method: 'DELETE',
      path: `${path}/:uuid/:version`,
      answer: (call) => {
        const version = { uuid: piece(call, 'uuid'), version: Number(piece(call, 'version')) }
        return call.api.remove(dataset(call), kind, version)
      },
    },
  ]
}

const schemaRoutes: readonly GonkRoute[] = [
  {
    method: 'POST',
    path: `${D}/schemas`,
    bodyBytesMax: SCHEMA_BODY_BYTES_MAX,
    answer: (call) => {
      const { name, schema } = newSchema(fields(call))
      return call.api.createSchema(dataset(call), name, schema)
    },
  },
  {
    method: 'GET',
    path: `${D}/schemas`,
    answer: (call) => call.api.listSchemas(dataset(call)),
  },
  {
    method: 'GET',
    path: `${D}/schemas/:schema`,
    answer: (call) => call.api.showSchema(dataset(call), piece(call, 'schema')),
  },
  {
    method: 'PATCH',
    path: `${D}/schemas/:schema`,
    bodyBytesMax: SCHEMA_BODY_BYTES_MAX,
    answer: (call) => {
      const schema = schemaBytes(fields(call))
      return call.api.updateSchema(dataset(call), piece(call, 'schema'), schema)
    },
  },
  {
    method: 'GET',
    path: `${D}/schemas/:status`,
    answer: async (call) => {
      const cursor = cursorOf(call.query)
      const status = statusOf(call, SCHEMA_STATUSES)
      return itemsOf(call, await call.api.schemasWith(dataset(call), status, cursor))
    },
  },
  {
    method: 'GET',
    path: `${D}/schemas/:name/:version`,
    answer: (call) => whole(call, call.api.showSchemaVersion(dataset(call), reference(call))),
  },
  {
    method: 'DELETE',
    path: `${D}/schemas/:name/:version`,
    answer: (call) => call.api.deprecateSchema(dataset(call), reference(call)),
  },
]

const objectRoutes: readonly GonkRoute[] = [
  {
    method: 'POST',
    path: `${D}/objects`,
    answer: (call) => call.api.createObject(dataset(call), objectRequest(fields(call))),
  },
  {
    method: 'PATCH',
    path: `${D}/objects/:uuid`,
    answer: (call) => {
      const request = objectRequest(fields(call))
      return call.api.updateObject(dataset(call), piece(call, 'uuid'), request)
    },
  },
  {
    method: 'GET',
    path: `${D}/objects/:id/:version`,
    answer: (call) => whole(call, call.api.showObject(dataset(call), identifier(call))),
  },
  ...thingRoutes('object'),
]

const annotationRoutes: readonly GonkRoute[] = [
  {
    method: 'POST',
    path: `${D}/annotations`,
    bodyBytesMax: ANNOTATION_BODY_BYTES_MAX,
    answer: (call) => call.api.createAnnotation(dataset(call), newAnnotation(fields(call))),
  },
  {
    method: 'PATCH',
    path: `${D}/annotations/:uuid`,
    bodyBytesMax: ANNOTATION_BODY_BYTES_MAX,
    answer: (call) => {
      const request = annotationRequest(fields(call))
      return call.api.updateAnnotation(dataset(call), piece(call, 'uuid'), request)
    },
  },
  {
    method: 'GET',
    path: `${D}/annotations/:id/:version`,
    answer: (call) => whole(call, call.api.showAnnotation(dataset(call), identifier(call))),
  },
  ...thingRoutes('annotation'),
]

const routes: readonly GonkRoute[] = [
  { method: 'GET', path: '/', answer: async () => ({ message: 'hello' }) },
  {
    method: 'POST',
    path: '/datasets',
    answer: (call) => call.api.createDataset(datasetName(fields(call))),
  },
  { method: 'GET', path: '/datasets', answer: (call) => call.api.listDatasets() },
  { method: 'GET', path: `${D}/owners`, answer: (call) => call.api.owners(dataset(call)) },
  {
    method: 'PUT',
    path: `${D}/owners/:user`,
    answer: (call) => call.api.addOwner(dataset(call), piece(call, 'user')),
  },
  {
    method: 'DELETE',
    path: `${D}/owners/:user`,
    answer: (call) => call.api.removeOwner(dataset(call), piece(call, 'user')),
  },
  {
    method: 'GET',
    path: `${D}/events`,
    answer: async (call) => {
      const after = cursorOf(call.query)?.after
      return itemsOf(call, await call.api.events(dataset(call), after))
    },
  },
  { method: 'PUT', path: `${D}/events/:event/accept`, answer: reviewBy('accept') },
  { method: 'PUT', path: `${D}/events/:event/reject`, answer: reviewBy('reject') },
  ...schemaRoutes,
  ...objectRoutes,
  ...annotationRoutes,
]

const table = routes.map((route) => ({ route, parts: route.path.split('/') }))

/** Every route of a path, with the pieces it makes of it. `path`: as it came, without the query. */
export function routesOf(path: string): { route: GonkRoute; pieces: Call['pieces'] }[] {
  const given = decodedParts(path)
  const rows = table.filter(({ parts }) => parts.length === given?.length)
  return rows.flatMap(({ route, parts }) => {
    const found = given && fit(parts, given)
    return found === undefined ? [] : [{ route, pieces: found }]
  })
}

function decodedParts(path: string): string[] | undefined {
  try {
    return path.split('/').map(decodeURIComponent)
  } catch {
    return undefined
  }
}

function fit(parts: readonly string[], given: readonly string[]): Call['pieces'] | undefined {
  if (parts.length !== given.length) return undefined
  const found: Record<string, string> = {}
  for (const [i, part] of parts.entries()) {
    const text = given[i] as string
    if (!part.startsWith(':')) {
      if (part !== text) return undefined
      continue
    }
    const name = part.slice(1)
    if (text === '' || pieces[name]?.test(text) === false) return undefined
    found[name] = text
  }
  return found
}
