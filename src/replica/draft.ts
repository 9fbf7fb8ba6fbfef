// The rows of a batch of events that is being put together.
import type { Event } from '../core/event.ts'
import type { EventId } from '../core/ids.ts'
import type { Write } from '../log/database.ts'
import type { HeaderRow, ProposalRow, ReviewRow } from '../log/rows.ts'
import type { Refused } from './intake.ts'
import { noReadAhead, type ReadAhead } from './read-ahead.ts'

/** Reads see its rows before they are on disk. */
export class Draft {
  readonly writes: Write[] = []
  readonly headers = new Map<EventId, HeaderRow>()
  readonly proposals = new Map<EventId, ProposalRow>()
  readonly dirty = new Set<EventId>()
  readonly stored: Event[] = []
  readonly refused: Refused[] = []
  readonly missing = new Set<EventId>()
  readonly owner: EventId[] = []
  readonly poolIn = new Set<EventId>()
  readonly poolOut = new Set<EventId>()
  /** Proposals that became part of the history, and those named and not here. */
  readonly named = new Set<EventId>()
  readonly wanted = new Set<EventId>()
  readonly reviews = new Map<EventId, ReviewRow[]>()
  /** Of the proposals reviewed, all reviews that were on disk. */
  readonly storedReviews = new Map<EventId, readonly ReviewRow[]>()
  /** Proposals that were pushed out of the pool. */
  readonly evicted = new Set<EventId>()
  /** Of the events at hand. */
  readAhead: ReadAhead = noReadAhead
}
