// The proposals that came last, decoded: what is said of them next needs them again.
import type { Event, Proposal } from '../core/event.ts'
import type { EventId } from '../core/ids.ts'

/** Operations that are kept over all proposals. */
const RECENT_OPERATIONS = 8_000

/** Bounded by the operations in them; the oldest goes first. */
export class RecentProposals {
  readonly #recent = new Map<EventId, Proposal>()
  #operations = 0

  get(id: EventId): Proposal | undefined {
    return this.#recent.get(id)
  }

  /** Those of `events` that are proposals. Each is added once. */
  add(events: readonly Event[]): void {
    for (const event of events) if (event.family === 'proposal') this.#add(event)
  }

  drop(ids: readonly EventId[]): void {
    for (const id of ids) {
      this.#operations -= this.#recent.get(id)?.operations.length ?? 0
      this.#recent.delete(id)
    }
  }

  #add(proposal: Proposal): void {
    this.#recent.set(proposal.id, proposal)
    this.#operations += proposal.operations.length
    for (const [id, { operations }] of this.#recent) {
      if (this.#operations <= RECENT_OPERATIONS) return
      this.#recent.delete(id)
      this.#operations -= operations.length
    }
  }
}
