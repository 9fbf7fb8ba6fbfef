// Judging one event that has just arrived without the whole of layer A, where that can be done.
import type { AuthoritySummary, Standing } from './authority.ts'
import type { EventId } from './ids.ts'
import { isAdd, isEndorse, isRemove, tenureCreatedBy } from './owner-graph.ts'
import type { OwnerHeader } from './state.ts'

/** Of a tenure whose add is void or lacks endorsements: no summary lists these, there may be any number. */
const unborn: Standing = {
  exists: false,
  closed: false,
  removedBy: [],
  leavings: [],
  removals: [],
}

export type Admission = 'valid' | 'void' | 'recompute'

/**
 * The verdict on a well-formed event that nobody has built on yet, in O(removals by its tenure),
 * when it changes no other verdict and no requirement; 'recompute' when it may. `seen`: the `remove`
 * and `policy` events in its past, a set that never changes. The verdict and {@link summaryAfter}
 * equal what `authority` says of the whole set, and the requirement is `requirementAt`. Events of a
 * frozen prefix that arrive late are for `authority`.
 *
 * Why: e is in no other event's past. So a removal r on its tenure T by R, a senior, does not have
 * e in K(r), which holds events of R and their pasts: e is void, and so it is after a leaving, and
 * without a tenure. A void event is in no K by its own right, creates, endorses and restricts
 * nothing: all else stays. A valid e only acts by (1) an add, (2) a remove, (3) an endorsement, (4)
 * enlarging K(r) of removals r by T beside it. With r in past(e), (4) is empty. An add
 * changes nothing else where no `remove` exists that it could wake or be struck by. Where more than
 * one key has to agree, nobody but its author endorses e yet: an add makes no tenure, and a policy
 * asks for nothing.
 *
 * All of this is about one pass. While leavings are ignored because nobody else stays, verdicts come from
 * a later pass, and an event that is void there may make somebody live in the first one: recompute.
 */
export function admit(
  summary: AuthoritySummary,
  header: OwnerHeader,
  seen: ReadonlySet<EventId>,
): Admission {
  const standing = summary.standings.get(header.tenure) ?? unborn
  if (summary.isGuarded) return 'recompute'
  if (!standing.exists || standing.closed) return 'void'
  if (standing.leavings.some((leaving) => seen.has(leaving))) return 'void'
  if (isRemove(header) || (isAdd(header) && summary.anyRemove)) return 'recompute'
  if (isEndorse(header) && summary.kOwner > 1) return 'recompute'
  return standing.removals.every((removal) => seen.has(removal)) ? 'valid' : 'recompute'
}

/**
 * The summary once an admitted event is part of the set: another one only after a remove, or an add
 * that makes an owner.
 */
export function summaryAfter(
  summary: AuthoritySummary,
  header: OwnerHeader,
  verdict: 'valid' | 'void',
): AuthoritySummary {
  if (isRemove(header)) return { ...summary, anyRemove: true }
  if (!isAdd(header)) return summary
  if (verdict === 'void' || summary.kOwner > 1) return summary
  const standing = { ...unborn, exists: true }
  const standings = new Map(summary.standings).set(tenureCreatedBy(header), standing)
  return { ...summary, standings }
}
