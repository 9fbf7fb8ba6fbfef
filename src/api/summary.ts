// One line about a proposal, for the review queue and the log.
import type { Operation, Proposal } from '../core/event.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import { lastFileOf, rowOf } from './objects.ts'
import { oneLine } from './text.ts'

export type ProposalType = Operation['op'] | 'mixed'

/** The one thing all operations do, or `mixed`. */
export function proposalTypeOf({ operations }: Proposal): ProposalType {
  const [first, ...rest] = operations
  const op = first?.op ?? 'mixed'
  return rest.every((operation) => operation.op === op) ? op : 'mixed'
}

/** Such as `create images/a.jpg and 363 more`. */
export async function summaryOfProposal(log: DatasetLog, proposal: Proposal): Promise<string> {
  const { operations } = proposal
  const [first] = operations
  if (first === undefined) return ''
  const verb = proposalTypeOf(proposal) === 'mixed' ? 'change' : first.op
  return oneLine(`${verb} ${await subjectOf(log, first)}`) + andMore(operations.length)
}

/** ` and N more` when there are more than one. */
export function andMore(count: number): string {
  return count > 1 ? ` and ${count - 1} more` : ''
}

async function subjectOf(log: DatasetLog, operation: Operation): Promise<string> {
  if ('value' in operation) {
    return operation.value.type === 'file' ? operation.value.name : 'an annotation'
  }
  const row = await rowOf(log, operation.object)
  return lastFileOf(row)?.name ?? `object ${operation.object}`
}
