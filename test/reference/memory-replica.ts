// A replica without disk or network: events in any order, the layers of src/core, the state. It
// judges each arriving event with `admit` and falls back on `authority`, as the real one does.
import { acceptDateOf, eventOfDate, rankBytesOf } from '../../src/core/accept-date.ts'
import { admit, summaryAfter } from '../../src/core/admission.ts'
import { authority, type Authority } from '../../src/core/authority.ts'
import { ownersOf, tagOwnersOf } from '../../src/core/claims.ts'
import { decide } from '../../src/core/decisions.ts'
import type { Event, Genesis, OwnerEvent, Proposal } from '../../src/core/event.ts'
import {
  type EventId,
  objectIdOf,
  type ObjectId,
  type TenureId,
  versionKey,
} from '../../src/core/ids.ts'
import { objectRowOf } from '../../src/core/objects.ts'
import { requirementAt, requirementNow } from '../../src/core/policy.ts'
import type { ObjectRow, ReviewOfProposal, Tenure, Version } from '../../src/core/state.ts'
import { headerOf, sha256 } from '../makers.ts'
import type { ObjectText, StateText } from './state-text.ts'

export class MemoryReplica {
  readonly #genesis: Genesis
  readonly #owner = new Map<EventId, OwnerEvent>()
  readonly #proposals = new Map<EventId, Proposal>()
  readonly #waiting = new Map<EventId, OwnerEvent>()
  readonly #pasts = new Map<EventId, ReadonlySet<EventId>>()
  /** Removals and policies in the past of each event. */
  readonly #seen = new Map<EventId, ReadonlySet<EventId>>()
  #authority: Authority
  /** Void events, kept up with what `admit` says. */
  #void: Set<EventId>
  /** Requirements, kept up likewise. */
  #requirements = new Map<EventId, number>()
  recomputed = 0

  constructor(genesis: Genesis) {
    this.#genesis = genesis
    this.#authority = authority(genesis, [], genesis.id)
    this.#void = new Set()
  }

  get size(): number {
    return this.#owner.size + this.#proposals.size
  }

  get events(): Event[] {
    return [...this.#proposals.values(), ...this.#owner.values()]
  }

  get summary(): Authority['summary'] {
    return this.#authority.summary
  }

  get voidEvents(): ReadonlySet<EventId> {
    return this.#void
  }

  receive(event: Event): void {
    if (event.family === 'genesis') return
    if (event.family === 'proposal') {
      this.#proposals.set(event.id, event)
      return
    }
    if (this.#owner.has(event.id)) return
    this.#waiting.set(event.id, event)
    const isHeld = (id: EventId) => id === this.#genesis.id || this.#owner.has(id)
    for (;;) {
      const ready = [...this.#waiting.values()].find(({ parents }) => parents.every(isHeld))
      if (ready === undefined) return
      this.#waiting.delete(ready.id)
      this.#store(ready)
    }
  }

  #store(event: OwnerEvent): void {
    const past = new Set<EventId>()
    const seen = new Set<EventId>()
    for (const parent of event.parents) {
      const held = this.#owner.get(parent)
      if (held === undefined) continue
      past.add(parent)
      for (const id of this.#pasts.get(parent) ?? []) past.add(id)
      if (held.kind === 'remove' || held.kind === 'policy') seen.add(parent)
      for (const id of this.#seen.get(parent) ?? []) seen.add(id)
    }
    this.#pasts.set(event.id, past)
    this.#seen.set(event.id, seen)
    this.#owner.set(event.id, event)
    const header = headerOf(event)
    const verdict = admit(this.#authority.summary, header, seen)
    if (verdict !== 'recompute') {
      if (verdict === 'void') this.#void.add(event.id)
      const summary = summaryAfter(this.#authority.summary, header, verdict)
      this.#authority = { ...this.#authority, summary }
      if (event.body.kind === 'review') this.#require(event.id, seen)
      return
    }
    this.recomputed++
    this.#authority = this.fullAuthority()
    this.#void = new Set(this.#authority.voidEvents)
    this.#requirements = new Map(this.#authority.requirements)
  }

  #require(review: EventId, seen: ReadonlySet<EventId>): void {
    const { policies, kReview } = this.#authority.summary
    const requires = requirementAt(policies, kReview, seen)
    if (requires !== kReview) this.#requirements.set(review, requires)
  }

  fullAuthority(): Authority {
    const headers = [...this.#owner.values()].map(headerOf)
    return authority(this.#genesis, headers, this.#genesis.id)
  }

  state(): StateText {
    const { tenures } = this.fullAuthority()
    const state: StateText = {
      owners: tenures.filter(({ live }) => live).map(({ id, key }) => `${id} ${key}`),
      unborn: tenures
        .filter(({ exists }) => !exists)
        .map(({ id }) => id)
        .sort(),
      void: [...this.#void].sort(),
      policy: requirementNow(this.#authority.summary.policies, this.#genesis.kReview),
      requirements: Object.fromEntries(this.#requirements),
      items: {},
      objects: {},
      names: {},
      tags: {},
    }
    const byId = new Map(tenures.map((tenure) => [tenure.id, tenure]))
    const rows = this.#rows(byId, state)
    const claims = rows.flatMap((row) => (row.claim === undefined ? [] : [row.claim]))
    for (const { space, name, object } of ownersOf(claims).owning) {
      state.names[`${space} ${name}`] = object
    }
    state.tags = Object.fromEntries(tagOwnersOf(this.#tagClaims(byId)))
    return state
  }

  #dateOf({ depth, tenure, id }: OwnerEvent, tenures: ReadonlyMap<TenureId, Tenure>) {
    return acceptDateOf(depth, rankBytesOf(tenures.get(tenure) as Tenure), id)
  }

  #tagClaims(tenures: ReadonlyMap<TenureId, Tenure>) {
    return [...this.#owner.values()].flatMap((event) =>
      event.body.kind === 'release' && !this.#void.has(event.id)
        ? [{ tag: event.body.tag, event: event.id, date: this.#dateOf(event, tenures) }]
        : [],
    )
  }

  #rows(tenures: ReadonlyMap<TenureId, Tenure>, state: StateText): ObjectRow[] {
    const versionsOf = new Map<ObjectId, Version[]>()
    for (const proposal of this.#proposals.values()) {
      const decisions = decide(proposal.operations.length, this.#reviewsOf(proposal.id, tenures))
      for (const decision of decisions) {
        for (let index = decision.from; index <= decision.to; index++) {
          const id = { proposal: proposal.id, index }
          const { status } = decision
          state.items[versionKey(id)] = status === 'pending' ? status : `${status} ${decision.by}`
          const operation = proposal.operations[index]
          if (status !== 'accepted' || operation === undefined) continue
          const object = operation.op === 'create' ? objectIdOf(id, sha256) : operation.object
          const version: Version = {
            id,
            date: decision.date,
            op: operation.op,
            base: 'base' in operation ? operation.base : [],
            ...('value' in operation && { value: operation.value }),
          }
          versionsOf.set(object, [...(versionsOf.get(object) ?? []), version])
        }
      }
    }
    return [...versionsOf].map(([id, versions]) => {
      const row = objectRowOf(id, versions)
      state.objects[id] = textOf(row)
      return row
    })
  }

  #reviewsOf(proposal: EventId, tenures: ReadonlyMap<TenureId, Tenure>): ReviewOfProposal[] {
    const reviews: ReviewOfProposal[] = []
    const isReject = (id: EventId) => {
      const body = this.#owner.get(id)?.body
      return (
        body?.kind === 'review' &&
        body.verdict === 'reject' &&
        body.items.some((item) => item.proposal === proposal)
      )
    }
    for (const event of this.#owner.values()) {
      if (event.body.kind !== 'review') continue
      const item = event.body.items.find((entry) => entry.proposal === proposal)
      if (item === undefined) continue
      const rejectsBefore = [...(this.#pasts.get(event.id) ?? [])].filter(isReject)
      reviews.push({
        event: event.id,
        key: event.author,
        verdict: event.body.verdict,
        date: this.#dateOf(event, tenures),
        valid: !this.#void.has(event.id),
        requires: this.#requirements.get(event.id) ?? this.#genesis.kReview,
        ...(item.ranges && { ranges: item.ranges }),
        rejectsBefore,
        validRejectsBefore: this.#validInPastOf(event, rejectsBefore),
      })
    }
    return reviews
  }

  /** The state of that past alone: no event outside it is looked at. */
  #validInPastOf(event: OwnerEvent, rejects: EventId[]): EventId[] {
    if (rejects.length === 0) return rejects
    const past = [...(this.#pasts.get(event.id) ?? [])].map((id) => this.#owner.get(id))
    const headers = past.filter((held) => held !== undefined).map(headerOf)
    const { voidEvents } = authority(this.#genesis, headers, this.#genesis.id)
    return rejects.filter((id) => !voidEvents.has(id))
  }
}

function textOf(row: ObjectRow): ObjectText {
  const key = (i: number) => versionKey((row.versions[i] as Version).id)
  const { current, claim } = row
  return {
    versions: row.versions.map((version) => versionKey(version.id)),
    active: row.active.map(key),
    heads: row.heads.map(key),
    purged: row.purged,
    ...(current && {
      current:
        current.type === 'file' ? Buffer.from(current.content).toString('hex') : 'annotation',
    }),
    ...(claim && { claim: `${claim.space} ${claim.name} ${eventOfDate(claim.date)}` }),
  }
}
