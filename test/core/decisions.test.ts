// Layer B on its own, against one sentence per operation.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { acceptDateOf, compareDates, rankBytesOf } from '../../src/core/accept-date.ts'
import { decide } from '../../src/core/decisions.ts'
import type { EventId } from '../../src/core/ids.ts'
import { founderTenure } from '../../src/core/ids.ts'
import type { Decision, ReviewOfProposal } from '../../src/core/state.ts'
import { keyNamed } from '../makers.ts'

const founder = rankBytesOf({ id: founderTenure(0), addDepth: 0, founderIndex: 0 })

interface Sketch {
  verdict: 'accept' | 'reject'
  key: string
  depth: number
  valid: boolean
  requires: number
  ranges: [number, number][] | undefined
  /** Earlier reviews, by place, that are in its past. */
  before: number[]
  /** Of those, the ones that were not valid then. */
  voidThen: number[]
}

function reviewsOf(sketches: readonly Sketch[]): ReviewOfProposal[] {
  const idOf = (i: number) => String(i).padStart(64, '0') as EventId
  return sketches.map((sketch, i) => {
    const { verdict, key, depth, valid, requires, ranges, before, voidThen } = sketch
    const rejects = before.filter((j) => j < i && sketches[j]?.verdict === 'reject')
    return {
      event: idOf(i),
      key: keyNamed(key),
      verdict,
      date: acceptDateOf(depth, founder, idOf(i)),
      valid,
      requires,
      ...(ranges && { ranges }),
      rejectsBefore: rejects.map(idOf),
      validRejectsBefore: rejects.filter((j) => !voidThen.includes(j)).map(idOf),
    }
  })
}

function decideOne(index: number, reviews: readonly ReviewOfProposal[]): string {
  const about = reviews.filter(
    ({ ranges }) => ranges?.some(([from, to]) => from <= index && index <= to) ?? true,
  )
  const isAbout = (id: EventId) => about.some(({ event }) => event === id)
  const byDate = about.toSorted((a, b) => compareDates(a.date, b.date))
  const accepts = byDate.filter(({ valid, verdict }) => valid && verdict === 'accept')
  const counting = accepts.filter(({ validRejectsBefore }) => !validRejectsBefore.some(isAbout))
  const accept = counting.find((_, i) => isEnough(counting.slice(0, i + 1)))
  if (accept !== undefined) return `accepted ${accept.event}`
  const reject = byDate.find(
    ({ event, key, valid, verdict }) =>
      valid &&
      verdict === 'reject' &&
      !accepts.some((later) => later.key === key && later.rejectsBefore.includes(event)),
  )
  return reject === undefined ? 'pending' : `rejected ${reject.event}`
}

function isEnough(accepts: readonly ReviewOfProposal[]): boolean {
  return [1, 2, 3].some((i) => {
    const within = accepts.filter(({ requires }) => requires <= i)
    return new Set(within.map(({ key }) => key)).size >= i
  })
}

const textOf = (d: Decision) => (d.status === 'pending' ? 'pending' : `${d.status} ${d.by}`)

test('the runs cover every operation once and say what the sentence says of each', () => {
  const range = fc
    .tuple(fc.nat(80), fc.nat(40))
    .map(([from, more]): [number, number] => [from, from + more])
  const sketch: fc.Arbitrary<Sketch> = fc.record({
    verdict: fc.constantFrom('accept', 'reject'),
    key: fc.constantFrom('F', 'A', 'B', 'C'),
    depth: fc.integer({ min: 1, max: 5 }),
    valid: fc.boolean(),
    requires: fc.constantFrom(1, 1, 2, 3),
    ranges: fc.option(fc.array(range, { minLength: 1, maxLength: 3 }), { nil: undefined }),
    before: fc.array(fc.nat(7)),
    voidThen: fc.array(fc.nat(7)),
  })
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 70 }),
      fc.array(sketch, { maxLength: 8 }),
      (count, sketches) => {
        const reviews = reviewsOf(sketches)
        const decisions = decide(count, reviews)
        expect(decide(count, reviews.toReversed())).toEqual(decisions)
        const texts = decisions.flatMap((d) => Array<string>(d.to - d.from + 1).fill(textOf(d)))
        expect(texts).toEqual(Array.from({ length: count }, (_, i) => decideOne(i, reviews)))
        expect(decisions.map(({ from }) => from)).toEqual(
          [0, ...decisions.map(({ to }) => to + 1)].slice(0, -1),
        )
        decisions.forEach(
          (d, i) => i > 0 && expect(textOf(d)).not.toBe(textOf(decisions[i - 1] as Decision)),
        )
      },
    ),
    { numRuns: 1_000 },
  )
})

test('without reviews everything is pending, in one run', () => {
  expect(decide(2_000, [])).toEqual([{ from: 0, to: 1_999, status: 'pending' }])
})

test('a reject named before an accept must be among the reviews', () => {
  const [review] = reviewsOf([
    {
      verdict: 'accept',
      key: 'F',
      depth: 1,
      valid: true,
      requires: 1,
      ranges: undefined,
      before: [],
      voidThen: [],
    },
  ]) as [ReviewOfProposal]
  const stray = { ...review, validRejectsBefore: ['f'.repeat(64) as EventId] }
  expect(() => decide(1, [stray])).toThrow('not among those of the proposal')
})

test('dates sort by depth, then rank with founders first, then event id', () => {
  const id = (digit: string) => digit.repeat(64) as EventId
  const owner = (addDepth: number, digit: string) =>
    rankBytesOf({ id: id(digit) as string as ReturnType<typeof founderTenure>, addDepth })
  const second = rankBytesOf({ id: founderTenure(1), addDepth: 0, founderIndex: 1 })
  const dates = [
    acceptDateOf(1, founder, id('9')),
    acceptDateOf(1, second, id('0')),
    acceptDateOf(1, second, id('1')),
    acceptDateOf(1, owner(1, 'f'), id('0')),
    acceptDateOf(1, owner(2, '0'), id('0')),
    acceptDateOf(256, founder, id('0')),
    acceptDateOf(2 ** 40, founder, id('0')),
  ]
  expect(dates.toReversed().sort(compareDates)).toEqual(dates)
  expect(dates.every(({ length }) => length === 80)).toBe(true)
})
