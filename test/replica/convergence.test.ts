// T2 T3 T4 T27 T39 T49: whole replicas that got the same events in different orders and batches, some
// through crashes and full disks, are equal in everything: root, rows and trees. And they are what
// the reference says.
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import type { Event } from '../../src/core/event.ts'
import { versionKey } from '../../src/core/ids.ts'
import { listReleases } from '../../src/api/datasets/releases.ts'
import { nodeCrypto } from '../../src/crypto.ts'
import { historyOf, recompute } from '../../src/replica/recompute.ts'
import { silentLogger, steppingClock } from '../api/make-node.ts'
import { Choices, type HistoryOptions } from '../reference/generator.ts'
import { referenceState } from '../reference/reducer.ts'
import type { StateText } from '../reference/state-text.ts'
import type { Fault } from './faulty-database.ts'
import { scannedHistory } from './history-scan.ts'
import { type SignedHistory, signedHistory } from './signed-history.ts'
import { Subject } from './subject.ts'
import { dumpOf } from './table-dump.ts'

const RUNS = 100
const ARRIVALS = 4
const SCRATCH = join(tmpdir(), `gonk-convergence-${process.pid}`)
const crypto = nodeCrypto()

afterAll(() => rm(SCRATCH, { recursive: true, force: true }))

/**
 * Delivers until everything is stored; what waits for its parents comes again, and at the end what
 * the pool had no room for.
 */
async function deliver(
  subject: Subject,
  arrivals: readonly Event[],
  choices: Choices,
  withFaults: boolean,
): Promise<void> {
  await subject.reopen()
  const left = await deliverWhatFits(subject, arrivals, choices, withFaults)
  subject.disk.heal()
  const wanted = new Set(await subject.log.wanted())
  expect(left.filter(({ id }) => wanted.has(id))).toEqual([])
  subject.poolBytesMax = Number.POSITIVE_INFINITY
  await subject.reopen()
  await subject.replica.submit(left.map(({ block }) => block))
}

/** @returns the undecided proposals that were refused for want of room. */
async function deliverWhatFits(
  subject: Subject,
  arrivals: readonly Event[],
  choices: Choices,
  withFaults: boolean,
): Promise<Event[]> {
  let queue = [...arrivals]
  let crowded: Event[] = []
  let wasNamed = false
  for (let step = 0; queue.length > 0; step++) {
    if (step > 5_000) throw new Error(`${queue.length} events are never stored`)
    const batch = queue.splice(0, 1 + choices.below(choices.of([1, 4, 30])))
    if (withFaults && choices.chance(15)) {
      const fault = choices.of<Fault>(['refused', 'unsure', 'lost', 'last'])
      subject.disk.failIn(1 + choices.below(4), fault)
    }
    try {
      const { refused, stored } = await subject.replica.submit(batch.map(({ block }) => block))
      const reasons = new Map(refused.map(({ event, refused: reason }) => [event, reason]))
      const waiting = batch.filter(({ id }) => reasons.get(id) === 'missing-parents')
      const overQuota = batch.filter(({ id }) => reasons.get(id) === 'over-quota')
      expect(waiting.length + overQuota.length).toBe(
        batch.filter(({ id }) => reasons.has(id)).length,
      )
      queue.push(...choices.shuffled(waiting))
      crowded.push(...overQuota)
      wasNamed ||= stored.some(({ family }) => family === 'owner')
    } catch (error) {
      wasNamed = true
      queue = [...batch, ...queue]
      await survive(error, subject, withFaults)
    }
    try {
      await lookAt(subject, choices)
    } catch (error) {
      await survive(error, subject, withFaults)
    }
    if (queue.length > 0 || !wasNamed) continue
    queue = crowded
    crowded = []
    wasNamed = false
  }
  return crowded
}

async function lookAt(subject: Subject, choices: Choices): Promise<void> {
  const what = choices.below(12)
  if (what === 0 && subject.replica.hasGenesis) await subject.replica.snapshot()
  if (what === 1) await subject.replica.eventSets()
  if (what === 2 && choices.chance(30)) await subject.reopen()
}

async function survive(error: unknown, subject: Subject, withFaults: boolean): Promise<void> {
  if (!withFaults || !/no space|process has ended/.test(String(error))) throw error
  if (subject.hasEnded) await subject.reopen()
}

function arrivalsOf({ genesis, events }: SignedHistory, choices: Choices, way: number): Event[] {
  const rest = [...events]
  if (way === 0) return [genesis, ...rest]
  if (way === 1) return [genesis, ...rest.reverse()]
  const twice = rest.filter(() => choices.chance(20))
  return [genesis, ...choices.shuffled([...rest, ...twice])]
}

async function outcomeOf(subject: Subject) {
  const { root, stateRoot, counts } = await subject.replica.snapshot()
  return {
    root: root.toString(),
    stateRoot: stateRoot.toString(),
    counts,
    tenures: subject.replica.tenures,
    tables: await dumpOf(subject.disk.disk, subject.log),
  }
}

/** What the reference says too, read from the rows. */
async function stateOf({ replica, log }: Subject, events: readonly Event[]) {
  const items: StateText['items'] = {}
  for await (const [proposal, { decisions }] of log.allProposals()) {
    for (const decision of decisions) {
      for (let index = decision.from; index <= decision.to; index++) {
        const { status } = decision
        const text = status === 'pending' ? status : `${status} ${decision.by}`
        items[versionKey({ proposal, index })] = text
      }
    }
  }
  const names: StateText['names'] = {}
  for (const space of ['file', 'schema'] as const) {
    for await (const [name, { object }] of log.names.allOwned(space)) {
      names[`${space} ${name}`] = object
    }
  }
  // Reviews of a later version decide nothing, whatever is noted of them.
  const reviews = new Set(
    events.flatMap((event) =>
      event.family === 'owner' && event.body.kind === 'review' ? [event.id] : [],
    ),
  )
  const requirements = [...(await log.requirements.all())].filter(([id]) => reviews.has(id))
  const owned = (await listReleases(replica)).filter(({ shadowed }) => !shadowed)
  return {
    owners: replica.tenures.filter(({ live }) => live).map(({ id, key }) => `${id} ${key}`),
    void: [...(await log.voids())].sort(),
    policy: replica.policy.kReview,
    requirements: Object.fromEntries(requirements),
    items,
    names,
    tags: owned.map(({ tag }) => tag).sort(),
  }
}

function expectedOf({ genesis, events }: SignedHistory) {
  const state = referenceState(genesis, [...events])
  const { owners, void: voids, policy, requirements, items, names, tags } = state
  return { owners, void: voids, policy, requirements, items, names, tags: Object.keys(tags).sort() }
}

async function check(
  seed: number,
  ownerEvents: number,
  arrivals: number,
  options: HistoryOptions = {},
): Promise<void> {
  const history = signedHistory(seed, ownerEvents, options)
  const choices = new Choices(seed ^ 0x2545f491)
  let first: Awaited<ReturnType<typeof outcomeOf>> | undefined
  for (let way = 0; way < arrivals; way++) {
    const subject = new Subject(history.genesis.id)
    if (way === 0) subject.partMax = undefined
    if (way === 3) subject.poolBytesMax = 1_500
    await deliver(subject, arrivalsOf(history, choices, way), choices, way > 0)
    const outcome = await outcomeOf(subject)
    first ??= outcome
    expect(outcome, `arrival ${way}`).toEqual(first)
    expect(outcome.tables['history']).toEqual(await scannedHistory(subject.log))
    // Trees are made again only where a disk has lost something, and here none did.
    expect(subject.warnings.filter((message) => message.includes('trees'))).toEqual([])
    if (way === 0) expect(await stateOf(subject, history.events)).toEqual(expectedOf(history))
  }
}

test(`T2 T3 T4 T27 T39 T49: ${RUNS} random histories, each in ${ARRIVALS} arrivals, with crashes and full disks`, async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 40 }), (seed, ownerEvents) =>
      check(seed, ownerEvents, ARRIVALS),
    ),
    { numRuns: RUNS, endOnFailure: true },
  )
})

test(`${RUNS} more where up to three keys have to agree`, async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 40 }), (seed, ownerEvents) =>
      check(seed, ownerEvents, ARRIVALS, { kOwnerMax: 3 }),
    ),
    { numRuns: RUNS, endOnFailure: true },
  )
})

test('the state of a replica is what its events give when they are replayed', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 40 }), async (seed, ownerEvents) => {
      const history = signedHistory(seed, ownerEvents, { kOwnerMax: seed % 2 === 0 ? 1 : 3 })
      const subject = new Subject(history.genesis.id)
      await deliver(subject, arrivalsOf(history, new Choices(seed), 2), new Choices(seed), true)
      const { root, heads } = await subject.replica.snapshot()
      const needs = { crypto, clock: steppingClock(), logger: silentLogger, scratch: SCRATCH }
      const { snapshot } = await recompute(needs, historyOf(subject.log, heads))
      expect(snapshot?.root.toString()).toBe(root.toString())
    }),
    { numRuns: 8, endOnFailure: true },
  )
})
