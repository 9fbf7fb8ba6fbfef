// Checkpoints, slow and obvious: the chain by literal recursion over sets, the state under what it
// settles. Shares with src the name of a checkpoint, and no rule.
import { checkpointIdOf } from '../../src/core/checkpoint-id.ts'
import type { CheckpointBody, Event, Genesis, OwnerEvent } from '../../src/core/event.ts'
import type { CheckpointId, EventId, PublicKey } from '../../src/core/ids.ts'
import { sha256 } from '../makers.ts'
import { layerA, referenceState, type Settled } from './reducer.ts'
import type { StateText } from './state-text.ts'

export interface FinalState {
  /** Of every height from 1 on. */
  readonly chain: readonly CheckpointId[]
  /** Places where several were final. */
  readonly forks: readonly (readonly CheckpointId[])[]
  readonly state: StateText
}

interface Body {
  readonly id: CheckpointId
  readonly body: CheckpointBody
  readonly votes: ReadonlySet<PublicKey>
}

/** A checkpoint of the chain, or the genesis. */
interface Base {
  readonly id?: CheckpointId
  readonly height: number
  readonly owner: ReadonlySet<EventId>
  readonly proposals: ReadonlySet<EventId>
  readonly live: ReadonlySet<PublicKey>
  readonly settled?: Settled
}

export function finalState(
  genesis: Genesis,
  events: readonly Event[],
  anchor?: CheckpointId,
): FinalState {
  const bodies = bodiesOf(genesis, events)
  const path = pathTo(bodies, anchor)
  const chain: CheckpointId[] = []
  const forks: CheckpointId[][] = []
  let base: Base = {
    height: 0,
    owner: new Set([genesis.id]),
    proposals: new Set(),
    live: new Set(genesis.founders),
  }
  for (;;) {
    const at: Base = base
    const candidates = bodies
      .filter(({ body }) => body.previous === at.id)
      .map((candidate) => ({ ...candidate, covered: covered(genesis, events, at, candidate.body) }))
      .filter((candidate) => candidate.covered !== undefined)
    const forced = path[chain.length]
    const final = candidates.filter(({ votes, covered: part }) => {
      const after = liveIn(genesis, part as Event[], at.settled)
      const staying = [...at.live].filter((key) => after.has(key))
      const voters = staying.length > 0 ? staying : [...after]
      const voted = voters.filter((key) => votes.has(key)).length
      return voted * 3 > voters.length * 2
    })
    const votesFor = ({ votes }: Body) => [...votes].filter((key) => at.live.has(key)).length
    final.sort((x, y) => votesFor(y) - votesFor(x) || (x.id < y.id ? -1 : 1))
    if (final.length > 1) forks.push(final.map(({ id }) => id))
    const next = forced === undefined ? final[0] : candidates.find(({ id }) => id === forced)
    if (next === undefined) break
    base = settle(genesis, next, next.covered as Event[], at)
    chain.push(next.id)
  }
  return { chain, forks, state: referenceState(genesis, [...events], base.settled) }
}

function bodiesOf(genesis: Genesis, events: readonly Event[]): Body[] {
  const bodies = new Map<CheckpointId, { body: CheckpointBody; votes: Set<PublicKey> }>()
  for (const event of events) {
    if (event.family !== 'owner' || event.body.kind !== 'cp') continue
    const id = checkpointIdOf(genesis.id, event.body.checkpoint, sha256)
    const known = bodies.get(id) ?? { body: event.body.checkpoint, votes: new Set() }
    known.votes.add(event.author)
    bodies.set(id, known)
  }
  return [...bodies].map(([id, rest]) => ({ id, ...rest }))
}

/** From height 1 to the anchor; nothing where it is not known how to get there. */
function pathTo(bodies: readonly Body[], anchor: CheckpointId | undefined): CheckpointId[] {
  const known = bodies.find(({ id }) => id === anchor)
  if (known === undefined) return []
  const { previous, height } = known.body
  if (previous === undefined) return [known.id]
  const before = bodies.find(({ id }) => id === previous)
  if (before?.body.height !== height - 1) return []
  const path = pathTo(bodies, previous)
  return path.length === 0 ? [] : [...path, known.id]
}

/** All that a body covers; undefined where it cannot follow, or something is not here. */
function covered(
  genesis: Genesis,
  events: readonly Event[],
  before: Base,
  body: CheckpointBody,
): Event[] | undefined {
  if (body.height !== before.height + 1) return undefined
  const owners = new Map(
    events.flatMap((event) => (event.family === 'owner' ? [[event.id, event] as const] : [])),
  )
  const part = new Map<EventId, OwnerEvent>()
  const visit = (id: EventId): boolean => {
    if (id === genesis.id || part.has(id)) return true
    const event = owners.get(id)
    if (event === undefined) return false
    part.set(id, event)
    return event.parents.every(visit)
  }
  if (!body.heads.every(visit)) return undefined
  if (![...before.owner].every((id) => id === genesis.id || part.has(id))) return undefined
  if (body.without.some((id) => before.owner.has(id) || before.proposals.has(id))) return undefined
  // What an earlier one left out stays open until a later review names it.
  const named = new Set(
    [...part.values()]
      .filter((event) => !before.owner.has(event.id))
      .flatMap((event) =>
        event.body.kind === 'review' ? event.body.items.map(({ proposal }) => proposal) : [],
      ),
  )
  for (const id of body.without) named.delete(id)
  const proposals = [...new Set([...before.proposals, ...named])].map((id) =>
    events.find((event) => event.family === 'proposal' && event.id === id),
  )
  if (proposals.includes(undefined)) return undefined
  return [...part.values(), ...(proposals as Event[])]
}

function liveIn(genesis: Genesis, part: Event[], settled: Settled | undefined): Set<PublicKey> {
  const held = part.filter((event) => event.family === 'owner')
  const a = layerA(genesis, held, settled)
  return new Set(a.tenures.filter(a.live).map(({ key }) => key))
}

function settle(genesis: Genesis, { id }: Body, part: Event[], before: Base): Base {
  const held = part.filter((event) => event.family === 'owner')
  const a = layerA(genesis, held, before.settled)
  const state = referenceState(genesis, part, before.settled)
  const heads = Object.entries(state.objects).flatMap(
    ([
      object,
      {
        heads: [head],
      },
    ]) => (head === undefined ? [] : [[object, head] as const]),
  )
  const pairs = held
    .filter(({ body }) => body.kind === 'remove')
    .flatMap((remove) => a.tenures.map((tenure) => [remove, tenure] as const))
  return {
    id,
    height: before.height + 1,
    owner: new Set([genesis.id, ...held.map((event) => event.id)]),
    proposals: new Set(part.filter(({ family }) => family === 'proposal').map((p) => p.id)),
    live: liveIn(genesis, part, before.settled),
    settled: {
      verdicts: new Map(held.map((event) => [event.id, a.valid(event)])),
      ignored: a.ignored,
      inForce: new Set(
        pairs
          .filter(([remove, tenure]) => a.inForce(remove, tenure))
          .map(([remove, tenure]) => `${remove.id} ${tenure.id}`),
      ),
      requirements: new Map(
        held
          .filter(({ body }) => body.kind === 'review')
          .map((review) => [review.id, a.requirementOf(review)]),
      ),
      heads: new Map(heads),
      names: new Map(Object.entries(state.names)),
      tags: new Map(Object.entries(state.tags)),
    },
  }
}
