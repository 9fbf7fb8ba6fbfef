// The calls of Gonk's own API suite, in their order: each depends on the ones before.
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  type Answer,
  anObject,
  type Ask,
  base64,
  draft04,
  type GonkServer,
  serveGonk,
} from './gonk-server.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const dataset = 'testing-0a1b2c3d'
const D = `/datasets/${dataset}`

let server: GonkServer
let ask: Ask
const kept = { object: '', annotation: '', schemaCreate: '', schemaDelete: '' }

beforeAll(async () => {
  server = await serveGonk()
  ask = await server.user('TESTUSER1')
  await server.user('TESTUSER2')
})
afterAll(() => server.close())

async function ok(method: string, path: string, body?: unknown): Promise<Answer['body']> {
  const answer = await ask(method, path, body)
  expect(answer, JSON.stringify(answer.body)).toMatchObject({ status: 200 })
  return answer.body
}

const annotation = (label: string, more: object = {}) => ({
  schema: { name: 'schema-example', version: 1 },
  annotation: base64(JSON.stringify({ label })),
  ...more,
})

test('1 a dataset is made', async () => {
  expect(await ok('POST', '/datasets', { name: dataset })).toEqual({ dataset })
})

test('2 it is listed', async () => {
  expect(await ok('GET', '/datasets')).toContain(dataset)
})

test('3 a schema is made', async () => {
  const body = { name: 'schema-example', schema: base64(draft04) }
  const schema = await ok('POST', `${D}/schemas`, body)
  expect(schema).toEqual({ name: 'schema-example', uuid: expect.stringMatching(uuid), versions: 1 })
})

test('4 schemas are listed', async () => {
  expect(await ok('GET', `${D}/schemas`)).toMatchObject([{ name: 'schema-example', versions: 1 }])
})

test('5 a schema is shown', async () => {
  const shown = await ok('GET', `${D}/schemas/schema-example`)
  expect(shown).toEqual({ name: 'schema-example', uuid: expect.stringMatching(uuid), versions: 1 })
})

test('6 a schema is updated while its first version is pending', async () => {
  const body = { schema: base64(`${draft04} `) }
  expect(await ok('PATCH', `${D}/schemas/schema-example`, body)).toMatchObject({ versions: 2 })
})

test('7 a version of a schema is shown', async () => {
  const details = await ok('GET', `${D}/schemas/schema-example/0`)
  expect(Object.keys(details).sort()).toEqual(['bytes', 'events', 'schema'])
  expect(Buffer.from(details.bytes, 'base64').toString()).toBe(draft04)
})

test('8 both versions of the schema are pending', async () => {
  const name = 'schema-example'
  expect(await ok('GET', `${D}/schemas/pending`)).toEqual([
    { uuid: expect.stringMatching(uuid), name, version: 0 },
    { uuid: expect.stringMatching(uuid), name, version: 1 },
  ])
})

test('9 the first one is to be deprecated while it is pending', async () => {
  const body = await ok('DELETE', `${D}/schemas/schema-example/0`)
  expect(body).toEqual({ uuid: expect.stringMatching(uuid), name: 'schema-example', version: 0 })
})

test('10 there is one owner', async () => {
  expect(await ok('GET', `${D}/owners`)).toEqual(['TESTUSER1'])
})

test('11 an owner is added', async () => {
  expect(await ok('PUT', `${D}/owners/TESTUSER2`)).toEqual({ user: 'TESTUSER2' })
  expect(await ok('GET', `${D}/owners`)).toEqual(['TESTUSER1', 'TESTUSER2'])
})

test('12 and removed', async () => {
  expect(await ok('DELETE', `${D}/owners/TESTUSER2`)).toEqual({ user: 'TESTUSER2' })
  expect(await ok('GET', `${D}/owners`)).toEqual(['TESTUSER1'])
})

test('13 an object is made', async () => {
  const body = await ok('POST', `${D}/objects`, anObject('bird.txt', 'a bird'))
  expect(body).toEqual({ uuid: expect.stringMatching(uuid), version: 0 })
  kept.object = body.uuid
})

test('14 it alone is listed: schemas are not', async () => {
  expect(await ok('GET', `${D}/objects`)).toEqual([{ uuid: kept.object, versions: 1 }])
})

test('15 it is shown', async () => {
  expect(await ok('GET', `${D}/objects/${kept.object}`)).toEqual({
    uuid: kept.object,
    versions: 1,
  })
})

test('16 it is updated', async () => {
  const body = anObject('bird.txt', 'another bird')
  expect(await ok('PATCH', `${D}/objects/${kept.object}`, body)).toEqual({
    uuid: kept.object,
    version: 1,
  })
})

test('17 its second version is shown', async () => {
  const details = await ok('GET', `${D}/objects/${kept.object}/1`)
  expect(Object.keys(details).sort()).toEqual(['annotations', 'bytes', 'events', 'object'])
})

test('18 its first version is to be deleted while it is pending', async () => {
  expect(await ok('DELETE', `${D}/objects/${kept.object}/0`)).toEqual({
    uuid: kept.object,
    version: 0,
  })
})

test('19 there are nine events in their order', async () => {
  const events = await ok('GET', `${D}/events`)
  const types = events.map((event: { type: string }) => event.type)
  expect(types).toEqual([
    'OwnerAddEvent',
    'ObjectCreateEvent',
    'ObjectUpdateEvent',
    'ObjectDeleteEvent',
    'OwnerAddEvent',
    'OwnerRemoveEvent',
    'ObjectCreateEvent',
    'ObjectUpdateEvent',
    'ObjectDeleteEvent',
  ])
  kept.schemaCreate = events[1].uuid
  kept.schemaDelete = events[3].uuid
})

test('20 the making of the schema is accepted', async () => {
  const uuid = kept.schemaCreate
  expect(await ok('PUT', `${D}/events/${uuid}/accept`)).toEqual({ uuid })
})

test('21 its deprecation is rejected', async () => {
  const uuid = kept.schemaDelete
  expect(await ok('PUT', `${D}/events/${uuid}/reject`)).toEqual({ uuid })
})

test('22 a pending version is annotated by a pending schema', async () => {
  const of = { object_identifiers: [{ uuid: kept.object, version: 0 }] }
  const body = await ok('POST', `${D}/annotations`, annotation('wren', of))
  expect(body).toEqual({ uuid: expect.stringMatching(uuid), version: 0 })
  kept.annotation = body.uuid
})

test('23 the annotation is listed', async () => {
  expect(await ok('GET', `${D}/annotations`)).toEqual([{ uuid: kept.annotation, versions: 1 }])
})

test('24 it is shown', async () => {
  expect(await ok('GET', `${D}/annotations/${kept.annotation}`)).toEqual({
    uuid: kept.annotation,
    versions: 1,
  })
})

test('25 it is updated', async () => {
  const path = `${D}/annotations/${kept.annotation}`
  expect(await ok('PATCH', path, annotation('robin'))).toEqual({
    uuid: kept.annotation,
    version: 1,
  })
})

test('26 both of its versions are pending', async () => {
  expect(await ok('GET', `${D}/annotations/pending`)).toEqual([
    { uuid: kept.annotation, version: 0 },
    { uuid: kept.annotation, version: 1 },
  ])
})

test('27 its first version is shown', async () => {
  const details = await ok('GET', `${D}/annotations/${kept.annotation}/0`)
  expect(Object.keys(details).sort()).toEqual(['annotation', 'bytes', 'events', 'objects'])
  expect(details.objects).toEqual([{ uuid: kept.object, version: 0 }])
})

test('28 it is to be deleted while it is pending', async () => {
  expect(await ok('DELETE', `${D}/annotations/${kept.annotation}/0`)).toEqual({
    uuid: kept.annotation,
    version: 0,
  })
})
