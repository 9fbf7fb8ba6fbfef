// Whether what is decided on is still what was shown: its content, and the current version of its object.
import { CID } from 'multiformats/cid'
import type { Proposal } from '../../core/event.ts'
import {
  type EventId,
  objectIdOf,
  type VersionId,
  type VersionKey,
  versionKey,
} from '../../core/ids.ts'
import type { Version } from '../../core/state.ts'
import { sha256 } from '../../crypto.ts'
import { throwIfAborted } from '../../files/concurrent.ts'
import type { AbortOptions } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import type { DecisionRequest, ItemOutcome } from '../../contract/api.ts'
import { versionText } from '../text.ts'
import { readProposal } from './review-batch.ts'

export type Seen = NonNullable<
  NonNullable<DecisionRequest['decisions'][number]['items']>[number]['seen']
>
export type Outcomes = Map<VersionKey, Omit<ItemOutcome, 'item'>>

interface Shown {
  /** Operations in the order of the request. */
  readonly order: readonly VersionId[]
  readonly seen: ReadonlyMap<VersionKey, Seen>
}

/** Of what was shown with its content or current version: whether these are the same still. */
export async function findChanged(
  replica: Replica,
  { seen, order }: Shown,
  outcomes: Outcomes,
  { signal }: AbortOptions,
): Promise<void> {
  const byProposal = new Map<EventId, VersionId[]>()
  for (const version of order) {
    if (!seen.has(versionKey(version))) continue
    const list = byProposal.get(version.proposal)
    if (list) list.push(version)
    else byProposal.set(version.proposal, [version])
  }
  for (const [id, versions] of byProposal) {
    throwIfAborted(signal)
    const proposal = await readProposal(replica, id)
    const heads = await headsOf(replica, proposal, versions)
    for (const [i, version] of versions.entries()) {
      const was = seen.get(versionKey(version)) as Seen
      const what = differenceOf(was, contentOf(proposal, version), heads[i])
      if (what !== undefined) outcomes.set(versionKey(version), { outcome: 'changed', what })
    }
  }
}

/** What was not shown is not compared; an empty text says that there was none. */
function differenceOf(
  was: Seen,
  content: string | undefined,
  head: string | undefined,
): string | undefined {
  if (was.content !== undefined && was.content !== (content ?? '')) {
    return `its content is ${content ?? 'in the event'}`
  }
  if (was.head === undefined || was.head === (head ?? '')) return undefined
  return head === undefined ? 'its object has no current version' : `the current version is ${head}`
}

function contentOf({ operations }: Proposal, { index }: VersionId): string | undefined {
  const operation = operations[index]
  const content = operation && 'value' in operation ? operation.value.content : undefined
  return content && CID.decode(content).toString()
}

/** The current versions of the objects that some operations are on, as texts. */
async function headsOf(
  replica: Replica,
  { operations }: Proposal,
  versions: readonly VersionId[],
): Promise<(string | undefined)[]> {
  const objects = versions.map((version) => {
    const operation = operations[version.index]
    return operation && 'object' in operation ? operation.object : objectIdOf(version, sha256)
  })
  const rows = await replica.log.objectRows(objects)
  return rows.map(({ versions, heads: [head] }) =>
    head === undefined ? undefined : versionText((versions[head] as Version).id),
  )
}
