// Every route of the native API on a real node, with requests made from its shapes: whatever comes,
// the answer is what the table says, or an error that says what is wrong.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Ajv, type ValidateFunction } from 'ajv'
import fc from 'fast-check'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { NodeApi } from '../../src/contract/api.ts'
import { type Route, routes } from '../../src/contract/routes.ts'
import { errorCodes } from '../../src/core/errors.ts'
import { buildServer } from '../../src/http/server.ts'
import { createLogger } from '../../src/logger.ts'
import { openTestNode, type OpenTestNode } from '../api/open-test-node.ts'
import { type FuzzedRequest, type Known, requestsFor } from './arbitrary.ts'
import { authorization, token } from './serve.ts'

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 30)
/** Not the node's fault: there is no network here, and folders of the test are files at times. */
const excused = new Set(['NO_PEER', 'PEER_FAILED', 'UNSUPPORTED', 'TIMEOUT', 'DISK'])
/** What would leave the others nothing to do has a dataset of its own. */
const apart: Readonly<Record<string, string>> = {
  forgetDataset: 'scrap',
  addOwner: 'owned',
  removeOwner: 'owned',
}
const ajv = new Ajv({ strict: false, validateFormats: false })

let node: OpenTestNode
let server: FastifyInstance
let known: Known
const failures: string[] = []

beforeAll(async () => {
  node = await openTestNode()
  const destination = {
    write(line: string) {
      if (line.includes('"level":"error"')) failures.push(line)
    },
  }
  const logger = createLogger({ level: 'debug', destination })
  server = buildServer(node, { token, hosts: ['localhost'], version: '1.2.3', logger })
  await server.ready()
  known = await makeThings()
})

afterAll(async () => {
  await server.close()
  await node.close()
})

/** A dataset with one of everything, and the names of it all. */
async function makeThings(): Promise<Known> {
  const { api, dir } = node
  const dataset = await api.createDataset({ name: 'cells' })
  for (const name of new Set(Object.values(apart))) await api.createDataset({ name })
  const path = join(dir, 'a.txt')
  await writeFile(path, 'hello')
  const [object] = (await api.add('cells', { paths: [path], accept: true })).objects
  await writeFile(join(dir, 'b.txt'), 'pending')
  const pending = await api.add('cells', { paths: [join(dir, 'b.txt')] })
  const document = '{"type":"object","properties":{"x":{"type":"number"}}}'
  await api.addSchema('cells', { name: 'schema-point', document, accept: true })
  const request = { objects: ['a.txt'], schema: 'schema-point', value: { x: 1 } }
  const { annotations } = await api.annotate('cells', { annotations: [request] })
  const release = await api.createRelease('cells', 'v1')
  const events = [...pending.events, release.event]
  const objects = ['a.txt', 'b.txt', object?.id ?? '', annotations[0]?.id ?? '', 'schema-point']
  const versions = [object?.version ?? '', `${pending.events[0]}:0`, annotations[0]?.version ?? '']
  const ids = [...events, ...objects, ...versions]
  const cids = [object?.cid ?? '', dataset.root, release.root]
  return {
    dataset: ['cells', 'cells', 'cells', dataset.id, 'cells@v1', 'none'],
    object: objects,
    objects: [...objects, ...versions],
    annotation: [annotations[0]?.id ?? '', 'a.txt'],
    schema: ['schema-point', 'schema-point@0', 'schema-point@1', 'schema-none'],
    document: [document, '{', 'true', '{"$ref":"http://example.com/x"}'],
    text: ['{"x":1}', '{"x":"a"}', '{'],
    version: versions,
    id: ids,
    item: versions,
    items: [...events, ...versions],
    add: versions,
    drop: versions,
    events: ['AAAA', 'AA==', '!', Buffer.from('not cbor').toString('base64')],
    content: cids,
    head: versions,
    cid: cids,
    a: ['v1', release.root],
    b: ['v1', release.root],
    tag: ['v1', 'v2'],
    author: [release.by, release.by.slice(0, 8)],
    key: [release.by],
    name: ['ada', 'a.txt', 'c.txt', 'schema-line', 'more'],
    multiaddr: ['/ip4/127.0.0.1/tcp/1', 'nonsense'],
    peers: ['/ip4/127.0.0.1/tcp/1', 'nonsense'],
    ref: ['nonsense', dataset.id, dataset.root, 'gonk://'],
    mediaType: ['text/plain', 'image/', 'x'],
    after: [],
  }
}

/** Folders are of the test, and what would end the dataset is done to another one. */
function guarded(name: string) {
  const inside = (value: unknown) =>
    typeof value === 'string'
      ? join(node.dir, encodeURIComponent(value.toWellFormed()).slice(0, 99))
      : value
  return (fields: Record<string, unknown>): Record<string, unknown> => {
    const safe = { ...fields }
    for (const field of ['directory', 'path']) if (field in safe) safe[field] = inside(safe[field])
    if (Array.isArray(safe['paths'])) safe['paths'] = safe['paths'].map(inside)
    const own = apart[name]
    if (own !== undefined && safe['dataset'] !== 'none') safe['dataset'] = own
    return safe
  }
}

const validators = new Map<Route, ValidateFunction>()

function expectShape(route: Route, value: unknown, what: string): void {
  const validate = validators.get(route) ?? ajv.compile(route.returns)
  validators.set(route, validate)
  expect(validate(value), `${what}: ${JSON.stringify(validate.errors)}`).toBe(true)
}

async function check(name: string, route: Route, request: FuzzedRequest): Promise<void> {
  const what = `${name} ${request.method} ${request.url} ${String(request.payload).slice(0, 500)}`
  const controller = new AbortController()
  const isStream = route.answer === 'events'
  const response = await server.inject({
    ...request,
    headers: { ...request.headers, authorization, host: 'localhost' },
    signal: controller.signal,
    payloadAsStream: isStream,
  })
  const { statusCode, headers } = response
  const type = String(headers['content-type'])
  if (isStream && statusCode === 200) {
    expect(type, what).toMatch(/^text\/event-stream/)
    response.stream().on('error', () => undefined)
    controller.abort()
    return
  }
  const text = isStream ? String(await response.stream().toArray()) : response.payload
  if (statusCode === 304) return
  if (statusCode >= 400) {
    expect(type, what).toMatch(/^application\/problem\+json/)
    return expectProblem(JSON.parse(text), statusCode, what)
  }
  if (route.answer === 'value') return expectShape(route, JSON.parse(text), what)
  if (route.answer === 'content') return
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const { error, result, object } = JSON.parse(line) as Record<string, unknown>
    if (error !== undefined) expectProblem(error, undefined, what)
    if (result !== undefined) expectShape(route, result, what)
    if (object !== undefined && route.answer === 'list') expectShape(route, object, what)
  }
}

function expectProblem(problem: unknown, status: number | undefined, what: string): void {
  const { code, detail, hint } = problem as Record<string, string>
  expect(Object.keys(errorCodes), what).toContain(code)
  const known = errorCodes[code as keyof typeof errorCodes]
  if (status !== undefined) expect(known.status, what).toBe(status)
  expect(detail?.length, what).toBeGreaterThan(0)
  expect(hint?.length, what).toBeGreaterThan(0)
  const isFine = known.status < 500 || excused.has(String(code))
  expect(isFine, `${what}: ${String(code)} ${String(detail)} ${failures.at(-1) ?? ''}`).toBe(true)
}

it.each(Object.entries(routes))('%s answers whatever it is asked', async (name, route) => {
  const requests = requestsFor(route, known, guarded(name))
  await fc.assert(
    fc.asyncProperty(requests, (request) => check(name as keyof NodeApi, route, request)),
    { numRuns: Object.keys(route.fields).length === 0 ? 2 : RUNS, interruptAfterTimeLimit: 10_000 },
  )
})
