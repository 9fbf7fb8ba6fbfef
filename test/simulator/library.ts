// All that any node of a run has ever stored: from it come the choices of whoever acts, honest or not.
import type { Event, OwnerBody, OwnerEvent, Operation, Proposal } from '../../src/core/event.ts'
import type { CheckpointBody, FileValue, Genesis, ReviewItem } from '../../src/core/event.ts'
import {
  cidBytesOf,
  type EventId,
  founderTenure,
  objectIdOf,
  type ObjectId,
  type PublicKey,
  type TenureId,
  type VersionId,
} from '../../src/core/ids.ts'
import type { ActingBody } from '../../src/replica/author-queue.ts'
import { file } from '../makers.ts'
import type { Choices } from '../reference/generator.ts'
import { cheapCrypto } from './keys.ts'

export interface KnownTenure {
  readonly id: TenureId
  readonly key: PublicKey
  /** Absent for founders. */
  readonly add?: OwnerEvent
}

const NAMES = ['a', 'a/b', 'a/b/c', 'a/d', 'b', 'b/c']
const SCHEMA = 'application/schema+json'
const OPERATIONS = ['add', 'remove', 'policy']
const TAGS = ['v1', 'v2', 'v3']

export class Library {
  readonly genesis: Genesis
  readonly keys: readonly PublicKey[]
  readonly tenures: KnownTenure[]
  readonly owner: OwnerEvent[] = []
  readonly proposals: Proposal[] = []
  /** Made and named, but given to nobody yet. */
  readonly withheld: Proposal[] = []
  /** That somebody voted for. */
  readonly checkpoints: CheckpointBody[] = []
  readonly #events = new Map<EventId, Event>()
  /** Of files that somebody has proposed. */
  readonly #names: string[] = []
  readonly #objects: { id: ObjectId; versions: VersionId[] }[] = []

  constructor(genesis: Genesis, keys: readonly PublicKey[]) {
    this.genesis = genesis
    this.keys = keys
    this.tenures = genesis.founders.map((key, i) => ({ id: founderTenure(i), key }))
  }

  get size(): number {
    return this.#events.size
  }

  learn(event: Event): void {
    if (event.family === 'genesis' || this.#events.has(event.id)) return
    this.#events.set(event.id, event)
    if (event.family === 'owner') {
      this.owner.push(event)
      if (event.body.kind === 'cp') this.checkpoints.push(event.body.checkpoint)
      if (event.body.kind === 'add') {
        this.tenures.push({ id: event.id as string as TenureId, key: event.body.key, add: event })
      }
      return
    }
    this.proposals.push(event)
    event.operations.forEach((operation, index) => {
      const version = { proposal: event.id, index }
      if (operation.op === 'create') {
        const id = objectIdOf(version, cheapCrypto.sha256)
        this.#objects.push({ id, versions: [version] })
        if (operation.value.type === 'file') this.#names.push(operation.value.name)
      } else this.#objects.find(({ id }) => id === operation.object)?.versions.push(version)
    })
  }

  /** Owner events that nobody has built on. */
  heads(of: readonly OwnerEvent[] = this.owner): OwnerEvent[] {
    const built = new Set(of.flatMap(({ parents }) => parents))
    return of.filter(({ id }) => !built.has(id))
  }

  isInPast(ancestor: EventId, of: readonly OwnerEvent[]): boolean {
    return this.closure(of.map(({ id }) => id)).has(ancestor)
  }

  /** These and all that is in their past. */
  closure(heads: readonly EventId[]): Set<EventId> {
    const seen = new Set(heads)
    for (const id of seen) {
      const event = this.#events.get(id)
      if (event?.family === 'owner') for (const parent of event.parents) seen.add(parent)
    }
    return seen
  }

  /** Proposals that reviews name, whether or not anybody has them. */
  get named(): EventId[] {
    const items = this.owner.flatMap(({ body }) => (body.kind === 'review' ? body.items : []))
    return [...new Set(items.map(({ proposal }) => proposal))]
  }

  /** One tenure of every key that somebody has tried to make an owner. */
  get voters(): KnownTenure[] {
    const first = new Map(this.tenures.toReversed().map((tenure) => [tenure.key, tenure]))
    return [...first.values()]
  }

  someKey(choices: Choices): PublicKey {
    return choices.of(this.keys)
  }

  /** What an owner may say, sensible or not. */
  someBody(choices: Choices, own: PublicKey): Exclude<OwnerBody, { kind: 'unknown' }> {
    const what = choices.below(100)
    if (what < 14) return { kind: 'remove', key: choices.chance(30) ? own : this.someKey(choices) }
    if (what < 34) return { kind: 'add', key: this.someKey(choices) }
    if (what < 38) return this.somePolicy(choices)
    if (what < 50) return this.someEndorsement(choices) ?? this.someRelease(choices)
    if (what < 55 || this.proposals.length === 0) return this.someRelease(choices)
    return this.someReview(choices, this.proposals)
  }

  /** Mostly of an operation, which may need none. */
  someEndorsement(choices: Choices): Extract<OwnerBody, { kind: 'endorse' }> | undefined {
    const operations = this.owner.filter(({ kind }) => OPERATIONS.includes(kind))
    const among = choices.chance(95) ? operations.slice(-8) : this.owner
    if (among.length === 0) return undefined
    return { kind: 'endorse', operation: choices.of(among).id }
  }

  /** What several owners may have to agree to. */
  someOwnerOperation(choices: Choices): ActingBody {
    const what = choices.below(100)
    if (what < 40) return this.somePolicy(choices)
    return { kind: what < 70 ? 'add' : 'remove', key: this.someKey(choices) }
  }

  /** Now and then more than there may be. */
  somePolicy(choices: Choices): Extract<OwnerBody, { kind: 'policy' }> {
    return { kind: 'policy', kReview: 1 + choices.below(this.genesis.kOwner + 1) }
  }

  someRelease(choices: Choices): Extract<OwnerBody, { kind: 'release' }> {
    return { kind: 'release', tag: choices.of(TAGS), root: cidBytesOf(this.genesis.id) }
  }

  /** Of up to three of the proposals given, at least one, the newest ones rather than the oldest. */
  someReview(choices: Choices, from: readonly Proposal[]): Extract<OwnerBody, { kind: 'review' }> {
    const likely = choices.chance(60) ? from.slice(-6) : from
    const chosen = new Set(Array.from({ length: 1 + choices.below(3) }, () => choices.of(likely)))
    const items = [...chosen].map((proposal) => someItem(choices, proposal))
    items.sort((a, b) => (a.proposal < b.proposal ? -1 : 1))
    return { kind: 'review', verdict: choices.chance(75) ? 'accept' : 'reject', items }
  }

  someOperations(choices: Choices): Operation[] {
    return Array.from({ length: 1 + choices.below(3) }, () => this.#someOperation(choices))
  }

  #someOperation(choices: Choices): Operation {
    if (this.#objects.length === 0 || choices.chance(45)) return this.#someCreation(choices)
    const object = choices.of(this.#objects)
    const foreign = choices.chance(5) ? choices.of(this.#objects).versions : object.versions
    const base = Array.from({ length: choices.chance(25) ? 2 : 1 }, () => choices.of(foreign))
    return this.someChange(choices, object.id, base)
  }

  someObject(choices: Choices): ObjectId | undefined {
    return this.#objects.length > 0 ? choices.of(this.#objects).id : undefined
  }

  /** One that competes with what is there: for a name, or for the first change of an object. */
  someRivalOperation(choices: Choices): Operation {
    const changed = this.#objects.filter(({ versions }) => versions.length > 1)
    if (changed.length === 0 || choices.chance(40)) {
      const names = this.#names.length > 0 ? this.#names : NAMES
      return { op: 'create', value: file(choices.of(names), String(choices.below(99))) }
    }
    const { id, versions } = choices.of(changed)
    return this.someChange(choices, id, versions.slice(0, 1))
  }

  /** An update, which may give it another name, or its end. */
  someChange(choices: Choices, object: ObjectId, on: readonly VersionId[]): Operation {
    const base = [...new Set(on)].sort((a, b) =>
      a.proposal === b.proposal ? a.index - b.index : a.proposal < b.proposal ? -1 : 1,
    )
    const what = choices.below(100)
    if (what < 72) return { op: 'update', object, base, value: someFile(choices) }
    if (what < 92) return { op: 'delete', object, base }
    return { op: 'purge', object }
  }

  #someCreation(choices: Choices): Operation {
    if (this.#objects.length === 0 || choices.chance(85)) {
      return { op: 'create', value: someFile(choices) }
    }
    const target = choices.of(choices.of(this.#objects).versions)
    const inline = Buffer.from('{}')
    const value = { type: 'annotation', targets: [target], schema: target, sizeBytes: 2 } as const
    return { op: 'create', value: { ...value, inline } }
  }
}

function someFile(choices: Choices): FileValue {
  const content = String(choices.below(99))
  if (choices.chance(12)) return file(choices.of(['a', 'b']), content, SCHEMA)
  return file(choices.of(NAMES), content)
}

function someItem(choices: Choices, { id, operations }: Proposal): ReviewItem {
  if (choices.chance(60)) return { proposal: id }
  const from = choices.below(operations.length)
  const to = from + choices.below(3)
  const ranges: [number, number][] = [[from, to]]
  if (choices.chance(30)) ranges.push([to + 2, to + 2 + choices.below(3)])
  return { proposal: id, ranges }
}
