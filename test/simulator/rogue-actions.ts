// What rogues do: owners who fork, date back or go on after their removal, and strangers with nonsense.
// They give their events to whom they like, over the network, as peers that nobody can ask.
import { hash } from 'node:crypto'
import type { Event, OwnerEvent } from '../../src/core/event.ts'
import type { PublicKey } from '../../src/core/ids.ts'
import type { ActingBody } from '../../src/replica/author-queue.ts'
import { encodeGossip } from '../../src/replica/gossip-messages.ts'
import type { Choices } from '../reference/generator.ts'
import { laterBlock } from '../replica/signed-history.ts'
import type { KnownTenure } from './library.ts'
import type { ActionOf, World } from './world.ts'

const GHOSTS = 3
const TRAVEL_MS = 200

/** Gives something to some of the nodes, at different times. */
function spread(world: World, choices: Choices, bodies: readonly Uint8Array[]): void {
  const ghost = `ghost-${choices.below(GHOSTS)}`
  const some = choices.shuffled(world.nodes).slice(0, 1 + choices.below(world.nodes.length))
  for (const node of some) {
    for (const body of bodies) {
      world.scheduler.in(choices.below(TRAVEL_MS), () =>
        node.endpoint?.hear(ghost, hash('sha256', body), body),
      )
    }
  }
}

export function give(world: World, choices: Choices, events: readonly Event[]): void {
  spread(
    world,
    choices,
    events.map(({ block }) => encodeGossip({ k: 'event', block })),
  )
}

/** One event of a tenure, wherever in the history. */
export function write(
  world: World,
  choices: Choices,
  tenure: KnownTenure,
  body: ActingBody,
  parents: readonly OwnerEvent[],
): OwnerEvent {
  return world.made(
    {
      family: 'owner',
      dataset: world.genesis.id,
      claimedAtMs: choices.below(2 ** 31),
      body,
      ...placeOf(world, tenure, parents),
    },
    tenure.key,
  ) as OwnerEvent
}

/** What it cites: the add of its tenure is in its past, whatever else is. */
function placeOf({ library, genesis }: World, { id, add }: KnownTenure, on: readonly OwnerEvent[]) {
  const parents = [...new Set(on)].slice(0, 63)
  if (add !== undefined && !library.isInPast(add.id, parents)) parents.push(add)
  const ids = parents.length > 0 ? parents.map((parent) => parent.id) : [genesis.id]
  const depth = 1 + Math.max(0, ...parents.map((parent) => parent.depth))
  return { tenure: id, parents: ids.sort(), depth }
}

/** Heads as they were some time ago, or any few events. */
function oldParents({ library }: World, choices: Choices): OwnerEvent[] {
  const { owner } = library
  if (owner.length === 0) return []
  if (choices.chance(30)) {
    return Array.from({ length: 1 + choices.below(3) }, () => choices.of(owner))
  }
  return library.heads(owner.slice(0, 1 + choices.below(owner.length)))
}

/** Of one of these tenures, on parents of some time ago. */
export function forged(
  world: World,
  choices: Choices,
  tenures: readonly KnownTenure[],
  body?: ActingBody,
): OwnerEvent[] {
  const tenure = choices.of(tenures)
  const said = body ?? world.library.someBody(choices, tenure.key)
  return [write(world, choices, tenure, said, oldParents(world, choices))]
}

const nobody = (choices: Choices, keys: readonly PublicKey[]) => choices.of(keys.slice(-3))

/** Tenures that somebody has tried to end. */
function removed({ library }: World): KnownTenure[] {
  const keys = new Set(
    library.owner.flatMap(({ body }) => (body.kind === 'remove' ? [body.key] : [])),
  )
  return library.tenures.filter(({ key }) => keys.has(key))
}

function nonsense(world: World, choices: Choices): Uint8Array {
  const author = nobody(choices, world.library.keys)
  const block = Uint8Array.from(world.proposal(choices, author).block)
  const at = choices.below(block.length)
  switch (choices.below(3)) {
    case 0:
      return block.subarray(0, at)
    case 1:
      block[at] = (block[at] as number) ^ (1 << choices.below(8))
      return encodeGossip({ k: 'event', block })
    default:
      block[block.length - 1 - choices.below(64)] = choices.below(256)
      return encodeGossip({ k: 'event', block })
  }
}

export const rogueActions = {
  /** Two events of one tenure beside each other, given to different nodes. */
  equivocate: {
    weight: 7,
    run(world, choices) {
      const tenure = choices.of(world.library.tenures)
      const parents = oldParents(world, choices)
      for (let i = 0; i < 2; i++) {
        const body = world.library.someBody(choices, tenure.key)
        give(world, choices, [write(world, choices, tenure, body, parents)])
      }
    },
  },
  /** An event in a past that has long gone by. */
  backdate: {
    weight: 7,
    run: (world, choices) => give(world, choices, forged(world, choices, world.library.tenures)),
  },
  /** The smallest past there is: whoever is added there wants to be senior. */
  forgeSeniority: {
    weight: 4,
    run(world, choices) {
      const tenure = choices.of(world.library.tenures)
      const key = world.library.someKey(choices)
      const add = write(world, choices, tenure, { kind: 'add', key }, [])
      const junior = { id: add.id as string as KnownTenure['id'], key, add }
      const body = world.library.someBody(choices, key)
      give(world, choices, [add, write(world, choices, junior, body, [add])])
    },
  },
  /** Whoever was removed goes on, on what was known before or on the removal itself. */
  goOnAfterRemoval: {
    weight: 5,
    run(world, choices) {
      const tenures = removed(world)
      if (tenures.length > 0) give(world, choices, forged(world, choices, tenures))
    },
  },
  /** A review of something that nobody has. */
  withhold: {
    weight: 4,
    run(world, choices) {
      const { library } = world
      const proposal = world.proposal(choices, nobody(choices, library.keys))
      library.withheld.push(proposal)
      const body = library.someReview(choices, [proposal])
      give(world, choices, [
        write(world, choices, choices.of(library.tenures), body, library.heads()),
      ])
    },
  },
  reveal: {
    weight: 4,
    run(world, choices) {
      const { withheld } = world.library
      if (withheld.length > 0) give(world, choices, [choices.of(withheld)])
    },
  },
  /** Kinds and versions that come later. */
  unknownKind: {
    weight: 3,
    run(world, choices) {
      const tenure = choices.of(world.library.tenures)
      const place = placeOf(world, tenure, oldParents(world, choices))
      const [kind, version] = choices.of([
        ['noop', 1],
        ['review', 2],
        ['rotate', 3],
      ] as const)
      const signer = world.signerOf(tenure.key)
      const body = { any: choices.below(99) }
      const block = laterBlock(world.genesis.id, signer, { ...place, kind, version, body })
      spread(world, choices, [encodeGossip({ k: 'event', block })])
    },
  },
  flood: {
    weight: 3,
    run(world, choices) {
      const author = nobody(choices, world.library.keys)
      const count = 2 + choices.below(6)
      give(
        world,
        choices,
        Array.from({ length: count }, () => world.proposal(choices, author)),
      )
    },
  },
  nonsense: {
    weight: 3,
    run: (world, choices) => spread(world, choices, [nonsense(world, choices)]),
  },
} as const satisfies Record<string, ActionOf>
