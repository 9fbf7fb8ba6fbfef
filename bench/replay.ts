// The whole state from the log alone: every signature verified, every row and tree made anew.
import { join } from 'node:path'
import { type Bench, median } from './harness.ts'
import { startWorker } from './worker.ts'
import type { FillMethods } from './workers/fill.ts'
import type { ReplayMethods } from './workers/replay.ts'

const PER_PROPOSAL = 1_000
const FULL_OBJECTS = 1_000_000

export async function run(bench: Bench): Promise<void> {
  const objects = bench.pick(50_000, FULL_OBJECTS)
  const home = join(bench.dir, 'home')
  const fill = startWorker<FillMethods>('fill')
  const { dataset, events } = await fill.call.fill(home, objects, PER_PROPOSAL, 0)
  await fill.stop()
  const samples: number[] = []
  const peaks: number[] = []
  for (let round = 0; round < bench.rounds; round++) {
    const worker = startWorker<ReplayMethods>('replay')
    samples.push(await worker.call.replay(home, dataset))
    peaks.push(await worker.peakBytes())
    await worker.stop()
  }
  const isFull = objects === FULL_OBJECTS
  const peak = Math.max(...peaks)
  const rate = Math.round(objects / median(samples))
  const limit = peak < 500 * 2 ** 20 ? 'within' : 'ABOVE'
  bench.report({
    what: 'replay from the log',
    size: `${objects} objects, ${events} events`,
    samples,
    unit: 's',
    ...(isFull && { goal: { atMost: 60 } }),
    peakBytes: [peak],
    note: `${rate} objects/s; peak memory ${limit} 500 MiB`,
  })
}
