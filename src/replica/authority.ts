// Layer A over the log: keeps the summary that judges most events at once, and runs the whole pass
// when an operation may change what was decided before.
import { compareRanks, rankBytesOf } from '../core/accept-date.ts'
import type { Founding } from '../core/authority.ts'
import type { Genesis } from '../core/event.ts'
import { nothingFrozen } from '../core/frozen.ts'
import { type EventId, founderIndexOf, type PublicKey, type TenureId } from '../core/ids.ts'
import { tenureCreatedBy } from '../core/owner-graph.ts'
import { requirementAt, requirementNow, type Thresholds } from '../core/policy.ts'
import type { Rules } from '../core/rules.ts'
import type { Tenure } from '../core/state.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { HeaderRow, OperationKind, Runs } from '../log/rows.ts'
import { assert } from './assert.ts'
import { Frontier } from './frontier.ts'
import type { FrozenSource } from './frozen-source.ts'
import { hasRun } from './runs.ts'
import { noSummary, type StoredAuthority, storedOf, summaryOf } from './stored-authority.ts'

type LookUp = (ids: readonly EventId[]) => Promise<(HeaderRow | undefined)[]>

/** A removal or a leaving, valid or not. */
export interface SignedRemoval {
  readonly id: EventId
  readonly author: PublicKey
  readonly tenure: TenureId
}

interface Operation {
  readonly ordinal: number
  readonly kind: OperationKind
}

export interface VerdictChange {
  readonly id: EventId
  readonly isVoid: boolean
}

export interface RequirementChange {
  readonly id: EventId
  /** Undefined: what the genesis says. */
  readonly requires: number | undefined
}

const HEADERS_PER_READ = 1_000

export class Authority {
  readonly #log: DatasetLog
  readonly #frozen: FrozenSource
  readonly #rules: Rules
  readonly #frontier: Frontier
  #genesis: EventId | undefined
  #founders: readonly PublicKey[] = []
  #tenures: readonly Tenure[] = []
  #summary = noSummary
  #operations = new Map<EventId, Operation>()
  /** Those that can make an event of theirs matter to others: removals and policies. */
  #enlarging: { readonly id: EventId; readonly ordinal: number }[] = []
  #addedKeys = new Map<EventId, PublicKey>()
  /** By the key that they name. */
  #removals = new Map<PublicKey, SignedRemoval[]>()
  #admitted = new Map<EventId, 'valid' | 'void'>()
  #required: RequirementChange[] = []
  #ignoredLeavings: readonly EventId[] | undefined
  #mustRecompute = false
  #isChanged = false

  constructor(log: DatasetLog, frozen: FrozenSource, rules: Rules) {
    this.#log = log
    this.#frozen = frozen
    this.#rules = rules
    this.#frontier = new Frontier({ log, ordinalOf: (event) => this.ordinalOf(event) })
  }

  async load(): Promise<void> {
    const stored = await this.#log.meta<StoredAuthority>('authority')
    if (stored === undefined) return
    this.#genesis = this.#log.id
    this.#founders = stored.founders
    this.#tenures = stored.tenures.filter(({ exists }) => exists)
    this.#summary = summaryOf(stored)
    const rows = await this.#log.operations()
    rows.forEach(({ id, kind }, ordinal) => this.#note(id, { ordinal, kind }))
    const keyed = rows.filter(({ kind }) => kind === 'add' || kind === 'remove')
    for (const header of await this.#log.headers(keyed.map(({ id }) => id))) {
      if (header !== undefined) this.#noteKey(header)
    }
  }

  #noteKey({ id, kind, key, author, tenure }: HeaderRow): void {
    if (key === undefined) return
    if (kind === 'add') this.#addedKeys.set(id, key)
    if (kind !== 'remove') return
    const same = this.#removals.get(key)
    if (same === undefined) this.#removals.set(key, [{ id, author, tenure }])
    else same.push({ id, author, tenure })
  }

  /** Those that exist, by rank. */
  get tenures(): readonly Tenure[] {
    return this.#tenures
  }

  /** The tenure with which a key may approve now: its most senior live one. */
  tenureOf(key: string): Tenure | undefined {
    return this.#tenures.find((tenure) => tenure.live && tenure.key === key)
  }

  get founders(): readonly PublicKey[] {
    return this.#founders
  }

  /** Of the genesis. */
  get thresholds(): Thresholds {
    const { kOwner, kReview } = this.#summary
    return { kOwner, kReview }
  }

  /** What a new operation and a new accept need now. */
  get policy(): Thresholds {
    const { kOwner, kReview, policies } = this.#summary
    return { kOwner, kReview: requirementNow(policies, kReview) }
  }

  get founding(): Founding {
    return { founders: this.#founders, ...this.thresholds }
  }

  begin(genesis: Genesis): void {
    this.#genesis = genesis.id
    this.#founders = genesis.founders
    const { tenures, summary } = this.#rules.authority(genesis, [], genesis.id)
    this.#tenures = tenures
    this.#summary = summary
    this.#isChanged = true
  }

  /** Removals and leavings in force, with the tenure they are on. */
  get inForce(): [EventId, TenureId][] {
    return [...this.#summary.standings].flatMap(([tenure, { removedBy, leavings }]) =>
      [...removedBy, ...leavings].map((id): [EventId, TenureId] => [id, tenure]),
    )
  }

  /** Leavings without effect, so that somebody stays; undefined: none but those that are settled. */
  get ignoredLeavings(): readonly EventId[] | undefined {
    return this.#ignoredLeavings
  }

  /** What is settled is another: the next {@link changes} are those of a whole pass, if that can matter. */
  reconsider(): void {
    // Where one key is enough and nobody was ever removed, all is valid, settled or not.
    if (this.#summary.anyRemove || this.#summary.kOwner > 1) this.#mustRecompute = true
  }

  ordinalOf(event: EventId): number | undefined {
    return this.#operations.get(event)?.ordinal
  }

  keyAddedBy(add: EventId): PublicKey | undefined {
    return this.#addedKeys.get(add)
  }

  /** What names the key of the tenure and could act on it, as far as it is in `seen`. */
  async removalsOf(tenure: Tenure, seen: Runs): Promise<SignedRemoval[]> {
    const signed = this.#removals.get(tenure.key) ?? []
    if (signed.length === 0) return []
    const isSenior = await this.#seniorsOf(tenure)
    return signed.filter((removal) => {
      const ordinal = this.ordinalOf(removal.id)
      const isSeen = ordinal !== undefined && hasRun(seen, ordinal)
      return isSeen && (removal.author === tenure.key || isSenior(removal.tenure))
    })
  }

  async isSenior(senior: Tenure, junior: Tenure): Promise<boolean> {
    return (await this.#seniorsOf(junior))(senior.id)
  }

  /** Rule 2: founders by their order, and before all others; others by their adds. */
  async #seniorsOf({ id, founderIndex }: Tenure): Promise<(senior: TenureId) => boolean> {
    if (founderIndex !== undefined) {
      return (senior) => (founderIndexOf(senior) ?? Infinity) < founderIndex
    }
    const [add] = await this.#log.headers([id as string as EventId])
    return (senior) => {
      if (founderIndexOf(senior) !== undefined) return true
      const ordinal = this.ordinalOf(senior as string as EventId)
      return add !== undefined && ordinal !== undefined && hasRun(add.seen, ordinal)
    }
  }

  /** Operations and endorsements in the order of their ordinals. */
  get operations(): IterableIterator<EventId> {
    return this.#operations.keys()
  }

  /** Gives a new operation or endorsement its ordinal. Call before `admit`. */
  number(event: EventId, kind: OperationKind): number {
    const ordinal = this.#operations.size
    this.#note(event, { ordinal, kind })
    return ordinal
  }

  #note(id: EventId, operation: Operation): void {
    this.#operations.set(id, operation)
    const { kind, ordinal } = operation
    if (kind === 'remove' || kind === 'policy') this.#enlarging.push({ id, ordinal })
  }

  /** Rank of a tenure, which is fixed by its add whether or not it counts. */
  async rankOf(tenure: TenureId, lookUp: LookUp): Promise<Uint8Array> {
    const founderIndex = founderIndexOf(tenure)
    if (founderIndex !== undefined) return rankBytesOf({ id: tenure, addDepth: 0, founderIndex })
    const [add] = await lookUp([tenure as string as EventId])
    assert(add !== undefined, 'the add of a tenure is held')
    return rankBytesOf({ id: tenure, addDepth: add.depth })
  }

  /** Judges a new event that is well formed, in an order in which parents come first. */
  admit(header: HeaderRow): void {
    this.#noteKey(header)
    if (this.#mustRecompute) return
    const seen = this.#enlargingIn(header)
    const verdict = this.#rules.admit(this.#summary, header, seen)
    if (verdict === 'recompute') {
      this.#mustRecompute = true
      return
    }
    this.#admitted.set(header.id, verdict)
    if (header.kind === 'review') this.#require(header.id, seen)
    const summary = this.#rules.summaryAfter(this.#summary, header, verdict)
    if (summary === this.#summary) return
    this.#summary = summary
    this.#isChanged = true
    if (header.kind === 'add' && header.key) {
      const id = tenureCreatedBy(header)
      const tenure = { id, key: header.key, addDepth: header.depth, exists: true, live: true }
      this.#tenures = [...this.#tenures, tenure].sort(compareRanks)
    }
  }

  #require(review: EventId, seen: ReadonlySet<EventId>): void {
    const { policies, kReview } = this.#summary
    const requires = requirementAt(policies, kReview, seen)
    if (requires !== kReview) this.#required.push({ id: review, requires })
  }

  #enlargingIn(header: HeaderRow): Set<EventId> {
    const seen = this.#enlarging.filter(({ ordinal }) => hasRun(header.seen, ordinal))
    return new Set(seen.map(({ id }) => id))
  }

  /** Verdicts and requirements that differ from what is on disk, new events included. */
  async changes(
    fresh: readonly HeaderRow[],
  ): Promise<{ verdicts: VerdictChange[]; requirements: RequirementChange[] }> {
    if (!this.#mustRecompute) {
      const verdicts = [...this.#admitted]
        .filter(([, verdict]) => verdict === 'void')
        .map(([id]) => ({ id, isVoid: true }))
      return { verdicts, requirements: this.#required }
    }
    const headers: HeaderRow[] = fresh.filter((header) => header.kind !== 'genesis')
    for await (const chunk of this.#headersOnDisk()) headers.push(...chunk)
    assert(this.#genesis !== undefined, 'the genesis comes first')
    const frozen = await this.#frozen.ofEvents(headers.map(({ id }) => id))
    const result = this.#rules.authority(this.founding, headers, this.#genesis, frozen)
    this.#tenures = result.tenures.filter(({ exists }) => exists)
    this.#summary = result.summary
    this.#ignoredLeavings = [...result.ignoredLeavings]
    this.#frontier.forget()
    this.#isChanged = true
    const before = await this.#log.voids()
    const verdicts = [
      ...[...result.voidEvents].filter((id) => !before.has(id)).map((id) => ({ id, isVoid: true })),
      ...[...before]
        .filter((id) => !result.voidEvents.has(id))
        .map((id) => ({ id, isVoid: false })),
    ]
    return { verdicts, requirements: await this.#changesOf(result.requirements) }
  }

  async #changesOf(now: ReadonlyMap<EventId, number>): Promise<RequirementChange[]> {
    const before = await this.#log.requirements.all()
    const changes: RequirementChange[] = []
    for (const [id, requires] of now)
      if (before.get(id) !== requires) changes.push({ id, requires })
    for (const id of before.keys()) if (!now.has(id)) changes.push({ id, requires: undefined })
    return changes
  }

  async *#headersOnDisk(): AsyncIterable<HeaderRow[]> {
    let ids: EventId[] = []
    const read = async () => {
      const rows = await this.#log.headers(ids.splice(0))
      return rows.filter((row) => row !== undefined && row.kind !== 'genesis') as HeaderRow[]
    }
    for await (const { id } of this.#log.byDepth()) {
      ids.push(id)
      if (ids.length === HEADERS_PER_READ) yield await read()
    }
    yield await read()
  }

  /** The row to write with the batch, when it changed. */
  summary(): StoredAuthority | undefined {
    if (!this.#isChanged) return undefined
    return storedOf(this.#founders, this.#tenures, this.#summary)
  }

  /** The batch is on disk. */
  committed(): void {
    this.#admitted.clear()
    this.#required = []
    this.#mustRecompute = false
    this.#isChanged = false
  }

  /** Which of `targets` are in the past of an event. Reads no further down than the shallowest of them. */
  async inPast(header: HeaderRow, targets: readonly EventId[], lookUp: LookUp): Promise<EventId[]> {
    const rows = await lookUp(targets)
    const floor = Math.min(...rows.map((row) => row?.depth ?? 0))
    const wanted = new Set(targets)
    const found: EventId[] = []
    await this.#walkPast(header, lookUp, (ancestor) => {
      if (wanted.delete(ancestor.id)) found.push(ancestor.id)
      return wanted.size > 0 && ancestor.depth > floor
    })
    return found
  }

  /** Which of `rejects`, all in the past of `header`, are valid in the state of that past alone. */
  async validInPast(
    header: HeaderRow,
    rejects: readonly EventId[],
    lookUp: LookUp,
  ): Promise<EventId[]> {
    if (rejects.length === 0) return []
    const seen = [...this.#operations].filter(([, { ordinal }]) => hasRun(header.seen, ordinal))
    const isAnyRemoved = seen.some(([, { kind }]) => kind === 'remove')
    // Without a removal in it, every well-formed event of a past is valid there if its tenure exists.
    if (!isAnyRemoved && this.#summary.kOwner === 1) return [...rejects]
    const past: HeaderRow[] = []
    if (isAnyRemoved) {
      await this.#walkPast(header, lookUp, (ancestor) => {
        if (ancestor.kind !== 'genesis') past.push(ancestor)
        return true
      })
    } else {
      const rows = (await lookUp(rejects)).filter((row) => row !== undefined)
      if (rows.every(({ tenure }) => founderIndexOf(tenure) !== undefined)) return [...rejects]
      rows.push(...(await lookUp(seen.map(([id]) => id))).filter((row) => row !== undefined))
      past.push(...rows.map((row) => this.#amongOperations(row)))
    }
    assert(this.#genesis !== undefined, 'the genesis comes first')
    // Judged in that past alone, now and later: what is frozen by then has no part in it.
    const { voidEvents } = this.#rules.authority(this.founding, past, this.#genesis, nothingFrozen)
    return rejects.filter((reject) => !voidEvents.has(reject))
  }

  /** The event as it stands to operations alone: they are its parents. */
  #amongOperations(row: HeaderRow): HeaderRow {
    const seen = [...this.#operations].filter(([, { ordinal }]) => hasRun(row.seen, ordinal))
    const parents = seen.map(([id]) => id)
    return { ...row, parents: parents.length > 0 ? parents : [this.#genesis as EventId] }
  }

  /** Visits ancestors, each once; descends below those for which `visit` returns true. */
  async #walkPast(
    header: HeaderRow,
    lookUp: LookUp,
    visit: (ancestor: HeaderRow) => boolean,
  ): Promise<void> {
    const visited = new Set<EventId>()
    let next = [...header.parents]
    while (next.length > 0) {
      const ids = [...new Set(next)].filter((id) => !visited.has(id))
      for (const id of ids) visited.add(id)
      next = []
      for (const row of await lookUp(ids)) {
        if (row && visit(row)) next.push(...row.parents)
      }
    }
  }

  /** See {@link Frontier.of}. */
  frontier(max: number, tenure: TenureId): Promise<{ parents: EventId[]; depth: number }> {
    return this.#frontier.of(max, tenure)
  }
}
