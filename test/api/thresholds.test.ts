// Datasets of which several owners decide together: what each of them is told on the way.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Me, NodeApi, UserInfo } from '../../src/contract/api.ts'
import { openTestNode, type OpenTestNode } from './open-test-node.ts'

let node: OpenTestNode
let bob: UserInfo
let eve: UserInfo
let asBob: NodeApi
let asEve: NodeApi
let count = 0

beforeAll(async () => {
  node = await openTestNode()
  bob = await node.api.addUser({ name: 'bob', role: 'admin' })
  eve = await node.api.addUser({ name: 'eve', role: 'admin' })
  asBob = node.door.apiOf(bob satisfies Me)
  asEve = node.door.apiOf(eve satisfies Me)
})
afterAll(() => node.close())

/** A dataset of the node's key and bob's, both of whom must agree. @returns its name. */
async function ofTwo(): Promise<string> {
  const name = `cells-${++count}`
  await node.api.createDataset({ name, founders: [bob.publicKey], threshold: 2 })
  return name
}

async function fileOf(name: string, text = name): Promise<string> {
  const path = join(node.dir, name)
  await writeFile(path, text)
  return path
}

/** One proposal by the node's key. @returns its event. */
async function proposed(dataset: string, ...names: string[]): Promise<string> {
  const paths = []
  for (const name of names) paths.push(await fileOf(name))
  const { events } = await node.api.add(dataset, { paths })
  return events[0] as string
}

const accept = (event: string) => ({ verdict: 'accept' as const, items: [event] })
const statusIn = async (dataset: string, event: string) => {
  const all = await node.api.listReviews(dataset, { status: 'all' })
  return all.find((entry) => entry.event === event)
}
const events = async (dataset: string) => (await node.api.showDataset(dataset)).counts.events

it('a threshold is for owners and for reviews, and is at most the number of founders', async () => {
  const dataset = await ofTwo()
  expect(await node.api.policy(dataset)).toEqual({ kOwner: 2, kReview: 2, owners: 2, waiting: [] })
  expect((await node.api.showDataset(dataset)).policy).toEqual({ kOwner: 2, kReview: 2 })
  const three = { name: 'three', founders: [bob.publicKey], threshold: 3 }
  await expect(node.api.createDataset(three)).rejects.toMatchObject({ code: 'USAGE' })
})

it('a change is in when two owners have accepted it, and each is told how many agree', async () => {
  const dataset = await ofTwo()
  const event = await proposed(dataset, 'a.txt', 'b.txt')
  expect(await statusIn(dataset, event)).toMatchObject({ approvals: { have: 0, needed: 2 } })
  const approvals = { have: 1, needed: 2 }
  const first = await node.api.review(dataset, accept(event))
  expect(first).toMatchObject({ decided: [], waiting: [{ item: `${event}:0-1`, approvals }] })
  expect(await statusIn(dataset, event)).toMatchObject({ status: { pending: 2 }, approvals })

  const before = await events(dataset)
  await expect(node.api.review(dataset, accept(event))).rejects.toMatchObject({
    code: 'ALREADY_APPROVED',
    message: `you have accepted ${event} already; 1 of 2, 1 more owner must accept`,
  })
  const nothing = { events: [], decided: [] }
  expect(await node.api.review(dataset, { verdict: 'accept', all: {} })).toEqual(nothing)
  expect(await events(dataset)).toBe(before)

  const second = await asBob.review(dataset, accept(event))
  expect(second).toEqual({ events: second.events, decided: [`${event}:0-1`] })
  const done = await statusIn(dataset, event)
  expect(done).toMatchObject({ status: { accepted: 2 } })
  expect(done).not.toHaveProperty('approvals')
})

it('of what is accepted in parts, each part says how many agree', async () => {
  const dataset = await ofTwo()
  const event = await proposed(dataset, 'a.txt', 'b.txt', 'c.txt')
  await node.api.review(dataset, accept(`${event}:0-1`))
  const result = await asBob.review(dataset, accept(`${event}:1-2`))
  expect(result).toMatchObject({
    decided: [`${event}:1-1`],
    waiting: [{ item: `${event}:2-2`, approvals: { have: 1, needed: 2 } }],
  })
  const { items } = await node.api.queue(dataset)
  expect(
    items.map(({ index, approvals, canAccept, why }) => [index, approvals, canAccept, why]),
  ).toEqual([
    [
      0,
      { have: 1, needed: 2 },
      false,
      'ALREADY_APPROVED: you have accepted it; 1 of 2, 1 more owner must accept',
    ],
    [2, { have: 1, needed: 2 }, true, undefined],
  ])
})

it('one owner is enough to turn a change down', async () => {
  const dataset = await ofTwo()
  const event = await proposed(dataset, 'a.txt')
  await node.api.review(dataset, accept(event))
  await asBob.review(dataset, { verdict: 'reject', items: [event] })
  expect(await statusIn(dataset, event)).toMatchObject({ status: { rejected: 1 } })
  const again = node.api.review(dataset, accept(event))
  await expect(again).rejects.toMatchObject({ code: 'ALREADY_DECIDED' })
})

it('many decisions in one call say of each whether it decides', async () => {
  const dataset = await ofTwo()
  const event = await proposed(dataset, 'a.txt', 'b.txt')
  const { id } = await node.api.select(dataset, { filter: { status: 'pending' } })
  const all = { decisions: [{ verdict: 'accept' as const, selection: id }] }
  const outcomes = (answer: { results: readonly { outcome: string }[] }) =>
    answer.results.map(({ outcome }) => outcome)
  const check = await node.api.checkDecisions(dataset, all)
  expect(check.results[0]).toMatchObject({
    outcome: 'approved',
    approvals: { have: 1, needed: 2 },
    what: '1 of 2, 1 more owner must accept',
  })
  const one = { decisions: [{ verdict: 'accept' as const, items: [{ item: `${event}:0` }] }] }
  expect(outcomes(await node.api.decide(dataset, one))).toEqual(['approved'])
  expect(outcomes(await node.api.decide(dataset, all))).toEqual(['alreadyApproved', 'approved'])
  const before = await events(dataset)
  const again = await node.api.decide(dataset, all)
  expect([outcomes(again), again.events]).toEqual([['alreadyApproved', 'alreadyApproved'], []])
  expect(await events(dataset)).toBe(before)
  const both = { decisions: [{ verdict: 'accept' as const, items: [{ item: event }] }] }
  expect(outcomes(await asBob.checkDecisions(dataset, both))).toEqual(['decided', 'decided'])
  expect(outcomes(await asBob.decide(dataset, both))).toEqual(['decided', 'decided'])
})

it('what is proposed and accepted in one go waits for the other owner, and says so', async () => {
  const dataset = await ofTwo()
  const approvals = { have: 1, needed: 2 }
  const request = { paths: [await fileOf('a.txt')], accept: true }
  const added = await node.api.add(dataset, request)
  expect(added).toMatchObject({ objects: [{ status: 'pending' }], approvals })
  const before = await events(dataset)
  const again = await node.api.add(dataset, request)
  expect(again).toMatchObject({ events: added.events, objects: [{ status: 'pending' }], approvals })
  expect(await events(dataset)).toBe(before)

  const document = '{"type":"object"}'
  const schema = await node.api.addSchema(dataset, { name: 'schema-a', document, accept: true })
  expect(schema).toMatchObject({ schema: { status: 'pending' }, approvals })
  await asBob.review(dataset, { verdict: 'accept', all: {} })
  const one = { objects: ['a.txt'], schema: 'schema-a', value: {} }
  const annotations = { annotations: [one], accept: true }
  const annotated = await node.api.annotate(dataset, annotations)
  expect(annotated).toMatchObject({ annotations: [{ status: 'pending' }], approvals })
  const repeated = await node.api.annotate(dataset, annotations)
  expect(repeated).toMatchObject({ annotations: [{ status: 'pending' }], approvals })
  const done = await asBob.annotate(dataset, annotations)
  expect(done).toMatchObject({ annotations: [{ status: 'pending' }] })
  const { decided } = await asBob.review(dataset, { verdict: 'accept', all: {} })
  expect(decided).toHaveLength(1)
  expect((await node.api.listObjects(dataset)).objects).toMatchObject([{ name: 'a.txt' }])
})

it('an owner is added when enough of the others agree', async () => {
  const dataset = await ofTwo()
  const signed = await node.api.addOwner(dataset, 'eve', 'Eve')
  expect(signed.owners).toHaveLength(2)
  expect(signed.waiting).toEqual([
    {
      event: signed.event,
      kind: 'add',
      key: eve.publicKey,
      name: 'Eve',
      by: signed.owners[0]?.key,
      at: expect.any(String) as string,
      endorsedBy: [signed.owners[0]?.key],
      approvals: { have: 1, needed: 2 },
    },
  ])
  await expect(node.api.addOwner(dataset, 'eve')).rejects.toMatchObject({
    code: 'ALREADY_APPROVED',
    message: expect.stringContaining('1 of 2, 1 more must agree') as string,
  })
  await expect(node.api.endorse(dataset, signed.event)).rejects.toMatchObject({
    code: 'ALREADY_APPROVED',
  })
  await expect(asBob.addOwner(dataset, 'eve')).rejects.toMatchObject({
    code: 'EXISTS',
    hint: expect.stringContaining(`owner endorse DATASET ${signed.event}`) as string,
  })
  await expect(asEve.endorse(dataset, signed.event)).rejects.toMatchObject({ code: 'NOT_OWNER' })
  const endorsed = await asBob.endorse(dataset, signed.event.slice(0, 30))
  expect(endorsed).toMatchObject({ operation: signed.event, waiting: [] })
  expect(endorsed.owners.map(({ key }) => key)[2]).toBe(eve.publicKey)
  await expect(asBob.endorse(dataset, signed.event)).rejects.toMatchObject({
    code: 'EXISTS',
    message: `${signed.event} is in force already`,
  })
  const none = asBob.endorse(dataset, endorsed.event)
  await expect(none).rejects.toMatchObject({ code: 'USAGE' })
})

it('who became an owner after something was signed signs it anew, for others to agree to', async () => {
  const dataset = await ofTwo()
  const late = 'ab'.repeat(32)
  const first = await node.api.addOwner(dataset, late)
  const { event } = await node.api.addOwner(dataset, 'eve')
  await asBob.endorse(dataset, event)
  await expect(asEve.endorse(dataset, first.event)).rejects.toMatchObject({
    code: 'NOT_ALLOWED',
    hint: expect.stringContaining('owner add') as string,
  })
  const { waiting, event: second } = await asEve.addOwner(dataset, late)
  expect(waiting.map((one) => one.event)).toEqual([first.event, second])
  const { owners } = await asBob.endorse(dataset, second)
  expect(owners.map(({ key }) => key)).toContain(late)
})

it('proposals are not endorsed, and it is said what decides on them', async () => {
  const dataset = await ofTwo()
  await expect(asBob.endorse(dataset, await proposed(dataset, 'a.txt'))).rejects.toMatchObject({
    code: 'USAGE',
    hint: expect.stringContaining('review accept') as string,
  })
})

it('of the votes for a checkpoint, those of owners before it are counted', async () => {
  const dataset = await ofTwo()
  const { event } = await node.api.addOwner(dataset, 'eve')
  await asBob.endorse(dataset, event)
  const { checkpoint } = await asEve.createCheckpoint(dataset)
  const { id } = checkpoint
  expect(checkpoint).toMatchObject({ votes: [eve.publicKey], voters: 2, needed: 2, have: 0 })
  const voted = await node.api.voteCheckpoint(dataset, id)
  expect(voted.checkpoint).toMatchObject({ status: 'open', needed: 2, have: 1 })
  await asBob.voteCheckpoint(dataset, id)
  const [known] = (await node.api.checkpoints(dataset)).checkpoints
  expect(known).toMatchObject({ id, status: 'final', voters: 2, needed: 2, have: 2 })
  expect(known?.votes).toHaveLength(3)
})

it('an owner is removed when enough seniors agree; of the first, none ever is', async () => {
  const dataset = await ofTwo()
  const { event } = await node.api.addOwner(dataset, 'eve')
  await asBob.endorse(dataset, event)
  await expect(node.api.removeOwner(dataset, 'bob')).rejects.toMatchObject({
    code: 'NOT_ALLOWED',
    message: '2 owners senior to bob must agree; only one is',
  })
  const removal = await asBob.removeOwner(dataset, 'eve')
  expect(removal.waiting).toMatchObject([{ event: removal.event, kind: 'remove' }])
  const tooLate = asEve.endorse(dataset, removal.event)
  await expect(tooLate).rejects.toMatchObject({ code: 'NOT_ALLOWED' })
  const { owners, waiting } = await node.api.endorse(dataset, removal.event)
  expect([owners.length, waiting]).toEqual([2, []])
  expect((await asBob.removeOwner(dataset, 'bob')).owners).toHaveLength(1)
})

it('the policy is lowered and raised when enough owners agree', async () => {
  const dataset = await ofTwo()
  for (const reviews of [0, 3]) {
    const refused = node.api.setPolicy(dataset, reviews)
    await expect(refused).rejects.toMatchObject({ code: 'USAGE' })
  }
  await expect(node.api.setPolicy(dataset, 2)).rejects.toMatchObject({ code: 'EXISTS' })
  const lowered = await node.api.setPolicy(dataset, 1)
  expect(lowered).toMatchObject({ kReview: 2, waiting: [{ kind: 'policy', reviews: 1 }] })
  expect((await node.api.policy(dataset)).waiting).toHaveLength(1)
  const event = await proposed(dataset, 'a.txt')
  await asBob.endorse(dataset, lowered.event)
  expect(await node.api.policy(dataset)).toMatchObject({ kReview: 1, waiting: [] })
  const { decided } = await asBob.review(dataset, accept(event))
  expect(decided).toHaveLength(1)

  const raised = await asBob.setPolicy(dataset, 2)
  await node.api.endorse(dataset, raised.event)
  expect(await node.api.policy(dataset)).toMatchObject({ kReview: 2, waiting: [] })
  const other = await proposed(dataset, 'b.txt')
  expect((await asBob.review(dataset, accept(other))).decided).toEqual([])
})

it('who accepted under a stricter policy can accept again when it was lowered', async () => {
  const dataset = await ofTwo()
  const event = await proposed(dataset, 'a.txt')
  await node.api.review(dataset, accept(event))
  const lowered = await node.api.setPolicy(dataset, 1)
  await asBob.endorse(dataset, lowered.event)
  expect(await statusIn(dataset, event)).toMatchObject({ status: { pending: 1 } })
  const { decided } = await node.api.review(dataset, accept(event))
  expect(decided).toEqual([`${event}:0-0`])
})

it('the proof of a version names every owner it needed, and those who let them in', async () => {
  const dataset = await ofTwo()
  const { event: add } = await node.api.addOwner(dataset, 'eve')
  const { event: endorsement } = await asBob.endorse(dataset, add)
  const event = await proposed(dataset, 'a.txt')
  const [first] = (await node.api.review(dataset, accept(event))).events
  const waiting = await node.api.proof(dataset, `${event}:0`)
  expect(waiting.steps.at(-1)).toMatchObject({
    ok: false,
    what: expect.stringContaining('pending'),
  })
  const [second] = (await asEve.review(dataset, accept(event))).events
  const { steps } = await node.api.proof(dataset, `${event}:0`)
  expect(steps.every(({ ok }) => ok)).toBe(true)
  const idsOf = (what: string) => steps.find((step) => step.what.includes(what))?.ids
  expect(idsOf('2 owners accept it, and 2 must')?.toSorted()).toEqual([first, second].toSorted())
  expect(idsOf('2 owners agree to that, and 2 must')).toEqual([add, endorsement])
  expect(steps.at(-1)?.what).toContain('the state holds the version')
})

it('where any owner decides, nothing waits for others', async () => {
  await node.api.createDataset({ name: 'alone', founders: [bob.publicKey] })
  const event = await proposed('alone', 'a.txt')
  expect(await statusIn('alone', event)).toMatchObject({ approvals: { have: 0, needed: 1 } })
  const { waiting } = await asBob.addOwner('alone', 'eve')
  expect(waiting).toEqual([])
  await expect(asEve.setPolicy('alone', 2)).rejects.toMatchObject({ code: 'USAGE' })
  expect((await asEve.review('alone', accept(event))).decided).toHaveLength(1)
})

it('a history of Gonk, where one review decides, is not taken in where two must', async () => {
  const dataset = await ofTwo()
  const imported = node.api.importFrom(dataset, { format: 'gonk', path: node.dir })
  await expect(imported).rejects.toMatchObject({ code: 'NOT_ALLOWED' })
})
