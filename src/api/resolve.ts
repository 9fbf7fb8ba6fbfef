// From the ids people type to the ids the log is keyed by. Events are hex inside and base32 CIDs
// outside, so a prefix of the text ends anywhere inside a hex digit.
import { decodeEvent } from '../core/event-codec.ts'
import { GonkError, isRejection } from '../core/errors.ts'
import type { Event, Proposal } from '../core/event.ts'
import { CID_BYTES, cidBytesOf, type EventId, eventIdOfText, textOfEventId } from '../core/ids.ts'
import { sha256 } from '../crypto.ts'
import type { DatasetLog } from '../log/dataset-log.ts'

type EventTable = 'headers' | 'proposals'

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'
const DIGEST_BITS = 256
const CANDIDATES_SHOWN = 3

const bitsOf = (value: number, count: number): string => value.toString(2).padStart(count, '0')

/** The bits that the CIDs of all events begin with: version, codec, hash and its length. */
const CID_HEADER = [...cidBytesOf('00'.repeat(32) as EventId).subarray(0, CID_BYTES - 32)]
  .map((byte) => bitsOf(byte, 8))
  .join('')

/**
 * Hex prefixes that together cover the digests of exactly those events whose text begins with
 * `text`: at most 8, none when no event's text does.
 */
export function digestPrefixesOf(text: string): string[] {
  if (!text.startsWith('b')) return []
  const values = [...text.slice(1)].map((character) => BASE32.indexOf(character))
  if (values.includes(-1)) return []
  const bits = values.map((value) => bitsOf(value, 5)).join('')
  if (bits.length <= CID_HEADER.length) return CID_HEADER.startsWith(bits) ? [''] : []
  // The last character of a whole CID carries two bits of padding, which are zero.
  const padding = bits.slice(CID_HEADER.length + DIGEST_BITS)
  if (!bits.startsWith(CID_HEADER) || !['', '00'].includes(padding)) return []
  const digits =
    bits.slice(CID_HEADER.length, CID_HEADER.length + DIGEST_BITS).match(/.{1,4}/g) ?? []
  const last = digits.pop() as string
  const whole = digits.map((digit) => Number.parseInt(digit, 2).toString(16)).join('')
  return [...'0123456789abcdef']
    .filter((_, value) => bitsOf(value, 4).startsWith(last))
    .map((digit) => whole + digit)
}

/** Up to `limit` events of a table whose text begins with `ref`, or that `ref` is in another base. */
export async function eventsMatching(
  log: DatasetLog,
  table: EventTable,
  ref: string,
  limit: number,
): Promise<EventId[]> {
  const id = eventIdOfText(ref)
  const found: EventId[] = []
  for (const prefix of id === undefined ? digestPrefixesOf(ref) : [id]) {
    if (found.length >= limit) break
    found.push(...(await log.eventsByPrefix(table, prefix, limit - found.length)))
  }
  return found
}

/**
 * The event whose id is `ref` or begins with it.
 * @param tables where to look: owner events, proposals, or both. Throws NOT_FOUND, AMBIGUOUS.
 */
export async function resolveEvent(
  log: DatasetLog,
  ref: string,
  tables: readonly EventTable[] = ['headers', 'proposals'],
): Promise<EventId> {
  const found: EventId[] = []
  for (const table of tables) {
    found.push(...(await eventsMatching(log, table, ref, CANDIDATES_SHOWN)))
  }
  const what = tables.includes('headers') ? 'event' : 'proposal'
  return onlyOne(found, ref, what, textOfEventId)
}

/** The command that lists what may be named. */
const listedBy: Readonly<Record<string, string>> = {
  event: 'log DATASET',
  'event or object': 'log DATASET',
  proposal: 'review list DATASET --status all',
  object: 'ls DATASET',
  schema: 'schema list DATASET',
  annotation: 'annotation list DATASET',
  checkpoint: 'checkpoint list DATASET',
}

/** Throws NOT_FOUND when there is none, AMBIGUOUS naming some when there are several. */
export function onlyOne<T>(
  found: readonly T[],
  ref: string,
  what: string,
  textOf: (item: T) => string,
): T {
  const [only] = found
  if (only === undefined) {
    const list = listedBy[what]
    const hint = list && `see \`gonk-node ${list}\`, or give more of the id`
    throw new GonkError('NOT_FOUND', `no ${what} "${ref}" here`, hint === undefined ? {} : { hint })
  }
  if (found.length === 1) return only
  const some = found.slice(0, CANDIDATES_SHOWN).map(textOf).join(', ')
  throw new GonkError('AMBIGUOUS', `"${ref}" could be ${some}`)
}

/** Events as they are stored; undefined for what is not here or cannot be read. */
export async function readEvents(
  log: DatasetLog,
  ids: readonly EventId[],
): Promise<(Event | undefined)[]> {
  const blocks = await log.blocks(ids)
  return blocks.map((block) => {
    const event = block && decodeEvent(block, sha256)
    return event === undefined || isRejection(event) ? undefined : event
  })
}

/** Throws NOT_FOUND. */
export async function readEvent(log: DatasetLog, id: EventId): Promise<Event> {
  const [event] = await readEvents(log, [id])
  if (event === undefined) throw new GonkError('NOT_FOUND', `no event ${textOfEventId(id)} here`)
  return event
}

export async function readProposals(
  log: DatasetLog,
  ids: readonly EventId[],
): Promise<(Proposal | undefined)[]> {
  const events = await readEvents(log, ids)
  return events.map((event) => (event?.family === 'proposal' ? event : undefined))
}
