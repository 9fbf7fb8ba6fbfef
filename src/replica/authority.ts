// Layer A over the log: keeps the summary that judges most events at once, and runs the whole pass
// when a removal or an add may change what was decided before.
import { compareRanks, rankBytesOf } from '../core/accept-date.ts'
import {
  admit,
  authority,
  type AuthoritySummary,
  type Standing,
  summaryAfter,
  tenureCreatedBy,
} from '../core/authority.ts'
import type { Genesis } from '../core/event.ts'
import { type FrozenPrefix, nothingFrozen } from '../core/frozen.ts'
import { type EventId, founderIndexOf, type PublicKey, type TenureId } from '../core/ids.ts'
import type { Tenure } from '../core/state.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { HeaderRow } from '../log/rows.ts'
import { assert } from './assert.ts'
import { hasRun } from './runs.ts'

type LookUp = (ids: readonly EventId[]) => Promise<(HeaderRow | undefined)[]>

interface Operation {
  readonly ordinal: number
  readonly kind: 'add' | 'remove'
}

/** The row kept on disk, so that opening a dataset reads no history. */
interface StoredAuthority {
  readonly founders: readonly PublicKey[]
  readonly tenures: readonly Tenure[]
  readonly standings: readonly [TenureId, Standing][]
  readonly anyRemove: boolean
  readonly isGuarded: boolean
}

export interface VerdictChange {
  readonly id: EventId
  readonly isVoid: boolean
}

const HEADERS_PER_READ = 1_000

export class Authority {
  readonly #log: DatasetLog
  readonly #frozen: FrozenPrefix
  #genesis: EventId | undefined
  #founders: readonly PublicKey[] = []
  #tenures: readonly Tenure[] = []
  #summary: AuthoritySummary = {
    standings: new Map(),
    anyRemove: false,
    isGuarded: false,
  }
  #operations = new Map<EventId, Operation>()
  #addedKeys = new Map<EventId, PublicKey>()
  #admitted = new Map<EventId, 'valid' | 'void'>()
  #mustRecompute = false
  #isChanged = false

  constructor(log: DatasetLog, frozen: FrozenPrefix) {
    this.#log = log
    this.#frozen = frozen
  }

  async load(): Promise<void> {
    const stored = await this.#log.meta<StoredAuthority>('authority')
    if (stored === undefined) return
    this.#genesis = this.#log.id
    this.#founders = stored.founders
    this.#tenures = stored.tenures
    const { standings, anyRemove, isGuarded } = stored
    this.#summary = { standings: new Map(standings), anyRemove, isGuarded }
    const rows = await this.#log.operations()
    rows.forEach(({ id, kind }, ordinal) => this.#operations.set(id, { ordinal, kind }))
    const adds = rows.filter((row) => row.kind === 'add').map((row) => row.id)
    for (const header of await this.#log.headers(adds)) {
      if (header?.key) this.#addedKeys.set(header.id, header.key)
    }
  }

  /** By rank. */
  get tenures(): readonly Tenure[] {
    return this.#tenures
  }

  get founders(): readonly PublicKey[] {
    return this.#founders
  }

  begin(genesis: Genesis): void {
    this.#genesis = genesis.id
    this.#founders = genesis.founders
    const { tenures, summary } = authority(genesis.founders, [], genesis.id, this.#frozen)
    this.#tenures = tenures
    this.#summary = summary
    this.#isChanged = true
  }

  ordinalOf(event: EventId): number | undefined {
    return this.#operations.get(event)?.ordinal
  }

  keyAddedBy(add: EventId): PublicKey | undefined {
    return this.#addedKeys.get(add)
  }

  /** Rule 3: founders by their order, and before all others; others by their adds. */
  async isSenior(senior: Tenure, junior: Tenure): Promise<boolean> {
    if (senior.founderIndex !== undefined) {
      return junior.founderIndex === undefined || senior.founderIndex < junior.founderIndex
    }
    if (junior.founderIndex !== undefined) return false
    const [add] = await this.#log.headers([junior.id as string as EventId])
    const ordinal = this.ordinalOf(senior.id as string as EventId)
    return add !== undefined && ordinal !== undefined && hasRun(add.seen, ordinal)
  }

  /** Gives a new `add` or `remove` its ordinal. Call before `admit`. */
  number(event: EventId, kind: 'add' | 'remove'): number {
    const ordinal = this.#operations.size
    this.#operations.set(event, { ordinal, kind })
    return ordinal
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
    if (header.kind === 'add' && header.key) this.#addedKeys.set(header.id, header.key)
    if (this.#mustRecompute) return
    const verdict = admit(this.#summary, header, this.#removesIn(header))
    if (verdict === 'recompute') {
      this.#mustRecompute = true
      return
    }
    this.#admitted.set(header.id, verdict)
    const summary = summaryAfter(this.#summary, header, verdict)
    if (summary === this.#summary) return
    this.#summary = summary
    this.#isChanged = true
    if (header.kind === 'add' && header.key) {
      const exists = verdict === 'valid'
      const id = tenureCreatedBy(header)
      const tenure = { id, key: header.key, addDepth: header.depth, exists, live: exists }
      this.#tenures = [...this.#tenures, tenure].sort(compareRanks)
    }
  }

  #removesIn(header: HeaderRow): Set<EventId> {
    const removes = new Set<EventId>()
    for (const [id, { ordinal, kind }] of this.#operations) {
      if (kind === 'remove' && hasRun(header.seen, ordinal)) removes.add(id)
    }
    return removes
  }

  /** Verdicts that differ from what is on disk, new events included. */
  async verdicts(fresh: readonly HeaderRow[]): Promise<VerdictChange[]> {
    if (!this.#mustRecompute) {
      return [...this.#admitted]
        .filter(([, verdict]) => verdict === 'void')
        .map(([id]) => ({ id, isVoid: true }))
    }
    const headers: HeaderRow[] = fresh.filter((header) => header.kind !== 'genesis')
    for await (const chunk of this.#headersOnDisk()) headers.push(...chunk)
    assert(this.#genesis !== undefined, 'the genesis comes first')
    const result = authority(this.#founders, headers, this.#genesis, this.#frozen)
    this.#tenures = result.tenures
    this.#summary = result.summary
    this.#isChanged = true
    const before = await this.#log.voids()
    return [
      ...[...result.voidEvents].filter((id) => !before.has(id)).map((id) => ({ id, isVoid: true })),
      ...[...before]
        .filter((id) => !result.voidEvents.has(id))
        .map((id) => ({ id, isVoid: false })),
    ]
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
    return {
      founders: this.#founders,
      tenures: this.#tenures,
      standings: [...this.#summary.standings],
      anyRemove: this.#summary.anyRemove,
      isGuarded: this.#summary.isGuarded,
    }
  }

  /** The batch is on disk. */
  committed(): void {
    this.#admitted.clear()
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
    // Without a removal in it, every well-formed event of a past is valid there.
    if (rejects.length === 0 || this.#removesIn(header).size === 0) return [...rejects]
    const past: HeaderRow[] = []
    await this.#walkPast(header, lookUp, (ancestor) => {
      if (ancestor.kind !== 'genesis') past.push(ancestor)
      return true
    })
    assert(this.#genesis !== undefined, 'the genesis comes first')
    // Judged in that past alone, now and later: what is frozen by then has no part in it.
    const { voidEvents } = authority(this.#founders, past, this.#genesis, nothingFrozen)
    return rejects.filter((reject) => !voidEvents.has(reject))
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

  /**
   * What a new event of the tenure cites: the heads, and below heads that are void the nearest events
   * that are not; at most `max`, the deepest first, but always one that has the tenure's add in its
   * past: many deep heads beside it must not keep an owner from writing.
   */
  async frontier(max: number, tenure: TenureId): Promise<{ parents: EventId[]; depth: number }> {
    const lookUp: LookUp = (ids) => this.#log.headers(ids)
    const chosen = new Map<EventId, HeaderRow>()
    let next = await this.#log.heads()
    const visited = new Set<EventId>()
    while (next.length > 0) {
      const ids = next.filter((id) => !visited.has(id))
      for (const id of ids) visited.add(id)
      next = []
      const voids = await this.#log.areVoid(ids)
      const rows = await lookUp(ids)
      rows.forEach((row, i) => {
        if (row === undefined) return
        if (voids[i] === true) next.push(...row.parents)
        else chosen.set(row.id, row)
      })
    }
    const deepestFirst = [...chosen.values()].sort((a, b) => b.depth - a.depth)
    const parents = deepestFirst.slice(0, max)
    if (!parents.some((row) => this.#sees(row, tenure))) {
      const seeing = deepestFirst.find((row) => this.#sees(row, tenure))
      parents[Math.min(parents.length, max - 1)] = seeing ?? (await this.#addOf(tenure))
    }
    assert(parents.length > 0, 'a dataset has a genesis')
    const depth = 1 + Math.max(...parents.map((row) => row.depth))
    return { parents: parents.map((row) => row.id).sort(), depth }
  }

  /** Whether what cites `row` may be an event of the tenure. */
  #sees(row: HeaderRow, tenure: TenureId): boolean {
    if (founderIndexOf(tenure) !== undefined) return true
    const add = tenure as string as EventId
    const ordinal = this.ordinalOf(add)
    return row.id === add || (ordinal !== undefined && hasRun(row.seen, ordinal))
  }

  async #addOf(tenure: TenureId): Promise<HeaderRow> {
    const [add] = await this.#log.headers([tenure as string as EventId])
    assert(add !== undefined, 'the add of a tenure is held')
    return add
  }
}
