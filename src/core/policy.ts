// How many distinct keys must accept what a review accepts: by the policies it had seen, and by those
// beside it that ask for more. A policy speaks for all who endorse it, so what it had seen is its past
// and nothing that one of them says later.
import type { Endorsements } from './endorsement.ts'
import type { FrozenPrefix } from './frozen.ts'
import type { EventId } from './ids.ts'
import { ancestors, descendants, type Graph, isPolicy, SCAN_BITS } from './owner-graph.ts'

/** A policy that enough owners endorse. */
export interface EffectivePolicy {
  readonly id: EventId
  readonly kReview: number
  /** Effective policies in its past. */
  readonly after: readonly EventId[]
}

export interface Thresholds {
  /** Of the genesis. */
  readonly kOwner: number
  readonly kReview: number
}

/** Some policies of one graph by index, and where each node stands to them. */
interface Standpoint {
  readonly nodes: readonly number[]
  /** Bit k of entry i, by 32 policies: policy k is in the past of node i. */
  readonly after: readonly Int32Array[]
  /** The same: node i is in the past of policy k. */
  readonly before: readonly Int32Array[]
}

const hasBit = (masks: readonly Int32Array[], node: number, k: number) =>
  (((masks[k >>> 5] as Int32Array)[node] as number) & (1 << (k & 31))) !== 0

/**
 * Effective policies, and for every review whose requirement is not that of the genesis what it is.
 * @param isVoid all verdicts of layer A.
 */
export function policiesOf(
  graph: Graph,
  endorsements: Endorsements,
  isVoid: Uint8Array,
  thresholds: Thresholds,
  frozen: FrozenPrefix,
): { policies: EffectivePolicy[]; requirements: Map<EventId, number> } {
  const nodes = effectiveIn(graph, endorsements, isVoid, thresholds)
  const standpoint = standpointOf(graph, nodes)
  const idOf = (k: number) => (graph.headers[nodes[k] as number] as { id: EventId }).id
  const policies = nodes.map((node, k): EffectivePolicy => {
    const after = nodes.map((_, j) => j).filter((j) => hasBit(standpoint.after, node, j))
    return { id: idOf(k), kReview: kReviewOf(graph, node), after: after.map(idOf) }
  })
  const requirements = new Map<EventId, number>()
  if (policies.length === 0) return { policies, requirements }
  const headsMax = headsMaxOf(policies, standpoint, thresholds)
  graph.headers.forEach(({ kind, id }, i) => {
    if (kind !== 'review') return
    let required = frozen.requirementOf(id)
    if (required === undefined) {
      required = headsMax(i)
      for (const [k, { kReview }] of policies.entries()) {
        if (kReview <= required || hasBit(standpoint.after, i, k)) continue
        if (!hasBit(standpoint.before, i, k)) required = kReview
      }
    }
    if (required !== thresholds.kReview) requirements.set(id, required)
  })
  return { policies, requirements }
}

/**
 * The requirement of a review that nobody has built on.
 * @param seen at least the effective policies in its past.
 */
export function requirementAt(
  policies: readonly EffectivePolicy[],
  kReview: number,
  seen: ReadonlySet<EventId>,
): number {
  const inPast = policies.filter(({ id }) => seen.has(id))
  const unseen = policies.filter(({ id }) => !seen.has(id)).map((policy) => policy.kReview)
  return Math.max(strictestHead(inPast, kReview), ...unseen)
}

/** What a review asks for now that has everything in its past. */
export function requirementNow(policies: readonly EffectivePolicy[], kReview: number): number {
  return strictestHead(policies, kReview)
}

/** The most that those ask for which none of the others follows; of the genesis when there are none. */
function strictestHead(policies: readonly EffectivePolicy[], kReview: number): number {
  const followed = new Set(policies.flatMap(({ after }) => after))
  const heads = policies.filter(({ id }) => !followed.has(id)).map((policy) => policy.kReview)
  return heads.length === 0 ? kReview : Math.max(...heads)
}

function kReviewOf(graph: Graph, node: number): number {
  return (graph.headers[node] as { kReview?: number }).kReview ?? 0
}

function effectiveIn(
  graph: Graph,
  endorsements: Endorsements,
  isVoid: Uint8Array,
  { kOwner }: Thresholds,
): number[] {
  // With one owner's word enough for anything, kReview can be nothing but 1.
  if (kOwner === 1) return []
  return graph.headers.flatMap((header, i) => {
    if (!isPolicy(header) || isVoid[i] !== 0 || header.kReview > kOwner) return []
    return endorsements.sufficeForPolicy(i, isVoid) ? [i] : []
  })
}

function standpointOf(graph: Graph, nodes: readonly number[]): Standpoint {
  const after: Int32Array[] = []
  const before: Int32Array[] = []
  for (let from = 0; from < nodes.length; from += SCAN_BITS) {
    const some = nodes.slice(from, from + SCAN_BITS)
    after.push(descendants(graph, some))
    before.push(ancestors(graph, some))
  }
  return { nodes, after, before }
}

/** Per node, the most that the heads of the policies in its past ask for. */
function headsMaxOf(
  policies: readonly EffectivePolicy[],
  { after }: Standpoint,
  { kReview }: Thresholds,
): (node: number) => number {
  // Few sets of policies are anybody's past.
  const known = new Map<string, number>()
  return (node) => {
    const set = after.map((masks) => masks[node]).join()
    let most = known.get(set)
    if (most === undefined) {
      most = strictestHead(
        policies.filter((_, k) => hasBit(after, node, k)),
        kReview,
      )
      known.set(set, most)
    }
    return most
  }
}
