// What waits and what was decided, operation by operation, page by page. A page is bound to the events
// that had arrived when the first one was read, so what comes later moves nothing.
import { GonkError } from '../../core/errors.ts'
import type { Operation } from '../../core/event.ts'
import type { Decision } from '../../core/state.ts'
import type { AbortOptions } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import type { QueuePage, QueueRequest } from '../../contract/api.ts'
import type { NodeContext } from '../context.ts'
import { type FoundOperation, queueItems } from './queue-item.ts'
import { arrivalsUntilNow, type Looked, type Place, walk } from './queue-walk.ts'
import { withReasons } from './reasons.ts'

const PAGE_ITEMS = 100
const PAGE_ITEMS_MAX = 200
/** After so many proposals, or so many bytes of them, a page ends, full or not. */
const LOOKED_MAX = 2_000
const LOOKED_BYTES_MAX = 16 << 20

/**
 * One page, oldest arrival first. It may be short, or empty, and have a `next` all the same.
 * Throws USAGE for a cursor or an author that is none, CANCELLED.
 */
export async function queue(
  context: NodeContext,
  replica: Replica,
  request: QueueRequest = {},
  { signal }: AbortOptions = {},
): Promise<QueuePage> {
  const { after, limit = PAGE_ITEMS, asOf: wanted, ...filter } = request
  const now = await arrivalsUntilNow(replica)
  const { asOf, ...from } =
    after === undefined ? { asOf: wanted ?? now, arrival: 0, index: 0 } : placeOf(after)
  const { publicKey } = context.signer
  const collected = await collect(
    replica,
    walk(replica, { filter, publicKey, asOf, from, events: () => true, signal }),
    Math.max(1, Math.min(limit, PAGE_ITEMS_MAX)),
  )
  return {
    items: await withReasons(replica.log, await queueItems(context, replica, collected.found)),
    asOf: Math.min(asOf, now),
    ...(collected.next && { next: cursorOf(asOf, collected.next) }),
  }
}

/** Up to `limit` operations, and where the next page begins; memory is that of the operations. */
async function collect(
  replica: Replica,
  proposals: AsyncIterable<Looked>,
  limit: number,
): Promise<{ found: FoundOperation[]; next?: Place }> {
  const found: FoundOperation[] = []
  let looked = 0
  let bytes = 0
  for await (const one of proposals) {
    const { row, matches } = one
    if (looked === LOOKED_MAX || bytes >= LOOKED_BYTES_MAX) {
      return { found, next: { arrival: row.arrival, index: 0 } }
    }
    looked++
    if (one.proposal !== undefined) bytes += row.sizeBytes
    for (const decision of matches) {
      for (let index = decision.from; index <= decision.to; index++) {
        if (found.length === limit) return { found, next: { arrival: row.arrival, index } }
        found.push(operationAt(one, index, decision))
      }
    }
  }
  return { found }
}

function operationAt({ proposal, row }: Looked, index: number, decision: Decision): FoundOperation {
  if (proposal === undefined) throw new Error('the walk reads events')
  const { id, author, name, claimedAtMs, operations } = proposal
  return {
    id: { proposal: id, index },
    of: row.operations,
    operation: operations[index] as Operation,
    author,
    claimedAtMs,
    decision,
    ...(name !== undefined && { authorName: name }),
  }
}

// ---------------------------------------------------------------- cursors

function cursorOf(asOf: number, { arrival, index }: Place): string {
  return [asOf, arrival, index].join('.')
}

/** Throws USAGE. */
function placeOf(cursor: string): Place & { asOf: number } {
  const numbers = cursor.split('.').map((text) => (/^\d{1,15}$/.test(text) ? Number(text) : NaN))
  const [asOf, arrival, index] = numbers
  if (numbers.length !== 3 || numbers.some(Number.isNaN)) {
    throw new GonkError('USAGE', 'this is not the cursor of a page', {
      hint: 'give `next` of the page before as `after`',
    })
  }
  return { asOf: asOf as number, arrival: arrival as number, index: index as number }
}
