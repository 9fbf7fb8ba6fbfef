// The log as people read it, newest first, and one thing in full: an event, an object or a version.
import { eventOfDate } from '../../core/accept-date.ts'
import { GonkError } from '../../core/errors.ts'
import {
  type Event,
  type OwnerEvent,
  type Proposal,
  type ReviewItem,
  SCHEMA_MEDIA_TYPE,
} from '../../core/event.ts'
import { type EventId, objectIdOf, type ObjectId, textOfEventId } from '../../core/ids.ts'
import type { ObjectRow, Version } from '../../core/state.ts'
import { sha256 } from '../../crypto.ts'
import type { DatasetLog } from '../../log/dataset-log.ts'
import type { Replica } from '../../replica/replica.ts'
import { decisionJson, eventJson, type Json, operationJson, versionJson } from './event-json.ts'
import {
  objectInfo,
  objectNamed,
  objectsMatching,
  resolveObject,
  rowOf,
} from '../objects/objects.ts'
import { eventsMatching, onlyOne, readEvent, readEvents, resolveEvent } from '../resolve.ts'
import { andMore, summaryOfProposal } from './summary.ts'
import { oneLine, timeText, versionText } from '../text.ts'
import type { LogEntry, ObjectInfo } from '../../contract/api.ts'

/** Blocks of at most 256 KiB. */
const EVENTS_PER_READ = 32
const VERSIONS_SHOWN = 1_000
/** Of the parts of a proposal in the line about a review. */
const RUNS_SHOWN = 4
/** Where more keys begin as asked, reading all events costs less than reading each key's. */
const AUTHORS_MERGED = 16

export interface LogFilter {
  /** @default all */
  readonly limit?: number
  /** A public key or its beginning. */
  readonly author?: string
  /** Name or id prefix of an object: only the events that made its accepted versions. */
  readonly object?: string
}

/** Events, the latest to arrive at this node first. Throws USAGE, NOT_FOUND, AMBIGUOUS. */
export async function* readLog(replica: Replica, filter: LogFilter = {}): AsyncIterable<LogEntry> {
  const { log } = replica
  const { limit = Infinity, author = '', object } = filter
  if (!/^[0-9a-f]{0,64}$/.test(author)) {
    throw new GonkError('USAGE', `"${author}" is not a public key`, {
      hint: 'a key is 64 lower-case hex digits',
    })
  }
  if (limit < 1) return
  const row = object === undefined ? undefined : await resolveObject(replica, object)
  const ids = row === undefined ? await latestFirst(log, author) : eventsOfObject(row)
  let count = 0
  for await (const entry of entriesOf(log, ids, author)) {
    yield entry
    if (++count >= limit) return
  }
}

type Arrivals = AsyncIterable<[arrival: number, id: EventId]>

/** At least the events of keys that begin with `author`, the latest to arrive first. */
async function latestFirst(log: DatasetLog, author: string): Promise<AsyncIterable<EventId>> {
  const all: Arrivals = log.arrivals(0, { reverse: true })
  if (author === '') return merged([all])
  const authors = await log.history.authorsByPrefix(author, AUTHORS_MERGED + 1)
  if (authors.length > AUTHORS_MERGED) return merged([all])
  return merged(authors.map((key) => log.history.authoredBy(key, { reverse: true })))
}

/** One list of several that are in the order of arrival, the latest first. */
async function* merged(lists: readonly Arrivals[]): AsyncIterable<EventId> {
  const rest = lists.map((list) => list[Symbol.asyncIterator]())
  try {
    const heads = await Promise.all(rest.map(nextOf))
    for (;;) {
      const arrivals = heads.map((head) => head?.[0] ?? -1)
      const at = arrivals.indexOf(Math.max(...arrivals))
      const [list, head] = [rest[at], heads[at]]
      if (list === undefined || head === undefined) return
      yield head[1]
      heads[at] = await nextOf(list)
    }
  } finally {
    await Promise.all(rest.map((list) => list.return?.()))
  }
}

async function nextOf<T>(list: AsyncIterator<T>): Promise<T | undefined> {
  const step = await list.next()
  return step.done === true ? undefined : step.value
}

/** For every accepted version, latest acceptance first: the review, then the proposal. */
function eventsOfObject({ versions }: ObjectRow): EventId[] {
  const ids = versions.toReversed().flatMap(({ id, date }) => [eventOfDate(date), id.proposal])
  return [...new Set(ids)]
}

/** One line each, in the order given; of this author, whose key may be cut short. */
export async function* entriesOf(
  log: DatasetLog,
  ids: AsyncIterable<EventId> | Iterable<EventId>,
  author: string,
): AsyncIterable<LogEntry> {
  let batch: EventId[] = []
  for await (const id of ids) {
    batch.push(id)
    if (batch.length < EVENTS_PER_READ) continue
    yield* entriesOfBatch(log, batch, author)
    batch = []
  }
  yield* entriesOfBatch(log, batch, author)
}

async function* entriesOfBatch(
  log: DatasetLog,
  ids: readonly EventId[],
  author: string,
): AsyncIterable<LogEntry> {
  const [events, voids] = await Promise.all([readEvents(log, ids), log.areVoid(ids)])
  for (const [i, event] of events.entries()) {
    if (event === undefined || !event.author.startsWith(author)) continue
    yield {
      event: textOfEventId(event.id),
      kind: event.kind,
      author: event.author,
      at: timeText(event.claimedAtMs),
      summary: await summaryOf(log, event),
      ...(voids[i] === true && { void: true }),
    }
  }
}

async function summaryOf(log: DatasetLog, event: Event): Promise<string> {
  if (event.family === 'proposal') return summaryOfProposal(log, event)
  if (event.family === 'genesis') return oneLine(`create dataset ${event.name ?? ''}`)
  return oneLine(summaryOfOwnerEvent(event))
}

function summaryOfOwnerEvent({ kind, author, body }: OwnerEvent): string {
  switch (body.kind) {
    case 'add':
      return `add owner ${body.key} ${body.name ?? ''}`
    case 'remove':
      return body.key === author ? 'leave' : `remove owner ${body.key}`
    case 'review': {
      const [first] = body.items
      const what = first === undefined ? '' : textOfItem(first)
      const reason = body.reason === undefined ? '' : `: ${body.reason}`
      return `${body.verdict} ${what}${andMore(body.items.length)}${reason}`
    }
    case 'release':
      return `release ${body.tag}${body.text === undefined ? '' : `: ${body.text}`}`
    case 'endorse':
      return `endorse ${textOfEventId(body.operation)}`
    case 'policy':
      return `policy: ${body.kReview} must accept`
    case 'cp':
      return `vote for a checkpoint of height ${body.checkpoint.height}`
    case 'unknown':
      return `${kind}, which this version does not know`
  }
}

/** `EVENT`, or with the parts that were decided `EVENT:0-3,7`, the first few of them. */
function textOfItem({ proposal, ranges = [] }: ReviewItem): string {
  const runs = ranges
    .slice(0, RUNS_SHOWN)
    .map(([from, to]) => (from === to ? from : `${from}-${to}`))
  const more = ranges.length > RUNS_SHOWN ? ',…' : ''
  return `${textOfEventId(proposal)}${runs.length > 0 ? `:${runs.join(',')}${more}` : ''}`
}

// ---------------------------------------------------------------- one thing

/**
 * An event, a version (`EVENT:INDEX`) or an object (name or id), by unique prefix, as JSON with a
 * `type`. Throws NOT_FOUND, AMBIGUOUS.
 */
export async function show(replica: Replica, ref: string): Promise<Json> {
  const { log } = replica
  const named = await objectNamed(log, ref)
  if (named !== undefined) return showObject(replica, named)
  const [, event, index] = /^([^:]+):(\d{1,9})$/.exec(ref) ?? []
  if (event !== undefined) return showVersion(log, event, Number(index))
  const found = [
    ...(await eventsMatching(log, 'headers', ref, 2)).map((id) => ({ id, isEvent: true })),
    ...(await eventsMatching(log, 'proposals', ref, 2)).map((id) => ({ id, isEvent: true })),
    ...(await objectsMatching(log, ref)).map((id) => ({ id, isEvent: false })),
  ]
  const only = onlyOne(found, ref, 'event or object', ({ id, isEvent }) =>
    isEvent ? textOfEventId(id as EventId) : id,
  )
  return only.isEvent
    ? showEvent(log, only.id as EventId)
    : showObject(replica, only.id as ObjectId)
}

async function showEvent(log: DatasetLog, id: EventId): Promise<Json> {
  const event = await readEvent(log, id)
  const [isVoid] = await log.areVoid([id])
  const row = event.family === 'proposal' ? await log.proposal(id) : undefined
  return {
    ...eventJson(event),
    ...(isVoid === true && { void: true }),
    ...(row && { status: row.decisions.map(decisionJson) }),
  }
}

async function showVersion(log: DatasetLog, ref: string, index: number): Promise<Json> {
  const id = await resolveEvent(log, ref, ['proposals'])
  const event = (await readEvent(log, id)) as Proposal
  const row = await log.proposal(id)
  const operation = event.operations[index]
  const decision = row?.decisions.find(({ from, to }) => from <= index && index <= to)
  if (operation === undefined || decision === undefined) {
    throw new GonkError(
      'NOT_FOUND',
      `${ref}: the proposal has ${event.operations.length} operations`,
      {
        hint: 'operations count from 0',
      },
    )
  }
  const version = { proposal: id, index }
  return {
    type: 'version',
    version: versionText(version),
    author: event.author,
    at: timeText(event.claimedAtMs),
    status: decision.status,
    ...(decision.status !== 'pending' && { by: textOfEventId(decision.by) }),
    object: 'object' in operation ? operation.object : objectIdOf(version, sha256),
    ...operationJson(operation),
  }
}

/** With the newest 1,000 of its versions, in the order of their acceptance. */
async function showObject(replica: Replica, id: ObjectId): Promise<Json> {
  const row = await rowOf(replica.log, id)
  const versions = row.versions.slice(-VERSIONS_SHOWN)
  return {
    ...headOf(row, await objectInfo(replica, row)),
    heads: row.heads.map((i) => versionText((row.versions[i] as Version).id)),
    versionCount: row.versions.length,
    versions: versions.map((version) => versionJson(version, eventOfDate(version.date))),
  }
}

/** What it is, and what is known of it: an annotation has no name, no media type and no file. */
function headOf({ versions }: ObjectRow, info: ObjectInfo): Json {
  const value = versions.findLast((version) => version.value !== undefined)?.value
  if (value?.type === 'file') {
    return { type: value.mediaType === SCHEMA_MEDIA_TYPE ? 'schema' : 'object', ...info }
  }
  if (value === undefined) return { type: 'object', ...info }
  const { id, version, size, status } = info
  return { type: 'annotation', id, version, size, status }
}
