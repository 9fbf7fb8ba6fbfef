// What strangers propose on top of what others have proposed: it must not speak for them, stand in their
// way, or make looking at it dear.
import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 as hasher } from 'multiformats/hashes/sha2'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { listAnnotations } from '../../src/api/annotations/annotation-list.ts'
import {
  annotate,
  showAnnotation,
  updateAnnotation,
} from '../../src/api/annotations/annotations.ts'
import { documentOf } from '../../src/api/annotations/conformity.ts'
import { showObject } from '../../src/api/objects/object-detail.ts'
import { addSchema, showSchema } from '../../src/api/annotations/schemas.ts'
import { versionText } from '../../src/api/text.ts'
import type { AnnotationValue, Operation, Proposal } from '../../src/core/event.ts'
import { eventIdOfText, type ObjectId, objectIdOf, type VersionId } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { openValidator } from '../../src/validation/validator.ts'
import { type AnnotationNode, makeAnnotationNode, proposeFromAfar } from './annotation-node.ts'
import { signerNamed, type TestDataset } from './make-node.ts'

const owner = signerNamed('owner')
const member = signerNamed('member')
const stranger = signerNamed('stranger')
const validator = openValidator()

let node: AnnotationNode
let dataset: TestDataset
let file: Proposal

beforeEach(async () => {
  node = await makeAnnotationNode(validator)
  dataset = await node.createDataset('cells', [owner])
  file = await dataset.add(owner, await dataset.file('a.jpg'))
})

afterEach(() => node.close())
afterAll(() => validator.close())

const versionOf = (event: string): VersionId => ({
  proposal: eventIdOfText(event) as VersionId['proposal'],
  index: 0,
})
const schemaBy = (by: typeof owner, document: string, accept = false) =>
  addSchema(node.as(by), dataset.replica, { name: 'schema-a', document, accept })
async function annotateAs(by: typeof owner, value: unknown, objects = ['a.jpg']) {
  const annotations = [{ objects, schema: 'schema-a', value }]
  const made = await annotate(node.as(by), dataset.replica, { annotations })
  return { id: made.annotations[0]?.id as ObjectId, version: versionOf(made.events[0] as string) }
}
const show = (id: string) => showAnnotation(node.as(member), dataset.replica, id)

function valueOf(schema: VersionId, text: string): AnnotationValue {
  const inline = new TextEncoder().encode(text)
  const targets = [{ proposal: file.id, index: 0 }]
  return { type: 'annotation', targets, schema, sizeBytes: inline.length, inline }
}

describe('an update by a stranger of what waits', () => {
  test('neither stands for the annotation, nor gets between its versions', async () => {
    const { event } = await schemaBy(member, '{"type":"array"}')
    const { id, version } = await annotateAs(member, [1])
    const value = valueOf(versionOf(event), '[1337]')
    await proposeFromAfar(dataset.replica, stranger, [
      { op: 'update', object: id, base: [version], value },
    ])
    expect(await show(id)).toMatchObject({ text: '[1]', author: member.publicKey })
    await updateAnnotation(node.as(member), dataset.replica, id, { value: [2] })
    const { text, history } = await show(id)
    expect(text).toBe('[2]')
    expect(history.at(-1)?.base).toEqual([versionText(version)])
    const { annotations } = await listAnnotations(dataset.replica, { status: 'pending' })
    expect(annotations).toMatchObject([{ id, version: history.at(-1)?.version }])
  })

  test('does not bring back to life what was rejected', async () => {
    const { event } = await schemaBy(member, '{}')
    const { id, version } = await annotateAs(member, [1])
    await dataset.reject(owner, version.proposal)
    const value = valueOf(versionOf(event), '[1337]')
    await proposeFromAfar(dataset.replica, stranger, [
      { op: 'update', object: id, base: [version], value },
    ])
    expect(await show(id)).toMatchObject({ text: '[1]', status: 'rejected' })
    expect(await listAnnotations(dataset.replica, { status: 'pending' })).toEqual({
      annotations: [],
    })
  })

  test('changes no schema that others annotate with', async () => {
    const { event, schema } = await schemaBy(member, '{"type":"array"}')
    const value = await dataset.file('schema-a', '{"type":"string"}', 'application/schema+json')
    const object = schema.id as ObjectId
    await proposeFromAfar(dataset.replica, stranger, [
      { op: 'update', object, base: [versionOf(event)], value },
    ])
    expect(await showSchema(node.as(member), dataset.replica, 'schema-a')).toMatchObject({
      version: schema.version,
      document: '{"type":"array"}',
    })
    expect(await show((await annotateAs(member, [1])).id)).toMatchObject({
      schema: { version: schema.version },
    })
  })

  test('changes no object that others annotate, or look at', async () => {
    await schemaBy(owner, '{}', true)
    const mine = await proposeFromAfar(dataset.replica, member, [
      { op: 'create', value: await dataset.file('b.jpg') },
    ])
    const object = objectIdOf({ proposal: mine.id, index: 0 }, sha256)
    const value = await dataset.file('other.jpg', 'other')
    await proposeFromAfar(dataset.replica, stranger, [
      { op: 'update', object, base: [{ proposal: mine.id, index: 0 }], value },
    ])
    const { id } = await annotateAs(member, [1], [object])
    expect((await show(id)).objects).toMatchObject([{ name: 'b.jpg' }])
    expect(await showObject(dataset.replica, object)).toMatchObject({ name: 'b.jpg' })
  })

  test('by the one who made it does stand for it', async () => {
    const { event } = await schemaBy(owner, '{}', true)
    const schema = versionOf(event)
    const value = valueOf(schema, '[1]')
    const made = await proposeFromAfar(dataset.replica, stranger, [{ op: 'create', value }])
    const version = { proposal: made.id, index: 0 }
    const object = objectIdOf(version, sha256)
    await proposeFromAfar(dataset.replica, stranger, [
      { op: 'update', object, base: [version], value: valueOf(schema, '[2]') },
    ])
    expect(await show(object)).toMatchObject({ text: '[2]', status: 'pending' })
  })
})

test('many versions of one annotation are read a few times for a list, not once for each', async () => {
  const { event } = await schemaBy(owner, '{}', true)
  const schema = versionOf(event)
  const created = { op: 'create' as const, value: valueOf(schema, '[0]') }
  const made = await proposeFromAfar(dataset.replica, stranger, [created])
  const base = [{ proposal: made.id, index: 0 }]
  const object = objectIdOf({ proposal: made.id, index: 0 }, sha256)
  const updates = Array.from({ length: 700 }, (_, i): Operation => {
    return { op: 'update', object, base, value: valueOf(schema, `[${i}]`) }
  })
  await proposeFromAfar(dataset.replica, stranger, updates)
  const reads = vi.spyOn(dataset.replica.log.history, 'operationsOf')
  for (const filter of [
    { object: 'a.jpg' },
    { schema: 'schema-a' },
    { status: 'pending' },
  ] as const) {
    reads.mockClear()
    const { annotations } = await listAnnotations(dataset.replica, filter)
    expect(annotations.map(({ id }) => id)).toEqual([object])
    expect(reads.mock.calls.filter(([id]) => id === object).length).toBeLessThan(5)
  }
})

test('a document that a few blocks make of millions of pieces is not read to its end', async () => {
  const { blocks } = node.files
  const put = async (codec: number, bytes: Uint8Array) => {
    const cid = CID.createV1(codec, await hasher.digest(bytes))
    await blocks.put(cid, bytes)
    return cid
  }
  const times = (child: CID, sizeBytes: number, count: number) => {
    const blockSizes = new Array<bigint>(count).fill(BigInt(sizeBytes))
    const Links = blockSizes.map(() => ({ Name: '', Tsize: 1, Hash: child }))
    const Data = new UnixFS({ type: 'file', blockSizes }).marshal()
    return put(dagPb.code, dagPb.encode(dagPb.prepare({ Data, Links })))
  }
  const some = await times(await put(raw.code, new TextEncoder().encode(' ')), 1, 2_000)
  const value = {
    ...valueOf(versionOf('x'), ''),
    inline: undefined,
    content: (await times(some, 2_000, 2_000)).bytes,
  }
  const reads = vi.spyOn(blocks, 'get')
  expect(await documentOf(node, value as unknown as AnnotationValue)).toBeUndefined()
  expect(reads.mock.calls.length).toBeLessThan(2_000)
  const few = {
    ...value,
    content: (await times(await put(raw.code, new Uint8Array(99)), 99, 9)).bytes,
  }
  expect((await documentOf(node, few as unknown as AnnotationValue))?.length).toBe(99 * 9)
})
