// Feeds what a checkpoint covers to a sealed twin: stored, derived and published by the code that keeps a
// replica, under what was settled before.
import type { CID } from 'multiformats/cid'
import { GonkError, isRejection } from '../core/errors.ts'
import { decodeEvent } from '../core/event-codec.ts'
import type { Event } from '../core/event.ts'
import { type CheckpointId, type EventId, textOfEventId } from '../core/ids.ts'
import type { Rules } from '../core/rules.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { NodeBlocks } from '../log/node-blocks.ts'
import type { SealedLog } from '../log/sealed-log.ts'
import type { Clock, Crypto, Logger } from '../ports.ts'
import type { Authority } from './authority.ts'
import type { FrozenSource } from './frozen-source.ts'
import { Ledger } from './ledger.ts'
import { namedBy } from './read-ahead.ts'
import { eventOf } from './verdicts.ts'

export interface FeedNeeds {
  /** Where the events are. */
  readonly events: DatasetLog
  readonly nodes: NodeBlocks
  readonly crypto: Crypto
  readonly clock: Clock
  readonly logger: Logger
  readonly rules: Rules
  readonly partMax?: number | undefined
}

/** What a checkpoint covers and the one before it did not. */
export interface Delta {
  /** Owner events and the genesis, parents before children. */
  readonly owner: readonly EventId[]
  /** Proposals that those name and it covers. */
  readonly proposals: ReadonlySet<EventId>
  /** Proposals that it leaves out: open until a later review names them. */
  readonly without: ReadonlySet<EventId>
}

export interface Fed {
  /** Of the snapshot of all that is sealed now. */
  readonly root: CID
  /** The arrival after the last event. */
  readonly upTo: number
  readonly authority: Authority
}

const BLOCKS_PER_READ = 16
const EVENTS_PER_BATCH = 256
const BYTES_PER_BATCH = 2 << 20

/**
 * @param sealed holds what is settled before, and what a checkpoint covers afterwards.
 * @param before what is settled before, whatever is written to `sealed`.
 * @param from the arrival of the first event.
 * @param previous named in the snapshot, as what its state is computed under.
 * Throws HOME_DAMAGED when an event cannot be read, DISK.
 */
export async function feed(
  needs: FeedNeeds,
  sealed: SealedLog,
  before: FrozenSource,
  delta: Delta,
  { from, previous }: { from: number; previous: CheckpointId | undefined },
): Promise<Fed> {
  const { crypto } = needs
  const ledger = new Ledger({
    ...needs,
    log: sealed,
    frozen: before,
    proposal: async (id) => {
      const event = await eventOf({ log: sealed, sha256: crypto.sha256 }, id)
      return event?.family === 'proposal' && event.id === id ? event : undefined
    },
    // What is lacking is known where people ask for it.
    areHeld: async (contents) => contents.map(() => true),
  })
  await ledger.load()
  ledger.beginAt(from)
  ledger.authority.reconsider()
  const batches = new Batches(sealed, ledger)
  for (const ids of parts(delta.owner, BLOCKS_PER_READ)) {
    const events = await readEvents(needs, ids)
    const named = events.flatMap((event) => (event.family === 'owner' ? namedBy(event) : []))
    await batches.add(events)
    await addProposals(
      needs,
      batches,
      named.filter((id) => delta.proposals.has(id)),
    )
  }
  await batches.flush()
  const { root } = await ledger.snapshot(previous)
  return { root, upTo: ledger.arrival, authority: ledger.authority }
}

async function addProposals(needs: FeedNeeds, batches: Batches, named: readonly EventId[]) {
  const known = await batches.has(named)
  const fresh = [...new Set(named.filter((_, i) => known[i] !== true))]
  for (const ids of parts(fresh, BLOCKS_PER_READ)) await batches.add(await readEvents(needs, ids))
}

function* parts<T>(list: readonly T[], size: number): Generator<T[]> {
  for (let i = 0; i < list.length; i += size) yield list.slice(i, i + size)
}

async function readEvents({ events, crypto }: FeedNeeds, ids: readonly EventId[]) {
  const blocks = await events.blocks(ids)
  return ids.map((id, i): Event => {
    const block = blocks[i]
    const event = block && decodeEvent(block, crypto.sha256)
    if (event !== undefined && !isRejection(event) && event.id === id) return event
    throw new GonkError('HOME_DAMAGED', `event ${textOfEventId(id)} is missing or damaged`)
  })
}

/** Events on their way into the tables, in batches bounded in number and bytes. */
class Batches {
  readonly #log: SealedLog
  readonly #ledger: Ledger
  #batch = new Map<EventId, Event>()
  #bytes = 0

  constructor(log: SealedLog, ledger: Ledger) {
    this.#log = log
    this.#ledger = ledger
  }

  async has(ids: readonly EventId[]): Promise<boolean[]> {
    const known = await this.#log.hasMany(ids)
    return ids.map((id, i) => known[i] === true || this.#batch.has(id))
  }

  async add(events: readonly Event[]): Promise<void> {
    for (const event of events) {
      this.#batch.set(event.id, event)
      this.#bytes += event.block.length
    }
    if (this.#batch.size >= EVENTS_PER_BATCH || this.#bytes >= BYTES_PER_BATCH) await this.flush()
  }

  async flush(): Promise<void> {
    const events = [...this.#batch.values()]
    this.#batch = new Map()
    this.#bytes = 0
    const { refused } = await this.#ledger.store(events, 'peer')
    const [first] = refused
    if (first) throw new GonkError('HOME_DAMAGED', `event ${textOfEventId(first.event)} is refused`)
    await this.#ledger.derive()
  }
}
