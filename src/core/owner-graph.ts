// The owner events as a graph of dense numbers, parents before children, and the scans over it that
// layer A needs: what is after a node, and what a remover had acknowledged.
import { compareRanks } from './accept-date.ts'
import type { EventId, PublicKey, TenureId } from './ids.ts'
import { founderTenure } from './ids.ts'
import type { OwnerHeader } from './state.ts'

/** Nodes per scan of the graph: one bit each. */
export const SCAN_BITS = 32

export interface GraphTenure {
  readonly id: TenureId
  readonly key: PublicKey
  readonly addDepth: number
  readonly founderIndex?: number
  /** Node of the add; -1 for founders. */
  readonly add: number
  /** Nodes of its events, ascending. */
  readonly events: number[]
}

/**
 * The events as dense numbers, parents before children. The genesis is no node: it is in every
 * past.
 */
export interface Graph {
  readonly headers: readonly OwnerHeader[]
  /** Parents of node i: `parents[parentsFrom[i]]` up to `parents[parentsFrom[i + 1]]`. */
  readonly parentsFrom: Int32Array
  readonly parents: Int32Array
  /** Index of a node's tenure in `tenures`. */
  readonly tenureOf: Int32Array
  /** By rank: whoever is senior comes first. */
  readonly tenures: readonly GraphTenure[]
  readonly tenuresOfKey: ReadonlyMap<PublicKey, readonly number[]>
}

/** The tenure an `add` creates when it is valid. */
export function tenureCreatedBy(add: Pick<OwnerHeader, 'id'>): TenureId {
  return add.id as string as TenureId
}

export type Keyed = OwnerHeader & { readonly key: PublicKey }

/** A `remove` of a later format has no key: a node and nothing else. */
export function isRemove(header: OwnerHeader): header is Keyed {
  return header.kind === 'remove' && header.key !== undefined
}

export function isAdd(header: OwnerHeader): header is Keyed {
  return header.kind === 'add' && header.key !== undefined
}

export function isEndorse(header: OwnerHeader): header is OwnerHeader & { operation: EventId } {
  return header.kind === 'endorse' && header.operation !== undefined
}

export function isPolicy(header: OwnerHeader): header is OwnerHeader & { kReview: number } {
  return header.kind === 'policy' && header.kReview !== undefined
}

/** What takes effect once enough keys endorse it. */
export function isOperation(header: OwnerHeader): boolean {
  return isAdd(header) || isRemove(header) || isPolicy(header)
}

/** @param withParents whether anybody will ask for pasts. */
export function graphOf(
  founders: readonly PublicKey[],
  events: readonly OwnerHeader[],
  genesis: EventId,
  withParents: boolean,
): Graph {
  const headers = events.toSorted((a, b) => a.depth - b.depth)
  const tenures = tenuresOf(founders, headers)
  const indexOfTenure = new Map(tenures.map((tenure, i) => [tenure.id, i]))
  const tenureOf = new Int32Array(headers.length)
  headers.forEach((header, i) => {
    const index = indexOfTenure.get(header.tenure)
    if (index === undefined) throw new Error(`event ${header.id}: unknown tenure ${header.tenure}`)
    tenureOf[i] = index
    ;(tenures[index] as GraphTenure).events.push(i)
  })
  const tenuresOfKey = new Map<PublicKey, number[]>()
  tenures.forEach(({ key }, i) => {
    const same = tenuresOfKey.get(key)
    if (same === undefined) tenuresOfKey.set(key, [i])
    else same.push(i)
  })
  const links = withParents ? linksOf(headers, genesis) : noLinks
  return { headers, tenureOf, tenures, tenuresOfKey, ...links }
}

const noLinks = { parentsFrom: new Int32Array(0), parents: new Int32Array(0) }

function tenuresOf(founders: readonly PublicKey[], headers: readonly OwnerHeader[]): GraphTenure[] {
  const tenures: GraphTenure[] = founders.map((key, founderIndex) => ({
    id: founderTenure(founderIndex),
    key,
    addDepth: 0,
    founderIndex,
    add: -1,
    events: [],
  }))
  headers.forEach((header, add) => {
    if (!isAdd(header)) return
    const { key, depth } = header
    tenures.push({ id: tenureCreatedBy(header), key, addDepth: depth, add, events: [] })
  })
  return tenures.sort(compareRanks)
}

function linksOf(headers: readonly OwnerHeader[], genesis: EventId) {
  const nodeOf = new Map<EventId, number>()
  const parentsFrom = new Int32Array(headers.length + 1)
  const parents = new Int32Array(headers.reduce((sum, header) => sum + header.parents.length, 0))
  let length = 0
  headers.forEach((header, i) => {
    for (const parent of header.parents) {
      if (parent === genesis) continue
      const node = nodeOf.get(parent)
      if (node === undefined) throw new Error(`event ${header.id}: parent ${parent} is missing`)
      parents[length++] = node
    }
    parentsFrom[i + 1] = length
    nodeOf.set(header.id, i)
  })
  return { parentsFrom, parents }
}

/** For each node, which of the marked nodes (at most 32) are in its past: bit k for `marked[k]`. */
export function descendants(graph: Graph, marked: readonly number[]): Int32Array {
  const { parentsFrom, parents } = graph
  const own = new Int32Array(graph.headers.length)
  marked.forEach((node, bit) => (own[node] = 1 << bit))
  const after = new Int32Array(graph.headers.length)
  for (let i = Math.min(...marked); i < after.length; i++) {
    let mask = 0
    for (let k = parentsFrom[i] as number; k < (parentsFrom[i + 1] as number); k++) {
      const parent = parents[k] as number
      mask |= (after[parent] as number) | (own[parent] as number)
    }
    after[i] = mask
  }
  return after
}

/**
 * Whether `older` is in the past of `newer`, for nodes among those given: one scan for every 32 of
 * `olders`.
 */
export function pastOf(
  graph: Graph,
  olders: readonly number[],
  newers: readonly number[],
): (older: number, newer: number) => boolean {
  const row = new Map(newers.map((node, i) => [node, i]))
  const column = new Map(olders.map((node, i) => [node, i]))
  const scans: Int32Array[] = []
  for (let from = 0; from < olders.length; from += SCAN_BITS) {
    const after = descendants(graph, olders.slice(from, from + SCAN_BITS))
    scans.push(Int32Array.from(row.keys(), (node) => after[node] as number))
  }
  return (older, newer) => {
    const bit = column.get(older)
    const i = row.get(newer)
    if (bit === undefined || i === undefined) throw new Error('not among the nodes asked about')
    return (((scans[bit >>> 5] as Int32Array)[i] as number) & (1 << (bit & 31))) !== 0
  }
}

/**
 * K of each marked operation: bit k of node i says that i is in K(marked[k]), that is, its tenure
 * wrote a valid event without marked[k] in its past which is i or has i in its past.
 */
export function acknowledged(
  graph: Graph,
  marked: readonly number[],
  after: Int32Array,
  isVoid: Uint8Array,
): Int32Array {
  const { tenureOf } = graph
  const known = new Int32Array(graph.headers.length)
  const bitsOf = new Map<number, number>()
  marked.forEach((node, bit) => {
    const t = tenureOf[node] as number
    bitsOf.set(t, (bitsOf.get(t) ?? 0) | (1 << bit))
  })
  for (const [t, bits] of bitsOf) {
    for (const i of (graph.tenures[t] as GraphTenure).events) {
      if (isVoid[i] === 0) known[i] = ~(after[i] as number) & bits
    }
  }
  spreadToParents(graph, known)
  return known
}

/** For each node, which of the marked nodes (at most 32) have it in their past: bit k for `marked[k]`. */
export function ancestors(graph: Graph, marked: readonly number[]): Int32Array {
  const masks = new Int32Array(graph.headers.length)
  marked.forEach((node, bit) => (masks[node] = 1 << bit))
  spreadToParents(graph, masks)
  marked.forEach((node, bit) => (masks[node] = (masks[node] as number) & ~(1 << bit)))
  return masks
}

/** Gives every bit of a node to all of its past. */
function spreadToParents({ parentsFrom, parents }: Graph, masks: Int32Array): void {
  for (let i = masks.length - 1; i >= 0; i--) {
    const mask = masks[i] as number
    if (mask === 0) continue
    for (let k = parentsFrom[i] as number; k < (parentsFrom[i + 1] as number); k++) {
      const parent = parents[k] as number
      masks[parent] = (masks[parent] as number) | mask
    }
  }
}
