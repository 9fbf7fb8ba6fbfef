// T2 in its long form: DAGS random histories (default 20,000), each in ARRIVALS (default 12) ways;
// every hundredth is large, and in every other up to three keys have to agree. SEED starts another run.
import { expect, test } from 'vitest'
import { checkHistory } from '../reference/check-history.ts'
import { Choices } from '../reference/generator.ts'

const dags = Number(process.env['DAGS'] ?? 20_000)
const arrivals = Number(process.env['ARRIVALS'] ?? 12)
const seed = Number(process.env['SEED'] ?? 1)

test(`T2: ${dags} random histories in ${arrivals} arrivals each, from seed ${seed}`, () => {
  const choices = new Choices(seed)
  let events = 0
  for (let i = 0; i < dags; i++) {
    const ownerEvents = i % 100 === 99 ? 300 : 1 + choices.below(45)
    const own = choices.below(2 ** 31)
    const kOwnerMax = i % 2 === 0 ? 1 : 3
    try {
      events += checkHistory(own, ownerEvents, i % 100 === 99 ? 3 : arrivals, { kOwnerMax })
    } catch (error) {
      throw new Error(`checkHistory(${own}, ${ownerEvents}, …, ${kOwnerMax})`, { cause: error })
    }
  }
  expect(events).toBeGreaterThan(dags)
})
