// Gonk's queries: what there is, by first appearance, by status, and one version in full.
import { CID } from 'multiformats/cid'
import { GonkError } from '../../core/errors.ts'
import type { Value } from '../../core/event.ts'
import type { GonkLog, GonkOperationRow, GonkStatus, ThingKind } from '../../log/gonk-log.ts'
import { compareRanks } from '../../core/accept-date.ts'
import type { AbortOptions } from '../../ports.ts'
import type { NodeContext } from '../context.ts'
import type {
  Cursor,
  EventMention,
  GonkEvent,
  Identifier,
  Page,
  SchemaSummary,
  Summary,
  VersionDetails,
} from './types.ts'
import { ownerName } from './words.ts'
import { type FoundVersion, missing, type View } from './view.ts'

const PAGE = 25
/** Content that goes into one JSON document as base64; larger ones come by the native API. */
const CONTENT_BYTES_MAX = 64 * 1024 * 1024
/** Whoever makes a file decides how small its pieces are, each of which costs a read. */
const PIECES_MAX = 1_024

const REVIEW_WORDS = { pending: 'PENDING', accepted: 'ACCEPTED', rejected: 'REJECTED' } as const

export function owners(needs: Pick<NodeContext, 'users'>, { replica }: View): string[] {
  const live = replica.tenures.filter((tenure) => tenure.live).toSorted(compareRanks)
  return [...new Set(live.map(({ key }) => ownerName(needs, key)))]
}

export async function listThings(
  { log }: View,
  kind: ThingKind,
  after: string | undefined,
): Promise<Page<Summary>> {
  const cursor = after === undefined ? undefined : await log.thing(after)
  if (after !== undefined && cursor === undefined) return { items: [] }
  const from = cursor === undefined ? {} : { after: cursor.seq }
  const uuids = await log.things(kind, { ...from, limit: PAGE + 1 })
  const items = await Promise.all(uuids.slice(0, PAGE).map((uuid) => summaryOf(log, uuid)))
  const last = uuids.length > PAGE ? items.at(-1) : undefined
  return { items, ...(last && { next: { after: last.uuid } }) }
}

async function summaryOf(log: GonkLog, uuid: string): Promise<Summary> {
  return { uuid, versions: (await log.thing(uuid))?.versions ?? 0 }
}

export async function listSchemas({ log }: View): Promise<SchemaSummary[]> {
  const uuids = await log.things('schema')
  return Promise.all(uuids.map((uuid) => schemaSummary(log, uuid)))
}

export async function schemaSummary(log: GonkLog, uuid: string): Promise<SchemaSummary> {
  const thing = await log.thing(uuid)
  return { name: thing?.name ?? '', uuid, versions: thing?.versions ?? 0 }
}

export async function listWith(
  { log }: View,
  kind: ThingKind,
  status: GonkStatus,
  cursor: Cursor | undefined,
): Promise<Page<Identifier>> {
  const after = cursor && (await seqOfCursor(log, cursor))
  if (cursor !== undefined && after === undefined) return { items: [] }
  const options = { ...(after !== undefined && { after }), limit: PAGE + 1 }
  const places = (await log.listed(kind, status, options)).map(({ place }) => place)
  const items = places.slice(0, PAGE)
  const last = places.length > PAGE ? items.at(-1) : undefined
  return { items, ...(last && { next: { after: last.uuid, version: last.version } }) }
}

async function seqOfCursor(log: GonkLog, cursor: Cursor): Promise<number | undefined> {
  const { after: uuid, version = 0 } = cursor
  return (await log.version({ uuid, version }))?.seq
}

export async function listEvents(
  { log }: View,
  after: string | undefined,
): Promise<Page<GonkEvent>> {
  const known = after === undefined ? -1 : await log.seqOf(after)
  if (known === undefined) return { items: [] }
  const events: GonkEvent[] = []
  for await (const { event } of log.events(known + 1, PAGE + 1)) {
    events.push(event as unknown as GonkEvent)
  }
  const items = events.slice(0, PAGE)
  const last = events.length > PAGE ? items.at(-1) : undefined
  return { items, ...(last && { next: { after: last.uuid } }) }
}

export async function detailsOf(view: View, { place, row }: FoundVersion): Promise<VersionDetails> {
  const { proposal, index } = row.id
  const operation = (await view.replica.proposal(proposal))?.operations[index]
  if (operation === undefined || !('value' in operation)) throw missing('Object not found.')
  const { value } = operation
  const { sizeBytes } = value
  return { value, sizeBytes, events: await mentions(view, place) }
}

/**
 * The bytes of a version. What is in several blocks comes piece by piece, after all of them were looked
 * at once: then it is here as a whole, and no work for hours.
 * Throws NOT_HERE, BAD_BLOCK, TOO_LARGE, CANCELLED.
 */
export async function bytesOf(
  { files }: Pick<NodeContext, 'files'>,
  value: Value,
  options: AbortOptions,
): Promise<Uint8Array | AsyncIterable<Uint8Array>> {
  if (value.content === undefined) return 'inline' in value && value.inline ? value.inline : EMPTY
  const { content, sizeBytes } = value
  if (sizeBytes > CONTENT_BYTES_MAX) throw tooLarge(`${sizeBytes} bytes are too many`)
  const read = () => files.read(CID.decode(content), { ...options, lengthBytes: sizeBytes })
  let first: Uint8Array = EMPTY
  let pieces = 0
  for await (const piece of read()) {
    if (++pieces > PIECES_MAX) throw tooLarge(`more than ${PIECES_MAX} pieces are too many`)
    if (pieces === 1) first = piece
  }
  return pieces > 1 ? read() : first
}

function tooLarge(what: string): GonkError {
  return new GonkError('TOO_LARGE', `${what} for one JSON document`, {
    hint: 'read it through the native API',
  })
}

const EMPTY = new Uint8Array(0)

/** The events about a version, in the order of the line. */
async function mentions({ log }: View, place: Identifier): Promise<EventMention[]> {
  const found: EventMention[] = []
  for (const seq of await log.links(place)) {
    const row = await log.event(seq)
    if (row === undefined) continue
    const { uuid, type } = row.event as { uuid: string; type: string }
    const operation = row.operation && (await log.operation(row.operation))
    found.push({ uuid, type, review: reviewWord(operation) })
  }
  return found
}

const reviewWord = (row: GonkOperationRow | undefined): EventMention['review'] =>
  row === undefined ? null : REVIEW_WORDS[row.status]

export async function annotationsOf({ log }: View, place: Identifier): Promise<Summary[]> {
  const uuids = await log.annotationsOf(place)
  return Promise.all(uuids.map((uuid) => summaryOf(log, uuid)))
}
