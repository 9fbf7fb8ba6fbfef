// Events made on this node: all that are waiting are signed and stored together, so that many callers
// share one write to the disk.
import { GonkError, isRejection } from '../core/errors.ts'
import { decodeEvent, type Draft, formatEvent } from '../core/event-codec.ts'
import type { Event, OwnerBody } from '../core/event.ts'
import { type DatasetId, type EventId, eventIdOfBlock, founderIndexOf } from '../core/ids.ts'
import type { Tenure } from '../core/state.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { Crypto, Signer } from '../ports.ts'
import { type Refused, takeIn } from './intake.ts'

export type ActingBody = Exclude<OwnerBody, { kind: 'unknown' }>

/** What an owner event cites, and the depth that gives it. */
export interface Frontier {
  readonly parents: readonly EventId[]
  readonly depth: number
}

export interface Asked {
  readonly signer: Signer
  /**
   * Runs behind the lock, just before signing.
   * @param frontier for owner events: cites what is stored, and what this round has signed.
   */
  readonly draft: (frontier: (tenure: Tenure) => Promise<Frontier>) => Promise<Draft>
  /** It looks at more than its frontier: whatever came before must be stored, and nothing beside it. */
  readonly alone?: boolean
}

export interface AuthorNeeds {
  readonly dataset: DatasetId
  readonly log: DatasetLog
  readonly crypto: Crypto
  /** Runs a task behind the replica's lock. */
  readonly exclusive: (task: () => Promise<void>) => Promise<void>
  /** What the heads that are stored give. */
  readonly frontier: (tenure: Tenure) => Promise<Frontier>
  /** Stores events durably and tells of them. */
  readonly keep: (events: readonly Event[]) => Promise<readonly Refused[]>
}

interface Waiting extends Asked {
  readonly resolve: (event: Event) => void
  readonly reject: (error: unknown) => void
}

/** One caller's event: signed, but neither checked nor stored. */
interface Made extends Waiting {
  readonly block: Uint8Array
}

/** Of one round: others wait for the lock meanwhile. */
const EVENTS_MAX = 256
const BYTES_MAX = 4 << 20

export class AuthorQueue {
  readonly #needs: AuthorNeeds
  #waiting: Waiting[] = []
  #isScheduled = false

  constructor(needs: AuthorNeeds) {
    this.#needs = needs
  }

  /**
   * Signs and stores an event; those of one kind are stored in the order of the calls. The same words
   * of the same key at the same time are the same event. Resolves when it is on disk.
   * Throws BAD_EVENT when it breaks a limit, and what `draft` throws.
   */
  author(asked: Asked): Promise<Event> {
    const { promise, resolve, reject } = Promise.withResolvers<Event>()
    this.#waiting.push({ ...asked, resolve, reject })
    if (!this.#isScheduled) void this.#run()
    return promise
  }

  async #run(): Promise<void> {
    this.#isScheduled = true
    let taken: Made[] | undefined
    let settle = () => {}
    try {
      await this.#needs.exclusive(async () => {
        taken = []
        await this.#sign(taken)
        this.#isScheduled = false
        if (this.#waiting.length > 0) void this.#run()
        settle = await this.#store(taken)
      })
      settle()
    } catch (error) {
      // Without the lock nothing was taken, and nothing will be.
      if (taken === undefined) this.#isScheduled = false
      for (const { reject } of taken ?? this.#waiting.splice(0)) reject(error)
    }
  }

  /** Signs what waits, also what comes meanwhile, until the round is full. Bad drafts fail alone. */
  async #sign(made: Made[]): Promise<void> {
    const chain = new Chain(this.#needs.frontier)
    for (let bytes = 0; made.length < EVENTS_MAX && bytes < BYTES_MAX;) {
      const next = this.#waiting[0]
      if (next === undefined || (next.alone === true && made.length > 0)) return
      try {
        const draft = await next.draft((tenure) => chain.frontier(tenure))
        const block = signDraft(draft, next.signer, this.#needs.crypto.sha256)
        const event = decodeEvent(block, this.#needs.crypto.sha256)
        if (isRejection(event)) throw wouldBeRefused(event.what)
        chain.add(event)
        made.push({ ...next, block })
        bytes += block.length
      } catch (error) {
        if (error === NEXT_ROUND) return
        next.reject(error)
      }
      this.#waiting.shift()
      if (next.alone === true) return
    }
  }

  /** @returns what tells the callers, once the lock is free. */
  async #store(made: readonly Made[]): Promise<() => void> {
    const { log, crypto, dataset } = this.#needs
    if (made.length === 0) return () => {}
    const intake = await takeIn(
      { log, crypto },
      made.map(({ block }) => block),
      dataset,
    )
    const refused = new Map(intake.refused.map(({ event, what }) => [event, what]))
    for (const { event, what } of await this.#needs.keep(intake.events)) refused.set(event, what)
    const events = new Map(intake.events.map((event) => [event.id, event]))
    return () => {
      for (const { block, resolve, reject } of made) {
        const id = eventIdOfBlock(block, crypto.sha256)
        const what = refused.get(id)
        if (what === undefined) resolve(events.get(id) ?? decoded(block, crypto))
        else reject(wouldBeRefused(what))
      }
    }
  }
}

/** Thrown by a draft that cannot be made in this round. */
const NEXT_ROUND = Symbol('next round')

/** The owner events of one round, each of which cites the one before. */
class Chain {
  readonly #stored: (tenure: Tenure) => Promise<Frontier>
  #first: Tenure | undefined
  #last: Frontier | undefined

  constructor(stored: (tenure: Tenure) => Promise<Frontier>) {
    this.#stored = stored
  }

  async frontier(tenure: Tenure): Promise<Frontier> {
    if (this.#last === undefined) {
      this.#first = tenure
      return this.#stored(tenure)
    }
    // The tenure must have begun in the past of what is cited. Founders' began with the dataset.
    const isSeen = tenure.id === this.#first?.id || founderIndexOf(tenure.id) !== undefined
    if (isSeen) return this.#last
    throw NEXT_ROUND
  }

  add(event: Event): void {
    if (event.family === 'owner') this.#last = { parents: [event.id], depth: event.depth + 1 }
  }
}

function wouldBeRefused(what: string): GonkError {
  return new GonkError('BAD_EVENT', `the event would be refused: ${what}`)
}

function decoded(block: Uint8Array, { sha256 }: Crypto): Event {
  const event = decodeEvent(block, sha256)
  if (isRejection(event)) throw wouldBeRefused(event.what)
  return event
}

export function signDraft(draft: Draft, signer: Signer, sha256: Crypto['sha256']): Uint8Array {
  const { message, seal } = formatEvent(draft, signer.publicKey, sha256)
  return seal(signer.sign(message))
}
