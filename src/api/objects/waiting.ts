// Files that were proposed before and wait for a decision, when they are to be accepted at last.
import { type FileValue, type Operation, SCHEMA_MEDIA_TYPE } from '../../core/event.ts'
import { type EventId, hexOf, textOfEventId, type VersionId, versionKey } from '../../core/ids.ts'
import type { AddResult } from '../../contract/api.ts'
import type { NodeContext } from '../context.ts'
import { proposedInfo } from './objects.ts'
import { approvalRuns, othersOf } from '../review/approvals.ts'
import { inReviews, type Run, type Selected, signReview } from '../review/review-batch.ts'
import { standingOf } from '../review/signed.ts'
import { type ProposalReader, valueOf } from './versions.ts'

/** Whether to accept what waits is to accept the file that would be proposed now. */
export async function isSame(
  reader: ProposalReader,
  { proposal, index }: VersionId,
  change: Operation,
): Promise<boolean> {
  const waiting = (await reader.read(proposal))?.proposal.operations[index]
  const value = valueOf(change)
  if (waiting?.op !== change.op || value?.type !== 'file') return false
  // Those must conform first.
  if (value.mediaType === SCHEMA_MEDIA_TYPE) return false
  return isSameFile(valueOf(waiting) as FileValue, value) && placeOf(waiting) === placeOf(change)
}

function isSameFile(a: FileValue, b: FileValue): boolean {
  const keys = ['type', 'name', 'mediaType', 'meta'] as const
  return keys.every((key) => a[key] === b[key]) && hexOf(a.content) === hexOf(b.content)
}

function placeOf(operation: Operation): string {
  if (operation.op !== 'update') return ''
  return [operation.object, ...operation.base.map(versionKey).toSorted()].join()
}

/**
 * Signs an acceptance of files that this node has proposed, whose content is here, save what the same
 * key has accepted already. Throws NOT_OWNER, ALREADY_DECIDED.
 */
export async function acceptWaiting(
  context: NodeContext,
  reader: ProposalReader,
  versions: readonly VersionId[],
): Promise<Pick<AddResult, 'events' | 'objects' | 'approvals'>> {
  const { replica } = reader
  const indexes = new Map<EventId, number[]>()
  for (const { proposal, index } of versions) {
    const known = indexes.get(proposal)
    if (known) known.push(index)
    else indexes.set(proposal, [index])
  }
  async function* selected(): AsyncGenerator<Selected> {
    for (const [id, all] of indexes) {
      const proposal = (await reader.read(id))?.proposal
      const row = await replica.log.proposal(id)
      if (proposal === undefined || row === undefined) continue
      const runs = await approvalRuns(
        replica,
        { id, row, runs: runsOf(all) },
        context.signer.publicKey,
      )
      const rest = othersOf(runs)
      if (rest.length > 0) yield { proposal, runs: rest }
    }
  }
  for await (const batch of inReviews(selected())) {
    await signReview(context, replica, batch, { verdict: 'accept' })
  }
  return waitingInfos(context, reader, indexes)
}

async function waitingInfos(
  context: NodeContext,
  reader: ProposalReader,
  indexes: ReadonlyMap<EventId, readonly number[]>,
): Promise<Pick<AddResult, 'events' | 'objects' | 'approvals'>> {
  const versions = [...indexes].flatMap(([proposal, all]) =>
    all.map((index): VersionId => ({ proposal, index })),
  )
  const { statusOf, ...standing } = await standingOf(context, reader.replica, versions)
  const events: string[] = []
  const objects: AddResult['objects'][number][] = []
  for (const [id, all] of indexes) {
    const proposal = (await reader.read(id))?.proposal
    if (proposal === undefined) continue
    events.push(textOfEventId(id))
    for (const index of all) {
      objects.push(proposedInfo(proposal, index, statusOf({ proposal: id, index })))
    }
  }
  return { events, objects, ...standing }
}

function runsOf(indexes: readonly number[]): Run[] {
  const runs: [number, number][] = []
  for (const index of indexes.toSorted((a, b) => a - b)) {
    const last = runs.at(-1)
    if (last?.[1] === index - 1) last[1] = index
    else runs.push([index, index])
  }
  return runs
}
