// The slow, obvious reducer: the rules of docs/protocol.md as sentences over literal sets, from all
// events at once. It shares types and ids with src/core, and no rule.
import type { Event, FileValue, Genesis, Operation, OwnerEvent } from '../../src/core/event.ts'
import { type EventId, objectIdOf, type VersionId } from '../../src/core/ids.ts'
import { sha256 } from '../makers.ts'
import { compare, type Date, dateOf, type LayerA, layerA, memo, type Settled } from './layer-a.ts'
import type { Tenure } from './layer-a.ts'
import type { ObjectText, StateText } from './state-text.ts'

export { type LayerA, layerA, type Settled }

// ---------------------------------------------------------------- layers B and C

interface Accepted {
  key: string
  id: VersionId
  operation: Operation
  date: Date
  by: EventId
}

/** @param settled what a checkpoint covers and says: see finality.ts. */
export function referenceState(genesis: Genesis, events: Event[], settled?: Settled): StateText {
  const held = events.filter((event) => event.family === 'owner')
  const a = layerA(genesis, held, settled)
  const date = (event: OwnerEvent): Date =>
    dateOf(event, a.tenures.find(({ id }) => id === event.tenure) as Tenure)

  const state: StateText = {
    owners: [],
    unborn: [],
    void: [],
    policy: a.requirementNow(),
    requirements: {},
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

  for (const event of held) {
    if (event.body.kind !== 'review' || a.requirementOf(event) === genesis.kReview) continue
    state.requirements[event.id] = a.requirementOf(event)
  }

  const accepted = acceptedItems(genesis, events, a, date, state)
  const claims = objects(accepted, state, settled)
  const isNew = ({ space, name, object }: Claim) =>
    settled?.names.get(`${space} ${name}`) === object ? 0 : 1
  claims.sort((x, y) => compare([isNew(x), x.date, x.object], [isNew(y), y.date, y.object]))
  const owning: Claim[] = []
  for (const claim of claims) {
    if (owning.some((earlier) => conflict(earlier, claim))) continue
    owning.push(claim)
    state.names[`${claim.space} ${claim.name}`] = claim.object
  }
  const releases = held.filter((event) => event.body.kind === 'release' && a.valid(event))
  releases.sort((x, y) => compare(date(x), date(y)))
  for (const { body, id } of releases) {
    if (body.kind === 'release') state.tags[body.tag] ??= settled?.tags.get(body.tag) ?? id
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
      const first = unhindered
        .sort(byDate)
        .find((_, i) => isEnough(unhindered.slice(0, i + 1), genesis, a))
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

/** For some i, at least i keys have accepts among these that require at most i. */
function isEnough(accepts: OwnerEvent[], { kOwner }: Genesis, a: LayerA): boolean {
  for (let i = 1; i <= kOwner; i++) {
    const within = accepts.filter((accept) => a.requirementOf(accept) <= i)
    if (new Set(within.map(({ author }) => author)).size >= i) return true
  }
  return false
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

function objects(accepted: Accepted[], state: StateText, settled?: Settled): Claim[] {
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
    const kept = settled?.heads.get(object)
    const descends = memo(
      (v: Accepted): boolean =>
        v.key === kept || basesOf(v).some((base) => base !== undefined && descends(base)),
    )
    const eligible = kept === undefined ? heads : heads.filter(descends)
    const canonical = eligible.find((v) => v.operation.op !== 'delete') ?? eligible[0]
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
