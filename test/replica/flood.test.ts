// What owners write who no longer count, or never did, costs the others no more than to keep it.
import { expect, test } from 'vitest'
import { checkpointIdOf } from '../../src/core/checkpoint-id.ts'
import type { CheckpointBody, Event, OwnerEvent } from '../../src/core/event.ts'
import { type CheckpointId, cidBytesOf, type EventId } from '../../src/core/ids.ts'
import type { Signer } from '../../src/ports.ts'
import { sha256 } from '../makers.ts'
import { A, B, F, genesisBy, ownerEventBy, Subject } from './subject.ts'

const RELEASE = { kind: 'release', root: cidBytesOf('00'.repeat(32) as EventId) } as const

async function datasetOf(...founders: readonly Signer[]): Promise<[Subject, Event]> {
  const genesis = genesisBy(...founders)
  const subject = await new Subject(genesis.id).reopen()
  await subject.submit(genesis)
  return [subject, genesis]
}

/** So many events in a row, from `first` on. */
function chain(subject: Subject, by: Signer, founder: number, first: Event, length: number) {
  const events = [first]
  for (let i = 0; i < length; i++) {
    const body = { ...RELEASE, tag: `${founder} ${i}` }
    events.push(ownerEventBy(by, subject.dataset, body, events.slice(-1), founder))
  }
  return events.slice(1) as OwnerEvent[]
}

/** Checkpoints that differ in the root they name. */
function bodiesOn(head: EventId, count: number, previous?: CheckpointId): CheckpointBody[] {
  return Array.from({ length: count }, (_, i) => ({
    height: previous === undefined ? 1 : 2,
    ...(previous && { previous }),
    heads: [head],
    without: [],
    root: cidBytesOf(i.toString(16).padStart(64, '0') as EventId),
  }))
}

const idOf = ({ dataset }: Subject, body: CheckpointBody) => checkpointIdOf(dataset, body, sha256)

async function readsOf(subject: Subject, work: () => Promise<unknown>): Promise<number> {
  const before = subject.disk.reads
  await work()
  return subject.disk.reads - before
}

test.each([
  ['a junior that signed removals of its seniors', false],
  ['an owner that was removed, and whose removal is not settled', true],
])('votes by %s cost the same, however long the history', async (_, isRemoved) => {
  const cost = async (length: number) => {
    const [subject, genesis] = await datasetOf(F, A, B)
    const events = chain(subject, F, 0, genesis, length)
    await subject.submit(...events)
    const last = events.at(-1) as OwnerEvent
    const body = { kind: 'remove', key: (isRemoved ? B : F).publicKey } as const
    const removal = ownerEventBy(
      isRemoved ? F : B,
      subject.dataset,
      body,
      [last],
      isRemoved ? 0 : 2,
    )
    await subject.submit(removal)
    return readsOf(subject, async () => {
      for (const checkpoint of bodiesOn(removal.id, 5)) {
        await subject.submit(
          ownerEventBy(B, subject.dataset, { kind: 'cp', checkpoint }, [last], 2),
        )
      }
    })
  }
  expect(await cost(300)).toBeLessThan((await cost(30)) + 50)
})

test('to open a dataset costs the same, however long the history that checkpoints nobody needs cover', async () => {
  const cost = async (length: number) => {
    const [subject, genesis] = await datasetOf(F, A)
    const add = ownerEventBy(F, subject.dataset, { kind: 'add', key: B.publicKey }, [genesis])
    const events = chain(subject, F, 0, add, length)
    await subject.submit(add, ...events)
    const last = events.at(-1) as OwnerEvent
    for (const checkpoint of bodiesOn(last.id, 5)) {
      await subject.submit(ownerEventBy(B, subject.dataset, { kind: 'cp', checkpoint }, [add], add))
    }
    return readsOf(subject, () => subject.reopen())
  }
  expect(await cost(300)).toBeLessThan((await cost(30)) + 50)
})

test('a vote beyond those that were enough costs the same, however much is settled', async () => {
  const cost = async (length: number) => {
    const [subject, genesis] = await datasetOf(F)
    const events = chain(subject, F, 0, genesis, length)
    await subject.submit(...events)
    const last = events.at(-1) as OwnerEvent
    const [checkpoint] = bodiesOn(last.id, 1) as [CheckpointBody]
    const vote = () => ownerEventBy(F, subject.dataset, { kind: 'cp', checkpoint }, [last])
    await subject.submit(vote())
    expect((await subject.replica.checkpoints())[0]?.status).toBe('final')
    return readsOf(subject, async () => {
      for (let i = 0; i < 5; i++) await subject.submit(vote())
    })
  }
  expect(await cost(300)).toBeLessThan((await cost(30)) + 50)
})

test('what a removed owner goes on writing does not slow down the others', async () => {
  const cost = async (length: number) => {
    const [subject, genesis] = await datasetOf(F, A)
    const body = { kind: 'remove', key: A.publicKey } as const
    await subject.submit(ownerEventBy(F, subject.dataset, body, [genesis]))
    const events = chain(subject, A, 1, genesis, length)
    await subject.submit(...events)
    await subject.replica.act(F, { ...RELEASE, tag: 'first' })
    let reads = 0
    for (let i = 0; i < 5; i++) {
      // Anywhere in what it wrote before.
      const [more] = chain(subject, A, 1, events[Math.floor((length * i) / 5)] as Event, 1)
      await subject.submit(more as OwnerEvent)
      reads += await readsOf(subject, async () => {
        const { parents } = (await subject.replica.act(F, {
          ...RELEASE,
          tag: `t${i}`,
        })) as OwnerEvent
        expect(parents.length).toBe(2)
      })
    }
    return reads
  }
  expect(await cost(300)).toBeLessThan((await cost(30)) + 50)
})

test('a vote that is repeated is kept as one', async () => {
  const [subject, genesis] = await datasetOf(F, A)
  const [checkpoint] = bodiesOn(genesis.id, 1) as [CheckpointBody]
  for (let i = 0; i < 5; i++) {
    await subject.submit(ownerEventBy(A, subject.dataset, { kind: 'cp', checkpoint }, [genesis], 1))
  }
  const votes: unknown[] = []
  for await (const vote of subject.log.checkpoints.votesAfter(undefined)) votes.push(vote)
  expect(votes).toEqual([{ id: idOf(subject, checkpoint), key: A.publicKey }])
})

test('a list of checkpoints shows few of the many that one owner votes for, and all that count', async () => {
  const [subject, genesis] = await datasetOf(F, A)
  const [kept, ...junk] = bodiesOn(genesis.id, 200) as [CheckpointBody, ...CheckpointBody[]]
  const vote = (by: Signer, founder: number, checkpoint: CheckpointBody) =>
    ownerEventBy(by, subject.dataset, { kind: 'cp', checkpoint }, [genesis], founder)
  await subject.submit(vote(F, 0, kept))
  const strange = bodiesOn(genesis.id, 200, 'ab'.repeat(32) as CheckpointId)
  await subject.submit(...[...junk, ...strange].map((body) => vote(A, 1, body)))
  const known = await subject.replica.checkpoints()
  expect(known.length).toBeLessThan(100)
  expect(known.find(({ id }) => id === idOf(subject, kept))).toMatchObject({ status: 'open' })
  const hidden = junk
    .map((body) => idOf(subject, body))
    .filter((id) => !known.some((k) => k.id === id))
  expect(await subject.replica.checkpoint(hidden[0] as CheckpointId)).toMatchObject({
    votes: [A.publicKey],
  })
  await subject.submit(vote(A, 1, kept))
  expect(await subject.replica.checkpoint(idOf(subject, kept))).toMatchObject({ status: 'final' })
})

test('many final checkpoints in one place are one alarm', async () => {
  const [subject, genesis] = await datasetOf(F)
  const told: unknown[] = []
  subject.replica.onAlarm(({ kind }) => kind === 'forked' && told.push(kind))
  const bodies = bodiesOn(genesis.id, 30)
  for (const checkpoint of bodies) {
    await subject.submit(ownerEventBy(F, subject.dataset, { kind: 'cp', checkpoint }, [genesis]))
  }
  expect(told.length).toBe(1)
  const smallest = bodies.map((body) => idOf(subject, body)).sort()[0]
  expect(subject.replica.settledBy).toBe(smallest)
})

test('owners that a removed one adds are not listed, and make no row longer', async () => {
  const [subject, genesis] = await datasetOf(F, A)
  const removal = { kind: 'remove', key: A.publicKey } as const
  await subject.submit(ownerEventBy(F, subject.dataset, removal, [genesis]))
  const before = await subject.log.meta('authority')
  const add = ownerEventBy(A, subject.dataset, { kind: 'add', key: B.publicKey }, [genesis], 1)
  const more = ownerEventBy(B, subject.dataset, { kind: 'add', key: F.publicKey }, [add], add)
  for (const event of [add, more]) {
    expect((await subject.submit(event)).refused).toEqual([])
    expect(await subject.log.areVoid([event.id])).toEqual([true])
  }
  expect(await subject.log.meta('authority')).toEqual(before)
  expect(subject.replica.tenures.map(({ key, live }) => [key, live])).toEqual([
    [F.publicKey, true],
    [A.publicKey, false],
  ])
})

test('a junior that decides about what nobody has delays what is final, and does not end it', async () => {
  const [subject, genesis] = await datasetOf(F, A)
  let last: Event = genesis
  for (let k = 0; k < 5; k++) {
    const items = Array.from({ length: 1_000 }, (_, i) => ({
      proposal: (1_000 * k + i + 1).toString(16).padStart(64, '0') as EventId,
    }))
    const body = { kind: 'review', verdict: 'reject', items } as const
    last = ownerEventBy(A, subject.dataset, body, [last], 1)
    await subject.submit(last)
  }
  await subject.replica.act(F, { kind: 'remove', key: A.publicKey })

  const left: number[] = []
  for (let height = 1; height <= 2; height++) {
    const checkpoint = await subject.replica.checkpointDraft()
    expect(checkpoint.height).toBe(height)
    left.push(checkpoint.without.length)
    await subject.replica.act(F, { kind: 'cp', checkpoint })
    const id = idOf(subject, checkpoint)
    const vote = ownerEventBy(A, subject.dataset, { kind: 'cp', checkpoint }, [genesis], 1)
    await subject.submit(vote)
    expect((await subject.replica.checkpoint(id))?.status).toBe('final')
  }
  expect(left).toEqual([4_000, 1_000])
  expect(await subject.replica.checkpointDraft().catch((error) => error.code)).toBe('EXISTS')
})
