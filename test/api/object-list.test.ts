import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listObjects } from '../../src/api/objects/object-list.ts'
import { SCHEMA_MEDIA_TYPE } from '../../src/core/event.ts'
import { objectIdOf } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import type { ObjectFilter, ObjectInfo } from '../../src/contract/api.ts'
import { makeNode, signerNamed, type TestDataset, type TestNode } from './make-node.ts'

const ada = signerNamed('ada')
const bob = signerNamed('bob')
let node: TestNode
let dataset: TestDataset

const NAMES = ['a', 'a/1.png', 'a/10.txt', 'a/2.png', 'ab.txt', 'é/1.txt', 'same.txt', 'z.png']
const mediaTypeOf = (name: string) => (name.endsWith('.png') ? 'image/png' : 'text/plain')
const fileNamed = (name: string, text = name) => dataset.file(name, text, mediaTypeOf(name))

/** Of each status several, in proposals of one and of many operations, among schemas. */
beforeAll(async () => {
  node = await makeNode()
  dataset = await node.createDataset('pictures', [ada, bob])
  const { replica } = dataset
  const files = await Promise.all(NAMES.map((name) => fileNamed(name)))
  await dataset.add(ada, ...files.slice(0, 5))
  for (const file of files.slice(5)) await dataset.add(bob, file)
  await dataset.add(ada, await fileNamed('same.txt', 'another'))
  await dataset.add(ada, await dataset.file('schema-x', '{}', SCHEMA_MEDIA_TYPE))
  const doomed = await dataset.add(
    ada,
    ...files.map((file) => ({ ...file, name: `old/${file.name}` })),
  )
  for (let index = 0; index < NAMES.length; index += 2) {
    const version = { proposal: doomed.id, index }
    const object = objectIdOf(version, sha256)
    const removal =
      index === 4
        ? { op: 'purge' as const, object }
        : { op: 'delete' as const, object, base: [version] }
    await dataset.accept(bob, await dataset.propose(ada, removal))
  }
  const mixed = await dataset.create(
    bob,
    ...files.map((file) => ({ ...file, name: `in/${file.name}` })),
  )
  const items = [
    {
      proposal: mixed.id,
      ranges: [
        [1, 2],
        [5, 5],
      ] as const,
    },
  ]
  await replica.act(ada, { kind: 'review', verdict: 'reject', items })
  for (const file of files) await dataset.create(bob, { ...file, name: `next/${file.name}` })
  await dataset.create(ada, await dataset.file('schema-y', '{}', SCHEMA_MEDIA_TYPE))
})
afterAll(() => node.close())

async function allOf(filter: ObjectFilter): Promise<ObjectInfo[]> {
  const found: ObjectInfo[] = []
  let after: string | undefined
  do {
    const page = await listObjects(dataset.replica, { ...filter, ...(after && { after }) })
    expect(page.objects.length).toBeLessThanOrEqual(filter.limit ?? 200)
    found.push(...page.objects)
    after = page.next
  } while (after !== undefined)
  return found
}

const namesOf = (objects: readonly ObjectInfo[]) => objects.map(({ name }) => name)

describe('lists of objects', () => {
  it('are the same whatever the size of a page', async () => {
    const filters = fc.record(
      {
        status: fc.constantFrom('accepted', 'pending', 'rejected', 'deleted'),
        prefix: fc.constantFrom('a', 'a/', 'in/', 'next/a', 'old/', 'same', 'é', 'zz', '~'),
        mediaType: fc.constantFrom('image/', 'image/png', 'text/plain', 'text', 'video/'),
      },
      { requiredKeys: [] },
    )
    const check = async (filter: ObjectFilter, limit: number) => {
      expect(await allOf({ ...filter, limit })).toEqual(await allOf(filter))
    }
    await fc.assert(fc.asyncProperty(filters, fc.integer({ min: 1, max: 12 }), check), {
      numRuns: 60,
    })
  })

  it('of accepted files go by name and begin where asked', async () => {
    const byName = ['a', 'a/1.png', 'a/10.txt', 'a/2.png', 'ab.txt']
    expect(namesOf(await allOf({ prefix: 'a' }))).toEqual(byName)
    expect(namesOf(await allOf({ prefix: 'a/' }))).toEqual(byName.slice(1, 4))
    expect(namesOf(await allOf({ prefix: 'a/1.png' }))).toEqual(['a/1.png'])
    expect(namesOf(await allOf({ prefix: 'a', mediaType: 'image/' }))).toEqual([
      'a/1.png',
      'a/2.png',
    ])
    expect(await allOf({ prefix: 'schema-' })).toEqual([])
    const after = await listObjects(dataset.replica, { prefix: 'a/', after: 'a/10.txt' })
    expect(namesOf(after.objects)).toEqual(['a/2.png'])
    expect(await listObjects(dataset.replica, { prefix: 'a/', after: 'b' })).toEqual({
      objects: [],
    })
  })

  it('of pending and rejected ones go by arrival, without schemas', async () => {
    const pending = await allOf({ status: 'pending' })
    const waiting = NAMES.filter((_, i) => ![1, 2, 5].includes(i)).map((name) => `in/${name}`)
    expect(namesOf(pending)).toEqual([...waiting, ...NAMES.map((name) => `next/${name}`)])
    expect(new Set(pending.map(({ status }) => status))).toEqual(new Set(['pending']))
    const rejected = await allOf({ status: 'rejected' })
    expect(rejected).toMatchObject([
      { name: 'in/a/1.png', status: 'rejected', mediaType: 'image/png', size: 7 },
      { name: 'in/a/10.txt', status: 'rejected' },
      { name: 'in/é/1.txt', status: 'rejected' },
    ])
  })

  it('of deleted ones have purged ones too, without what these held', async () => {
    const deleted = await allOf({ status: 'deleted' })
    expect(deleted.map(({ name, status }) => [name, status])).toEqual([
      ['old/a', 'deleted'],
      ['old/a/10.txt', 'deleted'],
      ['', 'purged'],
      ['old/same.txt', 'deleted'],
    ])
  })

  it('refuse cursors that are none', async () => {
    const bad = [
      'x',
      '1',
      '1.',
      '.1',
      '01.1',
      '1.1.1',
      '-1.0',
      '1e3.0',
      `${'9'.repeat(16)}.0`,
      ' 1.0',
    ]
    for (const after of bad) {
      const page = listObjects(dataset.replica, { status: 'pending', after })
      await expect(page).rejects.toMatchObject({ code: 'USAGE' })
    }
    const far = await listObjects(dataset.replica, { status: 'pending', after: '99999.0' })
    expect(far).toEqual({ objects: [] })
  })
})

describe('a page', () => {
  it('that would look at very many ends early with a cursor', async () => {
    const many = await node.createDataset('many', [ada])
    const value = await many.file('x')
    for (let part = 0; part < 6; part++) {
      const numbers = [...Array(1_000).keys()].map((i) => ({ ...value, name: `${part}-${i}.txt` }))
      await many.add(ada, ...numbers)
      await many.create(ada, ...numbers)
    }
    for (const status of ['accepted', 'pending'] as const) {
      const filter = { status, mediaType: 'image/png' }
      const first = await listObjects(many.replica, filter)
      expect(first).toMatchObject({ objects: [], next: expect.any(String) })
      const after = first.next as string
      expect(await listObjects(many.replica, { ...filter, after })).toEqual({ objects: [] })
    }
  })
})
