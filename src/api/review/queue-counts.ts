// How much of the queue passes a filter, in groups. Exact as far as a bounded amount of work goes.
import type { Operation } from '../../core/event.ts'
import { type EventId, textOfEventId, type VersionKey, versionKey } from '../../core/ids.ts'
import type { AbortOptions } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import type { CountRequest, QueueCounts } from '../../contract/api.ts'
import { schemaValueOf } from '../annotations/conformity.ts'
import type { NodeContext } from '../context.ts'
import { arrivalsUntilNow, kindOf, type Looked, walk } from './queue-walk.ts'
import { countOf } from './review-batch.ts'
import { versionText } from '../text.ts'

/** Proposals that are looked at, events and bytes of them that are read, and groups, at most. */
const LOOKED_MAX = 200_000
const READ_MAX = 5_000
const READ_BYTES_MAX = 64 << 20
const GROUPS_MAX = 10_000
/** The largest ones are listed. */
const GROUPS_SHOWN = 200

type Group = NonNullable<CountRequest['group']>

/** `groups`: the largest first; by schema only annotations are grouped. Throws USAGE, CANCELLED. */
export async function queueCounts(
  context: Pick<NodeContext, 'signer'>,
  replica: Replica,
  { group, ...filter }: CountRequest = {},
  { signal }: AbortOptions = {},
): Promise<QueueCounts> {
  const { publicKey } = context.signer
  const asOf = await arrivalsUntilNow(replica)
  const counts = new Map<string, number>()
  let total = 0
  let looked = 0
  let read = 0
  let bytes = 0
  let exact = true
  const events = eventsFor(group)
  for await (const one of walk(replica, { filter, publicKey, asOf, events, signal })) {
    if (looked++ === LOOKED_MAX || read === READ_MAX || bytes >= READ_BYTES_MAX) {
      exact = false
      break
    }
    if (one.proposal !== undefined) {
      read++
      bytes += one.row.sizeBytes
    }
    const count = countOf(one.matches.map(({ from, to }) => [from, to]))
    total += count
    if (group === undefined || count === 0) continue
    for (const [key, more] of groupsOf(group, one, count)) {
      if (counts.size === GROUPS_MAX && !counts.has(key)) exact = false
      else counts.set(key, (counts.get(key) ?? 0) + more)
    }
  }
  const groups = group === 'schema' ? await byName(replica, counts) : counts
  const sorted = [...groups].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
  const shown = sorted.slice(0, GROUPS_SHOWN).map(([key, count]) => ({ key, count }))
  return { total, exact, groups: shown }
}

/** Only where the rows do not tell. */
function eventsFor(group: Group | undefined): (kind: Looked['kind']) => boolean {
  if (group === 'kind') return (kind) => kind === undefined
  if (group === 'schema') return (kind) => kind === undefined || kind === 'annotation'
  return () => false
}

function groupsOf(group: Group, looked: Looked, count: number): Iterable<[string, number]> {
  const { id, row, matches, kind, proposal } = looked
  if (group === 'proposal') return [[textOfEventId(id), count]]
  if (group === 'author') return [[row.author, count]]
  if (group === 'kind' && kind !== undefined) return [[kind, count]]
  const groups = new Map<string, number>()
  for (const { from, to } of matches) {
    for (const operation of proposal?.operations.slice(from, to + 1) ?? []) {
      const key = group === 'kind' ? kindOf(operation) : schemaOf(operation)
      if (key !== undefined) groups.set(key, (groups.get(key) ?? 0) + 1)
    }
  }
  return groups
}

function schemaOf(operation: Operation): VersionKey | undefined {
  const value = 'value' in operation ? operation.value : undefined
  return value?.type === 'annotation' ? versionKey(value.schema) : undefined
}

/** Versions of a schema together under its name; what is no schema here, by its version. */
async function byName(
  replica: Replica,
  counts: ReadonlyMap<string, number>,
): Promise<Map<string, number>> {
  const named = new Map<string, number>()
  let lookUps = 0
  for (const [key, count] of counts) {
    const [proposal = '', index] = key.split(':')
    const version = { proposal: proposal as EventId, index: Number(index) }
    const value = lookUps++ < GROUPS_SHOWN ? await schemaValueOf(replica, version) : undefined
    const name = value !== undefined && 'name' in value ? value.name : versionText(version)
    named.set(name, (named.get(name) ?? 0) + count)
  }
  return named
}
