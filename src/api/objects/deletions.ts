// Deletions into proposals; what the same key has proposed already is not proposed again.
import type { Operation } from '../../core/event.ts'
import { type PublicKey, textOfEventId, type VersionId, versionKey } from '../../core/ids.ts'
import type { Removed } from '../../contract/api.ts'
import type { Replica } from '../../replica/replica.ts'
import type { NodeContext } from '../context.ts'
import { proposeAll } from './proposing.ts'
import { decisionOn, ProposalReader } from './versions.ts'

/** The newest operations on an object: how many are looked at. */
const OPERATIONS_MAX = 200

export type Deletion = Extract<Operation, { op: 'delete' }>

/** Skips and counts what this key has proposed and nobody has decided, and what comes twice. */
export async function proposeDeletions(
  context: NodeContext,
  replica: Replica,
  deletions: readonly Deletion[],
): Promise<Removed> {
  const reader = new ProposalReader(replica)
  const fresh = new Map<string, Deletion>()
  for (const deletion of deletions) {
    const key = textOf(deletion)
    if (fresh.has(key) || (await isPending(reader, context.signer.publicKey, deletion))) continue
    fresh.set(key, deletion)
  }
  const proposals = await proposeAll(context, replica, [...fresh.values()])
  const events = proposals.map(({ id }) => textOfEventId(id))
  return { events, skipped: deletions.length - fresh.size }
}

async function isPending(
  reader: ProposalReader,
  author: PublicKey,
  deletion: Deletion,
): Promise<boolean> {
  const { log } = reader.replica
  const newest = log.history.operationsOf(deletion.object, { reverse: true, limit: OPERATIONS_MAX })
  for await (const { op, proposal, index } of newest) {
    if (op !== 'delete') continue
    const row = await log.proposal(proposal)
    if (row?.author !== author) continue
    if (decisionOn(row.decisions, index).status !== 'pending') continue
    const operation = (await reader.read(proposal))?.proposal.operations[index]
    if (operation?.op === 'delete' && textOf(operation) === textOf(deletion)) return true
  }
  return false
}

/** The same for deletions of the same versions. */
function textOf({ object, base }: { object: string; base: readonly VersionId[] }): string {
  return [object, ...base.map(versionKey).sort()].join(' ')
}
