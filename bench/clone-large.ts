// A clone of few large files between two daemons, against the bytes alone over a bare libp2p stream
// between two processes.
import { join } from 'node:path'
import { cloneOnce, shareFolder } from './clones.ts'
import { makeFolder } from './folders.ts'
import { type Bench, interleave, ratioOf } from './harness.ts'
import { startWorker } from './worker.ts'
import type { StreamMethods } from './workers/stream.ts'

const FILES = 4
const MIB = 2 ** 20

export async function run(bench: Bench): Promise<void> {
  const bytesEach = bench.pick(64, 256) * MIB
  const bytes = FILES * bytesEach
  const folder = await makeFolder(join(bench.dir, 'folder'), { files: FILES, bytesEach })
  const source = await shareFolder(bench, folder)
  const [server, client] = [
    startWorker<StreamMethods>('stream'),
    startWorker<StreamMethods>('stream'),
  ]
  await client.call.dial(await server.call.listen())
  const peaks: number[] = []
  const { clone, stream } = await interleave(bench.rounds, {
    clone: async () => bytes / MIB / (await cloneOnce(bench, source, peaks)),
    stream: async () => bytes / MIB / (await client.call.take(bytes)),
  })
  const { peakBytes } = await source.daemon.memory()
  const size = `${FILES} × ${bytesEach / MIB} MiB`
  bench.report({
    what: 'clone: large files',
    size,
    samples: clone,
    unit: 'MiB/s',
    ratio: ratioOf(clone, stream, 'bare libp2p stream', { atLeast: 0.7 }),
    peakBytes: [Math.max(...peaks), peakBytes],
  })
  bench.report({ what: 'bare libp2p stream', size, samples: stream, unit: 'MiB/s' })
  await Promise.all([server.stop(), client.stop(), source.daemon.stop()])
}
