// What owners decide does not queue behind what anybody may propose.
import { expect, test } from 'vitest'
import { keepInOrder } from '../../src/replica/keep.ts'
import { file } from '../makers.ts'
import { createOf, F, genesisBy, ownerEventBy, proposalBy, stranger, Subject } from './subject.ts'

const genesis = genesisBy(F)
const release = { kind: 'release', tag: 'one', root: file('one').content.with(1, 0x71) } as const

const proposals = (count: number) =>
  Array.from({ length: count }, (_, i) =>
    proposalBy(stranger, genesis.id, createOf(file(`by anybody ${i}`))),
  )

test('an owner event is stored before proposals that came before it and wait', async () => {
  const subject = await new Subject(genesis.id).reopen()
  await subject.submit(genesis)
  const gate = Promise.withResolvers<void>()
  subject.keep = async (steps) => {
    await gate.promise
    return keepInOrder(steps)
  }
  await subject.reopen()
  const stored: string[] = []
  subject.replica.onStored((events) => stored.push(...events.map(({ family }) => family)))
  subject.verified = 0
  const asked = proposals(20).map((proposal) => subject.submit(proposal))
  // The first of them is under way by now.
  await expect.poll(() => subject.verified).toBe(20)
  asked.push(subject.submit(ownerEventBy(F, genesis.id, release, [genesis])))
  await expect.poll(() => subject.verified).toBe(21)
  gate.resolve()
  await Promise.all(asked)
  expect(stored.indexOf('owner')).toBe(1)
  expect(stored).toHaveLength(21)
})

test('owners go on while a flood of proposals is taken into the sets', async () => {
  const subject = await new Subject(genesis.id).reopen()
  await subject.submit(genesis, ...proposals(400))
  const ended: string[] = []
  const sets = subject.replica.eventSets().finally(() => ended.push('sets'))
  const act = subject.replica.act(F, release).finally(() => ended.push('act'))
  const [{ pool }] = await Promise.all([sets, act])
  expect(ended).toEqual(['act', 'sets'])
  expect(pool.count).toBe(400)
})
