// Tells one dataset as Gonk would: each event of ours, in the order of arrival, as the small events
// it is made of. Told once, in one batch each; gone over again after a crash, nothing is told
// twice.
import { GonkError } from '../../core/errors.ts'
import type { Event, OwnerBody, Proposal } from '../../core/event.ts'
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
/** So much of what was told may be gone without more ado. */
const LOST_BYTES_MIN = 1 << 20

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
    if (await isOutgrown(this.#replica)) {
      this.#isFarBehind = true
      this.#telling = undefined
      await this.#replica.log.gonk.beginAnew(await lostBytes(this.#replica))
    }
    const telling = (this.#telling ??= await open(this.#needs, this.#replica))
    const { line } = telling
    const until = this.#heard.end ?? Infinity
    while (line.arrival < until) {
      throwIfAborted(signal)
      const { arrival } = line
      const heard = this.#heard.from(arrival, EVENTS_AT_ONCE)
      this.#isFarBehind = heard.length === 0
      const events = this.#isFarBehind
        ? await stored(this.#replica, arrival)
        : heard.map((event, i) => ({ event, arrival: arrival + i }))
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

/** What the pool has lost since this home began, in bytes. */
async function lostBytes({ log }: Replica): Promise<number> {
  return (await log.meta<number>('poolEvicted')) ?? 0
}

/**
 * The line cannot forget: when most of what was told of undecided proposals is not here any more, all
 * is told anew. That costs no more than those proposals did.
 */
async function isOutgrown(replica: Replica): Promise<boolean> {
  const { since, seq, isAnew = false } = await replica.log.gonk.tail()
  const lost = await lostBytes(replica)
  if (isAnew || (seq === 0 && since === undefined && lost > 0)) return true
  const poolBytes = (await replica.log.meta<number>('poolBytes')) ?? 0
  return lost - (since ?? 0) > poolBytes + LOST_BYTES_MIN
}

/** An event; undefined: damaged, or gone meanwhile. */
interface Arrived {
  readonly event: Event | undefined
  readonly arrival: number
}

async function stored(replica: Replica, from: number): Promise<Arrived[]> {
  const rows: [arrival: number, id: EventId][] = []
  for await (const row of replica.log.arrivals(from, { limit: EVENTS_AT_ONCE })) rows.push(row)
  // The status of an operation is read when its review is told: it must have been derived.
  if (rows.length > 0) await replica.settled()
  const ids = rows.map(([, id]) => id)
  const events = await readEvents(replica.log, ids)
  return rows.map(([arrival], i) => ({ event: events[i], arrival }))
}

/** @param arrived in the order of their arrival, from the first that is not told. */
async function tellEvents(telling: Opened, arrived: readonly Arrived[]): Promise<void> {
  const { line, replica } = telling
  const events = arrived.map(({ event }) => event)
  const owners = events.filter((event) => event?.family === 'owner')
  const areVoid = await replica.log.areVoid(owners.map(({ id }) => id))
  const voids = new Set(owners.filter((_, i) => areVoid[i] === true).map(({ id }) => id))
  await readRows(telling, events)
  for (const { event, arrival } of arrived) {
    line.advance(arrival)
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
    await tellOwner(telling, event, body)
  } else if (body.kind === 'endorse') {
    const [operation] = await readEvents(telling.replica.log, [body.operation])
    const about = operation?.family === 'owner' ? operation.body : undefined
    if (operation === undefined || (about?.kind !== 'add' && about?.kind !== 'remove')) return
    await tellOwner(telling, operation, about, { isLate: true })
  }
}

/** When enough owners agree. `isLate`: an endorsement of it came, and it may be told already. */
async function tellOwner(
  telling: Telling,
  event: Event,
  body: Extract<OwnerBody, { kind: 'add' | 'remove' }>,
  { isLate = false } = {},
): Promise<void> {
  const { replica, log } = telling
  const waiting = await replica.operationsWaiting()
  if (waiting.some((operation) => operation.event === event.id)) return
  const words = wordsOf(telling, replica, event)
  const isTaken = words.event !== undefined && (await log.seqOf(words.event)) !== undefined
  const derived = uuidOfEvent(event.id, 0)
  const isFree = words.event !== undefined && !isTaken
  const uuid = isFree ? (words.event as string) : derived
  if (isLate) {
    const [isVoid] = await replica.log.areVoid([event.id])
    if (isVoid === true || isTaken || (await log.seqOf(derived)) !== undefined) return
  }
  const owner = ownerName(telling, body.key)
  const said: EventBody =
    body.kind === 'add'
      ? { type: 'OwnerAddEvent', owner, owner_action: 1 }
      : { type: 'OwnerRemoveEvent', owner, owner_action: 2 }
  await telling.line.emit({ uuid, words, body: said, isLast: true })
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
