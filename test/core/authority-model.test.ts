// Layer A over every small history: nothing left to chance up to a size.
import { expect, test } from 'vitest'
import { everyHistory, oneFounder, threeFounders } from '../reference/small-model.ts'
import { checkSmallHistory } from '../reference/small-model-check.ts'

test('every history of one founder and up to 4 operations obeys the rules, whoever comes last', () => {
  const counts = [1, 2, 3, 4].map((length) =>
    everyHistory(oneFounder, length, (steps) => checkSmallHistory(oneFounder, steps, true)),
  )
  expect(counts).toEqual([7, 98, 2_429, 98_686])
})

test('every history of three founders and up to 3 operations obeys the rules, whoever comes last', () => {
  const counts = [1, 2, 3].map((length) =>
    everyHistory(threeFounders, length, (steps) => checkSmallHistory(threeFounders, steps, true)),
  )
  expect(counts).toEqual([18, 531, 23_658])
})

test('every history of three founders and 4 operations: the reducers agree and somebody owns it', () => {
  let visited = 0
  const count = everyHistory(threeFounders, 4, (steps) =>
    checkSmallHistory(threeFounders, steps, visited++ % 16 === 0),
  )
  expect(count).toBe(1_530_732)
})
