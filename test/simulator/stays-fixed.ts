// A run that failed once, as a test.
import { expect, test } from 'vitest'
import type { Plan } from './plan.ts'
import { run } from './run.ts'

export function staysFixed(plan: Plan): void {
  test(`seed ${plan.seed}, in ${plan.actions.length} actions, goes well`, async () => {
    const { failure } = await run(plan)
    expect(failure).toBeUndefined()
  })
}
