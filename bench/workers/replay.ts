// Rebuilds a dataset from its log in a process of its own, whose peak memory is the figure.
import { join } from 'node:path'
import type { DatasetId } from '../../src/core/ids.ts'
import { nodeCrypto, systemClock } from '../../src/crypto.ts'
import { historyOf, recompute } from '../../src/replica/recompute.ts'
import { openReplica, quiet } from '../dataset.ts'
import { seconds } from '../harness.ts'
import { serve } from '../worker.ts'

const methods = {
  /** @returns seconds it took; throws when the result is not the root that is stored. */
  async replay(home: string, dataset: DatasetId): Promise<number> {
    const { replica, close } = await openReplica(home, dataset)
    const stored = await replica.snapshot()
    const needs = { crypto: nodeCrypto(), clock: systemClock, logger: quiet }
    const history = historyOf(replica.log, stored.heads)
    let root: string | undefined
    const took = await seconds(async () => {
      const scratch = join(home, 'tmp')
      root = (await recompute({ ...needs, scratch }, history)).snapshot?.root.toString()
    })
    await close()
    if (root !== stored.root.toString()) throw new Error('the log gives another root')
    return took
  },
}

export type ReplayMethods = typeof methods

serve(methods)
