// Datasets of this home: made, listed, forgotten.
import { GonkError } from '../../core/errors.ts'
import { eventIdOfBlock, textOfEventId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { Catalog, CatalogEntry } from '../../log/catalog.ts'
import { isUnborn } from '../../replica/repair.ts'
import { signDraft } from '../../replica/replica.ts'
import type { NodeContext } from '../context.ts'
import type { Live } from '../live.ts'
import { settledOf } from './checkpoints.ts'
import { forksIn } from './forks.ts'
import { parseKey } from './owners.ts'
import type { Alarm, DatasetInfo } from '../../contract/api.ts'
import type { RootAlarm } from '../../replica/canary.ts'
import { cidText } from '../text.ts'

export interface CreateRequest {
  readonly name: string
  readonly founders?: readonly string[]
  readonly threshold?: number
}

/**
 * Signs a genesis with this node's key as first founder; `threshold` owners must agree, to changes of
 * owners for good and to changes of the data until a policy says otherwise. Throws USAGE, EXISTS.
 */
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
  const draft = {
    family: 'genesis' as const,
    founders: keys,
    kOwner: threshold,
    kReview: threshold,
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
    if (await isUnborn(catalog.logOf(entry))) await catalog.remove(entry.id)
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
  const settled = await settledOf(replica)
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
    policy: replica.policy,
    ...settled,
    alarms: [...settled.alarms, ...live.rootAlarms(entry.id).map(rootAlarmOf)],
    ...(await forksIn(replica.log)),
  }
}

function rootAlarmOf({ peer, ours, theirs }: RootAlarm): Alarm {
  const what =
    'a peer says that another state follows from the same events: one of the two runs other rules, ' +
    'or is damaged'
  return { kind: 'root-differs', what, ids: [peer, cidText(ours), cidText(theirs)] }
}

/** Of all datasets; of one that is damaged no more than its name. */
export async function datasetInfos(context: NodeContext, live: Live): Promise<DatasetInfo[]> {
  const infoOf = (entry: CatalogEntry) =>
    datasetInfo(context, live, entry).catch((error: unknown) => {
      if (!(error instanceof GonkError) || error.code !== 'HOME_DAMAGED') throw error
      return emptyInfo(entry)
    })
  return Promise.all(context.catalog.list().map(infoOf))
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
    alarms: [],
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
