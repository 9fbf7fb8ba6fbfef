// Whole replicas with checkpoints: the same events in other orders and batches, through crashes and full
// disks, come to the same chain, the same rows and the same root, which are those of the reference.
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { listReleases } from '../../src/api/datasets/releases.ts'
import { checkpointIdOf } from '../../src/core/checkpoint-id.ts'
import type { Event } from '../../src/core/event.ts'
import { type CheckpointId, eventIdOfText, versionKey } from '../../src/core/ids.ts'
import type { Version } from '../../src/core/state.ts'
import { nodeCrypto } from '../../src/crypto.ts'
import { historyOf, recompute } from '../../src/replica/recompute.ts'
import { silentLogger, steppingClock } from '../api/make-node.ts'
import { sha256 } from '../makers.ts'
import { checkpointHistory } from '../reference/checkpoint-generator.ts'
import { type FinalState, finalState } from '../reference/finality.ts'
import { Choices } from '../reference/generator.ts'
import type { Fault } from './faulty-database.ts'
import { type SignedHistory, signAll } from './signed-history.ts'
import { Subject } from './subject.ts'
import { dumpOf } from './table-dump.ts'

const RUNS = Number(process.env['GONK_FINALITY_RUNS'] ?? 40)
const ARRIVALS = 3
const SCRATCH = join(tmpdir(), `gonk-finality-${process.pid}`)
const crypto = nodeCrypto()

afterAll(() => rm(SCRATCH, { recursive: true, force: true }))

const history = (seed: number, ownerEvents: number): SignedHistory => {
  const options = seed % 3 === 0 ? { kOwnerMax: 3 } : {}
  return signAll(checkpointHistory(seed, ownerEvents, options), seed)
}

/** In batches, until everything is stored; with crashes, and looks at the root, in between. */
async function deliver(
  subject: Subject,
  events: readonly Event[],
  choices: Choices,
  { withFaults, anchor }: { withFaults: boolean; anchor: CheckpointId | undefined },
): Promise<void> {
  let queue = [...events]
  for (let step = 0; queue.length > 0; step++) {
    if (step > 3_000) throw new Error(`${queue.length} events are never stored`)
    const batch = queue.splice(0, 1 + choices.below(choices.of([1, 4, 30, 300])))
    if (withFaults && choices.chance(20)) {
      const fault = choices.of<Fault>(['refused', 'unsure', 'lost', 'last'])
      subject.disk.failIn(1 + choices.below(30), fault)
    }
    try {
      const { refused } = await subject.submit(...batch)
      const reasons = new Map(refused.map(({ event, refused: reason }) => [event, reason]))
      queue.push(...batch.filter(({ id }) => reasons.get(id) === 'missing-parents'))
      if (choices.chance(8)) await subject.replica.snapshot()
      if (anchor !== undefined && choices.chance(4)) await subject.replica.setAnchor(anchor)
      if (choices.chance(3)) await subject.reopen()
    } catch (error) {
      if (!withFaults) throw error
      queue = [...batch, ...queue]
      if (subject.hasEnded) await subject.reopen()
    }
  }
  subject.disk.heal()
  if (withFaults) await subject.reopen()
  if (anchor !== undefined) await subject.replica.setAnchor(anchor)
}

async function chainOf({ replica }: Subject): Promise<CheckpointId[]> {
  const known = await replica.checkpoints()
  const final = known.filter(({ status }) => status === 'final')
  return final.sort((a, b) => a.body.height - b.body.height).map(({ id }) => id)
}

/** What the reference says too. */
async function stateOf(subject: Subject, { events }: SignedHistory) {
  const { replica, log } = subject
  await replica.snapshot()
  const items: Record<string, string> = {}
  for await (const [proposal, { decisions }] of log.allProposals()) {
    for (const decision of decisions) {
      for (let index = decision.from; index <= decision.to; index++) {
        const { status } = decision
        const text = status === 'pending' ? status : `${status} ${decision.by}`
        items[versionKey({ proposal, index })] = text
      }
    }
  }
  const heads: Record<string, string[]> = {}
  for await (const [id] of log.objectTable.all()) {
    const [row] = await log.objectRows([id])
    if (row === undefined) continue
    heads[id] = row.heads.map((i) => versionKey((row.versions[i] as Version).id))
  }
  const names: Record<string, string> = {}
  for (const space of ['file', 'schema'] as const) {
    for await (const [name, { object }] of log.names.allOwned(space)) {
      names[`${space} ${name}`] = object
    }
  }
  // Reviews of a later version decide nothing.
  const reviews = new Set(
    events.flatMap((event) =>
      event.family === 'owner' && event.body.kind === 'review' ? [event.id] : [],
    ),
  )
  const requirements = [...(await log.requirements.all())].filter(([id]) => reviews.has(id))
  const owned = (await listReleases(replica)).filter(({ shadowed }) => !shadowed)
  return {
    chain: await chainOf(subject),
    owners: replica.tenures.filter(({ live }) => live).map(({ id, key }) => `${id} ${key}`),
    void: [...(await log.voids())].sort(),
    requirements: Object.fromEntries(requirements),
    items,
    heads,
    names,
    tags: owned.map(({ tag, event }) => [tag, eventIdOfText(event)]).sort(),
  }
}

function expectedOf({ chain, state }: FinalState) {
  const { owners, void: voids, requirements, items, names, objects } = state
  const heads = Object.fromEntries(Object.entries(objects).map(([id, row]) => [id, row.heads]))
  const tags = Object.entries(state.tags).sort()
  return { chain, owners, void: voids, requirements, items, heads, names, tags }
}

async function outcomeOf(subject: Subject) {
  const { root } = await subject.replica.snapshot()
  const tables = await dumpOf(subject.disk.disk, subject.log)
  return { root: root.toString(), tables, tenures: subject.replica.tenures }
}

/** The user may trust any of them, or one that nobody has voted for, before or after it comes. */
function anchorOf(signed: SignedHistory, choices: Choices): CheckpointId | undefined {
  const bodies = signed.events.flatMap((event) =>
    event.family === 'owner' && event.body.kind === 'cp' ? [event.body.checkpoint] : [],
  )
  if (choices.chance(60) || bodies.length === 0) return undefined
  if (choices.chance(5)) return 'ff'.repeat(32) as CheckpointId
  return checkpointIdOf(signed.genesis.id, choices.of(bodies), sha256)
}

async function check(seed: number, ownerEvents: number): Promise<void> {
  const signed = history(seed, ownerEvents)
  const choices = new Choices(seed ^ 0x2545f491)
  const all = [...signed.events]
  const anchor = anchorOf(signed, choices)
  const expected = finalState(signed.genesis, all, anchor)
  let first: unknown
  for (let way = 0; way < ARRIVALS; way++) {
    const subject = await new Subject(signed.genesis.id).reopen()
    const order = way === 0 ? all : way === 1 ? all.toReversed() : choices.shuffled(all)
    const withFaults = way > 0
    await deliver(subject, [signed.genesis, ...order], choices, { withFaults, anchor })
    const state = await stateOf(subject, signed)
    expect(state, `arrival ${way}`).toEqual(expectedOf(expected))
    const outcome = await outcomeOf(subject)
    first ??= outcome
    expect(outcome, `arrival ${way}`).toEqual(first)
    expect(subject.warnings.filter((message) => message.includes('trees'))).toEqual([])
    if (way > 0 || !choices.chance(10)) continue
    const { heads } = await subject.replica.snapshot()
    const needs = { crypto, clock: steppingClock(), logger: silentLogger, scratch: SCRATCH }
    const again = await recompute(needs, historyOf(subject.log, heads), { anchor })
    expect(again.snapshot?.root.toString()).toBe(outcome.root)
  }
}

test(`${RUNS} random histories with checkpoints, each in ${ARRIVALS} arrivals, with crashes`, async () => {
  await fc.assert(fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 30 }), check), {
    numRuns: RUNS,
    endOnFailure: true,
  })
}, 600_000)
