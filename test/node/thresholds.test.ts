// Two owners on two machines who decide together: changes, owners, the policy, checkpoints.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type {
  AddResult,
  CheckpointVoted,
  CloneResult,
  DatasetInfo,
  Endorsed,
  NodeStatus,
  OwnersChanged,
  ReviewResult,
  VerifyResult,
} from '../../src/contract/api.ts'
import { aWorld, type TestNode, until, type World } from './daemon.ts'
import { writeFiles } from './folders.ts'

const FILES = { 'a.txt': 'first', 'b.txt': 'second' }

interface Pair {
  readonly world: World
  readonly a: TestNode
  readonly b: TestNode
}

/** A and B, both founders of `cells`, which B has cloned from A. */
async function twoOwners(): Promise<Pair> {
  const world = await aWorld()
  const [a, b] = world.nodes('A', 'B')
  await Promise.all([a.start(), b.start()])
  const { publicKey } = await b.json<NodeStatus>('status')
  const made = ['dataset', 'create', 'cells', '--founder', publicKey, '--threshold', '2']
  const { root, policy } = await a.json<DatasetInfo>(...made)
  expect(policy).toEqual({ kOwner: 2, kReview: 2 })
  await b.json('clone', root, '--peer', a.address)
  return { world, a, b }
}

async function sameRoot(...nodes: TestNode[]): Promise<string> {
  return until('all have one root', async () => {
    const roots = await Promise.all(nodes.map(({ api }) => api.root('cells')))
    return new Set(roots.map(({ root }) => root)).size === 1 ? roots[0]?.root : undefined
  })
}

const reaches = (node: TestNode, event: string) =>
  until(`${event} reaches ${node.name}`, () => node.api.show('cells', event).catch(() => false))

const code = async (node: TestNode, ...args: string[]): Promise<string> => {
  const { stdout } = await node.run(...args)
  return (JSON.parse(stdout) as { error?: { code: string } }).error?.code ?? 'none'
}

/** A proposes and accepts files; both have them. @returns the event. */
async function approvedByA({ world, a, b }: Pair): Promise<string> {
  const folder = await writeFiles(join(world.dir, 'files'), FILES)
  const added = await a.json<AddResult>('add', 'cells', folder, '--accept')
  expect(added).toMatchObject({
    objects: Object.keys(FILES).map(() => ({ status: 'pending' })),
    approvals: { have: 1, needed: 2 },
  })
  const [event] = added.events as [string]
  await until('B knows that A accepts', async () => {
    const [entry] = await b.api.listReviews('cells')
    return entry?.event === event && entry.approvals?.have === 1
  })
  return event
}

it('a change is in when both have accepted it, and both nodes agree on the root', async () => {
  const pair = await twoOwners()
  const { a, b } = pair
  const event = await approvedByA(pair)
  expect(await code(a, 'review', 'accept', 'cells', event)).toBe('ALREADY_APPROVED')
  const { decided } = await b.json<ReviewResult>('review', 'accept', 'cells', event)
  expect(decided).toEqual([`${event}:0-1`])
  await until('A has it', async () => (await a.api.listObjects('cells')).objects.length === 2)
  await sameRoot(a, b)
  const verified = await b.json<VerifyResult>('verify', 'cells')
  expect(verified).toMatchObject({ ok: true, problems: [] })
}, 60_000)

it('a third owner and a policy need the endorsement of the second', async () => {
  const { world, a, b } = await twoOwners()
  const carol = '7d59c51523d5f64ce06a2bb2f1a1d3ae3b9d3b8ae84a3f3b1f4a3d1c1b1a1f0e'
  const added = await a.json<OwnersChanged>('owner', 'add', 'cells', carol, '--name', 'Carol')
  expect(added.owners).toHaveLength(2)
  expect(added.waiting).toMatchObject([{ event: added.event, approvals: { have: 1, needed: 2 } }])
  await reaches(b, added.event)
  const endorsed = await b.json<Endorsed>('owner', 'endorse', 'cells', added.event)
  expect(endorsed).toMatchObject({ operation: added.event, waiting: [] })
  expect(endorsed.owners[2]).toMatchObject({ key: carol, name: 'Carol', rank: 3 })
  await reaches(a, endorsed.event)
  expect((await a.api.owners('cells')).owners).toHaveLength(3)

  for (const [reviews, before] of [
    [1, 2],
    [2, 1],
  ] as const) {
    const set = await b.api.setPolicy('cells', reviews)
    expect(set).toMatchObject({ kReview: before, waiting: [{ kind: 'policy', reviews }] })
    await reaches(a, set.event)
    const { event } = await a.api.endorse('cells', set.event)
    await reaches(b, event)
    expect(await b.api.policy('cells')).toMatchObject({ kReview: reviews, waiting: [] })
    const folder = await writeFiles(join(world.dir, `by-${reviews}`), { [`${reviews}.txt`]: 'x' })
    const { objects } = await a.api.add('cells', { paths: [folder], accept: true })
    expect(objects).toMatchObject([{ status: reviews === 1 ? 'accepted' : 'pending' }])
  }
  await sameRoot(a, b)
}, 60_000)

it('both settle the history by a checkpoint, which a clone can be anchored to', async () => {
  const pair = await twoOwners()
  const { world, a, b } = pair
  await b.json('review', 'accept', 'cells', await approvedByA(pair))
  await sameRoot(a, b)

  const made = await a.json<CheckpointVoted>('checkpoint', 'create', 'cells')
  const { id } = made.checkpoint
  expect(made.checkpoint).toMatchObject({ height: 1, status: 'open', needed: 2 })
  expect(made.checkpoint.votes).toHaveLength(1)
  await reaches(b, made.event)
  const voted = await b.json<CheckpointVoted>('checkpoint', 'vote', 'cells', id)
  expect(voted.checkpoint).toMatchObject({ id, status: 'final' })
  expect(await code(b, 'checkpoint', 'vote', 'cells', id)).toBe('ALREADY_VOTED')
  await reaches(a, voted.event)
  const root = await sameRoot(a, b)
  for (const node of [a, b]) {
    await until('the checkpoint is checked', async () => {
      const { checkpoints } = await node.api.checkpoints('cells')
      return checkpoints[0]?.check === 'verified'
    })
    const info = await node.api.showDataset('cells')
    expect(info).toMatchObject({ checkpoint: { id, height: 1 }, alarms: [] })
  }

  const c = world.node('C')
  await c.start()
  const clone = ['clone', root, '--peer', b.address, '--name', 'cells', '--anchor']
  expect(await code(c, ...clone, root)).toBe('ANCHOR_NOT_FOUND')
  const cloned = await c.json<CloneResult>(...clone, id)
  expect(cloned).toMatchObject({ root, name: 'cells', objects: 2 })
  expect(await c.api.checkpoints('cells')).toMatchObject({
    checkpoints: [{ id, status: 'final', anchor: true }],
  })
  expect(await c.json<VerifyResult>('verify', 'cells')).toMatchObject({ ok: true })
}, 60_000)
