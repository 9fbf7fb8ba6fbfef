// A clone of many files of 20 kB between two daemons, against plain Helia fetching the same directory
// over Bitswap between two processes.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { cloneOnce, shareFolder } from './clones.ts'
import { makeFolder } from './folders.ts'
import { type Bench, interleave, ratioOf } from './harness.ts'
import { startWorker } from './worker.ts'
import type { BitswapMethods } from './workers/bitswap.ts'

const BYTES_EACH = 20_000

export async function run(bench: Bench): Promise<void> {
  const files = bench.pick(2_000, 20_000)
  const folder = await makeFolder(join(bench.dir, 'folder'), { files, bytesEach: BYTES_EACH })
  const source = await shareFolder(bench, folder)
  const server = startWorker<BitswapMethods>('bitswap')
  const { address, root } = await server.call.share(join(bench.dir, 'bitswap'), folder)
  const peaks: number[] = []
  const { clone, bitswap } = await interleave(bench.rounds, {
    clone: async () => files / (await cloneOnce(bench, source, peaks)),
    bitswap: async () => {
      const worker = startWorker<BitswapMethods>('bitswap')
      const dir = join(bench.dir, 'fetched')
      const fetched = await worker.call.fetch(dir, address, root)
      await worker.stop()
      await rm(dir, { recursive: true })
      if (fetched.files !== files) throw new Error(`Bitswap brought ${fetched.files} files`)
      return files / fetched.seconds
    },
  })
  const { peakBytes } = await source.daemon.memory()
  const size = `${files} × ${BYTES_EACH} B`
  bench.report({
    what: 'clone: small files',
    size,
    samples: clone,
    unit: 'files/s',
    goal: { atLeast: 3_000 },
    ratio: ratioOf(clone, bitswap, 'Helia Bitswap', { atLeast: 5 }),
    peakBytes: [Math.max(...peaks), peakBytes],
  })
  bench.report({ what: 'Helia Bitswap', size, samples: bitswap, unit: 'files/s' })
  await Promise.all([server.stop(), source.daemon.stop()])
}
