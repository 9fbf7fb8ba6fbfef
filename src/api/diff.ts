// What changed between two points of a dataset's history: files that were added, removed or replaced.
import { CID } from 'multiformats/cid'
import { throwIfAborted } from '../files/concurrent.ts'
import type { AbortOptions } from '../ports.ts'
import type { Replica } from '../replica/replica.ts'
import { changedFiles, type PastFilesNeeds, type PastState, stateOfRoot } from './past-files.ts'
import { resolveTag } from './releases.ts'
import type { Change } from './types.ts'

/**
 * The changes from `a` to `b` by name; `before` and `after` are CIDs of content.
 * @param a a release tag, or a root CID this node knows.
 * @param b the same; left out: the current state.
 * Throws NOT_FOUND, BAD_ROOT, NOT_HERE, CANCELLED.
 */
export async function diff(
  needs: PastFilesNeeds,
  replica: Replica,
  a: string,
  b?: string,
  options: AbortOptions = {},
): Promise<{ changes: Change[] }> {
  const before = await pointOf(needs, replica, a)
  const after = b === undefined ? await replica.snapshot() : await pointOf(needs, replica, b)
  const changes: Change[] = []
  for await (const change of changedFiles(needs, replica, before, after, options)) {
    throwIfAborted(options.signal)
    const [old, now] = [change.before?.toString(), change.after?.toString()]
    changes.push({
      name: change.path,
      change: old === undefined ? 'added' : now === undefined ? 'removed' : 'changed',
      ...(old !== undefined && { before: old }),
      ...(now !== undefined && { after: now }),
    })
  }
  return { changes: changes.sort((x, y) => (x.name < y.name ? -1 : 1)) }
}

async function pointOf(needs: PastFilesNeeds, replica: Replica, ref: string): Promise<PastState> {
  const root = rootOf(ref)
  return root === undefined ? resolveTag(replica, ref) : stateOfRoot(needs, replica, root)
}

function rootOf(ref: string): CID | undefined {
  try {
    return CID.parse(ref)
  } catch {
    return undefined
  }
}
