// `add` of a folder by a daemon: large files against `cp -r` and sha256sum, files of 20 kB against a
// bare UnixFS import into the same kind of blockstore. Sources are in the page cache on both sides.
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startDaemon } from './daemons.ts'
import { makeFolder, type Shape } from './folders.ts'
import { type Bench, interleave, ratioOf, seconds } from './harness.ts'
import { startWorker } from './worker.ts'
import type { ImportMethods } from './workers/import.ts'

const MIB = 2 ** 20
const execute = promisify(execFile)

export async function run(bench: Bench): Promise<void> {
  await largeFiles(bench, { files: 4, bytesEach: bench.pick(64, 256) * MIB })
  await smallFiles(bench, { files: bench.pick(2_000, 20_000), bytesEach: 20_000 })
}

async function largeFiles(bench: Bench, shape: Shape): Promise<void> {
  const folder = await makeFolder(join(bench.dir, 'large'), shape)
  const mib = (shape.files * shape.bytesEach) / MIB
  const peaks: number[] = []
  const { add, copy } = await interleave(bench.rounds, {
    add: async (round) => mib / (await addOnce(bench, folder, round, false, peaks)),
    copy: async () => {
      const target = join(bench.dir, 'copy')
      const command = 'cp -r "$0" "$1" && sha256sum "$1"/* > /dev/null'
      const took = await seconds(() => execute('sh', ['-c', command, folder, target]))
      await rm(target, { recursive: true })
      return mib / took
    },
  })
  bench.report({
    what: 'add: large files',
    size: `${shape.files} × ${shape.bytesEach / MIB} MiB`,
    samples: add,
    unit: 'MiB/s',
    ratio: ratioOf(add, copy, 'cp -r + sha256sum', { atLeast: 0.6 }),
    peakBytes: [Math.max(...peaks)],
  })
  await rm(folder, { recursive: true })
}

async function smallFiles(bench: Bench, shape: Shape): Promise<void> {
  const folder = await makeFolder(join(bench.dir, 'small'), shape)
  const peaks: number[] = []
  const { add, accepted, bare } = await interleave(bench.rounds, {
    add: async (round) => shape.files / (await addOnce(bench, folder, round, false, peaks)),
    accepted: async (round) => shape.files / (await addOnce(bench, folder, round, true, peaks)),
    bare: async () => {
      const worker = startWorker<ImportMethods>('import')
      const blocks = join(bench.dir, 'blocks')
      const took = await worker.call.import(folder, blocks)
      await worker.stop()
      await rm(blocks, { recursive: true })
      return shape.files / took
    },
  })
  const size = `${shape.files} × ${shape.bytesEach} B`
  const unit = 'files/s'
  bench.report({
    what: 'add: small files',
    size,
    samples: add,
    unit,
    ratio: ratioOf(add, bare, 'bare UnixFS import', { atLeast: 0.9 }),
    peakBytes: [Math.max(...peaks)],
  })
  const ratio = ratioOf(accepted, bare, 'bare UnixFS import')
  bench.report({ what: 'add --accept: small files', size, samples: accepted, unit, ratio })
}

/** Adds to a new home, which is removed again. @returns seconds. */
async function addOnce(
  bench: Bench,
  folder: string,
  round: number,
  accept: boolean,
  peaks: number[],
): Promise<number> {
  const home = join(bench.dir, `home-${round}`)
  const daemon = await startDaemon(home)
  await daemon.api.createDataset({ name: 'bench' })
  const took = await seconds(() => daemon.api.add('bench', { paths: [folder], accept }))
  peaks.push((await daemon.memory()).peakBytes)
  await daemon.stop()
  await rm(home, { recursive: true })
  return took
}
