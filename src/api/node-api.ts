// NodeApi over the context: finds the dataset a reference means, and hands over to the file that
// does the work.
import { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import { textOfEventId } from '../core/ids.ts'
import { checkout } from '../files/checkout.ts'
import type { CatalogEntry } from '../log/catalog.ts'
import { listAnnotations } from './annotations/annotation-list.ts'
import { annotate, showAnnotation, updateAnnotation } from './annotations/annotations.ts'
import { backup, type BackupSource } from './copies/backup.ts'
import type { Clones } from './copies/clones.ts'
import { collect } from './copies/collect.ts'
import { content } from './objects/content.ts'
import { type NodeContext, resolveDataset, splitTag } from './context.ts'
import {
  createCheckpoint,
  listCheckpoints,
  trustCheckpoint,
  voteCheckpoint,
} from './datasets/checkpoints.ts'
import { createDataset, datasetInfo, datasetInfos, forgetDataset } from './datasets/datasets.ts'
import { endorse, ownersOf } from './datasets/endorsements.ts'
import { checkDecisions, decide } from './review/decide.ts'
import { diff } from './history/diff.ts'
import { events, followEvents } from './history/events.ts'
import { readLog, show } from './history/history.ts'
import { linkOf } from './copies/link.ts'
import type { Live } from './live.ts'
import { history, showObject } from './objects/object-detail.ts'
import { listObjects } from './objects/object-list.ts'
import { addOwner, removeOwner } from './datasets/owners.ts'
import { setPolicy, showPolicy } from './datasets/policy.ts'
import { byAuthor, withUser, withUserOf } from './people.ts'
import { add, removeObjects, renameObject } from './objects/proposals.ts'
import { propose } from './objects/propose.ts'
import { proof } from './history/proof.ts'
import { listProposals } from './review/proposals-list.ts'
import { queue } from './review/queue.ts'
import { queueCounts } from './review/queue-counts.ts'
import { createRelease } from './datasets/release-create.ts'
import { filesOfRelease } from './datasets/release-files.ts'
import { listReleases, showRelease } from './datasets/releases.ts'
import { review } from './review/review.ts'
import { listReviews } from './review/review-queue.ts'
import { select } from './review/selections.ts'
import {
  addSchema,
  commonSchemas,
  deprecateSchema,
  listSchemas,
  showSchema,
} from './annotations/schemas.ts'
import type { NodeApi } from '../contract/api.ts'
import { version } from '../version.ts'
import { addUser, listUsers, rekeyUser, removeUser } from './users.ts'
import { submit } from './objects/submit.ts'
import { sync } from './sync.ts'
import { store, upload } from './objects/upload.ts'
import { repair } from './copies/repair.ts'
import { withRefetch } from './copies/repair-files.ts'
import { verify } from './copies/verify.ts'

export function createNodeApi(
  context: NodeContext,
  live: Live,
  { clones, isDaemon, home }: { clones: Clones; isDaemon: boolean; home: BackupSource },
): NodeApi {
  const { catalog, network, replicas } = context
  const find = (ref: string): CatalogEntry => resolveDataset(catalog, ref)
  const replicaOf = (ref: string) => replicas.get(find(ref).id)
  const named = <Entry extends { readonly author: string }>(entry: Entry) =>
    withUser(context, entry)
  const by = <Filter extends { readonly author?: string | undefined }>(filter = {} as Filter) =>
    byAuthor(context, filter)
  return {
    me: async () => context.me,
    async status() {
      return {
        peerId: network.peerId,
        publicKey: home.publicKey,
        multiaddrs: network.multiaddrs(),
        peers: network.peers().length,
        daemon: isDaemon,
        version,
        datasets: await datasetInfos(context, live),
      }
    },
    sync: () => sync(context, live),
    async peers() {
      const peers = network.peers().map((peer) => ({
        ...peer,
        datasets: peer.datasets.map(textOfEventId),
      }))
      return { running: isDaemon, peers }
    },
    connect: async (multiaddr, options) => ({ peerId: await network.connect(multiaddr, options) }),

    addUser: (request) => addUser(context, request),
    listUsers: () => listUsers(context),
    rekeyUser: (name) => rekeyUser(context, name),
    removeUser: (name) => removeUser(context, name),

    createDataset: (request) => createDataset(context, live, request),
    listDatasets: () => datasetInfos(context, live),
    showDataset: async (ref) => datasetInfo(context, live, find(ref)),
    async forgetDataset(ref) {
      const entry = find(ref)
      await clones.giveUp(entry.id)
      return forgetDataset(context, live, entry)
    },

    add: async (ref, request, options) => add(context, find(ref), request, options),
    removeObjects: async (ref, objects) => removeObjects(context, find(ref), objects),
    renameObject: async (ref, object, name) => renameObject(context, find(ref), object, name),
    upload: async (ref, request, body, options) =>
      upload(context, find(ref), request, body, options),
    store: (body, options) => store(context, body, options),
    propose: async (ref, request) => propose(context, find(ref), request),
    submit: async (ref, blocks, options) => submit(context, find(ref), blocks, options),
    listObjects: async (ref, filter, options) => listObjects(await replicaOf(ref), filter, options),
    showObject: async (ref, object) => showObject(await replicaOf(ref), object),
    content: async (ref, object, version) =>
      content(context, await replicaOf(ref), object, version),
    history: async (ref, object) => (await history(await replicaOf(ref), object)).map(named),

    addSchema: async (ref, request) => addSchema(context, await replicaOf(ref), request),
    listSchemas: async (ref) => listSchemas(await replicaOf(ref)),
    showSchema: async (ref, schema) => showSchema(context, await replicaOf(ref), schema),
    deprecateSchema: async (ref, schema) => deprecateSchema(context, await replicaOf(ref), schema),
    commonSchemas: async () => commonSchemas(),

    annotate: async (ref, request, options) =>
      annotate(context, await replicaOf(ref), request, options),
    updateAnnotation: async (ref, annotation, request, options) =>
      updateAnnotation(context, await replicaOf(ref), annotation, request, options),
    listAnnotations: async (ref, filter, options) =>
      listAnnotations(await replicaOf(ref), filter, options),
    showAnnotation: async (ref, annotation) =>
      showAnnotation(context, await replicaOf(ref), annotation),

    listReviews: async (ref, filter, options) =>
      (await listReviews(context, await replicaOf(ref), by(filter), options)).map(named),
    review: async (ref, { all, ...request }, options) =>
      review(context, find(ref), { ...request, ...(all && { all: by(all) }) }, options),
    async listProposals(ref, filter) {
      const page = await listProposals(context, await replicaOf(ref), by(filter))
      return { ...page, proposals: page.proposals.map(named) }
    },
    async queue(ref, request, options) {
      const page = await queue(context, await replicaOf(ref), by(request), options)
      const items = page.items.map((item) => ({
        ...item,
        author: withUserOf(context, item.author),
      }))
      return { ...page, items }
    },
    queueCounts: async (ref, request, options) =>
      queueCounts(context, await replicaOf(ref), by(request), options),
    select: async (ref, request, options) =>
      select(context, await replicaOf(ref), { ...request, filter: by(request.filter) }, options),
    checkDecisions: async (ref, request, options) =>
      checkDecisions(context, await replicaOf(ref), request, options),
    decide: async (ref, request, options) =>
      decide(context, await replicaOf(ref), request, options),
    proof: async (ref, version) => proof(context, await replicaOf(ref), version),

    owners: async (ref) => ownersOf(context, await replicaOf(ref)),
    addOwner: async (ref, key, name) => addOwner(context, find(ref), key, name),
    removeOwner: async (ref, key) => removeOwner(context, find(ref), key),
    endorse: async (ref, event) => endorse(context, await replicaOf(ref), event),
    policy: async (ref) => showPolicy(await replicaOf(ref)),
    setPolicy: async (ref, reviews) => setPolicy(context, await replicaOf(ref), reviews),

    checkpoints: async (ref) => listCheckpoints(await replicaOf(ref)),
    createCheckpoint: async (ref) => createCheckpoint(context, await replicaOf(ref)),
    voteCheckpoint: async (ref, id) => voteCheckpoint(context, await replicaOf(ref), id),
    trustCheckpoint: async (ref, id) => trustCheckpoint(await replicaOf(ref), id),

    async *log(ref, filter) {
      for await (const entry of readLog(await replicaOf(ref), by(filter))) yield named(entry)
    },
    show: async (ref, id) => show(await replicaOf(ref), id),
    diff: async (ref, a, b, page, options) =>
      diff(context, await replicaOf(ref), { a, b, ...page }, options),
    events: (request) => events(context, request),
    followEvents: (request, options) => followEvents(context, request, options),
    stream: ({ since, datasets } = {}, options) =>
      live.notices.follow(
        {
          ...(since !== undefined && { since }),
          ...(datasets && { datasets: datasets.map((ref) => find(ref).id) }),
        },
        options,
      ),

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
    async importFrom(ref, { path }, options) {
      const entry = find(ref)
      // Loaded when somebody moves in, which is once.
      const { importGonk } = await import('./import-gonk/import-gonk.ts')
      return importGonk(context, entry, path, options)
    },
    verify: async (ref, options) =>
      context.keeper.gate.shared(() => verify(withRefetch(context), find(ref), options)),
    async repair(ref, options) {
      const entry = find(ref)
      await clones.giveUp(entry.id)
      const result = await repair(context, live, entry, options)
      if (entry.cloning && isDaemon) clones.resume([entry.id])
      return result
    },
    gc: (options) => collect(context, options),
    backup: (request, options) => backup(context, home, request, options),
  }
}

/** The files under `files/`, in name order. */
async function* currentFiles(replica: Awaited<ReturnType<NodeContext['replicas']['get']>>) {
  if (!replica.hasGenesis)
    throw new GonkError('NOT_HERE', 'the clone of this dataset has not begun')
  await replica.snapshot()
  for await (const [name, { content, sizeBytes }] of replica.log.names.allOwned('file')) {
    yield { name, cid: CID.decode(content), sizeBytes }
  }
}
