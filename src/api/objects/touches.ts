// Operations on one object, whatever strangers propose: all of them, or where these are many the newest,
// and always those by whoever may speak for the object.
import type { EventId, ObjectId } from '../../core/ids.ts'
import type { TouchRow } from '../../log/history-index.ts'
import type { ProposalRow } from '../../log/rows.ts'
import type { Replica } from '../../replica/replica.ts'
import { type ArrivalList, keysThatCount, sharedArrivals, signedBy } from './arrivals.ts'

export interface Touch extends TouchRow {
  /**
   * It is accepted, or was proposed on this node, by an owner, or by whoever created the object. Anybody
   * may propose versions of what is another's, and must not speak for them.
   */
  readonly stands: boolean
  /** Creates and updates that stand count from 0, in the order of their arrival here. */
  readonly number?: number
}

export interface TouchLimits {
  /** Operations that are all read. */
  readonly all: number
  /** Where there are more: how many of the newest are. */
  readonly newest: number
  /** And places looked at for what each key that counts proposed; what comes after has no number. */
  readonly steps: number
}

const LIMITS: TouchLimits = { all: 2_000, newest: 1_000, steps: 10_000 }

/** In the order of arrival; the first need not be the creation. */
export async function touchesOf(
  replica: Replica,
  object: ObjectId,
  limits: TouchLimits = LIMITS,
): Promise<Touch[]> {
  const { history } = replica.log
  const rows = await listOf(history.operationsOf(object, { limit: limits.all + 1 }))
  if (rows.length <= limits.all) return numbered(await judged(replica, rows))
  const newest = history.operationsOf(object, { reverse: true, limit: limits.newest })
  const found = [...rows, ...(await listOf(newest)), ...(await acceptedOf(replica, object))]
  const { rows: spoken, end } = await spokenFor(replica, object, found, limits)
  const all = await judged(replica, inOrder([...found, ...spoken]))
  const newestFrom = all.length - limits.newest
  return numbered(
    all.filter(({ stands }, i) => stands || i >= newestFrom),
    end,
  )
}

const isCreation = ({ op }: TouchRow): boolean => op === 'create'
const compare = (a: TouchRow, b: TouchRow): number => a.arrival - b.arrival || a.index - b.index

function inOrder(rows: readonly TouchRow[]): TouchRow[] {
  const sorted = rows.toSorted(compare)
  return sorted.filter((row, i) => i === 0 || compare(row, sorted[i - 1] as TouchRow) !== 0)
}

async function acceptedOf({ log }: Replica, object: ObjectId): Promise<TouchRow[]> {
  const [versions = []] = await log.versions([object])
  const rows = await log.proposals(versions.map(({ id }) => id.proposal))
  return versions.flatMap(({ id: { proposal, index }, op }, i) => {
    const row = rows[i]
    return row === undefined ? [] : [{ arrival: row.arrival, proposal, index, op }]
  })
}

/**
 * Operations on the object in proposals by the keys that count. The work grows with what these keys
 * have signed, not with what others have.
 * @returns also where looking for more of them ended.
 */
async function spokenFor(
  replica: Replica,
  object: ObjectId,
  found: readonly TouchRow[],
  { steps }: TouchLimits,
): Promise<{ rows: TouchRow[]; end: number }> {
  const { history } = replica.log
  const made = found.find(isCreation)
  const [creation] = made ? await replica.log.proposals([made.proposal]) : []
  const keys = await keysThatCount(replica)
  if (creation) keys.add(creation.author)
  const touched: ArrivalList = async (from) => {
    for await (const row of history.operationsOf(object, { from, limit: 1 })) return row.arrival
    return undefined
  }
  const rows: TouchRow[] = []
  let end = Number.POSITIVE_INFINITY
  for (const key of keys) {
    const { arrivals, next } = await sharedArrivals(touched, signedBy(replica, key), steps)
    if (next !== undefined) end = Math.min(end, next)
    for (const arrival of arrivals) {
      for await (const row of history.operationsOf(object, { from: arrival })) {
        if (row.arrival !== arrival) break
        rows.push(row)
      }
    }
  }
  return { rows, end }
}

type Judged = TouchRow & { readonly stands: boolean }

/** @param rows in order, the creation among them if it is here. */
async function judged(replica: Replica, rows: readonly TouchRow[]): Promise<Judged[]> {
  const ids = [...new Set(rows.map(({ proposal }) => proposal))]
  const found = await replica.log.proposals(ids)
  const proposals = new Map<EventId, ProposalRow | undefined>(ids.map((id, i) => [id, found[i]]))
  const made = rows.find(isCreation)
  const creator = made && proposals.get(made.proposal)?.author
  return rows.map((row) => {
    const proposal = proposals.get(row.proposal)
    if (proposal === undefined) return { ...row, stands: false }
    const { author, own, decisions } = proposal
    const speaks = own || author === creator || replica.tenureOf(author) !== undefined
    const isAccepted = decisions.some(
      ({ from, to, status }) => status === 'accepted' && from <= row.index && row.index <= to,
    )
    return { ...row, stands: speaks || isAccepted }
  })
}

function numbered(rows: readonly Judged[], end = Number.POSITIVE_INFINITY): Touch[] {
  let number = 0
  return rows.map((row) => {
    const counts = row.stands && (isCreation(row) || row.op === 'update') && row.arrival < end
    return counts ? { ...row, number: number++ } : row
  })
}

async function listOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}
