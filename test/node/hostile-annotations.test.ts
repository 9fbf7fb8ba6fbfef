// Schemas and annotations made to hang or to burst a node, through each of its doors: they are
// refused with a code, and others are answered meanwhile.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GonkError } from '../../src/core/errors.ts'
import { type TestNode, type TestUser, World } from './daemon.ts'
import { annotating, base64, GONK, type Gonk, gonkOf, labelSchema, listOf, ok } from './gonk.ts'
import {
  askedMeanwhile,
  CHUNKED,
  filled,
  gonkHalves,
  type Halves,
  hostileSchemas,
  HUGE_BYTES,
  jsonHeaders,
  lengthOf,
  nativeHalves,
  sendHuge,
  sendRaw,
} from './hostile-requests.ts'

/** Nothing here takes a tenth of it; a node that hangs takes it all. */
const ALIVE_SECONDS = 20
const D = '/datasets/cells'

let world: World
let a: TestNode
let bob: TestUser
let gonk: Gonk
let object: { readonly uuid: string; readonly version: number }
let count = 0

beforeAll(async () => {
  world = await World.create()
  a = world.node('A')
  await a.start(GONK)
  await a.api.createDataset({ name: 'cells' })
  await a.api.addSchema('cells', { name: 'schema-label', document: labelSchema, accept: true })
  const bytes = async function* () {
    yield Buffer.from('a bird')
  }
  await a.api.upload('cells', { name: 'bird.txt', accept: true }, bytes())
  bob = await a.user('bob')
  gonk = gonkOf(a, bob.apiKey)
  ;[object] = (await listOf(gonk, `${D}/objects/accepted`)) as [typeof object]
})

afterAll(() => world.close())

/** What others do: looking, listing, annotating through either door. */
const innocent = () => {
  const label = () => ({ label: `bird ${count++}` })
  const item = () => ({ objects: ['bird.txt'], schema: 'schema-label', value: label() })
  return {
    health: async () => expect((await fetch(`${a.daemon.ready.url}/healthz`)).status).toBe(200),
    datasets: async () => expect(await bob.api().listDatasets()).toMatchObject([{ name: 'cells' }]),
    gonkDatasets: async () => expect(await ok(gonk, 'GET', '/datasets')).toEqual(['cells']),
    annotate: () => a.api.annotate('cells', { annotations: [item()] }),
    gonkAnnotate: () => ok(gonk, 'POST', `${D}/annotations`, annotating(object, label())),
  }
}

async function meanwhileAlive<T>(work: Promise<T>): Promise<T> {
  const { value, waited } = await askedMeanwhile(work, innocent())
  expect(Math.max(...Object.values(waited).flat())).toBeLessThan(ALIVE_SECONDS)
  return value
}

/** The code of a GonkError; undefined where nothing is thrown. */
async function codeOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work
    return undefined
  } catch (error) {
    if (error instanceof GonkError) return error.code
    throw error
  }
}

const COSTLY = /^(TOO_COSTLY|BAD_SCHEMA)$/

describe.each(hostileSchemas)('$what', ({ what, schema, document }) => {
  const nameFor = (door: string) => `schema-${door}-${what.replaceAll(' ', '-')}`

  it('is refused by the API', async () => {
    const api = bob.api()
    const name = nameFor('api')
    const item = { objects: ['bird.txt'], schema: name, text: document }
    const work = (async () =>
      (await codeOf(api.addSchema('cells', { name, document: schema(name) }))) ??
      codeOf(api.annotate('cells', { annotations: [item] })))()
    expect(await meanwhileAlive(work)).toMatch(COSTLY)
  })

  it('is refused by the dialect', async () => {
    const name = nameFor('gonk')
    const request = annotating(object, JSON.parse(document), { name, version: 0 })
    const work = (async () => {
      const added = await gonk('POST', `${D}/schemas`, { name, schema: base64(schema(name)) })
      return added.status === 200 ? gonk('POST', `${D}/annotations`, request) : added
    })()
    const { status, body } = await meanwhileAlive(work)
    expect(status).toBe(500)
    expect(body.error.ValidationError).toMatch(
      /^(annotation does not match schema|schema is not a valid JSON Schema: .+)$/,
    )
  })

  it('is refused by a command', async () => {
    const name = nameFor('cli')
    const [ofSchema, ofDocument] = [`${name}.json`, `${name}.document.json`].map((file) =>
      join(world.dir, file),
    ) as [string, string]
    await writeFile(ofSchema, schema(name))
    await writeFile(ofDocument, document)
    const work = (async () => {
      const added = await a.run('schema', 'add', 'cells', name, ofSchema)
      if (added.status !== 0) return added
      return a.run('annotate', 'cells', 'bird.txt', '--schema', name, ofDocument)
    })()
    const { status, stdout } = await meanwhileAlive(work)
    expect(status).toBe(1)
    expect(JSON.parse(stdout).error).toMatchObject({ code: expect.stringMatching(COSTLY) })
  })
})

const tooLarge = {
  native: {
    status: 413,
    type: expect.stringContaining('application/problem+json'),
    body: { code: 'TOO_LARGE', status: 413, hint: expect.any(String) },
  },
  dialect: {
    status: 413,
    type: expect.stringContaining('application/json'),
    body: { error: expect.any(String) },
  },
}

describe.each(['native', 'dialect'] as const)('an annotation of 50 MB, %s', (door) => {
  const halves = (): Halves => {
    if (door === 'native') {
      const item = { objects: ['bird.txt'], schema: 'schema-label' }
      return nativeHalves(a.daemon.ready.url, 'cells', item)
    }
    const { annotation: _, ...others } = annotating(object, '')
    return gonkHalves(a.daemon.gonkUrl, 'cells', others)
  }
  const send = (length: Record<string, string>) => sendHuge(halves(), bob.apiKey, length)

  it('is refused by its length', async () => {
    const answer = await meanwhileAlive(send(lengthOf(halves())))
    expect(answer).toMatchObject(tooLarge[door])
  })

  it('is refused without a length', async () => {
    expect(await meanwhileAlive(send(CHUNKED))).toMatchObject(tooLarge[door])
  })

  it('is refused behind a false length', async () => {
    // What comes behind it is no request, and may end the connection before the answer is read.
    const lie = send({ 'content-length': '100' }).catch(({ code }) => ({ status: code }))
    const refusals = [400, 500, 'ECONNRESET', 'EPIPE']
    expect(refusals).toContain((await meanwhileAlive(lie)).status)
  })

  it('is refused with two lengths', async () => {
    const headers = { ...jsonHeaders(bob.apiKey), ...CHUNKED, 'content-length': '100' }
    const { url, before } = halves()
    const answer = sendRaw(url, { headers, body: [Buffer.from(before)] })
    expect(await meanwhileAlive(answer)).toMatchObject({ status: 400 })
  })

  it('keeps nobody waiting while the rest of it does not come', async () => {
    const { url, before, letters, after } = halves()
    const rest = Promise.withResolvers<void>()
    const slowly = async function* () {
      yield* filled(before, 4_000_000, '')
      await rest.promise
      yield* filled('', letters - 4_000_000, after)
    }
    const headers = { ...jsonHeaders(bob.apiKey), ...CHUNKED }
    const answer = sendRaw(url, { headers, body: slowly() })
    answer.catch(() => {})
    await meanwhileAlive(Promise.resolve())
    rest.resolve()
    expect(await answer).toMatchObject(tooLarge[door])
  })
})

it('the typed client hears why an annotation of 50 MB is refused', async () => {
  const value = { label: 'A'.repeat(50_000_000) }
  const item = { objects: ['bird.txt'], schema: 'schema-label', value }
  const work = codeOf(bob.api().annotate('cells', { annotations: [item] }))
  expect(await meanwhileAlive(work)).toBe('TOO_LARGE')
})

it('an annotation of 50 MB is refused by a command', async () => {
  const file = join(world.dir, 'huge.json')
  await writeFile(file, filled('{"label":"', HUGE_BYTES, '"}'))
  const work = a.run('annotate', 'cells', 'bird.txt', '--schema', 'schema-label', file)
  const { status, stdout } = await meanwhileAlive(work)
  expect(status).toBe(1)
  expect(JSON.parse(stdout).error).toMatchObject({ code: 'TOO_LARGE' })
})

it('nothing of what was refused is there, and the daemon is well', async () => {
  const { annotations } = await a.api.listAnnotations('cells', { status: 'pending', limit: 1 })
  expect(annotations).toHaveLength(1)
  const { objects } = await a.api.listObjects('cells')
  expect(objects.map(({ name }) => name)).toEqual(['bird.txt'])
  expect(a.daemon.complaints()).toEqual([])
})
