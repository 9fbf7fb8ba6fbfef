// The files of a release, from the trees on disk or, where those are gone, from the events.
import type { CID } from 'multiformats/cid'
import { CID as Cid } from 'multiformats/cid'
import type { AbortOptions } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import { changedFiles, type PastFilesNeeds } from './past-files.ts'
import { listReleases, resolveTag } from './releases.ts'

/** Throws NOT_FOUND; BAD_ROOT when the history does not give the root; CANCELLED. */
export async function* filesOfRelease(
  needs: PastFilesNeeds,
  replica: Replica,
  tag: string,
  options: AbortOptions = {},
): AsyncIterable<{ name: string; cid: CID }> {
  const release = await resolveTag(replica, tag)
  for await (const { path, after } of changedFiles(needs, replica, undefined, release, options)) {
    if (after) yield { name: path, cid: after }
  }
}

/** Roots whose trees the collector keeps. */
export async function releaseRoots(replica: Replica): Promise<CID[]> {
  return (await listReleases(replica)).map(({ root }) => Cid.parse(root))
}
