// The versions that operations refer to: what they build on, what they annotate, and by which schema.
import type { Operation, Value } from '../../core/event.ts'
import {
  type ObjectId,
  objectIdOf,
  type VersionId,
  type VersionKey,
  versionKey,
} from '../../core/ids.ts'
import { objectRowOf } from '../../core/objects.ts'
import type { Decision } from '../../core/state.ts'
import { sha256 } from '../../crypto.ts'
import type { Replica } from '../../replica/replica.ts'

/** A version that an operation refers to: a base, a target or a schema. */
export interface Known {
  readonly object?: ObjectId
  readonly value?: Value
  readonly isAccepted: boolean
}

/** Targets of one annotation that are looked up; all of them are listed. */
const TARGETS_SHOWN = 8
/** Proposals read for what no object row tells. */
const PROPOSALS_READ_MAX = 64

/**
 * What is known of the versions that operations refer to: from the rows of objects where they created
 * them, else from a bounded number of proposals.
 */
export async function versionsReferredTo(
  replica: Replica,
  operations: readonly Operation[],
): Promise<Map<VersionKey, Known>> {
  const wanted = new Map<VersionKey, VersionId>()
  for (const operation of operations) {
    for (const id of referredBy(operation)) wanted.set(versionKey(id), id)
  }
  const ids = [...wanted.values()]
  const known = new Map<VersionKey, Known>()
  const own = operations.flatMap((operation) => ('object' in operation ? [operation.object] : []))
  const created = ids.map((id) => objectIdOf(id, sha256))
  const objects = [...new Set([...own, ...created])]
  const rows = await replica.log.versions(objects)
  for (const [i, versions] of rows.entries()) {
    const object = objects[i] as ObjectId
    const { purged } = objectRowOf(object, versions)
    for (const { id, value } of versions) {
      known.set(versionKey(id), { object, isAccepted: true, ...(value && !purged && { value }) })
    }
  }
  const rest = ids.filter((id) => !known.has(versionKey(id)))
  await readInto(replica, rest, known)
  return known
}

function referredBy(operation: Operation): VersionId[] {
  const bases = 'base' in operation ? operation.base.slice(0, 1) : []
  if (!('value' in operation) || operation.value.type !== 'annotation') return bases
  const { targets, schema } = operation.value
  return [...bases, ...targets.slice(0, TARGETS_SHOWN), schema]
}

/** Versions that are not accepted, or that updated an object. */
async function readInto(
  replica: Replica,
  ids: readonly VersionId[],
  known: Map<VersionKey, Known>,
): Promise<void> {
  const proposals = [...new Set(ids.map(({ proposal }) => proposal))].slice(0, PROPOSALS_READ_MAX)
  for (const id of proposals) {
    const [proposal, row] = await Promise.all([replica.proposal(id), replica.log.proposal(id)])
    if (proposal === undefined || row === undefined) continue
    for (const version of ids) {
      const operation = version.proposal === id ? proposal.operations[version.index] : undefined
      if (operation === undefined) continue
      const isHere = ({ from, to }: Decision) => from <= version.index && version.index <= to
      known.set(versionKey(version), {
        object: operation.op === 'create' ? objectIdOf(version, sha256) : operation.object,
        isAccepted: row.decisions.find(isHere)?.status === 'accepted',
        ...('value' in operation && { value: operation.value }),
      })
    }
  }
}
