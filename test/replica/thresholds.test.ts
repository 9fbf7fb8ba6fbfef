// What a replica tells of datasets where several keys have to agree: what waits for whom, what is asked
// for now; and what it reads of homes that knew of none of that.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isRejection } from '../../src/core/errors.ts'
import type { Event, OwnerEvent } from '../../src/core/event.ts'
import { decodeSnapshot } from '../../src/core/snapshot.ts'
import { noSummary, storedOf, summaryOf } from '../../src/replica/stored-authority.ts'
import { Choices } from '../reference/generator.ts'
import { layerA } from '../reference/reducer.ts'
import { file, isOwnerEvent } from '../makers.ts'
import { blockOf } from '../signing.ts'
import { decoded, signedHistory } from './signed-history.ts'
import { A, B, createOf, F, ownerEventBy, reviewOf, stranger, Subject } from './subject.ts'

const C = stranger

function genesisOf(kOwner: number, kReview: number): Event {
  const founders = [F, A, B].map(({ publicKey }) => publicKey)
  const nonce = new Uint8Array(16)
  return decoded(
    blockOf({ family: 'genesis', founders, kOwner, kReview, nonce, claimedAtMs: 0 }, F),
  )
}

async function opened(kOwner: number, kReview = 1): Promise<Subject> {
  const genesis = genesisOf(kOwner, kReview)
  const subject = await new Subject(genesis.id).reopen()
  await subject.submit(genesis)
  return subject
}

async function policyOfSnapshot(subject: Subject) {
  const { root } = await subject.replica.snapshot()
  const block = await subject.nodes.get(root)
  const snapshot = decodeSnapshot(block as Uint8Array)
  return isRejection(snapshot) ? snapshot : snapshot.policy
}

test('an addition, a removal and a policy wait until another owner endorses them', async () => {
  const subject = await opened(2)
  const { replica } = subject
  const add = await replica.act(F, { kind: 'add', key: C.publicKey })
  const policy = await replica.act(F, { kind: 'policy', kReview: 2 })
  const removal = await replica.act(F, { kind: 'remove', key: B.publicKey })
  const common = { by: F.publicKey, endorsedBy: [F.publicKey], needed: 2 }
  const waiting = [
    { event: add.id, kind: 'add', key: C.publicKey, ...common },
    { event: policy.id, kind: 'policy', kReview: 2, ...common },
    { event: removal.id, kind: 'remove', key: B.publicKey, ...common },
  ]
  expect(await replica.operationsWaiting()).toEqual(waiting)
  expect(replica.tenureOf(C.publicKey)).toBeUndefined()
  expect(await policyOfSnapshot(subject)).toEqual({ kOwner: 2, kReview: 1 })

  await replica.act(A, { kind: 'endorse', operation: add.id })
  await replica.act(A, { kind: 'endorse', operation: policy.id })
  expect(await replica.operationsWaiting()).toEqual([waiting[2]])
  expect(replica.tenureOf(C.publicKey)).toBeDefined()
  expect(replica.policy).toEqual({ kOwner: 2, kReview: 2 })
  expect(await policyOfSnapshot(subject)).toEqual({ kOwner: 2, kReview: 2 })

  await replica.act(A, { kind: 'endorse', operation: removal.id })
  expect(await replica.operationsWaiting()).toEqual([])
  expect(replica.tenureOf(B.publicKey)).toBeUndefined()
})

test('a removal that others must agree to waits for those that are senior to whom it removes', async () => {
  const { replica } = await opened(3)
  const removal = await replica.act(B, { kind: 'remove', key: A.publicKey })
  expect(await replica.operationsWaiting()).toEqual([])
  const byF = await replica.act(F, { kind: 'remove', key: B.publicKey })
  await replica.act(B, { kind: 'endorse', operation: byF.id })
  const [waits] = await replica.operationsWaiting()
  expect(waits).toMatchObject({ event: byF.id, endorsedBy: [F.publicKey] })
  expect(removal.id).not.toBe(byF.id)
})

test('what is asked for and what waits are the same after the replica was opened again', async () => {
  const subject = await opened(2)
  const policy = await subject.replica.act(F, { kind: 'policy', kReview: 2 })
  await subject.replica.act(F, { kind: 'add', key: C.publicKey })
  await subject.replica.act(B, { kind: 'endorse', operation: policy.id })
  const proposal = await subject.replica.propose(C, [createOf(file('a'))])
  await subject.replica.act(A, reviewOf('accept', proposal))
  const waiting = await subject.replica.operationsWaiting()
  const root = (await subject.replica.snapshot()).root.toString()
  await subject.reopen()
  expect(waiting).toHaveLength(1)
  expect(await subject.replica.operationsWaiting()).toEqual(waiting)
  expect(subject.replica.policy).toEqual({ kOwner: 2, kReview: 2 })
  expect((await subject.replica.snapshot()).root.toString()).toBe(root)
  const statusOf = async () => (await subject.log.proposal(proposal.id))?.decisions[0]?.status
  expect(await statusOf()).toBe('pending')
  await subject.replica.act(B, reviewOf('accept', proposal))
  expect(await statusOf()).toBe('accepted')
})

test('a reject by an owner whose addition was endorsed in its past stands in the way of what follows', async () => {
  const genesis = genesisOf(2, 1)
  for (const isEndorsed of [true, false]) {
    const subject = await new Subject(genesis.id).reopen()
    await subject.submit(genesis)
    const proposal = await subject.replica.propose(C, [createOf(file('a'))])
    const act = (...args: Parameters<typeof ownerEventBy>) => ownerEventBy(...args)
    const add = act(F, genesis.id, { kind: 'add', key: C.publicKey }, [genesis])
    const endorse = act(A, genesis.id, { kind: 'endorse', operation: add.id }, [add], 1)
    const on: OwnerEvent = isEndorsed ? endorse : add
    const reject = act(C, genesis.id, reviewOf('reject', proposal), [on], add)
    const accept = act(F, genesis.id, reviewOf('accept', proposal), [reject])
    await subject.submit(add, endorse, reject, accept)
    const row = await subject.log.proposal(proposal.id)
    expect(row?.decisions[0]?.status).toBe(isEndorsed ? 'rejected' : 'accepted')
  }
})

test('whatever waits in random histories is what the reference says waits', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 30 }), async (seed, ownerEvents) => {
      const { genesis, events } = signedHistory(seed, ownerEvents, { kOwnerMax: 3 })
      const subject = await new Subject(genesis.id).reopen()
      await subject.submit(genesis, ...new Choices(seed).shuffled([...events]))
      for (let left = events.length; left > 0; left--) {
        const { missingParents } = await subject.submit(...events)
        if (missingParents.length === 0) break
      }
      const reference = layerA(genesis, events.filter(isOwnerEvent))
      const expected = events.filter((event) => isOwnerEvent(event) && reference.waits(event))
      const waiting = await subject.replica.operationsWaiting()
      const ids = genesis.kOwner === 1 ? [] : expected.map(({ id }) => id)
      expect(waiting.map(({ event }) => event).sort()).toEqual(ids.sort())
      for (const { endorsedBy, needed } of waiting) expect(endorsedBy.length).toBeLessThan(needed)
    }),
    { numRuns: 60, endOnFailure: true },
  )
})

test('the row of a home that knew of no thresholds is read as one key being enough', () => {
  const { kOwner, kReview, policies, ...rest } = storedOf([F.publicKey], [], noSummary)
  const removals = ['a'.repeat(64)] as never
  const standing = { exists: true, closed: false, leavings: [], removals }
  const old = { ...rest, standings: [['f0' as never, standing]] as const }
  const { standings, ...summary } = summaryOf(old as never)
  expect(summary).toMatchObject({ kOwner, kReview, policies })
  expect([...standings.values()]).toEqual([
    { exists: true, closed: false, removedBy: [], leavings: [], removals },
  ])
})
