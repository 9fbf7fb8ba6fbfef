// Files that wait already when they are added with an acceptance.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { UploadRequest } from '../../src/contract/api.ts'
import { openTestNode, type OpenTestNode } from './open-test-node.ts'

let node: OpenTestNode

beforeEach(async () => {
  node = await openTestNode()
  await node.api.createDataset({ name: 'cells' })
})
afterEach(() => node.close())

async function upload(name: string, text: string, more: Partial<UploadRequest> = {}) {
  const body = async function* () {
    yield Buffer.from(text)
  }
  return node.api.upload('cells', { name, ...more }, body())
}

const waiting = async () => (await node.api.listObjects('cells', { status: 'pending' })).objects
const versionsOf = async (name: string) => (await node.api.showObject('cells', name)).versions

test('an upload that waits is accepted by the same upload, not proposed again', async () => {
  const first = await upload('a.txt', 'one')
  const again = await upload('a.txt', 'one', { accept: true })
  expect(again).toMatchObject({ events: first.events, skipped: 0 })
  expect(again.objects).toMatchObject([{ id: first.objects[0]?.id, status: 'accepted' }])
  expect(await versionsOf('a.txt')).toMatchObject([{ status: 'accepted', isCurrent: true }])
  expect(await waiting()).toEqual([])
  expect(await upload('a.txt', 'one', { accept: true })).toMatchObject({ skipped: 1, events: [] })
})

test('an update that waits is accepted while it builds on what is current', async () => {
  await upload('a.txt', 'one', { accept: true })
  const second = await upload('a.txt', 'two')
  expect(await upload('a.txt', 'two', { accept: true })).toMatchObject({ events: second.events })
  const stale = await upload('a.txt', 'three')
  await upload('a.txt', 'four', { accept: true })
  const anew = await upload('a.txt', 'three', { accept: true })
  expect(anew.events).not.toEqual(stale.events)
  const current = (await versionsOf('a.txt')).filter(({ isCurrent }) => isCurrent)
  expect(current.map(({ version }) => version)).toEqual(anew.objects.map(({ version }) => version))
})

test.each<[string, Partial<UploadRequest>]>([
  ['media type', { mediaType: 'text/csv' }],
  ['meta', { meta: '{"by":"me"}' }],
])('what waits with another %s is not what was asked for', async (_, more) => {
  const first = await upload('a.txt', 'one')
  const second = await upload('a.txt', 'one', { accept: true, ...more })
  expect(second.events).not.toEqual(first.events)
  expect(second.objects).toMatchObject([{ status: 'accepted' }])
  expect(await waiting()).toHaveLength(1)
})

test('what waits under a name that another object has since is proposed for that one', async () => {
  const first = await upload('a.txt', 'one')
  await upload('a.txt', 'two', { accept: true })
  const second = await upload('a.txt', 'one', { accept: true })
  expect(second.events).not.toEqual(first.events)
  expect((await versionsOf('a.txt')).map(({ op }) => op)).toEqual(['create', 'update'])
})

test('of a folder, what waits is accepted, what is new proposed and accepted, the rest skipped', async () => {
  const path = node.dir
  const add = (names: string[], accept: boolean) =>
    node.api.add('cells', { paths: names.map((name) => join(path, name)), accept })
  for (const name of ['a.txt', 'b.txt', 'c.txt', 'd.txt']) await writeFile(join(path, name), name)
  await add(['a.txt'], true)
  const first = await add(['b.txt', 'c.txt'], false)
  const all = await add(['a.txt', 'b.txt', 'c.txt', 'd.txt'], true)
  expect(all.skipped).toBe(1)
  expect(all.events).toHaveLength(2)
  expect(all.events).toContain(first.events[0])
  expect(all.objects.map(({ name }) => name).sort()).toEqual(['b.txt', 'c.txt', 'd.txt'])
  expect(await waiting()).toEqual([])
  for (const name of ['a.txt', 'b.txt', 'c.txt', 'd.txt']) {
    expect(await versionsOf(name)).toMatchObject([{ status: 'accepted' }])
  }
})

test('what another user of the node proposed stays theirs to be decided', async () => {
  const user = await node.api.addUser({ name: 'eve', role: 'member' })
  const eve = node.door.apiOf(node.door.authenticate(user.apiKey) as never)
  const body = async function* () {
    yield Buffer.from('one')
  }
  const theirs = await eve.upload('cells', { name: 'a.txt' }, body())
  await writeFile(join(node.dir, 'a.txt'), 'one')
  const mine = await node.api.add('cells', { paths: [join(node.dir, 'a.txt')], accept: true })
  expect(mine.events).not.toEqual(theirs.events)
  expect(mine.objects).toMatchObject([{ status: 'accepted' }])
  expect(await waiting()).toMatchObject([{ version: theirs.objects[0]?.version }])
})
