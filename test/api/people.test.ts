// Names of a node's users in place of keys, in what is asked and in what is answered.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Me, NodeApi, UserInfo } from '../../src/contract/api.ts'
import { openTestNode, type OpenTestNode } from './open-test-node.ts'

let node: OpenTestNode
let ada: UserInfo
let asAda: NodeApi
let nodeKey: string

beforeAll(async () => {
  node = await openTestNode()
  const { api, door, dir } = node
  nodeKey = (await api.status()).publicKey
  ada = await api.addUser({ name: 'ada' })
  asAda = door.apiOf(ada satisfies Me)
  await api.createDataset({ name: 'cells' })
  await writeFile(join(dir, 'a.txt'), 'a')
  await asAda.add('cells', { paths: [join(dir, 'a.txt')] })
})
afterAll(() => node.close())

async function logOf(author: string) {
  const entries = []
  for await (const entry of node.api.log('cells', { author })) entries.push(entry)
  return entries
}

it('lists by a name, by `me`, by a key and by its beginning', async () => {
  const { api } = node
  const by = { author: 'ada' }
  for (const author of ['ada', ada.publicKey, ada.publicKey.slice(0, 8)]) {
    expect(await logOf(author)).toMatchObject([{ kind: 'propose', user: 'ada' }])
  }
  expect(await logOf('me')).toMatchObject([{ kind: 'genesis', user: 'this node' }])
  expect(await api.listReviews('cells', by)).toMatchObject([{ user: 'ada' }])
  expect((await api.listProposals('cells', by)).proposals).toMatchObject([{ user: 'ada' }])
  const { items } = await api.queue('cells', by)
  expect(items).toMatchObject([{ author: { key: ada.publicKey, user: 'ada' } }])
  const [item] = items
  expect(await api.history('cells', item?.object ?? '')).toMatchObject([{ user: 'ada' }])
  expect(await api.queueCounts('cells', by)).toMatchObject({ total: 1 })
  expect(await api.select('cells', { filter: by })).toMatchObject({ count: 1 })
  expect(await asAda.listReviews('cells', { author: 'me' })).toHaveLength(1)
  expect(await api.listReviews('cells', { author: 'me' })).toEqual([])
})

it('says of a name nobody has that it is neither a key nor a user', async () => {
  const { api } = node
  const asked = [
    () => api.listReviews('cells', { author: 'bob' }),
    () => api.review('cells', { verdict: 'accept', all: { author: 'bob' } }),
    () => logOf('bob'),
    () => api.addOwner('cells', 'bob'),
    () => api.removeOwner('cells', 'Ada'),
    () => api.addOwner('cells', ada.publicKey.slice(0, 20)),
  ]
  for (const ask of asked) {
    await expect(ask()).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(/neither a public key nor a user here$/),
    })
  }
})

it('makes a user an owner by name, who is listed by it until removed by it', async () => {
  const { api } = node
  await api.addUser({ name: 'eve' })
  await expect(asAda.addOwner('cells', 'eve')).rejects.toMatchObject({ code: 'NOT_OWNER' })
  const { owners } = await api.addOwner('cells', 'ada')
  expect(owners).toMatchObject([
    { key: nodeKey, user: 'this node' },
    { key: ada.publicKey, user: 'ada' },
  ])
  expect(owners[1]).not.toHaveProperty('name')
  await expect(api.addOwner('cells', 'ada')).rejects.toMatchObject({ code: 'EXISTS' })
  const seen = (await asAda.owners('cells')).owners
  expect(seen.map(({ user }) => user)).toEqual([undefined, 'ada'])
  const result = await api.review('cells', { verdict: 'accept', all: { author: 'ada' } })
  expect(result.decided).toHaveLength(1)
  await api.removeUser('ada')
  expect((await api.owners('cells')).owners[1]).toMatchObject({ user: 'ada' })
  expect((await api.removeOwner('cells', 'ada')).owners).toHaveLength(1)
  await expect(api.addOwner('cells', 'ada')).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

it('keeps the name that was signed beside its own', async () => {
  const { api } = node
  const { owners } = await api.addOwner('cells', 'eve', 'Eve of the lab')
  expect(owners.at(-1)).toMatchObject({ name: 'Eve of the lab', user: 'eve' })
})
