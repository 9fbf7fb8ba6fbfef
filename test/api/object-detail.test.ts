import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Content, ObjectInfo, UploadRequest } from '../../src/contract/api.ts'
import { openTestNode, type OpenTestNode } from './open-test-node.ts'

let node: OpenTestNode

beforeEach(async () => {
  node = await openTestNode()
  await node.api.createDataset({ name: 'cells' })
})
afterEach(() => node.close())

async function upload(name: string, text: string, more: Partial<UploadRequest> = {}) {
  const body = (async function* () {
    yield Buffer.from(text)
  })()
  const { objects } = await node.api.upload('cells', { name, ...more }, body)
  return objects[0] as ObjectInfo
}

async function textOf(content: Content, range?: { offset?: number; length?: number }) {
  const pieces: Uint8Array[] = []
  for await (const piece of content.read(range)) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

const eventOf = ({ version }: ObjectInfo) => version.split(':')[0] as string
const showObject = (object: string) => node.api.showObject('cells', object)
const reject = (object: ObjectInfo) =>
  node.api.review('cells', { verdict: 'reject', items: [object.version] })

async function annotated(): Promise<ObjectInfo> {
  const object = await upload('a.txt', 'one', { accept: true })
  await node.api.addSchema('cells', {
    name: 'schema-label',
    document: '{"type":"string"}',
    accept: true,
  })
  for (const value of ['good', 'better']) {
    const annotation = { objects: ['a.txt'], schema: 'schema-label', value }
    await node.api.annotate('cells', { annotations: [annotation] })
  }
  return object
}

describe('one object', () => {
  it('is shown with all its versions, whatever became of them', async () => {
    const first = await upload('a.txt', 'one', { accept: true })
    const second = await upload('a.txt', 'two', { meta: '{}' })
    await reject(second)
    const third = await upload('a.txt', 'three')
    const detail = await showObject('a.txt')
    expect(detail).toMatchObject({ ...first, kind: 'file', status: 'accepted', annotations: 0 })
    expect(detail.versions).toMatchObject([
      { version: first.version, number: 0, status: 'accepted', isHead: true, isCurrent: true },
      { version: second.version, number: 1, status: 'rejected', isHead: false, meta: '{}' },
      { version: third.version, number: 2, status: 'pending', isCurrent: false, size: 5 },
    ])
    expect(detail.versions[1]?.decidedBy).toEqual(expect.any(String))
    expect(await showObject(first.id.slice(0, 12))).toEqual(detail)
  })

  it('nothing of which is accepted is found by its id', async () => {
    const waiting = await upload('w.txt', 'x')
    expect(await showObject(waiting.id)).toMatchObject({ ...waiting, status: 'pending' })
    await reject(waiting)
    expect(await showObject(waiting.id)).toMatchObject({ name: 'w.txt', status: 'rejected' })
    for (const ref of ['w.txt', '', 'zz', '0'.repeat(64)]) {
      await expect(showObject(ref)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    }
  })

  it('may be a schema or an annotation, and counts what annotates it', async () => {
    const object = await annotated()
    expect(await showObject('a.txt')).toMatchObject({ kind: 'file', annotations: 2 })
    expect(await showObject('schema-label')).toMatchObject({ kind: 'schema' })
    const { annotations } = await node.api.listAnnotations('cells', { object: object.id })
    const [annotation] = annotations
    expect(await showObject(annotation?.id ?? '')).toMatchObject({
      kind: 'annotation',
      status: 'pending',
      mediaType: 'application/json',
    })
  })
})

describe('the content of an object', () => {
  it('is that of the current version, or of the one that is named', async () => {
    const first = await upload('a.txt', 'one', { accept: true })
    const second = await upload('a.txt', 'second')
    const content = await node.api.content('cells', 'a.txt')
    expect(content).toMatchObject({
      name: 'a.txt',
      mediaType: 'text/plain',
      size: 3,
      cid: first.cid,
    })
    expect(await textOf(content)).toBe('one')
    expect(await textOf(content, { offset: 1 })).toBe('ne')
    expect(await textOf(content, { offset: 1, length: 1 })).toBe('n')
    expect(await textOf(content, { offset: 3 })).toBe('')
    const waiting = await node.api.content('cells', 'a.txt', second.version)
    expect([waiting.size, await textOf(waiting)]).toEqual([6, 'second'])
    expect(await textOf(await node.api.content('cells', first.id, first.version))).toBe('one')
  })

  it('of an annotation is its document', async () => {
    const { id } = await annotated()
    const { annotations } = await node.api.listAnnotations('cells', { object: id })
    const [annotation] = annotations
    const content = await node.api.content('cells', annotation?.id ?? '', annotation?.version)
    expect(content).toMatchObject({ mediaType: 'application/json', size: 6 })
    expect(await textOf(content)).toBe('"good"')
    expect(await textOf(content, { offset: 1, length: 4 })).toBe('good')
  })

  it('is not found where there is none', async () => {
    const first = await upload('a.txt', 'one', { accept: true })
    const other = await upload('b.txt', 'two', { accept: true })
    const contentOf = (object: string, version?: string) =>
      node.api.content('cells', object, version)
    const notFound = { code: 'NOT_FOUND' }
    await expect(contentOf('a.txt', other.version)).rejects.toMatchObject(notFound)
    await expect(contentOf('a.txt', `${eventOf(first)}:1`)).rejects.toMatchObject(notFound)
    await expect(contentOf('a.txt', 'nonsense')).rejects.toMatchObject(notFound)
    const propose = (op: 'delete' | 'purge', object: string) =>
      node.api.propose('cells', { operations: [{ op, object }], accept: true })
    await propose('delete', 'a.txt')
    await expect(contentOf(first.id)).rejects.toMatchObject(notFound)
    expect(await textOf(await contentOf(first.id, first.version))).toBe('one')
    await propose('purge', 'b.txt')
    await expect(contentOf(other.id, other.version)).rejects.toMatchObject(notFound)
  })

  it('that is not here is refused before a byte is given', async () => {
    const waiting = await upload('a.txt', 'one')
    await reject(waiting)
    await node.api.gc()
    await expect(node.api.content('cells', waiting.id, waiting.version)).rejects.toMatchObject({
      code: 'NOT_HERE',
      details: { cid: waiting.cid, peers: [] },
    })
    await upload('b.txt', 'two', { accept: true })
    await rm(join(node.home.dir, 'blocks'), { recursive: true })
    await expect(node.api.content('cells', 'b.txt')).rejects.toMatchObject({ code: 'NOT_HERE' })
  })
})

describe('the history of an object', () => {
  it('has its proposals and the reviews of these, and nothing of others', async () => {
    const first = await upload('a.txt', 'one')
    const other = await upload('b.txt', 'two')
    await node.api.review('cells', { verdict: 'accept', items: [eventOf(first), eventOf(other)] })
    const second = await upload('a.txt', 'three')
    await upload('c.txt', 'three', { accept: true })
    await reject(second)
    const history = await node.api.history('cells', 'a.txt')
    expect(history.map(({ kind }) => kind)).toEqual(['propose', 'review', 'propose', 'review'])
    expect(history.map(({ event }) => event)).toEqual([
      eventOf(first),
      expect.any(String),
      eventOf(second),
      expect.any(String),
    ])
  })

  it('leaves out reviews of other parts of a proposal', async () => {
    const { cid } = await upload('x.txt', 'x')
    const operations = ['a', 'b'].map((name) => ({ op: 'create' as const, name, cid }))
    const { events } = await node.api.propose('cells', { operations })
    await node.api.review('cells', { verdict: 'accept', items: [`${events[0]}:0`] })
    await node.api.review('cells', { verdict: 'reject', items: [`${events[0]}:1`] })
    expect(await node.api.history('cells', 'a')).toMatchObject([
      { event: events[0] },
      { summary: expect.stringMatching(/^accept/) },
    ])
  })
})
