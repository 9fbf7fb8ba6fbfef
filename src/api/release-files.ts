// The files of a release, wherever they have to come from: the trees on disk, or the events.
import type { CID } from 'multiformats/cid'
import { CID as Cid } from 'multiformats/cid'
import { GonkError, isRejection } from '../core/errors.ts'
import { decodeSnapshot } from '../core/snapshot.ts'
import { directoryChanges, type DirectorySource } from '../files/directory-diff.ts'
import type { NodeBlocks } from '../log/node-blocks.ts'
import { historyOf, withRecomputed } from '../replica/recompute.ts'
import type { Replica } from '../replica/replica.ts'
import type { NodeContext } from './context.ts'
import { listReleases, resolveTag } from './releases.ts'

export interface ReleasedFile {
  readonly name: string
  readonly cid: CID
}

/**
 * Hands the files of a release to `use`, in name order. Old trees that are not on disk are made
 * again from the events. Throws NOT_FOUND, BAD_ROOT when the history does not give the root.
 */
export async function withReleaseFiles<T>(
  context: NodeContext,
  replica: Replica,
  tag: string,
  use: (files: AsyncIterable<ReleasedFile>) => Promise<T>,
): Promise<T> {
  const { root, heads } = await resolveTag(replica, tag)
  const here = await filesOf(context.nodes, root)
  if (here && (await isWhole(context, replica, here))) {
    return use(filesUnder(here, sourceOf(context, replica)))
  }
  return withRecomputed(context, historyOf(replica.log, heads), async ({ snapshot }, nodes) => {
    if (snapshot === undefined || !snapshot.root.equals(root)) {
      throw new GonkError('BAD_ROOT', `release ${tag} names a root that its history does not give`)
    }
    // All directories were just made: whatever else is linked is a file.
    return use(filesUnder(snapshot.files, { get: (cid) => nodes.get(cid), isFile: async () => true }))
  })
}

async function filesOf(nodes: NodeBlocks, root: CID): Promise<CID | undefined> {
  const bytes = await nodes.get(root)
  const snapshot = bytes && decodeSnapshot(bytes)
  return snapshot && !isRejection(snapshot) ? snapshot.files : undefined
}

function sourceOf({ nodes, files }: NodeContext, { log }: Replica): DirectorySource {
  return {
    get: (cid) => nodes.get(cid),
    isFile: async (_, cid) => (await log.contents.isAccepted(cid.bytes)) || files.blocks.has(cid),
  }
}

async function isWhole(context: NodeContext, replica: Replica, files: CID): Promise<boolean> {
  try {
    for await (const _ of directoryChanges(undefined, files, sourceOf(context, replica))) continue
    return true
  } catch (error) {
    if (error instanceof GonkError && error.code === 'NOT_HERE') return false
    throw error
  }
}

async function* filesUnder(files: CID, source: DirectorySource): AsyncIterable<ReleasedFile> {
  for await (const { path, after } of directoryChanges(undefined, files, source)) {
    if (after) yield { name: path, cid: after }
  }
}

/** Roots whose trees the collector keeps. */
export async function releaseRoots(replica: Replica): Promise<CID[]> {
  return (await listReleases(replica)).map(({ root }) => Cid.parse(root))
}
