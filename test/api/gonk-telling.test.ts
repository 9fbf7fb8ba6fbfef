// What the dialect tells of events that did not come through it: of other nodes, in any order, and by
// strangers, who claim nothing and stand in nobody's way.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { NodeContext } from '../../src/api/context.ts'
import { listEvents, listWith } from '../../src/api/gonk/reading.ts'
import { review } from '../../src/api/gonk/reviewing.ts'
import { checkDeletable, checkSchemaName, checkUnique, latestOf } from '../../src/api/gonk/rules.ts'
import type { GonkStatus } from '../../src/api/gonk/types.ts'
import { uuidOfObject } from '../../src/api/gonk/uuids.ts'
import { View } from '../../src/api/gonk/view.ts'
import { readEvent } from '../../src/api/resolve.ts'
import type { Labels, Operation, Proposal } from '../../src/core/event.ts'
import { type EventId, hexOf, objectIdOf } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import type { Signer } from '../../src/ports.ts'
import { type Replica, signDraft } from '../../src/replica/replica.ts'
import { makeNode, signerNamed, type TestDataset, type TestNode } from './make-node.ts'

const owner = signerNamed('owner')
const second = signerNamed('second')
const stranger = signerNamed('stranger')

let node: TestNode
let dataset: TestDataset
let view: View
const others: TestNode[] = []

beforeEach(async () => {
  node = await makeNode()
  dataset = await node.createDataset('birds', [owner])
  view = new View(node, dataset.replica)
})
afterEach(async () => {
  for (const one of [node, ...others.splice(0)]) await one.close()
})

/** The same dataset on another node, empty but for its genesis. */
async function copy(): Promise<{ view: View; replica: Replica }> {
  const other = await makeNode()
  others.push(other)
  await other.catalog.create(dataset.entry.id, { name: 'birds' })
  const replica = await other.replicas.get(dataset.entry.id)
  await send(replica, [dataset.entry.id])
  return { view: new View(other, replica), replica }
}

async function send(to: Replica, ids: readonly EventId[]): Promise<void> {
  const blocks = await dataset.replica.log.blocks(ids)
  const { stored } = await to.submit(blocks as Uint8Array[])
  expect(stored).toHaveLength(ids.length)
}

/** A proposal as it comes from a peer. */
async function fromPeer(by: Signer, operations: readonly Operation[], labels?: Labels) {
  const block = signDraft(
    {
      family: 'proposal',
      dataset: dataset.entry.id,
      operations,
      claimedAtMs: node.clock.nowMs(),
      ...(labels && { labels }),
    },
    by,
    sha256,
  )
  const { stored } = await dataset.replica.submit([block])
  expect(stored).toHaveLength(1)
  return stored[0] as Proposal
}

const idOf = (proposal: Proposal, index = 0) => objectIdOf({ proposal: proposal.id, index }, sha256)
const uuidOf = (proposal: Proposal, index = 0) => uuidOfObject(idOf(proposal, index))
const version = (proposal: Proposal, index = 0) => ({ proposal: proposal.id, index })

async function listed(of: View, status: GonkStatus) {
  await of.catchUp()
  return (await listWith(of, 'object', status, undefined)).items
}

async function eventsOf(of: View) {
  await of.catchUp()
  return (await listEvents(of, undefined)).items
}

const typesOf = async (of: View) => (await eventsOf(of)).map(({ type }) => type)

describe('events in another order', () => {
  test('a review that comes before its proposal is told after it', async () => {
    const proposal = await dataset.create(owner, await dataset.file('a'), await dataset.file('b'))
    const { id: accept } = await dataset.accept(owner, proposal)
    const there = await copy()
    await send(there.replica, [accept])
    expect(await typesOf(there.view)).toEqual(['OwnerAddEvent'])
    await send(there.replica, [proposal.id])
    expect(await typesOf(there.view)).toEqual([
      'OwnerAddEvent',
      'ObjectCreateEvent',
      'ObjectCreateEvent',
      'ReviewAcceptEvent',
      'ReviewAcceptEvent',
    ])
    expect(await listed(there.view, 'accepted')).toEqual(await listed(view, 'accepted'))
  })

  test('updates, deletions and their reviews wait for what they are about', async () => {
    const created = await dataset.add(owner, await dataset.file('a'))
    const object = idOf(created)
    const value = await dataset.file('a', 'new')
    const update = { op: 'update' as const, object, base: [version(created)], value }
    const updated = await dataset.propose(owner, update)
    const { id: first } = await dataset.accept(owner, updated)
    const gone = { op: 'delete' as const, object, base: [version(updated)] }
    const removed = await dataset.propose(owner, gone)
    const { id: last } = await dataset.reject(owner, removed)
    const there = await copy()
    const ids: EventId[] = []
    for await (const [, id] of dataset.replica.log.arrivals(1)) ids.push(id)
    const early = [removed.id, updated.id]
    await send(there.replica, early)
    await there.view.catchUp()
    const owners = ids.filter((id) => ![...early, created.id].includes(id))
    await send(there.replica, owners)
    expect(await typesOf(there.view)).toEqual(['OwnerAddEvent'])
    await send(there.replica, [created.id])
    expect((await typesOf(there.view)).toSorted()).toEqual((await typesOf(view)).toSorted())
    expect(owners).toContain(first)
    expect(owners).toContain(last)
    for (const status of ['accepted', 'pending', 'rejected', 'deleted'] as const) {
      expect(await listed(there.view, status)).toEqual(await listed(view, status))
    }
    const line = await typesOf(there.view)
    expect(line.indexOf('ObjectCreateEvent')).toBeLessThan(line.indexOf('ObjectUpdateEvent'))
    expect(line.indexOf('ObjectDeleteEvent')).toBeLessThan(line.indexOf('ReviewRejectEvent'))
  })

  test('what was told is not told again when a crash lost how far it went', async () => {
    const proposal = await dataset.create(owner, await dataset.file('a'), await dataset.file('b'))
    await dataset.accept(owner, proposal)
    await dataset.create(owner, await dataset.file('c'))
    const before = await eventsOf(view)
    const tail = await view.log.tail()
    await view.log.commit([view.log.putTail({ ...tail, arrival: 0 })])
    const again = new View(node, dataset.replica)
    expect(await eventsOf(again)).toEqual(before)
    await dataset.create(owner, await dataset.file('d'))
    expect(await eventsOf(again)).toHaveLength(before.length + 1)
  })

  test('all at once is told as one by one', async () => {
    const object = idOf(await dataset.add(owner, await dataset.file('a')))
    await view.catchUp()
    const proposal = await dataset.create(owner, await dataset.file('b'), await dataset.file('c'))
    await view.catchUp()
    await dataset.reject(owner, proposal)
    await view.catchUp()
    await dataset.add(owner, await dataset.file('d'))
    const purge = await dataset.propose(owner, { op: 'purge', object })
    expect(await listed(view, 'pending')).toHaveLength(1)
    await dataset.accept(owner, purge)
    expect(await listed(view, 'deleted')).toHaveLength(1)
    const there = await copy()
    const ids: EventId[] = []
    for await (const [, id] of dataset.replica.log.arrivals(1)) ids.push(id)
    // Events of one kind come together: the order within a batch is that of the store.
    for (const id of ids) await send(there.replica, [id])
    expect(await eventsOf(there.view)).toEqual(await eventsOf(view))
    for (const status of ['accepted', 'pending', 'rejected', 'deleted'] as const) {
      expect(await listed(there.view, status)).toEqual(await listed(view, status))
    }
  })

  test('a decision that is struck is none, though its event stays', async () => {
    const { proposal, strike } = await toBeStruck()
    expect(await listed(view, 'accepted')).toHaveLength(1)
    await strike()
    expect(await listed(view, 'accepted')).toEqual([])
    expect(await listed(view, 'pending')).toHaveLength(1)
    expect(await typesOf(view)).toContain('ReviewAcceptEvent')
    // It may be decided again.
    const context = { ...node, signer: owner } as unknown as NodeContext
    const { uuid = '' } = (await view.log.operation(version(proposal))) ?? {}
    await review(context, view, uuid, 'reject')
    expect(await listed(view, 'rejected')).toHaveLength(1)
    expect((await typesOf(view)).at(-1)).toBe('ReviewRejectEvent')
    await expect(review(context, view, uuid, 'accept')).rejects.toThrow('event already reviewed')
  })

  test('a decision that is struck while it is told is none', async () => {
    await view.catchUp()
    const { strike } = await toBeStruck()
    const { log } = dataset.replica
    const voids = log.voids.bind(log)
    vi.spyOn(log, 'voids').mockImplementationOnce(async () => {
      await strike()
      return voids()
    })
    await view.catchUp()
    expect(await listed(view, 'accepted')).toEqual([])
    expect(await listed(view, 'pending')).toHaveLength(1)
  })

  test('many deletions that wait for one object cost one look at their proposal', async () => {
    const created = await dataset.create(owner, await dataset.file('a'))
    const removal = { op: 'delete' as const, object: idOf(created), base: [version(created)] }
    const removals = await fromPeer(stranger, Array<Operation>(50).fill(removal))
    const there = await copy()
    await send(there.replica, [removals.id])
    expect(await typesOf(there.view)).toEqual(['OwnerAddEvent'])
    const read = vi.spyOn(there.replica, 'proposal')
    await send(there.replica, [created.id])
    await there.view.catchUp()
    expect((await there.view.log.tail()).seq).toBe(52)
    expect(read).toHaveBeenCalledTimes(1)
  })
})

/** A stranger's file that a second owner has accepted, and what makes that be struck. */
async function toBeStruck() {
  const { id: added } = await dataset.replica.act(owner, { kind: 'add', key: second.publicKey })
  const proposal = await dataset.create(stranger, await dataset.file('a'))
  await dataset.accept(second, proposal)
  const parent = await readEvent(dataset.replica.log, added)
  const body = { kind: 'remove' as const, key: second.publicKey }
  return {
    proposal,
    strike: () => dataset.forge(owner, { parents: [parent], founder: 0, body }),
  }
}

describe('strangers', () => {
  test('do not take contents, names or deletions from others', async () => {
    const file = await dataset.file('a')
    const schema = await dataset.file('schema-a', '{}', 'application/schema+json')
    const theirs = await fromPeer(stranger, [
      { op: 'create', value: file },
      { op: 'create', value: schema },
    ])
    await view.catchUp()
    await checkUnique(view, [hexOf(file.content.subarray(-32))])
    await checkSchemaName(view, 'schema-a')
    const own = await dataset.add(owner, await dataset.file('b'))
    const object = idOf(own)
    await fromPeer(stranger, [{ op: 'delete', object, base: [version(own)] }])
    expect(await listed(view, 'pending')).toContainEqual({ uuid: uuidOfObject(object), version: 0 })
    const row = await view.log.version({ uuid: uuidOfObject(object), version: 0 })
    checkDeletable(row as NonNullable<typeof row>, 'object')
    // Once an owner accepts it, it counts.
    await dataset.accept(owner, theirs)
    await view.catchUp()
    await expect(checkUnique(view, [hexOf(file.content.subarray(-32))])).rejects.toThrow(
      `duplicate hash detected in object ${uuidOf(theirs)}:0`,
    )
    await expect(checkSchemaName(view, 'schema-a')).rejects.toThrow('schema name already in use')
  })

  test('do not decide what the latest version is, and number nothing anew', async () => {
    const created = await dataset.add(owner, await dataset.file('a'))
    const object = idOf(created)
    const uuid = uuidOfObject(object)
    const value = await dataset.file('a', 'theirs')
    await fromPeer(stranger, [{ op: 'update', object, base: [version(created)], value }])
    await view.catchUp()
    const found = await view.find('object', uuid, 'Object')
    expect(found.thing.versions).toBe(2)
    const walk = vi.spyOn(view.log, 'versionsOf')
    const look = vi.spyOn(view.log, 'version')
    expect((await latestOf(view, found)).id).toEqual(version(created))
    expect([walk.mock.calls, look.mock.calls.length]).toEqual([[], 1])
  })

  test('claim nothing by labels; owners say whose events they carry over', async () => {
    const uuid = '00112233-4455-4677-8899-aabbccddee01'
    const event = '00112233-4455-4677-8899-aabbccddee02'
    const labels = {
      'gonk.uuid': uuid,
      'gonk.event': event,
      'gonk.author': 'TESTUSER1',
      'gonk.timestamp': '2023-09-28T12:00:00.000001Z',
    }
    const value = await dataset.file('a')
    const theirs = await fromPeer(stranger, [{ op: 'create', value, labels }])
    const ours = await dataset.propose(owner, { op: 'create', value, labels })
    const [, first, last] = await eventsOf(view)
    expect(first).toMatchObject({ author: stranger.publicKey, object: { uuid: uuidOf(theirs) } })
    expect(last).toMatchObject({
      uuid: event,
      author: 'TESTUSER1',
      timestamp: '2023-09-28T12:00:00.000001Z',
      object: { uuid },
    })
    expect(await view.log.uuidOf(idOf(ours))).toBe(uuid)
    // What is taken is taken.
    const again = await dataset.propose(owner, {
      ...{ op: 'create' as const, labels },
      value: await dataset.file('b'),
    })
    expect((await eventsOf(view)).at(-1)).toMatchObject({ object: { uuid: uuidOf(again) } })
  })
})

test('a policy that comes late takes back what it had not acknowledged', async () => {
  const two = await node.createDataset('two', [owner, second], { kOwner: 2, kReview: 2 })
  const { replica } = two
  const there = new View(node, replica)
  const genesis = await readEvent(replica.log, replica.id)
  const root = { parents: [genesis], founder: 0 }
  const low = await two.forge(owner, { ...root, body: { kind: 'policy', kReview: 1 } })
  await replica.act(second, { kind: 'endorse', operation: low.id })
  await two.add(owner, await two.file('a'))
  expect(await listed(there, 'accepted')).toHaveLength(1)
  const types = await typesOf(there)

  const body = { kind: 'policy' as const, kReview: 2 }
  const high = await two.forge(second, { parents: [genesis], founder: 1, body })
  const endorse = { kind: 'endorse' as const, operation: high.id }
  await two.forge(owner, { parents: [high], founder: 0, body: endorse })
  expect(await listed(there, 'accepted')).toEqual([])
  expect(await listed(there, 'pending')).toHaveLength(1)
  expect(await typesOf(there)).toEqual(types)
})
