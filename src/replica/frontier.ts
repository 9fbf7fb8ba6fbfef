// What a new owner event cites: the ends of the history that count. What is void is walked through once,
// however much of it there is and wherever more is put on top.
import { type EventId, founderIndexOf, type TenureId } from '../core/ids.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { HeaderRow } from '../log/rows.ts'
import { assert } from './assert.ts'
import { hasRun } from './runs.ts'

export interface FrontierNeeds {
  readonly log: DatasetLog
  readonly ordinalOf: (event: EventId) => number | undefined
}

/** Rows kept of what is below void events: more than any event cites. */
const BELOW_MAX = 256

export class Frontier {
  readonly #needs: FrontierNeeds
  #voidHeads = new Set<EventId>()
  /** Void events that were walked through, by arrival. */
  #walked = new Uint8Array(0)
  /** The nearest events below them that are not void. */
  #below = new Map<EventId, HeaderRow>()

  constructor(needs: FrontierNeeds) {
    this.#needs = needs
  }

  /** Verdicts on events that were here have changed. */
  forget(): void {
    this.#voidHeads.clear()
    this.#walked = new Uint8Array(0)
    this.#below.clear()
  }

  /**
   * What a new event of the tenure cites: the heads, and below heads that are void the nearest events
   * that are not; at most `max`, the deepest first, but always one that has the tenure's add in its
   * past: many deep heads beside it must not keep an owner from writing.
   */
  async of(max: number, tenure: TenureId): Promise<{ parents: EventId[]; depth: number }> {
    const chosen = await this.#ends()
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

  async #ends(): Promise<Map<EventId, HeaderRow>> {
    const { log } = this.#needs
    const heads = await log.heads()
    this.#voidHeads = new Set(heads.filter((id) => this.#voidHeads.has(id)))
    const valid = new Map<EventId, HeaderRow>()
    let next = heads.filter((id) => !this.#voidHeads.has(id))
    for (let found = valid; next.length > 0; found = this.#below) {
      const [rows, voids] = await Promise.all([log.headers(next), log.areVoid(next)])
      const parents = new Set<EventId>()
      for (const [i, row] of rows.entries()) {
        if (row === undefined) continue
        if (voids[i] !== true) found.set(row.id, row)
        else {
          if (found === valid) this.#voidHeads.add(row.id)
          if (this.#walk(row.arrival)) for (const parent of row.parents) parents.add(parent)
        }
      }
      next = [...parents]
    }
    if (this.#below.size > BELOW_MAX) {
      const deepest = [...this.#below].sort(([, a], [, b]) => b.depth - a.depth)
      this.#below = new Map(deepest.slice(0, BELOW_MAX))
    }
    return new Map([...valid, ...this.#below])
  }

  /** @returns whether it is for the first time. */
  #walk(arrival: number): boolean {
    const at = arrival >>> 3
    const bit = 1 << (arrival & 7)
    if (at >= this.#walked.length) {
      const longer = new Uint8Array(2 * at + 64)
      longer.set(this.#walked)
      this.#walked = longer
    }
    const bits = this.#walked[at] as number
    this.#walked[at] = bits | bit
    return (bits & bit) === 0
  }

  /** Whether what cites `row` may be an event of the tenure. */
  #sees(row: HeaderRow, tenure: TenureId): boolean {
    if (founderIndexOf(tenure) !== undefined) return true
    const add = tenure as string as EventId
    const ordinal = this.#needs.ordinalOf(add)
    return row.id === add || (ordinal !== undefined && hasRun(row.seen, ordinal))
  }

  async #addOf(tenure: TenureId): Promise<HeaderRow> {
    const [add] = await this.#needs.log.headers([tenure as string as EventId])
    assert(add !== undefined, 'the add of a tenure is held')
    return add
  }
}
