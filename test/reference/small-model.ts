// Every small history of layer A, and the rules once more over sets as bits: event i is bit i.
import { type EventId, founderTenure, type PublicKey, type TenureId } from '../../src/core/ids.ts'
import type { OwnerHeader } from '../../src/core/state.ts'

/** The first are founders. */
export const KEYS = ['0', '1', '2', '3'].map((digit) => digit.repeat(64) as PublicKey)
export const GENESIS = 'e'.repeat(64) as EventId

/**
 * What an owner may do: acknowledge; add or remove one of the keys; ask for `key` accepts; endorse event
 * `key`.
 */
export interface Action {
  readonly kind: 'noop' | 'review' | 'add' | 'remove' | 'policy' | 'endorse'
  readonly key: number
}

/** One operation of a small history. Tenure t is founder t, or the add at event t - founders. */
export interface Step extends Action {
  readonly tenure: number
  /** Parents as bits, an antichain; 0: the genesis. */
  readonly parents: number
  readonly past: number
  readonly depth: number
  /** Place in the order of all possible steps: equal depths come in this order. */
  readonly code: number
  readonly header: OwnerHeader
}

/** Founders, and what owners may do in this model. */
export interface Model {
  readonly founders: number
  readonly kOwner: number
  /** With 2 and more also endorsements of every add, removal and policy there is. */
  readonly actions: readonly Action[]
}

const keys = [0, 1, 2]
const every = (kind: Action['kind'], of: number[]) => of.map((key): Action => ({ kind, key }))

/** Three founders who remove each other, leave, and add each other again. */
export const threeFounders: Model = {
  founders: 3,
  kOwner: 1,
  actions: [{ kind: 'noop', key: -1 }, ...every('remove', keys), ...every('add', [1, 2])],
}
/** One founder; the other two have to be added. */
export const oneFounder: Model = {
  founders: 1,
  kOwner: 1,
  actions: [{ kind: 'noop', key: -1 }, ...every('remove', keys), ...every('add', keys)],
}

/** Two of three founders have to agree to add a fourth owner, and to remove one of the last two. */
export const twoOfThree: Model = {
  founders: 3,
  kOwner: 2,
  actions: [{ kind: 'noop', key: -1 }, ...every('remove', [0, 2, 3]), ...every('add', [3])],
}
/** And to ask for two accepts, or one again. */
export const twoOfThreeAccept: Model = {
  founders: 3,
  kOwner: 2,
  actions: [{ kind: 'review', key: -1 }, ...every('remove', [2]), ...every('policy', [1, 2])],
}

const idOf = (index: number) => String(index).padStart(64, '0') as EventId
const tenureIdOf = (tenure: number, founders: number) =>
  tenure < founders ? founderTenure(tenure) : (idOf(tenure - founders) as string as TenureId)

/**
 * Visits every history of exactly `length` events, each set of events in one order only: by depth,
 * equal depths by code. @returns how many.
 */
export function everyHistory(
  model: Model,
  length: number,
  visit: (steps: readonly Step[]) => void,
): number {
  const steps: Step[] = []
  let count = 0
  const extend = () => {
    if (steps.length === length) {
      count++
      visit(steps)
      return
    }
    for (const step of nextSteps(model, steps)) {
      steps.push(step)
      extend()
      steps.pop()
    }
  }
  extend()
  return count
}

function nextSteps(model: Model, steps: readonly Step[]): Step[] {
  const found: Step[] = []
  const last = steps.at(-1)
  for (let parents = 0; parents < 1 << steps.length; parents++) {
    const chosen = steps.filter((_, i) => (parents >> i) & 1)
    if (chosen.some(({ past }) => (past & parents) !== 0)) continue
    const past = chosen.reduce((all, step) => all | step.past, parents)
    const depth = 1 + Math.max(0, ...chosen.map((step) => step.depth))
    if (last !== undefined && depth < last.depth) continue
    for (let tenure = 0; tenure < model.founders + steps.length; tenure++) {
      const add = tenure - model.founders
      if (add >= 0 && (steps[add]?.kind !== 'add' || !((past >> add) & 1))) continue
      actionsAfter(model, steps).forEach((action, a) => {
        const code = (parents * 16 + tenure) * 16 + a
        if (last !== undefined && depth === last.depth && code < last.code) return
        const header = headerOf(model, steps.length, tenure, action, parents, depth)
        found.push({ ...action, tenure, parents, past, depth, code, header })
      })
    }
  }
  return found
}

/**
 * One history of `length` events, chosen step by step: mostly of those that build on what came last, and
 * often an endorsement, for else nearly nothing has effect.
 */
export function randomSteps(
  model: Model,
  length: number,
  choices: { of<T>(list: readonly T[]): T; chance(percent: number): boolean },
): Step[] {
  const steps: Step[] = []
  while (steps.length < length) {
    let next = nextSteps(model, steps)
    const among = (isMeant: (step: Step) => boolean) => {
      const meant = next.filter(isMeant)
      if (meant.length > 0) next = meant
    }
    if (choices.chance(50)) among(({ past }) => past === (1 << steps.length) - 1)
    if (choices.chance(40)) among(({ kind }) => kind === 'endorse')
    steps.push(choices.of(next))
  }
  return steps
}

function actionsAfter({ actions, kOwner }: Model, steps: readonly Step[]): readonly Action[] {
  if (kOwner === 1) return actions
  const endorsements = steps.flatMap(({ kind }, i): Action[] =>
    isOperation(kind) ? [{ kind: 'endorse', key: i }] : [],
  )
  return [...actions, ...endorsements]
}

const isOperation = (kind: Action['kind']) =>
  kind === 'add' || kind === 'remove' || kind === 'policy'

function headerOf(
  model: Model,
  index: number,
  tenure: number,
  { kind, key }: Action,
  parents: number,
  depth: number,
): OwnerHeader {
  const ids: EventId[] = []
  for (let i = 0; i < index; i++) if ((parents >> i) & 1) ids.push(idOf(i))
  return {
    id: idOf(index),
    kind,
    tenure: tenureIdOf(tenure, model.founders),
    depth,
    parents: ids.length > 0 ? ids : [GENESIS],
    ...((kind === 'add' || kind === 'remove') && { key: KEYS[key] as PublicKey }),
    ...(kind === 'policy' && { kReview: key }),
    ...(kind === 'endorse' && { operation: idOf(key) }),
  }
}

/** What the rules say of a small history: events, tenures and leavings as bits. */
export interface SmallVerdict {
  readonly valid: number
  readonly live: number
  readonly ignored: number
  /** How many must accept, of each event as if it were a review. */
  readonly requires: readonly number[]
}

/** Rules 1 to 8 for steps in topological order, straight from their sentences. */
export function smallAuthority(model: Model, steps: readonly Step[], ignored = 0): SmallVerdict {
  const { founders, kOwner } = model
  const tenureCount = founders + steps.length
  const keyOf = (t: number) => (t < founders ? t : (steps[t - founders] as Step).key)
  const isTenure = (t: number) => t < founders || steps[t - founders]?.kind === 'add'
  const has = (set: number, i: number) => ((set >> i) & 1) === 1
  const pastOfAdd = (t: number) => (t < founders ? 0 : (steps[t - founders] as Step).past)
  const senior = (a: number, b: number) =>
    a < founders ? b >= founders || a < b : b >= founders && has(pastOfAdd(b), a - founders)
  const isLeaving = (r: Step) => r.kind === 'remove' && r.key === keyOf(r.tenure)

  const known: (boolean | undefined)[] = []
  const valid = (i: number): boolean => (known[i] ??= judge(i))
  const enough = (o: number, among: (t: number) => boolean): boolean => {
    const keys = new Set<number>()
    steps.forEach((e, j) => {
      const agrees = j === o || (e.kind === 'endorse' && e.key === o && has(e.past, o))
      if (agrees && among(e.tenure) && valid(j)) keys.add(keyOf(e.tenure))
    })
    return keys.size >= kOwner
  }
  const seniorsAgree = (o: number, t: number) => enough(o, (a) => senior(a, t))
  const exists = (t: number): boolean =>
    t < founders || (isTenure(t) && valid(t - founders) && seniorsAgree(t - founders, t))
  const meant = (i: number, t: number) => {
    const r = steps[i] as Step
    if (r.kind !== 'remove' || has(ignored, i) || r.key !== keyOf(t)) return false
    return r.tenure === t || (senior(r.tenure, t) && !has(pastOfAdd(t), i))
  }
  const K = (i: number) => {
    const r = steps[i] as Step
    let set = r.past
    steps.forEach((e, j) => {
      if (e.tenure === r.tenure && !has(e.past, i) && valid(j)) set |= e.past | (1 << j)
    })
    return set
  }
  const judge = (i: number): boolean => {
    const e = steps[i] as Step
    if (!exists(e.tenure)) return false
    return !steps.some((r, j) => {
      if (!meant(j, e.tenure)) return false
      if (isLeaving(r)) return has(e.past, j) && valid(j)
      return valid(j) && seniorsAgree(j, e.tenure) && !has(K(j), i)
    })
  }

  let validBits = 0
  let live = 0
  const removed = (t: number) =>
    steps.some((r, j) => !isLeaving(r) && meant(j, t) && valid(j) && seniorsAgree(j, t))
  const left = (t: number) => steps.some((r, j) => isLeaving(r) && meant(j, t) && valid(j))
  for (let i = 0; i < steps.length; i++) if (valid(i)) validBits |= 1 << i
  for (let t = 0; t < tenureCount; t++) {
    if (isTenure(t) && exists(t) && !removed(t) && !left(t)) live |= 1 << t
  }
  const requires = () => {
    const wasThere = (o: number) => (t: number) =>
      t < founders || has(steps[o]?.past ?? 0, t - founders)
    const effective = [...steps.keys()].filter((o) => {
      const { kind, key } = steps[o] as Step
      return kind === 'policy' && key <= kOwner && valid(o) && enough(o, wasThere(o))
    })
    const most = (list: number[]) => Math.max(0, ...list.map((o) => (steps[o] as Step).key))
    return steps.map((e, i) => {
      const seen = effective.filter((o) => has(e.past, o))
      const heads = seen.filter((o) => !seen.some((later) => has((steps[later] as Step).past, o)))
      const beside = effective.filter((o) => !has(e.past, o) && !has((steps[o] as Step).past, i))
      return Math.max(most(heads) || 1, most(beside))
    })
  }
  if (live !== 0) return { valid: validBits, live, ignored, requires: requires() }
  const rankOf = (t: number) => (t < founders ? [0, t] : [(steps[t - founders] as Step).depth, t])
  const later = (a: number[], b: number[]) => {
    const k = a.findIndex((value, at) => value !== b[at])
    return k !== -1 && (a[k] as number) > (b[k] as number)
  }
  let last: { i: number; date: number[] } | undefined
  steps.forEach((r, i) => {
    if (!isLeaving(r) || !valid(i) || has(ignored, i) || removed(r.tenure)) return
    const date = [r.depth, ...rankOf(r.tenure), i]
    if (last === undefined || later(date, last.date)) last = { i, date }
  })
  if (last === undefined) throw new Error('nobody is left')
  return smallAuthority(model, steps, ignored | (1 << last.i))
}
