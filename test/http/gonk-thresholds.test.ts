// A dataset of which two owners decide together, as the Gonk dialect shows it: Gonk knows one review of
// an event, and owners who are there or not.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Me } from '../../src/contract/api.ts'
import { allOf, anObject, aWorld, ok, validation, type World } from './gonk-server.ts'

let world: World
let owner: World['owner']
let other: World['other']
let object: World['object']
let count = 0

beforeAll(async () => {
  world = await aWorld()
  ;({ owner, other, object } = world)
})
afterAll(() => world.server.close())

/** Made natively: Gonk has no words for it. @returns its path and its name. */
async function ofTwo(): Promise<[path: string, name: string]> {
  const { api, door } = world.server.node
  const users = await api.listUsers()
  const me = users.find(({ name }) => name === 'owner')
  const you = users.find(({ name }) => name === 'other')
  if (me === undefined || you === undefined) throw new Error('no such users')
  const name = `two-${count++}`
  await door.apiOf(me).createDataset({ name, founders: [you.publicKey], threshold: 2 })
  return [`/datasets/${name}`, name]
}

const typesIn = async (D: string): Promise<string[]> =>
  (await allOf(owner, `${D}/events`)).map(({ type }: { type: string }) => type)
const statusOf = async (D: string, status: string): Promise<number> =>
  (await ok(owner, 'GET', `${D}/objects/${status}`)).length

test('an event stays pending until the second owner accepts it, and is reviewed once', async () => {
  const [D] = await ofTwo()
  await object(D)
  const uuid = await world.lastEvent(D)
  const path = `${D}/events/${uuid}/accept`
  await ok(owner, 'PUT', path)
  expect([await statusOf(D, 'pending'), await statusOf(D, 'accepted')]).toEqual([1, 0])
  expect(await typesIn(D)).not.toContain('ReviewAcceptEvent')
  expect(await owner('PUT', path)).toMatchObject(validation('event already reviewed'))
  await ok(other, 'PUT', path)
  expect([await statusOf(D, 'pending'), await statusOf(D, 'accepted')]).toEqual([0, 1])
  const types = await typesIn(D)
  expect(types.filter((type) => type === 'ReviewAcceptEvent')).toHaveLength(1)
  expect(await other('PUT', path)).toMatchObject(validation('event already reviewed'))
})

test('either owner alone rejects an event', async () => {
  const [D] = await ofTwo()
  await object(D)
  const uuid = await world.lastEvent(D)
  await ok(owner, 'PUT', `${D}/events/${uuid}/accept`)
  await ok(other, 'PUT', `${D}/events/${uuid}/reject`)
  expect([await statusOf(D, 'pending'), await statusOf(D, 'rejected')]).toEqual([0, 1])
  expect((await typesIn(D)).at(-1)).toBe('ReviewRejectEvent')
})

test('an owner is there when both have asked for it, and then the line says so once', async () => {
  const [D] = await ofTwo()
  const added = async () =>
    (await typesIn(D)).filter((type) => type === 'OwnerAddEvent' || type === 'OwnerRemoveEvent')
  const path = `${D}/owners/reader`
  await ok(owner, 'PUT', path)
  expect(await ok(owner, 'GET', `${D}/owners`)).toEqual(['owner', 'other'])
  expect(await added()).toHaveLength(2)
  const again = validation('waiting for other owners to ask for the same')
  expect(await owner('PUT', path)).toMatchObject(again)
  await ok(other, 'PUT', path)
  expect(await ok(owner, 'GET', `${D}/owners`)).toEqual(['owner', 'other', 'reader'])
  expect(await added()).toHaveLength(3)
  await ok(other, 'DELETE', path)
  expect(await ok(owner, 'GET', `${D}/owners`)).toEqual(['owner', 'other', 'reader'])
  await ok(owner, 'DELETE', path)
  expect(await ok(owner, 'GET', `${D}/owners`)).toEqual(['owner', 'other'])
  expect((await added()).slice(2)).toEqual(['OwnerAddEvent', 'OwnerRemoveEvent'])
})

test('a policy is no event of Gonk, and does not undo what was accepted before it', async () => {
  const [D, name] = await ofTwo()
  const { api, door } = world.server.node
  const users = await api.listUsers()
  const [me, you] = ['owner', 'other'].map((user) => users.find((one) => one.name === user))
  await object(D)
  const uuid = await world.lastEvent(D)
  const lowered = await door.apiOf(me as Me).setPolicy(name, 1)
  await door.apiOf(you as Me).endorse(name, lowered.event)
  await ok(owner, 'PUT', `${D}/events/${uuid}/accept`)
  expect(await statusOf(D, 'accepted')).toBe(1)
  const types = await typesIn(D)
  const raised = await door.apiOf(me as Me).setPolicy(name, 2)
  await door.apiOf(you as Me).endorse(name, raised.event)
  expect(await statusOf(D, 'accepted')).toBe(1)
  expect(await typesIn(D)).toEqual(types)
})

test('an update that waits for the second owner is not carried on before', async () => {
  const [D, name] = await ofTwo()
  const uuid = await object(D)
  const first = await world.lastEvent(D)
  for (const ask of [owner, other]) await ok(ask, 'PUT', `${D}/events/${first}/accept`)
  await ok(owner, 'PATCH', `${D}/objects/${uuid}`, anObject('bird.txt', 'longer'))
  const second = await world.lastEvent(D)
  const { api } = world.server.node
  await ok(owner, 'PUT', `${D}/events/${second}/accept`)
  const before = (await api.showDataset(name)).counts.proposals
  await ok(other, 'PUT', `${D}/events/${second}/accept`)
  expect((await api.showDataset(name)).counts.proposals).toBe(before)
  expect(await ok(owner, 'GET', `${D}/objects/accepted`)).toEqual([
    { uuid, version: 0 },
    { uuid, version: 1 },
  ])
})
