// Self-forks are found as events arrive, in whatever order: none is missed, none is made up.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Event, OwnerEvent } from '../../src/core/event.ts'
import { cidBytesOf, type EventId } from '../../src/core/ids.ts'
import { selfForksOf } from '../../src/replica/self-forks.ts'
import { Choices } from '../reference/generator.ts'
import { signedHistory } from './signed-history.ts'
import { A, F, genesisBy, ownerEventBy, Subject } from './subject.ts'

const RUNS = 60
const seeds = fc.integer({ min: 0, max: 1 << 30 })

/** Tenures with two events neither in the other's past, by brute force. */
function forkedTenures(events: readonly Event[]) {
  const pasts = new Map<EventId, ReadonlySet<EventId>>()
  const owners = events.filter((event): event is OwnerEvent => event.family === 'owner')
  for (const { id, parents } of owners) {
    const past = new Set<EventId>(parents)
    for (const parent of parents) for (const one of pasts.get(parent) ?? []) past.add(one)
    pasts.set(id, past)
  }
  const isApart = (a: EventId, b: EventId) =>
    a !== b && pasts.get(a)?.has(b) === false && pasts.get(b)?.has(a) === false
  const forked = new Set(
    owners
      .filter((a) => owners.some((b) => a.tenure === b.tenure && isApart(a.id, b.id)))
      .map(({ tenure }) => tenure),
  )
  return { forked, isApart, owners }
}

async function deliver(subject: Subject, events: readonly Event[], choices: Choices) {
  let queue = choices.shuffled([...events])
  while (queue.length > 0) {
    const batch = queue.splice(0, 1 + choices.below(choices.of([1, 4, 30])))
    const { refused } = await subject.replica.submit(batch.map(({ block }) => block))
    const waiting = new Set(refused.map(({ event }) => event))
    queue = [...queue, ...batch.filter(({ id }) => waiting.has(id))]
    if (choices.below(8) === 0) await subject.reopen()
  }
}

test('T39 forks are noted exactly where a tenure has two histories, in any order of arrival', async () => {
  let seenForked = 0
  let seenLinear = 0
  await fc.assert(
    fc.asyncProperty(seeds, fc.integer({ min: 1, max: 16 }), async (seed, count) => {
      const { genesis, events } = signedHistory(seed, count)
      const choices = new Choices(seed)
      const { forked, isApart, owners } = forkedTenures(events)
      const subject = await new Subject(genesis.id).reopen()
      await subject.replica.submit([genesis.block])
      await deliver(subject, events, choices)
      const noted = await selfForksOf(subject.log)
      expect(new Set(noted.map(({ tenure }) => tenure))).toEqual(forked)
      for (const {
        tenure,
        key,
        events: [a, b],
      } of noted) {
        expect(isApart(a, b)).toBe(true)
        for (const id of [a, b]) {
          expect(owners.find((event) => event.id === id)).toMatchObject({ tenure, author: key })
        }
      }
      if (forked.size > 0) seenForked++
      else seenLinear++
    }),
    { numRuns: RUNS },
  )
  expect(seenForked).toBeGreaterThan(0)
  expect(seenLinear).toBeGreaterThan(0)
})

async function aSubject() {
  const genesis = genesisBy(F, A)
  const subject = await new Subject(genesis.id).reopen()
  await subject.submit(genesis)
  let events = 0
  const by = (signer: typeof F, ...parents: Event[]) => {
    const body = { kind: 'release', tag: `v${events++}`, root: cidBytesOf(genesis.id) } as const
    return ownerEventBy(signer, genesis.id, body, parents, signer === F ? 0 : 1)
  }
  return { genesis, subject, by }
}

test('a fork is noted and told once, however long both histories go on, and after they have met', async () => {
  const { genesis, subject, by } = await aSubject()
  const before = by(F, genesis)
  const left = [by(F, before)]
  const right = [by(F, before)]
  for (let i = 0; i < 30; i++) left.push(by(F, left.at(-1) as Event))
  for (let i = 0; i < 40; i++) right.push(by(F, right.at(-1) as Event))
  const met = by(F, left.at(-1) as Event, right.at(-1) as Event)
  await subject.submit(before, ...left)
  expect(await selfForksOf(subject.log)).toEqual([])
  for (const event of right) await subject.submit(event)
  await subject.reopen()
  await subject.submit(met)
  await subject.submit(by(F, met))
  const events = [left.at(-1)?.id, right[0]?.id].sort()
  expect(await selfForksOf(subject.log)).toEqual([{ tenure: 'f0', key: F.publicKey, events }])
  expect(subject.forks).toHaveLength(1)
})

test('a second fork of the same owner is another one', async () => {
  const { genesis, subject, by } = await aSubject()
  const [a, b, c] = [by(F, genesis), by(F, genesis), by(F, genesis)]
  await subject.submit(a, b, c)
  expect(await selfForksOf(subject.log)).toHaveLength(2)
  expect(subject.forks).toHaveLength(2)
})

test('an owner who comes back after thousands of events of others is not accused', async () => {
  const { genesis, subject, by } = await aSubject()
  const early = by(F, genesis)
  const others = [by(A, early)]
  for (let i = 0; i < 2_500; i++) others.push(by(A, others.at(-1) as Event))
  await subject.submit(early)
  for (let i = 0; i < others.length; i += 256) await subject.submit(...others.slice(i, i + 256))
  const late = by(F, others.at(-1) as Event)
  await subject.submit(late, by(F, late))
  expect(await selfForksOf(subject.log)).toEqual([])
})

test('two owners who write at the same time fork nothing', async () => {
  const { genesis, subject, by } = await aSubject()
  let heads: Event[] = [genesis]
  for (let i = 0; i < 20; i++) {
    heads = [by(F, ...heads), by(A, ...heads)]
    expect((await subject.submit(...heads)).stored).toHaveLength(2)
  }
  expect(await selfForksOf(subject.log)).toEqual([])
})
