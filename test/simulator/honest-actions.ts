// What owners and contributors do with their own nodes.
import type { Proposal } from '../../src/core/event.ts'
import type { PublicKey } from '../../src/core/ids.ts'
import type { ActingBody } from '../../src/replica/author-queue.ts'
import type { Replica } from '../../src/replica/replica.ts'
import type { Choices } from '../reference/generator.ts'
import type { SimulatedNode } from './node.ts'
import type { ActionOf, World } from './world.ts'

type Work = (needs: {
  world: World
  node: SimulatedNode
  replica: Replica
  choices: Choices
}) => void

/** At some node that is up and has the dataset. */
function atNode(weight: number, work: Work): ActionOf {
  return {
    weight,
    run(world, choices) {
      const up = world.upNodes().filter(({ replica }) => replica?.hasGenesis === true)
      if (up.length === 0) return
      const node = choices.of(up)
      work({ world, node, choices, replica: node.replica as Replica })
    },
  }
}

/** At some node whose key is an owner's, as far as the node knows. */
export function atOwner(weight: number, work: Work): ActionOf {
  return {
    weight,
    run(world, choices) {
      const owners = world
        .upNodes()
        .filter(({ replica, signer }) => replica?.tenureOf(signer.publicKey) !== undefined)
      if (owners.length === 0) return
      const node = choices.of(owners)
      work({ world, node, choices, replica: node.replica as Replica })
    },
  }
}

function byOwner(
  weight: number,
  what: string,
  body: (world: World, choices: Choices, own: PublicKey) => ActingBody,
): ActionOf {
  return atOwner(weight, ({ world, node, replica, choices }) => {
    const { signer } = node
    world.act(node, what, replica.act(signer, body(world, choices, signer.publicKey)))
  })
}

async function review({ world, node, replica, choices }: Parameters<Work>[0]) {
  const { proposals } = world.library
  const held = await replica.log.hasMany(proposals.map(({ id }) => id))
  const known = proposals.filter((_, i) => held[i] === true)
  if (known.length === 0) return
  return replica.act(node.signer, world.library.someReview(choices, known))
}

/** Changes something as it is now, or as it was, and accepts that in one go. */
async function rework({ world, node, replica, choices }: Parameters<Work>[0]) {
  const { library } = world
  const object = library.someObject(choices)
  const [row] = object === undefined ? [] : await replica.log.objectRows([object])
  if (row === undefined || row.versions.length === 0) return
  const heads = choices.chance(70) ? row.heads.slice(0, 2) : []
  const versions = heads.length > 0 ? heads.map((i) => row.versions[i]) : [choices.of(row.versions)]
  const base = versions.flatMap((version) => (version === undefined ? [] : [version.id]))
  const operation = library.someChange(choices, row.id, base)
  const proposal = await replica.propose(node.signer, [operation])
  return replica.act(node.signer, acceptOf(proposal))
}

export function acceptOf({ id }: Proposal): Extract<ActingBody, { kind: 'review' }> {
  return { kind: 'review', verdict: 'accept', items: [{ proposal: id }] }
}

export const honestActions = {
  propose: atNode(20, ({ world, node, replica, choices }) => {
    const key = choices.chance(50) ? node.signer.publicKey : world.library.someKey(choices)
    const operations = world.library.someOperations(choices)
    world.act(node, 'propose', replica.propose(world.signerOf(key), operations))
  }),
  review: atOwner(30, (needs) => needs.world.act(needs.node, 'review', review(needs))),
  rework: atOwner(10, (needs) => needs.world.act(needs.node, 'rework', rework(needs))),
  addOwner: byOwner(8, 'add', (world, choices) => ({
    kind: 'add',
    key: world.library.someKey(choices),
  })),
  removeOwner: byOwner(5, 'remove', (world, choices) => ({
    kind: 'remove',
    key: world.library.someKey(choices),
  })),
  leave: byOwner(2, 'leave', (_, __, key) => ({ kind: 'remove', key })),
  endorse: atOwner(12, ({ world, node, replica, choices }) => {
    const body = world.library.someEndorsement(choices)
    if (body) world.act(node, 'endorse', replica.act(node.signer, body))
  }),
  /** One owner asks the others, who endorse it once they have heard of it. */
  agree: atOwner(10, ({ world, node, replica, choices }) => {
    if (world.genesis.kOwner === 1) return
    const made = replica.act(node.signer, world.library.someOwnerOperation(choices))
    world.act(node, 'agree', made)
    made.then(
      ({ id: operation }) => {
        for (const other of world.nodes) {
          if (other === node || !choices.chance(80)) continue
          world.scheduler.in(300 + choices.below(4_000), () => {
            if (other.replica?.tenureOf(other.signer.publicKey) === undefined) return
            const body = { kind: 'endorse', operation } as const
            world.act(other, 'endorse', other.replica.act(other.signer, body))
          })
        }
      },
      () => {},
    )
  }),
  policy: byOwner(4, 'policy', (world, choices) => world.library.somePolicy(choices)),
  release: byOwner(4, 'release', (world, choices) => world.library.someRelease(choices)),
  /** Somebody asks for the root in the middle of everything. */
  look: atNode(6, ({ world, node, replica }) => {
    world.act(
      node,
      'look',
      replica.snapshot().then(() => undefined),
    )
  }),
} as const satisfies Record<string, ActionOf>
