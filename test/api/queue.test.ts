// The queue, its counts and frozen selections against a plain list of everything that was proposed.
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { NodeContext } from '../../src/api/context.ts'
import { decide } from '../../src/api/review/decide.ts'
import { queue } from '../../src/api/review/queue.ts'
import { queueCounts } from '../../src/api/review/queue-counts.ts'
import { readEvents } from '../../src/api/resolve.ts'
import { select } from '../../src/api/review/selections.ts'
import type { QueueItem, QueueRequest } from '../../src/contract/api.ts'
import type { Operation, Proposal } from '../../src/core/event.ts'
import { objectIdOf, textOfEventId, type VersionId } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { openValidator } from '../../src/validation/validator.ts'
import { type AnnotationNode, makeAnnotationNode } from './annotation-node.ts'
import { signerNamed, type TestDataset } from './make-node.ts'

const ada = signerNamed('ada')
const eve = signerNamed('eve')
const SCHEMA = '{"type":"object","required":["label"]}'

const validator = openValidator()
let node: AnnotationNode
let dataset: TestDataset
let context: NodeContext
let datasets = 0

beforeAll(async () => {
  await validator.checkSchema(new TextEncoder().encode(SCHEMA))
})
afterAll(() => validator.close())
beforeEach(async () => {
  node = await makeAnnotationNode(validator)
  context = node.as(ada)
  dataset = await node.createDataset('letters', [ada])
})
afterEach(() => node.close())

const objectOf = (id: VersionId) => objectIdOf(id, sha256)
const first = ({ id }: Proposal): VersionId => ({ proposal: id, index: 0 })
const files = (...names: string[]) => Promise.all(names.map((name) => dataset.file(name)))
const annotation = (target: VersionId, schema: VersionId, text: string): Operation => {
  const inline = new TextEncoder().encode(text)
  const value = { type: 'annotation' as const, targets: [target], schema, inline }
  return { op: 'create', value: { ...value, sizeBytes: inline.length } }
}

/** What a filter lets through, from the events themselves. */
async function naiveList(filter: QueueRequest, key = ada.publicKey): Promise<string[]> {
  const { log } = dataset.replica
  const { status = 'pending', kind, author = '', prefix } = filter
  const found: string[] = []
  for await (const [, id] of log.arrivals()) {
    const [event] = await readEvents(log, [id])
    const row = await log.proposal(id)
    if (event?.family !== 'proposal' || row === undefined) continue
    for (const [index, operation] of event.operations.entries()) {
      const decision = row.decisions.find(({ from, to }) => from <= index && index <= to)
      const value = 'value' in operation ? operation.value : undefined
      const what =
        value === undefined
          ? 'removal'
          : value.type === 'annotation'
            ? 'annotation'
            : value.mediaType === 'application/schema+json'
              ? 'schema'
              : 'object'
      const isWanted = status === 'mine' ? event.author === key : decision?.status === status
      if (!isWanted || (kind !== undefined && kind !== what)) continue
      if (!event.author.startsWith(author === 'me' ? key : author)) continue
      // All that is removed is f0.
      const name = value?.type === 'file' ? value.name : what === 'removal' ? 'f0' : undefined
      if (prefix !== undefined && name?.startsWith(prefix) !== true) continue
      found.push(`${textOfEventId(id)}:${index}`)
    }
  }
  return found
}

async function allPages(request: QueueRequest): Promise<QueueItem[]> {
  const items: QueueItem[] = []
  for (let after: string | undefined; ;) {
    const page = await queue(context, dataset.replica, { ...request, ...(after && { after }) })
    items.push(...page.items)
    after = page.next
    if (after === undefined) return items
  }
}

const step = fc.record({
  by: fc.constantFrom(ada, eve),
  kinds: fc.array(fc.constantFrom('object', 'schema', 'annotation', 'delete'), {
    minLength: 1,
    maxLength: 4,
  }),
  verdicts: fc.array(fc.constantFrom('none', 'accept', 'reject'), { minLength: 4, maxLength: 4 }),
})
const filters = fc.record<QueueRequest>(
  {
    status: fc.constantFrom('pending', 'accepted', 'rejected', 'mine'),
    kind: fc.constantFrom('object', 'schema', 'annotation', 'removal'),
    author: fc.constantFrom('me', eve.publicKey, eve.publicKey.slice(0, 6)),
    prefix: fc.constantFrom('f', 'f1', 'schema-'),
    limit: fc.integer({ min: 1, max: 5 }),
  },
  { requiredKeys: ['limit'] },
)

describe('the queue', () => {
  it('has the pages, counts and selections that a plain list gives', async () => {
    const property = fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 6 }),
      fc.array(filters, { minLength: 3, maxLength: 3 }),
      async (steps, requests) => {
        dataset = await node.createDataset(`d${datasets++}`, [ada])
        await play(steps)
        for (const request of requests) {
          const { limit: _, ...filter } = request
          const plain = await naiveList(request)
          expect((await allPages(request)).map(({ item }) => item)).toEqual(plain)
          const counts = await queueCounts(context, dataset.replica, filter)
          expect(counts).toEqual({ total: plain.length, exact: true, groups: [] })
          const { count } = await select(context, dataset.replica, { filter })
          expect(count).toBe(plain.length)
        }
      },
    )
    await fc.assert(property, { numRuns: 50 })
  })

  async function play(steps: readonly (typeof step extends fc.Arbitrary<infer T> ? T : never)[]) {
    const base = await dataset.add(ada, await dataset.file('f0'))
    const schema = await dataset.add(
      ada,
      await dataset.file('schema-s', SCHEMA, 'application/schema+json'),
    )
    for (const [n, { by, kinds, verdicts }] of steps.entries()) {
      const operations = await Promise.all(
        kinds.map(async (kind, i): Promise<Operation> => {
          if (kind === 'annotation') return annotation(first(base), first(schema), '{"label":1}')
          if (kind === 'delete') {
            return { op: 'delete', object: objectOf(first(base)), base: [first(base)] }
          }
          if (kind === 'object') return { op: 'create', value: await dataset.file(`f${n}/${i}`) }
          const name = `schema-${n}-${i}`
          return {
            op: 'create',
            value: await dataset.file(name, SCHEMA, 'application/schema+json'),
          }
        }),
      )
      const proposal = await dataset.propose(by, ...operations)
      for (const verdict of ['accept', 'reject'] as const) {
        const ranges = kinds.flatMap((_, i): [number, number][] =>
          verdicts[i] === verdict ? [[i, i]] : [],
        )
        if (ranges.length === 0) continue
        const items = [{ proposal: proposal.id, ranges }]
        await dataset.replica.act(ada, { kind: 'review', verdict, items })
      }
    }
  }

  it('does not move while events arrive, also when what was shown is decided', async () => {
    const names = ['a', 'b', 'c', 'd', 'e']
    const proposal = await dataset.create(eve, ...(await files(...names)))
    const page = await queue(context, dataset.replica, { limit: 2 })
    await dataset.create(eve, ...(await files('late')))
    const items = [{ proposal: proposal.id, ranges: [[0, 0] as const] }]
    await dataset.replica.act(ada, { kind: 'review', verdict: 'accept', items })
    const rest = await queue(context, dataset.replica, { limit: 9, after: page.next as string })
    const shown = [...page.items, ...rest.items].map(({ after }) => after?.name)
    expect(shown).toEqual(names)
    expect(rest.next).toBeUndefined()
    expect(rest.asOf).toBe(page.asOf)
    const again = await queue(context, dataset.replica, { asOf: page.asOf })
    expect(again.items.map(({ after }) => after?.name)).toEqual(['b', 'c', 'd', 'e'])
    const now = await queue(context, dataset.replica)
    expect(now.items.map(({ after }) => after?.name)).toEqual(['b', 'c', 'd', 'e', 'late'])
  })

  it('refuses cursors and authors that are none', async () => {
    for (const request of [
      { after: 'x' },
      { after: '1.2' },
      { after: '1.2.-3' },
      { author: 'x' },
    ]) {
      await expect(queue(context, dataset.replica, request)).rejects.toMatchObject({
        code: 'USAGE',
      })
    }
  })

  it('shows what an update replaces, that its base is old, and whose name it takes', async () => {
    const mine = await dataset.add(ada, await dataset.file('mine.txt', 'one'))
    const theirs = await dataset.add(ada, await dataset.file('dir/theirs.txt', 'two'))
    const object = objectOf(first(mine))
    const value = await dataset.file('mine.txt', 'three')
    const update = { op: 'update', object, base: [first(mine)], value } as const
    const accepted = await dataset.propose(ada, update)
    await dataset.accept(ada, accepted)
    const stale = await dataset.propose(eve, {
      ...update,
      value: await dataset.file('dir', 'four'),
    })
    const copy = await dataset.create(eve, await dataset.file('copy.txt', 'two'))
    const [one, two] = (await queue(context, dataset.replica)).items
    expect(one).toMatchObject({
      item: `${textOfEventId(stale.id)}:0`,
      kind: 'object',
      op: 'update',
      object,
      head: `${textOfEventId(accepted.id)}:0`,
      base: [`${textOfEventId(mine.id)}:0`],
      stale: true,
      wouldConflict: true,
      before: { name: 'mine.txt', size: 3 },
      after: { name: 'dir', size: 4 },
      author: { key: eve.publicKey, isOwner: false },
      here: true,
      canAccept: false,
    })
    expect(one?.why).toMatch(/^STALE_BASE: /)
    expect(two).toMatchObject({
      item: `${textOfEventId(copy.id)}:0`,
      duplicateOf: objectOf(first(theirs)),
      stale: false,
      wouldConflict: false,
      canAccept: true,
    })
    expect(two).not.toHaveProperty('why')
    expect(two).not.toHaveProperty('head')
    const asEve = (await queue(node.as(eve), dataset.replica)).items
    expect(asEve.map(({ why }) => why?.split(':')[0])).toEqual(['NOT_OWNER', 'NOT_OWNER'])
  })

  it('says of annotations what they are about and whether they conform', async () => {
    const target = await dataset.add(ada, await dataset.file('cat.jpg'))
    const file = await dataset.file('schema-cat', SCHEMA, 'application/schema+json')
    const schema = await dataset.add(ada, file)
    await dataset.propose(
      eve,
      annotation(first(target), first(schema), '{"label":1}'),
      annotation(first(target), first(schema), '{}'),
      annotation(first(target), first(target), '{}'),
    )
    const { items } = await queue(context, dataset.replica)
    expect(items.map(({ validity }) => [validity.status, validity.code])).toEqual([
      ['conforms', undefined],
      ['invalid', 'NOT_CONFORMING'],
      ['invalid', 'BAD_SCHEMA'],
    ])
    expect(items.map(({ canAccept }) => canAccept)).toEqual([true, false, false])
    const version = `${textOfEventId(target.id)}:0`
    expect(items[0]).toMatchObject({
      kind: 'annotation',
      after: { text: '{"label":1}' },
      objects: [{ version, object: objectOf(first(target)), name: 'cat.jpg' }],
      schema: { version: `${textOfEventId(schema.id)}:0`, name: 'schema-cat', status: 'accepted' },
    })
    const bySchema = await queue(context, dataset.replica, { schema: 'schema-cat' })
    expect(bySchema.items.map(({ index }) => index)).toEqual([0, 1])
    const { groups } = await queueCounts(context, dataset.replica, { group: 'schema' })
    expect(groups).toEqual([
      { key: 'schema-cat', count: 2 },
      { key: version, count: 1 },
    ])
  })

  it('counts in groups', async () => {
    const big = await dataset.create(eve, ...(await files('a', 'b', 'c')))
    const small = await dataset.create(ada, ...(await files('d')))
    const groupsBy = async (group: 'proposal' | 'author' | 'kind') =>
      (await queueCounts(context, dataset.replica, { group })).groups
    expect(await groupsBy('proposal')).toEqual([
      { key: textOfEventId(big.id), count: 3 },
      { key: textOfEventId(small.id), count: 1 },
    ])
    expect(await groupsBy('author')).toEqual([
      { key: eve.publicKey, count: 3 },
      { key: ada.publicKey, count: 1 },
    ])
    expect(await groupsBy('kind')).toEqual([{ key: 'object', count: 4 }])
  })
})

describe('a selection', () => {
  const decideAll = (selection: string, by = context) =>
    decide(by, dataset.replica, { decisions: [{ verdict: 'accept', selection }] })

  it('is frozen: what arrives later is not decided with it', async () => {
    const early = await dataset.create(eve, ...(await files('a', 'b', 'c')))
    const id = textOfEventId(early.id)
    const { asOf } = await queue(context, dataset.replica)
    const other = await dataset.create(eve, ...(await files('x', 'y')))
    const selection = await select(context, dataset.replica, {
      filter: {},
      asOf,
      add: [`${textOfEventId(other.id)}:1`],
      drop: [`${id}:1`],
    })
    expect(selection.count).toBe(3)
    await dataset.create(eve, ...(await files('later')))
    const { results, events } = await decideAll(selection.id)
    expect(events.length).toBe(1)
    expect(results).toEqual([
      { item: `${id}:0`, outcome: 'decided' },
      { item: `${id}:2`, outcome: 'decided' },
      { item: `${textOfEventId(other.id)}:1`, outcome: 'decided' },
    ])
    expect(await naiveList({})).toEqual([
      `${id}:1`,
      `${textOfEventId(other.id)}:0`,
      expect.stringMatching(/:0$/),
    ])
  })

  it('is of the key that made it, of its dataset, and ends', async () => {
    await dataset.create(eve, ...(await files('a')))
    const { id, expiresAt } = await select(context, dataset.replica, { filter: {} })
    const other = await node.createDataset('other', [ada, eve])
    const gone = { code: 'NOT_FOUND', hint: expect.stringContaining('select again') as string }
    const decisions = [{ verdict: 'accept' as const, selection: id }]
    await expect(decide(context, other.replica, { decisions })).rejects.toMatchObject(gone)
    await expect(decide(node.as(eve), other.replica, { decisions })).rejects.toMatchObject(gone)
    const late = { ...context, clock: { ...context.clock, nowMs: () => Date.parse(expiresAt) } }
    await expect(decideAll(id, late)).rejects.toMatchObject(gone)
    expect((await decideAll(id)).results).toMatchObject([{ outcome: 'decided' }])
  })

  it('goes when there are too many of one key', async () => {
    await dataset.create(eve, ...(await files('a')))
    const ids: string[] = []
    for (let i = 0; i < 17; i++) {
      ids.push((await select(context, dataset.replica, { filter: {} })).id)
    }
    await expect(decideAll(ids[0] as string)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect((await decideAll(ids[1] as string)).events.length).toBe(1)
  })
})
