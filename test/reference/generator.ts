// Random histories: owners that fork, go on after their removal, date back, leave and come back;
// reviews with ranges; proposals whose names collide. Everything follows from the seed.
import type { Event, Operation, OwnerBody, OwnerEvent, Proposal } from '../../src/core/event.ts'
import type { Genesis, ReviewItem } from '../../src/core/event.ts'
import {
  type EventId,
  founderTenure,
  objectIdOf,
  type ObjectId,
  type PublicKey,
  type TenureId,
  type VersionId,
} from '../../src/core/ids.ts'
import { file, history, type History, keyNamed, type Parent, sha256 } from '../makers.ts'

export interface RandomHistory {
  readonly genesis: Genesis
  /** Parents first. Some proposals that reviews name are withheld. */
  readonly events: Event[]
}

/** A source of choices; the same for the same seed. */
export class Choices {
  #state: number
  constructor(seed: number) {
    this.#state = seed >>> 0
  }
  below(count: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % count
  }
  chance(percent: number): boolean {
    return this.below(100) < percent
  }
  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T
  }
  shuffled<T>(list: readonly T[]): T[] {
    const mixed = [...list]
    for (let i = mixed.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      ;[mixed[i], mixed[j]] = [mixed[j] as T, mixed[i] as T]
    }
    return mixed
  }
}

const KEYS = ['F', 'A', 'B', 'C', 'D', 'E', 'G', 'H']
const NAMES = ['a', 'a/b', 'a/b/c', 'a/d', 'b', 'b/c']
const SCHEMA = 'application/schema+json'

interface World {
  readonly choices: Choices
  readonly made: History
  readonly keys: readonly string[]
  readonly kOwnerMax: number
  /** Every tenure there ever was: id, key, and its add. */
  readonly tenures: { id: TenureId; key: PublicKey; add?: OwnerEvent }[]
  readonly owner: OwnerEvent[]
  readonly pasts: Map<EventId, ReadonlySet<EventId>>
  readonly proposals: Proposal[]
  readonly objects: { id: ObjectId; versions: VersionId[] }[]
}

export interface HistoryOptions {
  /** Removals come up about once in so many events. */
  readonly removalEvery?: number
  readonly proposals?: boolean
  /** Datasets where up to so many keys have to agree, with endorsements and policies. */
  readonly kOwnerMax?: number
}

/** @param ownerEvents how many. */
export function randomHistory(
  seed: number,
  ownerEvents: number,
  { removalEvery = 7, proposals = true, kOwnerMax = 1 }: HistoryOptions = {},
): RandomHistory {
  const choices = new Choices(seed)
  const keys = KEYS.slice(0, 2 + choices.below(kOwnerMax > 1 ? 4 : KEYS.length - 1))
  const isStrict = kOwnerMax > 1
  const founderCount = isStrict ? 2 + choices.below(3) : 1 + choices.below(Math.min(3, keys.length))
  const founders = keys.slice(0, founderCount)
  const thresholds = randomThresholds(choices, Math.min(kOwnerMax, founders.length))
  const made = history(founders, String(seed), thresholds)
  const world: World = {
    choices,
    made,
    keys,
    kOwnerMax,
    tenures: founders.map((name, i) => ({ id: founderTenure(i), key: keyNamed(name) })),
    owner: [],
    pasts: new Map(),
    proposals: [],
    objects: [],
  }
  for (let i = 0; i < ownerEvents; i++) {
    if (proposals && (i === 0 || choices.chance(30))) addProposal(world)
    addOwnerEvent(world, kOwnerMax > 1 ? 4 * removalEvery : removalEvery)
  }
  const withheld = new Set(world.proposals.filter(() => choices.chance(8)))
  return {
    genesis: made.genesis,
    events: made.events.filter((event) => event.family !== 'proposal' || !withheld.has(event)),
  }
}

function randomThresholds(choices: Choices, kOwnerMax: number) {
  if (kOwnerMax === 1) return {}
  const kOwner = 1 + choices.below(kOwnerMax)
  return { kOwner, kReview: 1 + choices.below(kOwner) }
}

function addOwnerEvent(world: World, removalEvery: number): void {
  const { choices, made, tenures } = world
  // Where several have to agree, most added tenures begin never or late.
  const isFounder = world.kOwnerMax > 1 && choices.chance(60)
  const tenure = choices.of(isFounder ? tenures.slice(0, made.genesis.founders.length) : tenures)
  const parents = randomParents(world, tenure.add)
  const agreed = world.kOwnerMax > 1 ? thresholdBody(world, parents) : undefined
  const body = agreed ?? randomBody(world, tenure.key, removalEvery)
  const event = made.write(tenure.id, tenure.key, body, parents)
  const past = new Set<EventId>(event.parents)
  for (const parent of event.parents) for (const id of world.pasts.get(parent) ?? []) past.add(id)
  world.pasts.set(event.id, past)
  world.owner.push(event)
  if (body.kind === 'add')
    tenures.push({ id: event.id as string as TenureId, key: body.key, add: event })
}

/** All heads, the heads as they were some time ago, a forged small past, or any few events. */
function randomParents(
  { choices, made, owner, pasts }: World,
  add: OwnerEvent | undefined,
): Parent[] {
  const smallest: Parent[] = [add ?? made.genesis]
  if (owner.length === 0) return smallest
  const way = choices.below(100)
  if (way < 8) return smallest
  const asOf = way < 55 ? owner.length : 1 + choices.below(owner.length)
  const known = owner.slice(0, asOf)
  let parents: OwnerEvent[]
  if (way < 85) {
    parents = known.filter(({ id }) => !known.some((later) => pasts.get(later.id)?.has(id)))
  } else {
    parents = Array.from({ length: 1 + choices.below(3) }, () => choices.of(known))
  }
  const unique = [...new Set(parents)].slice(0, 64)
  if (add === undefined) return unique
  const sees = unique.some((parent) => parent === add || pasts.get(parent.id)?.has(add.id))
  return sees ? unique : [...unique, add]
}

/** Where several have to agree: often an endorsement, mostly of what is recent and in its past. */
function thresholdBody(
  { choices, made, owner, pasts, tenures }: World,
  parents: readonly Parent[],
): OwnerBody | undefined {
  const { kOwner } = made.genesis
  const what = choices.below(100)
  if (what < 5) return { kind: 'policy', kReview: 1 + choices.below(kOwner + 1) }
  const juniors = tenures.slice(kOwner)
  if (what < 12 && juniors.length > 0) return { kind: 'remove', key: choices.of(juniors).key }
  if (what >= 50) return undefined
  const sees = ({ id }: OwnerEvent) =>
    parents.some((parent) => parent.id === id || pasts.get(parent.id)?.has(id))
  const isOperation = ({ body }: OwnerEvent) => ['add', 'remove', 'policy'].includes(body.kind)
  const seen = owner.filter((event) => isOperation(event) && sees(event))
  const recent = choices.chance(70) ? seen.slice(-2) : seen
  const operation = choices.of(choices.chance(95) ? recent : owner)
  return operation && { kind: 'endorse', operation: operation.id }
}

function randomBody(world: World, own: PublicKey, removalEvery: number): OwnerBody {
  const { choices, keys, proposals } = world
  const someKey = () => keyNamed(choices.of(keys))
  if (choices.below(removalEvery) === 0) {
    return { kind: 'remove', key: choices.chance(30) ? own : someKey() }
  }
  const what = choices.below(100)
  if (what < 18) return { kind: 'add', key: someKey() }
  if (what < 24) {
    return { kind: 'release', tag: choices.of(['v1', 'v2', 'v3']), root: new Uint8Array(36) }
  }
  if (what < 30 || proposals.length === 0) return { kind: 'unknown' }
  const chosen = new Set(Array.from({ length: 1 + choices.below(3) }, () => choices.of(proposals)))
  const items = [...chosen].map((proposal) => randomItem(choices, proposal))
  return { kind: 'review', verdict: choices.chance(75) ? 'accept' : 'reject', items }
}

function randomItem(choices: Choices, { id, operations }: Proposal): ReviewItem {
  if (choices.chance(60)) return { proposal: id }
  const from = choices.below(operations.length)
  const to = from + choices.below(3)
  const ranges: [number, number][] = [[from, to]]
  if (choices.chance(30)) ranges.push([to + 2, to + 2 + choices.below(3)])
  return { proposal: id, ranges }
}

function addProposal(world: World): void {
  const { choices, made, objects } = world
  const count = 1 + choices.below(4)
  const operations = Array.from({ length: count }, () => randomOperation(world))
  const proposal = made.propose(...operations)
  world.proposals.push(proposal)
  operations.forEach((operation, index) => {
    const version = { proposal: proposal.id, index }
    if (operation.op === 'create') {
      objects.push({ id: objectIdOf(version, sha256), versions: [version] })
    } else objects.find(({ id }) => id === operation.object)?.versions.push(version)
  })
}

function randomOperation({ choices, objects }: World): Operation {
  const value = () =>
    choices.chance(12)
      ? file(choices.of(['a', 'b']), String(choices.below(99)), SCHEMA)
      : file(choices.of(NAMES), String(choices.below(99)))
  if (objects.length === 0 || choices.chance(40)) {
    if (objects.length === 0 || choices.chance(85)) return { op: 'create', value: value() }
    const target = choices.of(choices.of(objects).versions)
    const inline = new Uint8Array(2)
    return {
      op: 'create',
      value: { type: 'annotation', targets: [target], schema: target, sizeBytes: 2, inline },
    }
  }
  const object = choices.of(objects)
  const foreign = choices.chance(5) ? choices.of(objects).versions : object.versions
  const picked = Array.from({ length: choices.chance(25) ? 2 : 1 }, () => choices.of(foreign))
  const base = [...new Set(picked)]
  const what = choices.below(100)
  if (what < 75) return { op: 'update', object: object.id, base, value: value() }
  if (what < 94) return { op: 'delete', object: object.id, base }
  return { op: 'purge', object: object.id }
}
