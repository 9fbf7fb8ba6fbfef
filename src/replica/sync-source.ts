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
/** Of one view, which lives as long as one message: every prefix is looked up from the root. */
const NODES_KEPT = 1_024
const emptyNode = { hash: EMPTY_ROOT, count: 0, ids: [] }

export function syncSourceOf(replica: Replica, nodes: NodeBlocks, sha256: Sha256): SyncSource {
  const { log } = replica
  return {
    async sets() {
      const { owner, pool } = await replica.eventSets()
      return {
        owner: viewOf(owner.root, owner.count, replica, nodes),
        pool: viewOf(pool.root, pool.count, replica, nodes),
      }
    },
    snapshot: () => replica.lastRoot?.bytes,
    blocks: async (ids) => replica.damage.sound(ids, await log.blocks(ids)),
    async depths(ids) {
      return (await log.headers(ids)).map((header) => header?.depth)
    },
    log: (from) => entriesFrom(replica, from, sha256),
  }
}

function viewOf(
  root: CID | undefined,
  count: number,
  replica: Replica,
  nodes: NodeBlocks,
): SetView {
  if (root === undefined || count === 0) {
    return { root: EMPTY_ROOT, count: 0, subtree: async () => emptyNode }
  }
  const loaded = new Map<string, Uint8Array>()
  const source = {
    async get(cid: CID) {
      const key = cid.toString()
      const known = loaded.get(key)
      if (known) return known
      let bytes = await nodes.get(cid)
      if (bytes === undefined) {
        await replica.repair(root, cid)
        bytes = await nodes.get(cid)
      }
      if (bytes && loaded.size < NODES_KEPT) loaded.set(key, bytes)
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
