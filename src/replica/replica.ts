// One dataset, alive. Every event, local or from a peer, enters through `submit` or `author`, which
// share one path; what follows from it is derived and published behind the same lock.
import type { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import { decodeEvent, type Draft } from '../core/event-codec.ts'
import type { Event, Labels, Proposal } from '../core/event.ts'
import { type FrozenPrefix, nothingFrozen } from '../core/frozen.ts'
import { type DatasetId, type EventId, textOfEventId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import type { Tenure } from '../core/state.ts'
import type { Database } from '../log/database.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { HeldFiles } from '../log/held-files.ts'
import type { NodeBlocks } from '../log/node-blocks.ts'
import type { Clock, Crypto, Logger, Signer } from '../ports.ts'
import { type ActingBody, AuthorQueue, type Frontier } from './author-queue.ts'
import { Authority } from './authority.ts'
import { deriveBatch, type StateCounts } from './derive.ts'
import { Fresh } from './fresh.ts'
import { historyAnew } from './history-anew.ts'
import { type Refused, takeIn } from './intake.ts'
import { Mutex } from './mutex.ts'
import { type EventSets, Published, type Snapshot } from './published.ts'
import { type Counters, type Stored, store } from './store.ts'

export interface ReplicaNeeds {
  readonly db: Database
  readonly log: DatasetLog
  readonly nodes: NodeBlocks
  readonly held: HeldFiles
  readonly crypto: Crypto
  readonly clock: Clock
  readonly logger: Logger
  /** Bytes of undecided proposals of others that are kept. @default no limit */
  readonly poolBytesMax?: number
  /** See PublishNeeds: small for tests. */
  readonly partMax?: number | undefined
}

export interface Submission {
  readonly stored: readonly Event[]
  readonly refused: readonly Refused[]
  readonly missingParents: readonly EventId[]
  readonly known: number
}

export { signDraft } from './author-queue.ts'
export type { EventSets, Snapshot } from './published.ts'

type Listener = (events: readonly Event[], origin: Origin, arrival: number) => void

/** `own`: made here, and durable before `stored` is told; else the peer it came from. */
export type Origin = 'own' | 'peer'

/** Operations of the proposals that are kept decoded, for what is said of them next. */
const RECENT_OPERATIONS = 8_000
const noCounts: StateCounts = { objects: 0, versions: 0, annotations: 0 }

export class Replica {
  readonly id: DatasetId
  readonly log: DatasetLog
  readonly #needs: ReplicaNeeds
  readonly #frozen: FrozenPrefix = nothingFrozen
  readonly #mutex = new Mutex()
  readonly #listeners = new Set<Listener>()
  readonly #recent = new Map<EventId, Proposal>()
  #recentOperations = 0
  #fresh = new Fresh()
  readonly #published: Published
  readonly #authors: AuthorQueue
  #authority: Authority
  #counters: Counters = { arrival: 0, eventJournal: 0, poolBytes: 0 }
  #stateJournal = 0
  #counts: StateCounts = noCounts
  /** A write failed or is under way: what is in memory may not be what is on disk. */
  #isUnsure = false
  #isClosed = false

  private constructor(needs: ReplicaNeeds) {
    this.#needs = needs
    this.id = needs.log.id
    this.log = needs.log
    this.#authority = new Authority(needs.log, this.#frozen)
    this.#published = new Published({
      dataset: this.id,
      log: needs.log,
      nodes: needs.nodes,
      logger: needs.logger,
      sha256: needs.crypto.sha256,
      frozen: this.#frozen,
      partMax: needs.partMax,
      journalsMoved: ({ event, state }) => {
        this.#counters.eventJournal = event
        this.#stateJournal = state
      },
    })
    this.#authors = new AuthorQueue({
      dataset: this.id,
      log: needs.log,
      crypto: needs.crypto,
      exclusive: (task) => this.#exclusive(task),
      frontier: (tenure) => this.#frontier(tenure),
      keep: async (events) => (await this.#keep(events, 'own')).refused,
    })
  }

  static async open(needs: ReplicaNeeds): Promise<Replica> {
    const replica = new Replica(needs)
    await replica.#load()
    // What a crash left between storing and deriving. A full disk must not keep a dataset shut.
    await replica
      .#exclusive(async () => {
        await replica.#derive()
        await historyAnew(needs)
      })
      .catch((error: unknown) => {
        const fields = { dataset: textOfEventId(replica.id), reason: String(error) }
        needs.logger.warn(fields, 'events that are stored could not be taken into the state yet')
      })
    return replica
  }

  async #load(): Promise<void> {
    const { log } = this.#needs
    this.#fresh = new Fresh()
    this.#authority = new Authority(log, this.#frozen)
    await this.#authority.load()
    this.#counters = {
      arrival: await log.nextNumber('arrivals'),
      eventJournal: await log.nextNumber('eventJournal'),
      poolBytes: (await log.meta<number>('poolBytes')) ?? 0,
    }
    this.#stateJournal = await log.nextNumber('stateJournal')
    this.#counts = (await log.meta<StateCounts>('counts')) ?? noCounts
    await this.#published.load()
  }

  /** One task at a time, each on what is on disk, also after one that failed. */
  #exclusive<T>(task: () => Promise<T>): Promise<T> {
    return this.#mutex.run(async () => {
      if (this.#isClosed) {
        throw new GonkError('CANCELLED', `dataset ${textOfEventId(this.id)} was closed`)
      }
      if (this.#isUnsure) await this.#load()
      this.#isUnsure = true
      try {
        const result = await task()
        this.#isUnsure = false
        return result
      } catch (error) {
        const loaded = () => (this.#isUnsure = false)
        await this.#load().then(loaded, () => {})
        throw error
      }
    })
  }

  get tenures(): readonly Tenure[] {
    return this.#authority.tenures
  }

  get hasGenesis(): boolean {
    return this.#authority.founders.length > 0
  }

  /** The tenure with which a key may approve now: its most senior live one. */
  tenureOf(key: string): Tenure | undefined {
    return this.#authority.tenures.find((tenure) => tenure.live && tenure.key === key)
  }

  /** Whether `senior` may remove `junior`. */
  isSenior(senior: Tenure, junior: Tenure): Promise<boolean> {
    return this.#authority.isSenior(senior, junior)
  }

  /** A proposal that is here; undefined when it is damaged, too. */
  async proposal(id: EventId): Promise<Proposal | undefined> {
    const recent = this.#recent.get(id)
    if (recent) return recent
    const block = await this.log.block(id)
    const event = block && decodeEvent(block, this.#needs.crypto.sha256)
    const isIt = event && 'family' in event && event.family === 'proposal' && event.id === id
    return isIt ? event : undefined
  }

  /** Told after each commit, in order; `arrival` is the number of the first event. */
  onStored(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Events from anywhere. Known ones are skipped, refused ones reported, the rest stored. */
  async submit(blocks: readonly Uint8Array[], origin: Origin = 'peer'): Promise<Submission> {
    const intake = await takeIn(this.#needs, blocks, this.id)
    if (intake.events.length === 0) return { ...intake, stored: [], missingParents: [] }
    return this.#exclusive(async () => {
      const stored = await this.#keep(intake.events, origin)
      return {
        stored: stored.stored,
        refused: [...intake.refused, ...stored.refused],
        missingParents: stored.missingParents,
        known: intake.known,
      }
    })
  }

  /** Signs and stores a proposal. Throws BAD_EVENT when it breaks a limit. */
  async propose(
    signer: Signer,
    operations: Proposal['operations'],
    more: { name?: string; labels?: Record<string, string> } = {},
  ): Promise<Proposal> {
    const draft = async (): Promise<Draft> => ({
      family: 'proposal',
      dataset: this.id,
      operations,
      claimedAtMs: this.#needs.clock.nowMs(),
      ...more,
    })
    return (await this.#authors.author({ signer, draft })) as Proposal
  }

  /**
   * Signs and stores an owner event that cites all heads known. Throws NOT_OWNER.
   * @param check runs behind the lock, just before signing, when all that came before is stored.
   */
  async act(
    signer: Signer,
    body: ActingBody,
    check?: (tenure: Tenure) => Promise<void>,
    labels?: Labels,
  ): Promise<Event> {
    return this.#authors.author({
      signer,
      // Reviews say nothing of who may sign; whatever else comes beside them might.
      alone: check !== undefined || body.kind !== 'review',
      draft: async (frontier) => {
        const tenure = this.#actingTenure(signer)
        await check?.(tenure)
        const draft = this.#ownerDraft(tenure, body, await frontier(tenure))
        return labels === undefined ? draft : { ...draft, labels }
      },
    })
  }

  /** What an owner event signed now would cite. Throws NOT_OWNER. */
  async frontier(signer: Signer): Promise<readonly EventId[]> {
    return this.#exclusive(async () => (await this.#frontier(this.#actingTenure(signer))).parents)
  }

  #frontier(tenure: Tenure) {
    return this.#authority.frontier(limits.parentsMax, tenure.id)
  }

  /** As {@link act}, unless other events came since `parents` was the frontier. */
  async actOn(
    signer: Signer,
    body: ActingBody,
    parents: readonly EventId[],
  ): Promise<Event | undefined> {
    let isCurrent = true
    const draft = async () => {
      const tenure = this.#actingTenure(signer)
      const frontier = await this.#frontier(tenure)
      isCurrent = frontier.parents.join() === parents.join()
      if (!isCurrent) throw new GonkError('STALE_BASE', 'other events came first')
      return this.#ownerDraft(tenure, body, frontier)
    }
    return this.#authors.author({ signer, alone: true, draft }).catch((error: unknown) => {
      if (isCurrent) throw error
      return undefined
    })
  }

  #actingTenure(signer: Signer): Tenure {
    const tenure = this.tenureOf(signer.publicKey)
    if (tenure) return tenure
    throw new GonkError('NOT_OWNER', `key ${signer.publicKey} is not an owner`)
  }

  #ownerDraft(tenure: Tenure, body: ActingBody, frontier: Frontier): Draft {
    return {
      family: 'owner',
      dataset: this.id,
      tenure: tenure.id,
      ...frontier,
      body,
      claimedAtMs: this.#needs.clock.nowMs(),
    }
  }

  /** Stores events, derives what follows, and tells of them. */
  async #keep(events: readonly Event[], origin: Origin): Promise<Stored> {
    const stored = await this.#store(events, origin)
    await this.#derive()
    this.#tell(stored.stored, origin)
    return stored
  }

  async #store(events: readonly Event[], origin: Origin): Promise<Stored> {
    this.#published.outdate()
    const needs = {
      log: this.log,
      authority: this.#authority,
      sha256: this.#needs.crypto.sha256,
      fresh: this.#fresh,
    }
    const stored = await store(needs, this.#counters, events, {
      own: origin === 'own',
      poolBytesMax: this.#needs.poolBytesMax ?? Number.POSITIVE_INFINITY,
    })
    for (const event of stored.stored) if (event.family === 'proposal') this.#remember(event)
    return stored
  }

  #remember(proposal: Proposal): void {
    this.#recent.set(proposal.id, proposal)
    this.#recentOperations += proposal.operations.length
    for (const [id, { operations }] of this.#recent) {
      if (this.#recentOperations <= RECENT_OPERATIONS) return
      this.#recent.delete(id)
      this.#recentOperations -= operations.length
    }
  }

  async #derive(): Promise<void> {
    const needs = {
      log: this.log,
      sha256: this.#needs.crypto.sha256,
      frozen: this.#frozen,
      fresh: this.#fresh,
      proposal: (id: EventId) => this.proposal(id),
      areHeld: (contents: readonly Uint8Array[]) => this.#needs.held.areHeld(contents),
    }
    for (;;) {
      const derived = await deriveBatch(needs, this.#counts, this.#stateJournal)
      if (derived === undefined) return
      this.#published.outdate()
      this.#counts = derived.counts
      this.#stateJournal++
    }
  }

  #tell(events: readonly Event[], origin: Origin): void {
    if (events.length === 0) return
    for (const tell of this.#listeners) tell(events, origin, this.#counters.arrival - events.length)
  }

  /** Resolves when the state follows from all that is stored. */
  async settled(): Promise<void> {
    return this.#exclusive(() => this.#derive())
  }

  /** The sets that peers compare, brought up to date first. */
  async eventSets(): Promise<EventSets> {
    return this.#exclusive(() => this.#published.eventSets())
  }

  /** The newest root that was computed: what is stored may be ahead of it. */
  get lastRoot(): CID | undefined {
    return this.#published.lastRoot
  }

  /**
   * The snapshot of everything stored so far, computed now if it is not yet. Throws NOT_HERE while
   * not even the genesis is here.
   */
  async snapshot(): Promise<Snapshot> {
    return this.#exclusive(() => this.#snapshot())
  }

  async #snapshot(): Promise<Snapshot> {
    await this.#derive()
    return this.#published.snapshot(this.#authority.tenures, this.#counts)
  }

  /**
   * Runs while nothing is stored or published, so that no node of a tree comes or goes.
   * @param task gets the roots of the trees as they are on disk, and of the snapshot.
   */
  async whileStill<T>(task: (roots: readonly CID[]) => Promise<T>): Promise<T> {
    return this.#exclusive(async () => {
      if (this.hasGenesis) await this.#snapshot()
      return task(this.#published.roots())
    })
  }

  /** A node of the tree `root` is missing or damaged: it is made again if that tree is still ours. */
  async repair(root: CID, node: CID): Promise<void> {
    return this.#exclusive(() => this.#published.repair(root, node))
  }

  /** Waits for what is under way; what comes later fails with CANCELLED. */
  async close(): Promise<void> {
    await this.#mutex.run(async () => {
      this.#isClosed = true
    })
    this.#listeners.clear()
  }
}
