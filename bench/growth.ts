// What one more event costs in a large dataset, against a small one: events submitted and taken into
// the root, in turns. And what a daemon weighs that holds the large one and does nothing.
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { startDaemon } from './daemons.ts'
import { type OpenReplica, openReplica, submitAll } from './dataset.ts'
import { type Bench, interleave, ratioOf, seconds } from './harness.ts'
import { startWorker } from './worker.ts'
import type { FillMethods } from './workers/fill.ts'

const PER_PROPOSAL = 1_000
const PAIRS_PER_ROUND = 200
const PAIRS_PER_ROOT = 20
interface Side extends OpenReplica {
  readonly home: string
  readonly objects: number
  /** Pairs of events that are not in it yet. */
  readonly more: Uint8Array[]
}

/** After which whatever a start does is done. */
const SETTLED_MS = 5_000

export async function run(bench: Bench): Promise<void> {
  const sizes = bench.pick([2_000, 50_000], [10_000, 1_000_000])
  const fill = startWorker<FillMethods>('fill')
  const sides: Side[] = []
  for (const objects of sizes) {
    const home = join(bench.dir, `home-${objects}`)
    const pairs = PAIRS_PER_ROUND * (bench.rounds + 1)
    const { dataset, more } = await fill.call.fill(home, objects, PER_PROPOSAL, pairs)
    sides.push({ home, objects, more, ...(await openReplica(home, dataset)) })
  }
  await fill.stop()
  const [small, big] = sides as [Side, Side]
  const round = async ({ more, replica }: Side) => {
    const blocks = more.splice(0, PAIRS_PER_ROUND * 2)
    const took = await seconds(async () => {
      for (let at = 0; at < blocks.length; at += PAIRS_PER_ROOT * 2) {
        await submitAll(replica, blocks.slice(at, at + PAIRS_PER_ROOT * 2))
        await replica.snapshot()
      }
    })
    return (took / blocks.length) * 1e6
  }
  await round(small)
  await round(big)
  const costs = await interleave(bench.rounds, { big: () => round(big), small: () => round(small) })
  const unit = 'µs/event'
  bench.report({
    what: 'growth: event and root, large dataset',
    size: `${big.objects} objects`,
    samples: costs.big,
    unit,
    ratio: ratioOf(costs.big, costs.small, `${small.objects} objects`, { atMost: 1.3 }),
  })
  bench.report({
    what: 'growth: event and root, small dataset',
    size: `${small.objects} objects`,
    samples: costs.small,
    unit,
  })
  for (const side of sides) await side.close()
  await idleDaemon(bench, big.home, big.objects)
}

async function idleDaemon(bench: Bench, home: string, objects: number): Promise<void> {
  const daemon = await startDaemon(home)
  await daemon.api.listDatasets()
  await pause(SETTLED_MS)
  const { nowBytes, peakBytes } = await daemon.memory()
  await daemon.stop()
  bench.report({
    what: 'growth: idle daemon',
    size: `${objects} objects`,
    samples: [nowBytes / 2 ** 20],
    unit: 'MiB RSS',
    goal: { atMost: 300 },
    peakBytes: [peakBytes],
  })
}
