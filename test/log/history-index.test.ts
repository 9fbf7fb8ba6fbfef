// Every query of the history index equals a scan of all events, whatever order they arrived in and
// however often the decisions changed.
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { MemoryLevel } from 'memory-level'
import { afterAll, expect, test } from 'vitest'
import type { Event, Operation, Proposal, Value } from '../../src/core/event.ts'
import {
  type DatasetId,
  type EventId,
  objectIdOf,
  type ObjectId,
  type VersionId,
} from '../../src/core/ids.ts'
import type { Decision } from '../../src/core/state.ts'
import { type Database, openDatabase } from '../../src/log/database.ts'
import { DatasetLog } from '../../src/log/dataset-log.ts'
import { file, history, keyNamed, sha256 } from '../makers.ts'
import { Choices } from '../reference/generator.ts'
import { kindOf } from '../replica/history-scan.ts'

const DATASET = 'd'.repeat(64) as DatasetId
const directory = join(tmpdir(), `gonk-history-index-${process.pid}`)
const KEYS = ['F', 'A', 'B'].map(keyNamed)
const KINDS = ['object', 'schema', 'annotation', 'removal'] as const
const STATUSES = ['pending', 'accepted', 'rejected'] as const

/** Ids that differ in their first, a middle and their last digits alone. */
const ALIKE = ['', '0', 'ab'.repeat(12), 'ab'.repeat(31), `${'ab'.repeat(31)}e`, 'f'.repeat(63)]
const NAMED = [
  ...new Set(ALIKE.flatMap((start) => ['0', '7', 'f'].map((c) => start.padEnd(64, c)))),
]

afterAll(() => rm(directory, { recursive: true, force: true }))

interface Entry {
  readonly event: Event
  readonly arrival: number
  decisions: readonly Decision[]
}

interface World {
  readonly log: DatasetLog
  readonly choices: Choices
  /** In order of arrival. */
  readonly entries: Entry[]
  readonly versions: VersionId[]
}

async function worldOf(seed: number): Promise<World> {
  const db: Database = new MemoryLevel({ keyEncoding: 'view', valueEncoding: 'view' })
  const choices = new Choices(seed)
  const events = eventsOf(choices, seed)
  // Rows of another dataset lie on both sides.
  for (const ordinal of [1, 3]) {
    const other = new DatasetLog(db, DATASET, ordinal)
    await other.commit(events.flatMap((event, i) => other.putEvent(event, i, sha256)))
  }
  const log = new DatasetLog(db, DATASET, 2)
  const arrivals = [0, ...Array.from({ length: 40 }, () => choices.below(2 ** 31))]
  const ascending = [...new Set(arrivals)].sort((a, b) => a - b)
  const entries = choices.shuffled(events).map((event, i): Entry => {
    const decisions = event.family === 'proposal' ? [runOf(event, 'pending', choices)] : []
    return { event, arrival: ascending[i] as number, decisions }
  })
  for (const { event, arrival } of choices.shuffled(entries)) {
    await log.commit(log.putEvent(event, arrival, sha256))
  }
  return { log, choices, entries, versions: versionsOf(events) }
}

function eventsOf(choices: Choices, seed: number): Event[] {
  const made = history(['F', 'A', 'B'], String(seed))
  const count = 1 + choices.below(20)
  for (let i = 0; i < count; i++) {
    if (choices.chance(30)) made.noop(choices.of(['F', 'A', 'B']))
    const known = versionsOf(made.events)
    const operations = Array.from({ length: 1 + choices.below(6) }, () =>
      operationOf(choices, known),
    )
    made.propose(...operations)
  }
  const events: Event[] = [made.genesis, ...made.events]
  return events.map((event) => ({ ...event, author: choices.of(KEYS) }))
}

function versionsOf(events: readonly Event[]): VersionId[] {
  return events.flatMap((event) =>
    event.family === 'proposal'
      ? event.operations.map((_, index) => ({ proposal: event.id, index }))
      : [],
  )
}

function operationOf(choices: Choices, known: readonly VersionId[]): Operation {
  const object = (
    known.length > 0 && choices.chance(50)
      ? objectIdOf(choices.of(known), sha256)
      : choices.of(NAMED)
  ) as ObjectId
  const base = known.slice(0, 1)
  switch (choices.below(5)) {
    case 0:
      return { op: 'delete', object, base }
    case 1:
      return { op: 'purge', object }
    case 2:
      return { op: 'update', object, base, value: valueOf(choices, known) }
    default:
      return { op: 'create', value: valueOf(choices, known) }
  }
}

function valueOf(choices: Choices, known: readonly VersionId[]): Value {
  if (known.length > 0 && choices.chance(50)) {
    const targets = Array.from({ length: 1 + choices.below(4) }, () => choices.of(known))
    const schema = choices.of(known)
    return { type: 'annotation', targets: [...new Set(targets)], schema, sizeBytes: 0 }
  }
  return file('a', 'a', choices.chance(30) ? 'application/schema+json' : 'text/plain')
}

function runOf(proposal: Proposal, status: Decision['status'], choices: Choices): Decision {
  return decisionOf(0, proposal.operations.length - 1, status, choices)
}

function decisionOf(
  from: number,
  to: number,
  status: Decision['status'],
  choices: Choices,
): Decision {
  const by = String(choices.below(10)).repeat(64) as EventId
  if (status === 'pending') return { from, to, status }
  if (status === 'rejected') return { from, to, status, by }
  return { from, to, status, by, date: new Uint8Array(80) }
}

/** Decides some proposals anew: in runs, also back to undecided. */
async function decideSome({ log, choices, entries }: World): Promise<void> {
  for (const entry of entries) {
    const { event, arrival, decisions: before } = entry
    if (event.family !== 'proposal' || choices.chance(40)) continue
    const cut = choices.below(event.operations.length + 1)
    const last = event.operations.length - 1
    entry.decisions = [
      decisionOf(0, cut - 1, choices.of(STATUSES), choices),
      decisionOf(cut, last, choices.of(STATUSES), choices),
    ].filter(({ from, to }) => from <= to)
    await log.commit(log.history.changeStatuses(event, arrival, before, entry.decisions))
  }
}

// ---------------------------------------------------------------- the same by a scan

interface Made {
  readonly arrival: number
  readonly version: VersionId
  readonly operation: Operation
  readonly object: ObjectId
}

function operationsIn({ entries }: World): Made[] {
  return entries.flatMap(({ event, arrival }) =>
    event.family !== 'proposal'
      ? []
      : event.operations.map((operation, index): Made => {
          const version = { proposal: event.id, index }
          const object = 'object' in operation ? operation.object : objectIdOf(version, sha256)
          return { arrival, version, operation, object }
        }),
  )
}

function touchesOf(world: World, object: ObjectId) {
  const found = operationsIn(world).filter((made) => made.object === object)
  return found.map(({ arrival, version, operation: { op } }) => ({ arrival, ...version, op }))
}

function annotationsIn(world: World, names: (made: Value & { type: 'annotation' }) => VersionId[]) {
  return (version: VersionId) =>
    operationsIn(world)
      .filter(({ operation }) => {
        if (!('value' in operation) || operation.value.type !== 'annotation') return false
        return names(operation.value).some((of) => isSame(of, version))
      })
      .map(({ arrival, object, version: of }) => ({ arrival, object, version: of }))
}

const isSame = (a: VersionId, b: VersionId) => a.proposal === b.proposal && a.index === b.index

function withStatus({ entries }: World, kind: string, status: string): [number, EventId][] {
  return entries
    .filter(
      ({ event, decisions }) =>
        event.family === 'proposal' &&
        decisions.some(
          (decision) =>
            decision.status === status &&
            event.operations.some(
              (operation, i) =>
                kindOf(operation) === kind && decision.from <= i && i <= decision.to,
            ),
        ),
    )
    .map(({ event, arrival }) => [arrival, event.id])
}

// ---------------------------------------------------------------- comparisons

const listOf = <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const read = async () => {
    const list: T[] = []
    for await (const item of items) list.push(item)
    return list
  }
  return read()
}

type Place = { readonly arrival: number; readonly index: number }

/** Whole, page by page, and from anywhere. */
async function expectPages<T>(
  query: (options: { after?: Place; limit?: number }) => AsyncIterable<T>,
  placeOf: (row: T) => Place,
  expected: readonly T[],
): Promise<void> {
  expect(await listOf(query({}))).toEqual(expected)
  const paged: T[] = []
  for (let after: Place | undefined; ;) {
    const page = await listOf(query({ limit: 2, ...(after && { after }) }))
    expect(page.length).toBeLessThanOrEqual(2)
    const last = page.at(-1)
    if (last === undefined) break
    paged.push(...page)
    after = placeOf(last)
  }
  expect(paged).toEqual(expected)
}

type Walk = { from?: number; reverse?: boolean; limit?: number }

async function expectWalks(
  query: (options: Walk) => AsyncIterable<[number, EventId]>,
  expected: readonly [number, EventId][],
  choices: Choices,
): Promise<void> {
  const backwards = expected.toReversed()
  const from = choices.of([...expected.map(([arrival]) => arrival), choices.below(2 ** 31), 0])
  expect(await listOf(query({}))).toEqual(expected)
  expect(await listOf(query({ reverse: true }))).toEqual(backwards)
  expect(await listOf(query({ from }))).toEqual(expected.filter(([at]) => at >= from))
  expect(await listOf(query({ from, reverse: true, limit: 2 }))).toEqual(
    backwards.filter(([at]) => at <= from).slice(0, 2),
  )
}

async function compare(world: World): Promise<void> {
  const { log, choices, versions, entries } = world
  const objects = [...new Set([...operationsIn(world).map(({ object }) => object), ...NAMED])]
  for (const object of objects as ObjectId[]) {
    const query = (options: object) => log.history.operationsOf(object, options)
    await expectPages(query, (row) => row, touchesOf(world, object))
  }
  const annotating = annotationsIn(world, ({ targets }) => [...targets])
  const conforming = annotationsIn(world, ({ schema }) => [schema])
  for (const version of versions) {
    const placeOf = (row: { arrival: number; version: VersionId }) => ({ ...row, ...row.version })
    const ofTarget = (options: object) => log.history.annotationsOf(version, options)
    await expectPages(ofTarget, placeOf, annotating(version))
    const ofSchema = (options: object) => log.history.annotationsBySchema(version, options)
    await expectPages(ofSchema, placeOf, conforming(version))
  }
  for (const key of KEYS) {
    const own = entries.filter(({ event }) => event.author === key)
    const expected = own.map(({ event, arrival }): [number, EventId] => [arrival, event.id])
    await expectWalks((options) => log.history.authoredBy(key, options), expected, choices)
  }
  for (const kind of KINDS) {
    for (const status of STATUSES) {
      const query = (options: Walk) => log.history.byStatus(kind, status, options)
      await expectWalks(query, withStatus(world, kind, status), choices)
    }
  }
}

async function comparePrefixes(world: World): Promise<void> {
  const { log, entries } = world
  const objects = [...new Set(operationsIn(world).map(({ object }) => object))].sort()
  const authors = [...new Set(entries.map(({ event }) => event.author))].sort()
  const lengths = [0, 1, 2, 23, 24, 25, 61, 62, 63, 64]
  for (const id of [...objects, ...NAMED, ...KEYS]) {
    for (const prefix of new Set(lengths.map((length) => id.slice(0, length)))) {
      for (const limit of [0, 1, 3, 1_000]) {
        const begin = (other: string) => other.startsWith(prefix)
        const [foundObjects, foundAuthors] = await Promise.all([
          log.history.objectsByPrefix(prefix, limit),
          log.history.authorsByPrefix(prefix, limit),
        ])
        expect(foundObjects, prefix).toEqual(objects.filter(begin).slice(0, limit))
        expect(foundAuthors, prefix).toEqual(authors.filter(begin).slice(0, limit))
      }
    }
  }
}

test('every query equals a scan of all events and of what is decided about them now', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const world = await worldOf(seed)
      await compare(world)
      await decideSome(world)
      await decideSome(world)
      await compare(world)
    }),
    { numRuns: 50, endOnFailure: true },
  )
})

test('prefixes find each object and each author once, also where ids are long alike', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => comparePrefixes(await worldOf(seed))),
    { numRuns: 20, endOnFailure: true },
  )
})

test('a change of decisions writes the differences and nothing else', async () => {
  const world = await worldOf(1)
  const { event, arrival } = world.entries.find((entry) => entry.event.family === 'proposal') ?? {}
  if (event?.family !== 'proposal' || arrival === undefined) throw new Error('there is a proposal')
  const { history: index } = world.log
  const [pending, accepted] = STATUSES.map((status) => [runOf(event, status, world.choices)])
  if (pending === undefined || accepted === undefined) throw new Error('there are statuses')
  const kinds = new Set(event.operations.map(kindOf)).size
  expect(index.changeStatuses(event, arrival, pending, pending)).toEqual([])
  const types = index.changeStatuses(event, arrival, pending, accepted).map(({ type }) => type)
  expect(types.filter((type) => type === 'put')).toHaveLength(kinds)
  expect(types.filter((type) => type === 'del')).toHaveLength(kinds)
})

test('a prefix is looked for by seeks: what one object has many of is not read', async () => {
  const db = await openDatabase(join(directory, 'seeks'))
  const log = new DatasetLog(db, DATASET, 1)
  const made = history(['F'])
  const ids = [...NAMED].sort() as ObjectId[]
  const many = ids.flatMap((object) => Array.from({ length: 100 }, () => ({ op: 'purge', object })))
  const proposal = made.propose(...(many as Operation[]))
  await log.commit(log.putEvent(proposal, 0, sha256))
  let steps = 0
  const counting = new Proxy(db, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      if (name !== 'keys') return value.bind(target)
      return (options: object) => {
        const keys = target.keys(options)
        const next = keys.next.bind(keys)
        keys.next = () => (steps++, next())
        return keys
      }
    },
  })
  const counted = new DatasetLog(counting, DATASET, 1)
  expect(await counted.history.objectsByPrefix('', 1_000)).toEqual(ids)
  expect(steps).toBe(ids.length + 1)
  await db.close()
})
