// Checkpoints: owners who draft them and vote, users who trust one, and rogues who vote twice, vote for
// whatever they like, and bring up late what would have changed what is settled.
import { checkpointIdOf } from '../../src/core/checkpoint-id.ts'
import type { CheckpointBody, Event } from '../../src/core/event.ts'
import { type CheckpointId, cidBytesOf, type EventId } from '../../src/core/ids.ts'
import type { ActingBody } from '../../src/replica/author-queue.ts'
import type { Choices } from '../reference/generator.ts'
import { acceptOf, atOwner } from './honest-actions.ts'
import { cheapCrypto } from './keys.ts'
import type { KnownTenure } from './library.ts'
import { forged, give, write } from './rogue-actions.ts'
import type { ActionOf, World } from './world.ts'

/** Votes for one come in within so long. */
const VOTING_MS = 1_500
const KEPT_BACK_MS = 9_000

const sorted = <T extends string>(ids: Iterable<T>): T[] => [...new Set(ids)].sort()

function idOf({ genesis }: World, body: CheckpointBody): CheckpointId {
  return checkpointIdOf(genesis.id, body, cheapCrypto.sha256)
}

/** Heads as they are or were, that cover what `previous` does. */
function someHeads({ library, genesis }: World, choices: Choices, previous?: CheckpointBody) {
  const asOf = library.owner.slice(0, 1 + choices.below(library.owner.length))
  const ends = library.heads(choices.chance(70) ? library.owner : asOf).map(({ id }) => id)
  const before = previous !== undefined && choices.chance(80) ? previous.heads : []
  const heads = sorted([...ends, ...before]).slice(0, 64)
  return heads.length > 0 ? heads : [genesis.id]
}

/** One that nobody sees through before it is looked at: of some heads, after some other one. */
function someBody(world: World, choices: Choices): CheckpointBody {
  const { library, genesis } = world
  const bodies = library.checkpoints
  const previous = bodies.length > 0 && choices.chance(75) ? choices.of(bodies) : undefined
  const heads = someHeads(world, choices, previous)
  const isLacking = (id: EventId) => !library.proposals.some((proposal) => proposal.id === id)
  return {
    height: 1 + (previous?.height ?? 0),
    ...(previous && { previous: idOf(world, previous) }),
    heads,
    without: choices.chance(80) ? sorted(library.named.filter(isLacking)) : [],
    root: cidBytesOf(genesis.id),
  }
}

/** Another one in the same place. */
function rivalOf(world: World, choices: Choices, body: CheckpointBody): CheckpointBody {
  const { library } = world
  const previous = library.checkpoints.find((one) => idOf(world, one) === body.previous)
  switch (choices.below(3)) {
    case 0:
      return { ...body, root: cidBytesOf(choices.of(library.owner).id) }
    case 1:
      return { ...body, heads: someHeads(world, choices, previous) }
    default: {
      const more = library.named.filter(() => choices.chance(30))
      return { ...body, without: sorted([...body.without, ...more]) }
    }
  }
}

/** At its own node, if that is up and knows the owner; owners without one sign wherever they are. */
function vote(world: World, choices: Choices, tenure: KnownTenure, checkpoint: CheckpointBody) {
  const { library, nodes } = world
  const body: ActingBody = { kind: 'cp', checkpoint }
  const own = nodes.filter(({ signer }) => signer.publicKey === tenure.key)
  if (own.length === 0) {
    const parents = choices.chance(50) ? library.heads() : []
    return give(world, choices, [write(world, choices, tenure, body, parents)])
  }
  for (const node of own) {
    const { replica, signer } = node
    if (replica?.tenureOf(tenure.key) === undefined) continue
    world.act(node, 'vote', replica.act(signer, body))
    return
  }
}

/** What moves heads, names and owners of whatever is not settled, and proposals that come with it. */
function lateBody(world: World, choices: Choices, own: KnownTenure): [ActingBody, ...Event[]] {
  const { library } = world
  const proposals = [...library.proposals, ...library.withheld]
  const what = choices.below(100)
  if (what < 50) {
    const operation = library.someRivalOperation(choices)
    const proposal = world.proposal(choices, own.key, [operation])
    return [acceptOf(proposal), proposal]
  }
  if (what < 65 && proposals.length > 0) return [acceptOf(choices.of(proposals))]
  if (what < 95) return [{ kind: 'remove', key: choices.of(library.voters).key }]
  return [library.someBody(choices, own.key)]
}

export const checkpointActions = {
  /** Somebody drafts one, and some of the others vote for it, wherever they are. */
  settle: atOwner(14, ({ world, node, replica, choices }) => {
    const { signer } = node
    const percent = choices.of([50, 90, 100])
    const made = replica.checkpointDraft().then(async (checkpoint) => {
      const first = await replica.act(signer, { kind: 'cp', checkpoint })
      for (const tenure of world.library.voters) {
        if (tenure.key === signer.publicKey || !choices.chance(percent)) continue
        world.scheduler.in(choices.below(VOTING_MS), () => vote(world, choices, tenure, checkpoint))
      }
      return first
    })
    world.act(node, 'settle', made)
  }),
  draftCheckpoint: atOwner(4, ({ world, node, replica }) => {
    const made = replica.checkpointDraft().then((checkpoint) => {
      return replica.act(node.signer, { kind: 'cp', checkpoint })
    })
    world.act(node, 'checkpoint', made)
  }),
  voteForCheckpoint: atOwner(10, ({ world, node, replica, choices }) => {
    const made = replica.checkpoints().then((all) => {
      const open = all.filter(({ status }) => status === 'open')
      if (open.length === 0) return undefined
      return replica.act(node.signer, { kind: 'cp', checkpoint: choices.of(open).body })
    })
    world.act(node, 'vote', made)
  }),
  /** Owners who voted once vote for another one in the same place. */
  rivalCheckpoint: {
    weight: 7,
    run(world, choices) {
      const { library } = world
      const { checkpoints } = library
      if (checkpoints.length === 0) return
      const body = choices.chance(60) ? checkpoints.at(-1) : choices.of(checkpoints)
      const checkpoint = rivalOf(world, choices, body as CheckpointBody)
      const percent = choices.of([30, 70, 100])
      for (const tenure of library.voters) {
        if (!choices.chance(percent)) continue
        const parents = choices.chance(50) ? library.heads() : []
        const said = { kind: 'cp', checkpoint } as const
        give(world, choices, [write(world, choices, tenure, said, parents)])
      }
    },
  },
  forgeCheckpoint: {
    weight: 4,
    run(world, choices) {
      const { library } = world
      if (library.owner.length === 0) return
      const isCopy = library.checkpoints.length > 0 && choices.chance(50)
      const checkpoint = isCopy ? choices.of(library.checkpoints) : someBody(world, choices)
      for (let votes = 1 + choices.below(3); votes > 0; votes--) {
        give(world, choices, forged(world, choices, library.tenures, { kind: 'cp', checkpoint }))
      }
    },
  },
  /** An owner accepts what only it has: whoever settles that leaves it out, until it comes. */
  keepBack: atOwner(6, ({ world, node, replica, choices }) => {
    const proposal = world.proposal(choices, node.signer.publicKey)
    world.library.withheld.push(proposal)
    world.act(node, 'review', replica.act(node.signer, acceptOf(proposal)))
    const ms = choices.below(KEPT_BACK_MS)
    world.scheduler.in(ms, () => give(world, choices, [proposal]))
  }),
  /** A founder comes back from before everything else. */
  undermine: {
    weight: 14,
    run(world, choices) {
      const { library, genesis } = world
      const tenure = library.tenures[choices.below(genesis.founders.length)] as KnownTenure
      const [body, ...more] = lateBody(world, choices, tenure)
      const parents = choices.chance(70) ? [] : library.owner.slice(0, 1)
      give(world, choices, [...more, write(world, choices, tenure, body, parents)])
    },
  },
  /** Users believe somebody: that it was this one, or one that nobody knows, or nobody any more. */
  trust: {
    weight: 4,
    run(world, choices) {
      const ids = sorted(world.library.checkpoints.map((body) => idOf(world, body)))
      const known = ids.length > 0 ? choices.of(ids) : undefined
      const unknown = 'ee'.repeat(32) as CheckpointId
      const anchor = choices.chance(8) ? unknown : choices.chance(10) ? undefined : known
      for (const node of choices.shuffled(world.upNodes()).slice(0, 1 + choices.below(3))) {
        const { replica } = node
        if (replica?.hasGenesis !== true) continue
        const made = replica.setAnchor(anchor).then(() => undefined)
        world.act(node, 'trust', made)
      }
    },
  },
} as const satisfies Record<string, ActionOf>
