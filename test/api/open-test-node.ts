// A real node on a temporary directory, without a network, with a dataset of its own.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig, newConfigText } from '../../src/config.ts'
import { type Home, initHome } from '../../src/home.ts'
import { openNode, type OpenNode } from '../../src/node.ts'
import { silentLogger } from './make-node.ts'

export interface OpenTestNode extends OpenNode {
  readonly home: Home
  /** Temporary, for files of the test. */
  readonly dir: string
}

/** `close` removes everything. */
export async function openTestNode(): Promise<OpenTestNode> {
  const dir = await mkdtemp(join(tmpdir(), 'gonk-test-'))
  const home = await initHome(join(dir, 'home'), newConfigText())
  const { config } = loadConfig(newConfigText())
  const node = await openNode(home, config, { listen: false, logger: silentLogger })
  return {
    ...node,
    home,
    dir,
    async close() {
      await node.close()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
