// Repairs a dataset: its rows are made again from its events, and what is damaged or missing of events
// and files is fetched from peers, as far as they can be reached.
import type { PublicKey } from '../../core/ids.ts'
import type { CatalogEntry } from '../../log/catalog.ts'
import type { PeerId } from '../../ports.ts'
import { asideOf, mend } from '../../replica/repair-loop.ts'
import type { Replica } from '../../replica/replica.ts'
import type { ProgressOptions, RepairResult } from '../../contract/api.ts'
import type { NodeContext } from '../context.ts'
import type { Live } from '../live.ts'
import { lackBroken } from './repair-files.ts'

/**
 * The dataset cannot be used meanwhile; what is cut off changes nothing, and may be repeated. A clone that
 * has not finished still has not. Throws DISK, CANCELLED.
 */
export async function repair(
  context: NodeContext,
  live: Live,
  entry: CatalogEntry,
  options: ProgressOptions = {},
): Promise<RepairResult> {
  const { replicas, keeper } = context
  await live.unfollow(entry.id)
  await keeper.drop(entry.id)
  const { events } = await replicas
    .rebuild(entry.id, { ...options, ownKeys: ownKeys(context) })
    .finally(async () => (entry.cloning ? undefined : live.follow(entry.id)))
  const replica = await replicas.get(entry.id)
  const peers = await connectAll(context, entry, options)
  await catchUp(context, live, replica, entry, peers, options)
  const needs = { ...context, replica }
  const { damaged } = await mend(needs, await asideOf(needs), peers, options.signal)
  await keeper.gate.shared(() => lackBroken(context, replica, options))
  const missingFiles = await keeper.fetchLacking(replica, { ...options, peers })
  const { root } = replica.hasGenesis ? await replica.snapshot() : { root: '' }
  return { events, missingEvents: damaged.length, missingFiles, root: root.toString() }
}

function ownKeys({ signer, users }: NodeContext): PublicKey[] {
  return [signer.publicKey, ...users.list().map(({ publicKey }) => publicKey as PublicKey)]
}

/** Those the dataset was cloned from and all that are connected already; none is no failure. */
async function connectAll(
  { network }: NodeContext,
  { cloning, peers = cloning?.peers ?? [] }: CatalogEntry,
  options: ProgressOptions,
): Promise<PeerId[]> {
  const dialled = await Promise.all(
    peers.map((address) => network.connect(address, options).catch(() => undefined)),
  )
  const connected = network.peers().map(({ peerId }) => peerId)
  return [...new Set([...dialled.filter((peer) => peer !== undefined), ...connected])]
}

/** What was lost altogether is not even set aside: it is what peers have and this node lacks. */
async function catchUp(
  { logger }: NodeContext,
  live: Live,
  replica: Replica,
  entry: CatalogEntry,
  peers: readonly PeerId[],
  options: ProgressOptions,
): Promise<void> {
  if (entry.pinnedRoot !== undefined) return
  for (const peer of peers) {
    await live.syncWith(replica, peer, options).catch((error: unknown) => {
      if (options.signal?.aborted) throw error
      logger.debug({ peer, reason: String(error) }, 'peer could not be asked')
    })
  }
}
