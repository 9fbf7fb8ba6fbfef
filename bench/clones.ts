// A daemon that holds a folder, and clones of its dataset by new daemons, one after the other.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Daemon, startDaemon } from './daemons.ts'
import { type Bench, seconds } from './harness.ts'

export interface Source {
  readonly daemon: Daemon
  readonly root: string
}

export async function shareFolder(bench: Bench, folder: string): Promise<Source> {
  const daemon = await startDaemon(join(bench.dir, 'source'))
  await daemon.api.createDataset({ name: 'bench' })
  await daemon.api.add('bench', { paths: [folder], accept: true })
  const { root } = await daemon.api.root('bench')
  return { daemon, root }
}

/** Clones into a new home, which is removed again. @returns seconds. */
export async function cloneOnce(
  bench: Bench,
  { daemon, root }: Source,
  peaks: number[],
): Promise<number> {
  const home = join(bench.dir, 'clone')
  const mine = await startDaemon(home)
  const took = await seconds(() => mine.api.clone({ ref: root, peers: [daemon.address] }))
  peaks.push((await mine.memory()).peakBytes)
  await mine.stop()
  await rm(home, { recursive: true })
  return took
}
