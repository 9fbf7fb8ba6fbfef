// The scenarios of docs/protocol.md about owners where more than one key has to agree, by number.
// Founders F, A, B, C by seniority; P, M whoever comes later.
import { expect, test } from 'vitest'
import type { OwnerEvent } from '../../src/core/event.ts'
import { history } from '../makers.ts'
import { create, outcomeOf } from '../reference/outcome.ts'

const dataset = (founders: string[], kOwner: number, kReview = 1) =>
  history(founders, '', { kOwner, kReview })

test('an owner is added once kOwner seniors agree, and what it did before counts from then on', () => {
  const h = dataset(['F', 'A', 'B'], 2)
  const p = h.add('F', 'P')
  const q = create(h, 'q')
  const early = h.accept('P', q, p)
  expect(outcomeOf(h).owners).toEqual(['F', 'A', 'B'])
  expect(outcomeOf(h).isVoid(early)).toBe(true)
  h.endorse('F', p)
  expect(outcomeOf(h).owners).toEqual(['F', 'A', 'B'])
  h.endorse('B', p, p)
  expect(outcomeOf(h).owners).toEqual(['F', 'A', 'B', 'P'])
  expect(outcomeOf(h).item(q)).toBe('accepted')
})

test('an endorsement counts only by a senior, of an operation in its past', () => {
  const h = dataset(['F', 'A'], 2)
  const p = h.add('F', 'P')
  h.endorse('A', p, h.genesis)
  h.endorse('P', p, p)
  h.endorse('A', h.noop('A', p))
  expect(outcomeOf(h).owners).toEqual(['F', 'A'])
  h.endorse('A', p, p)
  expect(outcomeOf(h).owners).toEqual(['F', 'A', 'P'])
})

test('the endorser of a removal may be added after its author', () => {
  const h = dataset(['F', 'A'], 2)
  const p = h.add('F', 'P')
  const both = h.endorse('A', p)
  const m = h.add('P', 'M', both)
  const in_ = h.endorse('A', m)
  const r = h.remove('F', 'M', in_)
  expect(outcomeOf(h).owners).toEqual(['F', 'A', 'P', 'M'])
  h.endorse('P', r, r)
  expect(outcomeOf(h).owners).toEqual(['F', 'A', 'P'])
})

test('leaving needs nobody else', () => {
  const h = dataset(['F', 'A', 'B'], 3)
  h.remove('A', 'A')
  expect(outcomeOf(h).owners).toEqual(['F', 'B'])
})

test('T18: a puppet quorum is none: whoever adds puppets alone has one voice', () => {
  const h = dataset(['M', 'A', 'B'], 3, 3)
  const q = create(h, 'q')
  const p = h.add('M', 'P')
  const c = h.add('M', 'C', p)
  const last = ['M', 'P', 'C'].reduce<OwnerEvent>((on, who) => h.accept(who, q, on), c)
  expect(outcomeOf(h).item(q)).toBe('pending')
  expect(outcomeOf(h).owners).toEqual(['M', 'A', 'B'])
  let head = last
  for (const by of ['A', 'B']) for (const add of [p, c]) head = h.endorse(by, add, head)
  expect(outcomeOf(h).owners).toEqual(['M', 'A', 'B', 'P', 'C'])
  expect(outcomeOf(h).item(q)).toBe('accepted')
})

test('T18: a puppet that its adder’s puppets endorse is one voice too', () => {
  const h = dataset(['M', 'A'], 2, 2)
  const p = h.add('M', 'P')
  h.endorse('P', p, p)
  const c = h.add('P', 'C')
  h.endorse('M', c)
  const q = create(h, 'q')
  for (const who of ['M', 'P', 'C']) h.accept(who, q)
  expect(outcomeOf(h).item(q)).toBe('pending')
  expect(outcomeOf(h).owners).toEqual(['M', 'A'])
})

test('T21: one key that endorses its own operation twice is one voice', () => {
  const h = dataset(['F', 'A'], 2)
  const p = h.add('F', 'P')
  h.endorse('F', p)
  h.endorse('F', p, p)
  expect(outcomeOf(h).owners).toEqual(['F', 'A'])
})

test('X2 A-2: two removed owners cannot bring each other back through K, with two to agree', () => {
  const h = dataset(['F', 'C', 'A', 'B'], 2)
  const q = create(h, 'q')
  const start = h.noop('F')
  const r = h.remove('A', 'B', start)
  const agreed = h.endorse('F', r)
  const x = h.remove('F', 'A', agreed)
  h.endorse('C', x)
  const z = h.accept('B', q, start)
  const y = h.noop('A', start, z)
  const outcome = outcomeOf(h)
  expect([z, y].map(outcome.isVoid)).toEqual([true, true])
  expect(outcome.owners).toEqual(['F', 'C'])
})

test('X3 A-3: a removal cannot forget what its author had acknowledged, whoever endorses it', () => {
  const h = dataset(['F', 'A', 'B'], 2)
  const q = create(h, 'q')
  const r = h.accept('B', q, h.genesis)
  h.noop('F', r)
  h.endorse('A', h.remove('F', 'B', h.genesis))
  const outcome = outcomeOf(h)
  expect(outcome.owners).toEqual(['F', 'A'])
  expect(outcome.item(q)).toBe('accepted')
})

test('X4 A-5: a removal that waits does not wake because somebody leaves', () => {
  const h = dataset(['F', 'A', 'B'], 2)
  const q = create(h, 'q')
  const start = h.noop('F')
  h.remove('F', 'B', start)
  const work = h.accept('B', q, start)
  h.remove('A', 'A')
  const outcome = outcomeOf(h)
  expect(outcome.owners).toEqual(['F', 'B'])
  expect(outcome.isVoid(work)).toBe(false)
  expect(outcome.item(q)).toBe('accepted')
})

test('X14: leaving twice un-accepts nothing, with two to agree', () => {
  const h = dataset(['F', 'A', 'B'], 2)
  const q = create(h, 'q')
  const r = h.accept('A', q, h.genesis)
  const z = h.remove('A', 'A', r)
  h.remove('A', 'A', h.genesis)
  const after = h.accept('A', q, z)
  const outcome = outcomeOf(h)
  expect(outcome.item(q)).toBe('accepted')
  expect([r, after].map(outcome.isVoid)).toEqual([false, true])
})

test('X16 R6: what only the endorser of a removal knew of is void', () => {
  const h = dataset(['F', 'A', 'B'], 2)
  const q = create(h, 'q')
  const start = h.noop('F')
  const work = h.accept('B', q, start)
  const knows = h.noop('A', work)
  const r = h.remove('F', 'B', start)
  h.endorse('A', r, r, knows)
  const outcome = outcomeOf(h)
  expect(outcome.isVoid(work)).toBe(true)
  expect(outcome.item(q)).toBe('pending')
})

test('X26 A-6: of two founders who must agree the senior removes and adds nobody alone', () => {
  const h = dataset(['F', 'A'], 2, 2)
  const x = h.remove('F', 'A')
  const p = h.add('F', 'P', x)
  h.endorse('P', x)
  h.endorse('P', p)
  h.endorse('F', p)
  const q = create(h, 'q')
  for (const who of ['F', 'P']) h.accept(who, q)
  const outcome = outcomeOf(h)
  expect(outcome.owners).toEqual(['F', 'A'])
  expect(outcome.item(q)).toBe('pending')
})

test('X26: the first kOwner founders can only leave', () => {
  const h = dataset(['F', 'A', 'B', 'C'], 2)
  const x = h.remove('F', 'A')
  for (const who of ['A', 'B', 'C']) h.endorse(who, x)
  expect(outcomeOf(h).owners).toEqual(['F', 'A', 'B', 'C'])
  h.endorse('A', h.remove('F', 'B'))
  expect(outcomeOf(h).owners).toEqual(['F', 'A', 'C'])
})

test('X2: the endorsement of an owner who was removed before counts for nothing', () => {
  const h = dataset(['F', 'A'], 2)
  const p = h.endorse('A', h.add('F', 'P'))
  const added = h.add('F', 'M', p)
  const m = h.endorse('A', added, added)
  const out = h.remove('F', 'P', m)
  h.endorse('A', out, out)
  const r = h.remove('F', 'M', m)
  h.endorse('P', r, r)
  expect(outcomeOf(h).owners).toEqual(['F', 'A', 'M'])
  h.endorse('A', r, r)
  expect(outcomeOf(h).owners).toEqual(['F', 'A'])
})
