// Annotations and reviews of the Gonk dialect: every endpoint, and each of its errors.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Ask,
  aWorld,
  anObject,
  annotating,
  anyUuid,
  base64,
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

describe('annotations', () => {
  test('what is missing or wrong in a request', async () => {
    const D = await aDataset()
    await aSchema(D)
    const uuid = await object(D)
    const whole = annotating([{ uuid, version: 0 }])
    const path = `${D}/annotations`
    const { annotation, schema } = whole
    for (const [body, error] of [
      [{}, "Missing key 'annotation'."],
      [{ annotation }, "Missing key 'schema_name'."],
      [{ annotation, schema: {} }, "Missing schema key 'name'."],
      [{ annotation, schema: { name: 'a' } }, "Missing schema key 'version'."],
      [{ annotation, schema }, "Missing key 'object_identifiers'."],
      [{ ...whole, object_identifiers: [] }, 'Requires at least 1 object identifier.'],
      [
        { ...whole, object_identifiers: [{ uuid }] },
        "Object identifiers require 'uuid' and 'version'.",
      ],
    ] as const) {
      expect(await owner('POST', path, body)).toMatchObject(refused(400, error))
    }
    for (const name of ['schema-none', 'none']) {
      const body = { ...whole, schema: { name, version: 0 } }
      expect(await owner('POST', path, body)).toMatchObject(refused(404, 'Schema not found.'))
    }
    const later = { ...whole, schema: { ...schema, version: 5 } }
    expect(await owner('POST', path, later)).toMatchObject(refused(404, 'Schema not found.'))
    const digits = { ...whole, schema: { ...schema, version: '0' } }
    expect(await owner('POST', path, digits)).toMatchObject({ status: 200 })
  })

  test('objects that may not be annotated', async () => {
    const D = await aDataset()
    const schema = await aSchema(D)
    const path = `${D}/annotations`
    const rejected = await object(D, 'rejected')
    await reject(D)
    const deleted = await object(D, 'deleted')
    await ok(owner, 'DELETE', `${D}/objects/${deleted}/0`)
    await accept(D)
    for (const [uuid, text] of [
      [nobody, 'object identifier not found'],
      [rejected, 'rejected objects cannot be annotated'],
      [deleted, 'deleted objects cannot be annotated'],
      [schema, 'schemas can not be annotated'],
    ] as const) {
      const answer = await owner('POST', path, annotating([{ uuid, version: 0 }]))
      expect(answer).toMatchObject(validation(text))
    }
    const bad = await owner('POST', path, annotating([{ uuid: 'text', version: 0 }]))
    expect(bad).toMatchObject(refused(500, { ValueError: 'badly formed hexadecimal UUID string' }))
  })

  test('must conform to their schemas', async () => {
    const D = await aDataset()
    await aSchema(D)
    const uuid = await object(D)
    const path = `${D}/annotations`
    for (const document of [{ label: 7 }, {}, 'text']) {
      const answer = await owner('POST', path, annotating([{ uuid, version: 0 }], document))
      expect(answer).toMatchObject(validation('annotation does not match schema'))
    }
    const raw = { ...annotating([{ uuid, version: 0 }]), annotation: base64('not json at all') }
    expect(await owner('POST', path, raw)).toMatchObject(
      validation('annotation does not match schema'),
    )
    const made = await ok(owner, 'POST', path, annotating([{ uuid, version: 0 }]))
    const { object_identifiers: _, ...patch } = annotating([], { label: 7 })
    expect(await owner('PATCH', `${path}/${made.uuid}`, patch)).toMatchObject(
      validation('annotation does not match schema'),
    )
    const large = annotating([{ uuid, version: 0 }], { label: 'x'.repeat(8 << 20) })
    expect(await owner('POST', path, large)).toMatchObject({ status: 413 })
  })

  test('of several objects, one named twice, and the same again', async () => {
    const D = await aDataset()
    await aSchema(D)
    const [one, two] = [await object(D, 'one'), await object(D, 'two')]
    const objects = [
      { uuid: one, version: 0 },
      { uuid: two, version: 0 },
    ]
    const path = `${D}/annotations`
    const made = await ok(owner, 'POST', path, annotating([...objects, objects[0]]))
    const again = await ok(owner, 'POST', path, annotating(objects))
    expect(again.uuid).not.toBe(made.uuid)
    const document = JSON.stringify({ label: 'wren' })
    expect(await ok(owner, 'GET', `${path}/${made.uuid}/0`)).toEqual({
      annotation: {
        ...{ uuid: made.uuid, version: 0, schema: { uuid: anyUuid, version: 0 } },
        ...{ size: document.length, hash_type: 1, hash: sha256Hex(document) },
      },
      bytes: base64(document),
      events: [{ uuid: anyUuid, type: 'AnnotationCreateEvent', review: 'PENDING' }],
      objects,
    })
    const { annotations } = await ok(owner, 'GET', `${D}/objects/${two}/0`)
    expect(annotations).toEqual([
      { uuid: made.uuid, versions: 1 },
      { uuid: again.uuid, versions: 1 },
    ])
  })

  test('larger than what an event holds', async () => {
    const D = await aDataset()
    await aSchema(D)
    const uuid = await object(D)
    const document = { label: 'x'.repeat(100_000) }
    const { uuid: made } = await ok(
      owner,
      'POST',
      `${D}/annotations`,
      annotating([{ uuid, version: 0 }], document),
    )
    await accept(D)
    const { bytes } = await ok(owner, 'GET', `${D}/annotations/${made}/0`)
    expect(bytes).toBe(base64(JSON.stringify(document)))
  })

  test('updates, deletion, rejection, and what is not found', async () => {
    const D = await aDataset()
    await aSchema(D)
    const uuid = await object(D)
    const path = `${D}/annotations`
    const made = (await ok(owner, 'POST', path, annotating([{ uuid, version: 0 }]))).uuid
    const { object_identifiers: _, ...patch } = annotating([])
    expect(await ok(owner, 'PATCH', `${path}/${made}`, patch)).toEqual({ uuid: made, version: 1 })
    await reject(D)
    expect(await ok(owner, 'GET', `${path}/rejected`)).toEqual([{ uuid: made, version: 1 }])
    expect(await owner('DELETE', `${path}/${made}/1`)).toMatchObject(
      validation('cannot delete a rejected annotation'),
    )
    await ok(owner, 'DELETE', `${path}/${made}/0`)
    expect(await owner('DELETE', `${path}/${made}/0`)).toMatchObject(
      validation('annotation already pending deletion'),
    )
    await accept(D)
    expect(await owner('DELETE', `${path}/${made}/0`)).toMatchObject(
      validation('annotation already deleted'),
    )
    expect(await owner('GET', `${path}/${nobody}`)).toMatchObject(refused(404, 'Schema not found.'))
    for (const [method, id, body] of [
      ['PATCH', nobody, patch],
      ['PATCH', 'text', patch],
      ['DELETE', `${nobody}/0`, undefined],
      ['GET', `${nobody}/0`, undefined],
      ['GET', `${made}/7`, undefined],
    ] as const) {
      const answer = await owner(method, `${path}/${id}`, body)
      expect(answer).toMatchObject(refused(404, 'Annotation not found.'))
    }
    const none = { ...patch, schema: { name: 'schema-none', version: 0 } }
    expect(await owner('PATCH', `${path}/${nobody}`, none)).toMatchObject(
      refused(404, 'Schema not found.'),
    )
  })
})

describe('reviews', () => {
  test('what may not be reviewed, and by whom', async () => {
    const D = await aDataset()
    await object(D)
    const [first, created] = await ok(owner, 'GET', `${D}/events`)
    const review = (ask: Ask, uuid: string) => ask('PUT', `${D}/events/${uuid}/accept`)
    expect(await review(owner, nobody)).toMatchObject(validation('no events with event UUID found'))
    expect(await review(owner, first.uuid)).toMatchObject(
      validation('review on non object or annotation event'),
    )
    expect(await review(owner, 'text')).toMatchObject(
      refused(500, { ValueError: 'badly formed hexadecimal UUID string' }),
    )
    expect(await review(other, created.uuid)).toMatchObject(
      validation('review event from non-owner'),
    )
    expect(await review(owner, created.uuid)).toMatchObject({
      status: 200,
      body: { uuid: created.uuid },
    })
    expect(await review(owner, created.uuid)).toMatchObject(validation('event already reviewed'))
    expect(await owner('PUT', `${D}/events/${created.uuid}/reject`)).toMatchObject(
      validation('event already reviewed'),
    )
  })

  test('an update is current though the one before it was rejected', async () => {
    const D = await aDataset()
    const name = D.replace('/datasets/', '')
    const uuid = await object(D, 'a', 'first')
    await accept(D)
    const path = `${D}/objects/${uuid}`
    await ok(owner, 'PATCH', path, anObject('a', 'second'))
    const second = await world.lastEvent(D)
    await ok(owner, 'PATCH', path, anObject('a', 'third'))
    const third = await world.lastEvent(D)
    await ok(owner, 'PUT', `${D}/events/${second}/reject`)
    await accept(D, third)
    expect(await ok(owner, 'GET', path)).toEqual({ uuid, versions: 3 })
    const sizes = async () =>
      (await world.server.node.api.listObjects(name)).objects.map(({ size }) => size)
    expect(await sizes()).toEqual(['third'.length])
    // What carries it on is not told, and what is built on it or deletes it means it.
    expect(await ok(owner, 'GET', `${D}/events`)).toHaveLength(7)
    await ok(owner, 'PATCH', path, anObject('a', 'the fourth'))
    await accept(D)
    expect(await sizes()).toEqual(['the fourth'.length])
    await ok(owner, 'DELETE', `${path}/3`)
    await accept(D)
    expect(await sizes()).toEqual([])
    const shown = await ok(owner, 'GET', `${D}/objects/accepted`)
    expect(shown).toEqual([
      { uuid, version: 0 },
      { uuid, version: 2 },
    ])
  })
})
