// One line about a proposal, for the review queue and the log.
import type { Operation, Proposal, Value } from '../../core/event.ts'
import { compareVersions, objectIdOf, type VersionId } from '../../core/ids.ts'
import type { ObjectRow, Version } from '../../core/state.ts'
import { sha256 } from '../../crypto.ts'
import type { DatasetLog } from '../../log/dataset-log.ts'
import { rowOf } from '../objects/objects.ts'
import { readProposals } from '../resolve.ts'
import { oneLine } from '../text.ts'

export type ProposalType = Operation['op'] | 'mixed'

/** The one thing all operations do, or `mixed`. */
export function proposalTypeOf({ operations }: Proposal): ProposalType {
  const [first, ...rest] = operations
  const op = first?.op ?? 'mixed'
  return rest.every((operation) => operation.op === op) ? op : 'mixed'
}

/** Such as `create images/a.jpg and 363 more`, `delete an annotation of images/a.jpg`. */
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

/** Of one operation, with a bounded number of look-ups. */
async function subjectOf(log: DatasetLog, operation: Operation): Promise<string> {
  if ('value' in operation) return nameOfValue(log, operation.value)
  const row = await rowOf(log, operation.object)
  const value = row.current ?? lastValueOf(row) ?? (await firstValueOf(log, row))
  return value === undefined ? `object ${operation.object}` : nameOfValue(log, value)
}

async function nameOfValue(log: DatasetLog, value: Value): Promise<string> {
  if (value.type === 'file') return value.name
  const [target, ...others] = value.targets
  const name = target && (await fileNameOf(log, target))
  if (name === undefined) return 'an annotation'
  return `an annotation of ${name}${others.length > 0 ? ' …' : ''}`
}

function lastValueOf({ versions, active }: ObjectRow): Value | undefined {
  return active.map((i) => (versions[i] as Version).value).findLast((value) => value !== undefined)
}

/** Of an object nothing of which was ever accepted: what the first proposal heard of says. */
async function firstValueOf(log: DatasetLog, row: ObjectRow): Promise<Value | undefined> {
  if (row.purged) return undefined
  for await (const touch of log.history.operationsOf(row.id, { limit: 1 })) {
    return valueAt(log, touch)
  }
  return undefined
}

/** The name of a file by one of its versions. Rows of what is accepted cost less than events. */
async function fileNameOf(log: DatasetLog, version: VersionId): Promise<string | undefined> {
  const { versions } = await rowOf(log, objectIdOf(version, sha256))
  const accepted = versions.find(({ id }) => compareVersions(id, version) === 0)
  const value = accepted?.value ?? (await valueAt(log, version))
  return value?.type === 'file' ? value.name : undefined
}

async function valueAt(
  log: DatasetLog,
  { proposal, index }: VersionId,
): Promise<Value | undefined> {
  const [found] = await readProposals(log, [proposal])
  const operation = found?.operations[index]
  return operation && 'value' in operation ? operation.value : undefined
}
