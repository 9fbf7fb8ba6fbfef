// openapi.json, made from the route table: what the server takes, in the words of the table.
import type { TSchema } from 'typebox'
import { problemType } from '../client/problem.ts'
import type { NodeApi } from '../contract/api.ts'
import * as datasetShapes from '../contract/dataset-shapes.ts'
import * as nodeShapes from '../contract/node-shapes.ts'
import * as objectShapes from '../contract/object-shapes.ts'
import * as reviewShapes from '../contract/review-shapes.ts'
import type { Fields } from '../contract/route.ts'
import { apiPrefix, type Route, routes } from '../contract/routes.ts'
import { errorCodes } from '../core/errors.ts'
import { partsOf, shapeOf } from './api/validate.ts'
import { eventStreamType } from './event-stream.ts'
import { examples } from './examples.ts'
import { linesType } from './lines.ts'

type Json = Record<string, unknown>

const tags: Readonly<Record<Route['tag'], string>> = {
  node: 'The node itself, its users and its peers',
  datasets: 'Datasets, their owners and releases',
  objects: 'Files: what there is, uploads, proposals of changes',
  annotations: 'Schemas, and annotations that conform to them',
  review: 'Proposals and what owners decide about them',
  history: 'What was signed, and what changes now',
  copies: 'Clones and exports, and checks of what is here',
}

/** Paths of the table as OpenAPI writes them: `:name` becomes `{name}`. */
export const pathOfRoute = (route: Route) => apiPrefix + route.path.replaceAll(/:(\w+)/g, '{$1}')

/** An OpenAPI 3.1 document of the native API. */
export function openApi(version: string): Json {
  const paths: Record<string, Json> = {}
  for (const [name, route] of Object.entries(routes)) {
    const item = (paths[pathOfRoute(route)] ??= {})
    const method = route.method.toLowerCase()
    const before = item[method] as Json | undefined
    item[method] = before === undefined ? operationOf(name, route) : joined(before, name, route)
  }
  const document = {
    openapi: '3.1.0',
    info: {
      title: 'gonk-node',
      version,
      summary: 'Replicated, signed datasets: the API of one node',
      description:
        'Everything the command line does. Keys come from `gonk-node users add`; errors are ' +
        'problem documents (RFC 9457) with a stable `code`. Pages end without `next`; give it as ' +
        '`after` to go on.',
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }, { apiKey: [] }],
    tags: Object.entries(tags).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key' },
        apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
      },
      responses: { Problem: problemResponse },
      schemas: { ...namedShapes(), Problem: problemShape },
    },
  }
  return withReferences(document) as Json
}

function operationOf(name: string, route: Route): Json {
  const { path, query } = partsOf(route)
  return {
    operationId: name,
    tags: [route.tag],
    summary: route.summary,
    description: `Needs the role \`${route.role}\`.`,
    ...parametersOf([
      ...parameters('path', path),
      ...parameters('query', query),
      ...headerParameters(route),
    ]),
    ...bodyOf(name as keyof NodeApi, route),
    responses: responsesOf(route),
  }
}

/** Two rows of the table at one address: one operation with the parameters and answers of both. */
function joined(before: Json, name: string, route: Route): Json {
  const second = operationOf(name, route)
  const known = (before['parameters'] ?? []) as Json[]
  const added = (second['parameters'] ?? []) as Json[]
  const fixed = Object.entries(route.query ?? {}).map(([field, value]) => ({
    name: field,
    in: 'query',
    description: `Instead: ${route.summary}`,
    schema: { type: 'string', enum: [value] },
  }))
  const fresh = added.filter((one) => !known.some((other) => other['name'] === one['name']))
  const responses = before['responses'] as Record<string, Json>
  const more = second['responses'] as Record<string, Json>
  const content = {
    ...(responses['200']?.['content'] as Json),
    ...(more['200']?.['content'] as Json),
  }
  return {
    ...before,
    parameters: [...known, ...fixed, ...fresh],
    responses: { ...more, ...responses, 200: { ...responses['200'], content } },
  }
}

const parametersOf = (list: Json[]) => (list.length === 0 ? {} : { parameters: list })

function parameters(where: 'path' | 'query', fields: Fields): Json[] {
  const required: readonly string[] = shapeOf(fields).required ?? []
  return Object.entries(fields).map(([name, schema]) => ({
    name,
    in: where,
    required: where === 'path' || required.includes(name),
    ...('description' in schema && { description: schema.description }),
    ...(name === 'dataset' && { description: 'Name or id of a dataset', example: 'cells' }),
    schema,
  }))
}

function headerParameters({ answer, sse }: Route): Json[] {
  const header = (name: string, description: string) => ({
    name,
    in: 'header',
    description,
    schema: { type: 'string' },
  })
  if (sse !== undefined) return [header('Last-Event-ID', `Goes on after it, as \`${sse.resume}\``)]
  if (answer !== 'content') return []
  return [
    header('Range', 'One range of bytes: `bytes=0-99`, `bytes=100-`, `bytes=-100`'),
    header('If-Range', 'The ETag that the range is of'),
    header('If-None-Match', 'ETags of what is here already'),
  ]
}

function bodyOf(name: keyof NodeApi, route: Route): Json {
  const { body } = partsOf(route)
  if (route.body === 'bytes') {
    const binary = { schema: {} }
    const content = { 'application/octet-stream': binary, '*/*': binary }
    return { requestBody: { required: true, description: 'The file itself', content } }
  }
  if (Object.keys(body).length === 0) return {}
  const schema = shapeOf(body)
  const required = (schema.required ?? []).length > 0
  const example = examples[name]
  const content = { 'application/json': { schema, ...(example && { example }) } }
  return { requestBody: { required, content } }
}

function responsesOf(route: Route): Json {
  const status = String(route.status ?? 200)
  const answers: Json = { [status]: { description: route.summary, ...answerOf(route) } }
  if (route.answer === 'content') {
    answers['206'] = { description: 'The bytes of the range', ...answerOf(route) }
    answers['416'] = { $ref: '#/components/responses/Problem' }
  }
  if (route.answer === 'content' || (route.answer === 'value' && route.method === 'GET')) {
    answers['304'] = { description: 'It is what If-None-Match names' }
  }
  const problems = ['400', '401', '403', ...(route.path.includes(':') ? ['404'] : [])]
  if (route.answer === 'events') problems.push('429')
  if (route.method !== 'GET') problems.push('409', '413')
  for (const code of problems) answers[code] = { $ref: '#/components/responses/Problem' }
  answers['default'] = { $ref: '#/components/responses/Problem' }
  return answers
}

function answerOf({ answer, method, returns }: Route): Json {
  const etag = { ETag: { description: 'Of this answer', schema: { type: 'string' } } }
  switch (answer) {
    case 'value': {
      const content = { 'application/json': { schema: returns } }
      return method === 'GET' ? { headers: etag, content } : { content }
    }
    case 'content':
      return { headers: etag, content: { '*/*': { schema: {} } } }
    case 'events':
      return { content: { [eventStreamType]: { schema: { type: 'string' }, 'x-data': returns } } }
    case 'list':
      return { content: { [linesType]: { schema: lineShape({ object: returns }) } } }
    case 'operation':
      return { content: { [linesType]: { schema: lineShape({ ...running, result: returns }) } } }
  }
}

const running = { progress: nodeShapes.Progress, object: objectShapes.ObjectInfo }

/** One line: one of these members. */
function lineShape(members: Record<string, TSchema>): Json {
  const properties = { ...members, error: problemShape }
  return { description: 'One such object a line', type: 'object', properties, maxProperties: 1 }
}

const problemShape = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'code', 'hint'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'What happened' },
    code: { type: 'string', enum: Object.keys(errorCodes), description: 'Which failure it is' },
    hint: { type: 'string', description: 'What to do about it' },
    details: { type: 'object', description: 'For programs' },
  },
}

const problemResponse = {
  description: 'What went wrong, and what to do about it',
  content: { [problemType]: { schema: problemShape } },
}

/** Shapes by the name they are exported with; those alone get a place of their own. */
function namedShapes(): Record<string, object> {
  const all = { ...nodeShapes, ...datasetShapes, ...objectShapes, ...reviewShapes }
  const shapes = Object.entries(all).filter(
    ([name, value]) => /^[A-Z]/.test(name) && 'type' in value && value.type === 'object',
  )
  return Object.fromEntries(shapes)
}

/** Every named shape that occurs inside of something is replaced by a reference to its place. */
function withReferences(document: Json): unknown {
  const { schemas } = document['components'] as { schemas: Record<string, object> }
  const names = new Map(Object.entries(schemas).map(([name, shape]) => [shape, name]))
  const copy = (value: unknown, isPlace: boolean): unknown => {
    if (Array.isArray(value)) return value.map((item) => copy(item, false))
    if (typeof value !== 'object' || value === null) return value
    const name = isPlace ? undefined : names.get(value)
    if (name !== undefined) return { $ref: `#/components/schemas/${name}` }
    const isPlaces = value === schemas
    return Object.fromEntries(
      Object.entries(value).map(([key, member]) => [key, copy(member, isPlaces)]),
    )
  }
  return copy(document, false)
}
