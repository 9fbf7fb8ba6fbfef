// Whole nodes, simulated: whatever fails and whoever lies, nodes with the same events have the same
// state, nothing that was acknowledged is lost, and everybody catches up. `npm run simulate` runs more.
import { expect, test } from 'vitest'
import { actions } from './actions.ts'
import { planOf } from './plan.ts'
import { run } from './run.ts'

const SHORT_RUNS = 120
const LONG_RUNS = 3

test(`${SHORT_RUNS} short runs of 3 to 7 nodes go well, and everything that can happen happens`, async () => {
  const happened = new Set<string>()
  const heights: number[] = []
  for (let seed = 1; seed <= SHORT_RUNS; seed++) {
    const { failure, counts, census } = await run(planOf(seed))
    expect(failure, `npm run simulate -- --seed ${seed}`).toBeUndefined()
    for (const what of Object.keys(counts)) happened.add(what)
    heights.push(census['final checkpoints'] ?? 0)
  }
  const expected = Object.keys(actions).filter((kind) => kind !== 'quiet')
  expect(expected.filter((kind) => !happened.has(kind))).toEqual([])
  expect(heights.filter((height) => height >= 1).length).toBeGreaterThan(SHORT_RUNS / 3)
  expect(heights.filter((height) => height >= 3).length).toBeGreaterThan(SHORT_RUNS / 10)
})

test(`${LONG_RUNS} long runs of 7 nodes go well, with quiet times between`, async () => {
  for (let seed = 1; seed <= LONG_RUNS; seed++) {
    const plan = planOf(seed, { nodes: 7, steps: 5_000 })
    const { failure, checks } = await run(plan)
    const command = `npm run simulate -- --seed ${seed} --nodes 7 --steps 5000`
    expect(failure, command).toBeUndefined()
    expect(checks).toBeGreaterThan(2 * plan.nodes)
  }
})

test('the same seed gives the same run', async () => {
  for (const seed of [3, 14, 159]) {
    const first = await run(planOf(seed))
    expect(await run(planOf(seed))).toEqual(first)
  }
})
