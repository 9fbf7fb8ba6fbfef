// One dataset, alive. Every event, local or from a peer, enters through `submit` or `author`, which
// share one path; what follows from it is derived and published behind the same lock.
import type { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import { decodeEvent } from '../core/event-codec.ts'
import type { CheckpointBody, Event, Proposal } from '../core/event.ts'
import { type CheckpointId, type DatasetId, type EventId, textOfEventId } from '../core/ids.ts'
import type { Thresholds } from '../core/policy.ts'
import { type Rules, rules } from '../core/rules.ts'
import type { Tenure } from '../core/state.ts'
import type { Database } from '../log/database.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { HeldFiles } from '../log/held-files.ts'
import type { NodeBlocks } from '../log/node-blocks.ts'
import type { Clock, Crypto, Logger, Signer } from '../ports.ts'
import { Authoring } from './authoring.ts'
import type { Authority } from './authority.ts'
import type { Checkpoint } from './checkpoint-list.ts'
import { type Alarm, Finality } from './finality.ts'
import { historyAnew } from './history-anew.ts'
import { type Refused, takeIn } from './intake.ts'
import { type Keep, keepInOrder } from './keep.ts'
import { Ledger } from './ledger.ts'
import { Mutex } from './mutex.ts'
import { type OwnerOperation, operationsWaiting } from './operations-waiting.ts'
import type { Source } from './pool.ts'
import type { Forwarder } from './pool-shares.ts'
import type { EventSets, Snapshot } from './published.ts'
import { RecentProposals } from './recent-proposals.ts'
import { Damage } from './repair-blocks.ts'
import type { Stored, StoreNeeds } from './store.ts'

export interface ReplicaNeeds {
  readonly db: Database
  readonly log: DatasetLog
  readonly nodes: NodeBlocks
  readonly held: HeldFiles
  readonly crypto: Crypto
  readonly clock: Clock
  readonly logger: Logger
  /** Bytes of undecided proposals of others that are kept. @default no limit */
  readonly poolBytesMax?: number | undefined
  /** See PublishNeeds: small for tests. */
  readonly partMax?: number | undefined
  /** Told once of owners with two histories. */
  readonly onSelfForks?: StoreNeeds['onSelfForks']
  /** What the state follows by. @default those of the protocol */
  readonly rules?: Rules
  /** The order of effects. @default store, derive, tell */
  readonly keep?: Keep
}

export interface Submission {
  readonly stored: readonly Event[]
  readonly refused: readonly Refused[]
  readonly missingParents: readonly EventId[]
  readonly known: number
}

export { signDraft } from './author-queue.ts'
export type { OwnerOperation } from './operations-waiting.ts'
export type { Checkpoint } from './checkpoint-list.ts'
export type { Alarm } from './finality.ts'
export type { EventSets, Snapshot } from './published.ts'

/** While proposals keep coming: then the rest of them is taken into the sets in one go. */
const PARTS_MAX = 64

type Listener = (events: readonly Event[], origin: Origin, arrival: number) => void

/** `own`: made here, and durable before `stored` is told; else the peer it came from. */
export type Origin = 'own' | 'peer'

export class Replica {
  readonly id: DatasetId
  readonly log: DatasetLog
  /** Told of events that cannot be read. */
  readonly damage: Damage
  readonly #needs: ReplicaNeeds
  readonly #finality: Finality
  readonly #mutex = new Mutex()
  readonly #listeners = new Set<Listener>()
  readonly #recent = new RecentProposals()
  readonly #ledger: Ledger
  readonly #authoring: Authoring
  /** A write failed or is under way: what is in memory may not be what is on disk. */
  #isUnsure = false
  #isClosed = false

  private constructor(needs: ReplicaNeeds) {
    this.#needs = needs
    this.id = needs.log.id
    this.log = needs.log
    this.damage = new Damage(needs)
    const common = { ...needs, rules: needs.rules ?? rules, authority: () => this.#authority }
    this.#finality = new Finality({ ...common, events: needs.log })
    this.#ledger = new Ledger({
      ...common,
      frozen: this.#finality.frozen,
      proposal: (id) => this.proposal(id),
      areHeld: (contents) => needs.held.areHeld(contents),
    })
    this.#authoring = new Authoring({
      ...common,
      dataset: this.id,
      exclusive: (task) => this.#exclusive(task),
      keep: async (events) => (await this.#keep(events, 'own')).refused,
      checkVote: (key, checkpoint) => this.#finality.checkVote(key, checkpoint),
    })
  }

  get #authority(): Authority {
    return this.#ledger.authority
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
    log.opening.reread()
    await this.#ledger.load()
    await this.#finality.load()
  }

  /** One task at a time, each on what is on disk, also after one that failed. */
  #exclusive<T>(task: () => Promise<T>, turn?: { isPatient: boolean }): Promise<T> {
    return this.#mutex.run(async () => {
      if (this.#isClosed) {
        throw new GonkError('CANCELLED', `dataset ${textOfEventId(this.id)} was closed`)
      }
      if (this.#isUnsure || (await this.log.opening.isOver())) await this.#load()
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
    }, turn)
  }

  get tenures(): readonly Tenure[] {
    return this.#authority.tenures
  }

  /** How many distinct keys an operation of owners and an accept need now. */
  get policy(): Thresholds {
    return this.#authority.policy
  }

  /** The same at the genesis: what a review requires of which no row says otherwise. */
  get thresholds(): Thresholds {
    return this.#authority.thresholds
  }

  /** What owners signed and too few of them endorse, by depth. */
  operationsWaiting(): Promise<OwnerOperation[]> {
    return operationsWaiting(this.log, this.#authority)
  }

  get hasGenesis(): boolean {
    return this.#authority.founders.length > 0
  }

  /** The tenure with which a key may approve now: its most senior live one. */
  tenureOf(key: string): Tenure | undefined {
    return this.#authority.tenureOf(key)
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
    return isIt ? event : this.damage.found([id])
  }

  /** Told after each commit, in order; `arrival` is the number of the first event. */
  onStored(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Events from anywhere. Known ones are skipped, refused ones reported, the rest stored. */
  async submit(blocks: readonly Uint8Array[], from: Origin | Source = 'peer'): Promise<Submission> {
    const intake = await takeIn(this.#needs, blocks, this.id, this.#ledger.pool.doorFor(from))
    if (intake.events.length === 0) return { ...intake, stored: [], missingParents: [] }
    const keep = async (): Promise<Submission> => {
      const { stored, refused, missingParents } = await this.#keep(intake.events, from)
      const all = [...intake.refused, ...refused]
      return { stored, refused: all, missingParents, known: intake.known }
    }
    // Anybody can sign proposals, and any number of them: what owners decide does not queue behind.
    const isPatient = intake.events.every(({ family }) => family === 'proposal')
    return this.#exclusive(keep, { isPatient })
  }

  /** See {@link Authoring}, here and below. */
  propose(...what: Parameters<Authoring['propose']>): Promise<Proposal> {
    return this.#authoring.propose(...what)
  }

  act(...what: Parameters<Authoring['act']>): Promise<Event> {
    return this.#authoring.act(...what)
  }

  actOn(...what: Parameters<Authoring['actOn']>): Promise<Event | undefined> {
    return this.#authoring.actOn(...what)
  }

  frontier(signer: Signer): Promise<readonly EventId[]> {
    return this.#authoring.frontier(signer)
  }

  /** Stores events, derives what follows, and tells of them. */
  async #keep(events: readonly Event[], from: Origin | Source): Promise<Stored> {
    return (this.#needs.keep ?? keepInOrder)({
      store: () => this.#store(events, from),
      derive: () => this.#derive(),
      tell: ({ stored }) => this.#tell(stored, from === 'own' ? 'own' : 'peer'),
    })
  }

  async #store(events: readonly Event[], from: Origin | Source): Promise<Stored> {
    const stored = await this.#ledger.store(events, from)
    this.#recent.add(stored.stored)
    this.#finality.note(stored.stored)
    this.#recent.drop(stored.evicted)
    return stored
  }

  async #derive(): Promise<void> {
    if (await this.#finality.advance(this.#ledger.fresh)) this.#ledger.published.outdate()
    await this.#ledger.derive(this.#finality.isAnew)
    await this.#finality.looked()
  }

  #tell(events: readonly Event[], origin: Origin): void {
    if (events.length === 0) return
    for (const tell of this.#listeners) tell(events, origin, this.#ledger.arrival - events.length)
  }

  /** Resolves when the state follows from all that is stored. */
  async settled(): Promise<void> {
    return this.#exclusive(() => this.#derive())
  }

  /** The sets that peers compare, brought up to date first. */
  async eventSets(): Promise<EventSets> {
    const { published } = this.#ledger
    for (let part = 0; part < PARTS_MAX; part++) {
      if (!(await this.#exclusive(() => published.publishSomeEvents()))) break
    }
    return this.#exclusive(() => this.#ledger.published.eventSets())
  }

  /** Whether the pool would take in what it lacks of a peer's. */
  hasRoomFor(from: Forwarder): boolean {
    return this.#ledger.pool.hasRoomFor(from)
  }

  /** The newest root that was computed: what is stored may be ahead of it. */
  get lastRoot(): CID | undefined {
    return this.#ledger.published.lastRoot
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
    return this.#ledger.snapshot(this.#finality.newest)
  }

  // ---- checkpoints

  /** Checkpoints that owners voted for, by height and id; of very many by one of them the first. */
  async checkpoints(): Promise<Checkpoint[]> {
    return this.#settled(() => this.#finality.list())
  }

  /** Any that somebody voted for. */
  async checkpoint(id: CheckpointId): Promise<Checkpoint | undefined> {
    return this.#settled(() => this.#finality.describe(id))
  }

  /** The newest checkpoint of the chain. */
  get settledBy(): CheckpointId | undefined {
    return this.#finality.newest
  }

  /** What is wrong with checkpoints. */
  get alarms(): readonly Alarm[] {
    return this.#finality.alarms
  }

  /** Told of each alarm once. */
  onAlarm(listener: (alarm: Alarm) => void): () => void {
    return this.#finality.onAlarm(listener)
  }

  /** A checkpoint of all that is here and counts. Throws EXISTS (nothing new), TOO_LARGE, NOT_HERE. */
  async checkpointDraft(): Promise<CheckpointBody> {
    return this.#settled(() => this.#finality.draft(this.#rootWithout))
  }

  /** Whether the root a checkpoint names is what its state gives here; undefined while that is unknown. */
  async isCheckpointRight(id: CheckpointId): Promise<boolean | undefined> {
    return this.#settled(() => this.#finality.isRight(id, this.#rootWithout))
  }

  /** The checkpoint that the user trusts: the chain leads to it, votes or not. */
  get anchor(): CheckpointId | undefined {
    return this.#finality.chain.anchor
  }

  /** Resolves when the state follows from it; one that is not known here has no effect yet. */
  async setAnchor(id: CheckpointId | undefined): Promise<void> {
    return this.#exclusive(async () => {
      await this.#finality.chain.setAnchor(id)
      await this.#derive()
    })
  }

  /** The release that owns each tag for good, as checkpoints settle it. */
  async settledTags(): Promise<ReadonlyMap<string, EventId>> {
    if (this.#finality.newest === undefined) return new Map()
    return this.#settled(() => this.#finality.tagOwners())
  }

  #settled<T>(task: () => Promise<T>): Promise<T> {
    return this.#exclusive(async () => {
      await this.#derive()
      return task()
    })
  }

  readonly #rootWithout = (events: readonly EventId[], heads: readonly EventId[]) =>
    this.#ledger.rootWithout(events, heads, this.#finality.newest)

  /**
   * Runs while nothing is stored or published, so that no node of a tree comes or goes.
   * @param task gets the roots of the trees as they are on disk, and of the snapshot.
   */
  async whileStill<T>(task: (roots: readonly CID[]) => Promise<T>): Promise<T> {
    return this.#exclusive(async () => {
      if (this.hasGenesis) await this.#snapshot()
      return task([...this.#ledger.published.roots(), ...(await this.#finality.treeRoots())])
    })
  }

  /** A node of the tree `root` is missing or damaged: it is made again if that tree is still ours. */
  async repair(root: CID, node: CID): Promise<void> {
    return this.#exclusive(() => this.#ledger.published.repair(root, node))
  }

  /** Waits for what is under way; what comes later fails with CANCELLED. */
  async close(): Promise<void> {
    await this.#mutex.run(async () => {
      this.#isClosed = true
    })
    this.#listeners.clear()
  }
}
