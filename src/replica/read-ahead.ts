// Reads together what a batch of events will ask for: a read by itself costs as much as many at once.
import type { OwnerEvent, Proposal } from '../core/event.ts'
import type { EventId } from '../core/ids.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { HeaderRow, ProposalRow } from '../log/rows.ts'

/** What is on disk of all that some events name. */
export interface ReadAhead {
  readonly headers: ReadonlyMap<EventId, HeaderRow | undefined>
  readonly proposals: ReadonlyMap<EventId, ProposalRow | undefined>
  /** Of the proposals named and of those that came, the ones a stored review names and that were not here. */
  readonly wanted: ReadonlySet<EventId>
}

export const noReadAhead: ReadAhead = {
  headers: new Map(),
  proposals: new Map(),
  wanted: new Set(),
}

/** Events, parents and proposals named in one part. */
const PART_MAX = 2_000

/** Runs of events that together name a bounded number of others; one that names more is alone. */
export function* inParts<T extends OwnerEvent | Proposal>(events: readonly T[]): Generator<T[]> {
  let part: T[] = []
  let cost = 0
  for (const event of events) {
    cost += costOf(event)
    if (part.length > 0 && cost > PART_MAX) {
      yield part
      part = []
      cost = costOf(event)
    }
    part.push(event)
  }
  if (part.length > 0) yield part
}

function costOf(event: OwnerEvent | Proposal): number {
  return event.family === 'owner' ? 1 + event.parents.length + namedBy(event).length : 1
}

/** The proposals a review names. */
export function namedBy({ body }: OwnerEvent): EventId[] {
  return body.kind === 'review' ? body.items.map((item) => item.proposal) : []
}

export async function readAheadOf(
  log: DatasetLog,
  owners: readonly OwnerEvent[],
  proposals: readonly Proposal[],
): Promise<ReadAhead> {
  const parents = [...new Set(owners.flatMap((event) => event.parents))]
  const named = [...new Set(owners.flatMap(namedBy))]
  const ids = [...named, ...proposals.map((event) => event.id)]
  const [headers, rows, wanted] = await Promise.all([
    log.headers(parents),
    log.proposals(named),
    log.areWanted(ids),
  ])
  return {
    headers: new Map(parents.map((id, i) => [id, headers[i]])),
    proposals: new Map(named.map((id, i) => [id, rows[i]])),
    wanted: new Set(ids.filter((_, i) => wanted[i] === true)),
  }
}
