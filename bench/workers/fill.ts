// Fills homes with long histories, so that the memory this takes is not the benchmark's.
import { newConfigText } from '../../src/config.ts'
import type { DatasetId } from '../../src/core/ids.ts'
import { initHome } from '../../src/home.ts'
import { Author, contentsOf, openReplica, submitAll } from '../dataset.ts'
import { serve } from '../worker.ts'

const PAIRS_AT_ONCE = 512
const OBJECTS_AT_ONCE = 20_000

export interface Filled {
  readonly dataset: DatasetId
  /** Nothing here is in the dataset: each block accepts one more new file of the block before. */
  readonly more: Uint8Array[]
  /** How many events the dataset has. */
  readonly events: number
}

const methods = {
  /**
   * Makes a home at `home` whose dataset has `objects` accepted files that count as held,
   * `perProposal` in each proposal, and its root computed. `more`: further pairs of events.
   */
  async fill(home: string, objects: number, perProposal: number, more: number): Promise<Filled> {
    const { authorSeed } = await initHome(home, newConfigText())
    const author = new Author(authorSeed)
    const { replica, held, close } = await openReplica(home, author.dataset)
    await replica.submit([author.genesis])
    const pairs = Math.ceil(objects / perProposal)
    const step = Math.min(PAIRS_AT_ONCE, Math.ceil(OBJECTS_AT_ONCE / perProposal))
    for (let made = 0; made < pairs; made += step) {
      const blocks = author.accepted(Math.min(step, pairs - made), perProposal)
      await held.write(blocks.flatMap(contentsOf).flatMap((content) => held.holdOf(content, [])))
      await submitAll(replica, blocks)
      if (made % (step * 8) === 0) await replica.snapshot()
    }
    await replica.snapshot()
    await close()
    return { dataset: author.dataset, more: author.accepted(more), events: 1 + 2 * pairs }
  },
}

export type FillMethods = typeof methods

serve(methods)
