// What became of operations just after a review of them was signed: decided, or still waiting for other
// owners.
import type { Proposal } from '../../core/event.ts'
import { type VersionId, versionKey } from '../../core/ids.ts'
import type { Approvals, ItemApprovals } from '../../contract/api.ts'
import type { ProposalRow } from '../../log/rows.ts'
import type { Replica } from '../../replica/replica.ts'
import type { NodeContext } from '../context.ts'
import { approvalRuns, approvalsOfAll, furthest } from './approvals.ts'
import { openRuns, type Run, runText, type Selected } from './review-batch.ts'

export interface Signed {
  /** Ids of the reviews. */
  readonly events: string[]
  /** `EVENT:FROM-TO` of each run that is decided. */
  readonly decided: string[]
  /** Of each that is not, and how many owners agree by now. */
  readonly waiting: ItemApprovals[]
}

/** Adds what a signed batch came to. Call it after {@link Replica.act} has resolved. */
export async function noteSigned(
  { signer }: Pick<NodeContext, 'signer'>,
  replica: Replica,
  batch: readonly Selected[],
  { decided, waiting }: Pick<Signed, 'decided' | 'waiting'>,
): Promise<void> {
  const rows = await replica.log.proposals(batch.map(({ proposal }) => proposal.id))
  for (const [i, { proposal, runs }] of batch.entries()) {
    const row = rows[i] as ProposalRow
    const open = openRuns(row, runs)
    for (const run of closedOf(runs, open)) decided.push(runText(proposal.id, run))
    const known = await approvalRuns(
      replica,
      { id: proposal.id, row, runs: open },
      signer.publicKey,
    )
    for (const { run, approvals } of known) {
      waiting.push({ item: runText(proposal.id, run), approvals })
    }
  }
}

/** What became of operations that were proposed and accepted in one go. */
export interface Standing {
  statusOf(version: VersionId): 'accepted' | 'pending'
  /** Of what waits for more owners: the furthest from being accepted. */
  readonly approvals?: Approvals
}

/** Of what nobody has accepted. */
export const pending: Standing = { statusOf: () => 'pending' }

/** @param accepted operations that a review of which the promise has resolved accepts. */
export async function standingOf(
  { signer }: Pick<NodeContext, 'signer'>,
  replica: Replica,
  accepted: readonly VersionId[],
): Promise<Standing> {
  if (replica.policy.kOwner === 1) return { statusOf: () => 'accepted' }
  const known = await approvalsOfAll(replica, accepted, signer.publicKey)
  const waiting = new Set(accepted.filter((_, i) => known[i] !== undefined).map(versionKey))
  const approvals = furthest(known.filter((one) => one !== undefined))
  return {
    statusOf: (version) => (waiting.has(versionKey(version)) ? 'pending' : 'accepted'),
    ...(approvals && { approvals }),
  }
}

/** Of several: those of what is furthest from being accepted. */
export function furthestOf(all: readonly { readonly approvals?: Approvals }[]): {
  approvals?: Approvals
} {
  const approvals = furthest(
    all.flatMap(({ approvals }) => (approvals === undefined ? [] : [{ approvals }])),
  )
  return approvals === undefined ? {} : { approvals }
}

/** Every operation of some proposals. */
export const allOf = (proposals: readonly Proposal[]): VersionId[] =>
  proposals.flatMap(({ id, operations }) =>
    operations.map((_, index): VersionId => ({ proposal: id, index })),
  )

/** The runs without those that are open, which are parts of them, ascending. */
function closedOf(runs: readonly Run[], open: readonly Run[]): Run[] {
  return runs.flatMap(([from, to]) => {
    const inside = open.filter(([first]) => from <= first && first <= to)
    const starts = [from, ...inside.map(([, last]) => last + 1)]
    const ends = [...inside.map(([first]) => first - 1), to]
    return starts
      .map((start, i): Run => [start, ends[i] as number])
      .filter(([start, end]) => start <= end)
  })
}
