import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listObjects } from '../../src/api/objects/object-list.ts'
import { objectInfo, resolveObject } from '../../src/api/objects/objects.ts'
import { SCHEMA_MEDIA_TYPE } from '../../src/core/event.ts'
import { objectIdOf } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { makeNode, signerNamed, type TestDataset, type TestNode } from './make-node.ts'

const ada = signerNamed('ada')
const bob = signerNamed('bob')
let node: TestNode
let dataset: TestDataset

beforeEach(async () => {
  node = await makeNode()
  dataset = await node.createDataset('pictures', [ada, bob])
})
afterEach(() => node.close())

async function allNames(limit: number): Promise<string[]> {
  const names: string[] = []
  let after: string | undefined
  do {
    const page = await listObjects(dataset.replica, {
      limit,
      ...(after !== undefined && { after }),
    })
    expect(page.objects.length).toBeLessThanOrEqual(limit)
    names.push(...page.objects.map(({ name }) => name))
    after = page.next
  } while (after !== undefined)
  return names
}

describe('listing objects', () => {
  it('goes through all names in byte order, whatever the size of a page', async () => {
    const names = ['b', 'a/2', 'a/10', 'a', 'é', 'z'].map((name) => `${name}.txt`)
    await dataset.add(ada, ...(await Promise.all(names.map((name) => dataset.file(name)))))
    const sorted = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    for (const limit of [1, 2, 3, 6, 7]) expect(await allNames(limit)).toEqual(sorted)
  })

  it('stops and goes on among several claims on one name', async () => {
    await dataset.add(ada, await dataset.file('same.txt', 'one'))
    await dataset.add(ada, await dataset.file('same.txt', 'two'))
    await dataset.add(ada, await dataset.file('same.txt', 'three'))
    await dataset.add(ada, await dataset.file('zzz.txt'))
    for (const limit of [1, 2, 3, 4]) {
      expect(await allNames(limit)).toEqual(['same.txt', 'same.txt', 'same.txt', 'zzz.txt'])
    }
    const { objects } = await listObjects(dataset.replica)
    expect(objects.map(({ status }) => status)).toEqual([
      'accepted',
      'shadowed',
      'shadowed',
      'accepted',
    ])
  })

  it('marks a path below a file as shadowed', async () => {
    await dataset.add(ada, await dataset.file('a'))
    await dataset.add(ada, await dataset.file('a/b'))
    const { objects } = await listObjects(dataset.replica)
    expect(objects.map(({ name, status }) => [name, status])).toEqual([
      ['a', 'accepted'],
      ['a/b', 'shadowed'],
    ])
  })

  it('marks a later object with the same content as duplicate of the first', async () => {
    await dataset.add(ada, await dataset.file('second-name.txt', 'x'))
    await dataset.add(ada, await dataset.file('a-copy.txt', 'x'))
    const { objects } = await listObjects(dataset.replica)
    const [copy, original] = objects
    expect(copy).toMatchObject({
      name: 'a-copy.txt',
      duplicateOf: original?.id,
      status: 'accepted',
    })
    expect(original).not.toHaveProperty('duplicateOf')
  })

  it('leaves out what is pending, deleted, or a schema', async () => {
    const proposal = await dataset.add(ada, await dataset.file('gone.txt'))
    await dataset.create(ada, await dataset.file('pending.txt'))
    await dataset.add(ada, await dataset.file('schema-x', '{}', SCHEMA_MEDIA_TYPE))
    const base = [{ proposal: proposal.id, index: 0 }]
    const object = objectIdOf({ proposal: proposal.id, index: 0 }, sha256)
    const deletion = await dataset.propose(ada, { op: 'delete', object, base })
    await dataset.accept(ada, deletion)
    expect(await listObjects(dataset.replica)).toEqual({ objects: [] })
    const row = await resolveObject(dataset.replica, object)
    expect(await objectInfo(dataset.replica, row)).toMatchObject({
      status: 'deleted',
      name: 'gone.txt',
      size: 8,
    })
  })
})

describe('resolving an object', () => {
  it('takes an exact name before an id, and the earliest claim on it', async () => {
    const first = await dataset.add(ada, await dataset.file('abc', 'one'))
    await dataset.add(ada, await dataset.file('abc', 'two'))
    const id = objectIdOf({ proposal: first.id, index: 0 }, sha256)
    expect((await resolveObject(dataset.replica, 'abc')).id).toBe(id)
    expect((await resolveObject(dataset.replica, id)).id).toBe(id)
    expect((await resolveObject(dataset.replica, id.slice(0, 20))).id).toBe(id)
  })

  it('refuses unknown and ambiguous references', async () => {
    const many = await Promise.all([...Array(20).keys()].map((i) => dataset.file(`f${i}`)))
    await dataset.add(ada, ...many)
    const { objects } = await listObjects(dataset.replica)
    const digits = objects.map(({ id }) => id[0] as string)
    const twice = digits.find((digit, i) => digits.indexOf(digit) !== i) as string
    await expect(resolveObject(dataset.replica, twice)).rejects.toMatchObject({ code: 'AMBIGUOUS' })
    for (const ref of ['', 'nothing', 'F0', '0'.repeat(65)]) {
      await expect(resolveObject(dataset.replica, ref)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    }
  })

  it('shows a purged object without what it held', async () => {
    const proposal = await dataset.add(ada, await dataset.file('secret.txt'))
    const object = objectIdOf({ proposal: proposal.id, index: 0 }, sha256)
    await dataset.accept(ada, await dataset.propose(ada, { op: 'purge', object }))
    const info = await objectInfo(dataset.replica, await resolveObject(dataset.replica, object))
    expect(info).toMatchObject({ id: object, status: 'purged', name: '', cid: '', size: 0 })
  })
})
