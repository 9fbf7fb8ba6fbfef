// Layer A over every small history: nothing left to chance up to a size.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Choices } from '../reference/generator.ts'
import {
  everyHistory,
  oneFounder,
  randomSteps,
  threeFounders,
  twoOfThree,
  twoOfThreeAccept,
} from '../reference/small-model.ts'
import { checkSmallHistory } from '../reference/small-model-check.ts'

/** About 15 s on an idle core; the machine may be busy. */
const FULL_MODEL_MS = 300_000

test('one founder, up to 4 operations: every history obeys the rules, whoever comes last', () => {
  const counts = [1, 2, 3, 4].map((length) =>
    everyHistory(oneFounder, length, (steps) => checkSmallHistory(oneFounder, steps, true)),
  )
  expect(counts).toEqual([7, 98, 2_429, 98_686])
})

test('three founders, up to 3 operations: every history obeys them, whoever comes last', () => {
  const counts = [1, 2, 3].map((length) =>
    everyHistory(threeFounders, length, (steps) => checkSmallHistory(threeFounders, steps, true)),
  )
  expect(counts).toEqual([18, 531, 23_658])
})

test(
  'three founders, 4 operations: in every history the reducers agree and somebody stays',
  { timeout: FULL_MODEL_MS },
  () => {
    let visited = 0
    const count = everyHistory(threeFounders, 4, (steps) =>
      checkSmallHistory(threeFounders, steps, visited++ % 16 === 0),
    )
    expect(count).toBe(1_530_732)
  },
)

test('two of three founders, up to 3 operations: every history obeys them, whoever comes last', () => {
  const counts = [twoOfThree, twoOfThreeAccept].map((model) =>
    [1, 2, 3].map((length) =>
      everyHistory(model, length, (steps) => checkSmallHistory(model, steps, true)),
    ),
  )
  expect(counts).toEqual([
    [15, 423, 19_731],
    [12, 267, 9_610],
  ])
})

test('two of three founders, 4 operations: in every eighth history the reducers agree', () => {
  const counts = [twoOfThree, twoOfThreeAccept].map((model) => {
    let visited = 0
    return everyHistory(model, 4, (steps) => {
      if (visited++ % 8 === 0) checkSmallHistory(model, steps, visited % 128 === 1)
    })
  })
  expect(counts).toEqual([1_436_549, 525_681])
})

test('two of three founders, 5 to 7 operations: random histories obey them, whoever comes last', () => {
  const model = fc.constantFrom(twoOfThree, twoOfThreeAccept)
  fc.assert(
    fc.property(model, fc.integer({ min: 5, max: 7 }), fc.integer(), (of, length, seed) => {
      const choices = new Choices(seed)
      checkSmallHistory(of, randomSteps(of, length, choices), true)
    }),
    { numRuns: 1_000 },
  )
})
