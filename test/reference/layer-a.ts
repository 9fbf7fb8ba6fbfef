// Layer A of the reference: rules 1 to 8 of docs/protocol.md, endorsements and policies, as sentences
// over literal sets.
import type { Genesis, OwnerEvent } from '../../src/core/event.ts'
import type { EventId, PublicKey } from '../../src/core/ids.ts'

export interface Tenure {
  id: string
  key: PublicKey
  /** Undefined for founders. */
  add?: OwnerEvent
  rank: [depth: number, tie: string]
}

/** What a checkpoint has settled: F(B), the verdicts of its state, and what is in force there. */
export interface Settled {
  verdicts: Map<EventId, boolean>
  ignored: Set<EventId>
  /** Removals and leavings, and the tenure they are in force on: `REMOVAL TENURE`. */
  inForce: Set<string>
  requirements: Map<EventId, number>
  /** Object to its canonical head, `PROPOSAL:INDEX`. */
  heads: Map<string, string>
  /** `SPACE NAME` to the object that owns it, tag to release. */
  names: Map<string, string>
  tags: Map<string, string>
}

export interface LayerA {
  tenures: Tenure[]
  past(event: OwnerEvent): Set<EventId>
  valid(event: OwnerEvent): boolean
  exists(tenure: Tenure): boolean
  live(tenure: Tenure): boolean
  /** Of a removal or leaving. */
  inForce(remove: OwnerEvent, tenure: Tenure): boolean
  /** It is valid and not all it is meant for has come about: too few seniors agree. */
  waits(operation: OwnerEvent): boolean
  /** Keys that must accept what the review accepts. */
  requirementOf(review: OwnerEvent): number
  /** What a new accept needs that has everything in its past. */
  requirementNow(): number
  ignored: Set<EventId>
}

export type Date = [depth: number, rank: [number, string], id: string]

export function memo<K, V>(compute: (key: K) => V): (key: K) => V {
  const known = new Map<K, V>()
  return (key) => {
    if (known.has(key)) return known.get(key) as V
    const value = compute(key)
    known.set(key, value)
    return value
  }
}

export function compare(a: unknown, b: unknown): number {
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < a.length; i++) {
      const difference = compare(a[i], b[i])
      if (difference !== 0) return difference
    }
    return 0
  }
  return (a as number) < (b as number) ? -1 : (a as number) > (b as number) ? 1 : 0
}

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
    const exists = (tenure: Tenure) =>
      tenure.add === undefined || (valid(tenure.add) && enough(tenure.add, seniorTo(tenure)))

    const seniorTo = (tenure: Tenure) => (other: Tenure) => senior(other, tenure)
    const wasThere = (event: OwnerEvent) => (tenure: Tenure) =>
      tenure.add === undefined || past(event).has(tenure.add.id)

    /** kOwner distinct keys with such tenures wrote the operation or endorse it. */
    const enough = (operation: OwnerEvent, among: (tenure: Tenure) => boolean): boolean => {
      const agreeing = held.filter(
        (event) =>
          event === operation ||
          (event.body.kind === 'endorse' &&
            event.body.operation === operation.id &&
            past(event).has(operation.id)),
      )
      const counting = agreeing.filter((event) => among(tenureOf(event)) && valid(event))
      return new Set(counting.map(({ author }) => author)).size >= genesis.kOwner
    }

    /** Whether it is meant for the tenure, if it is valid. */
    const meant = (remove: OwnerEvent, tenure: Tenure): boolean => {
      if (ignored.has(remove.id) || keyOf(remove) !== tenure.key) return false
      if (tenureOf(remove) === tenure) return true
      if (!senior(tenureOf(remove), tenure)) return false
      return tenure.add === undefined || !past(tenure.add).has(remove.id)
    }
    const voids = (remove: OwnerEvent, event: OwnerEvent): boolean => {
      const tenure = tenureOf(event)
      if (!meant(remove, tenure)) return false
      if (settled?.inForce.has(`${remove.id} ${tenure.id}`)) return true
      if (isLeaving(remove)) return past(event).has(remove.id) && valid(remove)
      if (!valid(remove) || !enough(remove, seniorTo(tenure))) return false
      return !K(remove).has(event.id)
    }
    const K = memo((operation: OwnerEvent): Set<EventId> => {
      const known = new Set(past(operation))
      for (const event of held) {
        if (event.tenure !== operation.tenure || past(event).has(operation.id)) continue
        if (!valid(event)) continue
        known.add(event.id)
        for (const id of past(event)) known.add(id)
      }
      return known
    })
    const isRemoved = (r: OwnerEvent, tenure: Tenure) =>
      !isLeaving(r) && meant(r, tenure) && valid(r) && enough(r, seniorTo(tenure))
    const leaves = (r: OwnerEvent, tenure: Tenure) => isLeaving(r) && meant(r, tenure) && valid(r)
    const removed = (tenure: Tenure) => removes.some((r) => isRemoved(r, tenure))
    const inForce = (r: OwnerEvent, tenure: Tenure) =>
      exists(tenure) && (isRemoved(r, tenure) || leaves(r, tenure))
    const live = (tenure: Tenure) => exists(tenure) && !removes.some((r) => inForce(r, tenure))

    let policies: OwnerEvent[] | undefined
    const effective = () =>
      (policies ??= held.filter(
        (event) =>
          event.body.kind === 'policy' &&
          event.body.kReview <= genesis.kOwner &&
          valid(event) &&
          enough(event, wasThere(event)),
      ))
    const most = (list: OwnerEvent[]) =>
      Math.max(0, ...list.map(({ body }) => (body.kind === 'policy' ? body.kReview : 0)))
    const ofHeads = (list: OwnerEvent[]) =>
      most(list.filter((p) => !list.some((later) => past(later).has(p.id)))) || genesis.kReview
    const requirementOf = (review: OwnerEvent) => {
      const all = effective()
      const seen = all.filter((p) => past(review).has(p.id))
      const beside = all.filter((p) => !past(review).has(p.id) && !past(p).has(review.id))
      return settled?.requirements.get(review.id) ?? Math.max(ofHeads(seen), most(beside))
    }
    const requirementNow = () => ofHeads(effective())
    const waits = (operation: OwnerEvent): boolean => {
      const { body } = operation
      if (!valid(operation)) return false
      if (body.kind === 'add') return !tenures.some((t) => t.add === operation && exists(t))
      if (body.kind === 'policy') {
        return body.kReview <= genesis.kOwner && !effective().includes(operation)
      }
      if (body.kind !== 'remove' || isLeaving(operation)) return false
      return tenures.some((tenure) => live(tenure) && meant(operation, tenure))
    }
    if (tenures.some(live)) {
      const who = { tenures, past, valid, exists, live, inForce, ignored, waits }
      return { ...who, requirementOf, requirementNow }
    }

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

export function dateOf(event: OwnerEvent, tenure: Tenure): Date {
  return [event.depth, tenure.rank, event.id]
}
