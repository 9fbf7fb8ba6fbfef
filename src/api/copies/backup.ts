// A backup of this node while it runs: of one moment, in which every dataset has the root that the
// backup names.
import { GonkError } from '../../core/errors.ts'
import { textOfEventId } from '../../core/ids.ts'
import type { BackedUpDataset } from '../../backup/manifest.ts'
import { makeBackup } from '../../backup/backup.ts'
import type { BackupRequest, BackupResult, ProgressOptions } from '../../contract/api.ts'
import type { Database } from '../../log/database.ts'
import type { Replica } from '../../replica/replica.ts'
import { version } from '../../version.ts'
import type { NodeContext } from '../context.ts'

/** What is backed up beside the database. */
export interface BackupSource {
  /** Absolute path. */
  readonly dir: string
  readonly peerId: string
  readonly publicKey: string
}

/** Databases that a backup is made of at present. */
const underWay = new WeakSet<Database>()

/**
 * Writes a backup, or makes an older one newer. Nothing is collected meanwhile; everything else goes
 * on. Throws what {@link makeBackup} throws, TOO_MANY while another one is made, CANCELLED.
 */
export async function backup(
  context: NodeContext,
  home: BackupSource,
  { directory, keys = true }: BackupRequest,
  options: ProgressOptions = {},
): Promise<BackupResult> {
  if (underWay.has(context.db)) {
    throw new GonkError('TOO_MANY', 'a backup of this node is being made already', {
      hint: 'wait until that is done',
    })
  }
  underWay.add(context.db)
  try {
    return await context.keeper.gate.shared(async () => {
      const { snapshot, atMs, datasets } = await momentOf(context)
      try {
        const { db } = context
        const needs = { home, db, snapshot, atMs, datasets, version }
        const { manifest, added } = await makeBackup(needs, directory, { ...options, keys })
        const { at, rows, blocks } = manifest
        return { directory, at, keys, rows, blocks: { ...blocks, added }, datasets: [...datasets] }
      } finally {
        await snapshot.close()
      }
    })
  } finally {
    underWay.delete(context.db)
  }
}

/** The database at a moment when nothing is stored, and the roots of that moment. */
async function momentOf(context: NodeContext) {
  const { db, catalog, replicas, clock, logger } = context
  const entries = catalog.list()
  const take = async (roots: readonly (string | undefined)[]) => ({
    snapshot: db.snapshot(),
    atMs: clock.nowMs(),
    datasets: entries.map(({ id, name }, i): BackedUpDataset => {
      const root = roots[i]
      return { id: textOfEventId(id), name, ...(root !== undefined && { root }) }
    }),
  })
  try {
    const all = await Promise.all(entries.map(({ id }) => replicas.get(id)))
    return await whileAllStill(all, () => take(all.map(({ lastRoot }) => lastRoot?.toString())))
  } catch (error) {
    // What is damaged is worth a copy, too.
    logger.warn({ reason: String(error) }, 'a backup is made without the roots of the datasets')
    return take([])
  }
}

async function whileAllStill<T>(
  [first, ...rest]: readonly Replica[],
  task: () => Promise<T>,
): Promise<T> {
  if (first === undefined) return task()
  return first.whileStill(() => whileAllStill(rest, task))
}
