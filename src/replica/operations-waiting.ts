// What owners signed and too few of them endorse yet, from the rows of operations alone.
import { type EventId, founderIndexOf, type PublicKey } from '../core/ids.ts'
import type { Tenure } from '../core/state.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { HeaderRow } from '../log/rows.ts'
import type { Authority } from './authority.ts'
import { hasRun } from './runs.ts'

/** An `add`, `remove` or `policy` that has no effect, or none on somebody it names. */
export interface OwnerOperation {
  readonly event: EventId
  readonly kind: 'add' | 'remove' | 'policy'
  /** Of whom it adds or removes. */
  readonly key?: PublicKey
  readonly kReview?: number
  readonly by: PublicKey
  /** Distinct keys whose agreement counts, the author's first. */
  readonly endorsedBy: readonly PublicKey[]
  readonly needed: number
}

interface Operations {
  readonly authority: Authority
  /** By id, also void ones. */
  readonly rows: ReadonlyMap<EventId, HeaderRow>
  /** Of an operation: it and what endorses it, in the order of their depth. */
  readonly supporters: ReadonlyMap<EventId, readonly HeaderRow[]>
}

/** By depth. Work: O(operations and endorsements). */
export async function operationsWaiting(
  log: DatasetLog,
  authority: Authority,
): Promise<OwnerOperation[]> {
  const needed = authority.thresholds.kOwner
  if (needed === 1) return []
  const ids = [...authority.operations]
  const [found, voids] = await Promise.all([log.headers(ids), log.areVoid(ids)])
  const all = found.filter((row) => row !== undefined)
  const valid = found.filter((row, i) => row !== undefined && voids[i] !== true) as HeaderRow[]
  valid.sort((a, b) => a.depth - b.depth || (a.id < b.id ? -1 : 1))
  const supporters = supportersOf(authority, valid)
  const rows = new Map(all.map((row) => [row.id, row]))
  const operations = { authority, rows, supporters }
  return valid.flatMap((row) => {
    const counts = isWaitingFor(operations, row)
    if (counts === undefined) return []
    const counting = (supporters.get(row.id) ?? []).filter(counts)
    const endorsedBy = [...new Set(counting.map(({ author }) => author))]
    if (endorsedBy.length >= needed) return []
    const { id: event, kind, key, kReview, author: by } = row
    const about = { ...(key !== undefined && { key }), ...(kReview !== undefined && { kReview }) }
    return [{ event, kind: kind as OwnerOperation['kind'], ...about, by, endorsedBy, needed }]
  })
}

function supportersOf(
  authority: Authority,
  rows: readonly HeaderRow[],
): Map<EventId, readonly HeaderRow[]> {
  const supporters = new Map<EventId, HeaderRow[]>()
  for (const row of rows) {
    if (row.kind !== 'endorse') supporters.set(row.id, [row])
    else if (row.operation !== undefined && isSeenBy(authority, row.operation, row)) {
      supporters.get(row.operation)?.push(row)
    }
  }
  return supporters
}

/** Whose agreement counts for an operation that may wait; undefined for one that does not. */
function isWaitingFor(
  { authority, rows }: Operations,
  row: HeaderRow,
): ((supporter: HeaderRow) => boolean) | undefined {
  const { tenures, thresholds } = authority
  const wasOwnerAt = (event: HeaderRow) => (supporter: HeaderRow) =>
    founderIndexOf(supporter.tenure) !== undefined ||
    isSeenBy(authority, supporter.tenure as string as EventId, event)
  switch (row.kind) {
    case 'add': {
      const isOwner = tenures.some(({ id, exists }) => exists && (id as string) === row.id)
      return isOwner ? undefined : wasOwnerAt(row)
    }
    case 'policy':
      return (row.kReview ?? 0) <= thresholds.kOwner ? wasOwnerAt(row) : undefined
    case 'remove': {
      if (row.key === row.author) return undefined
      const seniorTo = (tenure: Tenure) => {
        const add = rows.get(tenure.id as string as EventId)
        if (add !== undefined) return wasOwnerAt(add)
        return ({ tenure: by }: HeaderRow) =>
          (founderIndexOf(by) ?? Infinity) < (tenure.founderIndex ?? -1)
      }
      const targets = tenures.filter((tenure) => {
        const add = rows.get(tenure.id as string as EventId)
        const isAfter = add !== undefined && isSeenBy(authority, row.id, add)
        return tenure.live && tenure.key === row.key && !isAfter && seniorTo(tenure)(row)
      })
      return targets[0] && seniorTo(targets[0])
    }
    default:
      return undefined
  }
}

function isSeenBy(authority: Authority, operation: EventId, row: HeaderRow): boolean {
  const ordinal = authority.ordinalOf(operation)
  return ordinal !== undefined && hasRun(row.seen, ordinal)
}
