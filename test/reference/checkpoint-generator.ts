// Random histories with checkpoints: bodies of different heights and siblings, some of which leave out what
// is here or miss what is not; votes by anybody who ever was an owner, late, twice, and for several.
import { checkpointIdOf } from '../../src/core/checkpoint-id.ts'
import type { CheckpointBody, Event, Genesis, OwnerBody, OwnerEvent } from '../../src/core/event.ts'
import {
  type CheckpointId,
  cidBytesOf,
  type EventId,
  founderTenure,
  hexOf,
  type PublicKey,
  type TenureId,
} from '../../src/core/ids.ts'
import { isOwnerEvent, sha256 } from '../makers.ts'
import { Choices, type HistoryOptions, type RandomHistory, randomHistory } from './generator.ts'

export interface CheckpointHistory extends RandomHistory {
  readonly checkpoints: readonly { readonly id: CheckpointId; readonly body: CheckpointBody }[]
}

interface World {
  readonly choices: Choices
  readonly genesis: Genesis
  readonly known: Event[]
  readonly bodies: { id: CheckpointId; body: CheckpointBody }[]
}

/** The history of {@link randomHistory}, with checkpoints wherever it was at that moment. */
export function checkpointHistory(
  seed: number,
  ownerEvents: number,
  options: HistoryOptions = {},
): CheckpointHistory {
  const { genesis, events } = randomHistory(seed, ownerEvents, options)
  const choices = new Choices(seed ^ 0x3c6ef372)
  const world: World = { choices, genesis, known: [], bodies: [] }
  const held = new Set(events.map(({ id }) => id))
  const every = 2 + choices.below(8)
  for (const event of events) {
    world.known.push(event)
    if (isOwnerEvent(event) && choices.below(every) === 0) addCheckpoint(world, held)
    while (world.bodies.length > 0 && choices.chance(25)) vote(world, choices.of(world.bodies))
    while (world.bodies.length > 0 && choices.chance(30)) acceptOfOld(world)
  }
  addCheckpoint(world, held)
  return { genesis, events: world.known, checkpoints: world.bodies }
}

function addCheckpoint(world: World, held: ReadonlySet<EventId>): void {
  const { choices, genesis, known, bodies } = world
  const owners = known.filter(isOwnerEvent)
  const before = choices.chance(85) ? bodies.at(-1 - choices.below(2)) : choices.of([...bodies])
  const previous = choices.chance(90) ? before : undefined
  const asOf = choices.chance(70) ? owners : owners.slice(0, 1 + choices.below(owners.length))
  const builtOn = new Set(asOf.flatMap(({ parents }) => parents))
  const ends = asOf.filter(({ id }) => !builtOn.has(id)).map(({ id }) => id)
  const some = choices.chance(80) ? ends : ends.filter(() => choices.chance(60))
  const settled = previous !== undefined && choices.chance(88) ? previous.body.heads : []
  const all = [...new Set([...some, ...settled])].sort()
  const heads = all.length > 0 ? all.slice(0, 64) : [genesis.id]
  const named = namedBy(owners, heads)
  const covered = previous && new Set(namedBy(owners, previous.body.heads))
  const isLeftOut = (id: EventId) => {
    if (!held.has(id)) return choices.chance(92)
    const wasCovered = covered?.has(id) === true && !previous?.body.without.includes(id)
    return choices.chance(wasCovered ? 6 : 12)
  }
  const body: CheckpointBody = {
    height: (previous?.body.height ?? 0) + (choices.chance(98) ? 1 : 2),
    ...(previous && { previous: previous.id }),
    heads,
    without: named.filter(isLeftOut).sort(),
    root: cidBytesOf(genesis.id),
  }
  if (body.height > 1 !== (body.previous !== undefined)) return
  const checkpoint = { id: checkpointIdOf(genesis.id, body, sha256), body }
  bodies.push(checkpoint)
  for (let votes = choices.below(5); votes >= 0; votes--) vote(world, checkpoint)
}

/** Proposals that reviews in the past of these events name. */
function namedBy(owners: readonly OwnerEvent[], heads: readonly EventId[]): EventId[] {
  const byId = new Map(owners.map((event) => [event.id, event]))
  const past = new Set(heads)
  for (const id of past) for (const parent of byId.get(id)?.parents ?? []) past.add(parent)
  const named = new Set<EventId>()
  for (const id of past) {
    const body = byId.get(id)?.body
    if (body?.kind === 'review') for (const { proposal } of body.items) named.add(proposal)
  }
  return [...named]
}

/** A founder's, dated before nearly all others: it moves heads and names of whatever is not settled. */
function acceptOfOld({ choices, genesis, known }: World): void {
  const proposals = known.filter(({ family }) => family === 'proposal')
  if (proposals.length === 0) return
  const index = choices.below(genesis.founders.length)
  const tenure = { id: founderTenure(index), key: genesis.founders[index] as PublicKey }
  const parents = [choices.chance(70) ? genesis : choices.of(known.filter(isOwnerEvent))]
  const items = [{ proposal: choices.of(proposals).id }]
  known.push(
    signedBy(genesis, tenure, { kind: 'review', verdict: 'accept', items }, parents, known),
  )
}

/** By any tenure there is, valid or not, on any of its parents. */
function vote({ choices, genesis, known }: World, { body }: { body: CheckpointBody }): void {
  const owners = known.filter(isOwnerEvent)
  const founders = genesis.founders.map((key, i) => ({ id: founderTenure(i), key, add: undefined }))
  const added = owners.flatMap((add) =>
    add.body.kind === 'add' ? [{ id: add.id as string as TenureId, key: add.body.key, add }] : [],
  )
  const tenure = choices.of(choices.chance(60) ? founders : [...founders, ...added])
  const smallest: (OwnerEvent | Genesis)[] = [tenure.add ?? genesis]
  const more = choices.chance(40) ? [choices.of(owners)] : []
  const parents = [...new Set([...smallest, ...more])]
  known.push(signedBy(genesis, tenure, { kind: 'cp', checkpoint: body }, parents, known))
}

function signedBy(
  genesis: Genesis,
  tenure: { id: TenureId; key: PublicKey },
  body: OwnerBody,
  parents: readonly (OwnerEvent | Genesis)[],
  { length }: readonly Event[],
): OwnerEvent {
  const text = new TextEncoder().encode(`${body.kind} after ${length} ${genesis.id}`)
  return {
    id: hexOf(sha256(text)) as EventId,
    block: new Uint8Array(0),
    author: tenure.key,
    claimedAtMs: 0,
    family: 'owner',
    kind: body.kind,
    dataset: genesis.id,
    tenure: tenure.id,
    depth: 1 + Math.max(...parents.map((p) => (p.family === 'owner' ? p.depth : 0))),
    parents: parents.map(({ id }) => id).sort(),
    body,
  }
}
