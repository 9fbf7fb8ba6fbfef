// Homes opened in this process, for backups of them.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { NodeApi } from '../../src/contract/api.ts'
import { loadConfig, newConfigText } from '../../src/config.ts'
import { type Home, initHome, openHome } from '../../src/home.ts'
import { openNode } from '../../src/node.ts'
import { silentLogger } from '../api/make-node.ts'
import { writeFiles } from '../node/folders.ts'

export interface TestHome {
  /** Everything of the test is below it. */
  readonly work: string
  readonly home: Home
}

export async function aHome(): Promise<TestHome> {
  const work = await mkdtemp(join(tmpdir(), 'gonk-backup-'))
  onTestFinished(() => rm(work, { recursive: true, force: true }))
  return { work, home: await initHome(join(work, 'home'), newConfigText('lab')) }
}

/** Opens a home as a command does, for as long as `work` takes. */
export async function withNode<T>(dir: string, work: (api: NodeApi) => Promise<T>): Promise<T> {
  const home = await openHome(dir)
  const { config } = loadConfig('', {}, {})
  const node = await openNode(home, config, { listen: false, logger: silentLogger })
  try {
    return await work(node.api)
  } finally {
    await node.close()
  }
}

/** Adds files and accepts them. */
export async function addFiles(
  api: NodeApi,
  { work }: TestHome,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<void> {
  const dir = await mkdtemp(join(work, 'files-'))
  await api.add('cells', { paths: [await writeFiles(dir, files)], accept: true })
}
