// The tables of one log, and what follows from them: events are stored, their state is derived and
// published. Whoever has it lets one of these run at a time.
import type { CID } from 'multiformats/cid'
import type { Event, Proposal } from '../core/event.ts'
import type { CheckpointId, EventId } from '../core/ids.ts'
import type { Rules } from '../core/rules.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { NodeBlocks } from '../log/node-blocks.ts'
import type { Clock, Crypto, Logger } from '../ports.ts'
import { Authority } from './authority.ts'
import { deriveBatch, type DeriveNeeds, type StateCounts } from './derive.ts'
import { Fresh } from './fresh.ts'
import type { FrozenSource } from './frozen-source.ts'
import { type From, Pool } from './pool.ts'
import { Published, type Snapshot } from './published.ts'
import { type Counters, type Stored, store, type StoreNeeds } from './store.ts'

export interface LedgerNeeds extends Pick<DeriveNeeds, 'areHeld'> {
  readonly log: DatasetLog
  readonly nodes: NodeBlocks
  readonly crypto: Crypto
  readonly clock: Clock
  readonly logger: Logger
  readonly rules: Rules
  /** What checkpoints settle. */
  readonly frozen: FrozenSource
  /** A proposal that is here and can be read. */
  readonly proposal: (id: EventId) => Promise<Proposal | undefined>
  readonly poolBytesMax?: number | undefined
  readonly partMax?: number | undefined
  readonly onSelfForks?: StoreNeeds['onSelfForks']
}

const noCounts: StateCounts = { objects: 0, versions: 0, annotations: 0 }

export class Ledger {
  readonly published: Published
  readonly #needs: LedgerNeeds
  #authority: Authority
  #fresh = new Fresh()
  #counters: Counters = { arrival: 0, eventJournal: 0 }
  #pool!: Pool
  #stateJournal = 0
  #counts: StateCounts = noCounts

  constructor(needs: LedgerNeeds) {
    this.#needs = needs
    const { log, frozen, rules, crypto } = needs
    this.#authority = new Authority(log, frozen, rules)
    this.published = new Published({
      ...needs,
      dataset: log.id,
      sha256: crypto.sha256,
      journalsMoved: ({ event, state }) => {
        this.#counters.eventJournal = event
        this.#stateJournal = state
      },
    })
  }

  /** Reads what is on disk. */
  async load(): Promise<void> {
    const { log, frozen, rules } = this.#needs
    this.#fresh = new Fresh()
    this.#authority = new Authority(log, frozen, rules)
    await this.#authority.load()
    this.#counters = {
      arrival: await log.nextNumber('arrivals'),
      eventJournal: await log.nextNumber('eventJournal'),
    }
    this.#pool = await Pool.load(this.#needs)
    this.#stateJournal = await log.nextNumber('stateJournal')
    this.#counts = (await log.meta<StateCounts>('counts')) ?? noCounts
    await this.published.load()
  }

  get authority(): Authority {
    return this.#authority
  }

  get pool(): Pool {
    return this.#pool
  }

  get fresh(): Fresh {
    return this.#fresh
  }

  /** The number of the next event. */
  get arrival(): number {
    return this.#counters.arrival
  }

  /** Where the log itself does not list arrivals. */
  beginAt(arrival: number): void {
    this.#counters.arrival = arrival
  }

  async store(events: readonly Event[], from: From): Promise<Stored> {
    this.published.outdate()
    const { log, crypto, onSelfForks } = this.#needs
    const needs = {
      log,
      authority: this.#authority,
      sha256: crypto.sha256,
      fresh: this.#fresh,
      pool: this.#pool,
      onSelfForks,
    }
    return store(needs, this.#counters, events, from)
  }

  /** @param anew what is settled is another: see DeriveNeeds. */
  async derive(anew = false): Promise<void> {
    const needs: DeriveNeeds = {
      ...this.#needs,
      sha256: this.#needs.crypto.sha256,
      thresholds: this.#authority.thresholds,
      fresh: this.#fresh,
      anew,
    }
    for (;;) {
      const derived = await deriveBatch(needs, this.#counts, this.#stateJournal)
      if (derived === undefined) return
      this.published.outdate()
      this.#counts = derived.counts
      this.#stateJournal++
    }
  }

  /** Everything must be derived. `checkpoint`: the newest one that the state is computed under. */
  snapshot(checkpoint: CheckpointId | undefined): Promise<Snapshot> {
    const { tenures, policy } = this.#authority
    return this.published.snapshot(tenures, policy, this.#counts, checkpoint)
  }

  /** See Published. */
  rootWithout(
    events: readonly EventId[],
    heads: readonly EventId[],
    checkpoint: CheckpointId | undefined,
  ): Promise<CID> {
    const { tenures, policy } = this.#authority
    return this.published.rootWithout(events, {
      tenures,
      policy,
      heads,
      counts: this.#counts,
      checkpoint,
    })
  }
}
