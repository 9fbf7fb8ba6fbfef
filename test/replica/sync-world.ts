// A dataset in memory for sync tests: both sets as tries, unsigned events of any size, and a pipe
// between two of them that counts and may lie.
import { createHash } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import { type DatasetId, type EventId, eventIdOfBlock } from '../../src/core/ids.ts'
import type { Prefix, SetNode, SetView } from '../../src/core/reconcile.ts'
import type { SetName } from '../../src/replica/sync-messages.ts'
import { createSyncServer, type LogEntry, type SyncSource } from '../../src/replica/sync-server.ts'
import { runSession, type SessionOptions, type Submitted } from '../../src/replica/sync-session.ts'

export const sha256 = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update(bytes).digest())

const LEAF_MAX = 32

interface TrieNode {
  ids: EventId[] | undefined
  children: (TrieNode | undefined)[]
  count: number
  hash: Uint8Array | undefined
}

/** A mutable set with the shape of the real one: leaves of at most 32 ids. Views are live. */
export class MemorySet implements SetView {
  readonly #top = leaf()

  get root(): Uint8Array {
    return this.#top.count === 0 ? new Uint8Array(32) : hashOf(this.#top)
  }

  get count(): number {
    return this.#top.count
  }

  add(id: EventId): void {
    if (!this.has(id)) insert(this.#top, id, 0)
  }

  delete(id: EventId): void {
    if (this.has(id)) remove(this.#top, id, 0)
  }

  has(id: EventId): boolean {
    return this.#find(id).count > 0
  }

  all(): EventId[] {
    return idsOf(this.#top)
  }

  async subtree(prefix: Prefix): Promise<SetNode> {
    const node = this.#find(prefix)
    const { count } = node
    if (node.ids !== undefined) return { hash: hashOf(node), count, ids: node.ids }
    return {
      hash: hashOf(node),
      count,
      children: node.children.map((child) => child && hashOf(child)),
    }
  }

  #find(prefix: Prefix): TrieNode {
    let node = this.#top
    for (let i = 0; i < prefix.length; i++) {
      if (node.ids !== undefined) {
        const ids = node.ids.filter((id) => id.startsWith(prefix))
        return { ...leaf(), ids, count: ids.length }
      }
      const child = node.children[parseInt(prefix[i] as string, 16)]
      if (child === undefined) return leaf()
      node = child
    }
    return node
  }
}

function leaf(): TrieNode {
  return { ids: [], children: [], count: 0, hash: undefined }
}

function insert(node: TrieNode, id: EventId, depth: number): void {
  node.count++
  node.hash = undefined
  if (node.ids === undefined) {
    const i = parseInt(id[depth] as string, 16)
    const child = (node.children[i] ??= leaf())
    insert(child, id, depth + 1)
    return
  }
  node.ids.push(id)
  node.ids.sort()
  if (node.ids.length <= LEAF_MAX) return
  const { ids } = node
  node.ids = undefined
  node.children = new Array<undefined>(16).fill(undefined)
  for (const each of ids) {
    const i = parseInt(each[depth] as string, 16)
    insert((node.children[i] ??= leaf()), each, depth + 1)
  }
}

function remove(node: TrieNode, id: EventId, depth: number): void {
  node.count--
  node.hash = undefined
  if (node.ids !== undefined) {
    node.ids = node.ids.filter((other) => other !== id)
    return
  }
  const i = parseInt(id[depth] as string, 16)
  const child = node.children[i] as TrieNode
  remove(child, id, depth + 1)
  if (child.count === 0) node.children[i] = undefined
  if (node.count > LEAF_MAX) return
  const ids = idsOf(node).sort()
  Object.assign(node, { ids, children: [] })
}

function hashOf(node: TrieNode): Uint8Array {
  node.hash ??= sha256(
    node.ids !== undefined
      ? Buffer.from(node.ids.join(''))
      : Buffer.concat(node.children.map((child) => (child ? hashOf(child) : new Uint8Array(32)))),
  )
  return node.hash
}

function idsOf(node: TrieNode): EventId[] {
  return node.ids ?? node.children.flatMap((child) => (child ? idsOf(child) : []))
}

export interface TestEvent {
  readonly id: EventId
  readonly block: Uint8Array
  /** undefined: a proposal. */
  readonly depth: number | undefined
  readonly parents: readonly EventId[]
  readonly names: readonly EventId[]
}

/** An owner event (with `parents`) or a proposal, `sizeBytes` of filling, unique by `nonce`. */
export function makeEvent(
  nonce: string | number,
  options: { depth?: number; parents?: EventId[]; names?: EventId[]; sizeBytes?: number } = {},
): TestEvent {
  const { depth, parents = [], names = [], sizeBytes = 300 } = options
  const fields = { n: String(nonce), h: depth ?? null, s: parents, p: names }
  const block = dagCbor.encode({ ...fields, fill: new Uint8Array(sizeBytes) })
  return { id: eventIdOfBlock(block, sha256), block, depth, parents, names }
}

function readEvent(block: Uint8Array): TestEvent | undefined {
  try {
    const { h, s, p } = dagCbor.decode(block) as { h: number | null; s: EventId[]; p: EventId[] }
    const id = eventIdOfBlock(block, sha256)
    if (!Array.isArray(s) || !Array.isArray(p)) return undefined
    return { id, block, depth: h ?? undefined, parents: s, names: p }
  } catch {
    return undefined
  }
}

export const DATASET = makeEvent('genesis', { depth: 0 }).id as DatasetId

/** The rules of submit and nothing else: parents held, named proposals move, the pool has a cap. */
export class World implements SyncSource {
  readonly owner = new MemorySet()
  readonly pool = new MemorySet()
  readonly events = new Map<EventId, TestEvent>()
  readonly #named = new Set<EventId>()
  #log: LogEntry[] | undefined
  readonly #poolMax: number
  submits = 0
  submitted = 0

  constructor(options: { poolMax?: number } = {}) {
    this.#poolMax = options.poolMax ?? Infinity
  }

  async sets(): Promise<Record<SetName, SetView>> {
    return { owner: this.owner, pool: this.pool }
  }

  async blocks(ids: readonly EventId[]) {
    return ids.map((id) => this.events.get(id)?.block)
  }

  async depths(ids: readonly EventId[]) {
    return ids.map((id) => this.events.get(id)?.depth)
  }

  async *log(from: { depth: number; id: string }): AsyncIterable<LogEntry> {
    this.#log ??= [...this.events.values()]
      .filter((event) => event.depth !== undefined)
      .map(({ id, depth, names }) => ({ id, depth: depth ?? 0, proposals: names }))
      .sort((a, b) => a.depth - b.depth || (a.id < b.id ? -1 : 1))
    const start = this.#log.findIndex(
      ({ depth, id }) => depth > from.depth || (depth === from.depth && id >= from.id),
    )
    if (start >= 0) yield* this.#log.slice(start)
  }

  put(...events: (TestEvent | readonly TestEvent[])[]): this {
    for (const event of events.flat())
      if (this.#add(event) !== 'stored') throw new Error('cannot put')
    return this
  }

  submit = async (blocks: readonly Uint8Array[]): Promise<Submitted> => {
    this.submits++
    this.submitted += blocks.length
    const missing = new Set<EventId>()
    const refused: Submitted['refused'][number][] = []
    let stored = 0
    const events = blocks.map(readEvent)
    if (events.includes(undefined)) refused.push({ refused: 'malformed', what: 'not an event' })
    const known = events.filter((event) => event !== undefined)
    known.sort((a, b) => (a.depth ?? -1) - (b.depth ?? -1))
    for (const event of known) {
      if (this.events.has(event.id)) continue
      const outcome = this.#add(event)
      if (outcome === 'stored') stored++
      else if (outcome === 'over-quota') refused.push({ refused: 'over-quota', what: 'pool' })
      else for (const id of outcome) missing.add(id)
    }
    return { stored, missingParents: [...missing], refused }
  }

  #add(event: TestEvent): 'stored' | 'over-quota' | EventId[] {
    const absent = event.parents.filter((id) => !this.events.has(id))
    if (absent.length > 0) return absent
    const isOwner = event.depth !== undefined || this.#named.has(event.id)
    if (!isOwner && this.pool.count >= this.#poolMax) return 'over-quota'
    this.events.set(event.id, event)
    this.#log = undefined
    if (isOwner) this.owner.add(event.id)
    else this.pool.add(event.id)
    for (const id of event.names) {
      this.#named.add(id)
      this.pool.delete(id)
      if (this.events.has(id)) this.owner.add(id)
    }
    return 'stored'
  }
}

/** Pulls into `client` what `server` has; `lie` may change the answers on their way. */
export async function pull(
  client: World,
  server: SyncSource,
  options: SessionOptions & { lie?: (answer: Uint8Array, body: Uint8Array) => Uint8Array } = {},
) {
  const { lie = (answer) => answer, ...rest } = options
  const serve = createSyncServer({ source: () => server, heard: () => {} })
  return runSession(
    {
      peer: 'server',
      dataset: DATASET,
      source: client,
      submit: client.submit,
      sha256,
      ask: async (body) => lie(await serve('client', body, new AbortController().signal), body),
    },
    rest,
  )
}

/** A line of `count` owner events after a genesis, with `reviewed` proposals named by each. */
export function history(count: number, options: { reviewed?: number; sizeBytes?: number } = {}) {
  const { reviewed = 0, sizeBytes = 300 } = options
  const events = [makeEvent('genesis', { depth: 0 })]
  let parent = DATASET as EventId
  for (let depth = 1; depth <= count; depth++) {
    const proposals = Array.from({ length: reviewed }, (_, i) =>
      makeEvent(`${depth}/${i}`, { sizeBytes }),
    )
    const names = proposals.map(({ id }) => id)
    const event = makeEvent(depth, { depth, parents: [parent], names, sizeBytes })
    events.push(...proposals, event)
    parent = event.id
  }
  return events
}
