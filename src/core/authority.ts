// Layer A: which owner events count, and who owns the dataset. A pure function of the set of owner
// events; their order of arrival, clocks and other peers have no part in it.
//
// Grants act on their causal future only; a removal acts on everything its author had not
// acknowledged. What is said of a tenure depends on strictly senior tenures and on its own
// leavings, so one pass over the tenures by rank decides all of it. Work: O(events), and O(events)
// more for every 32 removals, or 32 endorsements where more than one key has to agree.
import { type Endorsements, endorsementsOf } from './endorsement.ts'
import type { Genesis } from './event.ts'
import { type FrozenPrefix, nothingFrozen } from './frozen.ts'
import type { EventId, TenureId } from './ids.ts'
import {
  acknowledged,
  descendants,
  type Graph,
  graphOf,
  type GraphTenure,
  isRemove,
  type Keyed,
  SCAN_BITS,
} from './owner-graph.ts'
import { type EffectivePolicy, policiesOf, type Thresholds } from './policy.ts'
import type { OwnerHeader, Tenure } from './state.ts'

/** What the genesis says of authority. */
export type Founding = Pick<Genesis, 'founders' | 'kOwner' | 'kReview'>

export interface Authority {
  /** By rank, those whose add is void included. */
  readonly tenures: readonly Tenure[]
  /** Stored and a node of the graph, but without effect. */
  readonly voidEvents: ReadonlySet<EventId>
  /** Leavings without effect, so that somebody stays. */
  readonly ignoredLeavings: ReadonlySet<EventId>
  /** Reviews that ask for another number of keys than the genesis does. */
  readonly requirements: ReadonlyMap<EventId, number>
  /** Enough to judge most events that arrive later: see {@link admit}. */
  readonly summary: AuthoritySummary
}

export interface AuthoritySummary extends Thresholds {
  /** Of tenures that exist. */
  readonly standings: ReadonlyMap<TenureId, Standing>
  /** Some event removes an owner or leaves, valid or not. */
  readonly anyRemove: boolean
  /** Leavings are ignored because nobody else stays. */
  readonly isGuarded: boolean
  readonly policies: readonly EffectivePolicy[]
}

/** What decides on further events of one tenure. */
export interface Standing {
  readonly exists: boolean
  /** A removal by a senior is in effect: an event that arrives now is not in its K. */
  readonly closed: boolean
  /** Removals by seniors that are in effect on it. */
  readonly removedBy: readonly EventId[]
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

interface Stage {
  /** Node. */
  readonly removal: number
  /** The last tenure of which it is decided. */
  readonly last: number
}

/** What no pass changes. */
interface Given {
  readonly graph: Graph
  readonly endorsements: Endorsements
  /** Removals that can take effect on tenures ranked after this one and up to `last`, by tenure. */
  readonly stages: ReadonlyMap<number, readonly Stage[]>
  readonly frozen: FrozenPrefix
}

interface Pass {
  readonly isVoid: Uint8Array
  /**
   * Outside K of some removal in effect on the event's tenure, or after a leaving in effect on it.
   */
  readonly struck: Uint8Array
  readonly standings: readonly MutableStanding[]
}

/**
 * Layer A over any set of well-formed owner events, in any order, that holds the parents of each
 * but the genesis. Well-formed: see docs/protocol.md (key of the tenure, its add in the past,
 * depth). Throws Error when that does not hold.
 */
export function authority(
  founding: Founding,
  events: readonly OwnerHeader[],
  genesis: EventId,
  frozen: FrozenPrefix = nothingFrozen,
): Authority {
  const { founders, kOwner, kReview } = founding
  const anyRemove = events.some(isRemove)
  // One key is enough and nobody was removed: nothing is void and nobody asks for pasts.
  const graph = graphOf(founders, events, genesis, anyRemove || kOwner > 1)
  const endorsements = endorsementsOf(graph, kOwner)
  const given = { graph, endorsements, stages: stagesOf(graph, endorsements), frozen }
  const ignored = new Set(frozen.ignoredLeavings)
  for (;;) {
    const pass = passOver(given, ignored)
    if (!pass.standings.some(isLive)) {
      // Somebody stays: the last to leave did not.
      const leaving = lastLeaving(given, pass)
      if (leaving !== undefined) {
        ignored.add(leaving)
        continue
      }
    }
    const thresholds = { kOwner, kReview }
    const { requirements, policies } = policiesOf(
      graph,
      endorsements,
      pass.isVoid,
      thresholds,
      frozen,
    )
    const isGuarded = ignored.size > frozen.ignoredLeavings.length
    const known = { ...thresholds, anyRemove, isGuarded, policies }
    return { ...resultOf(graph, pass, known), requirements, ignoredLeavings: ignored }
  }
}

/** When each removal is decided: as soon as its author is judged, and again with each endorsement. */
function stagesOf(graph: Graph, endorsements: Endorsements): Map<number, Stage[]> {
  const stages = new Map<number, Stage[]>()
  const lastTenure = graph.tenures.length - 1
  graph.headers.forEach((header, removal) => {
    if (!isRemove(header)) return
    const author = graph.tenureOf[removal] as number
    const { key } = graph.tenures[author] as GraphTenure
    // Leaving needs nobody else.
    const judged = header.key === key ? [author] : endorsements.stagesOf(removal)
    judged.forEach((t, i) => {
      const stage = { removal, last: judged[i + 1] ?? lastTenure }
      const same = stages.get(t)
      if (same === undefined) stages.set(t, [stage])
      else same.push(stage)
    })
  })
  return stages
}

function passOver(given: Given, ignored: ReadonlySet<EventId>): Pass {
  const { graph } = given
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
    judge(given, pass, t, ignored)
    restrict(given, pass, t, ignored)
  }
  return pass
}

/** Verdicts on the events of tenure `t`, once all its seniors have restricted it. */
function judge(
  { graph, endorsements, frozen }: Given,
  pass: Pass,
  t: number,
  ignored: ReadonlySet<EventId>,
): void {
  const { id: tenure, add, key, events } = graph.tenures[t] as GraphTenure
  const standing = pass.standings[t] as MutableStanding
  standing.exists = add < 0 || (pass.isVoid[add] === 0 && endorsements.suffice(add, t, pass.isVoid))
  const isLeaving = (i: number) => {
    const header = graph.headers[i] as OwnerHeader
    return isRemove(header) && header.key === key && !ignored.has(header.id)
  }
  const leavings = new Set(events.filter(isLeaving))
  for (const i of leavings) if (frozen.isInForce(idOf(graph, i), tenure)) standing.shut = true
  const counts = (i: number) =>
    frozen.verdictOf(idOf(graph, i)) ?? (standing.exists && !standing.shut && pass.struck[i] === 0)
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
    const id = idOf(graph, i)
    if (!(frozen.verdictOf(id) ?? (left[i] === 0 && counts(i)))) pass.isVoid[i] = 1
    else if (leavings.has(i)) {
      left[i] = 1
      standing.leavings.push(id)
      standing.ownLeavings.push(i)
    }
  }
}

/**
 * What valid removals do to tenures ranked after `t`, now that `t` is judged, who wrote or endorsed
 * them.
 */
function restrict(given: Given, pass: Pass, t: number, ignored: ReadonlySet<EventId>): void {
  const { graph, stages } = given
  const acting = (stages.get(t) ?? []).filter(
    ({ removal, last }) =>
      pass.isVoid[removal] === 0 &&
      !ignored.has(idOf(graph, removal)) &&
      targetsOf(graph, removal, t, last).length > 0,
  )
  for (let from = 0; from < acting.length; from += SCAN_BITS) {
    restrictBy(given, pass, t, acting.slice(from, from + SCAN_BITS))
  }
}

/** Tenures of the key that a removal names, ranked after `t` and up to `last`. */
function targetsOf(graph: Graph, removal: number, t: number, last: number): number[] {
  const { key } = graph.headers[removal] as Keyed
  return (graph.tenuresOfKey.get(key) ?? []).filter((x) => x > t && x <= last)
}

/** @param acting at most 32. */
function restrictBy(given: Given, pass: Pass, t: number, acting: readonly Stage[]): void {
  const { graph, endorsements, frozen } = given
  const { headers, tenureOf, tenures } = graph
  const removals = acting.map(({ removal }) => removal)
  const after = descendants(graph, removals)
  // Per tenure, the bits of what is in effect on it.
  const effects = new Map<number, { removals: number; leavings: number }>()
  acting.forEach(({ removal, last }, k) => {
    const by = tenureOf[removal] as number
    const { id, key } = headers[removal] as Keyed
    const isLeaving = key === (tenures[by] as GraphTenure).key
    for (const x of targetsOf(graph, removal, t, last)) {
      const { add, id: tenure } = tenures[x] as GraphTenure
      if (!endorsements.isSenior(by, x)) continue
      if (add >= 0 && ((after[add] as number) & (1 << k)) !== 0) continue
      if (!isLeaving && !endorsements.suffice(removal, x, pass.isVoid)) continue
      const isFrozen = frozen.isInForce(id, tenure)
      register(pass, x, { id, by, isFrozen }, isLeaving)
      if (isFrozen) continue
      const effect = effects.get(x) ?? { removals: 0, leavings: 0 }
      effect[isLeaving ? 'leavings' : 'removals'] |= 1 << k
      effects.set(x, effect)
    }
  })
  if (effects.size === 0) return
  const known = acknowledged(graph, removals, after, pass.isVoid)
  for (const [x, { removals: struckBy, leavings }] of effects) {
    for (const e of (tenures[x] as GraphTenure).events) {
      const isOutsideK = ((known[e] as number) & struckBy) !== struckBy
      // Leaving is one rule for all tenures of the key: it voids only what follows it.
      if (isOutsideK || ((after[e] as number) & leavings) !== 0) pass.struck[e] = 1
    }
  }
}

function idOf(graph: Graph, node: number): EventId {
  return (graph.headers[node] as OwnerHeader).id
}

/** Notes a restriction in effect on tenure `x`. */
function register(pass: Pass, x: number, removal: Removal, isLeaving: boolean): void {
  const standing = pass.standings[x] as MutableStanding
  if (isLeaving) standing.leavings.push(removal.id)
  else standing.removals.push(removal)
  // K of a frozen restriction lies in the frozen prefix: all that is outside is void.
  if (removal.isFrozen) standing.shut = true
}

function isLive(standing: MutableStanding): boolean {
  return standing.exists && standing.removals.length === 0 && standing.leavings.length === 0
}

/**
 * The valid leaving with the greatest (depth, rank, id), of a tenure that no senior has removed.
 */
function lastLeaving({ graph, frozen }: Given, pass: Pass): EventId | undefined {
  let last: OwnerHeader | undefined
  pass.standings.forEach((standing) => {
    if (standing.removals.length > 0) return
    for (const i of standing.ownLeavings) {
      const header = graph.headers[i] as OwnerHeader
      if (frozen.verdictOf(header.id) === true) continue
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
): Omit<Authority, 'ignoredLeavings' | 'requirements'> {
  const voidEvents = new Set<EventId>()
  graph.headers.forEach(({ id }, i) => {
    if (pass.isVoid[i] !== 0) voidEvents.add(id)
  })
  const tenures = graph.tenures.map(({ id, key, addDepth, founderIndex }, t): Tenure => {
    const standing = pass.standings[t] as MutableStanding
    const founder = founderIndex === undefined ? {} : { founderIndex }
    return { id, key, addDepth, ...founder, exists: standing.exists, live: isLive(standing) }
  })
  return {
    tenures,
    voidEvents,
    summary: { standings: standingsOf(graph, pass), ...known },
  }
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
    if (!exists) return
    const closed = removals.length > 0 || shut
    const removedBy = removals.map((removal) => removal.id)
    const onOthers = [...(removalsBy[t] ?? [])]
    standings.set(id, { exists, closed, removedBy, leavings, removals: onOthers })
  })
  return standings
}
