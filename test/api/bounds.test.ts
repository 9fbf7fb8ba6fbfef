// What one request may take: it ends when nobody waits for the answer, its checks take bounded time, and
// its answer is of a bounded size.
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listAnnotations } from '../../src/api/annotations/annotation-list.ts'
import { annotate } from '../../src/api/annotations/annotations.ts'
import { conformityOf } from '../../src/api/annotations/conformity.ts'
import type { NodeContext } from '../../src/api/context.ts'
import { checkDecisions, decide } from '../../src/api/review/decide.ts'
import { diff } from '../../src/api/history/diff.ts'
import { judge } from '../../src/api/review/judge.ts'
import { listObjects } from '../../src/api/objects/object-list.ts'
import { queue } from '../../src/api/review/queue.ts'
import { queueCounts } from '../../src/api/review/queue-counts.ts'
import { listReviews } from '../../src/api/review/review-queue.ts'
import { select } from '../../src/api/review/selections.ts'
import { submit } from '../../src/api/objects/submit.ts'
import { versionText } from '../../src/api/text.ts'
import { verify } from '../../src/api/copies/verify.ts'
import type { Operation, Proposal } from '../../src/core/event.ts'
import { textOfEventId } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import type { SchemaValidator } from '../../src/ports.ts'
import { signDraft } from '../../src/replica/replica.ts'
import { openValidator } from '../../src/validation/validator.ts'
import { type AnnotationNode, eventsOf, makeAnnotationNode } from './annotation-node.ts'
import { signerNamed, type TestDataset } from './make-node.ts'

const ada = signerNamed('ada')
const validator = openValidator()
let node: AnnotationNode
let dataset: TestDataset
let context: NodeContext
let schema: Proposal
let file: Proposal

beforeEach(async () => {
  node = await makeAnnotationNode(validator)
  context = node.as(ada)
  dataset = await node.createDataset('letters', [ada])
  file = await dataset.add(ada, await dataset.file('a.txt'))
  schema = await dataset.add(
    ada,
    await dataset.file('schema-a', '{"type":"object"}', 'application/schema+json'),
  )
  await dataset.create(ada, await dataset.file('b.txt'))
})
afterEach(() => node.close())
afterAll(() => validator.close())

function annotation(document = '{}'): Operation {
  const inline = new TextEncoder().encode(document)
  const [target, by] = [file, schema].map(({ id }) => ({ proposal: id, index: 0 }))
  const value = { type: 'annotation' as const, targets: [target as never], schema: by as never }
  return { op: 'create', value: { ...value, inline, sizeBytes: inline.length } }
}

const accept = (...proposals: Proposal[]) => ({
  decisions: [
    {
      verdict: 'accept' as const,
      items: proposals.map(({ id }) => ({ item: textOfEventId(id) })),
    },
  ],
})

/** A proposal that is signed and not told to anybody. */
function signed(operations: readonly Operation[]): string {
  const { id } = dataset.replica
  const draft = { family: 'proposal' as const, dataset: id, operations, claimedAtMs: 0 }
  return Buffer.from(signDraft(draft, signerNamed('eve'), sha256)).toString('base64')
}

describe('what nobody waits for any more', () => {
  const work: Record<string, (signal: AbortSignal, waiting: Proposal) => Promise<unknown>> = {
    annotate: (signal) => {
      const item = { objects: ['a.txt'], schema: 'schema-a', value: { n: 1 } }
      return annotate(context, dataset.replica, { annotations: [item] }, { signal })
    },
    checkDecisions: (signal, waiting) =>
      checkDecisions(context, dataset.replica, accept(waiting), { signal }),
    decide: (signal, waiting) => decide(context, dataset.replica, accept(waiting), { signal }),
    diff: async (signal) => {
      const a = (await dataset.replica.snapshot()).root.toString()
      await dataset.add(ada, await dataset.file('new'))
      return diff(node, dataset.replica, { a }, { signal })
    },
    listAnnotations: async (signal, waiting) => {
      await dataset.accept(ada, waiting)
      return listAnnotations(dataset.replica, {}, { signal })
    },
    listObjects: (signal) => listObjects(dataset.replica, {}, { signal }),
    listPending: (signal) => listObjects(dataset.replica, { status: 'pending' }, { signal }),
    listReviews: (signal) => listReviews(context, dataset.replica, {}, { signal }),
    queue: (signal) => queue(context, dataset.replica, {}, { signal }),
    queueCounts: (signal) => queueCounts(context, dataset.replica, {}, { signal }),
    select: (signal) => select(context, dataset.replica, { filter: {} }, { signal }),
    submit: (signal) => submit(context, dataset.entry, [signed([annotation()])], { signal }),
  }

  it.each(Object.keys(work))('%s ends, and signs nothing', async (name) => {
    const waiting = await dataset.propose(ada, annotation())
    const run = work[name] as (typeof work)[string]
    await expect(run(AbortSignal.abort(), waiting)).rejects.toMatchObject({ code: 'CANCELLED' })
    const signs = ['annotate', 'decide', 'submit'].includes(name)
    const events = await eventsOf(dataset.replica)
    if (!signs) return
    // Later it is done as if nothing had been.
    await run(new AbortController().signal, waiting)
    expect(await eventsOf(dataset.replica)).toBe(events + 1)
  })
})

describe('checks of one request', () => {
  const id = (index: number) => ({ proposal: file.id, index })
  const document = new TextEncoder().encode('{}')

  it('that take too long together end at the item they have come to', async () => {
    const items = [0, 1].map((index) => ({
      id: id(index),
      schema: { proposal: schema.id, index: 0 },
      document,
    }))
    const budget = { leftMs: 60_000 }
    await conformityOf(context, dataset.replica, items, { budget })
    expect(budget.leftMs).toBeLessThan(60_000)
    const used = conformityOf(context, dataset.replica, items, { budget: { leftMs: 0 } })
    const item = versionText(id(0))
    await expect(used).rejects.toMatchObject({ code: 'TOO_COSTLY', details: { item } })
    await expect(used).rejects.toThrow(item)
  })

  it('are not given up before they have begun, and take turns with those of others', async () => {
    const items = Array.from({ length: 300 }, () => {
      return { schema: { proposal: schema.id, index: 0 }, document }
    })
    const budget = { leftMs: Number.MIN_VALUE }
    const first = conformityOf(context, dataset.replica, items.slice(0, 1), { budget })
    expect(await first).toMatchObject([{ status: 'conforms' }])
    const short = conformityOf(context, dataset.replica, items, {
      budget: { leftMs: Number.MIN_VALUE },
    })
    const other = conformityOf(context, dataset.replica, items)
    await expect(short).rejects.toMatchObject({
      code: 'TOO_COSTLY',
      details: { item: expect.stringMatching(/^annotation [1-9]/) },
    })
    expect((await other).every(({ status }) => status === 'conforms')).toBe(true)
  })

  it('also where it is schemas that are checked', async () => {
    const value = await dataset.file('schema-b', '{}', 'application/schema+json')
    const operations = [{ id: id(7), operation: { op: 'create' as const, value } }]
    const judged = judge(context, dataset.replica, operations, { budget: { leftMs: 0 } })
    await expect(judged.next()).rejects.toMatchObject({
      code: 'TOO_COSTLY',
      details: { item: versionText(id(7)) },
    })
  })

  it('have a budget of their own, whatever the request is', async () => {
    const budgets = new Set<unknown>()
    const spy: SchemaValidator = {
      ...{ close: async () => {}, checkSchema: async () => ({ draft: '07' as const }) },
      check: async (_schema, documents, options) => {
        budgets.add(options?.budget)
        return documents.map(() => ({ conforms: true as const }))
      },
    }
    const spied = { ...context, validator: spy }
    const waiting: Proposal[] = []
    for (let i = 0; i < 3; i++) waiting.push(await dataset.propose(ada, annotation()))
    const block = signed([annotation('{"n":1}'), annotation('{"n":2}')])
    await submit(spied, dataset.entry, [block])
    await checkDecisions(spied, dataset.replica, accept(...waiting))
    await decide(spied, dataset.replica, accept(...waiting))
    const item = { objects: ['a.txt'], schema: 'schema-a', value: { n: 3 } }
    await annotate(spied, dataset.replica, { annotations: [item] })
    expect(budgets).not.toContain(undefined)
    expect(budgets.size).toBe(4)
  })
})

describe('reviews', () => {
  it('come as many as are asked for, and then those behind the last one', async () => {
    for (const name of ['c', 'd', 'e']) await dataset.create(ada, await dataset.file(name))
    const all = (await listReviews(context, dataset.replica)).map(({ event }) => event)
    expect(all).toHaveLength(4)
    const paged: string[] = []
    for (let after: string | undefined; ; after = paged.at(-1)) {
      const page = await listReviews(context, dataset.replica, {
        limit: 3,
        ...(after && { after }),
      })
      paged.push(...page.map(({ event }) => event))
      if (page.length < 3) break
    }
    expect(paged).toEqual(all)
    const last = { status: 'all' as const, limit: 1, after: textOfEventId(file.id) }
    expect(await listReviews(context, dataset.replica, last)).toMatchObject([
      { event: textOfEventId(schema.id) },
    ])
    for (const after of ['x', textOfEventId(dataset.entry.id)]) {
      const asked = listReviews(context, dataset.replica, { after })
      await expect(asked).rejects.toMatchObject({ code: 'NOT_FOUND' })
    }
  })
})

describe('a dataset', () => {
  it('is verified once at a time, whoever asks', async () => {
    const first = verify(node, dataset.entry)
    await expect(verify(node, dataset.entry)).rejects.toMatchObject({ code: 'TOO_MANY' })
    const other = await node.createDataset('others', [ada])
    expect((await verify(node, other.entry)).ok).toBe(true)
    expect((await first).ok).toBe(true)
    const gone = verify(node, dataset.entry, { signal: AbortSignal.abort() })
    await expect(gone).rejects.toMatchObject({ code: 'CANCELLED' })
    expect((await verify(node, dataset.entry)).ok).toBe(true)
  })
})

describe('numbers of an annotation given as a value', () => {
  const given = (text: string, as: 'value' | 'text') => {
    const document = as === 'text' ? { text } : { value: JSON.parse(text) as unknown }
    const item = { objects: ['a.txt'], schema: 'schema-a', ...document }
    return annotate(context, dataset.replica, { annotations: [item] })
  }

  it.each([
    '{"a":1e400}',
    '{"a":[{"b":-1e999}]}',
    '{"a":9007199254740993}',
    '{"a":[1,-12345678901234567890]}',
  ])('%s is refused, since it would be signed as another, and taken as text', async (text) => {
    const before = await eventsOf(dataset.replica)
    await expect(given(text, 'value')).rejects.toMatchObject({
      code: 'USAGE',
      hint: expect.stringContaining('text'),
      details: { index: 0 },
    })
    expect(await eventsOf(dataset.replica)).toBe(before)
    await given(text, 'text')
  })

  it.each([
    '{"a":9007199254740991}',
    '{"a":6.02e23}',
    '{"a":[0.1,-5,1e300,5e-324]}',
    '{"9e999":1}',
  ])('%s is taken', async (text) => {
    await given(text, 'value')
  })
})
