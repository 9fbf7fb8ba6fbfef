import { afterEach, beforeEach, expect, it } from 'vitest'
import { sync } from '../../src/api/sync.ts'
import type { Network } from '../../src/ports.ts'
import { makeNode, signerNamed, type TestDataset, type TestNode } from './make-node.ts'

const ada = signerNamed('ada')
let node: TestNode
let cells: TestDataset
let peers: string[]
let isSyncing: boolean

beforeEach(async () => {
  node = await makeNode()
  cells = await node.createDataset('cells', [ada])
  peers = []
  isSyncing = false
})
afterEach(() => node.close())

const states = () => {
  const network = { peersOf: () => peers } as unknown as Network
  return sync({ ...node, network }, { isSyncing: () => isSyncing })
}

it('says of every dataset what is here and what is accepted and missing', async () => {
  await node.createDataset('stars', [ada])
  const here = await cells.file('here.txt', 'seven b')
  await cells.add(ada, here)
  // Content that nobody has sent yet.
  const content = Uint8Array.from(here.content).fill(7, 4)
  const gone = { ...here, name: 'gone.txt', content, sizeBytes: 100 }
  const proposal = await cells.create(ada, gone)
  await cells.replica.snapshot()
  expect((await states())[0]).toMatchObject({ missing: { files: 0, bytes: 0 } })
  await cells.accept(ada, proposal)
  await cells.replica.snapshot()
  expect(await states()).toMatchObject([
    {
      name: 'cells',
      state: 'offline',
      here: { events: 5, files: 1, bytes: 7 },
      missing: { files: 1, bytes: 100 },
      peers: 0,
    },
    { name: 'stars', here: { events: 1, files: 0, bytes: 0 }, missing: { files: 0, bytes: 0 } },
  ])
})

it('says whether it is under way', async () => {
  peers = ['one', 'two']
  expect(await states()).toMatchObject([{ state: 'idle', peers: 2 }])
  isSyncing = true
  expect(await states()).toMatchObject([{ state: 'syncing' }])
})
