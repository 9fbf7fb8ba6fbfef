// The simulator finds bugs: each of these is planted, and must be found within 500 seeds.
import { expect, test } from 'vitest'
import { planOf } from './plan.ts'
import { planted } from './planted.ts'
import { run } from './run.ts'
import { shrunk } from './shrink.ts'

const SEEDS = 500

for (const [bug, subject] of Object.entries(planted)) {
  test(`finds ${bug} within ${SEEDS} seeds, and not without it`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const plan = planOf(seed)
      const { failure } = await run(plan, { subject })
      if (failure === undefined) continue
      expect((await run(plan)).failure).toBeUndefined()
      return
    }
    expect.fail('not found')
  })
}

test('a plan that fails is made smaller, and still fails in the same way', async () => {
  const subject = planted['a missing sync before publishing'] ?? {}
  for (let seed = 1; ; seed++) {
    const plan = planOf(seed)
    const { failure } = await run(plan, { subject })
    if (failure === undefined) continue
    const kindOf = async (some: typeof plan) => (await run(some, { subject })).failure?.kind
    const small = await shrunk(plan, async (some) => (await kindOf(some)) === failure.kind, 150)
    expect(await kindOf(small)).toBe(failure.kind)
    expect(small.actions.length).toBeLessThan(plan.actions.length / 2)
    return
  }
})
