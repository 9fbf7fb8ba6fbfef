// Layer A beyond the scenarios: single arrivals against the whole, the frozen prefix, many
// removals.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { admit } from '../../src/core/admission.ts'
import { type Authority, authority } from '../../src/core/authority.ts'
import type { OwnerEvent } from '../../src/core/event.ts'
import { type FrozenPrefix, nothingFrozen } from '../../src/core/frozen.ts'
import type { EventId, TenureId } from '../../src/core/ids.ts'
import { headerOf, history, isOwnerEvent } from '../makers.ts'
import { Choices, randomHistory } from '../reference/generator.ts'
import { MemoryReplica } from '../reference/memory-replica.ts'
import { outcomeOf, ownerEvents } from '../reference/outcome.ts'
import { type LayerA, layerA } from '../reference/reducer.ts'

const sizes = fc.integer({ min: 1, max: 40 })

test.for([1, 3])(
  'admit and recompute say after every arrival what the whole set says: %i keys',
  (kOwnerMax) => {
    let arrivals = 0
    let recomputed = 0
    fc.assert(
      fc.property(fc.integer(), sizes, (seed, size) => {
        const { genesis, events } = randomHistory(seed, size, {
          removalEvery: 12,
          proposals: false,
          kOwnerMax,
        })
        const replica = new MemoryReplica(genesis)
        for (const event of new Choices(seed).shuffled(events)) {
          replica.receive(event)
          const full = replica.fullAuthority()
          expect([...replica.voidEvents].sort()).toEqual([...full.voidEvents].sort())
          expect(replica.summary).toEqual(full.summary)
        }
        arrivals += replica.size
        recomputed += replica.recomputed
      }),
      { numRuns: 200 },
    )
    expect(recomputed).toBeLessThan(arrivals / 2)
  },
)

test.for([1, 3])('the order in which events are given has no part in it: %i keys', (kOwnerMax) => {
  fc.assert(
    fc.property(fc.integer(), sizes, (seed, size) => {
      const { genesis, events } = randomHistory(seed, size, { proposals: false, kOwnerMax })
      const headers = events.filter(isOwnerEvent).map(headerOf)
      const shuffled = new Choices(seed).shuffled(headers)
      const one = authority(genesis, headers, genesis.id)
      const other = authority(genesis, shuffled, genesis.id)
      expect(other.tenures).toEqual(one.tenures)
      expect(other.requirements).toEqual(one.requirements)
      expect([...other.voidEvents].sort()).toEqual([...one.voidEvents].sort())
    }),
    { numRuns: 100 },
  )
})

test.for([1, 3])(
  'K-1 T32: nothing that arrives moves what is in a frozen prefix: %i keys',
  (kOwnerMax) => {
    fc.assert(
      fc.property(fc.integer(), sizes, (seed, size) => {
        const { genesis, events } = randomHistory(seed, size, { removalEvery: 4, kOwnerMax })
        const owner = events.filter(isOwnerEvent)
        const inside = closedPart(owner, new Choices(seed))
        const settled = authority(genesis, inside.map(headerOf), genesis.id)
        const verdicts = new Map(inside.map(({ id }) => [id, !settled.voidEvents.has(id)]))
        const frozen = frozenBy(settled, verdicts)
        const whole = authority(genesis, owner.map(headerOf), genesis.id, frozen)
        for (const [id, valid] of verdicts) expect(whole.voidEvents.has(id)).toBe(!valid)
        const ignored = new Set(settled.ignoredLeavings)
        const then = layerA(genesis, inside)
        const inForce = new Set(inForceIn(then, inside))
        const requirements = new Map(inside.map((event) => [event.id, then.requirementOf(event)]))
        const none = { heads: new Map(), names: new Map(), tags: new Map() }
        const settling = { verdicts, ignored, inForce, requirements, ...none }
        const reference = layerA(genesis, owner, settling)
        for (const { id, body } of inside) {
          const then = settled.requirements.get(id) ?? genesis.kReview
          if (body.kind === 'review')
            expect(whole.requirements.get(id) ?? genesis.kReview).toBe(then)
        }
        for (const event of owner.filter(({ body }) => body.kind === 'review')) {
          const required = whole.requirements.get(event.id) ?? genesis.kReview
          expect(required).toBe(reference.requirementOf(event))
        }
        const isVoid = (event: OwnerEvent) => !reference.valid(event)
        const expected = owner.filter(isVoid).map(({ id }) => id)
        expect([...whole.voidEvents].sort()).toEqual(expected.sort())
        const live = reference.tenures.filter(reference.live).map(({ id }) => id)
        expect(whole.tenures.filter((tenure) => tenure.live).map(({ id }) => id)).toEqual(live)
        expect(live).not.toHaveLength(0)
      }),
      { numRuns: 300 },
    )
  },
)

/** As a checkpoint of exactly these events would freeze them. */
function frozenBy(settled: Authority, verdicts: ReadonlyMap<EventId, boolean>): FrozenPrefix {
  const { standings, kReview } = settled.summary
  return {
    ...nothingFrozen,
    verdictOf: (event) => verdicts.get(event),
    isInForce: (removal, tenure) => {
      const { removedBy = [], leavings = [] } = standings.get(tenure) ?? {}
      return removedBy.includes(removal) || leavings.includes(removal)
    },
    requirementOf: (review) =>
      verdicts.has(review) ? (settled.requirements.get(review) ?? kReview) : undefined,
    ignoredLeavings: [...settled.ignoredLeavings],
  }
}

function inForceIn(layer: LayerA, events: readonly OwnerEvent[]): string[] {
  return events
    .filter(({ body }) => body.kind === 'remove')
    .flatMap((r) =>
      layer.tenures.filter((tenure) => layer.inForce(r, tenure)).map(({ id }) => `${r.id} ${id}`),
    )
}

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
    isInForce: (id: EventId, tenure: TenureId) => id === z.id && (tenure as string) === a.id,
  }
  const beside = h.noop('A', a)
  const headers = ownerEvents(h).map(headerOf)
  expect(outcomeOf(h).isVoid(beside)).toBe(false)
  const { voidEvents, summary } = authority(h.genesis, headers, h.genesis.id, frozen)
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
  const { genesis } = h
  expect(() => authority(genesis, [header], genesis.id)).toThrow('unknown tenure')
  const removal = headerOf(h.remove('F', 'A', a))
  expect(() => authority(genesis, [removal], genesis.id)).toThrow('missing')
})
