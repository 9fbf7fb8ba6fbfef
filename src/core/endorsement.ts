// Who is senior to whom, and who agrees with an operation: an `add`, `remove` or `policy` acts once
// kOwner distinct keys senior to what it concerns endorse it. Its author is the first of them.
import type { EventId, PublicKey } from './ids.ts'
import {
  type Graph,
  type GraphTenure,
  isEndorse,
  isOperation,
  isPolicy,
  isRemove,
  pastOf,
} from './owner-graph.ts'

/** All by node and by index of the tenure. */
export interface Endorsements {
  /** Rule 3, for a tenure `a` that wrote an operation or endorses one. */
  isSenior(a: number, x: number): boolean
  /**
   * Whether enough keys senior to tenure `x` endorse the operation. Counts what is not void, so every
   * senior of `x` must be judged; its author must be senior and the operation valid.
   */
  suffice(operation: number, x: number, isVoid: Uint8Array): boolean
  /** Whether enough keys that were owners in the policy's past, if valid ones, endorse it. */
  sufficeForPolicy(policy: number, isVoid: Uint8Array): boolean
  /**
   * Tenures that endorse the operation and do not rank before its author, ascending: once one of them
   * is judged, more may have agreed. The author's is the first. Empty: there can never be enough.
   */
  stagesOf(operation: number): readonly number[]
}

export function endorsementsOf(graph: Graph, kOwner: number): Endorsements {
  const { headers, tenureOf, tenures } = graph
  const tenureAt = (node: number) => tenureOf[node] as number
  const supporters = kOwner === 1 ? new Map<number, number[]>() : supportersOf(graph, kOwner)
  const acts =
    kOwner === 1 ? isRemove : (header: Header) => isOperation(header) || isEndorse(header)
  const actors = new Set<number>()
  headers.forEach((header, i) => acts(header) && actors.add(tenureAt(i)))
  const addOf = (t: number) => (tenures[t] as GraphTenure).add
  const actorAdds = [...actors].map(addOf).filter((add) => add >= 0)
  const adds = tenures.flatMap(({ add }) => (add >= 0 ? [add] : []))
  const policies = headers.flatMap((header, i) => (isPolicy(header) && kOwner > 1 ? [i] : []))
  const isBefore = pastOf(graph, actorAdds, [...adds, ...policies])

  const isSenior = (a: number, x: number) => {
    if (addOf(a) < 0) return a < x
    return addOf(x) >= 0 && isBefore(addOf(a), addOf(x))
  }
  const isEnough = (operation: number, isVoid: Uint8Array, among: (a: number) => boolean) => {
    if (kOwner === 1) return true
    const keys = new Set<PublicKey>()
    for (const node of supporters.get(operation) ?? []) {
      const t = tenureAt(node)
      if (isVoid[node] === 0 && among(t)) keys.add((tenures[t] as GraphTenure).key)
      if (keys.size === kOwner) return true
    }
    return false
  }
  return {
    isSenior,
    suffice: (operation, x, isVoid) => isEnough(operation, isVoid, (a) => isSenior(a, x)),
    sufficeForPolicy: (policy, isVoid) =>
      isEnough(policy, isVoid, (a) => addOf(a) < 0 || isBefore(addOf(a), policy)),
    stagesOf: (operation) => {
      const author = tenureAt(operation)
      if (kOwner === 1) return [author]
      const later = (supporters.get(operation) ?? []).map(tenureAt).filter((t) => t >= author)
      return [...new Set(later)].sort((a, b) => a - b)
    },
  }
}

type Header = Graph['headers'][number]

/** Operations and what endorses them, themselves included, where enough distinct keys do so at all. */
function supportersOf(graph: Graph, kOwner: number): Map<number, number[]> {
  const { headers, tenureOf, tenures } = graph
  const operations = new Map<EventId, number>()
  headers.forEach((header, i) => isOperation(header) && operations.set(header.id, i))
  const pairs = headers.flatMap((header, i) => {
    const operation = isEndorse(header) ? operations.get(header.operation) : undefined
    return operation === undefined ? [] : [{ operation, endorse: i }]
  })
  const endorsed = [...new Set(pairs.map(({ operation }) => operation))]
  const isBefore = pastOf(
    graph,
    endorsed,
    pairs.map(({ endorse }) => endorse),
  )
  const supporters = new Map(endorsed.map((operation) => [operation, [operation]]))
  for (const { operation, endorse } of pairs) {
    if (isBefore(operation, endorse)) supporters.get(operation)?.push(endorse)
  }
  const keyOf = (node: number) => (tenures[tenureOf[node] as number] as GraphTenure).key
  for (const [operation, nodes] of supporters) {
    if (new Set(nodes.map(keyOf)).size < kOwner) supporters.delete(operation)
  }
  return supporters
}
