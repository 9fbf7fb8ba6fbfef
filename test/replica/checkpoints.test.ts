// Checkpoints as a replica makes and keeps them: what a draft says, who may vote for it, what goes wrong.
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { checkpointIdOf } from '../../src/core/checkpoint-id.ts'
import type { CheckpointBody, Event, OwnerEvent } from '../../src/core/event.ts'
import { type CheckpointId, cidBytesOf, type EventId } from '../../src/core/ids.ts'
import { nodeCrypto } from '../../src/crypto.ts'
import { Catalog } from '../../src/log/catalog.ts'
import { DATABASE_FORMAT } from '../../src/log/database.ts'
import {
  datasetPrefix,
  datasetTables,
  draftOrdinal,
  hex,
  homeKey,
  rangeOf,
  sealedOrdinal,
  u32,
} from '../../src/log/keys.ts'
import { encodeRow } from '../../src/log/rows.ts'
import { historyOf, recompute } from '../../src/replica/recompute.ts'
import type { Signer } from '../../src/ports.ts'
import type { Alarm } from '../../src/replica/replica.ts'
import { silentLogger, steppingClock } from '../api/make-node.ts'
import { file, sha256 } from '../makers.ts'
import type { Fault } from './faulty-database.ts'
import { decoded } from './signed-history.ts'
import {
  A,
  B,
  createOf,
  F,
  genesisBy,
  ownerEventBy,
  proposalBy,
  reviewOf,
  stranger,
  Subject,
} from './subject.ts'
import { dumpOf } from './table-dump.ts'

const SCRATCH = join(tmpdir(), `gonk-checkpoints-${process.pid}`)
const needs = {
  crypto: nodeCrypto(),
  clock: steppingClock(),
  logger: silentLogger,
  scratch: SCRATCH,
}
afterAll(() => rm(SCRATCH, { recursive: true, force: true }))

async function datasetOf(...founders: readonly Signer[]): Promise<Subject> {
  const genesis = genesisBy(...founders)
  const subject = await new Subject(genesis.id).reopen()
  await subject.submit(genesis)
  return subject
}

/** A file that `by` proposes and accepts. */
async function decide({ replica, dataset }: Subject, by: Signer, name: string): Promise<Event> {
  const proposal = await replica.propose(stranger, [createOf(file(name))])
  expect(proposal.dataset).toBe(dataset)
  return replica.act(by, reviewOf('accept', proposal))
}

const idOf = ({ dataset }: Subject, body: CheckpointBody): CheckpointId =>
  checkpointIdOf(dataset, body, sha256)

const voteOf = (checkpoint: CheckpointBody) => ({ kind: 'cp' as const, checkpoint })

/** Drafts and votes, until it is on the chain. */
async function settle(subject: Subject, ...voters: Signer[]): Promise<CheckpointId> {
  const body = await subject.replica.checkpointDraft()
  for (const voter of voters) await subject.replica.act(voter, voteOf(body))
  expect((await statusOf(subject, idOf(subject, body)))?.status).toBe('final')
  return idOf(subject, body)
}

async function statusOf({ replica }: Subject, id: CheckpointId) {
  return (await replica.checkpoints()).find((one) => one.id === id)
}

async function copyOf(from: Subject): Promise<Subject> {
  const copy = await new Subject(from.dataset).reopen()
  const blocks: Uint8Array[] = []
  for await (const [, id] of from.log.arrivals()) {
    const block = await from.log.block(id)
    if (block) blocks.push(block)
  }
  await copy.replica.submit(blocks)
  return copy
}

describe('a draft', () => {
  test('names the root that its state gives, and so does every node', async () => {
    const subject = await datasetOf(F, A)
    await decide(subject, F, 'one')
    const { root } = await subject.replica.snapshot()
    const body = await subject.replica.checkpointDraft()
    expect(body.root).toEqual(root.bytes)
    await subject.replica.act(F, voteOf(body))
    const id = idOf(subject, body)
    expect(await statusOf(subject, id)).toMatchObject({ status: 'open', voters: 2, needed: 2 })
    expect(await subject.replica.isCheckpointRight(id)).toBe(true)
    await subject.replica.act(A, voteOf(body))
    expect(await statusOf(subject, id)).toMatchObject({ status: 'final', root: 'verified' })
    expect(subject.replica.alarms).toEqual([])
    expect(await statusOf(await copyOf(subject), id)).toMatchObject({ root: 'verified' })
  })

  test('of a second checkpoint settles what came since the first, and the snapshot names it', async () => {
    const subject = await datasetOf(F)
    await decide(subject, F, 'one')
    const before = await subject.replica.snapshot()
    const first = await settle(subject, F)
    await decide(subject, F, 'two')
    const second = await settle(subject, F)
    const known = await subject.replica.checkpoints()
    expect(known.map(({ id, status, root }) => [id, status, root])).toEqual([
      [first, 'final', 'verified'],
      [second, 'final', 'verified'],
    ])
    expect((await subject.replica.snapshot()).stateRoot).not.toEqual(before.stateRoot)
    await expect(subject.replica.checkpointDraft()).rejects.toMatchObject({ code: 'EXISTS' })
  })

  test('leaves out what does not count and what is not here, with the root of the rest', async () => {
    const subject = await datasetOf(F, A)
    const lost = proposalBy(stranger, subject.dataset, createOf(file('lost')))
    const kept = await decide(subject, F, 'kept')
    await subject.replica.act(F, reviewOf('accept', lost))
    const removal = await subject.replica.act(F, { kind: 'remove', key: A.publicKey })
    const beside = ownerEventBy(A, subject.dataset, reviewOf('accept', lost), [kept], 1)
    await subject.submit(beside)
    const body = await subject.replica.checkpointDraft()
    expect([body.heads, body.without]).toEqual([[removal.id], [lost.id]])
    const past = await recompute(needs, historyOf(subject.log, body.heads))
    expect(body.root).toEqual(past.snapshot?.root.bytes)
    await subject.replica.act(F, voteOf(body))
    const id = idOf(subject, body)
    expect(await statusOf(subject, id)).toMatchObject({ status: 'final', root: 'verified' })

    // It comes after all: later, and covered by the next one.
    await subject.submit(lost)
    expect((await statusOf(await copyOf(subject), id))?.status).toBe('final')
    await decide(subject, F, 'more')
    const next = await settle(subject, F)
    const known = await statusOf(subject, next)
    expect([known?.body.without, known?.root]).toEqual([[], 'verified'])
  })
})

describe('a vote', () => {
  test('is given once after each checkpoint, unless another one is ahead', async () => {
    const subject = await datasetOf(F, A, B)
    await decide(subject, F, 'one')
    const mine = await subject.replica.checkpointDraft()
    await subject.replica.act(F, voteOf(mine))
    await decide(subject, F, 'two')
    const other = await subject.replica.checkpointDraft()
    const refusal = { code: 'ALREADY_VOTED' }
    await expect(subject.replica.act(F, voteOf(other))).rejects.toMatchObject(refusal)
    await subject.replica.act(A, voteOf(other))
    await subject.replica.act(B, voteOf(other))
    await subject.replica.act(F, voteOf(other))
    expect((await statusOf(subject, idOf(subject, other)))?.status).toBe('final')
    expect((await statusOf(subject, idOf(subject, mine)))?.status).toBe('passed-over')
  })

  test('of owners who propose at the same moment still comes to one checkpoint', async () => {
    const subject = await datasetOf(F, A)
    const one = await decide(subject, F, 'one')
    const first = await subject.replica.checkpointDraft()
    await decide(subject, F, 'two')
    const second = await subject.replica.checkpointDraft()
    const vote = (by: Signer, founder: number, body: CheckpointBody) =>
      ownerEventBy(by, subject.dataset, voteOf(body), [one], founder)
    await subject.submit(vote(F, 0, first), vote(A, 1, second))
    const votes = [subject.replica.act(F, voteOf(second)), subject.replica.act(A, voteOf(first))]
    const outcomes = await Promise.allSettled(votes)
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    const known = await subject.replica.checkpoints()
    expect(known.filter(({ status }) => status === 'final').length).toBe(1)
  })
})

test('T33: a root that a quorum signed and that is wrong changes nothing, and is an alarm', async () => {
  const subject = await datasetOf(F)
  await decide(subject, F, 'one')
  const { stateRoot } = await subject.replica.snapshot()
  const alarms: Alarm[] = []
  subject.replica.onAlarm((alarm) => alarms.push(alarm))
  const body = { ...(await subject.replica.checkpointDraft()), root: cidBytesOf(subject.dataset) }
  const id = idOf(subject, body)
  await subject.replica.act(F, voteOf(body))
  expect(await statusOf(subject, id)).toMatchObject({ status: 'final', root: 'mismatch' })
  expect(alarms).toEqual([{ kind: 'root-mismatch', ids: [id] }])
  expect((await subject.replica.snapshot()).stateRoot).toEqual(stateRoot)
  expect((await copyOf(subject)).replica.alarms).toEqual(alarms)
})

test('T33: before it votes, a node can tell that another root is meant', async () => {
  const subject = await datasetOf(F, A)
  await decide(subject, F, 'one')
  const body = { ...(await subject.replica.checkpointDraft()), root: cidBytesOf(subject.dataset) }
  await subject.replica.act(F, voteOf(body))
  expect(await subject.replica.isCheckpointRight(idOf(subject, body))).toBe(false)
  expect((await statusOf(subject, idOf(subject, body)))?.root).toBe('mismatch')
})

test('T35: who is shown an older checkpoint stays where it is; who is new goes on from there', async () => {
  const ahead = await datasetOf(F)
  await decide(ahead, F, 'one')
  const first = await settle(ahead, F)
  const behind = await copyOf(ahead)
  await decide(ahead, F, 'two')
  const second = await settle(ahead, F)
  const chain = async ({ replica }: Subject) =>
    (await replica.checkpoints()).filter(({ status }) => status === 'final').map(({ id }) => id)
  const { root } = await ahead.replica.snapshot()
  expect(await chain(behind)).toEqual([first])

  const old = await copyOf(behind)
  await sync(old, ahead)
  expect([await chain(ahead), (await ahead.replica.snapshot()).root]).toEqual([
    [first, second],
    root,
  ])
  await sync(ahead, old)
  expect([await chain(old), (await old.replica.snapshot()).root]).toEqual([[first, second], root])
  expect([...ahead.replica.alarms, ...old.replica.alarms]).toEqual([])
})

async function sync(from: Subject, to: Subject): Promise<void> {
  for await (const [, id] of from.log.arrivals()) {
    const block = await from.log.block(id)
    if (block) await to.replica.submit([block])
  }
}

test('T36: all ways to come by a history with checkpoints lead to the same rows and root', async () => {
  const subject = await datasetOf(F, A)
  for (const name of ['one', 'two']) await decide(subject, F, name)
  await settle(subject, F, A)
  await decide(subject, A, 'three')
  const anchor = await settle(subject, F, A)
  await decide(subject, F, 'four')
  const { root, heads } = await subject.replica.snapshot()
  const tables = await dumpOf(subject.disk.disk, subject.log)
  const history = historyOf(subject.log, heads)
  for (const options of [{}, { anchor }]) {
    expect((await recompute(needs, history, options)).snapshot?.root).toEqual(root)
  }
  const blocks: Uint8Array[] = []
  for await (const [, id] of subject.log.arrivals()) {
    blocks.push((await subject.log.block(id)) as Uint8Array)
  }
  const faults: Fault[] = ['refused', 'unsure', 'lost', 'last']
  for (let at = 1; at <= 20; at++) {
    const copy = await new Subject(subject.dataset).reopen()
    copy.disk.failIn(at, faults[at % 4] as Fault)
    for (let from = 0; from < blocks.length; from += 7) {
      const some = blocks.slice(from, from + 7)
      await copy.replica.submit(some).catch(async () => {
        await copy.reopen()
        await copy.replica.submit(some)
      })
    }
    expect((await copy.replica.snapshot()).root, `fault ${at}`).toEqual(root)
    expect(await dumpOf(copy.disk.disk, copy.log), `fault ${at}`).toEqual(tables)
  }
})

describe('an anchor', () => {
  test('that is not known yet has an effect when it comes', async () => {
    const subject = await datasetOf(F, A)
    await decide(subject, F, 'one')
    const body = await subject.replica.checkpointDraft()
    const id = idOf(subject, body)
    await subject.replica.setAnchor(id)
    expect(await subject.replica.checkpoints()).toEqual([])
    await subject.replica.act(F, voteOf(body))
    expect((await statusOf(subject, id))?.status).toBe('final')
    await subject.reopen()
    expect([(await statusOf(subject, id))?.status, subject.replica.anchor]).toEqual(['final', id])
    await subject.replica.setAnchor(undefined)
    expect((await statusOf(subject, id))?.status).toBe('open')
    expect(subject.replica.alarms).toMatchObject([{ kind: 'chain-changed', ids: [id] }])
  })
})

describe('a changed chain is an alarm', () => {
  /** Two checkpoints without a right root, so that a founder alone can make them final beside each other. */
  async function twoCheckpoints() {
    const subject = await datasetOf(F)
    const event = await decide(subject, F, 'one')
    const bodies = ['one', 'two'].map((root, i): CheckpointBody => {
      const heads: EventId[] = [i === 0 ? event.id : subject.dataset]
      return { height: 1, heads, without: [], root: file(root).content.with(1, 0x71) }
    })
    const [smaller, larger] = bodies
      .map((body) => {
        const vote = ownerEventBy(F, subject.dataset, voteOf(body), [event])
        return { id: idOf(subject, body), vote }
      })
      .sort((a, b) => (a.id < b.id ? -1 : 1)) as [Choice, Choice]
    await subject.submit(larger.vote)
    expect((await statusOf(subject, larger.id))?.status).toBe('final')
    return { subject, smaller, larger }
  }
  interface Choice {
    readonly id: CheckpointId
    readonly vote: OwnerEvent
  }
  const changed = (from: Choice, to: Choice) => ({ kind: 'chain-changed', ids: [from.id, to.id] })

  test('that outlives the process', async () => {
    const { subject, smaller, larger } = await twoCheckpoints()
    await subject.submit(smaller.vote)
    expect((await statusOf(subject, larger.id))?.status).toBe('passed-over')
    const forked = { kind: 'forked', ids: [smaller.id, larger.id] }
    const both = expect.arrayContaining([changed(larger, smaller), forked])
    expect(subject.replica.alarms).toEqual(both)
    await subject.reopen()
    expect(subject.replica.alarms).toEqual(both)
  })

  const ends: Fault[] = ['lost', 'last']
  test.each(ends)('whenever the process ends while it changes (%s)', async (fault) => {
    let wasCutOff = true
    for (let at = 1; wasCutOff; at++) {
      const { subject, smaller, larger } = await twoCheckpoints()
      subject.disk.failIn(at, fault)
      wasCutOff = await subject.submit(smaller.vote).then(
        () => false,
        () => true,
      )
      await subject.reopen()
      await subject.submit(smaller.vote)
      expect((await statusOf(subject, smaller.id))?.status).toBe('final')
      const alarm = expect.arrayContaining([changed(larger, smaller)])
      expect(subject.replica.alarms, `write ${at}`).toEqual(alarm)
    }
  })
})

test('a checkpoint waits for what it covers, and is final as soon as that is here', async () => {
  const subject = await datasetOf(F)
  const names = ['one', 'two', 'three']
  const made: Event[] = []
  for (const name of names) made.push(await decide(subject, F, name))
  const body = await subject.replica.checkpointDraft()
  const late = await new Subject(subject.dataset).reopen()
  const genesis = await eventOf(subject, subject.dataset)
  const vote = ownerEventBy(F, subject.dataset, voteOf(body), [genesis])
  await late.submit(genesis, vote)
  const status = async () => (await statusOf(late, idOf(subject, body)))?.status
  expect(await status()).toBe('incomplete')
  for (const event of made) await late.submit(event)
  for (const id of await late.log.wanted()) {
    expect(await status()).toBe('incomplete')
    await late.submit(await eventOf(subject, id))
  }
  expect(await status()).toBe('final')
})

async function eventOf({ log }: Subject, id: EventId): Promise<Event> {
  return decoded((await log.block(id)) as Uint8Array)
}

test('a dataset that is forgotten leaves no row of what was settled', async () => {
  const subject = await datasetOf(F)
  await decide(subject, F, 'one')
  await settle(subject, F)
  const db = subject.disk.disk
  const rows = async () => {
    let count = 0
    for (const table of datasetTables) {
      for (const ordinal of [1, sealedOrdinal(1), draftOrdinal(1)]) {
        for await (const _ of db.keys(rangeOf(datasetPrefix(table, ordinal)))) count++
      }
    }
    return count
  }
  expect(await rows()).toBeGreaterThan(0)
  // As a crash leaves it.
  await db.put(homeKey('home'), encodeRow({ format: DATABASE_FORMAT, nextOrdinal: 2 }))
  await db.put(homeKey('forgotten', u32(1)), hex(subject.dataset))
  await Catalog.open(db)
  expect(await rows()).toBe(0)
})
