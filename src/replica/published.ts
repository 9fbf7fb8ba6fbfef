// What one replica has published: the roots of its trees, its newest snapshot, and the way back when
// a node of a tree is lost. Everything here runs behind the replica's lock.
import type { CID } from 'multiformats/cid'
import { CID as Cid } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import { type CheckpointId, type DatasetId, type EventId, textOfEventId } from '../core/ids.ts'
import type { Thresholds } from '../core/policy.ts'
import type { Tenure } from '../core/state.ts'
import { updateTrie } from '../core/trie.ts'
import type { Clock, Logger } from '../ports.ts'
import type { StateCounts } from './derive.ts'
import { isRebuilding, type JournalNumbers, journalAnew } from './journal-anew.ts'
import { NodeWriter, RecentNodes } from './node-writer.ts'
import { PoolNodes } from './pool-nodes.ts'
import {
  bytesOf,
  noTrees,
  publishEvents,
  publishEventsPart,
  type PublishNeeds,
  publishState,
  type SnapshotNeeds,
  snapshotOf,
  type Trees,
} from './publish.ts'

/** Where the dataset stands. Both roots are CIDs of blocks on disk. */
export interface Snapshot {
  readonly root: CID
  readonly stateRoot: CID
  readonly eventsRoot: CID
  readonly files: CID
  /** The newest one that the state follows under. */
  readonly checkpoint?: CheckpointId
  readonly heads: readonly EventId[]
  readonly counts: StateCounts & {
    readonly events: number
    readonly proposals: number
    readonly files: number
    readonly bytes: number
  }
}

/** The two sets that peers compare. */
export interface EventSets {
  readonly owner: { readonly root: CID | undefined; readonly count: number }
  readonly pool: { readonly root: CID | undefined; readonly count: number }
}

export interface PublishedNeeds extends Omit<PublishNeeds, 'recent' | 'poolNodes'> {
  readonly dataset: DatasetId
  readonly logger: Logger
  readonly clock: Pick<Clock, 'nowMs'>
  /** Told when the journals were written anew: further entries go after these. */
  readonly journalsMoved: (numbers: JournalNumbers) => void
}

/** Proposals that somebody may have to wait for: each is in a node of its own, which takes a millisecond. */
const POOL_PART_MAX = 128

/** What a tree says when one of its nodes is not on disk, or is not what it should be. */
const DAMAGE: readonly unknown[] = ['HOME_DAMAGED', 'NOT_HERE', 'BAD_BLOCK']

export class Published {
  readonly #needs: PublishedNeeds & PublishNeeds
  readonly #recent = new RecentNodes()
  #trees: Trees = noTrees
  #snapshot: Snapshot | undefined
  #lastRoot: CID | undefined
  /** The tree that was repaired last. */
  #repaired: CID | undefined

  constructor(needs: PublishedNeeds) {
    this.#needs = { ...needs, recent: this.#recent, poolNodes: new PoolNodes(needs) }
  }

  /** Reads what is on disk; ends a rebuild that was cut off. */
  async load(): Promise<void> {
    const { log } = this.#needs
    this.#snapshot = undefined
    this.#recent.clear()
    if (await isRebuilding(log)) await this.#rebuild('it was cut off')
    this.#trees = (await log.meta<Trees>('trees')) ?? noTrees
  }

  /** Something was stored or derived: the snapshot is old. */
  outdate(): void {
    this.#snapshot = undefined
  }

  /** The newest root that was computed. */
  get lastRoot(): CID | undefined {
    return this.#lastRoot
  }

  /**
   * Takes some of what is stored into the sets, so that others can go on before all of it is. @returns
   * whether there may be more.
   */
  async publishSomeEvents(): Promise<boolean> {
    const before = this.#trees
    await this.#bringUpToDate((needs, trees) =>
      publishEventsPart({ ...needs, poolPartMax: POOL_PART_MAX }, trees),
    )
    return this.#trees !== before
  }

  async eventSets(): Promise<EventSets> {
    await this.#bringUpToDate(publishEvents)
    const { events, pool, eventCount, poolCount } = this.#trees
    return {
      owner: { root: events && Cid.decode(events), count: eventCount },
      pool: { root: pool && Cid.decode(pool), count: poolCount },
    }
  }

  /**
   * Everything must be derived. `checkpoint`: the newest one that the state was computed under. Throws
   * NOT_HERE while there is no genesis.
   */
  async snapshot(
    tenures: readonly Tenure[],
    policy: Thresholds,
    counts: StateCounts,
    checkpoint?: CheckpointId,
  ): Promise<Snapshot> {
    if (this.#snapshot) return this.#snapshot
    const { dataset, log, nodes, sha256 } = this.#needs
    const heads = (await log.heads()).sort()
    if (heads.length === 0) throw new GonkError('NOT_HERE', 'no event of this dataset is here yet')
    await this.#bringUpToDate(publishEvents)
    await this.#bringUpToDate(publishState)
    const stated = { dataset, tenures, policy, heads, counts, checkpoint }
    const block = snapshotOf(stated, this.#trees, sha256)
    await nodes.put(block.cid, block.bytes)
    this.#snapshot = {
      ...this.#snapshotInfo(block.cid, heads, counts),
      ...(checkpoint && { checkpoint }),
    }
    this.#lastRoot = block.cid
    return this.#snapshot
  }

  /**
   * The root as it would be without some owner events that nothing follows from. `heads`: those there are
   * then. Everything must be derived.
   */
  async rootWithout(
    events: readonly EventId[],
    stated: Omit<SnapshotNeeds, 'dataset'>,
  ): Promise<CID> {
    const { dataset, sha256 } = this.#needs
    await this.#bringUpToDate(publishEvents)
    await this.#bringUpToDate(publishState)
    const writer = new NodeWriter(this.#needs)
    const root = Cid.decode(this.#trees.events as Uint8Array)
    const changes = events.map((key) => ({ key, value: undefined }))
    const set = await updateTrie(root, changes, { source: writer, put: writer.put, sha256 })
    await writer.flush()
    const trees = { ...this.#trees, events: set.root.bytes, eventCount: set.count }
    return snapshotOf({ ...stated, dataset }, trees, sha256).cid
  }

  #snapshotInfo(root: CID, heads: readonly EventId[], counts: StateCounts): Snapshot {
    const { state, events, files } = this.#trees
    return {
      root,
      stateRoot: Cid.decode(state as Uint8Array),
      eventsRoot: Cid.decode(events as Uint8Array),
      files: Cid.decode(files as Uint8Array),
      heads,
      counts: {
        ...counts,
        events: this.#trees.eventCount,
        proposals: this.#trees.proposalCount,
        files: this.#trees.fileCount,
        bytes: bytesOf(this.#trees),
      },
    }
  }

  /** Roots of the trees as they are on disk, and of the snapshot. */
  roots(): CID[] {
    const { state, events, pool, files } = this.#trees
    const trees = [state, events, pool, files].flatMap((root) => (root ? [Cid.decode(root)] : []))
    return this.#lastRoot ? [this.#lastRoot, ...trees] : trees
  }

  /** Makes `node` again, which is missing or damaged, if its tree is still ours. Once for each root. */
  async repair(root: CID, node: CID): Promise<void> {
    const isOurs = this.roots().some((current) => current.equals(root))
    if (!isOurs || this.#repaired?.equals(root)) return
    if ((await this.#needs.nodes.get(node)) !== undefined) return
    await this.#rebuild(`tree node ${node} is missing or damaged`)
    await this.#bringUpToDate(publishEvents)
    this.#repaired = root
  }

  /** Nodes that were lost are made again, from the rows: trees hold nothing that is only there. */
  async #bringUpToDate(publish: typeof publishEvents): Promise<void> {
    try {
      this.#trees = await publish(this.#needs, this.#trees)
    } catch (error) {
      if (!(error instanceof GonkError) || !DAMAGE.includes(error.code)) throw error
      await this.#rebuild(error.message)
      const events = await publishEvents(this.#needs, this.#trees)
      this.#trees = publish === publishEvents ? events : await publish(this.#needs, events)
    }
  }

  async #rebuild(why: string): Promise<void> {
    const { dataset, logger, log, journalsMoved } = this.#needs
    logger.warn({ dataset: textOfEventId(dataset), why }, 'the trees are built again from the rows')
    this.#snapshot = undefined
    this.#recent.clear()
    this.#trees = noTrees
    journalsMoved(await journalAnew(log))
  }
}
