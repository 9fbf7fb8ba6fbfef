// Two halves that worked apart for long: what they do when they meet again.
import { expect, test } from 'vitest'
import type { Event, Genesis } from '../../src/core/event.ts'
import type { Signer } from '../../src/ports.ts'
import { file } from '../makers.ts'
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

const FOUNDERS = [F, A, B]

/** A line of accepted files, one event each, on top of `last`. */
function line(genesis: Genesis, by: Signer, length: number, label: string, last: Event): Event[] {
  const events: Event[] = []
  let parent = last
  for (let i = 0; i < length; i++) {
    const proposal = proposalBy(stranger, genesis.id, createOf(file(`${label}/${i}`)))
    parent = ownerEventBy(
      by,
      genesis.id,
      reviewOf('accept', proposal),
      [parent],
      FOUNDERS.indexOf(by),
    )
    events.push(proposal, parent)
  }
  return events
}

const rootOf = async (subject: Subject) => (await subject.replica.snapshot()).root.toString()

/** @returns reads and writes of the left half while it takes in 500 events of the right one. */
async function heal(common: number): Promise<{ reads: number; writes: number }> {
  const genesis = genesisBy(F, A, B)
  const before = line(genesis, F, common, 'common', genesis)
  const last = before.at(-1) as Event
  const left = line(genesis, A, 500, 'left', last)
  // They also meant the same names now and then: who has them is settled in the end.
  const right = line(genesis, B, 250, 'right', last)
  const both = line(genesis, B, 250, 'left', right.at(-1) as Event)

  const [one, other] = [new Subject(genesis.id), new Subject(genesis.id)]
  await one.reopen()
  await other.reopen()
  await one.submit(genesis, ...before, ...left)
  await other.submit(genesis, ...before, ...right, ...both)
  expect(await rootOf(one)).not.toBe(await rootOf(other))

  const { reads, writes } = one.disk
  await one.submit(...right, ...both)
  const cost = { reads: one.disk.reads - reads, writes: one.disk.writes - writes }
  await other.submit(...left)
  expect(await rootOf(one)).toBe(await rootOf(other))
  return cost
}

test('T42: two halves of 1,000 events each agree when they meet, and what they share is not replayed', async () => {
  const [few, many] = [await heal(50), await heal(1_000)]
  expect(many.reads).toBeLessThan(few.reads * 1.1)
  expect(many.writes).toBeLessThan(few.writes * 1.1)
}, 60_000)
