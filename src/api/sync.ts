// How far this node is behind what it has heard of, from numbers that are kept anyway.
import { textOfEventId } from '../core/ids.ts'
import type { CatalogEntry } from '../log/catalog.ts'
import { addSizes } from '../files/dag-size.ts'
import { bytesOf, noTrees, type Trees } from '../replica/publish.ts'
import type { NodeContext } from './context.ts'
import type { Live } from './live.ts'
import type { SyncState } from '../contract/api.ts'

type Needs = Pick<NodeContext, 'catalog' | 'replicas' | 'network'>

/** Files that are missing are counted as far. */
const COUNTED_MAX = 100_000

/**
 * Of every dataset. `missing`: content that accepted versions name and that is not here, up to 100,000
 * files. `here`: the events that are stored, and what the root that was published last has in `files/`
 * besides what is missing. Events that peers have and nobody told this node of are in neither: how many
 * those are is known only once they are here. Costs as much as is missing, however large the dataset.
 */
export async function sync(context: Needs, live: Pick<Live, 'isSyncing'>): Promise<SyncState[]> {
  return Promise.all(context.catalog.list().map((entry) => syncState(context, live, entry)))
}

async function syncState(
  { catalog, network }: Needs,
  live: Pick<Live, 'isSyncing'>,
  entry: CatalogEntry,
): Promise<SyncState> {
  const log = catalog.logOf(entry)
  const trees = (await log.meta<Trees>('trees')) ?? noTrees
  const missing = { files: 0, bytes: 0 }
  for await (const { sizeBytes } of log.contents.lacking()) {
    missing.files++
    missing.bytes = addSizes(missing.bytes, sizeBytes)
    if (missing.files === COUNTED_MAX) break
  }
  const peers = network.peersOf(entry.id).length
  return {
    id: textOfEventId(entry.id),
    name: entry.name,
    state: peers === 0 ? 'offline' : live.isSyncing(entry.id) ? 'syncing' : 'idle',
    here: {
      events: await log.nextNumber('arrivals'),
      files: Math.max(0, trees.fileCount - missing.files),
      bytes: Math.max(0, bytesOf(trees) - missing.bytes),
    },
    missing,
    peers,
  }
}
