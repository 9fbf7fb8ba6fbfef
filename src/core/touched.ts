// Which object an operation of a proposal is on.
import type { Proposal } from './event.ts'
import { objectIdOf, type ObjectId, type Sha256 } from './ids.ts'

/** Hashing costs as much as writing the row: a proposal that is at hand is asked for it several times. */
const created = new WeakMap<Proposal, (ObjectId | undefined)[]>()

/** The object that the operation creates, or the one it names. Throws RangeError past the last one. */
export function objectOf(proposal: Proposal, index: number, sha256: Sha256): ObjectId {
  const operation = proposal.operations[index]
  if (operation === undefined) throw new RangeError(`proposal ${proposal.id} has no ${index}`)
  if (operation.op !== 'create') return operation.object
  let ids = created.get(proposal)
  if (ids === undefined) created.set(proposal, (ids = []))
  return (ids[index] ??= objectIdOf({ proposal: proposal.id, index }, sha256))
}
