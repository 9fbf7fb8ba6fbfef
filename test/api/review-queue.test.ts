import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { NodeContext } from '../../src/api/context.ts'
import { findReviews, listReviews, parseItems } from '../../src/api/review/review-queue.ts'
import { objectIdOf, textOfEventId } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { openValidator } from '../../src/validation/validator.ts'
import { type AnnotationNode, makeAnnotationNode } from './annotation-node.ts'
import { signerNamed, type TestDataset } from './make-node.ts'

const ada = signerNamed('ada')
const eve = signerNamed('eve')
const validator = openValidator()
let node: AnnotationNode
let context: NodeContext
let dataset: TestDataset

afterAll(() => validator.close())
beforeEach(async () => {
  node = await makeAnnotationNode(validator)
  context = node.as(ada)
  dataset = await node.createDataset('letters', [ada])
})
afterEach(() => node.close())

const files = (...names: string[]) => Promise.all(names.map((name) => dataset.file(name)))

describe('the review queue', () => {
  it('lists what waits, oldest arrival first, with one line about each', async () => {
    const first = await dataset.create(eve, ...(await files('images/a.jpg', 'b.jpg', 'c.jpg')))
    const second = await dataset.create(ada, ...(await files('d.jpg')))
    await dataset.accept(ada, second)
    const third = await dataset.create(ada, ...(await files('e.jpg')))
    const entries = await listReviews(context, dataset.replica)
    expect(entries).toEqual([
      {
        event: textOfEventId(first.id),
        type: 'create',
        author: eve.publicKey,
        summary: 'create images/a.jpg and 2 more',
        at: new Date(first.claimedAtMs).toISOString(),
        operations: 3,
        status: { pending: 3, accepted: 0, rejected: 0 },
        approvals: { have: 0, needed: 1 },
      },
      expect.objectContaining({ event: textOfEventId(third.id), summary: 'create e.jpg' }),
    ])
  })

  it('filters by status and author, and counts parts', async () => {
    const mixed = await dataset.create(eve, ...(await files('a', 'b', 'c', 'd')))
    await dataset.replica.act(ada, {
      kind: 'review',
      verdict: 'accept',
      items: [{ proposal: mixed.id, ranges: [[0, 1]] }],
    })
    await dataset.replica.act(ada, {
      kind: 'review',
      verdict: 'reject',
      items: [{ proposal: mixed.id, ranges: [[3, 3]] }],
    })
    const own = await dataset.create(ada, ...(await files('e')))
    const eventsOf = async (filter: Parameters<typeof listReviews>[2]) =>
      (await listReviews(context, dataset.replica, filter)).map(({ event }) => event)
    const [mixedId, ownId] = [mixed.id, own.id].map(textOfEventId)
    const counts = { pending: 1, accepted: 2, rejected: 1 }
    expect((await listReviews(context, dataset.replica))[0]).toMatchObject({ status: counts })
    expect(await eventsOf({})).toEqual([mixedId, ownId])
    expect(await eventsOf({ status: 'accepted' })).toEqual([mixedId])
    expect(await eventsOf({ status: 'rejected' })).toEqual([mixedId])
    expect(await eventsOf({ status: 'all' })).toEqual([mixedId, ownId])
    expect(await eventsOf({ author: ada.publicKey })).toEqual([ownId])
    expect(await eventsOf({ author: 'me' })).toEqual([ownId])
    expect(await eventsOf({ author: eve.publicKey.slice(0, 12), status: 'all' })).toEqual([mixedId])
    await expect(listReviews(context, dataset.replica, { author: 'Ada' })).rejects.toMatchObject({
      code: 'USAGE',
    })
    expect(await findReviews(dataset.replica)).toEqual([
      { proposal: mixed.id },
      { proposal: own.id },
    ])
    expect(await findReviews(dataset.replica, { status: 'accepted' })).toEqual([
      { proposal: mixed.id },
    ])
  })

  it('says what is deleted, and shows foreign text on one line', async () => {
    const value = { ...(await dataset.file('old.txt')), name: 'we\u202eird.txt' }
    const created = await dataset.add(ada, value)
    const version = { proposal: created.id, index: 0 }
    const object = objectIdOf(version, sha256)
    await dataset.propose(eve, { op: 'delete', object, base: [version] })
    const [entry] = await listReviews(context, dataset.replica)
    expect(entry).toMatchObject({ type: 'delete', summary: 'delete we ird.txt' })
  })

  it('goes through more proposals than are read at once', async () => {
    for (let i = 0; i < 40; i++) await dataset.create(eve, await dataset.file(`f${i}`))
    const entries = await listReviews(context, dataset.replica, { status: 'all' })
    expect(entries.map(({ summary }) => summary)).toEqual(
      [...Array(40).keys()].map((i) => `create f${i}`),
    )
  })
})

describe('parts of proposals', () => {
  it('are merged by proposal; the whole of it has no ranges', async () => {
    const ten = await dataset.create(eve, ...(await files(...'abcdefghij')))
    const two = await dataset.create(eve, ...(await files('x', 'y')))
    const [tenId, twoId] = [ten.id, two.id].map(textOfEventId) as [string, string]
    const parse = (...texts: string[]) => parseItems(dataset.replica, texts)
    expect(await parse(tenId)).toEqual([{ proposal: ten.id }])
    expect(await parse(`${tenId}:3`)).toEqual([{ proposal: ten.id, ranges: [[3, 3]] }])
    expect(await parse(`${tenId}:7-9`, `${twoId}:0`, `${tenId}:1-2`, `${tenId}:3`)).toEqual([
      {
        proposal: ten.id,
        ranges: [
          [1, 3],
          [7, 9],
        ],
      },
      { proposal: two.id, ranges: [[0, 0]] },
    ])
    expect(await parse(`${tenId}:0-4`, `${tenId}:5-9`)).toEqual([{ proposal: ten.id }])
    expect(await parse(tenId.slice(0, 30))).toEqual([{ proposal: ten.id }])
    expect(await parse()).toEqual([])
  })

  it('are refused when they name nothing', async () => {
    const ten = textOfEventId((await dataset.create(eve, ...(await files(...'abcdefghij')))).id)
    const parse = (text: string) => parseItems(dataset.replica, [text])
    for (const text of [`${ten}:10`, `${ten}:0-10`, 'bafyreia', textOfEventId(dataset.entry.id)]) {
      await expect(parse(text)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    }
    for (const text of [
      `${ten}:`,
      `${ten}:-1`,
      `${ten}:2-1`,
      `${ten}:1-`,
      ':1',
      '',
      `${ten}:1:2`,
    ]) {
      await expect(parse(text)).rejects.toMatchObject({ code: 'USAGE' })
    }
  })
})
