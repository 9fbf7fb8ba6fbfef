// Runs the simulator: `npm run simulate -- --seed N` one seed, `--seeds A..B` many. A seed that fails is
// made smaller and kept as a test; the command that repeats it is printed. Exit code 1 then.
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { actions } from '../test/simulator/actions.ts'
import { type Plan, planOf } from '../test/simulator/plan.ts'
import { type Outcome, run } from '../test/simulator/run.ts'
import { keepFound, shrunk } from '../test/simulator/shrink.ts'
import type { Failure } from '../test/simulator/world.ts'

const FOUND = join(import.meta.dirname, '..', 'test', 'simulator', 'found')
const PROGRESS_EVERY = 100
/** So many have one cause: they need not all be kept. */
const FAILED_MAX = 20

const { values } = parseArgs({
  options: {
    /** One seed. */
    seed: { type: 'string' },
    /** `A..B`, both ends included. */
    seeds: { type: 'string' },
    /** How many. Without it 3 to 7, by the seed. */
    nodes: { type: 'string' },
    /** Of one run, roughly: a step is a message, a write, a timer or an action. */
    steps: { type: 'string' },
    /** The totals as JSON. */
    json: { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
  },
})

interface Totals {
  seeds: number
  steps: number
  events: number
  checks: number
  quietStepsMax: number
  counts: Record<string, number>
  /** What the runs came to: in all, in how many of them, and in one of them at most. */
  reached: Record<string, { total: number; seeds: number; max: number }>
  cpuSeconds: number
  failed: { seed: number; kind: string; what: string; command: string; test: string }[]
}

const print = (line: string): void => void process.stdout.write(`${line}\n`)
const note = (line: string): void => void process.stderr.write(`${line}\n`)

function numberOf(name: 'nodes' | 'steps', min: number): number | undefined {
  const text = values[name]
  if (text === undefined) return undefined
  const number = Number(text)
  if (!Number.isInteger(number) || number < min) throw new Error(`--${name} is at least ${min}`)
  return number
}

function seedsAsked(): [from: number, to: number] {
  const text = values.seeds ?? values.seed ?? String(Math.floor(Math.random() * 2 ** 31))
  const [, from, to] = /^(\d+)(?:\.\.(\d+))?$/.exec(text) ?? []
  if (from === undefined) throw new Error('give --seed N or --seeds A..B')
  return [Number(from), Number(to ?? from)]
}

function commandOf(seed: number): string {
  const more = (['nodes', 'steps'] as const).flatMap((name) =>
    values[name] === undefined ? [] : [`--${name} ${values[name]}`],
  )
  return ['npm run simulate -- --seed', String(seed), ...more].join(' ')
}

function add(totals: Totals, outcome: Outcome): void {
  totals.seeds++
  totals.steps += outcome.steps
  totals.events += outcome.events
  totals.checks += outcome.checks
  totals.quietStepsMax = Math.max(totals.quietStepsMax, outcome.quietSteps)
  for (const [what, count] of Object.entries(outcome.counts)) {
    totals.counts[what] = (totals.counts[what] ?? 0) + count
  }
  for (const [what, count] of Object.entries(outcome.census)) {
    const { total, seeds, max } = totals.reached[what] ?? { total: 0, seeds: 0, max: 0 }
    const isReached = count > 0 ? 1 : 0
    totals.reached[what] = {
      total: total + count,
      seeds: seeds + isReached,
      max: Math.max(max, count),
    }
  }
}

/** Says what failed, makes it smaller and keeps it. */
async function record(totals: Totals, plan: Plan, failure: Failure): Promise<void> {
  const command = commandOf(plan.seed)
  note(`seed ${plan.seed} fails: ${failure.kind}: ${failure.what}`)
  note(`  again: ${command}`)
  const small = await shrunk(plan, async (some) => {
    const again = await run(some)
    return again.failure?.kind === failure.kind
  })
  const last = await run(small)
  const test = await keepFound(FOUND, small, last.failure ?? failure, command)
  note(`  ${plan.actions.length} actions made ${small.actions.length}, kept as ${test}`)
  totals.failed.push({ seed: plan.seed, ...failure, command, test })
}

function table(totals: Totals, seconds: number): void {
  const { seeds, steps, events, checks, quietStepsMax, counts, reached, failed } = totals
  const rows: [string, number | string][] = [
    ['seeds', seeds],
    ['steps', steps],
    ['events', events],
    ['comparisons', checks],
    ['most steps to catch up', quietStepsMax],
    ['failed seeds', failed.length],
    ['seconds', seconds.toFixed(1)],
    ['steps per second', Math.round(steps / seconds)],
    ['steps per CPU second', Math.round(steps / totals.cpuSeconds)],
  ]
  const isAction = (what: string) => what in actions
  const of = (are: boolean) => Object.entries(counts).filter(([what]) => isAction(what) === are)
  for (const [what, count] of rows) print(`${what.padEnd(24)} ${count}`)
  for (const [what, count] of [...of(false), ...of(true)]) print(`  ${what.padEnd(22)} ${count}`)
  print(`${'at the end of a run'.padEnd(32)} in all    seeds  at most`)
  for (const [what, { total, seeds: some, max }] of Object.entries(reached)) {
    const cells = [total, some, max].map((number) => String(number).padStart(8))
    print(`  ${what.padEnd(28)} ${cells.join(' ')}`)
  }
}

const [from, to] = seedsAsked()
const options = { nodes: numberOf('nodes', 2), steps: numberOf('steps', 1) }
const totals: Totals = {
  seeds: 0,
  steps: 0,
  events: 0,
  checks: 0,
  quietStepsMax: 0,
  counts: {},
  reached: {},
  cpuSeconds: 0,
  failed: [],
}
const startMs = performance.now()
const startCpu = process.cpuUsage()
const seconds = (): number => (performance.now() - startMs) / 1_000
for (let seed = from; seed <= to; seed++) {
  const plan = planOf(seed, options)
  const outcome = await run(plan)
  add(totals, outcome)
  if (outcome.failure) await record(totals, plan, outcome.failure)
  if (outcome.failure && !values['keep-going']) break
  // A run is one job for the engine, which lets go of nothing that is weakly held until that ends.
  await setImmediate()
  if (totals.failed.length >= FAILED_MAX) break
  if (totals.seeds % PROGRESS_EVERY === 0) {
    const rate = Math.round(totals.steps / seconds())
    note(`${totals.seeds} seeds, ${totals.steps} steps, ${rate} steps/s`)
  }
}
const { user, system } = process.cpuUsage(startCpu)
totals.cpuSeconds = (user + system) / 1e6
if (values.json) print(JSON.stringify({ ...totals, seconds: seconds() }))
else table(totals, seconds())
process.exitCode = totals.failed.length > 0 ? 1 : 0
