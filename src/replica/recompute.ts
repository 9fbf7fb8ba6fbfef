// The state of a past, computed from its signed events alone: in a database of its own, with the same
// code that keeps a replica, trusting nothing that was derived before.
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { GonkError, isRejection } from '../core/errors.ts'
import { decodeEvent } from '../core/event-codec.ts'
import type { Event } from '../core/event.ts'
import { type CheckpointId, type DatasetId, type EventId, textOfEventId } from '../core/ids.ts'
import { throwIfAborted } from '../files/concurrent.ts'
import { type Database, openDatabase } from '../log/database.ts'
import { DatasetLog } from '../log/dataset-log.ts'
import { HeldFiles } from '../log/held-files.ts'
import { NodeBlocks } from '../log/node-blocks.ts'
import type { AbortOptions, Clock, Crypto, Logger } from '../ports.ts'
import type { Refused } from './intake.ts'
import type { Rows } from './repair-rows.ts'
import { Replica, type Snapshot } from './replica.ts'

/** past(heads): owner events with all their ancestors, and the proposals they name. */
export interface History {
  readonly dataset: DatasetId
  /** Owner events and the genesis, parents before children, each once, in batches. */
  ownerEvents(): AsyncIterable<EventId[]>
  /** Blocks as they are stored, not checked; undefined for those that are not here. */
  blocks(ids: readonly EventId[]): Promise<(Uint8Array | undefined)[]>
}

export interface RecomputeNeeds {
  readonly crypto: Crypto
  readonly clock: Clock
  readonly logger: Logger
  /** Absolute path of a directory for a temporary database; made when missing. */
  readonly scratch: string
}

export interface RecomputeOptions extends AbortOptions {
  /** The checkpoint that the user trusts: the state is a function of the events and of it. */
  readonly anchor?: CheckpointId | undefined
  /** `done`: events verified so far; `bytes`: of them. `total` is unknown, 0. */
  readonly onProgress?: (progress: {
    what: string
    done: number
    total: number
    bytes: number
  }) => void
}

export interface Recomputed {
  /** Undefined when not even the genesis could be read. */
  readonly snapshot: Snapshot | undefined
  /** Events whose signatures were verified and that were taken in, and their bytes. */
  readonly events: number
  readonly bytes: number
  /** Events that break a rule, the first 1,000. */
  readonly refused: readonly Refused[]
  /** Events of the history whose blocks are missing or damaged, the first 1,000. */
  readonly missing: readonly EventId[]
  /** Whether every event and every proposal named was there: else the snapshot says less than it could. */
  readonly isComplete: boolean
}

const IDS_PER_BATCH = 64
/** Of at most 256 KiB each. */
const BLOCKS_PER_READ = 16
const SUBMIT_BYTES = 2 << 20
const SUBMIT_EVENTS = 256
const REPORTED_MAX = 1_000
/** It stands beside the node's own database, and is read little. */
const SMALL = { writeBufferBytes: 4 << 20, cacheBytes: 8 << 20 }

// ---------------------------------------------------------------- what is in a past

/** The past of `heads` as a log holds it. Memory: one id an event, nothing when `heads` are all heads. */
export function historyOf(log: DatasetLog, heads: readonly EventId[]): History {
  return {
    dataset: log.id,
    blocks: (ids) => log.blocks(ids),
    async *ownerEvents() {
      // The iterator sees the log as it is now; heads that are still the same then bound it.
      const all = log.byDepth()[Symbol.asyncIterator]()
      try {
        const first = await all.next()
        const past = isSameSet(await log.heads(), heads) ? undefined : await pastOf(log, heads)
        let batch: EventId[] = []
        for (let step = first; step.done !== true; step = await all.next()) {
          const { id } = step.value
          if (past !== undefined && !past.has(id)) continue
          batch.push(id)
          if (batch.length < IDS_PER_BATCH) continue
          yield batch
          batch = []
        }
        if (batch.length > 0) yield batch
      } finally {
        await all.return?.()
      }
    },
  }
}

function isSameSet(a: readonly EventId[], b: readonly EventId[]): boolean {
  const set = new Set(b)
  return a.length === set.size && a.every((id) => set.has(id))
}

/** Owner events of past(heads), the heads among them. Throws NOT_HERE for one that is not in the log. */
export async function pastOf(log: DatasetLog, heads: readonly EventId[]): Promise<Set<EventId>> {
  const past = new Set(heads)
  const next = [...past]
  while (next.length > 0) {
    const ids = next.splice(-IDS_PER_BATCH)
    const rows = await log.headers(ids)
    for (const [i, row] of rows.entries()) {
      if (row === undefined) {
        throw new GonkError('NOT_HERE', `event ${textOfEventId(ids[i] as EventId)} is not here`)
      }
      const fresh = row.parents.filter((parent) => !past.has(parent))
      for (const parent of fresh) past.add(parent)
      next.push(...fresh)
    }
  }
  return past
}

// ---------------------------------------------------------------- computing

/** The state of a history. Throws DISK, CANCELLED. */
export async function recompute(
  needs: RecomputeNeeds,
  history: History,
  options: RecomputeOptions = {},
): Promise<Recomputed> {
  return withRecomputed(needs, history, async (recomputed) => recomputed, options)
}

/** As {@link recompute}; `nodes` hold every block from the root down to the events until `use` is done. */
export async function withRecomputed<T>(
  needs: RecomputeNeeds,
  history: History,
  use: (recomputed: Recomputed, nodes: NodeBlocks, rows: Rows) => Promise<T>,
  options: RecomputeOptions = {},
): Promise<T> {
  const replay = await Replay.open(needs, history.dataset, options)
  try {
    await replay.take(history)
    return await use(await replay.state(), replay.nodes, replay.rows)
  } finally {
    await replay.close()
  }
}

/** A replica in a temporary database, which is removed when it is closed. Nothing else must use it. */
export class Replay {
  /** Every block from the last root computed down to the events. */
  readonly nodes: NodeBlocks
  readonly rows: Rows
  readonly #directory: string
  readonly #db: Database
  readonly #replica: Replica
  readonly #feed: Feed

  private constructor(directory: string, db: Database, replica: Replica, feed: Feed) {
    this.nodes = new NodeBlocks(db)
    this.rows = { db, log: replica.log }
    this.#directory = directory
    this.#db = db
    this.#replica = replica
    this.#feed = feed
  }

  /** Throws DISK. */
  static async open(
    needs: RecomputeNeeds,
    dataset: DatasetId,
    options: RecomputeOptions = {},
  ): Promise<Replay> {
    await mkdir(needs.scratch, { recursive: true })
    const directory = await mkdtemp(join(needs.scratch, 'recompute-'))
    let db: Database | undefined
    try {
      db = await openDatabase(join(directory, 'db'), SMALL)
      const log = new DatasetLog(db, dataset, 1)
      const parts = { db, log, nodes: new NodeBlocks(db), held: new HeldFiles(db) }
      const { crypto, clock, logger } = needs
      const replica = await Replica.open({ crypto, clock, logger, ...parts })
      if (options.anchor !== undefined) await replica.setAnchor(options.anchor)
      return new Replay(directory, db, replica, new Feed(needs, replica, options))
    } catch (error) {
      await db?.close()
      await rm(directory, { recursive: true, force: true })
      throw error
    }
  }

  /** Takes in what was not taken in before: the state is that of all histories given. */
  async take(history: History): Promise<void> {
    for await (const ids of history.ownerEvents()) await this.#feed.take(history, ids)
    await this.#feed.flush()
  }

  async state(): Promise<Recomputed> {
    const { events, bytes, refused, missing } = this.#feed
    const wanted = await this.#replica.log.wanted(1)
    return {
      snapshot: this.#replica.hasGenesis ? await this.#replica.snapshot() : undefined,
      events,
      bytes,
      refused: [...refused],
      missing: [...missing],
      isComplete: missing.size + refused.length + wanted.length === 0,
    }
  }

  async close(): Promise<void> {
    await this.#replica.close()
    await this.#db.close()
    await rm(this.#directory, { recursive: true, force: true })
  }
}

/** Submits events in batches bounded in number and bytes, each review with or after what it names. */
class Feed {
  events = 0
  bytes = 0
  readonly refused: Refused[] = []
  readonly missing = new Set<EventId>()
  readonly #needs: RecomputeNeeds
  readonly #replica: Replica
  readonly #options: RecomputeOptions
  #batch = new Map<EventId, Uint8Array>()
  #batchBytes = 0

  constructor(needs: RecomputeNeeds, replica: Replica, options: RecomputeOptions) {
    this.#needs = needs
    this.#replica = replica
    this.#options = options
  }

  async take(history: History, ids: readonly EventId[]): Promise<void> {
    for (const part of await this.#fresh(ids)) {
      for (const event of await this.#read(history, part, true)) {
        if (event.family === 'owner' && event.body.kind === 'review') {
          await this.#takeProposals(
            history,
            event.body.items.map((item) => item.proposal),
          )
        }
        await this.#add(event)
      }
    }
  }

  /** A proposal that is not here is no fault: the state of what is held leaves it out. */
  async #takeProposals(history: History, named: readonly EventId[]): Promise<void> {
    for (const part of await this.#fresh(named)) {
      for (const event of await this.#read(history, part, false)) {
        if (event.family === 'proposal') await this.#add(event)
      }
    }
  }

  /** Those that were not taken before, in parts of which all blocks may be in memory. */
  async #fresh(ids: readonly EventId[]): Promise<EventId[][]> {
    const known = await this.#replica.log.hasMany(ids)
    const fresh = ids.filter((id, i) => known[i] !== true && !this.#batch.has(id))
    const parts: EventId[][] = []
    for (let i = 0; i < fresh.length; i += BLOCKS_PER_READ) {
      parts.push(fresh.slice(i, i + BLOCKS_PER_READ))
    }
    return parts
  }

  /** The events whose blocks are here and are what their ids say. */
  async #read(history: History, ids: readonly EventId[], mustBeHere: boolean): Promise<Event[]> {
    throwIfAborted(this.#options.signal)
    const blocks = await history.blocks(ids)
    return ids.flatMap((id, i) => {
      const block = blocks[i]
      const event = block && decodeEvent(block, this.#needs.crypto.sha256)
      if (event !== undefined && !isRejection(event) && event.id === id) return [event]
      if ((mustBeHere || block !== undefined) && this.missing.size < REPORTED_MAX) {
        this.missing.add(id)
      }
      return []
    })
  }

  async #add(event: Event): Promise<void> {
    this.#batch.set(event.id, event.block)
    this.#batchBytes += event.block.length
    if (this.#batch.size >= SUBMIT_EVENTS || this.#batchBytes >= SUBMIT_BYTES) await this.flush()
  }

  async flush(): Promise<void> {
    const blocks = [...this.#batch.values()]
    this.#batch = new Map()
    this.#batchBytes = 0
    if (blocks.length === 0) return
    const { stored, refused } = await this.#replica.submit(blocks)
    this.events += stored.length
    this.bytes += stored.reduce((sum, event) => sum + event.block.length, 0)
    this.refused.push(...refused.slice(0, REPORTED_MAX - this.refused.length))
    const { events, bytes } = this
    this.#options.onProgress?.({ what: 'verifying events', done: events, total: 0, bytes })
  }
}
