// Whether annotations conform: with the schemas and documents that are here, and those that are not.
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  conformityOf,
  DOCUMENT_BYTES_MAX,
  documentOf,
  requireConforming,
} from '../../src/api/annotations/conformity.ts'
import type { NodeContext } from '../../src/api/context.ts'
import { SCHEMA_MEDIA_TYPE } from '../../src/core/event.ts'
import type { VersionId } from '../../src/core/ids.ts'
import { openValidator } from '../../src/validation/validator.ts'
import {
  type AnnotationNode,
  makeAnnotationNode,
  proposeFromAfar,
  replicaOn,
} from './annotation-node.ts'
import { signerNamed, type TestDataset } from './make-node.ts'

const owner = signerNamed('owner')
const stranger = signerNamed('stranger')
const validator = openValidator()
const utf8 = (text: string) => new TextEncoder().encode(text)

let node: AnnotationNode
let context: NodeContext
let dataset: TestDataset

beforeEach(async () => {
  node = await makeAnnotationNode(validator)
  context = node.as(owner)
  dataset = await node.createDataset('cells', [owner])
})

afterEach(() => node.close())
afterAll(() => validator.close())

async function schemaOf(text: string, mediaType = SCHEMA_MEDIA_TYPE): Promise<VersionId> {
  const value = await dataset.file('schema-a', text, mediaType)
  const { id } = await proposeFromAfar(dataset.replica, stranger, [{ op: 'create', value }])
  return { proposal: id, index: 0 }
}

const answerTo = async (schema: VersionId, text: string | undefined) => {
  const document = text === undefined ? undefined : utf8(text)
  const [answer] = await conformityOf(context, dataset.replica, [{ schema, document }])
  return answer
}

describe('an annotation', () => {
  test('conforms, or is invalid with the place and the rule', async () => {
    const schema = await schemaOf('{"properties":{"n":{"type":"integer"}}}')
    expect(await answerTo(schema, '{"n":1}')).toEqual({ status: 'conforms', errors: [] })
    expect(await answerTo(schema, '{"n":"one"}')).toMatchObject({
      status: 'invalid',
      code: 'NOT_CONFORMING',
      errors: [{ path: '/n', rule: 'type' }],
    })
    expect(await answerTo(schema, 'no json')).toMatchObject({ code: 'NOT_CONFORMING' })
  })

  test('of which the document is not here may conform or not', async () => {
    const good = await schemaOf('{}')
    expect(await answerTo(good, undefined)).toMatchObject({ status: 'unknown', code: 'NOT_HERE' })
  })

  test('by a schema that nobody has told of may conform or not', async () => {
    const unknown = { ...(await schemaOf('{}')), proposal: dataset.replica.id }
    expect(await answerTo(unknown, '{}')).toMatchObject({ status: 'unknown', code: 'NOT_HERE' })
  })

  test.each([
    ['a file that is no schema', '{}', 'application/json', 0],
    ['an operation that the proposal does not have', '{}', SCHEMA_MEDIA_TYPE, 1],
    ['a schema that is none', '[1,2]', SCHEMA_MEDIA_TYPE, 0],
    ['a schema that is too large', `{"title":"${'x'.repeat(300_000)}"}`, SCHEMA_MEDIA_TYPE, 0],
  ])('by %s never conforms', async (_, text, mediaType, index) => {
    const schema = { ...(await schemaOf(text, mediaType)), index }
    const answer = { status: 'invalid', code: 'BAD_SCHEMA' }
    expect(await answerTo(schema, '{}')).toMatchObject(answer)
  })

  test('by another annotation never conforms', async () => {
    const schema = await schemaOf('{}')
    const value = { targets: [schema], schema, sizeBytes: 2, inline: utf8('{}') }
    const operations = [{ op: 'create' as const, value: { type: 'annotation' as const, ...value } }]
    const { id } = await proposeFromAfar(dataset.replica, stranger, operations)
    const answer = await answerTo({ proposal: id, index: 0 }, '{}')
    expect(answer).toMatchObject({ status: 'invalid', code: 'BAD_SCHEMA' })
  })
})

test('each of many gets the answer it would get alone', async () => {
  const schemas = await Promise.all([
    schemaOf('{"type":"integer"}'),
    schemaOf('{"type":"string"}'),
    schemaOf('{"type":12}'),
    schemaOf('true', 'text/plain'),
  ])
  const document = fc.option(fc.constantFrom('1', '"a"', '{', ''), { nil: undefined })
  const item = fc.record({ schema: fc.constantFrom(...schemas), document })
  await fc.assert(
    fc.asyncProperty(fc.array(item, { maxLength: 12 }), async (items) => {
      const together = await conformityOf(
        context,
        dataset.replica,
        items.map(({ schema, document }) => ({
          schema,
          document: document === undefined ? undefined : utf8(document),
        })),
      )
      const alone = []
      for (const { schema, document } of items) alone.push(await answerTo(schema, document))
      expect(together).toEqual(alone)
    }),
    { numRuns: 30 },
  )
})

describe('what is required to conform', () => {
  test('is refused for the first that does not, by any schema', async () => {
    const strings = await schemaOf('{"type":"string"}')
    const numbers = await schemaOf('{"type":"number"}')
    const items = [
      { schema: strings, document: utf8('"a"') },
      { schema: numbers, document: utf8('"a"') },
      { schema: strings, document: utf8('1') },
    ]
    await expect(requireConforming(context, dataset.replica, items)).rejects.toMatchObject({
      code: 'NOT_CONFORMING',
      message: expect.stringContaining('annotation 1'),
      details: { index: 1, errors: [{ rule: 'type' }] },
    })
    await requireConforming(context, dataset.replica, items.slice(0, 1))
  })

  test('fetches the schema from peers where it is not here', async () => {
    const schema = await schemaOf('{"type":"string"}')
    const other = await makeAnnotationNode(validator)
    try {
      const replica = await replicaOn(other, dataset.replica)
      const items = [{ schema, document: utf8('"a"') }]
      const there = other.as(stranger)
      const bring = { bring: true }
      await expect(requireConforming(there, replica, items, bring)).rejects.toMatchObject({
        code: 'NOT_HERE',
      })
      other.fetchFrom(node)
      await requireConforming(there, replica, items, bring)
      expect(await conformityOf(there, replica, items)).toMatchObject([{ status: 'conforms' }])
    } finally {
      await other.close()
    }
  })
})

describe('a document', () => {
  const value = { type: 'annotation' as const, targets: [], sizeBytes: 0 }

  test('is the bytes that were given, inline or as a file', async () => {
    const schema = await schemaOf('{}')
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        const { cid } = await node.files.put([bytes])
        expect(await documentOf(context, { ...value, schema, inline: bytes })).toEqual(bytes)
        const stored = await documentOf(context, { ...value, schema, content: cid.bytes })
        expect(Buffer.from(stored as Uint8Array).equals(bytes)).toBe(true)
      }),
    )
  })

  test('is absent when no block of it is here', async () => {
    const schema = await schemaOf('{}')
    const content = CID.parse('bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy').bytes
    expect(await documentOf(context, { ...value, schema, content })).toBeUndefined()
  })

  test('of 50 MB is read no further than shows that it is too large', async () => {
    const schema = await schemaOf('{}')
    const MiB = new Uint8Array(1 << 20).fill(0x20)
    const { cid } = await node.files.put(Array.from({ length: 50 }, () => MiB))
    const document = await documentOf(context, { ...value, schema, content: cid.bytes })
    expect(document?.length).toBe(DOCUMENT_BYTES_MAX + 1)
    const [answer] = await conformityOf(context, dataset.replica, [{ schema, document }])
    expect(answer).toMatchObject({ status: 'invalid', errors: [{ rule: 'size' }] })
  })
})
