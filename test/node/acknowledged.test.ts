// `kill -9` right behind an answer: whatever was acknowledged is there when the daemon is started
// again, through every door and of every kind.
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { NodeApi } from '../../src/contract/api.ts'
import { type TestNode, type TestUser, World } from './daemon.ts'
import { bytesOf } from './folders.ts'
import {
  anObject,
  annotating,
  base64,
  eventOf,
  GONK,
  type Gonk,
  gonkOf,
  labelSchema,
  listOf,
  ok,
} from './gonk.ts'

const D = '/datasets/cells'

let world: World
let a: TestNode
/** Owns the dataset. */
let olga: TestUser
let gonk: Gonk

/** Looks, after any number of crashes, for what was acknowledged before. */
type Check = () => Promise<void>

beforeAll(async () => {
  world = await World.create()
  a = world.node('A')
  await a.start(GONK)
  await a.api.createDataset({ name: 'cells' })
  olga = await a.user('olga')
  await a.api.addOwner('cells', olga.publicKey)
  gonk = gonkOf(a, olga.apiKey)
  await a.api.addSchema('cells', { name: 'schema-label', document: labelSchema, accept: true })
  await upload(a.api, 'bird.txt', Buffer.from('a bird'))
})

afterAll(() => world.close())

function upload(api: NodeApi, name: string, bytes: Uint8Array, accept = true) {
  const body = async function* () {
    yield bytes
  }
  return api.upload('cells', { name, accept }, body())
}

async function readAll(name: string): Promise<Buffer> {
  const content = await a.api.content('cells', name)
  const pieces: Uint8Array[] = []
  for await (const piece of content.read()) pieces.push(piece)
  return Buffer.concat(pieces)
}

const annotate = (label: string) =>
  olga.api().annotate('cells', {
    annotations: [{ objects: ['bird.txt'], schema: 'schema-label', value: { label } }],
  })

/** Each resolves when the node has answered. */
const calls = {
  async upload(): Promise<Check> {
    const large = bytesOf('large', 3_000_017)
    await upload(olga.api(), 'large.bin', large)
    return async () => expect((await readAll('large.bin')).equals(large)).toBe(true)
  },

  async store(): Promise<Check> {
    const bytes = bytesOf('stored', 300_000)
    const body = async function* () {
      yield bytes
    }
    const { cid } = await olga.api().store(body())
    let isProposed = false
    return async () => {
      const operations = [{ op: 'create' as const, name: 'stored.bin', cid }]
      if (!isProposed) await olga.api().propose('cells', { operations, accept: true })
      isProposed = true
      expect((await readAll('stored.bin')).equals(bytes)).toBe(true)
    }
  },

  async annotate(): Promise<Check> {
    const { annotations } = await annotate('wren')
    const id = annotations[0]?.id ?? ''
    return async () => {
      const shown = await a.api.showAnnotation('cells', id)
      expect(shown).toMatchObject({ text: '{"label":"wren"}', author: olga.publicKey })
    }
  },

  async decide(): Promise<Check> {
    const made = [await annotate('yes'), await annotate('no')]
    const [yes, no] = made.map(({ events: [event] }) => [{ item: `${event}:0` }])
    const decisions = [
      { verdict: 'accept' as const, items: yes ?? [] },
      { verdict: 'reject' as const, items: no ?? [], reason: 'no bird' },
    ]
    const request = { decisions, idempotencyKey: 'once' }
    const { events, results } = await olga.api().decide('cells', request)
    expect(results.map(({ outcome }) => outcome)).toEqual(['decided', 'decided'])
    return async () => {
      for (const [i, status] of ['accepted', 'rejected'].entries()) {
        const id = made[i]?.annotations[0]?.id ?? ''
        expect(await a.api.showAnnotation('cells', id)).toMatchObject({ status })
      }
      // The same request signs nothing again.
      const again = await olga.api().decide('cells', request)
      const signed = again.events.filter((event) => !events.includes(event))
      expect(signed).toEqual([])
    }
  },

  async addUser(): Promise<Check> {
    const eve = await a.api.addUser({ name: 'eve', role: 'reader' })
    return async () => {
      const asked = await gonkOf(a, eve.apiKey)('GET', '/')
      expect(asked).toMatchObject({ status: 200, body: { message: 'hello' } })
    }
  },

  async rekeyUser(): Promise<Check> {
    const old = await a.api.addUser({ name: 'ada', role: 'member' })
    const { apiKey } = await a.api.rekeyUser('ada')
    return async () => {
      expect((await gonkOf(a, apiKey)('GET', '/')).status).toBe(200)
      expect((await gonkOf(a, old.apiKey)('GET', '/')).status).toBe(401)
    }
  },

  async removeUser(): Promise<Check> {
    const { apiKey } = await a.api.addUser({ name: 'bob', role: 'admin' })
    await a.api.removeUser('bob')
    return async () => expect((await gonkOf(a, apiKey)('GET', '/')).status).toBe(401)
  },

  async gonkDataset(): Promise<Check> {
    await ok(gonk, 'POST', '/datasets', { name: 'birds' })
    const schema = { name: 'schema-a', schema: base64('{"type":"string"}') }
    const made = await ok(gonk, 'POST', '/datasets/birds/schemas', schema)
    return async () => {
      expect(await ok(gonk, 'GET', '/datasets/birds/owners')).toEqual(['olga'])
      expect(await ok(gonk, 'GET', '/datasets/birds/schemas/schema-a')).toEqual(made)
    }
  },

  async gonkAnnotation(): Promise<Check> {
    const object = await ok(gonk, 'POST', `${D}/objects`, anObject('owl.txt', 'an owl'))
    const made = await ok(gonk, 'POST', `${D}/annotations`, annotating(object, { label: 'owl' }))
    return async () => {
      const details = await ok(gonk, 'GET', `${D}/objects/${object.uuid}/0`)
      expect(details).toMatchObject({ bytes: base64('an owl'), annotations: [{ uuid: made.uuid }] })
      const annotation = await ok(gonk, 'GET', `${D}/annotations/${made.uuid}/0`)
      expect(annotation.bytes).toBe(base64('{"label":"owl"}'))
    }
  },

  async gonkReview(): Promise<Check> {
    const object = await ok(gonk, 'POST', `${D}/objects`, anObject('jay.txt', 'a jay'))
    const event = await eventOf(gonk, `${D}/objects/${object.uuid}/0`)
    await ok(gonk, 'PUT', `${D}/events/${event}/accept`)
    return async () => expect(await listOf(gonk, `${D}/objects/accepted`)).toContainEqual(object)
  },

  async release(): Promise<Check> {
    const { root } = await olga.api().createRelease('cells', 'v1')
    return async () =>
      expect(await a.api.showRelease('cells', 'v1')).toMatchObject({ root, check: 'ok' })
  },
}

it('what was acknowledged is there after kill -9', async () => {
  /** Those of one round run at the same time; the node is killed when the last is answered. */
  const rounds = [
    [calls.upload, calls.store, calls.gonkDataset],
    [calls.annotate, calls.addUser, calls.rekeyUser, calls.removeUser],
    [calls.decide, calls.gonkAnnotation],
    [calls.gonkReview, calls.release],
  ]
  const checks: Check[] = []
  for (const round of rounds) {
    const log = await listOf(gonk, `${D}/events`)
    checks.push(...(await Promise.all(round.map((call) => call()))))
    await a.daemon.kill()
    await a.start(GONK)
    const now = await listOf(gonk, `${D}/events`)
    // The log of the dialect goes on where it was.
    expect(now.slice(0, log.length)).toEqual(log)
    for (const check of checks) await check()
    expect(await a.api.verify('cells')).toMatchObject({ ok: true, problems: [] })
    expect(a.daemon.complaints()).toEqual([])
  }
})

it('of many calls at once, those that were answered are there', async () => {
  const told: { name: string; bytes: Uint8Array }[] = []
  const { daemon } = a
  const all = Array.from({ length: 24 }, async (_, i) => {
    const one = { name: `many-${i}.bin`, bytes: bytesOf(`many ${i}`, 20_000) }
    await upload(olga.api(), one.name, one.bytes)
    told.push(one)
    if (told.length === 8) await daemon.kill()
  })
  await Promise.allSettled(all)
  expect(told.length).toBeGreaterThanOrEqual(8)
  await a.start(GONK)
  for (const { name, bytes } of told) expect((await readAll(name)).equals(bytes)).toBe(true)
  expect(await a.api.verify('cells')).toMatchObject({ ok: true, problems: [] })
})
