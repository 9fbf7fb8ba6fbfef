import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Operation, OwnerEvent, Proposal } from '../../src/core/event.ts'
import type { EventId } from '../../src/core/ids.ts'
import { limits } from '../../src/core/limits.ts'
import type { Signer } from '../../src/ports.ts'
import { makeNode, signerNamed, type TestDataset, type TestNode } from '../api/make-node.ts'

const ada = signerNamed('ada')
const bob = signerNamed('bob')
const cleo = signerNamed('cleo')
let node: TestNode
let dataset: TestDataset

beforeEach(async () => {
  node = await makeNode()
  dataset = await node.createDataset('pictures', [ada, bob])
})
afterEach(() => node.close())

/** Counts the batches that must be on disk before they are acknowledged. */
function countSynced(): () => number {
  let count = 0
  const { db } = node
  const batch = db.batch.bind(db) as (writes: [], options?: { sync?: boolean }) => Promise<void>
  const counting = async (writes: [], options?: { sync?: boolean }) => {
    if (options?.sync === true) count++
    return batch(writes, options)
  }
  db.batch = counting as typeof db.batch
  return () => count
}

async function files(count: number): Promise<Operation[]> {
  const values = [...Array(count).keys()].map((i) => dataset.file(`file ${i}`))
  return (await Promise.all(values)).map((value) => ({ op: 'create', value }))
}

async function arrivals(): Promise<EventId[]> {
  const ids: EventId[] = []
  for await (const [, id] of dataset.replica.log.arrivals()) ids.push(id)
  return ids
}

const accept = (by: Signer, proposal: Proposal) =>
  dataset.replica.act(by, {
    kind: 'review',
    verdict: 'accept',
    items: [{ proposal: proposal.id }],
  }) as Promise<OwnerEvent>

describe('many callers at once', () => {
  it('share writes to the disk, and their events arrive in the order of the calls', async () => {
    const operations = await files(100)
    const synced = countSynced()
    const calls = operations.map((operation, i) =>
      dataset.replica.propose(i % 2 === 0 ? ada : cleo, [operation]),
    )
    const proposals = await Promise.all(calls)
    expect(synced()).toBeLessThan(10)
    expect((await arrivals()).slice(1)).toEqual(proposals.map(({ id }) => id))
  })

  it('get an event that is stored already, each its own', async () => {
    const operations = await files(20)
    await Promise.all(
      operations.map(async (operation) => {
        const proposal = await dataset.replica.propose(ada, [operation])
        expect(proposal.operations).toEqual([operation])
        expect(await dataset.replica.log.block(proposal.id)).toEqual(proposal.block)
      }),
    )
  })

  it('fail alone: a bad draft, a key that is locked, and one that is no owner', async () => {
    const [first, second, third] = (await files(3)) as [Operation, Operation, Operation]
    const proposal = await dataset.replica.propose(ada, [first])
    const locked: Signer = {
      publicKey: bob.publicKey,
      sign() {
        throw new Error('locked')
      },
    }
    const { replica } = dataset
    const outcomes = await Promise.allSettled([
      replica.propose(ada, [second]),
      replica.propose(ada, []),
      accept(ada, proposal),
      accept(locked, proposal),
      accept(cleo, proposal),
      replica.act(ada, {
        kind: 'review',
        verdict: 'reject',
        items: [{ proposal: proposal.id }],
        reason: 'x'.repeat(limits.textBytesMax + 1),
      }),
      accept(bob, proposal),
      replica.propose(bob, [third]),
    ])
    const codes = outcomes.map((outcome) =>
      outcome.status === 'fulfilled' ? 'ok' : (outcome.reason.code ?? outcome.reason.message),
    )
    const bad = ['ok', 'BAD_EVENT', 'ok', 'locked', 'NOT_OWNER', 'BAD_EVENT', 'ok', 'ok']
    expect(codes).toEqual(bad)
    expect(await arrivals()).toHaveLength(6)
  })

  it('sign reviews that build on each other, in one write', async () => {
    const operations = await files(30)
    const proposals = await Promise.all(
      operations.map((operation) => dataset.replica.propose(cleo, [operation])),
    )
    const synced = countSynced()
    const reviews = await Promise.all(
      proposals.map((proposal, i) => accept(i % 3 === 0 ? bob : ada, proposal)),
    )
    expect(synced()).toBeLessThan(5)
    for (const [i, review] of reviews.entries()) {
      expect(review.depth).toBe(i + 1)
      if (i > 0) expect(review.parents).toEqual([reviews[i - 1]?.id])
    }
    const rows = await dataset.replica.log.proposals(proposals.map(({ id }) => id))
    for (const row of rows) expect(row?.decisions).toMatchObject([{ status: 'accepted' }])
    expect(await dataset.replica.log.heads()).toEqual([reviews.at(-1)?.id])
  })

  it('may be an owner since just now, whose reviews cite what made it one', async () => {
    const proposal = await dataset.replica.propose(cleo, (await files(1)) as [Operation])
    const added = dataset.replica.act(ada, { kind: 'add', key: cleo.publicKey })
    const [add, , byCleo, byBob] = await Promise.all([
      added,
      accept(ada, proposal),
      added.then(() => accept(cleo, proposal)),
      added.then(() => accept(bob, proposal)),
    ])
    expect(byCleo.tenure).toBe(add.id)
    const headers = await dataset.replica.log.headers([byCleo.id, byBob.id])
    expect(headers.map((header) => header?.kind)).toEqual(['review', 'review'])
    await dataset.replica.snapshot()
  })

  it('whose events are the same words at the same time get the same event', async () => {
    await node.close()
    node = await makeNode({ clock: { nowMs: () => 1_000, sleep: async () => {} } })
    dataset = await node.createDataset('pictures', [ada])
    const [operation] = (await files(1)) as [Operation]
    const [one, two] = await Promise.all([
      dataset.replica.propose(ada, [operation]),
      dataset.replica.propose(ada, [operation]),
    ])
    const three = await dataset.replica.propose(ada, [operation])
    expect([two.id, three.id]).toEqual([one.id, one.id])
    expect(await arrivals()).toHaveLength(2)
  })

  it('all fail when the disk does, and whoever comes later does not', async () => {
    const operations = await files(4)
    const { db } = node
    const batch = db.batch
    db.batch = (() => Promise.reject(new Error('disk full'))) as unknown as typeof db.batch
    const calls = operations
      .slice(0, 3)
      .map((operation) => dataset.replica.propose(ada, [operation]))
    const failed = await Promise.allSettled(calls)
    db.batch = batch
    expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    await dataset.replica.propose(ada, operations.slice(3))
    expect(await arrivals()).toHaveLength(2)
  })

  it('are told so when the dataset is closed', async () => {
    const operations = await files(2)
    const calls = operations.map((operation) => dataset.replica.propose(ada, [operation]))
    const outcomes = Promise.allSettled(calls)
    await dataset.replica.close()
    for (const outcome of await outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'CANCELLED' })
    }
    await expect(dataset.replica.propose(ada, operations)).rejects.toMatchObject({
      code: 'CANCELLED',
    })
  })
})
