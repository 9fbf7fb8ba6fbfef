// What somebody proposes twice is proposed once: annotations word for word, and deletions.
import fc from 'fast-check'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { annotate, updateAnnotation } from '../../src/api/annotations/annotations.ts'
import type { NodeContext } from '../../src/api/context.ts'
import { liveObject, removeObjects } from '../../src/api/objects/proposals.ts'
import { review } from '../../src/api/review/review.ts'
import { addSchema, deprecateSchema } from '../../src/api/annotations/schemas.ts'
import type { AnnotateRequest } from '../../src/contract/api.ts'
import type { Version } from '../../src/core/state.ts'
import { openValidator } from '../../src/validation/validator.ts'
import { type AnnotationNode, eventsOf, makeAnnotationNode } from './annotation-node.ts'
import { signerNamed, type TestDataset } from './make-node.ts'

const owner = signerNamed('owner')
const member = signerNamed('member')
const validator = openValidator()

let node: AnnotationNode
let context: NodeContext
let dataset: TestDataset

beforeEach(async () => {
  node = await makeAnnotationNode(validator)
  context = node.as(owner)
  dataset = await node.createDataset('cells', [owner])
  await dataset.add(owner, await dataset.file('a.jpg'), await dataset.file('b.jpg'))
  await schema('schema-a')
})

afterEach(() => node.close())
afterAll(() => validator.close())

type Item = AnnotateRequest['annotations'][number]
const item = (label: unknown, more: Partial<Item> = {}): Item => {
  return { objects: ['a.jpg'], schema: 'schema-a', value: { label }, ...more }
}
const schema = (name: string, document = '{"required":["label"]}') =>
  addSchema(context, dataset.replica, { name, document, accept: true })
const say = (items: readonly Item[], { accept = false, by = owner } = {}) =>
  annotate(node.as(by), dataset.replica, { annotations: items, accept })
const decide = (verdict: 'accept' | 'reject', ...items: string[]) =>
  review(context, dataset.entry, { verdict, items })
const eventsAdded = async (work: () => Promise<unknown>): Promise<number> => {
  const before = await eventsOf(dataset.replica)
  await work()
  return (await eventsOf(dataset.replica)) - before
}

describe('an annotation', () => {
  test('that is proposed again is skipped, and answered with the one that waits', async () => {
    const first = await say([item(1), item(2)])
    expect(first).toMatchObject({ skipped: 0, events: [expect.any(String)] })
    const again = await say([item(2), item(1), item(3)])
    expect(again.skipped).toBe(2)
    expect(again.annotations.slice(0, 2)).toEqual(first.annotations.toReversed())
    expect(again.annotations[2]).toMatchObject({ version: `${again.events[0]}:0` })
    expect(await say([item(3)])).toMatchObject({ skipped: 1, events: [] })
  })

  test('that is accepted is skipped, whoever made it', async () => {
    const made = await say([item(1)], { accept: true })
    for (const accept of [false, true]) {
      expect(await say([item(1)], { accept })).toEqual({ ...made, events: [], skipped: 1 })
    }
    expect(await say([item(1)], { by: member })).toEqual({ ...made, events: [], skipped: 1 })
  })

  test('that was said in an update is skipped, and what it said before is not', async () => {
    const { annotations } = await say([item(1)], { accept: true })
    const id = annotations[0]?.id as string
    await updateAnnotation(context, dataset.replica, id, { value: { label: 2 }, accept: true })
    expect(await say([item(2)])).toMatchObject({ skipped: 1, annotations: [{ id }] })
    expect((await say([item(1)])).skipped).toBe(0)
  })

  test('that comes twice in one request is proposed once', async () => {
    const { annotations, skipped } = await say([item(1), item(1), item(2), item(1)])
    expect(skipped).toBe(2)
    expect(new Set(annotations.map(({ id }) => id)).size).toBe(2)
    expect(annotations[3]).toEqual(annotations[0])
  })

  test('that waits is accepted instead of proposed again, and so are its neighbours', async () => {
    const first = await say([item(1), item(2), item(3)])
    const both = await say([item(3), item(1), item(4), item(3)], { accept: true })
    expect(both.skipped).toBe(1)
    expect(both.events).toHaveLength(1)
    expect(both.annotations.map(({ status }) => status)).toEqual(Array(4).fill('accepted'))
    expect(both.annotations[0]?.id).toBe(first.annotations[2]?.id)
    const { annotations } = await say([item(2), item(3)])
    expect(annotations.map(({ status }) => status)).toEqual(['pending', 'accepted'])
  })

  test('is proposed again where it differs in anything, or is not in force', async () => {
    await say([item(1)])
    await schema('schema-b')
    const others = [
      item(2),
      item(1, { objects: ['b.jpg'] }),
      item(1, { objects: ['a.jpg', 'b.jpg'] }),
      item(1, { schema: 'schema-b' }),
      item(1, { value: undefined, text: '{"label": 1}' }),
    ]
    expect((await say(others)).skipped).toBe(0)
    expect((await say([item(1)], { by: member })).skipped).toBe(0)
    const made = await say([item(7)])
    await decide('reject', ...made.events)
    expect((await say([item(7)])).skipped).toBe(0)
    const { annotations } = await say([item(8)], { accept: true })
    const { events } = await removeObjects(context, dataset.entry, [annotations[0]?.id as string])
    await decide('accept', ...events)
    expect((await say([item(8)])).skipped).toBe(0)
  })

  test('is known by its bytes where it is long', async () => {
    const long = (n: number) => item(n, { value: { label: 'x'.repeat(n) } })
    await say([long(20_000), long(2_000_000)], { accept: true })
    expect(await say([long(2_000_000), long(20_000), long(20_001)])).toMatchObject({ skipped: 2 })
  })

  test('is never there twice, in whatever order and groups it is said', async () => {
    const labels = fc.array(fc.nat({ max: 12 }), { minLength: 1, maxLength: 8 })
    const steps = fc.array(fc.tuple(labels, fc.boolean()), { minLength: 1, maxLength: 6 })
    let run = 0
    await fc.assert(
      fc.asyncProperty(steps, async (steps) => {
        run++
        const ids = new Map<string, string>()
        const accepted = new Set<string>()
        for (const [labels, accept] of steps) {
          const items = labels.map((label) => item(`${run} ${label}`))
          const { annotations } = await say(items, { accept })
          for (const [i, { id, status }] of annotations.entries()) {
            const label = `${run} ${labels[i]}`
            expect(ids.get(label) ?? id).toBe(id)
            ids.set(label, id)
            if (accept) accepted.add(label)
            expect(status).toBe(accepted.has(label) ? 'accepted' : 'pending')
          }
        }
      }),
      { numRuns: 15 },
    )
  }, 60_000)

  test('of a busy object costs a bounded number of reads', async () => {
    const busy = Array.from({ length: 1_200 }, (_, i) => item(i))
    await say(busy)
    const { history } = dataset.replica.log
    const walk = history.annotationsOf.bind(history)
    let rows = 0
    history.annotationsOf = async function* (...args) {
      for await (const row of walk(...args)) {
        rows++
        yield row
      }
    }
    expect((await say([item('new')])).skipped).toBe(0)
    expect(rows).toBeLessThan(600)
    expect((await say(busy)).skipped).toBe(1_200)
  }, 30_000)
})

describe('errors of a batch', () => {
  test.each<[string, Item]>([
    ['no object', item(1, { objects: ['c.jpg'] })],
    ['the annotation needs either value or text', item(1, { value: undefined })],
    ['the annotation does not conform', item(1, { value: {} })],
  ])('say which annotation they are about: %s', async (what, bad) => {
    const asked = say([item(1), item(2), bad])
    await expect(asked).rejects.toMatchObject({ details: { index: 2 } })
    await expect(asked).rejects.toThrow(new RegExp(`^annotations\\[2\\]: ${what}`))
    await expect(say([bad])).rejects.toThrow(new RegExp(`^${what}`))
  })
})

describe('a deletion', () => {
  const remove = (refs: string[], by = owner) => removeObjects(node.as(by), dataset.entry, refs)

  test('that waits is not proposed again by the same key', async () => {
    expect(await remove(['a.jpg', 'a.jpg'])).toEqual({ events: [expect.any(String)], skipped: 1 })
    expect(await eventsAdded(() => remove(['a.jpg']))).toBe(0)
    expect(await remove(['b.jpg', 'a.jpg'])).toEqual({ events: [expect.any(String)], skipped: 1 })
    expect(await remove(['a.jpg', 'b.jpg'])).toEqual({ events: [], skipped: 2 })
    expect(await remove(['a.jpg'], member)).toEqual({ events: [expect.any(String)], skipped: 0 })
  })

  test('is proposed again once it was rejected, or is of an older version', async () => {
    const { events } = await remove(['a.jpg'])
    await decide('reject', ...events)
    expect((await remove(['a.jpg'])).skipped).toBe(0)
    const { heads, versions, id } = await liveObject(dataset.replica, 'a.jpg')
    const base = heads.map((at) => (versions[at] as Version).id)
    const value = await dataset.file('a.jpg', 'new')
    await dataset.accept(
      owner,
      await dataset.propose(owner, { op: 'update', object: id, base, value }),
    )
    expect((await remove(['a.jpg'])).skipped).toBe(0)
    expect((await remove(['a.jpg'])).skipped).toBe(1)
  })

  test('of one version of a schema is another than of the next', async () => {
    await schema('schema-a', '{"required":["box"]}')
    const deprecate = (ref: string) => deprecateSchema(context, dataset.replica, ref)
    expect(await deprecate('schema-a@0')).toEqual({ events: [expect.any(String)], skipped: 0 })
    expect(await deprecate('schema-a@1')).toEqual({ events: [expect.any(String)], skipped: 0 })
    expect(await deprecate('schema-a@0')).toEqual({ events: [], skipped: 1 })
  })
})
