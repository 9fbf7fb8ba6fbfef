// Whole events in the order of their arrival at this node: pages of them, and a stream that goes on.
import { GonkError } from '../../core/errors.ts'
import type { Event } from '../../core/event.ts'
import { type DatasetId, type EventId, textOfEventId } from '../../core/ids.ts'
import type { CatalogEntry } from '../../log/catalog.ts'
import type { AbortOptions } from '../../ports.ts'
import { type NodeContext, resolveDataset } from '../context.ts'
import { cursorOf, type Positions, positionsOf } from './event-cursor.ts'
import { eventJson } from './event-json.ts'
import { readEvents } from '../resolve.ts'
import { timeText } from '../text.ts'
import { Waker } from './waker.ts'
import type { EventEntry, EventPage, EventRequest } from '../../contract/api.ts'

type Needs = Pick<NodeContext, 'catalog' | 'replicas'>

const PAGE_EVENTS = 200
const PAGE_EVENTS_MAX = 1_000
/** Of signed blocks; their JSON is a few times that. */
const PAGE_BYTES = 4 << 20
/** Blocks of at most 256 KiB. */
const EVENTS_PER_READ = 16

/** Said of every event, beside its body. */
const ENVELOPE = { type: true, event: true, kind: true, author: true, at: true }

interface Read {
  readonly entry: CatalogEntry
  readonly arrival: number
  readonly event: Event
}

/**
 * A page of events, dataset by dataset; fewer than `limit` with `next` when they are large.
 * @param request `limit`: 1 to 1,000, 200 by default. Throws NOT_FOUND, AMBIGUOUS; USAGE for a cursor
 * that this node never gave.
 */
export async function events(
  context: Needs,
  request: EventRequest & { limit?: number } = {},
): Promise<EventPage> {
  const limit = Math.max(1, Math.min(request.limit ?? PAGE_EVENTS, PAGE_EVENTS_MAX))
  const { positions, isAsked } = await begin(context, request)
  const found: EventEntry[] = []
  let bytes = 0
  for (const entry of context.catalog.list()) {
    if (!isAsked(entry.id)) continue
    for await (const read of readFrom(context, entry, positions)) {
      const last = found.at(-1)
      if (last && (found.length === limit || bytes >= PAGE_BYTES)) {
        return { events: found, next: last.cursor }
      }
      positions.set(entry.ordinal, read.arrival + 1)
      found.push(entryOf(read, positions, request.blocks === true))
      bytes += read.event.block.length
    }
  }
  return { events: found }
}

/**
 * Events from `after` on, or from the beginning, and then as they are stored: each once, those of one
 * dataset in the order of their arrival, also of datasets that come later. Ends when `signal` fires.
 * Nothing is buffered: what happens only wakes a reader of the log. Throws as {@link events}.
 */
export async function* followEvents(
  context: Needs,
  request: EventRequest = {},
  { signal }: AbortOptions = {},
): AsyncGenerator<EventEntry> {
  const { catalog, replicas } = context
  const isOver = () => signal?.aborted === true
  // Before anything is read: what is stored meanwhile must not be missed.
  const waker = new Waker<DatasetId>()
  const stop = replicas.onStored((replica) => waker.wake(replica.id))
  try {
    const { positions, isAsked } = await begin(context, request)
    for (const { id } of catalog.list()) waker.wake(id)
    while (!isOver()) {
      const id = await waker.next(signal)
      const entry = id !== undefined && isAsked(id) ? catalog.get(id) : undefined
      if (entry === undefined) continue
      for await (const read of readFrom(context, entry, positions)) {
        if (isOver()) return
        positions.set(entry.ordinal, read.arrival + 1)
        yield entryOf(read, positions, request.blocks === true)
      }
    }
  } finally {
    stop()
  }
}

async function begin(
  { catalog }: Needs,
  { dataset, after }: EventRequest,
): Promise<{ positions: Positions; isAsked: (id: DatasetId) => boolean }> {
  const only =
    dataset === undefined || dataset === '' ? undefined : resolveDataset(catalog, dataset)
  const given = after === undefined ? new Map<number, number>() : positionsOf(after)
  const positions: Positions = new Map()
  for (const entry of catalog.list()) {
    const position = given.get(entry.ordinal)
    if (position === undefined || (only && only.id !== entry.id)) continue
    if (position > (await catalog.logOf(entry).nextNumber('arrivals'))) {
      throw new GonkError('USAGE', `the cursor is ahead of dataset ${textOfEventId(entry.id)}`, {
        hint: 'it is of another node, or of a copy of this one: begin again without `after`',
      })
    }
    positions.set(entry.ordinal, position)
  }
  return { positions, isAsked: (id) => only === undefined || only.id === id }
}

/**
 * What is stored now from the position of the dataset on; nothing of one that is forgotten. Leaves out
 * what is damaged on disk: `verify` names it.
 */
async function* readFrom(
  { catalog }: Needs,
  entry: CatalogEntry,
  positions: Positions,
): AsyncGenerator<Read> {
  const log = catalog.logOf(entry)
  for (;;) {
    const from = positions.get(entry.ordinal) ?? 0
    const batch: [number, EventId][] = []
    for await (const row of log.arrivals(from, { limit: EVENTS_PER_READ })) batch.push(row)
    if (batch.length === 0 || catalog.get(entry.id)?.ordinal !== entry.ordinal) return
    const events = await readEvents(
      log,
      batch.map(([, id]) => id),
    )
    for (const [i, [arrival]] of batch.entries()) {
      const event = events[i]
      if (event !== undefined) yield { entry, arrival, event }
      else positions.set(entry.ordinal, arrival + 1)
    }
  }
}

function entryOf(
  { entry, arrival, event }: Read,
  positions: Positions,
  withBlock: boolean,
): EventEntry {
  const said = Object.entries(eventJson(event)).filter(([name]) => !(name in ENVELOPE))
  return {
    dataset: textOfEventId(entry.id),
    seq: arrival,
    cursor: cursorOf(positions),
    event: textOfEventId(event.id),
    kind: event.kind,
    author: event.author,
    at: timeText(event.claimedAtMs),
    body: Object.fromEntries(said),
    ...(withBlock && { block: Buffer.from(event.block).toString('base64') }),
  }
}
