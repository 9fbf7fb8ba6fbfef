// One clone of a dataset at a time: what another command ends, and what is left of it.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Clones } from '../../src/api/copies/clones.ts'
import type { NodeContext } from '../../src/api/context.ts'
import { forgetDataset } from '../../src/api/datasets/datasets.ts'
import type { Live } from '../../src/api/live.ts'
import type { CatalogEntry } from '../../src/log/catalog.ts'
import { textOfEventId } from '../../src/core/ids.ts'
import type { Network } from '../../src/ports.ts'
import { F, genesisBy } from '../replica/subject.ts'
import { makeNode, type TestNode } from './make-node.ts'

const genesis = genesisBy(F)
const { id } = genesis
let node: TestNode
let clones: Clones
let context: NodeContext
let live: Live
/** Sessions that have begun and wait; each ends only by its signal. */
let sessions: PromiseWithResolvers<void>[]

beforeEach(async () => {
  node = await makeNode()
  sessions = [Promise.withResolvers(), Promise.withResolvers()]
  const network = {
    peers: () => [{ peerId: 'peer' }],
    peersOf: () => [],
    leave: () => {},
    async *blocks(_: string, __: string, cids: Iterable<unknown>) {
      for (const cid of cids) yield { cid, bytes: genesis.block }
    },
  } as unknown as Network
  let begun = 0
  live = {
    syncWith: (_: unknown, __: unknown, { signal }: { signal: AbortSignal }) =>
      new Promise((___, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error))
        sessions[begun++]?.resolve()
      }),
    unfollow: async () => {},
  } as unknown as Live
  const keeper = { drop: async () => {} }
  context = { ...node, network, keeper } as unknown as NodeContext
  clones = new Clones(context, live)
})

afterEach(async () => {
  await clones.close()
  await node.close()
})

test('a dataset that is forgotten is cloned no further', async () => {
  const cloning = clones.run({ ref: textOfEventId(id) }).catch((error: unknown) => error)
  await sessions[0]?.promise
  await clones.giveUp(id)
  await forgetDataset(context, live, node.catalog.get(id) as CatalogEntry)
  expect(await cloning).toMatchObject({ code: 'CANCELLED' })
  expect(node.catalog.list()).toEqual([])
})

test('a second clone takes over from the first, and the end of the node ends it', async () => {
  const first = clones.run({ ref: textOfEventId(id) }).catch((error: unknown) => error)
  await sessions[0]?.promise
  const second = clones.run({ ref: textOfEventId(id) }).catch((error: unknown) => error)
  await sessions[1]?.promise
  expect(await first).toMatchObject({ code: 'CANCELLED' })
  await clones.close()
  expect(await second).toMatchObject({ code: 'CANCELLED' })
  expect(node.catalog.get(id)?.cloning).toBeDefined()
})
