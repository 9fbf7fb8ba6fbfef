import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ProposedOperation } from '../../src/contract/api.ts'
import { openTestNode, type OpenTestNode } from './open-test-node.ts'

let node: OpenTestNode

beforeEach(async () => {
  node = await openTestNode()
  await node.api.createDataset({ name: 'cells' })
})
afterEach(() => node.close())

async function stored(text: string): Promise<string> {
  const body = (async function* () {
    yield Buffer.from(text)
  })()
  return (await node.api.store(body)).cid
}

const propose = (operations: ProposedOperation[], accept = false) =>
  node.api.propose('cells', { operations, accept })

const codeOf = (operations: ProposedOperation[]) =>
  propose(operations).then(
    () => 'none',
    (error: { code: string; details: { index: number } }) =>
      `${error.code} at ${error.details.index}`,
  )

describe('a batch of changes', () => {
  it('creates, updates, renames, deletes and purges', async () => {
    const [one, two] = [await stored('one'), await stored('two')]
    await propose(
      ['a.txt', 'b.txt', 'c.txt', 'd.txt'].map((name) => ({ op: 'create', name, cid: one })),
      true,
    )
    await propose(
      [
        { op: 'update', object: 'a.txt', cid: two, meta: '{"n":1}' },
        { op: 'update', object: 'b.txt', name: 'z/b.csv', mediaType: 'text/csv' },
        { op: 'delete', object: 'c.txt' },
        { op: 'purge', object: 'd.txt' },
      ],
      true,
    )
    const { objects } = await node.api.listObjects('cells')
    expect(objects).toMatchObject([
      { name: 'a.txt', cid: two, size: 3, mediaType: 'text/plain' },
      { name: 'z/b.csv', cid: one, mediaType: 'text/csv' },
    ])
    const deleted = await node.api.listObjects('cells', { status: 'deleted' })
    expect(deleted.objects.map(({ name, status }) => [name, status])).toEqual([
      ['c.txt', 'deleted'],
      ['', 'purged'],
    ])
  })

  it('of many operations becomes as few events as hold them', async () => {
    const cid = await stored('x')
    const operations = [...Array(2_500).keys()].map((i): ProposedOperation => ({
      op: 'create',
      name: `folder/file-${i}.txt`,
      cid,
    }))
    const { events } = await propose(operations, true)
    expect(events).toHaveLength(3)
    expect((await node.api.showDataset('cells')).counts).toMatchObject({ objects: 2_500 })
  })

  it('proposes nothing of it when one cannot be, and names the first', async () => {
    const cid = await stored('x')
    const create = (name: string): ProposedOperation => ({ op: 'create', name, cid })
    await propose([create('taken.txt')], true)
    await node.api.addSchema('cells', { name: 'schema-box', document: '{}', accept: true })
    const before = (await node.api.events()).events.length
    const absent = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'
    const cases: [string, ProposedOperation][] = [
      ['NOT_HERE', { op: 'create', name: 'a', cid: absent }],
      ['BAD_CID', { op: 'create', name: 'a', cid: 'nonsense' }],
      ['BAD_CID', { op: 'create', name: 'a', cid: (await node.api.root('cells')).root }],
      ['EXISTS', create('taken.txt')],
      ['EXISTS', create('first.txt')],
      ['BAD_NAME', create('a//b')],
      ['USAGE', create('schema-other')],
      ['USAGE', { op: 'create', name: 'a', cid, mediaType: 'application/schema+json' }],
      ['USAGE', { op: 'update', object: 'schema-box', cid }],
      ['EXISTS', { op: 'update', object: 'taken.txt', name: 'first.txt' }],
      ['NOT_FOUND', { op: 'delete', object: 'nothing' }],
      ['NOT_FOUND', { op: 'purge', object: 'nothing' }],
    ]
    for (const [code, operation] of cases) {
      expect(await codeOf([create('first.txt'), operation])).toBe(`${code} at 1`)
    }
    expect((await node.api.events()).events).toHaveLength(before)
  })

  it('takes the size from the blocks', async () => {
    const body = (async function* () {
      for (let i = 0; i < 40; i++) yield Buffer.alloc(65_536, i)
    })()
    const { cid, size } = await node.api.store(body)
    await propose([{ op: 'create', name: 'large.bin', cid }], true)
    const { objects } = await node.api.listObjects('cells')
    expect(objects).toMatchObject([{ size }])
    expect(size).toBe(40 * 65_536)
  })
})
