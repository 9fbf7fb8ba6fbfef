// A checkpoint before it is final: what it covers beyond the chain, whether that is here, and who lives in
// its state.
import type { CheckpointBody } from '../core/event.ts'
import type { EventId, PublicKey, Sha256 } from '../core/ids.ts'
import type { Rules } from '../core/rules.ts'
import type { Tenure } from '../core/state.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { HeaderRow, Runs } from '../log/rows.ts'
import type { Authority } from './authority.ts'
import { namedBy } from './read-ahead.ts'
import { hasRun, runsUnion, runsWith } from './runs.ts'
import type { Sealed } from './sealed.ts'
import type { Delta } from './sealed-feed.ts'
import { eventOf } from './verdicts.ts'

export interface CandidateNeeds {
  readonly log: DatasetLog
  readonly sealed: Sealed
  readonly authority: Authority
  readonly rules: Rules
  readonly sha256: Sha256
}

/** A place on the chain: after its first `count` checkpoints. */
export interface Place {
  readonly count: number
  /** What the last of them says. */
  readonly body: CheckpointBody | undefined
  /** Tenures that live in its state, and their keys. */
  readonly owners: readonly Tenure[]
  readonly live: ReadonlySet<PublicKey>
}

export type Covered =
  /** It cannot follow there, whatever arrives. */
  | { readonly is: 'unfit' }
  /** Heads or proposals that are not here. */
  | { readonly is: 'incomplete'; readonly missing: ReadonlySet<EventId> }
  | { readonly is: 'complete'; readonly delta: Delta }

const HEADERS_PER_READ = 1_000

/** What a checkpoint adds at its place. Work: that of what it adds. */
export async function coveredBy(
  needs: CandidateNeeds,
  { height, heads, without }: Pick<CheckpointBody, 'height' | 'heads' | 'without'>,
  place: Place,
): Promise<Covered> {
  const { log, sealed } = needs
  if (height !== place.count + 1) return { is: 'unfit' }
  const rows = await log.headers(heads)
  const unknown = heads.filter((_, i) => rows[i] === undefined)
  if (unknown.length > 0) return { is: 'incomplete', missing: new Set(unknown) }
  const areSealed = await sealed.areSealed(without, place.count)
  if (without.includes(log.id) || areSealed.includes(true)) return { is: 'unfit' }
  const { fresh, reached } = await walkFrom(needs, heads, place.count)
  const last = sealed.links[place.count - 1]
  if (last?.heads.some((head) => !reached.has(head)) === true) return { is: 'unfit' }
  const left = new Set(without)
  const named = new Set<EventId>()
  for (const { id, kind } of fresh) {
    const event = kind === 'review' ? await eventOf(needs, id) : undefined
    if (event?.family === 'owner') for (const proposal of namedBy(event)) named.add(proposal)
  }
  for (const id of left) named.delete(id)
  const missing = await notHere(log, [...named])
  if (missing.length > 0) return { is: 'incomplete', missing: new Set(missing) }
  const owner = fresh.map(({ id }) => id)
  return { is: 'complete', delta: { owner, proposals: named, without: left } }
}

export interface Walked {
  /** Owner events that are not sealed at that place, and the genesis: parents first. */
  readonly fresh: readonly { readonly id: EventId; readonly kind: string }[]
  /** Sealed events that they build on, or where it began. */
  readonly reached: ReadonlySet<EventId>
  /** All that they build on. */
  readonly builtOn: ReadonlySet<EventId>
}

/** Down from `heads`, which are here, to what the first `count` checkpoints cover. */
export async function walkFrom(
  { log, sealed }: Pick<CandidateNeeds, 'log' | 'sealed'>,
  heads: readonly EventId[],
  count: number,
): Promise<Walked> {
  const fresh: { id: EventId; kind: string; depth: number }[] = []
  const reached = new Set<EventId>()
  const builtOn = new Set<EventId>()
  const seen = new Set(heads)
  const next = [...seen]
  while (next.length > 0) {
    const ids = next.splice(-HEADERS_PER_READ)
    const [rows, areSealed] = await Promise.all([log.headers(ids), sealed.areSealed(ids, count)])
    for (const [i, row] of rows.entries()) {
      if (row === undefined) continue
      const { id, kind, depth, parents } = row
      if (areSealed[i] === true) {
        reached.add(id)
        continue
      }
      fresh.push({ id, kind, depth })
      for (const parent of parents) {
        builtOn.add(parent)
        if (seen.has(parent)) continue
        seen.add(parent)
        next.push(parent)
      }
    }
  }
  fresh.sort((a, b) => a.depth - b.depth || (a.id < b.id ? -1 : 1))
  return { fresh, reached, builtOn }
}

/** Which of the proposals are not in the log. */
export async function notHere(log: DatasetLog, proposals: readonly EventId[]): Promise<EventId[]> {
  const rows = await log.proposals(proposals)
  return proposals.filter((_, i) => rows[i] === undefined)
}

/** Ordinals of the operations that heads cover, as far as they are here. */
async function coveredOperations(
  { log, authority }: Pick<CandidateNeeds, 'log' | 'authority'>,
  heads: readonly EventId[],
): Promise<Runs> {
  let seen = runsUnion((await log.headers(heads)).flatMap((row) => (row ? [row.seen] : [])))
  for (const head of heads) {
    const ordinal = authority.ordinalOf(head)
    if (ordinal !== undefined) seen = runsWith(seen, ordinal)
  }
  return seen
}

/** Whether it adds an event that may change who lives. Known from its heads alone, which must be here. */
async function hasOperations(
  needs: CandidateNeeds,
  heads: readonly EventId[],
  count: number,
): Promise<boolean> {
  const seen = await coveredOperations(needs, heads)
  const operations = [...needs.authority.operations].filter((_, ordinal) => hasRun(seen, ordinal))
  return (await needs.sealed.areSealed(operations, count)).includes(false)
}

/**
 * Keys that live at the place and, whoever agrees with what heads cover, in the state of that: nobody who
 * could signed their removal. Known from the heads alone, which must be here.
 */
export async function stayingIn(
  needs: Pick<CandidateNeeds, 'log' | 'authority'>,
  heads: readonly EventId[],
  { owners }: Place,
): Promise<ReadonlySet<PublicKey>> {
  const seen = await coveredOperations(needs, heads)
  const stay = new Set<PublicKey>()
  for (const tenure of owners) {
    const removals = await needs.authority.removalsOf(tenure, seen)
    if (removals.length === 0) stay.add(tenure.key)
  }
  return stay
}

/** Keys that live in the state of a complete checkpoint. Work: that of all it covers, if owners change. */
export async function liveAfter(
  needs: CandidateNeeds,
  { heads }: Pick<CheckpointBody, 'heads'>,
  { count, live }: Place,
): Promise<ReadonlySet<PublicKey>> {
  const { log, sealed, authority, rules } = needs
  if (!(await hasOperations(needs, heads, count))) return live
  const { fresh } = await walkFrom(needs, heads, count)
  const headers: HeaderRow[] = []
  const add = async (ids: readonly EventId[]) => {
    for (const row of await log.headers(ids)) {
      if (row !== undefined && row.kind !== 'genesis') headers.push(row)
    }
  }
  for await (const ids of sealedOwnerEvents(sealed, count)) await add(ids)
  for (let from = 0; from < fresh.length; from += HEADERS_PER_READ) {
    await add(fresh.slice(from, from + HEADERS_PER_READ).map(({ id }) => id))
  }
  const frozen = await sealed.sourceOf(count).ofEvents(headers.map(({ id }) => id))
  const { tenures } = rules.authority(authority.founding, headers, log.id, frozen)
  return new Set(tenures.filter((tenure) => tenure.live).map(({ key }) => key))
}

async function* sealedOwnerEvents(sealed: Sealed, count: number): AsyncGenerator<EventId[]> {
  if (count === 0) return
  let ids: EventId[] = []
  const some = async () => {
    const batch = ids.splice(0)
    const areSealed = await sealed.areSealed(batch, count)
    return batch.filter((_, i) => areSealed[i] === true)
  }
  for await (const { id } of sealed.log.byDepth()) {
    ids.push(id)
    if (ids.length === HEADERS_PER_READ) yield await some()
  }
  yield await some()
}

/** Whether only votes are among them. */
export function areVotes(events: Walked['fresh']): boolean {
  return events.every(({ kind }) => kind === 'cp')
}
