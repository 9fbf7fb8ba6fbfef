// The scenarios of docs/protocol.md about decisions where more than one key has to agree, and about what
// is agreed on after a checkpoint, by number. Founders F, A, B, C by seniority; P, M whoever comes later.
import { expect, test } from 'vitest'
import { authority } from '../../src/core/authority.ts'
import type { OwnerEvent } from '../../src/core/event.ts'
import { type FrozenPrefix, nothingFrozen } from '../../src/core/frozen.ts'
import { founderTenure } from '../../src/core/ids.ts'
import { headerOf, history, type History, keyNamed } from '../makers.ts'
import { create, outcomeOf, ownerEvents } from '../reference/outcome.ts'

const dataset = (founders: string[], kOwner: number, kReview = 1, salt = '') =>
  history(founders, salt, { kOwner, kReview })

/** What a checkpoint freezes that settles all events so far. */
function frozenAfter({ genesis, ...rest }: History): FrozenPrefix {
  const events = ownerEvents({ genesis, ...rest })
  const settled = authority(genesis, events.map(headerOf), genesis.id)
  const inside = new Set(events.map(({ id }) => id))
  return {
    ...nothingFrozen,
    verdictOf: (id) => (inside.has(id) ? !settled.voidEvents.has(id) : undefined),
    isInForce: (removal, tenure) => {
      const { removedBy = [], leavings = [] } = settled.summary.standings.get(tenure) ?? {}
      return removedBy.includes(removal) || leavings.includes(removal)
    },
    requirementOf: (id) =>
      inside.has(id) ? (settled.requirements.get(id) ?? genesis.kReview) : undefined,
  }
}

const under = (h: History, frozen: FrozenPrefix) =>
  authority(h.genesis, ownerEvents(h).map(headerOf), h.genesis.id, frozen)

function raised(salt: string) {
  const h = dataset(['F', 'A', 'B'], 2, 1, salt)
  const start = h.noop('A')
  const p = h.policy('F', 2, start)
  const agreed = h.endorse('A', p)
  return { h, start, p, agreed }
}

test('T19: whoever claims not to have seen a policy is bound by it all the same', () => {
  const { h, start } = raised('old parents')
  const q = create(h, 'q')
  h.accept('B', q, start)
  expect(outcomeOf(h).item(q)).toBe('pending')
  expect(outcomeOf(h).state.policy).toBe(2)
  h.accept('A', q)
  expect(outcomeOf(h).item(q)).toBe('accepted')
})

test('T19: and so is who acknowledges it and forks, an endorser too', () => {
  const { h, start, agreed } = raised('fork')
  const q = create(h, 'q')
  h.noop('B', agreed)
  h.accept('B', q, start)
  h.accept('B', q, h.genesis)
  const s = create(h, 's')
  h.accept('A', s, start)
  expect(outcomeOf(h).item(q)).toBe('pending')
  expect(outcomeOf(h).item(s)).toBe('pending')
})

test('T19: its author escapes it no more than others, and vouches for nobody by writing beside it', () => {
  const { h, start, p } = raised('author')
  const q = create(h, 'q')
  const known = create(h, 'known')
  const a = h.accept('B', known, start)
  h.noop('F', a)
  expect(outcomeOf(h).item(known)).toBe('pending')
  h.accept('F', q, start)
  expect(outcomeOf(h).item(q)).toBe('pending')
  const s = create(h, 's')
  h.accept('F', s, p)
  expect(outcomeOf(h).item(s)).toBe('pending')
})

test('T19: a policy that follows another replaces it, and of policies beside each other the strictest counts', () => {
  const h = dataset(['F', 'A', 'B'], 3, 3)
  const agree = (by: string, asked: number, on: OwnerEvent) => {
    const policy = h.policy(by, asked, on)
    const others = ['F', 'A', 'B'].filter((who) => who !== by)
    return others.reduce((head, who) => h.endorse(who, policy, head), policy)
  }
  const start = h.noop('F')
  const one = agree('F', 1, start)
  expect(outcomeOf(h).state.policy).toBe(1)
  const two = agree('A', 2, start)
  expect(outcomeOf(h).state.policy).toBe(2)
  const q = create(h, 'q')
  h.accept('B', q, one, two)
  expect(outcomeOf(h).item(q)).toBe('pending')
  const again = agree('F', 1, h.noop('B', one, two))
  expect(outcomeOf(h).state.policy).toBe(1)
  const s = create(h, 's')
  h.accept('B', s, again)
  expect(outcomeOf(h).item(s)).toBe('accepted')
})

test('a policy that asks for more keys than have to agree on owners is a node and nothing else', () => {
  const h = dataset(['F', 'A', 'B'], 2)
  h.endorse('A', h.policy('F', 3))
  expect(outcomeOf(h).state.policy).toBe(1)
})

test('T21: one key is one voice, however often, with however many tenures and forks', () => {
  const h = dataset(['F', 'A', 'B'], 2, 2)
  const again = h.add('F', 'B')
  const twice = h.endorse('A', again)
  const q = create(h, 'q')
  h.accept('B', q, twice)
  h.accept(again, q, twice)
  const body = { kind: 'review', verdict: 'accept', items: [{ proposal: q.id }] } as const
  for (const parent of [h.genesis, twice]) {
    h.write(founderTenure(2), keyNamed('B'), body, [parent])
  }
  expect(outcomeOf(h).item(q)).toBe('pending')
  h.accept('A', q)
  expect(outcomeOf(h).item(q)).toBe('accepted')
})

test.for([1, 2])('T22: of accepts and a reject beside each other the accepts count, k=%i', (k) => {
  const h = dataset(['F', 'A', 'B'], 2, k)
  const q = create(h, 'q')
  const start = h.noop('F')
  h.reject('B', q, start)
  h.accept('F', q, start)
  expect(outcomeOf(h).item(q)).toBe(k === 1 ? 'accepted' : 'rejected')
  h.accept('A', q, start)
  expect(outcomeOf(h).item(q)).toBe('accepted')
})

test.for([1, 2])('T22: an accept that follows a reject is ignored, k=%i', (k) => {
  const h = dataset(['F', 'A', 'B'], 2, k)
  const q = create(h, 'q')
  const start = h.noop('F')
  const no = h.reject('B', q, start)
  h.accept('F', q, no)
  h.accept('A', q, no)
  expect(outcomeOf(h).item(q)).toBe('rejected')
  if (k === 2) {
    h.accept('F', q, start)
    expect(outcomeOf(h).item(q)).toBe('rejected')
  }
})

test.for([1, 2])('T22c B-1: nobody takes an accept back by a reject that follows, k=%i', (k) => {
  const h = dataset(['F', 'A', 'B'], 2, k)
  const q = create(h, 'q')
  const yes = ['F', 'A'].slice(0, k).map((who) => h.accept(who, q, h.genesis))
  h.reject('F', q, ...yes)
  expect(outcomeOf(h).item(q)).toBe('accepted')
})

test('T22d B-1: who accepts once more under a stricter policy loses nothing', () => {
  const h = dataset(['F', 'A', 'B'], 2)
  const q = create(h, 'q')
  const first = h.accept('B', q)
  const p = h.policy('F', 2, first)
  const agreed = h.endorse('A', p)
  h.accept('B', q, agreed)
  const outcome = outcomeOf(h)
  expect(outcome.state.items[`${q.id}:0`]).toBe(`accepted ${first.id}`)
})

test('T22: the accept with which there are enough dates what it accepts', () => {
  const h = dataset(['F', 'A', 'B'], 2, 2)
  const q = create(h, 'q')
  h.accept('F', q, h.genesis)
  const second = h.accept('A', q, h.noop('A', h.genesis))
  h.accept('B', q, h.noop('B', second))
  expect(outcomeOf(h).state.items[`${q.id}:0`]).toBe(`accepted ${second.id}`)
})

test('T23: accepts of a proposal say nothing of an edited one, and parts are accepted one by one', () => {
  const h = dataset(['F', 'A', 'B'], 2, 2)
  const v1 = create(h, 'a', 'b', 'c')
  const v2 = create(h, 'a', 'b', 'c')
  h.accept('F', v1)
  h.accept('A', v2)
  const part = create(h, 'd', 'e', 'f')
  h.accept('F', [{ proposal: part.id, ranges: [[0, 1]] }])
  h.accept('A', [{ proposal: part.id, ranges: [[1, 2]] }])
  const outcome = outcomeOf(h)
  expect([v1, v2].map((proposal) => outcome.item(proposal))).toEqual(['pending', 'pending'])
  const parts = [0, 1, 2].map((index) => outcome.item(part, index))
  expect(parts).toEqual(['pending', 'accepted', 'pending'])
})

test('X15 A-6: two of five with a forged small past are not three', () => {
  const h = dataset(['F', 'A', 'B'], 3, 3)
  const add = h.add('F', 'M')
  const m = h.endorse('B', add, h.endorse('A', add))
  const p = h.policy('M', 1, m)
  h.endorse('F', p, p)
  const q = create(h, 'q')
  h.accept('M', q)
  const outcome = outcomeOf(h)
  expect(outcome.owners).toEqual(['F', 'A', 'B', 'M'])
  expect(outcome.state.policy).toBe(3)
  expect(outcome.item(q)).toBe('pending')
  h.endorse('B', p)
  expect(outcomeOf(h).state.policy).toBe(1)
})

test('X27 B-3: what is endorsed after a checkpoint acts outside it only', () => {
  const h = dataset(['F', 'A', 'B'], 2)
  const q = create(h, 'q')
  const s = create(h, 's')
  const start = h.noop('F')
  const policy = h.policy('F', 2, start)
  const removal = h.remove('F', 'B', policy)
  const inside = h.accept('B', q, start)
  const frozen = frozenAfter(h)
  const outside = h.accept('B', s, inside)
  h.endorse('A', policy, policy)
  const endorsed = under(h, frozen)
  expect(endorsed.requirements.get(inside.id)).toBeUndefined()
  expect(endorsed.requirements.get(outside.id)).toBe(2)
  expect(under(h, nothingFrozen).requirements.get(inside.id)).toBe(2)

  h.endorse('A', removal, removal)
  const removed = under(h, frozen)
  expect(removed.voidEvents.has(inside.id)).toBe(false)
  expect(removed.voidEvents.has(outside.id)).toBe(true)
  expect(removed.tenures.filter(({ live }) => live)).toHaveLength(2)
  expect(under(h, nothingFrozen).voidEvents.has(inside.id)).toBe(true)
})

test('X27: who is removed in a checkpoint writes nothing more, and whose addition waits there may begin', () => {
  const h = dataset(['F', 'A', 'B'], 2)
  const start = h.noop('F')
  const p = h.add('F', 'P', start)
  const early = h.noop('P', p)
  const removal = h.remove('F', 'B', p)
  h.endorse('A', removal, removal)
  const frozen = frozenAfter(h)
  const beside = h.noop('B', start)
  h.noop('F', beside)
  const begun = h.endorse('A', p, p)
  const later = h.noop('P', begun)
  const { voidEvents, tenures } = under(h, frozen)
  expect([early, beside, later].map(({ id }) => voidEvents.has(id))).toEqual([true, true, false])
  expect(tenures.filter(({ live }) => live).map(({ id }) => id)).toEqual(['f0', 'f1', p.id])
})

test('X28: the same where the removal needs two, and its endorsement comes after the reject', () => {
  const h = dataset(['F', 'A', 'B', 'C'], 2)
  const q = create(h, 'q')
  const start = h.noop('F')
  const x = h.remove('F', 'C', start)
  const j = h.reject('C', q, start)
  const agreed = h.endorse('A', x, x, j)
  h.accept('B', q, agreed)
  expect(outcomeOf(h).isVoid(j)).toBe(true)
  expect(outcomeOf(h).item(q)).toBe('accepted')
  h.noop('F', j)
  const outcome = outcomeOf(h)
  expect(outcome.isVoid(j)).toBe(false)
  expect(outcome.item(q)).toBe('accepted')
})

test('T19: a policy asks for nothing when its author was removed before, or those who endorse it', () => {
  const h = dataset(['F', 'A', 'B', 'C'], 2)
  const start = h.noop('F')
  const out = h.endorse('A', h.remove('F', 'C', start))
  const byC = h.policy('C', 2, start)
  h.endorse('B', byC, h.endorse('F', byC, byC, out))
  const byA = h.policy('A', 2, start)
  h.endorse('C', byA, byA)
  expect(outcomeOf(h).state.policy).toBe(1)
  h.endorse('B', byA, byA)
  expect(outcomeOf(h).state.policy).toBe(2)
})

test('T19: who became an owner beside a policy has no say in it', () => {
  const h = dataset(['F', 'A', 'B'], 2)
  const start = h.noop('F')
  const p = h.policy('F', 2, start)
  const add = h.add('A', 'P', start)
  const added = h.endorse('B', add, add)
  h.endorse('P', p, p, added)
  expect(outcomeOf(h).owners).toEqual(['F', 'A', 'B', 'P'])
  expect(outcomeOf(h).state.policy).toBe(1)
})
