// Schemas, owners and objects of the Gonk dialect: every endpoint, and each of its errors.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  aWorld,
  anObject,
  anyUuid,
  base64,
  draft04,
  nobody,
  ok,
  refused,
  sha256Hex,
  validation,
  type World,
} from './gonk-server.ts'

let world: World
let owner: World['owner']
let other: World['other']
let aDataset: World['aDataset']
let accept: World['accept']
let reject: World['reject']
let aSchema: World['aSchema']
let object: World['object']

beforeAll(async () => {
  world = await aWorld({ bodyBytesMax: 12 << 20 })
  ;({ owner, other, aDataset, accept, reject, aSchema, object } = world)
})
afterAll(() => world.server.close())

describe('schemas', () => {
  test('what is missing or wrong in a request', async () => {
    const D = await aDataset()
    const path = `${D}/schemas`
    for (const [body, error] of [
      [{ schema: '' }, "Missing key 'name'."],
      [{ name: 'schema-a' }, "Missing key 'schema'."],
      [{ name: 'birds', schema: base64('{}') }, "Schema names must start with 'schema-'."],
    ] as const) {
      expect(await owner('POST', path, body)).toMatchObject(refused(400, error))
    }
    for (const schema of ['-_-_', '@@@@', 'e30', 'e3 0=', 7]) {
      expect(await owner('POST', path, { name: 'schema-a', schema })).toMatchObject({ status: 400 })
    }
    expect(await owner('PATCH', `${path}/schema-a`, {})).toMatchObject(
      refused(400, "Missing key 'schema'."),
    )
    const patch = await owner('PATCH', `${path}/schema-a`, { schema: base64('{}') })
    expect(patch).toMatchObject(refused(404, 'Schema not found.'))
  })

  test('what is no JSON, and what is no schema', async () => {
    const path = `${await aDataset()}/schemas`
    const post = (schema: string) =>
      owner('POST', path, { name: 'schema-a', schema: base64(schema) })
    expect(await post('nope')).toMatchObject(
      refused(500, { JSONDecodeError: 'Expecting value: line 1 column 1 (char 0)' }),
    )
    for (const schema of ['[1,2]', '{"type":12}', '{"$ref":"https://example.org/other"}']) {
      const answer = await post(schema)
      expect(answer.status).toBe(500)
      expect(answer.body.error.ValidationError).toMatch(/^schema is not a valid JSON Schema: /)
    }
    expect(await owner('GET', path)).toMatchObject({ body: [] })
  })

  test('names are taken for ever, contents by whatever holds them', async () => {
    const D = await aDataset()
    await aSchema(D)
    await reject(D)
    const body = { name: 'schema-birds', schema: base64('{}') }
    expect(await owner('POST', `${D}/schemas`, body)).toMatchObject(
      validation('schema name already in use'),
    )
    const uuid = await object(D, 'a.json', '{}')
    expect(await owner('POST', `${D}/schemas`, { ...body, name: 'schema-b' })).toMatchObject(
      validation(`duplicate hash detected in object ${uuid}:0`),
    )
    const same = await owner('PATCH', `${D}/schemas/schema-birds`, { schema: base64(draft04) })
    expect(same).toMatchObject(validation('object hash unchanged'))
  })

  test('versions, details and deprecation', async () => {
    const D = await aDataset()
    const uuid = await aSchema(D)
    await accept(D)
    const { schema, bytes, events } = await ok(owner, 'GET', `${D}/schemas/schema-birds/0`)
    expect(schema).toEqual({
      ...{ uuid, version: 0, name: 'schema-birds', format: 'application/schema+json' },
      ...{ size: draft04.length, hash_type: 1, hash: sha256Hex(draft04) },
    })
    expect(Buffer.from(bytes, 'base64').toString()).toBe(draft04)
    expect(events).toEqual([
      { uuid: anyUuid, type: 'ObjectCreateEvent', review: 'ACCEPTED' },
      { uuid: anyUuid, type: 'ReviewAcceptEvent', review: null },
    ])
    const removed = await ok(owner, 'DELETE', `${D}/schemas/schema-birds/0`)
    expect(removed).toEqual({ uuid, version: 0, name: 'schema-birds' })
    expect(await owner('DELETE', `${D}/schemas/schema-birds/0`)).toMatchObject(
      validation('object version pending deletion'),
    )
    await accept(D)
    expect(await ok(owner, 'GET', `${D}/schemas/deprecated`)).toEqual([removed])
    // Schemas are no objects, deprecated or not.
    expect(await ok(owner, 'GET', `${D}/objects/deleted`)).toEqual([])
    for (const path of ['schemas/schema-birds/1', 'schemas/none/0', 'schemas/schema-none']) {
      expect(await owner('GET', `${D}/${path}`)).toMatchObject(refused(404, 'Schema not found.'))
    }
    expect(await owner('DELETE', `${D}/schemas/schema-none/0`)).toMatchObject(
      refused(404, 'Schema not found.'),
    )
  })

  test('a status that there is not', async () => {
    const D = await aDataset()
    expect(await owner('GET', `${D}/schemas/deleted`)).toMatchObject({
      status: 400,
      body: {
        error: 'Invalid status.',
        valid_statuses: ['accepted', 'pending', 'deprecated', 'rejected'],
      },
    })
    for (const kind of ['objects', 'annotations']) {
      expect(await owner('GET', `${D}/${kind}/deprecated`)).toMatchObject({
        status: 400,
        body: {
          error: 'Invalid status.',
          valid_statuses: ['accepted', 'pending', 'deleted', 'rejected'],
        },
      })
      expect(await owner('GET', `${D}/${kind}/deprecated?after=nope`)).toMatchObject(
        refused(500, { ValueError: 'badly formed hexadecimal UUID string' }),
      )
    }
  })
})

describe('owners', () => {
  test('are added, ranked, and removed by seniors', async () => {
    const D = await aDataset()
    expect(await owner('PUT', `${D}/owners/nobody`)).toMatchObject(
      refused(400, 'User does not exist.'),
    )
    expect(await other('PUT', `${D}/owners/reader`)).toMatchObject(
      validation('only owners can add owners'),
    )
    expect(await other('DELETE', `${D}/owners/owner`)).toMatchObject(
      validation('only owners may remove owners'),
    )
    expect(await owner('DELETE', `${D}/owners/other`)).toMatchObject(
      validation('target key is not an owner'),
    )
    expect(await owner('DELETE', `${D}/owners/owner`)).toMatchObject(
      validation('removing owner would leave the dataset ownerless'),
    )
    await ok(owner, 'PUT', `${D}/owners/other`)
    expect(await owner('PUT', `${D}/owners/other`)).toMatchObject(
      validation('owner already present'),
    )
    expect(await other('DELETE', `${D}/owners/owner`)).toMatchObject(
      validation('cannot remove a higher ranking owner'),
    )
    expect(await ok(owner, 'GET', `${D}/owners`)).toEqual(['owner', 'other'])
    expect(await ok(owner, 'DELETE', `${D}/owners/owner`)).toEqual({ user: 'owner' })
    expect(await ok(owner, 'GET', `${D}/owners`)).toEqual(['other'])
  })

  test('keys of other nodes are owners by their digits', async () => {
    const D = await aDataset()
    const { publicKey } = await world.server.node.api.status()
    expect(await ok(owner, 'PUT', `${D}/owners/${publicKey}`)).toEqual({ user: publicKey })
    expect(await ok(owner, 'GET', `${D}/owners`)).toEqual(['owner', publicKey])
  })
})

describe('objects', () => {
  test('what is missing or wrong in a request', async () => {
    const D = await aDataset()
    const path = `${D}/objects`
    const whole = anObject('a', 'b')
    for (const [body, error] of [
      [{}, "Missing key 'name'."],
      [{ name: 'a' }, "Missing key 'object'."],
      [{ name: 'a', object: '' }, "Missing key 'mimetype'."],
      [{ ...whole, name: 'schema-a' }, "Object names may not start with 'schema-'."],
    ] as const) {
      expect(await owner('POST', path, body)).toMatchObject(refused(400, error))
    }
    expect(await owner('POST', path, { ...whole, name: '' })).toMatchObject(
      validation('object name cannot be empty'),
    )
    expect(await owner('POST', path, { ...whole, mimetype: '' })).toMatchObject(
      validation('object format cannot be empty'),
    )
    expect(await owner('POST', path, { ...whole, name: '../up' })).toMatchObject({ status: 500 })
    for (const more of [{ name: 1 }, { mimetype: [] }, { object: {} }, { object: 'e3' }]) {
      expect(await owner('POST', path, { ...whole, ...more })).toMatchObject({ status: 400 })
    }
  })

  test('a version in full', async () => {
    const D = await aDataset()
    const uuid = await object(D, 'bird.txt', 'a bird')
    const details = await ok(owner, 'GET', `${D}/objects/${uuid}/0`)
    expect(details).toEqual({
      object: {
        ...{ uuid, version: 0, name: 'bird.txt', format: 'text/plain' },
        ...{ size: 6, hash_type: 1, hash: sha256Hex('a bird') },
      },
      bytes: base64('a bird'),
      events: [{ uuid: anyUuid, type: 'ObjectCreateEvent', review: 'PENDING' }],
      annotations: [],
    })
    const empty = await object(D, 'empty', '')
    const { object: none, bytes } = await ok(owner, 'GET', `${D}/objects/${empty}/0`)
    expect([none.size, bytes, none.hash]).toEqual([0, '', sha256Hex('')])
  })

  test('content of several blocks has the hash of its bytes', async () => {
    const D = await aDataset()
    const content = 'ab'.repeat(1_500_000)
    const uuid = await object(D, 'large.bin', content)
    const details = await ok(owner, 'GET', `${D}/objects/${uuid}/0`)
    expect(details.object.hash).toBe(sha256Hex(content))
    expect(details.bytes).toBe(base64(content))
  })

  test('what is not found, and uuids in capitals', async () => {
    const D = await aDataset()
    const uuid = await object(D)
    const schema = await aSchema(D)
    for (const id of [nobody, schema]) {
      expect(await owner('GET', `${D}/objects/${id}`)).toMatchObject(
        refused(404, 'Schema not found.'),
      )
      expect(await owner('GET', `${D}/objects/${id}/0`)).toMatchObject(
        refused(404, 'Object not found.'),
      )
    }
    for (const id of [nobody, schema, 'text']) {
      const patch = await owner('PATCH', `${D}/objects/${id}`, anObject('a', 'b'))
      expect(patch).toMatchObject(refused(404, 'Object not found.'))
      const gone = await owner('DELETE', `${D}/objects/${id}/0`)
      expect(gone).toMatchObject(refused(404, 'Object not found.'))
    }
    expect(await owner('GET', `${D}/objects/${uuid}/7`)).toMatchObject({ status: 404 })
    expect(await owner('GET', `${D}/objects/${'-'.repeat(36)}`)).toMatchObject(
      refused(500, { ValueError: 'badly formed hexadecimal UUID string' }),
    )
    const capitals = uuid.toUpperCase()
    expect(await ok(owner, 'GET', `${D}/objects/${capitals}`)).toEqual({ uuid, versions: 1 })
    expect(await ok(owner, 'PATCH', `${D}/objects/${capitals}`, anObject('b', 'new'))).toEqual({
      uuid,
      version: 1,
    })
  })

  test('contents are unique, but for older versions of the same object', async () => {
    const D = await aDataset()
    const uuid = await object(D, 'a', 'first')
    const again = await owner('POST', `${D}/objects`, anObject('b', 'first'))
    expect(again).toMatchObject(validation(`duplicate hash detected in object ${uuid}:0`))
    const path = `${D}/objects/${uuid}`
    expect(await owner('PATCH', path, anObject('a', 'first'))).toMatchObject(
      validation('object hash unchanged'),
    )
    await ok(owner, 'PATCH', path, anObject('renamed', 'second'))
    expect(await ok(owner, 'PATCH', path, anObject('a', 'first'))).toEqual({ uuid, version: 2 })
  })

  test('that say they are schemas, without the name of one, are objects', async () => {
    const D = await aDataset()
    const type = 'application/schema+json'
    const body = anObject('birds.json', 'no schema at all', type)
    const { uuid } = await ok(owner, 'POST', `${D}/objects`, body)
    await accept(D)
    const details = await ok(owner, 'GET', `${D}/objects/${uuid}/0`)
    expect(details.object).toMatchObject({ name: 'birds.json', format: type })
    expect(await ok(owner, 'GET', `${D}/objects/accepted`)).toEqual([{ uuid, version: 0 }])
    expect(await ok(owner, 'GET', `${D}/schemas`)).toEqual([])
  })

  test('deletion, and what may not be deleted', async () => {
    const D = await aDataset()
    const uuid = await object(D)
    await accept(D)
    const path = `${D}/objects/${uuid}/0`
    expect(await ok(owner, 'DELETE', path)).toEqual({ uuid, version: 0 })
    expect(await owner('DELETE', path)).toMatchObject(validation('object version pending deletion'))
    await accept(D)
    expect(await owner('DELETE', path)).toMatchObject(validation('object version already deleted'))
    expect(await ok(owner, 'GET', `${D}/objects/deleted`)).toEqual([{ uuid, version: 0 }])
    const bad = await object(D, 'bad')
    await reject(D)
    expect(await owner('DELETE', `${D}/objects/${bad}/0`)).toMatchObject(
      validation('cannot delete a rejected object'),
    )
    expect(await ok(owner, 'GET', `${D}/objects/rejected`)).toEqual([{ uuid: bad, version: 0 }])
  })

  test('twelve that are made at once are all made', async () => {
    const D = await aDataset()
    const names = [...Array(12).keys()].map((n) => `bird-${n}`)
    const uuids = await Promise.all(names.map((name) => object(D, name)))
    expect(new Set(uuids)).toHaveLength(12)
    const events = await ok(owner, 'GET', `${D}/events`)
    expect(events).toHaveLength(13)
    const same = names.map(() => owner('POST', `${D}/objects`, anObject('same', 'same')))
    const statuses = (await Promise.all(same)).map(({ status }) => status)
    expect(statuses.filter((status) => status === 200)).toHaveLength(1)
  })
})
