// The slow, obvious reducer: the rules of docs/protocol.md as sentences over literal sets, from all
// events at once. It shares types and ids with src/core, and no rule.
import type { Event, FileValue, Genesis, Operation, OwnerEvent } from '../../src/core/event.ts'
import { type EventId, objectIdOf, type PublicKey, type VersionId } from '../../src/core/ids.ts'
import { sha256 } from '../makers.ts'
import type { ObjectText, StateText } from './state-text.ts'

interface Tenure {
  id: string
  key: PublicKey
  /** Undefined for founders. */
  add?: OwnerEvent
  rank: [depth: number, tie: string]
}

/** What a checkpoint has settled: F(B), the verdicts of its state, the leavings it ignores. */
export interface Settled {
  verdicts: Map<EventId, boolean>
  ignored: Set<EventId>
}

export interface LayerA {
  tenures: Tenure[]
  past(event: OwnerEvent): Set<EventId>
  valid(event: OwnerEvent): boolean
  exists(tenure: Tenure): boolean
  live(tenure: Tenure): boolean
  ignored: Set<EventId>
}

type Date = [depth: number, rank: [number, string], id: string]

function memo<K, V>(compute: (key: K) => V): (key: K) => V {
  const known = new Map<K, V>()
  return (key) => {
    if (known.has(key)) return known.get(key) as V
    const value = compute(key)
    known.set(key, value)
    return value
  }
}

function compare(a: unknown, b: unknown): number {
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < a.length; i++) {
      const difference = compare(a[i], b[i])
      if (difference !== 0) return difference
    }
    return 0
  }
  return (a as number) < (b as number) ? -1 : (a as number) > (b as number) ? 1 : 0
}

// ---------------------------------------------------------------- layer A

export function layerA(genesis: Genesis, held: OwnerEvent[], settled?: Settled): LayerA {
  const byId = new Map(held.map((event) => [event.id, event]))
  const past = memo((event: OwnerEvent): Set<EventId> => {
    const all = new Set<EventId>()
    for (const parent of event.parents) {
      const known = byId.get(parent)
      if (known === undefined) continue
      all.add(parent)
      for (const id of past(known)) all.add(id)
    }
    return all
  })
  const tenures: Tenure[] = genesis.founders.map((key, i) => ({
    id: `f${i}`,
    key,
    rank: [0, String(i).padStart(4, '0')],
  }))
  for (const add of held) {
    if (add.body.kind !== 'add') continue
    tenures.push({ id: add.id, key: add.body.key, add, rank: [add.depth, add.id] })
  }
  tenures.sort((a, b) => compare(a.rank, b.rank))
  const tenureOf = memo(
    (event: OwnerEvent) => tenures.find(({ id }) => id === event.tenure) as Tenure,
  )
  const senior = (a: Tenure, b: Tenure): boolean => {
    if (a.add === undefined && b.add === undefined) return compare(a.rank, b.rank) < 0
    if (a.add === undefined) return true
    if (b.add === undefined) return false
    return past(b.add).has(a.add.id)
  }
  const removes = held.filter((event) => event.body.kind === 'remove')
  const keyOf = (remove: OwnerEvent) =>
    remove.body.kind === 'remove' ? remove.body.key : undefined
  const isLeaving = (remove: OwnerEvent) => keyOf(remove) === tenureOf(remove).key

  const judged = (ignored: Set<EventId>): LayerA => {
    const valid = memo((event: OwnerEvent): boolean => {
      const fixed = settled?.verdicts.get(event.id)
      if (fixed !== undefined) return fixed
      return exists(tenureOf(event)) && !removes.some((remove) => voids(remove, event))
    })
    const exists = (tenure: Tenure) => tenure.add === undefined || valid(tenure.add)

    /** Whether it is meant for the tenure, if it is valid. */
    const meant = (remove: OwnerEvent, tenure: Tenure): boolean => {
      if (ignored.has(remove.id) || keyOf(remove) !== tenure.key) return false
      if (tenureOf(remove) === tenure) return true
      if (!senior(tenureOf(remove), tenure)) return false
      return tenure.add === undefined || !past(tenure.add).has(remove.id)
    }
    const voids = (remove: OwnerEvent, event: OwnerEvent): boolean => {
      if (!meant(remove, tenureOf(event))) return false
      if (settled?.verdicts.get(remove.id) === true) return true
      if (isLeaving(remove)) return past(event).has(remove.id) && valid(remove)
      return valid(remove) && !K(remove).has(event.id)
    }
    const K = memo((remove: OwnerEvent): Set<EventId> => {
      const known = new Set(past(remove))
      for (const event of held) {
        if (event.tenure !== remove.tenure || past(event).has(remove.id) || !valid(event)) continue
        known.add(event.id)
        for (const id of past(event)) known.add(id)
      }
      return known
    })
    const removed = (tenure: Tenure) =>
      removes.some((r) => tenureOf(r) !== tenure && !isLeaving(r) && meant(r, tenure) && valid(r))
    const left = (tenure: Tenure) =>
      removes.some((r) => isLeaving(r) && meant(r, tenure) && valid(r))
    const live = (tenure: Tenure) => exists(tenure) && !removed(tenure) && !left(tenure)
    if (tenures.some(live)) return { tenures, past, valid, exists, live, ignored }

    const leavings = removes.filter(
      (r) =>
        isLeaving(r) &&
        valid(r) &&
        !ignored.has(r.id) &&
        !removed(tenureOf(r)) &&
        !settled?.verdicts.has(r.id),
    )
    if (leavings.length === 0) throw new Error('nobody is left')
    leavings.sort((a, b) => compare(dateOf(a, tenureOf(a)), dateOf(b, tenureOf(b))))
    return judged(new Set([...ignored, (leavings.at(-1) as OwnerEvent).id]))
  }
  return judged(settled?.ignored ?? new Set())
}

function dateOf(event: OwnerEvent, tenure: Tenure): Date {
  return [event.depth, tenure.rank, event.id]
}

// ---------------------------------------------------------------- layers B and C

interface Accepted {
  key: string
  id: VersionId
  operation: Operation
  date: Date
  by: EventId
}

export function referenceState(genesis: Genesis, events: Event[]): StateText {
  const held = events.filter((event) => event.family === 'owner')
  const a = layerA(genesis, held)
  const date = (event: OwnerEvent): Date =>
    dateOf(event, a.tenures.find(({ id }) => id === event.tenure) as Tenure)

  const state: StateText = {
    owners: [],
    unborn: [],
    void: [],
    items: {},
    objects: {},
    names: {},
    tags: {},
  }
  state.owners = a.tenures.filter(a.live).map(({ id, key }) => `${id} ${key}`)
  state.unborn = a.tenures
    .filter((tenure) => !a.exists(tenure))
    .map(({ id }) => id)
    .sort()
  state.void = held
    .filter((event) => !a.valid(event))
    .map(({ id }) => id)
    .sort()

  const accepted = acceptedItems(genesis, events, a, date, state)
  const claims = objects(accepted, state)
  claims.sort((x, y) => compare([x.date, x.object], [y.date, y.object]))
  const owning: Claim[] = []
  for (const claim of claims) {
    if (owning.some((earlier) => conflict(earlier, claim))) continue
    owning.push(claim)
    state.names[`${claim.space} ${claim.name}`] = claim.object
  }
  const releases = held.filter((event) => event.body.kind === 'release' && a.valid(event))
  releases.sort((x, y) => compare(date(x), date(y)))
  for (const { body, id } of releases) {
    if (body.kind === 'release') state.tags[body.tag] ??= id
  }
  return state
}

function acceptedItems(
  genesis: Genesis,
  events: Event[],
  a: LayerA,
  date: (event: OwnerEvent) => Date,
  state: StateText,
): Accepted[] {
  const held = events.filter((event) => event.family === 'owner')
  /** Layer A of what one event has in its past, and nothing else. */
  const inThePastOf = memo((event: OwnerEvent) =>
    layerA(
      genesis,
      held.filter(({ id }) => a.past(event).has(id)),
    ),
  )
  const accepted: Accepted[] = []
  for (const proposal of events) {
    if (proposal.family !== 'proposal') continue
    proposal.operations.forEach((operation, index) => {
      const about = held.filter(
        ({ body }) =>
          body.kind === 'review' &&
          body.items.some(
            (item) =>
              item.proposal === proposal.id &&
              (item.ranges === undefined ||
                item.ranges.some(([from, to]) => from <= index && index <= to)),
          ),
      )
      const verdict = (event: OwnerEvent) =>
        event.body.kind === 'review' ? event.body.verdict : ''
      const accepts = about.filter((event) => verdict(event) === 'accept' && a.valid(event))
      const rejects = about.filter((event) => verdict(event) === 'reject')
      const unhindered = accepts.filter(
        (accept) =>
          !rejects.some(
            (reject) => a.past(accept).has(reject.id) && inThePastOf(accept).valid(reject),
          ),
      )
      const standing = rejects.filter(
        (reject) =>
          a.valid(reject) &&
          !accepts.some((x) => x.author === reject.author && a.past(x).has(reject.id)),
      )
      const byDate = (x: OwnerEvent, y: OwnerEvent) => compare(date(x), date(y))
      const first = unhindered.sort(byDate)[0]
      const firstReject = standing.sort(byDate)[0]
      const key = `${proposal.id}:${index}`
      if (first !== undefined) {
        const id = { proposal: proposal.id, index }
        accepted.push({ key, id, operation, date: date(first), by: first.id })
        state.items[key] = `accepted ${first.id}`
      } else if (firstReject !== undefined) state.items[key] = `rejected ${firstReject.id}`
      else state.items[key] = 'pending'
    })
  }
  return accepted
}

interface Claim {
  space: string
  name: string
  date: Date
  object: string
}

function conflict(a: Claim, b: Claim): boolean {
  if (a.space !== b.space) return false
  if (a.name === b.name) return true
  if (a.space !== 'file') return false
  return a.name.startsWith(`${b.name}/`) || b.name.startsWith(`${a.name}/`)
}

function objects(accepted: Accepted[], state: StateText): Claim[] {
  const objectOf = (v: Accepted) =>
    v.operation.op === 'create' ? objectIdOf(v.id, sha256) : v.operation.object
  const claims: Claim[] = []
  for (const object of new Set(accepted.map(objectOf))) {
    const versions = accepted.filter((v) => objectOf(v) === object)
    versions.sort((x, y) =>
      compare([x.date, x.id.proposal, x.id.index], [y.date, y.id.proposal, y.id.index]),
    )
    const byKey = new Map(versions.map((v) => [v.key, v]))
    const basesOf = (v: Accepted) =>
      'base' in v.operation
        ? v.operation.base.map(({ proposal, index }) => byKey.get(`${proposal}:${index}`))
        : []
    const active = memo((v: Accepted): boolean => {
      if (v.operation.op === 'create') return true
      const bases = basesOf(v)
      return bases.length > 0 && bases.every((base) => base !== undefined && active(base))
    })
    const actives = versions.filter(active)
    const heads = actives.filter((v) => !actives.some((next) => basesOf(next).includes(v)))
    const purged = versions.some((v) => v.operation.op === 'purge')
    const canonical = heads.find((v) => v.operation.op !== 'delete') ?? heads[0]
    const text: ObjectText = {
      versions: versions.map(({ key }) => key),
      active: actives.map(({ key }) => key),
      heads: canonical
        ? [canonical, ...heads.filter((v) => v !== canonical)].map((v) => v.key)
        : [],
      purged,
    }
    state.objects[object] = text
    if (purged || canonical === undefined || !('value' in canonical.operation)) continue
    const { value } = canonical.operation
    text.current = value.type === 'file' ? Buffer.from(value.content).toString('hex') : 'annotation'
    const carried = nameOf(canonical.operation)
    if (value.type !== 'file' || carried === undefined) continue
    const firsts = (v: Accepted): Accepted[] => {
      const before = basesOf(v).filter(
        (base) => base !== undefined && nameOf(base.operation) === carried,
      )
      return before.length === 0 ? [v] : before.flatMap((base) => firsts(base as Accepted))
    }
    const first = firsts(canonical).sort((x, y) => compare(x.date, y.date))[0] as Accepted
    text.claim = `${carried} ${first.by}`
    claims.push({ space: spaceOf(value), name: value.name, date: first.date, object })
  }
  return claims
}

function spaceOf(value: FileValue): string {
  return value.mediaType === 'application/schema+json' ? 'schema' : 'file'
}

function nameOf(operation: Operation): string | undefined {
  if (!('value' in operation) || operation.value.type !== 'file') return undefined
  return `${spaceOf(operation.value)} ${operation.value.name}`
}
