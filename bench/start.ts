// How long a person waits: for the help text, against Node itself, and for a daemon on an existing
// home to be ready.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { type Daemon, launcher, startDaemon } from './daemons.ts'
import { type Bench, interleave, ratioOf, seconds } from './harness.ts'
import { startWorker } from './worker.ts'
import type { FillMethods } from './workers/fill.ts'

export async function run(bench: Bench): Promise<void> {
  const { help, node } = await interleave(bench.rounds * 2, {
    help: () => seconds(() => execute([launcher, '--help'])).then(toMs),
    node: () => seconds(() => execute(['-e', '0'])).then(toMs),
  })
  bench.report({
    what: 'gonk-node --help',
    size: 'one process',
    samples: help,
    unit: 'ms',
    goal: { atMost: 150 },
    ratio: ratioOf(help, node, 'node -e 0'),
  })
  const events = bench.pick(10_000, 100_000)
  const home = join(bench.dir, 'home')
  const fill = startWorker<FillMethods>('fill')
  await fill.call.fill(home, events / 2, 1, 0)
  await fill.stop()
  const samples: number[] = []
  const peaks: number[] = []
  for (let round = 0; round < bench.rounds; round++) {
    let daemon: Daemon | undefined
    samples.push(toMs(await seconds(async () => (daemon = await startDaemon(home)))))
    peaks.push((await daemon?.memory())?.peakBytes ?? 0)
    await daemon?.stop()
  }
  bench.report({
    what: 'daemon ready',
    size: `home of ${events} events`,
    samples,
    unit: 'ms',
    goal: { atMost: 1_500 },
    peakBytes: [Math.max(...peaks)],
  })
}

const toMs = (took: number): number => took * 1_000

async function execute(args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, args, { stdio: 'ignore' })
  const [status] = (await once(child, 'exit')) as [number | null]
  if (status !== 0) throw new Error(`node ${args.join(' ')} ended with ${status}`)
}
