// Answers the sync requests of peers. Keeps nothing between requests; the work and the size of each
// answer are bounded by core/reconcile.ts and `syncLimits`.
import { isRejection } from '../core/errors.ts'
import { type DatasetId, type EventId, hexOf } from '../core/ids.ts'
import { answerParts, idsUnder, type SetView } from '../core/reconcile.ts'
import type { PeerId } from '../ports.ts'
import {
  decodeRequest,
  encodeResponse,
  type LogCursor,
  type Roots,
  type SetName,
  type SyncRequest,
  type SyncResponse,
  syncLimits,
} from './sync-messages.ts'

/** An owner event of the log, and the proposals it is the first to name, in (depth, id) order. */
export interface LogEntry {
  readonly id: EventId
  readonly depth: number
  /** May name too many: what another event named before is only sent again. Not held: left out. */
  readonly proposals: readonly EventId[]
}

/** What one dataset holds, for sync to read. */
export interface SyncSource {
  /** Both sets as of now: everything is in them whose `submit` has resolved. */
  sets(): Promise<Readonly<Record<SetName, SetView>>>
  /** CID bytes of the newest snapshot block, if there is one. */
  snapshot?(): Uint8Array | undefined
  blocks(ids: readonly EventId[]): Promise<readonly (Uint8Array | undefined)[]>
  /** 0 of the genesis; undefined of proposals. */
  depths(ids: readonly EventId[]): Promise<readonly (number | undefined)[]>
  /** Owner events, the genesis first, from (depth, id) on, itself included. */
  log(from: { depth: number; id: EventId | '' }): AsyncIterable<LogEntry>
}

export interface SyncServerNeeds {
  /** undefined: not known here, or not for this peer. */
  source(dataset: DatasetId, peer: PeerId): SyncSource | undefined
  /** A peer said hello: what it has may be news to us. */
  heard(peer: PeerId, dataset: DatasetId, roots: Roots): void
}

type Answers = (peer: PeerId, body: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>

/** Requests of one peer at the same time; further ones are answered `busy`. */
const REQUESTS_PER_PEER_MAX = 32
const BLOCKS_AT_ONCE = 16

/** The `request` handler of the network. */
export function createSyncServer(needs: SyncServerNeeds): Answers {
  const running = new Map<PeerId, number>()
  return async (peer, body, signal) => {
    const count = running.get(peer) ?? 0
    if (count >= REQUESTS_PER_PEER_MAX) return encodeResponse({ k: 'no', code: 'busy' })
    running.set(peer, count + 1)
    try {
      const request = decodeRequest(body)
      if (isRejection(request)) return encodeResponse({ k: 'no', code: 'bad-request' })
      const source = needs.source(request.dataset, peer)
      if (source === undefined) return encodeResponse({ k: 'no', code: 'unknown-dataset' })
      if (request.k === 'hello') needs.heard(peer, request.dataset, request.roots)
      const response = await answer(source, request, signal)
      return encodeResponse(response, 'width' in request ? request.width : 8)
    } finally {
      const left = (running.get(peer) ?? 1) - 1
      if (left === 0) running.delete(peer)
      else running.set(peer, left)
    }
  }
}

async function answer(
  source: SyncSource,
  request: SyncRequest,
  signal: AbortSignal,
): Promise<SyncResponse> {
  const sets = await source.sets()
  const roots = rootsOf(sets)
  switch (request.k) {
    case 'hello': {
      const snapshot = source.snapshot?.()
      return { k: 'hello', roots, ...(snapshot && { snapshot }) }
    }
    case 'log':
      return { k: 'log', roots, ...(await logPage(source, request.from, request.bytesMax, signal)) }
    case 'diff': {
      const { parts, lacking, extra, cut } = await answerParts(
        sets[request.set],
        request.parts,
        request.width,
      )
      const { ids, lowestDepth } = await inOrder(source, lacking)
      const page = new Page(syncLimits.inlineBytesMax)
      const more = ids.slice(await fill(page, source, ids, signal))
      const hint = lowestDepth === undefined ? {} : { lowestDepth }
      return { k: 'diff', roots, parts, events: page.events, more, extra, cut, ...hint }
    }
    case 'get': {
      const page = new Page(syncLimits.pageBytesMax)
      const done =
        request.width === 32
          ? await fill(page, source, request.ids as EventId[], signal)
          : await fillByPrefix(page, source, sets[request.set], request.ids, signal)
      return { k: 'get', roots, events: page.events, done }
    }
  }
}

export function rootsOf(sets: Readonly<Record<SetName, SetView>>): Roots {
  const { owner, pool } = sets
  return {
    owner: { root: owner.root, count: owner.count },
    pool: { root: pool.root, count: pool.count },
  }
}

/** The same for the same two sets. */
export function keyOfRoots({ owner, pool }: Roots): string {
  return hexOf(owner.root) + hexOf(pool.root)
}

/** Owner events by depth, so that parents come first; then proposals. */
async function inOrder(source: SyncSource, ids: readonly EventId[]) {
  const depths = await source.depths(ids)
  const ordered = ids.map((id, i) => ({ id, depth: depths[i] ?? Infinity }))
  ordered.sort((a, b) => (a.depth === b.depth ? (a.id < b.id ? -1 : 1) : a.depth - b.depth))
  const lowest = ordered[0]?.depth
  return {
    ids: ordered.map(({ id }) => id),
    lowestDepth: lowest === Infinity ? undefined : lowest,
  }
}

/** Events of one answer, as many as fit, and always one, so that every answer gets somewhere. */
class Page {
  readonly events: Uint8Array[] = []
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  add(block: Uint8Array): boolean {
    if (this.events.length >= syncLimits.pageEventsMax) return false
    if (this.events.length > 0 && this.#bytes + block.length > this.#bytesMax) return false
    this.#bytes += block.length
    this.events.push(block)
    return true
  }
}

/** @returns how many ids were dealt with; what is not here is passed over. */
async function fill(
  page: Page,
  source: SyncSource,
  ids: readonly EventId[],
  signal: AbortSignal,
): Promise<number> {
  for (let at = 0; at < ids.length; at += BLOCKS_AT_ONCE) {
    signal.throwIfAborted()
    const blocks = await source.blocks(ids.slice(at, at + BLOCKS_AT_ONCE))
    for (const [i, block] of blocks.entries()) {
      if (block !== undefined && !page.add(block)) return at + i
    }
  }
  return ids.length
}

async function fillByPrefix(
  page: Page,
  source: SyncSource,
  set: SetView,
  prefixes: readonly string[],
  signal: AbortSignal,
): Promise<number> {
  for (let at = 0; at < prefixes.length; at += BLOCKS_AT_ONCE) {
    const found = await Promise.all(
      prefixes.slice(at, at + BLOCKS_AT_ONCE).map(async (prefix, i) => {
        const ids: { id: EventId; i: number }[] = []
        for await (const id of idsUnder(set, prefix)) ids.push({ id, i })
        return ids
      }),
    )
    const ids = found.flat()
    const sent = await fill(
      page,
      source,
      ids.map(({ id }) => id),
      signal,
    )
    // The first prefix counts as done even when it stands for more than a page.
    if (sent < ids.length) return Math.max(1, at + (ids[sent]?.i ?? 0))
  }
  return prefixes.length
}

async function logPage(
  source: SyncSource,
  from: LogCursor,
  bytesMax: number,
  signal: AbortSignal,
): Promise<{ events: Uint8Array[]; next?: LogCursor }> {
  const page = new Page(bytesMax)
  const { events } = page
  const sentProposals = new Set<EventId>()
  for await (const { id, depth, proposals } of source.log(from)) {
    signal.throwIfAborted()
    const items = [...proposals, id]
    for (let at = id === from.id ? from.skip : 0; at < items.length; at += BLOCKS_AT_ONCE) {
      const slice = items.slice(at, at + BLOCKS_AT_ONCE)
      const blocks = await source.blocks(slice)
      for (const [i, block] of blocks.entries()) {
        const item = slice[i] as EventId
        if (block === undefined || sentProposals.has(item)) continue
        if (!page.add(block)) return { events, next: { depth, id, skip: at + i } }
        if (item !== id) sentProposals.add(item)
      }
    }
  }
  return { events }
}
