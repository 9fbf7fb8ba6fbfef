// NodeApi over the context: finds the dataset a reference means, and hands over to the file that
// does the work.
import { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import { textOfEventId } from '../core/ids.ts'
import { checkout } from '../files/checkout.ts'
import type { CatalogEntry } from '../log/catalog.ts'
import type { Clones } from './clones.ts'
import { collect } from './collect.ts'
import { type NodeContext, resolveDataset, splitTag } from './context.ts'
import { createDataset, datasetInfo, forgetDataset } from './datasets.ts'
import { diff } from './diff.ts'
import { readLog, show } from './history.ts'
import { linkOf } from './link.ts'
import type { Live } from './live.ts'
import { listObjects } from './objects.ts'
import { listOwners } from './owners-list.ts'
import { addOwner, removeOwner } from './owners.ts'
import { add, removeObjects, renameObject } from './proposals.ts'
import { createRelease } from './release-create.ts'
import { filesOfRelease } from './release-files.ts'
import { listReleases, showRelease } from './releases.ts'
import { review } from './review.ts'
import { listReviews } from './review-queue.ts'
import type { NodeApi } from './types.ts'
import { version } from '../version.ts'
import { verify } from './verify.ts'

export function createNodeApi(
  context: NodeContext,
  live: Live,
  { clones, isDaemon }: { clones: Clones; isDaemon: boolean },
): NodeApi {
  const { catalog, network, replicas, signer } = context
  const find = (ref: string): CatalogEntry => resolveDataset(catalog, ref)
  const replicaOf = (ref: string) => replicas.get(find(ref).id)
  return {
    async status() {
      return {
        peerId: network.peerId,
        publicKey: signer.publicKey,
        multiaddrs: network.multiaddrs(),
        peers: network.peers().length,
        daemon: isDaemon,
        version,
        datasets: await Promise.all(catalog.list().map((e) => datasetInfo(context, live, e))),
      }
    },
    async peers() {
      const peers = network.peers().map((peer) => ({
        ...peer,
        datasets: peer.datasets.map(textOfEventId),
      }))
      return { running: isDaemon, peers }
    },
    connect: async (multiaddr, options) => ({ peerId: await network.connect(multiaddr, options) }),

    createDataset: (request) => createDataset(context, live, request),
    listDatasets: () => Promise.all(catalog.list().map((e) => datasetInfo(context, live, e))),
    showDataset: async (ref) => datasetInfo(context, live, find(ref)),
    async forgetDataset(ref) {
      const entry = find(ref)
      await clones.giveUp(entry.id)
      return forgetDataset(context, live, entry)
    },

    add: async (ref, request, options) => add(context, find(ref), request, options),
    removeObjects: async (ref, objects) => removeObjects(context, find(ref), objects),
    renameObject: async (ref, object, name) => renameObject(context, find(ref), object, name),
    listObjects: async (ref, page) => listObjects(await replicaOf(ref), page),

    listReviews: async (ref, filter) => listReviews(await replicaOf(ref), filter),
    review: async (ref, request, options) => review(context, find(ref), request, options),

    owners: async (ref) => ({ owners: await listOwners(await replicaOf(ref)) }),
    addOwner: async (ref, key, name) => addOwner(context, find(ref), key, name),
    removeOwner: async (ref, key) => removeOwner(context, find(ref), key),

    async *log(ref, filter) {
      yield* readLog(await replicaOf(ref), filter)
    },
    show: async (ref, id) => show(await replicaOf(ref), id),
    diff: async (ref, a, b) => diff(context, await replicaOf(ref), a, b),

    async root(ref) {
      const { root, stateRoot, heads } = await (await replicaOf(ref)).snapshot()
      return {
        root: root.toString(),
        stateRoot: stateRoot.toString(),
        heads: heads.map(textOfEventId),
      }
    },
    createRelease: async (ref, tag, text) =>
      createRelease(context, await replicaOf(ref), tag, text),
    listReleases: async (ref) => listReleases(await replicaOf(ref)),
    showRelease: async (ref, tag) => showRelease(await replicaOf(ref), tag),

    async share(ref) {
      const entry = find(ref)
      const { root } = await (await replicas.get(entry.id)).snapshot()
      const link = linkOf(textOfEventId(entry.id), root.toString(), network.multiaddrs())
      return { link, root: root.toString() }
    },
    clone: (request, options) => clones.run(request, options),
    async checkout(ref, directory, options = {}) {
      const { dataset, tag } = splitTag(ref)
      const replica = await replicaOf(dataset)
      const { counts } = await replica.snapshot()
      const write = (entries: Parameters<typeof checkout>[0]) =>
        checkout(entries, context.files, directory, {
          signal: options.signal,
          onProgress: ({ files: done, bytes }) =>
            options.onProgress?.({ what: 'writing files', done, total: counts.files, bytes }),
        })
      if (tag === undefined) return write(currentFiles(replica))
      return write(filesOfRelease(context, replica, tag, { signal: options.signal }))
    },
    verify: async (ref, options) =>
      context.keeper.gate.shared(() => verify(context, find(ref), options)),
    gc: (options) => collect(context, options),
  }
}

/** The files under `files/`, in name order. */
async function* currentFiles(replica: Awaited<ReturnType<NodeContext['replicas']['get']>>) {
  if (!replica.hasGenesis) throw new GonkError('NOT_HERE', 'the clone of this dataset has not begun')
  await replica.snapshot()
  for await (const [name, { content, sizeBytes }] of replica.log.names.allOwned('file')) {
    yield { name, cid: CID.decode(content), sizeBytes }
  }
}
