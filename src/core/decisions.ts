// Layer B: which operations of a proposal are accepted. Reads the verdicts of layer A and nothing
// else. An accept counts when it is valid and has no reject of the item before it; it is never
// withdrawn. Accepted: for some i, at least i keys have accepts that count and require at most i.
// Rejected: not accepted, and some valid reject stands that its own key did not take back by a later
// accept.
import { compareDates } from './accept-date.ts'
import type { EventId } from './ids.ts'
import type { Decision, ReviewOfProposal } from './state.ts'

/** A set of operations of one proposal, 32 to a word. */
type Operations = Uint32Array

/**
 * Decides a proposal of `operationCount` operations by all reviews of it, in any order, void ones
 * included: a reject that was valid in the past of an accept stops that accept for ever.
 * @returns runs that cover all operations once, ascending; neighbours differ in status or event.
 */
export function decide(operationCount: number, reviews: readonly ReviewOfProposal[]): Decision[] {
  const covers = new Map<EventId, Operations>()
  for (const review of reviews) covers.set(review.event, coveredBy(review, operationCount))
  const coverOf = (event: EventId): Operations => {
    const cover = covers.get(event)
    if (cover === undefined) throw new Error(`review ${event} is not among those of the proposal`)
    return cover
  }

  const byDate = reviews.toSorted((a, b) => compareDates(a.date, b.date))
  const accepts = byDate.filter((review) => review.valid && review.verdict === 'accept')
  const rejects = byDate.filter((review) => review.valid && review.verdict === 'reject')
  const open = wholeOf(operationCount)
  const decidedBy = new Array<ReviewOfProposal | undefined>(operationCount)

  // The first accept with which an operation has enough dates it, so accepts paint by date and never
  // over another.
  let tally: ReturnType<typeof tallyOf> | undefined
  for (const accept of accepts) {
    const painted = intersection(coverOf(accept.event), open)
    for (const reject of accept.validRejectsBefore) subtract(painted, coverOf(reject))
    if (accept.requires > 1) (tally ??= tallyOf(operationCount, accepts))(accept, painted)
    paint(painted, accept, decidedBy)
    subtract(open, painted)
  }
  const takenBack = takenBackBy(accepts, reviews, coverOf)
  for (const reject of rejects) {
    const painted = intersection(coverOf(reject.event), open)
    const back = takenBack.get(reject.event)
    if (back !== undefined) subtract(painted, back)
    paint(painted, reject, decidedBy)
    subtract(open, painted)
  }
  return runsOf(decidedBy)
}

/**
 * Counts accepts that require more than one key, each after those with smaller dates, and leaves of the
 * operations they cover those that have enough now.
 */
function tallyOf(
  operationCount: number,
  accepts: readonly ReviewOfProposal[],
): (accept: ReviewOfProposal, covered: Operations) => void {
  // If i keys are enough for any i, they are for one that some accept requires.
  const levels = [...new Set(accepts.map(({ requires }) => requires))].filter((i) => i > 1)
  const counts = new Map(levels.map((i) => [i, new Uint16Array(operationCount)]))
  const counted = new Map<string, Operations>()
  return ({ key, requires }, covered) => {
    const enough = new Uint32Array(covered.length)
    for (const [level, count] of counts) {
      if (level < requires) continue
      // A key counts once, by the accept that requires the least.
      const of = `${level} ${key}`
      const before = counted.get(of)
      const fresh = covered.slice()
      if (before === undefined) counted.set(of, covered.slice())
      else {
        subtract(fresh, before)
        unite(before, fresh)
      }
      forEach(fresh, (i) => {
        count[i] = (count[i] as number) + 1
        if ((count[i] as number) >= level) addRange(enough, i, i)
      })
    }
    covered.set(enough)
  }
}

/** Per reject, the operations that its own key accepted with the reject in the past. */
function takenBackBy(
  accepts: readonly ReviewOfProposal[],
  reviews: readonly ReviewOfProposal[],
  coverOf: (event: EventId) => Operations,
): Map<EventId, Operations> {
  const keyOf = new Map(reviews.map((review) => [review.event, review.key]))
  const takenBack = new Map<EventId, Operations>()
  for (const accept of accepts) {
    for (const reject of accept.rejectsBefore) {
      if (keyOf.get(reject) !== accept.key) continue
      const cover = coverOf(accept.event)
      const back = takenBack.get(reject)
      if (back === undefined) takenBack.set(reject, cover.slice())
      else unite(back, cover)
    }
  }
  return takenBack
}

function runsOf(decidedBy: readonly (ReviewOfProposal | undefined)[]): Decision[] {
  const runs: Decision[] = []
  for (let from = 0; from < decidedBy.length;) {
    const review = decidedBy[from]
    let to = from
    while (to + 1 < decidedBy.length && decidedBy[to + 1] === review) to++
    if (review === undefined) runs.push({ from, to, status: 'pending' })
    else if (review.verdict === 'reject') {
      runs.push({ from, to, status: 'rejected', by: review.event })
    } else runs.push({ from, to, status: 'accepted', by: review.event, date: review.date })
    from = to + 1
  }
  return runs
}

// ---------------------------------------------------------------- sets of operations

function wholeOf(operationCount: number): Operations {
  const all = new Uint32Array(Math.ceil(operationCount / 32))
  addRange(all, 0, operationCount - 1)
  return all
}

/** Ranges past the last operation name nothing. */
function coveredBy({ ranges }: ReviewOfProposal, operationCount: number): Operations {
  if (ranges === undefined) return wholeOf(operationCount)
  const covered = new Uint32Array(Math.ceil(operationCount / 32))
  for (const [from, to] of ranges) addRange(covered, from, Math.min(to, operationCount - 1))
  return covered
}

function addRange(set: Operations, from: number, to: number): void {
  for (let i = from; i <= to; i++) set[i >>> 5] = (set[i >>> 5] as number) | (1 << (i & 31))
}

function intersection(a: Operations, b: Operations): Operations {
  return a.map((word, i) => word & (b[i] as number))
}

function subtract(from: Operations, set: Operations): void {
  for (let i = 0; i < from.length; i++) from[i] = (from[i] as number) & ~(set[i] as number)
}

function unite(into: Operations, set: Operations): void {
  for (let i = 0; i < into.length; i++) into[i] = (into[i] as number) | (set[i] as number)
}

function forEach(set: Operations, visit: (operation: number) => void): void {
  set.forEach((word, i) => {
    for (let rest = word; rest !== 0; rest &= rest - 1) {
      visit(i * 32 + (31 - Math.clz32(rest & -rest)))
    }
  })
}

function paint<T>(set: Operations, colour: T, canvas: T[]): void {
  forEach(set, (operation) => (canvas[operation] = colour))
}
