// How many owners have accepted and how many must, against the rule that decides.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type ApprovalRun, approvalsIn, othersOf } from '../../src/api/review/approvals.ts'
import type { Run } from '../../src/api/review/review-batch.ts'
import { acceptDateOf, rankBytesOf } from '../../src/core/accept-date.ts'
import { decide } from '../../src/core/decisions.ts'
import { type EventId, founderTenure, type PublicKey } from '../../src/core/ids.ts'
import type { ReviewOfProposal } from '../../src/core/state.ts'
import { keyNamed } from '../makers.ts'

const OPERATIONS = 6
const founder = rankBytesOf({ id: founderTenure(0), addDepth: 0, founderIndex: 0 })

function reviewOf(depth: number, of: Partial<ReviewOfProposal>): ReviewOfProposal {
  const event = String(depth).padStart(64, '0') as EventId
  return {
    event,
    key: keyNamed('ada'),
    verdict: 'accept',
    date: acceptDateOf(depth, founder, event),
    valid: true,
    requires: 2,
    rejectsBefore: [],
    validRejectsBefore: [],
    ...of,
  }
}

const range = fc
  .tuple(fc.nat(OPERATIONS - 1), fc.nat(OPERATIONS - 1))
  .map(([a, b]): Run => [Math.min(a, b), Math.max(a, b)])
const reviews = fc
  .array(
    fc.record({
      verdict: fc.constantFrom('accept' as const, 'accept' as const, 'reject' as const),
      key: fc.constantFrom('ada', 'bob', 'eve', 'dan').map(keyNamed),
      valid: fc.constantFrom(true, true, true, false),
      requires: fc.integer({ min: 1, max: 4 }),
      ranges: fc.option(
        range.map((run) => [run]),
        { nil: undefined },
      ),
      sees: fc.boolean(),
    }),
    { maxLength: 7 },
  )
  .map((sketches) => {
    const made: ReviewOfProposal[] = []
    for (const [i, { ranges, sees, ...of }] of sketches.entries()) {
      const before = sees ? made.filter(({ verdict }) => verdict === 'reject') : []
      const rejectsBefore = before.map(({ event }) => event)
      const validRejectsBefore = before.filter(({ valid }) => valid).map(({ event }) => event)
      const known = { ...of, rejectsBefore, validRejectsBefore }
      made.push(reviewOf(i, ranges === undefined ? known : { ...known, ranges }))
    }
    return made
  })

const openOf = (said: readonly ReviewOfProposal[]) =>
  decide(OPERATIONS, said)
    .filter(({ status }) => status === 'pending')
    .map(({ from, to }): Run => [from, to])

const statusAt = (said: readonly ReviewOfProposal[], index: number) =>
  decide(OPERATIONS, said).find(({ from, to }) => from <= index && index <= to)?.status

/** The same with so many owners more, who have said nothing yet, and accept now. */
const withMore = (said: readonly ReviewOfProposal[], count: number, requires: number) => [
  ...said,
  ...Array.from({ length: count }, (_, i) =>
    reviewOf(100 + i, { key: keyNamed(`new ${i}`), requires }),
  ),
]

it('as many more owners as are missing decide, and one fewer do not', () => {
  fc.assert(
    fc.property(reviews, fc.integer({ min: 1, max: 4 }), (said, kReview) => {
      for (const { run, approvals } of approvalsIn(openOf(said), said, { kReview })) {
        const missing = approvals.needed - approvals.have
        for (let index = run[0]; index <= run[1]; index++) {
          expect(statusAt(withMore(said, missing, kReview), index)).toBe('accepted')
          expect(statusAt(withMore(said, missing - 1, kReview), index)).toBe('pending')
        }
      }
    }),
  )
})

it('what is said of an owner who accepts now is what comes of it', () => {
  fc.assert(
    fc.property(reviews, fc.integer({ min: 1, max: 4 }), (said, kReview) => {
      const key = keyNamed('ada')
      for (const { run, ifAccepted, isMine } of approvalsIn(openOf(said), said, { kReview, key })) {
        const after = [...said, reviewOf(100, { key, requires: kReview })]
        const isDecided = ifAccepted.have >= ifAccepted.needed
        expect(statusAt(after, run[0])).toBe(isDecided ? 'accepted' : 'pending')
        if (isMine) expect(isDecided).toBe(false)
      }
    }),
  )
})

it('the runs are all that is open, once', () => {
  fc.assert(
    fc.property(reviews, (said) => {
      const runs = approvalsIn(openOf(said), said, { kReview: 2 })
      const indexes = (list: readonly Run[]) =>
        list.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i))
      expect(indexes(runs.map(({ run }) => run))).toEqual(indexes(openOf(said)))
    }),
  )
})

it('a second acceptance by the same key adds nothing, unless the policy was lowered meanwhile', () => {
  const key = keyNamed('ada')
  const said = [reviewOf(1, { key, requires: 3 })]
  const mineAt = (kReview: number) =>
    approvalsIn([[0, 5]], said, { kReview, key }).map(({ isMine }) => isMine)
  expect([mineAt(3), mineAt(2)]).toEqual([[true], [false]])
})

it('what the key has not accepted is found in its runs', () => {
  const run = (from: number, to: number, isMine: boolean): ApprovalRun => {
    const approvals = { have: 1, needed: 2 }
    return { run: [from, to], approvals, ifAccepted: approvals, isMine }
  }
  expect(othersOf([run(0, 1, false), run(2, 2, false), run(3, 4, true), run(5, 5, false)])).toEqual(
    [
      [0, 2],
      [5, 5],
    ],
  )
})

it('nobody who has accepted is counted twice', () => {
  const key: PublicKey = keyNamed('bob')
  const said = [reviewOf(1, { key }), reviewOf(2, { key }), reviewOf(3, { ranges: [[0, 1]] })]
  const found = approvalsIn([[2, 5]], said, { kReview: 2 })
  expect(found.map(({ run, approvals }) => [run, approvals])).toEqual([
    [[2, 5], { have: 1, needed: 2 }],
  ])
})
