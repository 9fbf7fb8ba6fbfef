// Datasets of this home: made, listed, forgotten.
import { GonkError } from '../../core/errors.ts'
import { eventIdOfBlock, textOfEventId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { Catalog, CatalogEntry } from '../../log/catalog.ts'
import { signDraft } from '../../replica/replica.ts'
import type { NodeContext } from '../context.ts'
import type { Live } from '../live.ts'
import { parseKey } from './owners.ts'
import type { DatasetInfo } from '../../contract/api.ts'

export interface CreateRequest {
  readonly name: string
  readonly founders?: readonly string[]
  readonly threshold?: number
}

/** Signs a genesis with this node's key as first founder. Throws USAGE, EXISTS, UNSUPPORTED. */
export async function createDataset(
  context: NodeContext,
  live: Live,
  { name, founders = [], threshold = 1 }: CreateRequest,
): Promise<DatasetInfo> {
  checkName(context, name)
  const { signer, catalog, crypto, clock, random } = context
  const keys = [...new Set([signer.publicKey, ...founders.map(parseKey)])]
  if (keys.length > limits.foundersMax) {
    throw new GonkError('USAGE', `at most ${limits.foundersMax} founders`)
  }
  if (!Number.isInteger(threshold) || threshold < 1 || threshold > keys.length) {
    throw new GonkError('USAGE', `--threshold must be 1 to ${keys.length}, the number of founders`)
  }
  if (threshold !== 1) {
    throw new GonkError('UNSUPPORTED', 'thresholds above 1 are not part of this version')
  }
  const draft = {
    family: 'genesis' as const,
    founders: keys,
    kOwner: 1,
    kReview: 1,
    nonce: random.bytes(16),
    name,
    claimedAtMs: clock.nowMs(),
  }
  const block = signDraft(draft, signer, crypto.sha256)
  const id = eventIdOfBlock(block, crypto.sha256)
  const entry = await catalog.create(id, { name })
  const replica = await context.replicas.get(id)
  await replica.submit([block], 'own')
  await live.follow(id)
  return datasetInfo(context, live, entry)
}

/** Removes what a stop in the middle of `createDataset` left: a name without any event. */
export async function dropUnborn(catalog: Catalog): Promise<void> {
  for (const entry of catalog.list()) {
    if (entry.cloning !== undefined) continue
    if ((await catalog.logOf(entry).block(entry.id)) === undefined) await catalog.remove(entry.id)
  }
}

function checkName(context: NodeContext, name: string): void {
  if (!/^[^\s/@:]{1,100}$/u.test(name) || name !== name.normalize('NFC')) {
    throw new GonkError('BAD_NAME', `"${name}" cannot name a dataset`, {
      hint: 'use 1 to 100 characters without spaces, "/", "@" or ":"',
    })
  }
  if (context.catalog.list().some((entry) => entry.name === name)) {
    throw new GonkError('EXISTS', `a dataset named "${name}" is here already`)
  }
}

export async function datasetInfo(
  context: NodeContext,
  live: Live,
  entry: CatalogEntry,
): Promise<DatasetInfo> {
  const replica = await context.replicas.get(entry.id)
  if (!replica.hasGenesis) return emptyInfo(entry)
  const { root, stateRoot, counts } = await replica.snapshot()
  const peers = context.network.peersOf(entry.id).length
  return {
    id: textOfEventId(entry.id),
    name: context.catalog.get(entry.id)?.name ?? entry.name,
    root: root.toString(),
    stateRoot: stateRoot.toString(),
    counts: { ...counts, pending: await replica.log.countPending() },
    role: replica.tenureOf(context.signer.publicKey) ? 'owner' : 'contributor',
    pinned: entry.pinnedRoot !== undefined,
    peers,
    sync: {
      state: peers === 0 ? 'offline' : live.isSyncing(entry.id) ? 'syncing' : 'idle',
      missingFiles: await replica.log.contents.countLacking(),
    },
  }
}

/** A clone that was stopped before its first event. */
function emptyInfo(entry: CatalogEntry): DatasetInfo {
  const none = { objects: 0, versions: 0, annotations: 0, files: 0, bytes: 0, pending: 0 }
  return {
    id: textOfEventId(entry.id),
    name: entry.name,
    root: '',
    stateRoot: '',
    counts: { events: 0, proposals: 0, ...none },
    role: 'contributor',
    pinned: entry.pinnedRoot !== undefined,
    peers: 0,
    sync: { state: 'offline', missingFiles: 0 },
  }
}

/** Stops following and drops the dataset's rows; its files go at the next `gc`. */
export async function forgetDataset(
  context: NodeContext,
  live: Live,
  entry: CatalogEntry,
): Promise<{ id: string }> {
  await live.unfollow(entry.id)
  await context.catalog.remove(entry.id, async () => {
    await context.replicas.close(entry.id)
    await context.keeper.drop(entry.id)
  })
  return { id: textOfEventId(entry.id) }
}
