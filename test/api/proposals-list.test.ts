// Proposals with what became of them and why, page by page.
import { afterEach, beforeEach, expect, it } from 'vitest'
import { listProposals } from '../../src/api/review/proposals-list.ts'
import type { ProposalFilter } from '../../src/contract/api.ts'
import { type EventId, textOfEventId } from '../../src/core/ids.ts'
import { makeNode, signerNamed, type TestDataset, type TestNode } from './make-node.ts'

const ada = signerNamed('ada')
const eve = signerNamed('eve')
let node: TestNode
let dataset: TestDataset

beforeEach(async () => {
  node = await makeNode()
  dataset = await node.createDataset('letters', [ada])
})
afterEach(() => node.close())

const list = (filter?: ProposalFilter, signer = ada) =>
  listProposals({ signer }, dataset.replica, filter)

async function allOf(filter: ProposalFilter): Promise<string[]> {
  const events: string[] = []
  for (let after: string | undefined; ;) {
    const page = await list({ ...filter, ...(after && { after }) })
    events.push(...page.proposals.map(({ event }) => event))
    after = page.next
    if (after === undefined) return events
  }
}

async function propose(count: number): Promise<EventId[]> {
  const ids: EventId[] = []
  for (let i = 0; i < count; i++) {
    const by = i % 3 === 0 ? eve : ada
    ids.push((await dataset.create(by, await dataset.file(`f${i}`))).id)
  }
  return ids
}

it('gives the same list with pages of any size, for every filter', async () => {
  const ids = await propose(10)
  await dataset.accept(ada, ...ids.slice(0, 4))
  await dataset.reject(ada, ...ids.slice(4, 6))
  const texts = ids.map(textOfEventId)
  const byEve = texts.filter((_, i) => i % 3 === 0)
  for (const limit of [1, 2, 3, 1_000]) {
    expect(await allOf({ limit })).toEqual(texts)
    expect(await allOf({ limit, status: 'pending' })).toEqual(texts.slice(6))
    expect(await allOf({ limit, status: 'accepted' })).toEqual(texts.slice(0, 4))
    expect(await allOf({ limit, status: 'rejected' })).toEqual(texts.slice(4, 6))
    expect(await allOf({ limit, author: eve.publicKey.slice(0, 8) })).toEqual(byEve)
    expect(await allOf({ limit, author: 'me', status: 'pending' })).toEqual(
      texts.slice(6).filter((text) => !byEve.includes(text)),
    )
    expect(await allOf({ limit, author: '0'.repeat(64) })).toEqual([])
  }
  await expect(list({ after: 'x' })).rejects.toMatchObject({ code: 'USAGE' })
  await expect(list({ author: 'X' })).rejects.toMatchObject({ code: 'USAGE' })
})

it('tells the author who decided and why, but not what was struck', async () => {
  const [id] = (await propose(1)) as [EventId]
  const bob = signerNamed('bob')
  await dataset.replica.act(ada, { kind: 'add', key: bob.publicKey })
  const say = (by: typeof ada, verdict: 'accept' | 'reject', reason?: string) => {
    const body = { kind: 'review' as const, verdict, items: [{ proposal: id }] }
    return dataset.replica.act(by, { ...body, ...(reason !== undefined && { reason }) })
  }
  const added = await dataset.replica.log.heads()
  await say(bob, 'reject', 'blurred')
  const found = async () => (await list({ author: 'me' }, eve)).proposals
  expect(await found()).toMatchObject([
    {
      event: textOfEventId(id),
      status: { pending: 0, accepted: 0, rejected: 1 },
      reasons: [{ by: bob.publicKey, verdict: 'reject', reason: 'blurred' }],
    },
  ])
  const event = await dataset.replica.log.block(added[0] as EventId)
  expect(event).toBeDefined()
  await dataset.forge(ada, {
    body: { kind: 'remove', key: bob.publicKey },
    parents: await parentsOf(added),
    founder: 0,
  })
  expect(await found()).toMatchObject([{ status: { pending: 1 }, reasons: [] }])
  await say(ada, 'accept', 'sharp enough')
  expect(await found()).toMatchObject([
    { status: { accepted: 1 }, reasons: [{ by: ada.publicKey, reason: 'sharp enough' }] },
  ])
})

async function parentsOf(ids: readonly EventId[]) {
  const { readEvents } = await import('../../src/api/resolve.ts')
  const events = await readEvents(dataset.replica.log, ids)
  return events.flatMap((event) => event ?? [])
}
