// Which operations on an object count, and which of them are found: strangers change neither.
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { touchesOf } from '../../src/api/objects/touches.ts'
import type { FileValue, Operation, Proposal } from '../../src/core/event.ts'
import { objectIdOf, type ObjectId, type VersionId } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import type { Signer } from '../../src/ports.ts'
import { proposeFromAfar } from './annotation-node.ts'
import { makeNode, signerNamed, type TestDataset, type TestNode } from './make-node.ts'

const here = signerNamed('owner here')
const away = signerNamed('owner away')
const creator = signerNamed('creator')
const member = signerNamed('member here')
const strangers = [signerNamed('stranger 0'), signerNamed('stranger 1')] as const
const ALL = { all: 1_000_000, newest: 1, steps: 1 }

let node: TestNode
let dataset: TestDataset
let value: FileValue
let base: VersionId
let object: ObjectId

async function begin(): Promise<void> {
  node = await makeNode()
  dataset = await node.createDataset('cells', [here, away])
  value = await dataset.file('a.txt')
  const made = await proposeFromAfar(dataset.replica, creator, [{ op: 'create', value }])
  base = { proposal: made.id, index: 0 }
  object = objectIdOf(base, sha256)
}

beforeEach(begin)
afterEach(() => node.close())

let serial = 0
function updates(count: number): Operation[] {
  return Array.from({ length: count }, () => {
    const changed = { ...value, name: `${serial++}.txt` }
    return { op: 'update' as const, object, base: [base], value: changed }
  })
}

const fromAfar = (by: Signer, count: number) => proposeFromAfar(dataset.replica, by, updates(count))

type Step = 'creator' | 'owner' | 'away' | 'member' | 'stranger' | 'other stranger' | 'unrelated'
const steps: Record<Step, (count: number) => Promise<Proposal>> = {
  creator: (count) => fromAfar(creator, count),
  owner: (count) => dataset.propose(here, ...updates(count)),
  away: (count) => fromAfar(away, count),
  member: (count) => dataset.propose(member, ...updates(count)),
  stranger: (count) => fromAfar(strangers[0], count),
  'other stranger': (count) => fromAfar(strangers[1], count),
  unrelated: async () =>
    proposeFromAfar(dataset.replica, creator, [
      { op: 'create', value: await dataset.file(`${serial++}`) },
    ]),
}
const arbitrarySteps = fc.array(
  fc.record({
    who: fc.constantFrom(...(Object.keys(steps) as Step[])),
    count: fc.integer({ min: 1, max: 4 }),
    isAccepted: fc.boolean(),
  }),
  { maxLength: 14 },
)

test('all that stand are found, with the same numbers, however little else is read', async () => {
  await fc.assert(
    fc.asyncProperty(
      arbitrarySteps,
      fc.integer({ min: 0, max: 12 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 6 }),
      async (chosen, all, newest, few) => {
        await node.close()
        await begin()
        const { replica } = dataset
        for (const { who, count, isAccepted } of chosen) {
          const proposal = await steps[who](count)
          if (isAccepted && who !== 'unrelated') await dataset.accept(here, proposal)
        }
        const whole = await touchesOf(replica, object, ALL)
        const standing = whole.filter(({ stands }) => stands)
        expect(standing.map(({ number }) => number)).toEqual(standing.map((_, i) => i))
        const found = await touchesOf(replica, object, { all, newest, steps: 10_000 })
        expect(found.filter(({ stands }) => stands)).toEqual(standing)
        expect(found.slice(-newest)).toEqual(whole.slice(-newest))
        const others = found.length - standing.length
        expect(others).toBeLessThanOrEqual(whole.length <= all ? whole.length : newest)
        // Where the search ends early, numbers are missing, and none is another one's.
        const partly = await touchesOf(replica, object, { all, newest, steps: few })
        for (const row of partly.filter(({ number }) => number !== undefined)) {
          expect(whole).toContainEqual(row)
        }
      },
    ),
    { numRuns: 40 },
  )
})

test('a flood by strangers is leapt over, and costs a few looks', async () => {
  const { replica } = dataset
  await steps.creator(1)
  for (let i = 0; i < 4; i++) await fromAfar(strangers[0], 1_500)
  await steps.member(1)
  for (let i = 0; i < 4; i++) await fromAfar(strangers[1], 1_500)
  await steps.away(1)
  const walks = vi.spyOn(replica.log.history, 'operationsOf')
  const found = await touchesOf(replica, object)
  expect(walks.mock.calls.length).toBeLessThan(30)
  expect(found.length).toBeLessThan(1_100)
  const standing = found.filter(({ stands }) => stands)
  expect(standing.map(({ number }) => number)).toEqual([0, 1, 2, 3])
  expect(found.at(-1)).toEqual(standing.at(-1))
})
