// What the last commits left to derive, kept until it is: to read it back costs more than to derive.
// Nothing here is needed: what is unknown is read.
import type { Event, Proposal } from '../core/event.ts'
import type { EventId } from '../core/ids.ts'
import type { ProposalRow, ReviewRow } from '../log/rows.ts'

interface Batch {
  readonly stored: readonly Event[]
  readonly dirty: ReadonlySet<EventId>
  /** Rows that were written. */
  readonly proposals: ReadonlyMap<EventId, ProposalRow>
  /** Reviews that were there before, and those that came; of a proposal not listed they are not known. */
  readonly storedReviews: ReadonlyMap<EventId, readonly ReviewRow[]>
  readonly reviews: ReadonlyMap<EventId, readonly ReviewRow[]>
}

export class Fresh {
  /** All proposals to be derived; undefined while only the disk knows. */
  dirty: Set<EventId> | undefined
  readonly proposals = new Map<EventId, Proposal>()
  /** Rows as they are on disk. */
  readonly rows = new Map<EventId, ProposalRow>()
  /** All reviews of a proposal as they are on disk. */
  readonly reviews = new Map<EventId, readonly ReviewRow[]>()

  /** A batch that is on disk now. */
  add(batch: Batch): void {
    for (const event of batch.stored) {
      if (event.family === 'proposal' && batch.dirty.has(event.id)) {
        this.proposals.set(event.id, event)
      }
    }
    for (const id of batch.dirty) {
      this.dirty?.add(id)
      const row = batch.proposals.get(id)
      if (row) this.rows.set(id, row)
      else this.rows.delete(id)
      const stored = batch.storedReviews.get(id)
      if (stored) this.reviews.set(id, [...stored, ...(batch.reviews.get(id) ?? [])])
      else this.reviews.delete(id)
    }
  }

  /** These proposals are derived. */
  forget(proposals: readonly EventId[]): void {
    for (const id of proposals) {
      this.dirty?.delete(id)
      this.proposals.delete(id)
      this.rows.delete(id)
      this.reviews.delete(id)
    }
  }
}
