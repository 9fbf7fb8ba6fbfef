// The scenarios of docs/protocol.md about checkpoints and finality, by number.
import { expect, test } from 'vitest'
import type { Proposal } from '../../src/core/event.ts'
import { file, history, type History, versionOf } from '../makers.ts'
import { create, objectOf } from '../reference/outcome.ts'
import { checkpoint, headKey, settledOutcomeOf } from './settled-outcome.ts'

function update(h: History, created: Proposal, base: Proposal, name: string): Proposal {
  return h.propose({
    op: 'update',
    object: objectOf(created),
    base: [versionOf(base)],
    value: file(name, `${name} ${base.id} ${h.events.length}`),
  })
}

test('T25: a deletion that is settled stands against a late update of what it deleted', async () => {
  const h = history(['F', 'A'])
  const q = create(h, 'q')
  h.accept('F', q)
  const gone = h.propose({ op: 'delete', object: objectOf(q), base: [versionOf(q)] })
  const deleted = h.accept('F', gone)
  const late = update(h, q, q, 'q')
  const before = checkpoint(h, [deleted])
  h.accept('A', late, h.genesis)
  expect((await settledOutcomeOf(h)).heads(q)[0]).toBe(headKey(late))

  h.vote('F', before.body)
  h.vote('A', before.body)
  const after = await settledOutcomeOf(h)
  expect(after.chain).toEqual([before.id])
  expect(after.heads(q)).toEqual([headKey(gone), headKey(late)])
})

test('T32: what a removed owner had settled stays, whatever its remover claims not to know', async () => {
  const h = history(['F', 'A', 'B'])
  const [settled, open] = [create(h, 'settled'), create(h, 'open')]
  const kept = h.accept('B', settled, h.genesis)
  const first = checkpoint(h, [kept])
  for (const who of ['F', 'A', 'B']) h.vote(who, first.body, kept)
  const lost = h.accept('B', open, kept)
  h.remove('F', 'B', h.genesis)
  const after = await settledOutcomeOf(h)
  expect([after.isVoid(kept), after.isVoid(lost)]).toEqual([false, true])
  expect([after.item(settled), after.item(open)]).toEqual(['accepted', 'pending'])
})

test('T32b K-1: what is void in a settled state stays void, though its remover comes to know it', async () => {
  const h = history(['F', 'A', 'B'])
  const q = create(h, 'q')
  const struck = h.accept('B', q, h.genesis)
  const removal = h.remove('F', 'B', h.genesis)
  const first = checkpoint(h, [struck, removal])
  const known = h.noop('F', struck)
  expect((await settledOutcomeOf(h)).isVoid(struck)).toBe(false)

  h.vote('F', first.body, removal)
  h.vote('A', first.body, removal)
  const after = await settledOutcomeOf(h)
  expect(after.chain).toEqual([first.id])
  expect([after.isVoid(struck), after.isVoid(known), after.item(q)]).toEqual([
    true,
    false,
    'pending',
  ])
})

test('R1: once a leaving is settled, what its author writes beside it is void', async () => {
  const h = history(['F', 'A'])
  const q = create(h, 'q')
  const leaving = h.remove('A', 'A', h.genesis)
  const beside = h.accept('A', q, h.genesis)
  expect((await settledOutcomeOf(h)).item(q)).toBe('accepted')
  const first = checkpoint(h, [leaving])
  h.vote('F', first.body, leaving)
  const after = await settledOutcomeOf(h)
  expect([after.chain.length, after.isVoid(beside), after.item(q)]).toEqual([1, true, 'pending'])
})

test('X9: an update that waits for its base does not replace the settled head when it wakes', async () => {
  const h = history(['F', 'A'])
  const c = create(h, 'c')
  const v = update(h, c, c, 'v')
  const w = update(h, c, v, 'w')
  const u = update(h, c, c, 'u')
  h.accept('F', c)
  h.accept('F', w)
  const last = h.accept('F', u)
  const first = checkpoint(h, [last])
  const wake = () => h.accept('A', v, h.genesis)
  wake()
  expect((await settledOutcomeOf(h)).heads(c)[0]).toBe(headKey(w))
  h.vote('F', first.body)
  h.vote('A', first.body)
  expect((await settledOutcomeOf(h)).heads(c)).toEqual([headKey(u), headKey(w)])
})

test('X10: nor does one whose base was accepted, settled, and withheld', async () => {
  const h = history(['F', 'A'])
  const c = create(h, 'c')
  const v = update(h, c, c, 'v')
  const w = update(h, c, v, 'w')
  const u = update(h, c, c, 'u')
  for (const proposal of [c, v, w]) h.accept('F', proposal)
  const last = h.accept('F', u)
  const first = checkpoint(h, [last], undefined, [v])
  h.vote('F', first.body)
  h.vote('A', first.body)
  const withheld = await settledOutcomeOf(h, { withheld: [v] })
  expect([withheld.chain.length, withheld.heads(c)]).toEqual([1, [headKey(u)]])
  const told = await settledOutcomeOf(h)
  expect([told.chain.length, told.heads(c)]).toEqual([1, [headKey(u), headKey(w)]])
})

test('K-5: a checkpoint that covers a withheld proposal waits for it', async () => {
  const h = history(['F'])
  const c = create(h, 'c')
  const first = checkpoint(h, [h.accept('F', c)])
  h.vote('F', first.body)
  expect((await settledOutcomeOf(h, { withheld: [c] })).chain).toEqual([])
  expect((await settledOutcomeOf(h)).chain).toEqual([first.id])
})

test('X13 K-2: an owner who is removed in a checkpoint does not hold it up', async () => {
  const h = history(['F', 'A'])
  const around = checkpoint(h, [h.noop('F')])
  h.vote('F', around.body)
  expect((await settledOutcomeOf(h)).chain).toEqual([])
  const with_ = checkpoint(h, [h.remove('F', 'A')])
  h.vote('F', with_.body)
  const after = await settledOutcomeOf(h)
  expect([after.chain, after.ownersCount]).toEqual([[with_.id], 1])
})

test('X20 K-4: a quorum of juniors settles a history around a removal by their senior', async () => {
  const h = history(['F', 'A', 'B', 'C'])
  const [q, p] = [create(h, 'q'), create(h, 'p')]
  const yes = h.accept('A', q, h.genesis)
  h.remove('F', 'A', h.genesis)
  expect((await settledOutcomeOf(h)).item(q)).toBe('pending')
  const first = checkpoint(h, [yes])
  for (const who of ['A', 'B', 'C']) h.vote(who, first.body, yes)
  const more = h.accept('A', p, yes)
  const between = await settledOutcomeOf(h)
  expect([between.item(q), between.item(p)]).toEqual(['accepted', 'pending'])
  const second = checkpoint(h, [more], first)
  for (const who of ['A', 'B', 'C']) h.vote(who, second.body, more)
  const after = await settledOutcomeOf(h)
  expect([after.chain.length, after.item(q), after.item(p)]).toEqual([2, 'accepted', 'accepted'])
})

test('X25: who removes everybody and settles that alone loses to a sibling with more votes', async () => {
  const h = history(['F', 'A', 'B', 'C'])
  const q = create(h, 'q')
  const yes = h.accept('A', q, h.genesis)
  const a = h.remove('F', 'A', h.genesis)
  const b = h.remove('F', 'B', a)
  const c = h.remove('F', 'C', b)
  const alone = checkpoint(h, [c])
  h.vote('F', alone.body, c)
  const before = await settledOutcomeOf(h)
  expect([before.chain, before.item(q), before.ownersCount]).toEqual([[alone.id], 'pending', 1])
  const honest = checkpoint(h, [yes])
  for (const who of ['A', 'B', 'C']) h.vote(who, honest.body, yes)
  const after = await settledOutcomeOf(h)
  expect([after.chain, after.forks, after.item(q)]).toEqual([[honest.id], 1, 'accepted'])
})

test('X29b: a back-dated acceptance takes a name in the open part, and not once it is settled', async () => {
  const h = history(['F', 'A'])
  const [mine, theirs] = [create(h, 'name'), create(h, 'name')]
  const yes = h.accept('F', mine, h.noop('F'))
  const first = checkpoint(h, [yes])
  h.accept('A', theirs, h.genesis)
  expect((await settledOutcomeOf(h)).ownerOf('name', [mine, theirs])).toBe(1)
  h.vote('F', first.body)
  h.vote('A', first.body)
  expect((await settledOutcomeOf(h)).ownerOf('name', [mine, theirs])).toBe(0)
})

test('X32 K-6: a removed owner keeps its vote until its removal is settled', async () => {
  const h = history(['F', 'A', 'B', 'C'])
  const q = create(h, 'q')
  const yes = h.accept('A', q, h.genesis)
  const first = checkpoint(h, [yes])
  h.vote('B', first.body, yes)
  h.vote('C', first.body, yes)
  const removal = h.remove('F', 'A', h.genesis)
  const before = await settledOutcomeOf(h)
  expect([before.chain.length, before.item(q)]).toEqual([0, 'pending'])
  const vote = h.vote('A', first.body, yes)
  const after = await settledOutcomeOf(h)
  expect([after.chain.length, after.isVoid(vote), after.item(q)]).toEqual([1, true, 'accepted'])

  // Settled itself, the removal ends that.
  const second = checkpoint(h, [yes, removal], first)
  for (const who of ['F', 'B', 'C']) h.vote(who, second.body, removal)
  const third = checkpoint(h, [h.noop('F', removal, yes)], second)
  h.vote('A', third.body, yes)
  h.vote('B', third.body, removal)
  expect((await settledOutcomeOf(h)).chain).toEqual([first.id, second.id])
})

test('K-3: a sole founder rewrites the first checkpoint for all but those with an anchor', async () => {
  const h = history(['F'])
  const [q, p] = [create(h, 'n'), create(h, 'n')]
  const one = checkpoint(h, [h.accept('F', q, h.genesis)])
  const other = checkpoint(h, [h.accept('F', p, h.genesis)])
  const [smaller, larger] = one.id < other.id ? [one, other] : [other, one]
  h.vote('F', larger.body)
  expect((await settledOutcomeOf(h)).chain).toEqual([larger.id])
  h.vote('F', smaller.body)
  const after = await settledOutcomeOf(h)
  expect([after.chain, after.forks]).toEqual([[smaller.id], 1])
  expect((await settledOutcomeOf(h, { anchor: larger.id })).chain).toEqual([larger.id])
})

test('X27 B-3: a policy of the settled part that is endorsed later changes nothing in it', async () => {
  const h = history(['F', 'A', 'B'], '', { kOwner: 2 })
  const [q, p] = [create(h, 'q'), create(h, 'p')]
  const policy = h.policy('F', 2, h.genesis)
  const yes = h.accept('B', q, policy)
  const first = checkpoint(h, [yes])
  h.endorse('A', policy, yes)
  h.accept('B', p, policy)
  expect((await settledOutcomeOf(h)).item(q)).toBe('pending')
  for (const who of ['F', 'A', 'B']) h.vote(who, first.body, yes)
  const after = await settledOutcomeOf(h)
  expect([after.chain.length, after.item(q), after.item(p)]).toEqual([1, 'accepted', 'pending'])
})

test('C-2: the settled owner of a name keeps it when what kept a third one out moves away', async () => {
  const h = history(['F'])
  const [inner, outer, beside] = [create(h, 'a/b/c'), create(h, 'a/b'), create(h, 'a/b/d')]
  for (const proposal of [inner, outer, beside]) h.accept('F', proposal)
  const first = checkpoint(h, [h.noop('F')])
  h.accept('F', update(h, inner, inner, 'z'))
  const all = [inner, outer, beside]
  const before = await settledOutcomeOf(h)
  expect(['a/b', 'a/b/d', 'z'].map((name) => before.ownerOf(name, all))).toEqual([1, -1, 0])
  h.vote('F', first.body)
  const after = await settledOutcomeOf(h)
  expect(['a/b', 'a/b/d', 'z'].map((name) => after.ownerOf(name, all))).toEqual([-1, 2, 0])
})

test('a checkpoint that does not contain the one before it cannot follow it', async () => {
  const h = history(['F'])
  const one = h.noop('F', h.genesis)
  const other = h.noop('F', h.genesis)
  const first = checkpoint(h, [one])
  h.vote('F', first.body, one)
  h.vote('F', checkpoint(h, [other], first).body, one)
  expect((await settledOutcomeOf(h)).chain).toEqual([first.id])
  const both = checkpoint(h, [one, other], first)
  h.vote('F', both.body, one)
  expect((await settledOutcomeOf(h)).chain).toEqual([first.id, both.id])
})

test('nor can one that leaves out an event, which is covered before or is the genesis', async () => {
  const h = history(['F'])
  const kept = h.noop('F')
  const none = checkpoint(h, [kept], undefined, [h.genesis as never])
  h.vote('F', none.body, kept)
  expect((await settledOutcomeOf(h)).chain).toEqual([])
  const first = checkpoint(h, [kept])
  h.vote('F', first.body, kept)
  const more = h.noop('F')
  const second = checkpoint(h, [more], first, [kept as never])
  h.vote('F', second.body, more)
  const after = await settledOutcomeOf(h)
  expect([after.chain, after.forks]).toEqual([[first.id], 0])
})
