// Bytes → events that are well formed, of this dataset, new, and signed. Cheapest check first;
// nothing here is stored.
import { isRejection, type Rejection } from '../core/errors.ts'
import { decodeEvent, signatureOf } from '../core/event-codec.ts'
import type { Event } from '../core/event.ts'
import { type DatasetId, type EventId, eventIdOfBlock } from '../core/ids.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { Crypto } from '../ports.ts'
import { putBack } from './repair-blocks.ts'

export interface Refused extends Rejection {
  readonly event: EventId
}

export interface Intake {
  readonly events: readonly Event[]
  readonly refused: readonly Refused[]
  readonly known: number
}

export interface IntakeNeeds {
  readonly log: DatasetLog
  readonly crypto: Crypto
}

const nobody: ReadonlySet<EventId> = new Set()

/** What may be turned away before it costs anything: see replica/pool.ts. */
export interface Door {
  readonly isNews: boolean
  /** Proposals among these that are not taken in. */
  crowded(events: readonly Event[]): Promise<ReadonlySet<EventId>>
}

export async function takeIn(
  { log, crypto }: IntakeNeeds,
  blocks: readonly Uint8Array[],
  dataset: DatasetId,
  door?: Door,
): Promise<Intake> {
  const refused: Refused[] = []
  const candidates = new Map<EventId, Event>()
  for (const bytes of blocks) {
    const block = ownBytes(bytes)
    const event = decodeEvent(block, crypto.sha256)
    if (isRejection(event)) {
      refused.push({ ...event, event: eventIdOfBlock(block, crypto.sha256) })
    } else if (datasetOf(event) !== dataset) {
      refused.push({ refused: 'wrong-dataset', what: 'of another dataset', event: event.id })
    } else {
      candidates.set(event.id, event)
    }
  }
  const turnedAway = (door?.isNews && (await door.crowded([...candidates.values()]))) || nobody
  const ids = [...candidates.keys()].filter((id) => !turnedAway.has(id))
  const known = await log.hasMany(ids)
  const unknown = ids.filter((_, i) => known[i] !== true).map((id) => candidates.get(id) as Event)
  const back = await putBack(log, unknown)
  const lasting = unknown.filter(({ id }) => !back.has(id))
  const crowded = door?.isNews === false ? await door.crowded(lasting) : turnedAway
  const fresh = lasting.filter(({ id }) => !crowded.has(id))
  const verdicts = await Promise.all(
    fresh.map((event) => {
      const { key, message, signature } = signatureOf(event, crypto.sha256)
      return crypto.verify(key, message, signature)
    }),
  )
  const events = fresh.filter((_, i) => verdicts[i] === true)
  for (const [i, event] of fresh.entries()) {
    if (verdicts[i] === true) continue
    refused.push({ refused: 'bad-signature', what: `by ${event.author}`, event: event.id })
  }
  for (const event of crowded) {
    refused.push({ refused: 'over-quota', what: 'no room for it, or one of too many', event })
  }
  return { events, refused, known: ids.length - lasting.length }
}

/** A part of a message keeps all of it in memory, for as long as the event is. */
function ownBytes(block: Uint8Array): Uint8Array {
  // A Buffer's own `slice` copies nothing.
  const isPart = block.byteLength < block.buffer.byteLength
  return isPart ? Uint8Array.prototype.slice.call(block) : block
}

function datasetOf(event: Event): DatasetId {
  return event.family === 'genesis' ? event.id : event.dataset
}
