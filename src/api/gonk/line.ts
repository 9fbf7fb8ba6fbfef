// The one line of Gonk's events: each is chained to the one before and stored with what follows
// from it in one batch.
import type { EventId, VersionId } from '../../core/ids.ts'
import type { GonkLog, GonkTail, Place } from '../../log/gonk-log.ts'
import type { ProposalRow } from '../../log/rows.ts'
import type { Replica } from '../../replica/replica.ts'
import type { NodeContext } from '../context.ts'
import { integrityOf } from './integrity.ts'
import type { EventBody, UnchainedEvent } from './types.ts'
import type { Words } from './words.ts'

export type Write = ReturnType<GonkLog['putTail']>

export type TellingNeeds = Pick<NodeContext, 'crypto' | 'users'>

/** What the parts of the telling of one dataset work on. */
export interface Telling extends TellingNeeds {
  readonly replica: Replica
  /** What is told is seen here at once, by others when it is on disk. */
  readonly log: GonkLog
  readonly line: Line
  /** Of some proposals, as they stand now; undefined: not here. */
  readonly rows: Map<EventId, ProposalRow | undefined>
}

/** The row of a proposal; undefined where that is not here. */
export async function rowOf(
  { rows, replica }: Telling,
  proposal: EventId,
): Promise<ProposalRow | undefined> {
  return rows.has(proposal) ? rows.get(proposal) : replica.log.proposal(proposal)
}

export interface Emission {
  readonly uuid: string
  readonly words: Words
  readonly body: EventBody
  /** The versions it is about. */
  readonly places?: readonly Place[]
  /** The operation it is. */
  readonly operation?: VersionId
  readonly writes?: readonly Write[]
  /** Nothing more of the event that arrived is to be told. */
  readonly isLast?: boolean
}

export class Line {
  readonly #log: GonkLog
  readonly #sha256: NodeContext['crypto']['sha256']
  #tail: GonkTail

  private constructor(log: GonkLog, sha256: NodeContext['crypto']['sha256'], tail: GonkTail) {
    this.#log = log
    this.#sha256 = sha256
    this.#tail = tail
  }

  static async open(log: GonkLog, { crypto }: Pick<NodeContext, 'crypto'>): Promise<Line> {
    return new Line(log, crypto.sha256, await log.tail())
  }

  /** Arrival number of the first event that is not wholly told. */
  get arrival(): number {
    return this.#tail.arrival
  }

  /** Of the next event. */
  get seq(): number {
    return this.#tail.seq
  }

  /** What arrived before this number is told: on disk with the next batch. */
  advance(arrival: number): void {
    this.#tail = { ...this.#tail, arrival }
  }

  /** How much waits for something; never less. */
  get parked(): number {
    return this.#tail.parked ?? 0
  }

  async park(write: Write): Promise<void> {
    this.#tail = { ...this.#tail, parked: this.parked + 1 }
    await this.save([write])
  }

  async unpark(end: Write): Promise<void> {
    this.#tail = { ...this.#tail, parked: this.parked - 1 }
    await this.save([end])
  }

  async save(writes: readonly Write[] = []): Promise<void> {
    await this.#log.commit([...writes, this.#log.putTail(this.#tail)])
  }

  async emit({ uuid, words, body, ...more }: Emission): Promise<void> {
    const { seq, integrity: previous } = this.#tail
    const { timestamp, author } = words
    const unchained: UnchainedEvent = { uuid, timestamp, author, ...body }
    const integrity = integrityOf(unchained, previous, this.#sha256)
    const { operation, places = [], writes = [], isLast = false } = more
    const row = { event: { ...unchained, integrity }, ...(operation && { operation }) }
    const arrival = this.#tail.arrival + Number(isLast)
    const tail = { ...this.#tail, arrival, seq: seq + 1, integrity }
    await this.#log.commit([
      ...writes,
      ...this.#log.putEvent(seq, uuid, row),
      ...places.map((place) => this.#log.putLink(place, seq)),
      this.#log.putTail(tail),
    ])
    this.#tail = tail
  }
}
