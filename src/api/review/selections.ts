// Frozen selections: what passed a filter at one moment, to be decided as one later. Kept in memory by
// the dataset for a while; what arrives or changes meanwhile is never part of one.
import { hexOf, type EventId, type PublicKey } from '../../core/ids.ts'
import { GonkError } from '../../core/errors.ts'
import type { ReviewItem } from '../../core/event.ts'
import type { AbortOptions } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import { runsUnion } from '../../replica/runs.ts'
import type { Selection, SelectionRequest } from '../../contract/api.ts'
import type { NodeContext } from '../context.ts'
import { arrivalsUntilNow, walk } from './queue-walk.ts'
import { countOf, type Run } from './review-batch.ts'
import { parseItems } from './review-queue.ts'
import { timeText } from '../text.ts'

/** Operations of one selection, and of all that one call decides. */
export const OPERATIONS_AT_ONCE = 100_000
/** Of one key in one dataset; the oldest goes. */
const SELECTIONS_MAX = 16
const LIFETIME_MS = 15 * 60_000

interface Frozen {
  readonly id: string
  readonly owner: PublicKey
  readonly items: readonly ReviewItem[]
  readonly endsAtMs: number
}

type Needs = Pick<NodeContext, 'signer' | 'clock' | 'random'>
type RunsOf = Map<EventId, Run[]>

/** They end with the replica: a dataset that is closed has none. */
const selections = new WeakMap<Replica, Frozen[]>()

/**
 * Freezes what passes the filter, with what is added and without what is dropped.
 * Throws USAGE, NOT_FOUND, AMBIGUOUS, CANCELLED, and TOO_LARGE for more than 100,000 operations.
 */
export async function select(
  context: Needs,
  replica: Replica,
  { filter, asOf, add = [], drop = [] }: SelectionRequest,
  { signal }: AbortOptions = {},
): Promise<Selection> {
  const { publicKey } = context.signer
  const now = await arrivalsUntilNow(replica)
  const runs: RunsOf = new Map()
  let count = 0
  const request = { filter, publicKey, asOf: asOf ?? now, signal }
  for await (const { id, matches } of walk(replica, request)) {
    if (matches.length === 0) continue
    const found = matches.map(({ from, to }): Run => [from, to])
    runs.set(id, found)
    if ((count += countOf(found)) > OPERATIONS_AT_ONCE) throw tooMany()
  }
  for (const [id, more] of await named(replica, add, signal)) {
    runs.set(id, [...runsUnion([[...(runs.get(id) ?? [])], more])])
  }
  for (const [id, less] of await named(replica, drop, signal)) {
    runs.set(
      id,
      (runs.get(id) ?? []).flatMap((run) => cut(run, less)),
    )
  }
  const items = [...runs].filter(([, list]) => list.length > 0)
  count = items.reduce((sum, [, list]) => sum + countOf(list), 0)
  if (count > OPERATIONS_AT_ONCE) throw tooMany()
  const frozen = {
    id: hexOf(context.random.bytes(16)),
    owner: publicKey,
    items: items.map(([proposal, ranges]): ReviewItem => ({ proposal, ranges })),
    endsAtMs: context.clock.nowMs() + LIFETIME_MS,
  }
  keep(replica, frozen, context.clock.nowMs())
  return { id: frozen.id, count, expiresAt: timeText(frozen.endsAtMs) }
}

export function tooMany(): GonkError {
  return new GonkError('TOO_LARGE', `more than ${OPERATIONS_AT_ONCE} operations at once`, {
    hint: 'narrow the filter, or name fewer items',
  })
}

function keep(replica: Replica, frozen: Frozen, nowMs: number): void {
  const live = (selections.get(replica) ?? []).filter(({ endsAtMs }) => endsAtMs > nowMs)
  const own = live.filter(({ owner }) => owner === frozen.owner)
  const isOld = new Set(own.slice(0, Math.max(0, own.length + 1 - SELECTIONS_MAX)))
  selections.set(replica, [...live.filter((one) => !isOld.has(one)), frozen])
}

/** The items of a selection of whoever asks. Throws NOT_FOUND, also once it has expired. */
export function selectedItems(
  context: Pick<NodeContext, 'signer' | 'clock'>,
  replica: Replica,
  id: string,
): readonly ReviewItem[] {
  const { publicKey } = context.signer
  const frozen = selections.get(replica)?.find((one) => one.id === id && one.owner === publicKey)
  if (frozen !== undefined && frozen.endsAtMs > context.clock.nowMs()) return frozen.items
  throw new GonkError('NOT_FOUND', `there is no selection ${id} any more`, {
    hint: 'a selection is kept for 15 minutes: select again and look at what it holds now',
  })
}

async function named(
  replica: Replica,
  texts: readonly string[],
  signal: AbortSignal | undefined,
): Promise<RunsOf> {
  const items = await parseItems(replica, texts, { signal })
  const rows = await replica.log.proposals(items.map(({ proposal }) => proposal))
  const runs: RunsOf = new Map()
  for (const [i, { proposal, ranges }] of items.entries()) {
    runs.set(proposal, [...(ranges ?? [[0, (rows[i]?.operations ?? 1) - 1] as Run])])
  }
  return runs
}

/** What is left of a run without others, which are ascending and disjoint. */
function cut([from, to]: Run, without: readonly Run[]): Run[] {
  const left: Run[] = []
  let start = from
  for (const [a, b] of without) {
    if (b < start || a > to) continue
    if (a > start) left.push([start, a - 1])
    start = b + 1
  }
  if (start <= to) left.push([start, to])
  return left
}
