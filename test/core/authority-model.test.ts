// Layer A over every small history: nothing left to chance up to a size.
import { expect, test } from 'vitest'
import { everyHistory, oneFounder, threeFounders } from '../reference/small-model.ts'
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
