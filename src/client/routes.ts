// The native API as one table: each method of NodeApi as an HTTP request. Server and client are
// both made from it, so that nothing is said twice.
import type { NodeApi } from '../api/types.ts'

/** A JSON Schema of one field. */
export type FieldSchema = Readonly<Record<string, unknown>>

export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Below {@link apiPrefix}; `:field` stands for a field. */
  readonly path: string
  /**
   * The positional arguments of the method, by field. {@link rest}: one object of all other fields.
   * Fields that are not in the path go into the query of a GET or DELETE, else into the JSON body.
   */
  readonly args: readonly string[]
  readonly fields: Readonly<Record<string, FieldSchema>>
  readonly required?: readonly string[]
  /**
   * `value`: one JSON document. `list`: application/x-ndjson, one {"object"} a line. `operation`:
   * {"progress"} and {"object"} lines, then one {"result"}. Either may end in {"error"}.
   */
  readonly answer: 'value' | 'list' | 'operation'
  readonly status?: 201
  /** The method takes AbortOptions last; operations always do. */
  readonly abortable?: true
  /** One sentence for the API's documentation. */
  readonly summary: string
}

export const apiPrefix = '/api/v1'
/** The place in `args` of the object made of the fields that have no place of their own. */
export const rest = '...'

const text = { type: 'string', minLength: 1, maxLength: 4096 } as const
const optionalText = { type: 'string', maxLength: 4096 } as const
const longText = { type: 'string', maxLength: 65_536 } as const
const flag = { type: 'boolean' } as const
const key = { type: 'string', pattern: '^[0-9a-f]{64}$' } as const
const listOf = (items: FieldSchema, maxItems: number) =>
  ({ type: 'array', items, maxItems }) as const
const count = (maximum: number) => ({ type: 'integer', minimum: 1, maximum }) as const
const reviewStatus = { type: 'string', enum: ['pending', 'accepted', 'rejected', 'all'] } as const
const dataset = { dataset: text }
const D = '/datasets/:dataset'

const read = { method: 'GET', answer: 'value' } as const
const write = { method: 'POST', answer: 'value' } as const
const run = { method: 'POST', answer: 'operation' } as const

export const routes: { readonly [Method in keyof NodeApi]: Route } = {
  status: { ...read, path: '/status', args: [], fields: {}, summary: 'The node and its datasets' },
  peers: { ...read, path: '/peers', args: [], fields: {}, summary: 'The nodes it is connected to' },
  connect: {
    ...write,
    path: '/peers',
    abortable: true,
    args: ['multiaddr'],
    fields: { multiaddr: text },
    required: ['multiaddr'],
    summary: 'Dials another node and stays connected',
  },

  createDataset: {
    ...write,
    path: '/datasets',
    status: 201,
    args: [rest],
    fields: { name: text, founders: listOf(key, 64), threshold: count(64) },
    required: ['name'],
    summary: 'Makes a dataset with this node as its first owner',
  },
  listDatasets: { ...read, path: '/datasets', args: [], fields: {}, summary: 'All datasets' },
  showDataset: { ...read, path: D, args: ['dataset'], fields: dataset, summary: 'One dataset' },
  forgetDataset: {
    method: 'DELETE',
    answer: 'value',
    path: D,
    args: ['dataset'],
    fields: dataset,
    summary: 'Removes the replica from this node',
  },

  add: {
    ...run,
    path: `${D}/add`,
    args: ['dataset', rest],
    fields: {
      ...dataset,
      paths: { ...listOf(text, 100_000), minItems: 1 },
      prefix: optionalText,
      meta: longText,
      accept: flag,
    },
    required: ['paths'],
    summary: "Proposes files and folders of the node's machine",
  },
  removeObjects: {
    ...write,
    path: `${D}/objects/remove`,
    args: ['dataset', 'objects'],
    fields: { ...dataset, objects: { ...listOf(text, 100_000), minItems: 1 } },
    required: ['objects'],
    summary: 'Proposes to delete objects',
  },
  renameObject: {
    ...write,
    path: `${D}/objects/rename`,
    args: ['dataset', 'object', 'name'],
    fields: { ...dataset, object: text, name: text },
    required: ['object', 'name'],
    summary: 'Proposes another name for an object',
  },
  listObjects: {
    ...read,
    path: `${D}/objects`,
    args: ['dataset', rest],
    fields: { ...dataset, after: text, limit: count(1_000) },
    summary: 'A page of objects in the order of their names',
  },

  listReviews: {
    ...read,
    path: `${D}/reviews`,
    args: ['dataset', rest],
    fields: { ...dataset, status: reviewStatus, author: text },
    summary: 'Proposals that wait for a decision, oldest first',
  },
  review: {
    ...run,
    path: `${D}/reviews`,
    args: ['dataset', rest],
    fields: {
      ...dataset,
      verdict: { type: 'string', enum: ['accept', 'reject'] },
      items: listOf(text, 100_000),
      all: {
        type: 'object',
        additionalProperties: false,
        properties: { status: reviewStatus, author: text },
      },
      reason: longText,
    },
    required: ['verdict'],
    summary: 'Signs decisions',
  },

  owners: {
    ...read,
    path: `${D}/owners`,
    args: ['dataset'],
    fields: dataset,
    summary: 'Owners in the order of their rank',
  },
  addOwner: {
    ...write,
    path: `${D}/owners`,
    args: ['dataset', 'key', 'name'],
    fields: { ...dataset, key, name: text },
    required: ['key'],
    summary: 'Makes a key an owner',
  },
  removeOwner: {
    method: 'DELETE',
    answer: 'value',
    path: `${D}/owners/:key`,
    args: ['dataset', 'key'],
    fields: { ...dataset, key },
    summary: 'Removes an owner',
  },

  log: {
    method: 'GET',
    answer: 'list',
    path: `${D}/log`,
    args: ['dataset', rest],
    fields: { ...dataset, limit: count(Number.MAX_SAFE_INTEGER), author: text, object: text },
    summary: 'Events, newest first',
  },
  show: {
    ...read,
    path: `${D}/show/:id`,
    args: ['dataset', 'id'],
    fields: { ...dataset, id: text },
    summary: 'An event, object or version by a unique prefix of its id',
  },
  diff: {
    ...read,
    path: `${D}/diff`,
    args: ['dataset', 'a', 'b'],
    fields: { ...dataset, a: text, b: text },
    required: ['a'],
    summary: 'What changed between two releases or roots',
  },

  root: { ...read, path: `${D}/root`, args: ['dataset'], fields: dataset, summary: 'The root CID' },
  createRelease: {
    ...write,
    path: `${D}/releases`,
    status: 201,
    args: ['dataset', 'tag', 'text'],
    fields: { ...dataset, tag: text, text: longText },
    required: ['tag'],
    summary: 'Signs a name for the current root',
  },
  listReleases: {
    ...read,
    path: `${D}/releases`,
    args: ['dataset'],
    fields: dataset,
    summary: 'All releases',
  },
  showRelease: {
    ...read,
    path: `${D}/releases/:tag`,
    args: ['dataset', 'tag'],
    fields: { ...dataset, tag: text },
    summary: 'One release',
  },

  share: {
    ...read,
    path: `${D}/share`,
    args: ['dataset'],
    fields: dataset,
    summary: 'A gonk:// link that another node can clone',
  },
  clone: {
    ...run,
    path: '/clones',
    args: [rest],
    fields: { ref: text, peers: listOf(text, 64), name: text, pinOnly: flag },
    required: ['ref'],
    summary: 'Fetches and verifies a whole dataset by root CID, dataset id or link',
  },
  checkout: {
    ...run,
    path: `${D}/checkout`,
    args: ['dataset', 'directory'],
    fields: { ...dataset, directory: text },
    required: ['directory'],
    summary: "Writes the accepted files into a directory of the node's machine",
  },
  verify: {
    ...run,
    path: `${D}/verify`,
    args: ['dataset'],
    fields: dataset,
    summary: 'Checks every signature, hash, rule and block again',
  },
  gc: {
    ...run,
    path: '/gc',
    args: [],
    fields: {},
    summary: 'Deletes blocks that nothing keeps',
  },
}

/** The fields in the path of a route, in order. */
export function pathFields(route: Route): string[] {
  return [...route.path.matchAll(/:([a-zA-Z]+)/g)].map((match) => match[1] as string)
}

/** Positional arguments to fields; undefined ones are left out. */
export function fieldsOf(route: Route, args: readonly unknown[]): Record<string, unknown> {
  const fields = route.args.flatMap((name, index): [string, unknown][] => {
    const value = args[index]
    if (name !== rest) return [[name, value]]
    return typeof value === 'object' && value !== null ? Object.entries(value) : []
  })
  return Object.fromEntries(fields.filter(([, value]) => value !== undefined))
}

/** Fields to positional arguments: the inverse of {@link fieldsOf}. */
export function argsOf(route: Route, fields: Readonly<Record<string, unknown>>): unknown[] {
  const others = Object.entries(fields).filter(([name]) => !route.args.includes(name))
  return route.args.map((name) => (name === rest ? Object.fromEntries(others) : fields[name]))
}
