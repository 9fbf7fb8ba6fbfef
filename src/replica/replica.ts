// One dataset, alive. Every event, local or from a peer, enters through `submit` or `author`, which
// share one path; what follows from it is derived and published behind the same lock.
import type { CID } from 'multiformats/cid'
import { CID as Cid } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import { decodeEvent, type Draft, formatEvent } from '../core/event-codec.ts'
import type { Event, OwnerBody, Proposal } from '../core/event.ts'
import { type FrozenPrefix, nothingFrozen } from '../core/frozen.ts'
import type { DatasetId, EventId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import type { Tenure } from '../core/state.ts'
import type { Database } from '../log/database.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { HeldFiles } from '../log/held-files.ts'
import type { NodeBlocks } from '../log/node-blocks.ts'
import type { Clock, Crypto, Logger, Signer } from '../ports.ts'
import { Authority } from './authority.ts'
import { deriveBatch, type StateCounts } from './derive.ts'
import { type Refused, takeIn } from './intake.ts'
import { Mutex } from './mutex.ts'
import { noTrees, publishEvents, publishState, snapshotOf, type Trees } from './publish.ts'
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
}

export interface Submission {
  readonly stored: readonly Event[]
  readonly refused: readonly Refused[]
  readonly missingParents: readonly EventId[]
  readonly known: number
}

/** Where the dataset stands. Both roots are CIDs of blocks on disk. */
export interface Snapshot {
  readonly root: CID
  readonly stateRoot: CID
  readonly eventsRoot: CID
  readonly files: CID
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

type ActingBody = Exclude<OwnerBody, { kind: 'unknown' }>
type Listener = (events: readonly Event[], origin: Origin) => void

/** `own`: made here, and durable before `stored` is told; else the peer it came from. */
export type Origin = 'own' | 'peer'

const RECENT_PROPOSALS = 64

export class Replica {
  readonly id: DatasetId
  readonly log: DatasetLog
  readonly #needs: ReplicaNeeds
  readonly #frozen: FrozenPrefix = nothingFrozen
  readonly #mutex = new Mutex()
  readonly #listeners = new Set<Listener>()
  readonly #recent = new Map<EventId, Proposal>()
  #authority: Authority
  #counters: Counters = { arrival: 0, eventJournal: 0, poolBytes: 0 }
  #stateJournal = 0
  #counts: StateCounts = { objects: 0, versions: 0, annotations: 0 }
  #trees: Trees = noTrees
  #snapshot: Snapshot | undefined
  #lastRoot: CID | undefined
  #failed = false

  private constructor(needs: ReplicaNeeds) {
    this.#needs = needs
    this.id = needs.log.id
    this.log = needs.log
    this.#authority = new Authority(needs.log, this.#frozen)
  }

  static async open(needs: ReplicaNeeds): Promise<Replica> {
    const replica = new Replica(needs)
    await replica.#load()
    return replica
  }

  async #load(): Promise<void> {
    const { log } = this.#needs
    this.#authority = new Authority(log, this.#frozen)
    await this.#authority.load()
    this.#counters = {
      arrival: await log.nextNumber('arrivals'),
      eventJournal: await log.nextNumber('eventJournal'),
      poolBytes: (await log.meta<number>('poolBytes')) ?? 0,
    }
    this.#stateJournal = await log.nextNumber('stateJournal')
    this.#counts = (await log.meta<StateCounts>('counts')) ?? this.#counts
    this.#trees = (await log.meta<Trees>('trees')) ?? noTrees
    this.#snapshot = undefined
    this.#failed = false
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

  /** A proposal that is here. */
  async proposal(id: EventId): Promise<Proposal | undefined> {
    const recent = this.#recent.get(id)
    if (recent) return recent
    const block = await this.log.block(id)
    const event = block && decodeEvent(block, this.#needs.crypto.sha256)
    return event && 'family' in event && event.family === 'proposal' ? event : undefined
  }

  /** Told after each commit, in order. */
  onStored(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Events from anywhere. Known ones are skipped, refused ones reported, the rest stored. */
  async submit(blocks: readonly Uint8Array[], origin: Origin = 'peer'): Promise<Submission> {
    const intake = await takeIn(this.#needs, blocks, this.id)
    if (intake.events.length === 0) return { ...intake, stored: [], missingParents: [] }
    return this.#mutex.run(async () => {
      const stored = await this.#store(intake.events, origin)
      await this.#derive()
      this.#tell(stored.stored, origin)
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
    const event = await this.#author(signer, async () => ({
      family: 'proposal',
      dataset: this.id,
      operations,
      claimedAtMs: this.#needs.clock.nowMs(),
      ...more,
    }))
    return event as Proposal
  }

  /**
   * Signs and stores an owner event that cites all heads known. Throws NOT_OWNER.
   * @param check runs behind the lock, just before signing.
   */
  async act(
    signer: Signer,
    body: ActingBody,
    check: (tenure: Tenure) => Promise<void> = async () => {},
  ): Promise<Event> {
    return this.#author(signer, async () => {
      const tenure = this.#actingTenure(signer)
      await check(tenure)
      return this.#ownerDraft(tenure, body, await this.#authority.frontier(limits.parentsMax))
    })
  }

  /** What an owner event signed now would cite. */
  async frontier(): Promise<readonly EventId[]> {
    return this.#mutex.run(async () => {
      const { parents } = await this.#authority.frontier(limits.parentsMax)
      return parents
    })
  }

  /** As {@link act}, unless other events came since `parents` was the frontier. */
  async actOn(
    signer: Signer,
    body: ActingBody,
    parents: readonly EventId[],
  ): Promise<Event | undefined> {
    let isCurrent = true
    const event = this.#author(signer, async () => {
      const frontier = await this.#authority.frontier(limits.parentsMax)
      isCurrent = frontier.parents.join() === parents.join()
      if (!isCurrent) throw new GonkError('STALE_BASE', 'other events came first')
      return this.#ownerDraft(this.#actingTenure(signer), body, frontier)
    })
    return event.catch((error: unknown) => {
      if (isCurrent) throw error
      return undefined
    })
  }

  #actingTenure(signer: Signer): Tenure {
    const tenure = this.tenureOf(signer.publicKey)
    if (tenure) return tenure
    throw new GonkError('NOT_OWNER', `key ${signer.publicKey} is not an owner`)
  }

  #ownerDraft(
    tenure: Tenure,
    body: ActingBody,
    frontier: { parents: readonly EventId[]; depth: number },
  ): Draft {
    return {
      family: 'owner',
      dataset: this.id,
      tenure: tenure.id,
      ...frontier,
      body,
      claimedAtMs: this.#needs.clock.nowMs(),
    }
  }

  async #author(signer: Signer, draft: () => Promise<Draft>): Promise<Event> {
    return this.#mutex.run(async () => {
      const block = signDraft(await draft(), signer, this.#needs.crypto.sha256)
      const intake = await takeIn(this.#needs, [block], this.id)
      const [event] = intake.events
      if (event === undefined) {
        const what = intake.refused[0]?.what ?? 'it exists already'
        throw new GonkError('BAD_EVENT', `the event would be refused: ${what}`)
      }
      const stored = await this.#store([event], 'own')
      const [refusal] = stored.refused
      if (refusal) throw new GonkError('BAD_EVENT', `the event was refused: ${refusal.what}`)
      await this.#derive()
      this.#tell(stored.stored, 'own')
      return event
    })
  }

  async #store(events: readonly Event[], origin: Origin): Promise<Stored> {
    if (this.#failed) await this.#load()
    this.#snapshot = undefined
    this.#failed = true
    const needs = {
      log: this.log,
      authority: this.#authority,
      sha256: this.#needs.crypto.sha256,
    }
    const stored = await store(needs, this.#counters, events, {
      own: origin === 'own',
      poolBytesMax: this.#needs.poolBytesMax ?? Number.POSITIVE_INFINITY,
    })
    this.#failed = false
    for (const event of stored.stored) if (event.family === 'proposal') this.#remember(event)
    return stored
  }

  #remember(proposal: Proposal): void {
    this.#recent.set(proposal.id, proposal)
    if (this.#recent.size <= RECENT_PROPOSALS) return
    const [oldest] = this.#recent.keys()
    this.#recent.delete(oldest as EventId)
  }

  async #derive(): Promise<void> {
    const needs = {
      log: this.log,
      sha256: this.#needs.crypto.sha256,
      frozen: this.#frozen,
      proposal: (id: EventId) => this.proposal(id),
      areHeld: (contents: readonly Uint8Array[]) => this.#needs.held.areHeld(contents),
    }
    for (;;) {
      const derived = await deriveBatch(needs, this.#counts, this.#stateJournal)
      if (derived === undefined) return
      this.#snapshot = undefined
      this.#counts = derived.counts
      this.#stateJournal++
    }
  }

  #tell(events: readonly Event[], origin: Origin): void {
    if (events.length === 0) return
    for (const listener of this.#listeners) listener(events, origin)
  }

  /** The sets that peers compare, brought up to date first. */
  async eventSets(): Promise<EventSets> {
    return this.#mutex.run(async () => {
      this.#trees = await publishEvents(this.#publishNeeds(), this.#trees)
      const { events, pool, eventCount, poolCount } = this.#trees
      return {
        owner: { root: events && Cid.decode(events), count: eventCount },
        pool: { root: pool && Cid.decode(pool), count: poolCount },
      }
    })
  }

  /** The newest root that was computed: what is stored may be ahead of it. */
  get lastRoot(): CID | undefined {
    return this.#lastRoot
  }

  /** The snapshot of everything stored so far, computed now if it is not yet. */
  async snapshot(): Promise<Snapshot> {
    return this.#mutex.run(async () => {
      if (this.#snapshot) return this.#snapshot
      await this.#derive()
      const needs = this.#publishNeeds()
      this.#trees = await publishState(needs, await publishEvents(needs, this.#trees))
      const heads = (await this.log.heads()).sort()
      const snapshot = snapshotOf(
        {
          dataset: this.id,
          tenures: this.#authority.tenures,
          policy: { kOwner: 1, kReview: 1 },
          heads,
          counts: this.#counts,
        },
        this.#trees,
        this.#needs.crypto.sha256,
      )
      await this.#needs.nodes.put(snapshot.cid, snapshot.bytes)
      this.#snapshot = this.#snapshotInfo(snapshot.cid, heads)
      this.#lastRoot = snapshot.cid
      return this.#snapshot
    })
  }

  #snapshotInfo(root: CID, heads: readonly EventId[]): Snapshot {
    const { state, events, files } = this.#trees
    return {
      root,
      stateRoot: Cid.decode(state as Uint8Array),
      eventsRoot: Cid.decode(events as Uint8Array),
      files: Cid.decode(files as Uint8Array),
      heads,
      counts: {
        ...this.#counts,
        events: this.#trees.eventCount,
        proposals: this.#trees.proposalCount,
        files: this.#trees.fileCount,
        bytes: this.#trees.fileBytes,
      },
    }
  }

  /** Roots of the trees as they are on disk, and of the snapshot. */
  async treeRoots(): Promise<CID[]> {
    await this.snapshot()
    const { state, events, pool, files } = this.#trees
    const trees = [state, events, pool, files].flatMap((root) => (root ? [Cid.decode(root)] : []))
    return this.#lastRoot ? [this.#lastRoot, ...trees] : trees
  }

  #publishNeeds() {
    return {
      log: this.log,
      nodes: this.#needs.nodes,
      sha256: this.#needs.crypto.sha256,
      frozen: this.#frozen,
    }
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    await this.#mutex.run(async () => {})
    this.#listeners.clear()
  }
}

export function signDraft(draft: Draft, signer: Signer, sha256: Crypto['sha256']): Uint8Array {
  const { message, seal } = formatEvent(draft, signer.publicKey, sha256)
  return seal(signer.sign(message))
}
