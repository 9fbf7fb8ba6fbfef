// Why reviewers decided as they did, beside what they decided.
import { eventIdOfText, textOfEventId } from '../../core/ids.ts'
import type { DatasetLog } from '../../log/dataset-log.ts'
import { readEvents } from '../resolve.ts'

/** Of one answer: the latest reviews whose reasons are told, and how many are read at once. */
const REVIEWS_MAX = 200
const REVIEWS_PER_READ = 16

interface Decided {
  readonly decidedBy?: string
}

/** The same with the reason that each review gives, where there is one. */
export async function withReasons<Item extends Decided>(
  log: DatasetLog,
  items: readonly Item[],
): Promise<(Item & { reason?: string })[]> {
  const reviews = [...new Set(items.flatMap(({ decidedBy }) => decidedBy ?? []))]
  const reasons = await reasonsOf(log, reviews.slice(-REVIEWS_MAX))
  return items.map((item) => {
    const reason = reasons.get(item.decidedBy ?? '')
    return reason === undefined ? item : { ...item, reason }
  })
}

async function reasonsOf(
  log: DatasetLog,
  reviews: readonly string[],
): Promise<Map<string, string>> {
  const reasons = new Map<string, string>()
  for (let at = 0; at < reviews.length; at += REVIEWS_PER_READ) {
    const some = reviews.slice(at, at + REVIEWS_PER_READ)
    const ids = some.flatMap((review) => eventIdOfText(review) ?? [])
    for (const event of await readEvents(log, ids)) {
      if (event?.family !== 'owner' || event.body.kind !== 'review') continue
      const { reason } = event.body
      if (reason !== undefined) reasons.set(textOfEventId(event.id), reason)
    }
  }
  return reasons
}
