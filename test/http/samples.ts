// Arguments for every method, the awkward ones on purpose, and the requests they make.
import type { NodeApi } from '../../src/contract/api.ts'
import { apiPrefix, fieldsOf, pathFields, routes } from '../../src/contract/routes.ts'

export const someBytes = new TextEncoder().encode('0123456789')

export async function* bytesOf(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

const page = { after: 'a&b=c', limit: 10 }
const decisions = [
  {
    verdict: 'accept',
    reason: 'fine',
    items: [{ item: 'e1:0', seen: { content: 'bafy', head: 'e0:1' } }],
  },
  { verdict: 'reject', selection: 's1' },
] as const

/** Without the file, where a method takes one. */
export const samples: { [Method in keyof NodeApi]: readonly unknown[] } = {
  me: [],
  status: [],
  sync: [],
  peers: [],
  connect: ['/ip4/127.0.0.1/tcp/4050/p2p/12D3KooW'],
  addUser: [{ name: 'ada', role: 'member' }],
  listUsers: [],
  rekeyUser: ['ada'],
  removeUser: ['ada/b'],
  createDataset: [{ name: 'cells', founders: ['ab'.repeat(32)], threshold: 1 }],
  listDatasets: [],
  showDataset: ['cells & more/100%'],
  forgetDataset: ['cells'],
  add: ['cells', { paths: ['/tmp/a b', '/tmp/ü'], prefix: 'x', meta: '{"a":1}', accept: true }],
  upload: [
    'cells',
    { name: 'a/ü & b.jpg', mediaType: 'image/jpeg', meta: '{"a":"&"}', accept: true },
  ],
  store: [],
  propose: [
    'cells',
    {
      operations: [
        { op: 'create', name: 'a.jpg', cid: 'bafy', mediaType: 'image/jpeg' },
        { op: 'update', object: 'b.jpg', name: 'c.jpg' },
        { op: 'delete', object: 'd.jpg' },
        { op: 'purge', object: 'e.jpg' },
      ],
      accept: false,
    },
  ],
  submit: ['cells', ['AAAA', 'BBBB']],
  removeObjects: ['cells', ['a.jpg', 'b/c.jpg']],
  renameObject: ['cells', 'a.jpg', 'b.jpg'],
  listObjects: ['cells@v1', { ...page, status: 'pending', prefix: 'a/', mediaType: 'image/png' }],
  showObject: ['cells', 'a/b c.jpg'],
  content: ['cells', 'a/b.jpg', 'e1:3'],
  history: ['cells', 'a/b.jpg'],
  importFrom: ['cells', { format: 'gonk', path: '/tmp/gonk' }],
  addSchema: ['cells', { name: 'schema-box', document: '{"type":"object"}', accept: true }],
  listSchemas: ['cells'],
  showSchema: ['cells', 'schema-box@2'],
  deprecateSchema: ['cells', 'schema-box@2'],
  commonSchemas: [],
  annotate: [
    'cells',
    {
      annotations: [
        { objects: ['a.jpg'], schema: 'schema-box', value: { x: [1, null, 'ü'] } },
        { objects: ['b.jpg', 'c.jpg'], schema: 'e1:0', text: '{ "x": 1.0 }' },
      ],
    },
  ],
  updateAnnotation: ['cells', 'ab12', { schema: 'schema-box@3', value: [false], accept: true }],
  listAnnotations: [
    'cells',
    { ...page, object: 'a.jpg', schema: 'schema-box', status: 'accepted' },
  ],
  showAnnotation: ['cells', 'ab12'],
  listReviews: ['cells', { ...page, status: 'all', author: 'ab' }],
  review: [
    'cells',
    { verdict: 'accept', items: ['e1:0-3'], all: { status: 'pending', author: 'k' }, reason: 'ok' },
  ],
  listProposals: ['cells', { ...page, status: 'rejected', author: 'ab' }],
  queue: [
    'cells',
    { ...page, status: 'mine', kind: 'object', author: 'ab', schema: 's', prefix: 'p', asOf: 7 },
  ],
  queueCounts: ['cells', { status: 'pending', group: 'author' }],
  select: ['cells', { filter: { kind: 'annotation' }, asOf: 3, add: ['e1:0'], drop: ['e2:1'] }],
  checkDecisions: ['cells', { decisions }],
  decide: ['cells', { decisions, idempotencyKey: 'once' }],
  owners: ['cells'],
  addOwner: ['cells', 'cd'.repeat(32), 'Ada'],
  removeOwner: ['cells', 'cd'.repeat(32)],
  endorse: ['cells', 'bafyreie1'],
  policy: ['cells'],
  setPolicy: ['cells', 2],
  checkpoints: ['cells'],
  createCheckpoint: ['cells'],
  voteCheckpoint: ['cells', 'bafyreic1'],
  trustCheckpoint: ['cells', 'bafyreic1'],
  log: ['cells', { limit: 5, author: 'ab', object: 'a.jpg' }],
  show: ['cells', 'e1:3'],
  diff: ['cells', 'v1', 'v2', page],
  events: [{ dataset: 'cells', after: '1.2', blocks: true, limit: 7 }],
  followEvents: [{ dataset: 'cells', after: '1.2', blocks: false }],
  stream: [{ since: 4, datasets: ['a&b', 'c'] }],
  proof: ['cells', 'e1:3'],
  root: ['cells'],
  createRelease: ['cells', 'v1/beta', 'first\nrelease'],
  listReleases: ['cells'],
  showRelease: ['cells', 'v1/beta $&'],
  share: ['cells'],
  clone: [
    {
      ref: 'gonk://x?root=y&peer=z',
      peers: ['/ip4/1.2.3.4/tcp/1'],
      name: 'n',
      pinOnly: true,
      anchor: 'bafyreic1',
    },
  ],
  checkout: ['cells@v1', '/tmp/out'],
  verify: ['cells'],
  repair: ['cells'],
  gc: [],
  backup: [{ directory: '/backups/gonk', keys: false }],
}

/** Everything a list gives. */
export async function collected<T>(list: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of list) all.push(item)
  return all
}

/** The request a client makes of the sample arguments of a method. */
export function requestOf(name: keyof NodeApi) {
  const route = routes[name]
  const fields = fieldsOf(route, samples[name])
  let url = apiPrefix + route.path
  for (const field of pathFields(route)) {
    url = url.replace(`:${field}`, () => encodeURIComponent(String(fields[field])))
    delete fields[field]
  }
  const isJson = route.body === undefined && !['GET', 'DELETE'].includes(route.method)
  const query = new URLSearchParams(route.query ?? {})
  if (!isJson) {
    for (const [field, value] of Object.entries(fields)) {
      for (const one of [value].flat()) query.append(field, String(one))
    }
  }
  return {
    method: route.method,
    url: query.size === 0 ? url : `${url}?${query.toString()}`,
    ...(isJson && { payload: fields }),
    ...(route.body === 'bytes' && { payload: Buffer.from(someBytes) }),
  }
}
