// A release: a signed name for the root of everything its author knows.
import { CID } from 'multiformats/cid'
import { GonkError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { historyOf, recompute } from '../../replica/recompute.ts'
import type { Replica } from '../../replica/replica.ts'
import type { NodeContext } from '../context.ts'
import { putAudit, listReleases, showRelease } from './releases.ts'
import type { ReleaseInfo } from '../../contract/api.ts'

/** Other events may be stored between computing a root and signing it; then it is computed again. */
const TRIES = 10

/** Throws USAGE, EXISTS, NOT_OWNER. */
export async function createRelease(
  context: NodeContext,
  replica: Replica,
  tag: string,
  text?: string,
): Promise<ReleaseInfo> {
  if (!/^[^\s/@:]+$/u.test(tag) || Buffer.byteLength(tag) > limits.tagBytesMax) {
    throw new GonkError('USAGE', `"${tag}" cannot be a tag`, {
      hint: `use 1 to ${limits.tagBytesMax} bytes without spaces, "/", "@" or ":"`,
    })
  }
  if (text !== undefined && Buffer.byteLength(text) > limits.textBytesMax) {
    throw new GonkError('TOO_LARGE', `a release text has at most ${limits.textBytesMax} bytes`)
  }
  if ((await listReleases(replica)).some((release) => release.tag === tag)) {
    throw new GonkError('EXISTS', `tag "${tag}" is taken: tags never move`)
  }
  for (let i = 0; i < TRIES; i++) {
    const parents = await replica.frontier(context.signer)
    const root = await rootOver(context, replica, parents)
    const body = {
      kind: 'release' as const,
      tag,
      root: root.bytes,
      ...(text !== undefined && { text }),
    }
    const event = await replica.actOn(context.signer, body, parents)
    if (event === undefined) continue
    const isComplete = (await replica.log.wanted(1)).length === 0
    if (isComplete) await replica.log.commit([putAudit(replica.log, event.id, true)])
    return showRelease(replica, tag)
  }
  throw new GonkError('TIMEOUT', 'the dataset keeps changing while its root is computed')
}

/** The root of the state over the past of an event with these parents. */
async function rootOver(
  context: NodeContext,
  replica: Replica,
  parents: Awaited<ReturnType<Replica['frontier']>>,
): Promise<CID> {
  const snapshot = await replica.snapshot()
  // Whom this node trusts is not for others to see.
  const isAll = parents.length === snapshot.heads.length && replica.anchor === undefined
  if (isAll && parents.every((parent) => snapshot.heads.includes(parent))) return snapshot.root
  const { snapshot: past } = await recompute(context, historyOf(replica.log, parents))
  if (past === undefined) throw new GonkError('HOME_DAMAGED', 'the history cannot be read')
  return past.root
}
