// What one replica holds, in the form in which sync reads it.
import type { CID } from 'multiformats/cid'
import { isRejection } from '../core/errors.ts'
import { decodeEvent } from '../core/event-codec.ts'
import type { EventId, Sha256 } from '../core/ids.ts'
import type { SetView } from '../core/reconcile.ts'
import { subtree } from '../core/trie.ts'
import type { NodeBlocks } from '../log/node-blocks.ts'
import type { Replica } from './replica.ts'
import type { LogEntry, SyncSource } from './sync-server.ts'

const EMPTY_ROOT = new Uint8Array(32)
const EVENTS_PER_READ = 64
/** Every prefix is looked up from a root, and from one root to the next most of the nodes are the same. */
const NODES_KEPT = 1_024
const emptyNode = { hash: EMPTY_ROOT, count: 0, ids: [] }

export function syncSourceOf(replica: Replica, nodes: NodeBlocks, sha256: Sha256): SyncSource {
  const { log } = replica
  const recent = new RecentNodes()
  const viewOfSet = ({ root, count }: { root: CID | undefined; count: number }) =>
    viewOf(root, count, { replica, nodes, recent })
  return {
    async sets() {
      const { owner, pool } = await replica.eventSets()
      return { owner: viewOfSet(owner), pool: viewOfSet(pool) }
    },
    snapshot: () => replica.lastRoot?.bytes,
    blocks: async (ids) => replica.damage.sound(ids, await log.blocks(ids)),
    async depths(ids) {
      return (await log.headers(ids)).map((header) => header?.depth)
    },
    log: (from) => entriesFrom(replica, from, sha256),
  }
}

/** Nodes by their CID: one that is here has no other content. Those not read for longest go first. */
class RecentNodes {
  readonly #nodes = new Map<string, Uint8Array>()

  get(key: string): Uint8Array | undefined {
    const bytes = this.#nodes.get(key)
    if (bytes !== undefined) this.set(key, bytes)
    return bytes
  }

  set(key: string, bytes: Uint8Array): void {
    this.#nodes.delete(key)
    this.#nodes.set(key, bytes)
    const [oldest] = this.#nodes.keys()
    if (this.#nodes.size > NODES_KEPT) this.#nodes.delete(oldest as string)
  }
}

interface ViewNeeds {
  readonly replica: Replica
  readonly nodes: NodeBlocks
  readonly recent: RecentNodes
}

function viewOf(
  root: CID | undefined,
  count: number,
  { replica, nodes, recent }: ViewNeeds,
): SetView {
  if (root === undefined || count === 0) {
    return { root: EMPTY_ROOT, count: 0, subtree: async () => emptyNode }
  }
  const source = {
    async get(cid: CID) {
      const key = cid.toString()
      const known = recent.get(key)
      if (known) return known
      let bytes = await nodes.get(cid)
      if (bytes === undefined) {
        await replica.repair(root, cid)
        bytes = await nodes.get(cid)
      }
      if (bytes) recent.set(key, bytes)
      return bytes
    },
  }
  return {
    root: root.multihash.digest,
    count,
    async subtree(prefix) {
      const { hash, count, children, entries } = await subtree(root, prefix, source)
      return {
        hash: hash?.multihash.digest ?? EMPTY_ROOT,
        count,
        ...(children && { children: children.map((child) => child?.multihash.digest) }),
        ...(entries && { ids: entries.map(({ key }) => key as EventId) }),
      }
    },
  }
}

async function* entriesFrom(
  replica: Replica,
  from: { depth: number; id: EventId | '' },
  sha256: Sha256,
): AsyncIterable<LogEntry> {
  const { log } = replica
  let batch: { depth: number; id: EventId }[] = []
  for await (const place of log.byDepth(from)) {
    batch.push(place)
    if (batch.length < EVENTS_PER_READ) continue
    yield* await withProposals(replica, batch, sha256)
    batch = []
  }
  yield* await withProposals(replica, batch, sha256)
}

async function withProposals(
  replica: Replica,
  places: readonly { depth: number; id: EventId }[],
  sha256: Sha256,
): Promise<LogEntry[]> {
  const blocks = await replica.log.blocks(places.map(({ id }) => id))
  return places.map((place, i) => {
    const block = blocks[i]
    const event = block && decodeEvent(block, sha256)
    if (!event || isRejection(event) || event.family !== 'owner') return { ...place, proposals: [] }
    const { body } = event
    const proposals = body.kind === 'review' ? body.items.map(({ proposal }) => proposal) : []
    return { ...place, proposals }
  })
}
