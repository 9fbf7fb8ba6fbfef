// What changed between two points of a dataset's history: files that were added, removed or replaced.
import { CID } from 'multiformats/cid'
import { GonkError } from '../../core/errors.ts'
import { throwIfAborted } from '../../files/concurrent.ts'
import type { Place } from '../../files/directory-diff.ts'
import type { AbortOptions } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import {
  changedFiles,
  type PastFilesNeeds,
  type PastState,
  stateOfRoot,
} from '../datasets/past-files.ts'
import { resolveTag } from '../datasets/releases.ts'
import type { Change, ChangePage, DiffPage } from '../../contract/api.ts'

const PAGE_CHANGES = 1_000
const PAGE_CHANGES_MAX = 10_000

export interface DiffRequest extends DiffPage {
  /** A release tag, or a root CID this node knows. */
  readonly a: string
  /** The same. @default the current state */
  readonly b?: string | undefined
}

/** Between which roots, and behind which change, a page begins. */
interface Cursor {
  readonly before: CID
  readonly after: CID
  readonly from: Place
}

/**
 * A page of the changes from `a` to `b`; `before` and `after` are CIDs of content. Within a page by
 * name. Later pages are of the states that the first one was of, whatever happens meanwhile.
 * Throws NOT_FOUND, USAGE (a cursor that is none), BAD_ROOT, NOT_HERE, CANCELLED.
 */
export async function diff(
  needs: PastFilesNeeds,
  replica: Replica,
  { a, b, after: cursor, limit = PAGE_CHANGES }: DiffRequest,
  options: AbortOptions = {},
): Promise<ChangePage> {
  const place = cursor === undefined ? undefined : placeOf(cursor)
  const before = await pointOf(needs, replica, a)
  const after = await pointOf(needs, replica, b ?? place?.after)
  if (place && !(place.before.equals(before.root) && place.after.equals(after.root)))
    throw noPlace()
  const { from } = place ?? {}
  const changes: Change[] = []
  let last: Place = []
  let isMore = false
  const most = Math.max(1, Math.min(limit, PAGE_CHANGES_MAX))
  for await (const change of changedFiles(needs, replica, before, after, { ...options, from })) {
    throwIfAborted(options.signal)
    isMore = changes.length === most
    if (isMore) break
    last = change.place
    const [old, now] = [change.before?.toString(), change.after?.toString()]
    changes.push({
      name: change.path,
      change: old === undefined ? 'added' : now === undefined ? 'removed' : 'changed',
      ...(old !== undefined && { before: old }),
      ...(now !== undefined && { after: now }),
    })
  }
  return {
    changes: changes.sort((x, y) => (x.name < y.name ? -1 : 1)),
    ...(isMore && { next: cursorOf(before.root, after.root, last) }),
  }
}

/** A point that a person or a cursor names; undefined: the current state. */
async function pointOf(
  needs: PastFilesNeeds,
  replica: Replica,
  ref: string | CID | undefined,
): Promise<PastState> {
  if (ref === undefined) return replica.snapshot()
  const root = typeof ref === 'string' ? rootOf(ref) : ref
  if (root !== undefined) return stateOfRoot(needs, replica, root)
  return resolveTag(replica, String(ref))
}

function rootOf(ref: string): CID | undefined {
  try {
    return CID.parse(ref)
  } catch {
    return undefined
  }
}

// ---------------------------------------------------------------- cursors

function cursorOf(before: CID, after: CID, place: Place): string {
  const parts = [before.toString(), after.toString(), ...place]
  return Buffer.from(JSON.stringify(parts)).toString('base64url')
}

/** Throws USAGE. */
function placeOf(cursor: string): Cursor {
  const [old = '', now = '', ...from] = partsOf(cursor)
  const [before, after] = [rootOf(old), rootOf(now)]
  if (before && after && from.length > 0) return { before, after, from }
  throw noPlace()
}

function partsOf(cursor: string): string[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    return Array.isArray(parts) && parts.every((part) => typeof part === 'string') ? parts : []
  } catch {
    return []
  }
}

function noPlace(): GonkError {
  return new GonkError('USAGE', 'this is not the cursor of a page of this difference', {
    hint: 'give `next` of the page before as `after`, and the rest as it was',
  })
}
