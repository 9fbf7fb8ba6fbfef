// Tells one dataset as Gonk would: each event of ours, in the order of arrival, as the small events
// it is made of. Told once, in one batch each; gone over again after a crash, nothing is told
// twice.
import { GonkError } from '../../core/errors.ts'
import type { Event, Proposal } from '../../core/event.ts'
import type { EventId } from '../../core/ids.ts'
import type { Replica } from '../../replica/replica.ts'
import { Mutex } from '../../replica/mutex.ts'
import { readEvents } from '../resolve.ts'
import { Heard } from './heard.ts'
import { Line, rowOf, type Telling, type TellingNeeds } from './line.ts'
import { tellOperation } from './tell-operation.ts'
import { isReview, tellParkedReview, tellReview, tellStrikes } from './tell-review.ts'
import type { EventBody } from './types.ts'
import { uuidOfEvent } from './uuids.ts'
import { ownerName, wordsOf } from './words.ts'

/** Events of ours, each of which may be thousands of Gonk's, and may have 256 KiB. */
const EVENTS_AT_ONCE = 128
/** Rows of proposals that are read ahead. */
const ROWS_AHEAD = 1_000

export class Teller {
  readonly #needs: TellingNeeds
  readonly #replica: Replica
  readonly #turn = new Mutex()
  readonly #heard = new Heard()
  #telling: Opened | undefined
  /** Events came that are not told. */
  #isBehind = true
  /** The telling under way, or the last one; and the one that will follow it. */
  #now: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined
  #isFarBehind = true

  constructor(needs: TellingNeeds, replica: Replica) {
    this.#needs = needs
    this.#replica = replica
    replica.onStored((events, _origin, arrival) => {
      this.#heard.add(arrival, events)
      this.#isBehind = true
    })
  }

  /** What is untold is more than came just now: telling it may take minutes. */
  get isFarBehind(): boolean {
    return this.#isFarBehind
  }

  /**
   * Tells what arrived before this call. Throws CANCELLED.
   * @param signal of whoever asks first: others share what is under way.
   */
  catchUp(signal?: AbortSignal): Promise<void> {
    if (!this.#isBehind) return this.#now
    this.#next ??= this.#turn.run(() => {
      this.#next = undefined
      this.#isBehind = false
      this.#now = this.#tellAll(signal).catch((error: unknown) => {
        // What is in memory may be ahead of the disk.
        this.#telling = undefined
        this.#isBehind = true
        throw error
      })
      return this.#now
    })
    return this.#next
  }

  /** What comes meanwhile is left to the next time. */
  async #tellAll(signal: AbortSignal | undefined): Promise<void> {
    const telling = (this.#telling ??= await open(this.#needs, this.#replica))
    const { line } = telling
    const until = this.#heard.end ?? Infinity
    while (line.arrival < until) {
      throwIfAborted(signal)
      const heard = this.#heard.from(line.arrival, EVENTS_AT_ONCE)
      this.#isFarBehind = heard.length === 0
      const events = heard.length > 0 ? heard : await stored(this.#replica, line.arrival)
      if (events.length === 0) break
      await tellEvents(telling, events)
    }
    this.#isFarBehind = false
  }
}

interface Opened extends Telling {
  /** Brings to the disk what was told. */
  readonly flush: () => Promise<void>
}

async function open(needs: TellingNeeds, replica: Replica): Promise<Opened> {
  const { crypto, users } = needs
  const { log, flush } = replica.log.gonk.gather()
  const line = await Line.open(log, needs)
  return { crypto, users, replica, log, line, rows: new Map(), flush }
}

/** Undefined: damaged. */
async function stored(replica: Replica, from: number): Promise<(Event | undefined)[]> {
  const ids: EventId[] = []
  for await (const [, id] of replica.log.arrivals(from, { limit: EVENTS_AT_ONCE })) ids.push(id)
  // The status of an operation is read when its review is told: it must have been derived.
  if (ids.length > 0) await replica.settled()
  return readEvents(replica.log, ids)
}

/** @param events in the order of their arrival, from the first that is not told. */
async function tellEvents(telling: Opened, events: readonly (Event | undefined)[]): Promise<void> {
  const { line, replica } = telling
  const owners = events.filter((event) => event?.family === 'owner')
  const areVoid = await replica.log.areVoid(owners.map(({ id }) => id))
  const voids = new Set(owners.filter((_, i) => areVoid[i] === true).map(({ id }) => id))
  await readRows(telling, events)
  for (const event of events) {
    const { arrival } = line
    if (event !== undefined && !voids.has(event.id)) await tellEvent(telling, event, arrival)
    line.advance(arrival + 1)
  }
  // Where nobody was ever removed, nothing was struck.
  const isQuiet = replica.tenures.every(({ live }) => live) && owners.every(isReview)
  const mayStrike = owners.length > 0 && !(isQuiet && voids.size === 0)
  await line.save(mayStrike ? await tellStrikes(telling) : [])
  await telling.flush()
}

/** Rows of the proposals that come, and of those that are reviewed. */
async function readRows(telling: Telling, events: readonly (Event | undefined)[]): Promise<void> {
  const ids = new Set<EventId>()
  for (const event of events) {
    if (event?.family === 'proposal') ids.add(event.id)
    if (event?.family !== 'owner' || event.body.kind !== 'review') continue
    for (const { proposal } of event.body.items) if (ids.size < ROWS_AHEAD) ids.add(proposal)
  }
  const list = [...ids]
  const rows = await telling.replica.log.proposals(list)
  telling.rows.clear()
  for (const [i, id] of list.entries()) telling.rows.set(id, rows[i])
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new GonkError('CANCELLED', 'the telling was stopped')
}

async function tellEvent(telling: Telling, event: Event, arrival: number): Promise<void> {
  if (event.family === 'genesis') return tellFounders(telling, event)
  if (event.family === 'proposal') return tellProposal(telling, event)
  const { body } = event
  if (isReview(event)) {
    for (const item of event.body.items.keys()) await tellReview(telling, { event, item, arrival })
  } else if (body.kind === 'add' || body.kind === 'remove') {
    const owner = ownerName(telling, body.key)
    const said: EventBody =
      body.kind === 'add'
        ? { type: 'OwnerAddEvent', owner, owner_action: 1 }
        : { type: 'OwnerRemoveEvent', owner, owner_action: 2 }
    const words = wordsOf(telling, telling.replica, event)
    const isFree = words.event !== undefined && (await telling.log.seqOf(words.event)) === undefined
    const uuid = isFree ? (words.event as string) : uuidOfEvent(event.id, 0)
    await telling.line.emit({ uuid, words, body: said, isLast: true })
  }
}

async function tellFounders(
  telling: Telling,
  event: Extract<Event, { family: 'genesis' }>,
): Promise<void> {
  const words = wordsOf(telling, telling.replica, event)
  for (const [i, key] of event.founders.entries()) {
    const uuid = uuidOfEvent(event.id, i)
    if ((await telling.log.seqOf(uuid)) !== undefined) continue
    const owner = ownerName(telling, key)
    await telling.line.emit({
      uuid,
      words,
      body: { type: 'OwnerAddEvent', owner, owner_action: 1 },
    })
  }
}

async function tellProposal(telling: Telling, proposal: Proposal): Promise<void> {
  const row = await rowOf(telling, proposal.id)
  if (row === undefined) return
  for (const index of proposal.operations.keys()) {
    for (const awaited of await tellOperation(telling, proposal, row, index)) {
      await tellParked(telling, awaited)
    }
  }
  await tellParked(telling, proposal.id)
}

/** What waited for an object, a version or a proposal. */
async function tellParked(telling: Telling, awaited: string): Promise<void> {
  const { log, line, replica } = telling
  if (line.parked === 0) return
  // Those of one proposal wait one after the other: it is read once.
  let proposal: Proposal | undefined
  for await (const { what, end } of log.parked(awaited)) {
    if ('operation' in what) {
      const { proposal: id, index } = what.operation
      if (proposal?.id !== id) proposal = await replica.proposal(id)
      const row = await rowOf(telling, id)
      const next = proposal && row ? await tellOperation(telling, proposal, row, index) : []
      for (const other of next) await tellParked(telling, other)
    } else await tellParkedReview(telling, awaited, what)
    await line.unpark(end)
  }
}
