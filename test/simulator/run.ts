// One run: the actions of a plan, one after the other, and after each round a quiet time in which every
// node must catch up and everything is compared.
import { Choices } from '../reference/generator.ts'
import { actions } from './actions.ts'
import { type Census, censusOf } from './census.ts'
import { compareAll, isCaughtUp } from './checks.ts'
import type { Subject } from './node.ts'
import { type Plan } from './plan.ts'
import { type Failure, World } from './world.ts'

export interface RunOptions {
  readonly subject?: Subject
}

export interface Outcome {
  readonly failure: Failure | undefined
  readonly steps: number
  /** Events that somebody stored. */
  readonly events: number
  /** Times that a node's state was compared with another's, or with the reference. */
  readonly checks: number
  /** How often each action and each fault came up. */
  readonly counts: Readonly<Record<string, number>>
  /** What it came to in the end; empty when it failed. */
  readonly census: Census
  /** Steps that it took to catch up, at most. */
  readonly quietSteps: number
  /** Equal for equal runs. */
  readonly trace: number
}

/** To catch up, each node may need so many steps, and so many more for each event. */
const QUIET_STEPS = 1_500
const QUIET_STEPS_PER_EVENT = 60
/** Things that arrive in the quiet make what was compared old: then it is compared again. */
const COMPARED_MAX = 50
const CHECK_EVERY = 16
const CENSUS_STEPS_MAX = 10_000

/** The same plan gives the same outcome. */
export async function run(plan: Plan, options: RunOptions = {}): Promise<Outcome> {
  const world = new World(plan, options.subject ?? {})
  const tally = { checks: 0, quietSteps: 0 }
  let census: Census = {}
  try {
    for (const node of world.nodes) node.start()
    const left = plan.actions.values()
    let isOver = false
    while (!isOver && world.failure === undefined) {
      isOver = await round(world, left)
      if (world.failure === undefined) await quiet(world, tally)
    }
    if (world.failure === undefined) {
      census = await world.scheduler.until(censusOf(world), CENSUS_STEPS_MAX)
    }
  } catch (error) {
    world.fail('error', error instanceof Error ? (error.stack ?? error.message) : String(error))
  }
  const { scheduler, library, network, counts } = world
  const outcome = {
    failure: world.failure,
    steps: scheduler.steps,
    events: library.size,
    counts: { ...counts, ...network.counts },
    trace: scheduler.trace,
    census,
    ...tally,
  }
  for (const node of world.nodes) node.release()
  return outcome
}

/** Actions until the next quiet point. @returns whether they were the last. */
async function round(world: World, left: Iterator<Plan['actions'][number]>): Promise<boolean> {
  const { scheduler } = world
  world.disturb()
  world.wantsQuiet = false
  const startMs = scheduler.nowMs
  let firstMs: number | undefined
  while (!world.wantsQuiet && world.failure === undefined) {
    const next = left.next()
    if (next.done === true) return true
    const { kind, atMs, pick } = next.value
    firstMs ??= atMs
    let isDue = false
    scheduler.in(Math.max(0, startMs + atMs - firstMs - scheduler.nowMs), () => {
      isDue = true
      world.count(kind)
      actions[kind].run(world, new Choices(pick))
    })
    await scheduler.run(() => isDue || world.failure !== undefined, Number.POSITIVE_INFINITY)
  }
  return false
}

async function quiet(world: World, tally: { checks: number; quietSteps: number }): Promise<void> {
  const { scheduler, nodes, library } = world
  const start = scheduler.steps
  const stepsMax = nodes.length * (QUIET_STEPS + QUIET_STEPS_PER_EVENT * library.size)
  world.calm()
  let asked = 0
  const isDone = () =>
    world.failure !== undefined || (asked++ % CHECK_EVERY === 0 && isCaughtUp(world))
  for (let i = 0; i < COMPARED_MAX; i++) {
    asked = 0
    if (!(await scheduler.run(isDone, stepsMax))) {
      return world.fail('behind', `not all nodes catch up in ${stepsMax} steps`)
    }
    if (world.failure !== undefined) return
    tally.quietSteps = Math.max(tally.quietSteps, scheduler.steps - start)
    const checks = await scheduler.until(compareAll(world), stepsMax)
    if (checks === undefined) continue
    tally.checks += checks
    return
  }
  world.fail('restless', 'there is no quiet in the quiet')
}
