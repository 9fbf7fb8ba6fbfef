// The scenarios of docs/protocol.md about decisions, objects and names, by number.
import { expect, test } from 'vitest'
import { SCHEMA_MEDIA_TYPE } from '../../src/core/event.ts'
import type { Operation, Proposal } from '../../src/core/event.ts'
import { versionKey } from '../../src/core/ids.ts'
import { file, history, type History, versionOf } from '../makers.ts'
import { create, objectOf, outcomeOf } from '../reference/outcome.ts'

function update(h: History, created: Proposal, base: Proposal[], name: string): Proposal {
  return h.propose({
    op: 'update',
    object: objectOf(created),
    base: base.map((version) => versionOf(version)),
    value: file(name, `${name} ${base.map(({ id }) => id).join()}`),
  })
}

function remove(h: History, created: Proposal, base: Proposal): Proposal {
  return h.propose({ op: 'delete', object: objectOf(created), base: [versionOf(base)] })
}

const headsOf = (...proposals: Proposal[]) => proposals.map((p) => versionKey(versionOf(p)))

test('T22: accept beats a concurrent reject; an accept after a reject is ignored', () => {
  const beside = history(['F', 'A'])
  const q = create(beside, 'q')
  beside.reject('F', q, beside.genesis)
  beside.accept('A', q, beside.genesis)
  expect(outcomeOf(beside).item(q)).toBe('accepted')

  const after = history(['F', 'A'])
  const p = create(after, 'p')
  const no = after.reject('A', p, after.genesis)
  after.accept('F', p, no)
  expect(outcomeOf(after).item(p)).toBe('rejected')
})

test('T22c B-1: a reject after an accept of the same or another key un-accepts nothing', () => {
  const h = history(['F', 'A'])
  const q = create(h, 'q')
  const yes = h.accept('F', q, h.genesis)
  h.reject('F', q, yes)
  h.reject('A', q, yes)
  expect(outcomeOf(h).item(q)).toBe('accepted')
})

test('R8: a reject taken back leaves the item pending, and the accept comes too late', () => {
  const h = history(['F', 'A'])
  const q = create(h, 'q')
  const no = h.reject('A', q)
  h.accept('A', q, no)
  expect(outcomeOf(h).item(q)).toBe('pending')
  h.accept('F', q, h.genesis)
  expect(outcomeOf(h).item(q)).toBe('accepted')
})

test('X28 B-2: a reject that becomes valid later un-accepts nothing', () => {
  const h = history(['F'])
  const a = h.add('F', 'A')
  const b = h.add('F', 'B', a)
  const c = h.add('F', 'C', b)
  const q = create(h, 'q')
  const x = h.remove('A', 'C', c)
  const j = h.reject('C', q, c)
  h.accept('B', q, x, j)
  const before = outcomeOf(h)
  expect([before.item(q), before.isVoid(j)]).toEqual(['accepted', true])
  h.noop('A', j)
  const after = outcomeOf(h)
  expect([after.item(q), after.isVoid(j)]).toEqual(['accepted', false])
})

test('T23: approvals are for exact content and exact ranges', () => {
  const h = history(['F'])
  const first = create(h, 'a', 'b', 'c', 'd', 'e')
  const edited = create(h, 'a', 'b', 'c', 'd', 'e')
  const ranges = [
    [0, 1],
    [3, 3],
    [9, 12],
  ] as const
  h.accept('F', [{ proposal: first.id, ranges }])
  const outcome = outcomeOf(h)
  const items = [0, 1, 2, 3, 4].map((i) => outcome.item(first, i))
  expect(items).toEqual(['accepted', 'accepted', 'pending', 'accepted', 'pending'])
  expect(outcome.item(edited)).toBe('pending')
})

test('T23: a reject stops later accepts for the operations it names and no others', () => {
  const h = history(['F', 'A'])
  const q = create(h, 'a', 'b', 'c')
  const no = h.reject('A', [{ proposal: q.id, ranges: [[1, 1]] }])
  h.accept('F', q, no)
  const outcome = outcomeOf(h)
  expect([0, 1, 2].map((i) => outcome.item(q, i))).toEqual(['accepted', 'rejected', 'accepted'])
})

test('T24: two accepted updates of one base are both kept, and a merge joins them', () => {
  const h = history(['F', 'A'])
  const v0 = create(h, 'a')
  const base = h.accept('F', v0)
  const v1 = update(h, v0, [v0], 'a')
  const v2 = update(h, v0, [v0], 'a')
  h.accept('A', v2, base)
  h.accept('F', v1, base)
  expect(outcomeOf(h).object(v0).heads).toEqual(headsOf(v1, v2))
  const merge = update(h, v0, [v1, v2], 'a')
  h.accept('F', merge)
  const joined = outcomeOf(h).object(v0)
  expect(joined.heads).toEqual(headsOf(merge))
  expect(joined.versions).toHaveLength(4)
})

test('T25: live beats a concurrent tombstone, a purge beats everything, in any order', () => {
  const h = history(['F', 'A'])
  const v0 = create(h, 'a')
  const base = h.accept('F', v0)
  const tombstone = remove(h, v0, v0)
  h.accept('F', tombstone, base)
  expect(outcomeOf(h).object(v0)).toMatchObject({ heads: headsOf(tombstone), purged: false })
  expect(outcomeOf(h).object(v0)).not.toHaveProperty('current')
  const v1 = update(h, v0, [v0], 'a')
  h.accept('A', v1, base)
  expect(outcomeOf(h).object(v0).heads).toEqual(headsOf(v1, tombstone))
  const purge = h.propose({ op: 'purge', object: objectOf(v0) })
  h.accept('A', purge, h.genesis)
  const purged = outcomeOf(h)
  expect(purged.object(v0).purged).toBe(true)
  expect(purged.object(v0)).not.toHaveProperty('claim')
  expect(purged.state.names).toEqual({})
})

test('T25 X19 R5: a stale update beats an informed delete', () => {
  const h = history(['F'])
  const v0 = create(h, 'a')
  h.accept('F', v0)
  const tombstone = remove(h, v0, v0)
  h.accept('F', tombstone)
  const stale = update(h, v0, [v0], 'a')
  h.accept('F', stale)
  expect(outcomeOf(h).object(v0).heads).toEqual(headsOf(stale, tombstone))
})

test('T26: what nobody accepted claims nothing; of two accepted claimants the earlier owns', () => {
  const h = history(['F', 'A'])
  const squatter = create(h, 'name')
  const real = create(h, 'name')
  const yes = h.accept('F', real)
  expect(outcomeOf(h).ownerOf('name', [squatter, real])).toBe(1)
  h.accept('A', squatter, yes)
  const outcome = outcomeOf(h)
  expect(outcome.item(squatter)).toBe('accepted')
  expect(outcome.ownerOf('name', [squatter, real])).toBe(1)
})

test('T26: schema names are a space of their own, and no path', () => {
  const h = history(['F'])
  const schema = (name: string): Operation => ({
    op: 'create',
    value: file(name, name, SCHEMA_MEDIA_TYPE),
  })
  const one = h.propose(schema('a'))
  const two = h.propose(schema('a/b'))
  const plain = create(h, 'a')
  for (const proposal of [one, two, plain]) h.accept('F', proposal)
  const outcome = outcomeOf(h)
  expect(outcome.ownerOf('a', [one, two, plain], 'schema')).toBe(0)
  expect(outcome.ownerOf('a/b', [one, two, plain], 'schema')).toBe(1)
  expect(outcome.ownerOf('a', [one, two, plain])).toBe(2)
})

test('T26: a name that is a path prefix of an earlier one is shadowed until that one goes', () => {
  const h = history(['F'])
  const inner = create(h, 'a/b/c')
  const middle = create(h, 'a/b')
  const outer = create(h, 'a')
  for (const proposal of [inner, middle, outer]) h.accept('F', proposal)
  const all = [inner, middle, outer]
  expect(outcomeOf(h).state.names).toEqual({ 'file a/b/c': objectOf(inner) })
  h.accept('F', remove(h, inner, inner))
  expect(outcomeOf(h).ownerOf('a/b', all)).toBe(1)
  expect(outcomeOf(h).ownerOf('a', all)).toBe(-1)
})

test('T27: approval before proposal, update before create, a withheld proposal', () => {
  const h = history(['F'])
  const v0 = create(h, 'a')
  const v1 = update(h, v0, [v0], 'b')
  const other = create(h, 'c')
  h.accept(
    'F',
    [v1, other].map(({ id }) => ({ proposal: id })),
  )
  const waiting = outcomeOf(h)
  expect(waiting.object(v0)).toMatchObject({ active: [], heads: [] })
  expect(waiting.ownerOf('c', [other])).toBe(0)
  h.accept('F', v0)
  expect(outcomeOf(h).object(v0).heads).toEqual(headsOf(v1))
  h.events.splice(h.events.indexOf(v0), 1)
  const withheld = outcomeOf(h)
  expect(withheld.object(v0)).toMatchObject({ active: [], heads: [] })
  expect(withheld.ownerOf('c', [other])).toBe(0)
})

test('X11 X12 C-3: an update keeps the date of a name, and a rename does not take one over', () => {
  const h = history(['F'])
  const mine = create(h, 'name')
  h.accept('F', mine)
  const old = create(h, 'other')
  h.accept('F', old)
  const rival = create(h, 'name')
  h.accept('F', rival)
  h.accept('F', update(h, mine, [mine], 'name'))
  expect(outcomeOf(h).ownerOf('name', [mine, rival])).toBe(0)

  const third = create(h, 'third')
  h.accept('F', third)
  h.accept('F', update(h, old, [old], 'third'))
  expect(outcomeOf(h).ownerOf('third', [old, third])).toBe(1)
})

test('X29 R4: a live owner may date an approval back and take a name', () => {
  const h = history(['F', 'A'])
  const honest = create(h, 'name')
  h.noop('F')
  h.accept('F', honest)
  const rival = create(h, 'name')
  h.accept('A', rival, h.genesis)
  expect(outcomeOf(h).ownerOf('name', [honest, rival])).toBe(1)
})

test('C-4: an update whose base belongs to another object is never active', () => {
  const h = history(['F'])
  const a = create(h, 'a')
  const b = create(h, 'b')
  const stray = update(h, a, [b], 'c')
  for (const proposal of [a, b, stray]) h.accept('F', proposal)
  const outcome = outcomeOf(h)
  expect(outcome.item(stray)).toBe('accepted')
  expect(outcome.object(a)).toMatchObject({ active: headsOf(a), heads: headsOf(a) })
})

test('release tags: the earliest valid release owns a tag, for ever', () => {
  const h = history(['F', 'A'])
  const first = h.release('A', 'v1', h.genesis)
  h.release('F', 'v1', first)
  expect(outcomeOf(h).state.tags).toEqual({ v1: first.id })
  const earlier = h.release('F', 'v1', h.genesis)
  expect(outcomeOf(h).state.tags).toEqual({ v1: earlier.id })
})
