// Bytes → events that are well formed, of this dataset, new, and signed. Cheapest check first;
// nothing here is stored.
import { isRejection, type Rejection } from '../core/errors.ts'
import { decodeEvent, signatureOf } from '../core/event-codec.ts'
import type { Event } from '../core/event.ts'
import { type DatasetId, type EventId, eventIdOfBlock } from '../core/ids.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { Crypto } from '../ports.ts'

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

export async function takeIn(
  { log, crypto }: IntakeNeeds,
  blocks: readonly Uint8Array[],
  dataset: DatasetId,
): Promise<Intake> {
  const refused: Refused[] = []
  const candidates = new Map<EventId, Event>()
  for (const block of blocks) {
    const event = decodeEvent(block, crypto.sha256)
    if (isRejection(event)) {
      refused.push({ ...event, event: eventIdOfBlock(block, crypto.sha256) })
    } else if (datasetOf(event) !== dataset) {
      refused.push({ refused: 'wrong-dataset', what: 'of another dataset', event: event.id })
    } else {
      candidates.set(event.id, event)
    }
  }
  const ids = [...candidates.keys()]
  const known = await log.hasMany(ids)
  const fresh = ids.filter((_, i) => known[i] !== true).map((id) => candidates.get(id) as Event)
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
  return { events, refused, known: ids.length - fresh.length }
}

function datasetOf(event: Event): DatasetId {
  return event.family === 'genesis' ? event.id : event.dataset
}
