// Proposals page by page, with what became of each and the reasons that reviewers gave.
import { GonkError } from '../../core/errors.ts'
import type { EventId, PublicKey } from '../../core/ids.ts'
import type { DatasetLog } from '../../log/dataset-log.ts'
import type { ProposalRow } from '../../log/rows.ts'
import type { Replica } from '../../replica/replica.ts'
import type { ProposalEntry, ProposalFilter, ProposalPage } from '../../contract/api.ts'
import type { NodeContext } from '../context.ts'
import { authorOf } from './queue-walk.ts'
import { readEvents, readProposals } from '../resolve.ts'
import { countsOf, entryOf } from './review-queue.ts'

const PAGE_PROPOSALS = 100
const PAGE_PROPOSALS_MAX = 1_000
/** After so many rows, or so many bytes of events, a page ends, full or not. */
const LOOKED_MAX = 5_000
const BYTES_MAX = 16 << 20
const ROWS_PER_READ = 200
/** Reviews of one proposal whose reasons are shown. */
const REASONS_MAX = 20

type Found = [id: EventId, row: ProposalRow]

/**
 * Oldest arrival first; all by default. `author`: `me`, a public key or its beginning. A page may be
 * short and have a `next` all the same. Throws USAGE.
 */
export async function listProposals(
  context: Pick<NodeContext, 'signer'>,
  replica: Replica,
  { after, limit = PAGE_PROPOSALS, status = 'all', author = '' }: ProposalFilter = {},
): Promise<ProposalPage> {
  const { log } = replica
  const begin = authorOf(author, context.signer.publicKey)
  const from = after === undefined ? 0 : arrivalOf(after)
  const size = Math.max(1, Math.min(limit, PAGE_PROPOSALS_MAX))
  const found: Found[] = []
  let looked = 0
  let bytes = 0
  let next: number | undefined
  for await (const [id, row] of rowsOf(log, await sourceOf(log, begin, status, from))) {
    if (found.length === size || looked === LOOKED_MAX || bytes >= BYTES_MAX) {
      next = row.arrival
      break
    }
    looked++
    if (!row.author.startsWith(begin)) continue
    if (status !== 'all' && countsOf(row)[status] === 0) continue
    found.push([id, row])
    bytes += row.sizeBytes
  }
  const proposals = await entriesOf(replica, found)
  return { proposals, ...(next !== undefined && { next: String(next) }) }
}

function arrivalOf(cursor: string): number {
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor)
  throw new GonkError('USAGE', 'this is not the cursor of a page', {
    hint: 'give `next` of the page before as `after`',
  })
}

/** Ids by arrival, owner events among them: the shortest list that has them all. */
async function sourceOf(
  log: DatasetLog,
  author: string,
  status: NonNullable<ProposalFilter['status']>,
  from: number,
): Promise<AsyncIterable<EventId>> {
  if (status === 'pending') return log.pending({ from })
  const authors: PublicKey[] = author === '' ? [] : await log.history.authorsByPrefix(author, 2)
  const [only] = authors
  if (author !== '' && only === undefined) return nothing()
  const isOne = only !== undefined && authors.length === 1
  return idsOf(isOne ? log.history.authoredBy(only, { from }) : log.arrivals(from))
}

async function* nothing(): AsyncIterable<EventId> {}

async function* idsOf(rows: AsyncIterable<[number, EventId]>): AsyncIterable<EventId> {
  for await (const [, id] of rows) yield id
}

async function* rowsOf(log: DatasetLog, ids: AsyncIterable<EventId>): AsyncIterable<Found> {
  let batch: EventId[] = []
  const read = async () => {
    const rows = await log.proposals(batch)
    const found = batch.flatMap((id, i): Found[] => (rows[i] ? [[id, rows[i]]] : []))
    batch = []
    return found
  }
  for await (const id of ids) {
    batch.push(id)
    if (batch.length === ROWS_PER_READ) yield* await read()
  }
  yield* await read()
}

async function entriesOf(replica: Replica, found: readonly Found[]): Promise<ProposalEntry[]> {
  const { log } = replica
  const entries: ProposalEntry[] = []
  for (const [id, row] of found) {
    const [proposal] = await readProposals(log, [id])
    if (proposal === undefined) continue
    const reasons = row.named ? await reasonsFor(log, id) : []
    entries.push({ ...(await entryOf(replica, proposal, row)), reasons })
  }
  return entries
}

/** Of reviews that count, in the order of their dates. */
async function reasonsFor(log: DatasetLog, id: EventId): Promise<ProposalEntry['reasons']> {
  const reviews = await log.reviewsOf(id)
  const areVoid = await log.areVoid(reviews.map(({ event }) => event))
  const valid = reviews
    .filter((_, i) => areVoid[i] !== true)
    .sort((a, b) => Buffer.compare(a.date, b.date))
    .slice(0, REASONS_MAX)
  const events = await readEvents(
    log,
    valid.map(({ event }) => event),
  )
  return events.flatMap((event) => {
    if (event?.family !== 'owner' || event.body.kind !== 'review') return []
    const { verdict, reason } = event.body
    return reason === undefined ? [] : [{ by: event.author, verdict, reason }]
  })
}
