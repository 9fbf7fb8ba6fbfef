// Layer A over every history of OPERATIONS operations (default 5), for one founder, for three, and for
// three of whom two have to agree.
// PARTS and PART (from 0) split the work: each process takes every PARTS-th history. Who comes last
// is tried out on every LAST_COMERS_EVERY-th of those (default 8), being several times as dear.
import { expect, test } from 'vitest'
import {
  everyHistory,
  oneFounder,
  threeFounders,
  twoOfThree,
  twoOfThreeAccept,
} from '../reference/small-model.ts'
import { checkSmallHistory } from '../reference/small-model-check.ts'

const operations = Number(process.env['OPERATIONS'] ?? 5)
const parts = Number(process.env['PARTS'] ?? 1)
const part = Number(process.env['PART'] ?? 0)
const lastComersEvery = Number(process.env['LAST_COMERS_EVERY'] ?? 8)

for (const [who, model] of [
  ['one founder', oneFounder],
  ['three founders', threeFounders],
  ['two of three founders who must agree', twoOfThree],
  ['two of three founders who must accept', twoOfThreeAccept],
] as const) {
  const name = `every history of ${who} and ${operations} operations`
  test(`${name}, part ${part} of ${parts}`, () => {
    let visited = 0
    const count = everyHistory(model, operations, (steps) => {
      const own = Math.floor(visited / parts)
      if (visited++ % parts !== part) return
      checkSmallHistory(model, steps, own % lastComersEvery === 0)
    })
    expect(count).toBeGreaterThan(0)
    process.stdout.write(`${name}: ${count} in all, ${Math.floor(count / parts)} here\n`)
  })
}
