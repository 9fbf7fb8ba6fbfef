// Two nodes of one dataset: what is annotated on one through the Gonk dialect and decided on the
// other by its owner has its status on the first, and the other way round.
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { AnnotationPage, ReviewEntry, ReviewResult } from '../../src/contract/api.ts'
import { type TestNode, type TestUser, until, World } from './daemon.ts'
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
/** Owns the dataset. */
let a: TestNode
/** Follows it. */
let b: TestNode
/** Of B, and owner of nothing. */
let bob: TestUser
let atB: Gonk
/** Of A, and owner of the dataset. */
let olga: TestUser
let atA: Gonk
/** Accepted on both nodes. */
let bird: { readonly uuid: string; readonly version: number }

beforeAll(async () => {
  world = await World.create()
  ;[a, b] = world.nodes('A', 'B')
  await Promise.all([a.start(GONK), b.start(GONK)])
  await a.json('dataset', 'create', 'cells')
  const { root } = await a.api.root('cells')
  await b.json('clone', root, '--peer', a.address)
  bob = await b.user('bob')
  atB = gonkOf(b, bob.apiKey)
  olga = await a.user('olga')
  atA = gonkOf(a, olga.apiKey)
  await a.json('owner', 'add', 'cells', olga.publicKey)
  await a.api.addSchema('cells', { name: 'schema-label', document: labelSchema, accept: true })
  bird = await ok(atA, 'POST', `${D}/objects`, anObject('bird.txt', 'a bird'))
  await decideAtA(`objects/${bird.uuid}/0`, 'accept')
  await seenAtB('objects/accepted', bird)
})

afterAll(() => world.close())

/** What of Bob's waits at B, once A has all of it. */
async function waitingAtA(): Promise<ReviewEntry[]> {
  const author = bob.publicKey
  const events = async ({ api }: TestNode) =>
    (await api.listReviews('cells', { author })).map(({ event }) => event).toSorted()
  const made = await events(b)
  await until('A has what waits at B', async () => String(await events(a)) === String(made))
  return a.json<ReviewEntry[]>('review', 'list', 'cells', '--author', author)
}

/** Olga's verdict on a version, through the dialect of A. */
async function decideAtA(path: string, verdict: 'accept' | 'reject'): Promise<void> {
  await ok(atA, 'PUT', `${D}/events/${await eventOf(atA, `${D}/${path}`)}/${verdict}`)
}

/** Fails unless a list of B comes to hold this version. */
async function seenAtB(list: string, { uuid, version }: typeof bird): Promise<void> {
  await until(`${list} of B has ${uuid} ${version}`, async () => {
    const items = await listOf(atB, `${D}/${list}`)
    return items.some((item) => item.uuid === uuid && item.version === version)
  })
}

it('what a user of B proposes through the dialect gets the status that the owner at A signs', async () => {
  const name = 'schema-of-bob'
  const request = { name, schema: base64(labelSchema.replace('{', '{"title":"of Bob",')) }
  const schema = await ok(atB, 'POST', `${D}/schemas`, request)
  const object = await ok(atB, 'POST', `${D}/objects`, anObject('wren.txt', 'a wren'))
  const by = { name, version: 0 }
  const annotate = (label: string) =>
    ok(atB, 'POST', `${D}/annotations`, annotating(object, { label }, by))
  const good = await annotate('wren')
  const bad = await annotate('robin')
  const waiting = await listOf(atB, `${D}/annotations/pending`)
  expect(waiting).toEqual([good, bad])
  expect(await listOf(atB, `${D}/annotations/accepted`)).not.toContainEqual(good)
  const event = await eventOf(atB, `${D}/annotations/${good.uuid}/0`)
  expect(await atB('PUT', `${D}/events/${event}/accept`)).toMatchObject({
    status: 500,
    body: { error: { ValidationError: 'review event from non-owner' } },
  })

  const entries = await waitingAtA()
  expect(entries.map(({ author }) => author)).toEqual(Array(4).fill(bob.publicKey))
  const ids = entries.map((entry) => entry.event)
  const result = await a.json<ReviewResult>('review', 'accept', 'cells', ...ids.slice(0, 3))
  expect(result.decided.toSorted()).toEqual(
    ids
      .slice(0, 3)
      .map((id) => `${id}:0-0`)
      .toSorted(),
  )
  await a.json('review', 'reject', 'cells', ids[3] as string, '--reason', 'that is a wren')

  await seenAtB('annotations/accepted', good)
  await seenAtB('annotations/rejected', bad)
  await seenAtB('schemas/accepted', { uuid: schema.uuid, version: 0 })
  await seenAtB('objects/accepted', object)
  for (const kind of ['annotations', 'schemas', 'objects']) {
    expect(await listOf(atB, `${D}/${kind}/pending`)).toEqual([])
  }

  const details = await ok(atB, 'GET', `${D}/annotations/${good.uuid}/0`)
  expect(details).toMatchObject({
    bytes: base64('{"label":"wren"}'),
    objects: [{ uuid: object.uuid, version: 0 }],
    events: [
      { type: 'AnnotationCreateEvent', review: 'ACCEPTED' },
      { type: 'ReviewAcceptEvent', review: null },
    ],
  })
  const { publicKey } = await a.api.status()
  const log = await listOf(atB, `${D}/events`)
  const review = log.find(({ uuid }) => uuid === details.events[1].uuid)
  expect(review).toMatchObject({ author: publicKey, event_uuid: event })
  const listed = await b.json<AnnotationPage>('annotation', 'list', 'cells', '--schema', name)
  expect(listed.annotations).toMatchObject([{ author: bob.publicKey, status: 'accepted' }])

  // The same thing has the same uuid and version on both nodes.
  const lists = ['annotations/accepted', 'annotations/rejected', 'objects/accepted', 'schemas']
  for (const list of lists) {
    expect(await listOf(atA, `${D}/${list}`)).toEqual(await listOf(atB, `${D}/${list}`))
  }
})

it('what an owner annotates and accepts through the dialect of A is accepted at B', async () => {
  const made = await ok(atA, 'POST', `${D}/annotations`, annotating(bird, { label: 'bird' }))
  const path = `annotations/${made.uuid}/0`
  await seenAtB('annotations/pending', made)
  await decideAtA(path, 'accept')
  await seenAtB('annotations/accepted', made)
  expect(await ok(atB, 'GET', `${D}/${path}`)).toMatchObject({ bytes: base64('{"label":"bird"}') })
  expect(await ok(atB, 'GET', `${D}/owners`)).toContain(olga.publicKey)
})

it('what a user of B proposes, an owner reviews through the dialect of A', async () => {
  const object = await ok(atB, 'POST', `${D}/objects`, anObject('robin.txt', 'a robin'))
  const made = await ok(atB, 'POST', `${D}/annotations`, annotating(object, { label: 'robin' }))
  await waitingAtA()
  await decideAtA(`objects/${object.uuid}/0`, 'accept')
  await decideAtA(`annotations/${made.uuid}/0`, 'accept')
  await seenAtB('objects/accepted', object)
  await seenAtB('annotations/accepted', made)

  const next = await ok(atB, 'PATCH', `${D}/annotations/${made.uuid}`, {
    schema: { name: 'schema-label', version: 0 },
    annotation: base64('{"label":"European robin"}'),
  })
  expect(next).toEqual({ uuid: made.uuid, version: 1 })
  await waitingAtA()
  await decideAtA(`annotations/${made.uuid}/1`, 'reject')
  await seenAtB('annotations/rejected', next)
  await seenAtB('annotations/accepted', made)
})

it('both nodes have one root, hold all of it, and complain of nothing', async () => {
  const { root } = await a.api.root('cells')
  await until('B has the root of A', async () => (await b.api.root('cells')).root === root)
  for (const node of [a, b]) {
    expect(await node.api.verify('cells')).toMatchObject({ ok: true, problems: [] })
    expect(node.daemon.complaints()).toEqual([])
  }
})
