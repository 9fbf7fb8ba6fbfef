// T2-T4, T27: whatever the order, repetition or partition in which events arrive, the state is one,
// and it is what the reference says.
import fc from 'fast-check'
import { test } from 'vitest'
import { checkHistory } from '../reference/check-history.ts'

const RUNS = 1_000

test(`T2 T3 T4 T27: ${RUNS} random histories in 5 arrivals have the reference's state`, () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 32 }), (seed, ownerEvents) => {
      checkHistory(seed, ownerEvents, 5)
    }),
    { numRuns: RUNS },
  )
})

test(`T2 T3 T4 T27: ${RUNS} more where up to three keys have to agree`, () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 40 }), (seed, ownerEvents) => {
      checkHistory(seed, ownerEvents, 5, { kOwnerMax: 3 })
    }),
    { numRuns: RUNS },
  )
})

test('T2: larger histories of up to 150 owner events converge too', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 80, max: 150 }), (seed, ownerEvents) => {
      checkHistory(seed, ownerEvents, 2)
    }),
    { numRuns: 8 },
  )
})

test('T17: while leavings are ignored, a void add can wake another owner, however it arrives', () => {
  // Found by the long form: everybody had left, and the add made the removal of its author void.
  checkHistory(1_356_738_252, 44, 12)
})
