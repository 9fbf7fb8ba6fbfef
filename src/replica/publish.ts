// Takes what the journals list into the trees, and makes the snapshot block. Background work: a
// commit never waits for it, `root` does. Work grows with what was touched since the last time.
import type { CID } from 'multiformats/cid'
import { CID as Cid } from 'multiformats/cid'
import {
  type CheckpointId,
  cidOfEventId,
  type DatasetId,
  type EventId,
  hexOf,
  type ObjectId,
  type Sha256,
} from '../core/ids.ts'
import { encodeSnapshot } from '../core/snapshot.ts'
import type { Rules } from '../core/rules.ts'
import type { Tenure } from '../core/state.ts'
import { updateTrie } from '../core/trie.ts'
import { updateDirectory } from '../files/directory.ts'
import type { Write } from '../log/database.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { NodeBlocks } from '../log/node-blocks.ts'
import { assert } from './assert.ts'
import type { FrozenSource } from './frozen-source.ts'
import type { StateCounts, StateJournalEntry } from './derive.ts'
import { NodeWriter, type RecentNodes } from './node-writer.ts'
import type { PoolNodes } from './pool-nodes.ts'
import { publishAnew } from './publish-anew.ts'
import { rowsOf, updateState } from './state-tree.ts'
import { type Name, type Ownership, ownershipOf, releasedOf } from './ownership.ts'

/** Events that entered (or left) the two sets that are synchronised. */
export interface EventJournalEntry {
  /** Owner events, the genesis, and proposals that owner events name. */
  readonly owner: readonly Uint8Array[]
  /** Of `owner`, how many are proposals. */
  readonly proposals: number
  readonly poolIn: readonly Uint8Array[]
  readonly poolOut: readonly Uint8Array[]
}

/** The roots on disk: all that is needed to go on after a crash. */
export interface Trees {
  readonly state?: Uint8Array
  readonly events?: Uint8Array
  readonly pool?: Uint8Array
  readonly files?: Uint8Array
  readonly eventCount: number
  readonly poolCount: number
  readonly proposalCount: number
  readonly fileCount: number
  /** Exact, in decimal digits: sizes are claims, and their sum may be more than a number can be. */
  readonly fileBytes: string
}

export const noTrees: Trees = {
  eventCount: 0,
  poolCount: 0,
  proposalCount: 0,
  fileCount: 0,
  fileBytes: '0',
}

export interface PublishNeeds {
  readonly log: DatasetLog
  readonly nodes: NodeBlocks
  readonly recent: RecentNodes
  readonly poolNodes: PoolNodes
  readonly sha256: Sha256
  readonly frozen: FrozenSource
  readonly rules: Rules
  /** What one part of a journal may name. @default 32 000 objects and names, 20 000 events */
  readonly partMax?: number | undefined
  /** And how many of these may enter or leave the pool. @default all */
  readonly poolPartMax?: number
}

/** Objects and names of one part of the journal. A node of a tree is written once in each part. */
const OBJECTS_PER_BATCH = 32_000
const EVENTS_PER_BATCH = 20_000
const NAMES_PER_BATCH = 4_000

const cidOf = (bytes: Uint8Array | undefined): CID | undefined => bytes && Cid.decode(bytes)

/** What the snapshot says: the exact sum, or the greatest integer that it can hold. */
export function bytesOf({ fileBytes }: Trees): number {
  return Math.min(Number(BigInt(fileBytes)), Number.MAX_SAFE_INTEGER)
}

/** Brings the events tree and the pool tree up to date. */
export async function publishEvents(needs: PublishNeeds, trees: Trees): Promise<Trees> {
  let current = trees
  for (;;) {
    const next = await publishEventsPart(needs, current)
    if (next === current) return current
    current = next
  }
}

/** One part of the journal. @returns the same trees when nothing was left. */
export async function publishEventsPart(needs: PublishNeeds, trees: Trees): Promise<Trees> {
  const entries = await eventEntries(needs)
  if (entries.length === 0) return trees
  const writer = new NodeWriter(needs)
  const owner = entries.flatMap(({ entry }) => entry.owner)
  const pool = entries.flatMap(({ entry }) => [
    ...entry.poolIn.map((id) => ({ id, isIn: true })),
    ...entry.poolOut.map((id) => ({ id, isIn: false })),
  ])
  const { poolNodes } = needs
  poolNodes.forget()
  const events = await updateSet(
    needs,
    poolNodes.kept(writer),
    trees.events,
    owner.map((id) => ({ id, isIn: true })),
  )
  const pooled = await updateSet(needs, poolNodes.pool(writer), trees.pool, pool)
  await writer.flush()
  const after = {
    ...trees,
    events: events.root.bytes,
    eventCount: events.count,
    pool: pooled.root.bytes,
    poolCount: pooled.count,
    proposalCount: trees.proposalCount + entries.reduce((sum, e) => sum + e.entry.proposals, 0),
  }
  await finish(needs.log, entries, after)
  await poolNodes.collect()
  return after
}

/** The first entries, as many as name a bounded number of events, and always one. */
async function eventEntries({ log, partMax = EVENTS_PER_BATCH, poolPartMax }: PublishNeeds) {
  const entries: { key: Uint8Array; entry: EventJournalEntry }[] = []
  let owner = 0
  let pool = 0
  for await (const next of log.journal<EventJournalEntry>('eventJournal')) {
    owner += next.entry.owner.length
    pool += next.entry.poolIn.length + next.entry.poolOut.length
    const isFull = owner + pool > partMax || (poolPartMax !== undefined && pool > poolPartMax)
    if (entries.length > 0 && isFull) break
    entries.push(next)
  }
  return entries
}

async function updateSet(
  needs: PublishNeeds,
  writer: Pick<NodeWriter, 'get' | 'put'>,
  root: Uint8Array | undefined,
  changes: readonly { id: Uint8Array; isIn: boolean }[],
) {
  const last = new Map(changes.map(({ id, isIn }) => [hexOf(id) as EventId, isIn]))
  return updateTrie(
    cidOf(root),
    [...last].map(([key, isIn]) => ({ key, value: isIn ? cidOfEventId(key) : undefined })),
    { source: writer, put: writer.put, sha256: needs.sha256 },
  )
}

async function finish(
  log: DatasetLog,
  entries: readonly { key: Uint8Array }[],
  trees: Trees,
  writes: Write[] = [],
): Promise<void> {
  const cleared = entries.map(({ key }): Write => ({ type: 'del', key }))
  await log.commit([...writes, ...cleared, log.putMeta('trees', trees)])
}

/** Brings the state tree and the `files/` directory up to date. */
export async function publishState(needs: PublishNeeds, trees: Trees): Promise<Trees> {
  let current = trees.state ? trees : await publishAnew(needs, trees)
  for (let isFirst = true; ; isFirst = false) {
    const { entries, isLast } = await stateEntries(needs)
    if (entries.length === 0) return current
    if (isFirst && !isLast) current = await letGo(needs, current)
    const writer = new NodeWriter(needs)
    const objects = new Set(entries.flatMap(({ entry }) => entry.objects.map(hexOf)))
    const rows = rowsOf(needs.log, [...objects].sort() as ObjectId[])
    const state = await updateState(needs, writer, cidOf(current.state), rows)
    const names = new Map(entries.flatMap(({ entry }) => entry.names.map(keyed)))
    const owned = await ownershipOf(needs, [...names.values()])
    current = await withFiles({ ...current, state: state.bytes }, owned, writer)
    await finish(needs.log, entries, current, owned.writes)
  }
}

/** The first entries, as many as name a bounded number of objects, and always one. */
async function stateEntries({ log, partMax = OBJECTS_PER_BATCH }: PublishNeeds) {
  const entries: { key: Uint8Array; entry: StateJournalEntry }[] = []
  let count = 0
  for await (const next of log.journal<StateJournalEntry>('stateJournal')) {
    count += next.entry.objects.length + next.entry.names.length
    if (entries.length > 0 && count > partMax) return { entries, isLast: false }
    entries.push(next)
  }
  return { entries, isLast: true }
}

const keyed = ([space, name]: StateJournalEntry['names'][number]) =>
  [`${space}:${name}`, { space, name }] as const

/**
 * Rows are ahead of the trees, which follow in parts. A name that nobody claims any more must go
 * first, wherever in the journal it is listed: what the rows say of a name that is a path prefix of
 * it, or the other way round, may come in an earlier part.
 */
async function letGo(needs: PublishNeeds, trees: Trees): Promise<Trees> {
  let current = trees
  let names = new Map<string, Name>()
  const flush = async () => {
    const released = await releasedOf(needs, [...names.values()])
    names = new Map()
    if (released.writes.length === 0) return
    current = await withFiles(current, released, new NodeWriter(needs))
    await finish(needs.log, [], current, released.writes)
  }
  for await (const { entry } of needs.log.journal<StateJournalEntry>('stateJournal')) {
    for (const [key, name] of entry.names.map(keyed)) names.set(key, name)
    if (names.size >= NAMES_PER_BATCH) await flush()
  }
  await flush()
  return current
}

/** The trees with the changes of `files/`, whose nodes are then on disk. */
async function withFiles(trees: Trees, owned: Ownership, writer: NodeWriter): Promise<Trees> {
  const files = await updateDirectory(cidOf(trees.files), owned.files, writer)
  await writer.flush()
  return {
    ...trees,
    files: files.bytes,
    fileCount: trees.fileCount + owned.fileCount,
    fileBytes: String(BigInt(trees.fileBytes) + owned.fileBytes),
  }
}

export interface SnapshotNeeds {
  readonly dataset: DatasetId
  readonly tenures: readonly Tenure[]
  readonly policy: { readonly kOwner: number; readonly kReview: number }
  readonly heads: readonly EventId[]
  readonly counts: StateCounts
  readonly checkpoint: CheckpointId | undefined
}

/** The snapshot of trees that are up to date. */
export function snapshotOf(needs: SnapshotNeeds, trees: Trees, sha256: Sha256) {
  const { state, events, files } = trees
  const { checkpoint } = needs
  assert(state !== undefined && events !== undefined && files !== undefined, 'trees are published')
  return encodeSnapshot(
    {
      dataset: needs.dataset,
      heads: needs.heads,
      owners: needs.tenures.filter((tenure) => tenure.exists),
      policy: needs.policy,
      counts: {
        events: trees.eventCount,
        proposals: trees.proposalCount,
        ...needs.counts,
        files: trees.fileCount,
        bytes: bytesOf(trees),
      },
      stateRoot: Cid.decode(state),
      eventsRoot: Cid.decode(events),
      files: Cid.decode(files),
      ...(checkpoint && { checkpoint }),
    },
    sha256,
  )
}
