// Layer A: which owner events count, and who owns the dataset. A pure function of the set of owner
// events; their order of arrival, clocks and other peers have no part in it.
//
// Grants act on their causal future only; a removal acts on everything its author had not
// acknowledged. What is said of a tenure depends on strictly senior tenures and on its own
// leavings, so one pass over the tenures by rank decides all of it. Work: O(events), and O(events)
// more for every 32 removals.
import { type FrozenPrefix, nothingFrozen } from './frozen.ts'
import type { EventId, PublicKey, TenureId } from './ids.ts'
import {
  acknowledged,
  descendants,
  type Graph,
  graphOf,
  type GraphTenure,
  isAdd,
  isRemove,
  type Keyed,
  tenureCreatedBy,
} from './owner-graph.ts'
import type { OwnerHeader, Tenure } from './state.ts'

export interface Authority {
  /** By rank, those whose add is void included. */
  readonly tenures: readonly Tenure[]
  /** Stored and a node of the graph, but without effect. */
  readonly voidEvents: ReadonlySet<EventId>
  /** Leavings without effect, so that somebody stays. */
  readonly ignoredLeavings: ReadonlySet<EventId>
  /** Enough to judge most events that arrive later: see {@link admit}. */
  readonly summary: AuthoritySummary
}

export interface AuthoritySummary {
  readonly standings: ReadonlyMap<TenureId, Standing>
  /** Some event removes an owner or leaves, valid or not. */
  readonly anyRemove: boolean
  /** Leavings are ignored because nobody else stays. */
  readonly isGuarded: boolean
}

/** What decides on further events of one tenure. */
export interface Standing {
  readonly exists: boolean
  /** A removal by a senior is in effect: an event that arrives now is not in its K. */
  readonly closed: boolean
  /** Leavings in effect: what follows one of them is void. */
  readonly leavings: readonly EventId[]
  /** Its removals in effect on others: their K grows by what it writes beside them. */
  readonly removals: readonly EventId[]
}

interface Removal {
  readonly id: EventId
  /** Index of the tenure that wrote it. */
  readonly by: number
  readonly isFrozen: boolean
}

interface MutableStanding {
  exists: boolean
  /** In effect on it, by seniors. */
  removals: Removal[]
  /** A frozen restriction is in effect: nothing outside the frozen prefix counts. */
  shut: boolean
  leavings: EventId[]
  /** Nodes of those of its leavings that are its own events. */
  ownLeavings: number[]
}

interface Pass {
  readonly isVoid: Uint8Array
  /**
   * Outside K of some removal in effect on the event's tenure, or after a leaving in effect on it.
   */
  readonly struck: Uint8Array
  readonly standings: readonly MutableStanding[]
}

/** Removals per scan of the graph: one bit each. */
const SCAN_BITS = 32

/**
 * Layer A over any set of well-formed owner events, in any order, that holds the parents of each
 * but the genesis. Well-formed: see docs/protocol.md (key of the tenure, its add in the past,
 * depth). Throws Error when that does not hold.
 */
export function authority(
  founders: readonly PublicKey[],
  events: readonly OwnerHeader[],
  genesis: EventId,
  frozen: FrozenPrefix = nothingFrozen,
): Authority {
  const anyRemove = events.some(isRemove)
  const graph = graphOf(founders, events, genesis, anyRemove)
  const ignored = new Set(frozen.ignoredLeavings)
  for (;;) {
    const pass = passOver(graph, ignored, frozen)
    if (!pass.standings.some(isLive)) {
      // Somebody stays: the last to leave did not.
      const leaving = lastLeaving(graph, pass, frozen)
      if (leaving !== undefined) {
        ignored.add(leaving)
        continue
      }
    }
    const isGuarded = ignored.size > frozen.ignoredLeavings.length
    return { ...resultOf(graph, pass, { anyRemove, isGuarded }), ignoredLeavings: ignored }
  }
}

export { tenureCreatedBy }

export type Admission = 'valid' | 'void' | 'recompute'

/**
 * The verdict on a well-formed event that nobody has built on yet, in O(removals by its tenure),
 * when it changes no other verdict; 'recompute' when it may. `removesSeen`: the `remove` events in
 * its past, a set that never changes. The verdict and {@link summaryAfter} equal what `authority`
 * says of the whole set. Events of a frozen prefix that arrive late are for `authority`.
 *
 * Why: e is in no other event's past. So a removal r on its tenure T by R, a senior, does not have
 * e in K(r), which holds events of R and their pasts: e is void, and so it is after a leaving, and
 * without a tenure. A void event is in no K by its own right, creates nothing and restricts
 * nothing: all else stays. A valid e only acts by (1) an add, (2) a remove, (3) enlarging K(r) of
 * removals r by T beside it. With r in past(e), (3) is empty. An add changes nothing else where no
 * `remove` exists that it could wake or be struck by.
 *
 * All of this is about one pass. While leavings are ignored because nobody else stays, verdicts come from
 * a later pass, and an event that is void there may make somebody live in the first one: recompute.
 */
export function admit(
  summary: AuthoritySummary,
  header: OwnerHeader,
  removesSeen: ReadonlySet<EventId>,
): Admission {
  const standing = summary.standings.get(header.tenure)
  if (standing === undefined) throw new Error(`unknown tenure ${header.tenure}`)
  if (summary.isGuarded) return 'recompute'
  if (!standing.exists || standing.closed) return 'void'
  if (standing.leavings.some((leaving) => removesSeen.has(leaving))) return 'void'
  if (isRemove(header) || (isAdd(header) && summary.anyRemove)) return 'recompute'
  return standing.removals.every((removal) => removesSeen.has(removal)) ? 'valid' : 'recompute'
}

/**
 * The summary once an admitted event is part of the set: another one only after an add or a
 * remove.
 */
export function summaryAfter(
  summary: AuthoritySummary,
  header: OwnerHeader,
  verdict: 'valid' | 'void',
): AuthoritySummary {
  if (isRemove(header)) return { ...summary, anyRemove: true }
  if (!isAdd(header)) return summary
  const standing = { ...unborn, exists: verdict === 'valid' }
  const standings = new Map(summary.standings).set(tenureCreatedBy(header), standing)
  return { ...summary, standings }
}

function passOver(graph: Graph, ignored: ReadonlySet<EventId>, frozen: FrozenPrefix): Pass {
  const pass: Pass = {
    isVoid: new Uint8Array(graph.headers.length),
    struck: new Uint8Array(graph.headers.length),
    standings: graph.tenures.map(() => ({
      exists: false,
      removals: [],
      shut: false,
      leavings: [],
      ownLeavings: [],
    })),
  }
  for (let t = 0; t < graph.tenures.length; t++) {
    judge(graph, pass, t, ignored, frozen)
    restrict(graph, pass, t, ignored, frozen)
  }
  return pass
}

/** Verdicts on the events of tenure `t`, once all its seniors have restricted it. */
function judge(
  graph: Graph,
  pass: Pass,
  t: number,
  ignored: ReadonlySet<EventId>,
  frozen: FrozenPrefix,
): void {
  const { add, key, events } = graph.tenures[t] as GraphTenure
  const standing = pass.standings[t] as MutableStanding
  standing.exists = add < 0 || pass.isVoid[add] === 0
  const isLeaving = (i: number) => {
    const header = graph.headers[i] as OwnerHeader
    return isRemove(header) && header.key === key && !ignored.has(header.id)
  }
  const leavings = new Set(events.filter(isLeaving))
  for (const i of leavings) if (isFrozenValid(graph, i, frozen)) standing.shut = true
  const counts = (i: number) =>
    frozen.verdictOf((graph.headers[i] as OwnerHeader).id) ??
    (standing.exists && !standing.shut && pass.struck[i] === 0)
  if (leavings.size === 0) {
    for (const i of events) if (!counts(i)) pass.isVoid[i] = 1
    return
  }
  // Leaving voids what follows it: later leavings of the same tenure too.
  const { parentsFrom, parents } = graph
  const left = new Uint8Array(graph.headers.length)
  for (let i = 0; i < left.length; i++) {
    for (let k = parentsFrom[i] as number; k < (parentsFrom[i + 1] as number); k++) {
      left[i] = (left[i] as number) | (left[parents[k] as number] as number)
    }
    if (graph.tenureOf[i] !== t) continue
    const { id } = graph.headers[i] as OwnerHeader
    if (!(frozen.verdictOf(id) ?? (left[i] === 0 && counts(i)))) pass.isVoid[i] = 1
    else if (leavings.has(i)) {
      left[i] = 1
      standing.leavings.push(id)
      standing.ownLeavings.push(i)
    }
  }
}

const unborn: Standing = { exists: false, closed: false, leavings: [], removals: [] }

/** What the valid removals of tenure `t` do to its juniors. */
function restrict(
  graph: Graph,
  pass: Pass,
  t: number,
  ignored: ReadonlySet<EventId>,
  frozen: FrozenPrefix,
): void {
  const { add, key, events } = graph.tenures[t] as GraphTenure
  const juniorsOf = (i: number) => {
    const target = (graph.headers[i] as Keyed).key
    return (graph.tenuresOfKey.get(target) ?? []).filter((x) => x > t)
  }
  const acting = events.filter((i) => {
    const header = graph.headers[i] as OwnerHeader
    if (!isRemove(header) || pass.isVoid[i] !== 0 || ignored.has(header.id)) return false
    return juniorsOf(i).length > 0
  })
  if (acting.length === 0) return
  // A founder is senior to all that rank after it; others to the tenures added with theirs in the
  // past.
  const afterAdd = add < 0 ? undefined : descendants(graph, [add])
  for (let from = 0; from < acting.length; from += SCAN_BITS) {
    const removes = acting.slice(from, from + SCAN_BITS)
    const after = descendants(graph, removes)
    const known = acknowledged(graph, t, after, pass.isVoid)
    // Per junior, the bits of what is in effect on it.
    const effects = new Map<number, { removals: number; leavings: number }>()
    removes.forEach((i, k) => {
      const isLeaving = (graph.headers[i] as Keyed).key === key
      for (const x of juniorsOf(i)) {
        const addOfX = (graph.tenures[x] as GraphTenure).add
        if (afterAdd !== undefined && afterAdd[addOfX] === 0) continue
        if (addOfX >= 0 && ((after[addOfX] as number) & (1 << k)) !== 0) continue
        const isFrozen = isFrozenValid(graph, i, frozen)
        register(pass, x, { id: (graph.headers[i] as Keyed).id, by: t, isFrozen }, isLeaving)
        if (isFrozen) continue
        const effect = effects.get(x) ?? { removals: 0, leavings: 0 }
        effect[isLeaving ? 'leavings' : 'removals'] |= 1 << k
        effects.set(x, effect)
      }
    })
    for (const [x, { removals, leavings }] of effects) {
      for (const e of (graph.tenures[x] as GraphTenure).events) {
        const isOutsideK = ((known[e] as number) & removals) !== removals
        // Leaving is one rule for all tenures of the key: it voids only what follows it.
        if (isOutsideK || ((after[e] as number) & leavings) !== 0) pass.struck[e] = 1
      }
    }
  }
}

/** Notes a restriction in effect on tenure `x`. */
function register(pass: Pass, x: number, removal: Removal, isLeaving: boolean): void {
  const standing = pass.standings[x] as MutableStanding
  if (isLeaving) standing.leavings.push(removal.id)
  else standing.removals.push(removal)
  // K of a frozen restriction lies in the frozen prefix: all that is outside is void.
  if (removal.isFrozen) standing.shut = true
}

function isFrozenValid(graph: Graph, node: number, frozen: FrozenPrefix): boolean {
  return frozen.verdictOf((graph.headers[node] as OwnerHeader).id) === true
}

function isLive(standing: MutableStanding): boolean {
  return standing.exists && standing.removals.length === 0 && standing.leavings.length === 0
}

/**
 * The valid leaving with the greatest (depth, rank, id), of a tenure that no senior has removed.
 */
function lastLeaving(graph: Graph, pass: Pass, frozen: FrozenPrefix): EventId | undefined {
  let last: OwnerHeader | undefined
  pass.standings.forEach((standing) => {
    if (standing.removals.length > 0) return
    for (const i of standing.ownLeavings) {
      const header = graph.headers[i] as OwnerHeader
      if (isFrozenValid(graph, i, frozen)) continue
      // Tenures come by rank, so at equal depth a later tenure wins.
      const isLater =
        last === undefined ||
        header.depth > last.depth ||
        (header.depth === last.depth && (header.tenure !== last.tenure || header.id > last.id))
      if (isLater) last = header
    }
  })
  return last?.id
}

function resultOf(
  graph: Graph,
  pass: Pass,
  known: Omit<AuthoritySummary, 'standings'>,
): Omit<Authority, 'ignoredLeavings'> {
  const voidEvents = new Set<EventId>()
  graph.headers.forEach(({ id }, i) => {
    if (pass.isVoid[i] !== 0) voidEvents.add(id)
  })
  const tenures = graph.tenures.map(({ id, key, addDepth, founderIndex }, t): Tenure => {
    const standing = pass.standings[t] as MutableStanding
    const founder = founderIndex === undefined ? {} : { founderIndex }
    return { id, key, addDepth, ...founder, exists: standing.exists, live: isLive(standing) }
  })
  return { tenures, voidEvents, summary: { standings: standingsOf(graph, pass), ...known } }
}

function standingsOf(graph: Graph, pass: Pass): Map<TenureId, Standing> {
  const removalsBy = graph.tenures.map(() => new Set<EventId>())
  for (const { exists, removals } of pass.standings) {
    if (!exists) continue
    for (const { id, by, isFrozen } of removals) if (!isFrozen) removalsBy[by]?.add(id)
  }
  const standings = new Map<TenureId, Standing>()
  graph.tenures.forEach(({ id }, t) => {
    const { exists, removals, shut, leavings } = pass.standings[t] as MutableStanding
    const closed = removals.length > 0 || shut
    const onOthers = [...(removalsBy[t] ?? [])]
    standings.set(id, exists ? { exists, closed, leavings, removals: onOthers } : unborn)
  })
  return standings
}
