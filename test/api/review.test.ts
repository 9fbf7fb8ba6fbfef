// Decisions of this node's key over several proposals, and a dataset that two callers begin to follow.
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import type { NodeContext } from '../../src/api/context.ts'
import { Live } from '../../src/api/live.ts'
import { review } from '../../src/api/review/review.ts'
import { textOfEventId } from '../../src/core/ids.ts'
import { systemRandom } from '../../src/crypto.ts'
import type { Clock, Network } from '../../src/ports.ts'
import { FileKeeper } from '../../src/replica/file-keeper.ts'
import { openValidator } from '../../src/validation/validator.ts'
import {
  makeNode,
  signerNamed,
  steppingClock,
  type TestDataset,
  type TestNode,
} from './make-node.ts'

const F = signerNamed('F')
const untilAborted: Clock['sleep'] = (_, options) =>
  new Promise((resolve) => options?.signal?.addEventListener('abort', () => resolve()))

const validator = openValidator()
let node: TestNode
let context: NodeContext
let dataset: TestDataset
let joined: string[]

afterAll(() => validator.close())
beforeEach(async () => {
  node = await makeNode({ clock: { nowMs: steppingClock().nowMs, sleep: untilAborted } })
  joined = []
  const network = {
    peers: () => [],
    peersOf: () => [],
    join: (id: string) => joined.push(id),
    leave: () => {},
    discover: async () => {},
    publish: async () => {},
  } as unknown as Network
  const keeper = new FileKeeper({ ...node, network }, { prefetchBytesMax: 0 })
  const me = { name: 'F', role: 'admin' as const, publicKey: F.publicKey }
  context = { ...node, network, keeper, validator, me, signer: F, random: systemRandom }
  dataset = await node.createDataset('cells', [F])
})

afterEach(async () => {
  await context.keeper.close()
  await node.close()
})

const owners = async () => (await dataset.replica.snapshot()).counts.events

test('all that waits is decided, as many in one event as fit', async () => {
  const proposals = []
  for (let i = 0; i < 5; i++) proposals.push(await dataset.create(F, await dataset.file(`f${i}`)))
  const { events, decided } = await review(context, dataset.entry, { all: {}, verdict: 'accept' })
  expect(events.length).toBe(1)
  expect(decided).toEqual(proposals.map(({ id }) => `${textOfEventId(id)}:0-0`))
  expect(await review(context, dataset.entry, { all: {}, verdict: 'reject' })).toEqual({
    events: [],
    decided: [],
  })
})

test('nothing is signed when one of several that are named is decided', async () => {
  const open = await dataset.create(F, await dataset.file('open'))
  const decided = await dataset.add(F, await dataset.file('decided'))
  const before = await owners()
  const items = [open, decided].map(({ id }) => textOfEventId(id))
  await expect(review(context, dataset.entry, { items, verdict: 'reject' })).rejects.toMatchObject({
    code: 'ALREADY_DECIDED',
  })
  expect(await owners()).toBe(before)
})

test('many large proposals are reviewed in several events, so that they need not be in memory', async () => {
  const meta = `"${'x'.repeat(4_000)}"`
  for (let i = 0; i < 90; i++) {
    const value = await dataset.file(`f${i}`)
    await dataset.create(
      F,
      ...Array.from({ length: 50 }, (_, n) => ({ ...value, name: `${i}/${n}`, meta })),
    )
  }
  const { events, decided } = await review(context, dataset.entry, { all: {}, verdict: 'reject' })
  expect(events.length).toBe(2)
  expect(decided.length).toBe(90)
})

test('two calls that follow one dataset follow it once', async () => {
  const live = new Live(context)
  await Promise.all([live.follow(dataset.entry.id), live.follow(dataset.entry.id)])
  expect(joined.length).toBe(1)
  await live.close()
})
