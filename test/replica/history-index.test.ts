// The history index of a replica is what a scan of its events gives, also in a home that lacks it.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Event } from '../../src/core/event.ts'
import { nodeCrypto } from '../../src/crypto.ts'
import { DatasetLog } from '../../src/log/dataset-log.ts'
import { datasetPrefix, homeKey, rangeOf } from '../../src/log/keys.ts'
import { decodeRow, encodeRow } from '../../src/log/rows.ts'
import { historyAnew } from '../../src/replica/history-anew.ts'
import { silentLogger } from '../api/make-node.ts'
import { Choices } from '../reference/generator.ts'
import type { Fault } from './faulty-database.ts'
import { HISTORY_TABLES, indexedHistory, scannedHistory } from './history-scan.ts'
import { signedHistory } from './signed-history.ts'
import {
  A,
  createOf,
  F,
  genesisBy,
  ownerEventBy,
  proposalBy,
  reviewOf,
  Subject,
} from './subject.ts'
import { file } from '../makers.ts'

const crypto = nodeCrypto()

async function indexed(subject: Subject) {
  return indexedHistory(subject.disk.disk, subject.log)
}

async function expectWhole(subject: Subject): Promise<void> {
  expect(await indexed(subject)).toEqual(await scannedHistory(subject.log))
}

/** As a home of a version that had no index. */
async function dropIndex({ disk, log }: Subject): Promise<void> {
  for (const table of HISTORY_TABLES) {
    await disk.disk.clear(rangeOf(datasetPrefix(table, log.ordinal)))
  }
  await log.commit([log.deleteMeta('history')])
  // Headers said nothing of the arrival.
  for await (const [key, row] of disk.disk.iterator(
    rangeOf(datasetPrefix('headers', log.ordinal)),
  )) {
    await disk.disk.put(key, encodeRow(decodeRow<unknown[]>(row).slice(0, 7)))
  }
}

/** One more process that builds it, and may fail at one of its writes. */
async function build(subject: Subject, atWrite: number, fault: Fault): Promise<unknown> {
  const log = new DatasetLog(subject.disk.open().db, subject.dataset, 1)
  subject.disk.failIn(atWrite, fault)
  const failure = await historyAnew({ log, crypto, logger: silentLogger }).catch(String)
  subject.disk.heal()
  return failure
}

async function submitAll(subject: Subject, events: readonly Event[]): Promise<void> {
  const { refused } = await subject.submit(...events)
  expect(refused).toEqual([])
}

test('a home without the index gets it when it is opened, whatever cuts that off', async () => {
  const faults: readonly Fault[] = ['refused', 'unsure', 'lost', 'last']
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.integer({ min: 1, max: 120 }),
      fc.integer({ min: 1, max: 4 }),
      fc.constantFrom(...faults),
      async (seed, ownerEvents, atWrite, fault) => {
        const { genesis, events } = signedHistory(seed, ownerEvents)
        const subject = await new Subject(genesis.id).reopen()
        await submitAll(subject, [genesis, ...events])
        const before = await indexed(subject)
        await dropIndex(subject)
        await build(subject, atWrite, fault)
        await subject.reopen()
        expect(await indexed(subject)).toEqual(before)
        await expectWhole(subject)
        expect(await subject.log.meta('history')).toBe(true)
      },
    ),
    { numRuns: 30, endOnFailure: true },
  )
})

test('what comes while the index is not whole is in it, and it becomes whole later', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.integer({ min: 140, max: 180 }),
      async (seed, ownerEvents) => {
        const choices = new Choices(seed)
        const { genesis, events } = signedHistory(seed, ownerEvents)
        const owners = events.filter(({ family }) => family === 'owner')
        const half = owners.slice(0, owners.length / 2)
        const proposals = choices.shuffled(events.filter(({ family }) => family === 'proposal'))
        const subject = await new Subject(genesis.id).reopen()
        const early = proposals.slice(0, proposals.length / 2)
        await submitAll(subject, [genesis, ...early, ...half])
        await dropIndex(subject)
        expect(await build(subject, 2, 'refused')).toMatch('no space')
        // Reviews that came late decide about proposals that are indexed, that are not yet, and that are new.
        await submitAll(subject, [...owners.slice(half.length), ...proposals.slice(early.length)])
        await subject.reopen()
        await expectWhole(subject)
      },
    ),
    { numRuns: 10, endOnFailure: true },
  )
})

test('an index that is whole is not built again', async () => {
  const genesis = genesisBy(F)
  const subject = await new Subject(genesis.id).reopen()
  await submitAll(subject, [genesis, proposalBy(F, genesis.id, createOf(file('a')))])
  const { writes } = subject.disk
  await subject.reopen()
  expect(subject.disk.writes).toBe(writes)
})

test('a damaged event is left out of an index that is built, and nothing else is', async () => {
  const genesis = genesisBy(F)
  const [damaged, sound] = ['a', 'b'].map((name) => proposalBy(F, genesis.id, createOf(file(name))))
  if (damaged === undefined || sound === undefined) throw new Error('two were made')
  const subject = await new Subject(genesis.id).reopen()
  await submitAll(subject, [genesis, damaged, sound])
  await dropIndex(subject)
  await subject.disk.disk.put(homeKey('events', Buffer.from(damaged.id, 'hex')), sound.block)
  await subject.reopen()
  const { statuses, authors } = await indexed(subject)
  expect(statuses).toEqual([`object pending ${sound.id}`])
  expect(authors).toEqual([genesis, sound].map(({ id }) => `${F.publicKey} ${id}`).sort())
})

test('a decision that a late removal takes back moves the proposal back', async () => {
  const genesis = genesisBy(F, A)
  const subject = await new Subject(genesis.id).reopen()
  const proposal = proposalBy(F, genesis.id, createOf(file('a')))
  const accept = ownerEventBy(A, genesis.id, reviewOf('accept', proposal), [genesis], 1)
  const remove = ownerEventBy(F, genesis.id, { kind: 'remove', key: A.publicKey }, [genesis])
  const found: string[][] = []
  // The review is there before what it names.
  for (const event of [genesis, accept, proposal, remove]) {
    await submitAll(subject, [event])
    found.push((await indexed(subject)).statuses)
  }
  const line = (status: string) => [`object ${status} ${proposal.id}`]
  expect(found).toEqual([[], [], line('accepted'), line('pending')])
})
