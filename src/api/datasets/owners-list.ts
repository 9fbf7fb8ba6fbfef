// Who may approve, in rank order.
import { compareRanks } from '../../core/accept-date.ts'
import { type EventId, founderIndexOf, type PublicKey } from '../../core/ids.ts'
import type { Tenure } from '../../core/state.ts'
import type { DatasetLog } from '../../log/dataset-log.ts'
import type { Replica } from '../../replica/replica.ts'
import type { NodeContext } from '../context.ts'
import { userOf } from '../people.ts'
import { readEvents } from '../resolve.ts'
import { timeText } from '../text.ts'
import type { OwnerInfo } from '../../contract/api.ts'

/** Keys that were seen to sign, and how far the log was read for them. */
interface SeenSigners {
  /** Arrival number of the first event not read. */
  readonly upTo: number
  /** The keys that were looked for. */
  readonly watched: readonly string[]
  readonly confirmed: readonly string[]
}

const META = 'signers'
const ROWS_PER_READ = 500

/** Live owners, the most senior first; each key once, with its most senior tenure. Ranks count from 1. */
export async function listOwners(
  context: Pick<NodeContext, 'users' | 'me'>,
  replica: Replica,
): Promise<OwnerInfo[]> {
  const { log } = replica
  const live = replica.tenures.filter((tenure) => tenure.live).toSorted(compareRanks)
  const tenures = live.filter(({ key }, i) => live.findIndex((other) => other.key === key) === i)
  // A founder's tenure began with the genesis, whose id is the dataset's.
  const events = await readEvents(log, tenures.map(beginOf(log)))
  const confirmed = await confirmedKeys(
    log,
    tenures.map(({ key }) => key),
  )
  return tenures.map(({ key }, i) => {
    const event = events[i]
    const add = event?.family === 'owner' && event.body.kind === 'add' ? event.body : undefined
    const user = userOf(context, key)
    return {
      key,
      rank: i + 1,
      since: timeText(event?.claimedAtMs ?? 0),
      ...(add?.name !== undefined && { name: add.name }),
      ...(user !== undefined && { user }),
      confirmed: confirmed.has(key),
    }
  })
}

const beginOf = (log: DatasetLog) => (tenure: Tenure) =>
  founderIndexOf(tenure.id) === undefined ? (tenure.id as string as EventId) : log.id

/**
 * Which of the keys have signed something in this dataset. What was read is remembered: each call
 * reads only what arrived since the last one, unless a key is asked about for the first time.
 */
async function confirmedKeys(log: DatasetLog, keys: readonly PublicKey[]): Promise<Set<string>> {
  const before = await log.meta<SeenSigners>(META)
  const confirmed = new Set(before?.confirmed)
  const missing = new Set<string>(keys.filter((key) => !confirmed.has(key)))
  if (missing.size === 0) return confirmed
  const isWatched = [...missing].every((key) => before?.watched.includes(key))
  const from = isWatched ? (before?.upTo ?? 0) : 0
  let upTo = from
  let batch: EventId[] = []
  const readBatch = async () => {
    const [headers, proposals] = await Promise.all([log.headers(batch), log.proposals(batch)])
    for (const row of [...headers, ...proposals]) {
      if (row !== undefined && missing.delete(row.author)) confirmed.add(row.author)
    }
    batch = []
  }
  for await (const [arrival, id] of log.arrivals(from)) {
    upTo = arrival + 1
    batch.push(id)
    if (batch.length === ROWS_PER_READ) await readBatch()
    if (missing.size === 0) break
  }
  await readBatch()
  if (upTo > from || !isWatched) {
    const seen: SeenSigners = { upTo, watched: keys, confirmed: [...confirmed] }
    await log.commit([log.putMeta(META, seen)])
  }
  return confirmed
}
