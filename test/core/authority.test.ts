// Layer A beyond the scenarios: single arrivals against the whole, the frozen prefix, many
// removals.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { admit, authority } from '../../src/core/authority.ts'
import type { OwnerEvent } from '../../src/core/event.ts'
import { type FrozenPrefix, nothingFrozen } from '../../src/core/frozen.ts'
import type { EventId } from '../../src/core/ids.ts'
import { headerOf, history, isOwnerEvent } from '../makers.ts'
import { Choices, randomHistory } from '../reference/generator.ts'
import { MemoryReplica } from '../reference/memory-replica.ts'
import { outcomeOf, ownerEvents } from '../reference/outcome.ts'
import { layerA } from '../reference/reducer.ts'

const sizes = fc.integer({ min: 1, max: 40 })

test('admit and recompute together say after every arrival what the whole set says', () => {
  let arrivals = 0
  let recomputed = 0
  fc.assert(
    fc.property(fc.integer(), sizes, (seed, size) => {
      const { genesis, events } = randomHistory(seed, size, { removalEvery: 12, proposals: false })
      const replica = new MemoryReplica(genesis)
      for (const event of new Choices(seed).shuffled(events)) {
        replica.receive(event)
        const full = replica.fullAuthority().voidEvents
        expect([...replica.voidEvents].sort()).toEqual([...full].sort())
      }
      arrivals += replica.size
      recomputed += replica.recomputed
    }),
    { numRuns: 200 },
  )
  expect(recomputed).toBeLessThan(arrivals / 2)
})

test('the order in which events are given has no part in it', () => {
  fc.assert(
    fc.property(fc.integer(), sizes, (seed, size) => {
      const { genesis, events } = randomHistory(seed, size, { proposals: false })
      const headers = events.filter(isOwnerEvent).map(headerOf)
      const shuffled = new Choices(seed).shuffled(headers)
      const one = authority(genesis.founders, headers, genesis.id)
      const other = authority(genesis.founders, shuffled, genesis.id)
      expect(other.tenures).toEqual(one.tenures)
      expect([...other.voidEvents].sort()).toEqual([...one.voidEvents].sort())
    }),
    { numRuns: 100 },
  )
})

test('K-1 T32: nothing that arrives moves what is in a frozen prefix', () => {
  fc.assert(
    fc.property(fc.integer(), sizes, (seed, size) => {
      const { genesis, events } = randomHistory(seed, size, { removalEvery: 4, proposals: false })
      const owner = events.filter(isOwnerEvent)
      const inside = closedPart(owner, new Choices(seed))
      const settled = authority(genesis.founders, inside.map(headerOf), genesis.id)
      const verdicts = new Map(inside.map(({ id }) => [id, !settled.voidEvents.has(id)]))
      const frozen: FrozenPrefix = {
        ...nothingFrozen,
        verdictOf: (event) => verdicts.get(event),
        ignoredLeavings: [...settled.ignoredLeavings],
      }
      const whole = authority(genesis.founders, owner.map(headerOf), genesis.id, frozen)
      for (const [id, valid] of verdicts) expect(whole.voidEvents.has(id)).toBe(!valid)
      const ignored = new Set(settled.ignoredLeavings)
      const reference = layerA(genesis, owner, { verdicts, ignored })
      const isVoid = (event: OwnerEvent) => !reference.valid(event)
      const expected = owner.filter(isVoid).map(({ id }) => id)
      expect([...whole.voidEvents].sort()).toEqual(expected.sort())
      const live = reference.tenures.filter(reference.live).map(({ id }) => id)
      expect(whole.tenures.filter((tenure) => tenure.live).map(({ id }) => id)).toEqual(live)
      expect(live).not.toHaveLength(0)
    }),
    { numRuns: 300 },
  )
})

function closedPart(events: readonly OwnerEvent[], choices: Choices): OwnerEvent[] {
  const chosen = new Set<EventId>()
  for (const { id, parents } of events.toReversed()) {
    if (!chosen.has(id) && !choices.chance(15)) continue
    chosen.add(id)
    for (const parent of parents) chosen.add(parent)
  }
  return events.filter(({ id }) => chosen.has(id))
}

test('once a leaving is frozen, nothing its key writes beside it counts', () => {
  const h = history(['F'])
  const a = h.add('F', 'A')
  const z = h.remove('A', 'A', a)
  const inside = new Set([a.id, z.id])
  const frozen = {
    ...nothingFrozen,
    verdictOf: (id: EventId) => (inside.has(id) ? true : undefined),
  }
  const beside = h.noop('A', a)
  const headers = ownerEvents(h).map(headerOf)
  expect(outcomeOf(h).isVoid(beside)).toBe(false)
  const { voidEvents, summary } = authority(h.genesis.founders, headers, h.genesis.id, frozen)
  expect([...voidEvents]).toEqual([beside.id])
  expect(admit(summary, headerOf(beside), new Set())).toBe('void')
})

test('more removals by one owner than fit one scan all have to be survived', () => {
  const h = history(['F'])
  const b = h.add('F', 'B')
  const seen = h.noop('B', b)
  const unseen = h.noop('B', b)
  for (let i = 0; i < 70; i++) h.remove('F', 'C', b)
  h.remove('F', 'B', seen)
  for (let i = 0; i < 70; i++) h.remove('F', 'B', b)
  const outcome = outcomeOf(h)
  expect([seen, unseen].map(outcome.isVoid)).toEqual([false, true])
})

test('ill-formed input is a mistake of the caller', () => {
  const h = history(['F'])
  const a = h.add('F', 'A')
  const header = headerOf(h.noop('A', a))
  const { founders, id } = h.genesis
  expect(() => authority(founders, [header], id)).toThrow('unknown tenure')
  const removal = headerOf(h.remove('F', 'A', a))
  expect(() => authority(founders, [removal], id)).toThrow('missing')
})
