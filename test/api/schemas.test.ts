// Schemas: which one a name means, what is checked before one is proposed, and how one goes out of use.
import fc from 'fast-check'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { NodeContext } from '../../src/api/context.ts'
import { removeObjects } from '../../src/api/objects/proposals.ts'
import { review } from '../../src/api/review/review.ts'
import {
  addSchema,
  commonSchemas,
  deprecateSchema,
  listSchemas,
  showSchema,
} from '../../src/api/annotations/schemas.ts'
import type { Operation } from '../../src/core/event.ts'
import {
  type EventId,
  eventIdOfText,
  type ObjectId,
  objectIdOf,
  textOfEventId,
} from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { signDraft } from '../../src/replica/replica.ts'
import { openValidator } from '../../src/validation/validator.ts'
import {
  type AnnotationNode,
  eventsOf,
  makeAnnotationNode,
  proposeFromAfar,
} from './annotation-node.ts'
import { signerNamed, type TestDataset } from './make-node.ts'

const owner = signerNamed('owner')
const stranger = signerNamed('stranger')
const validator = openValidator()
const requires = (...names: string[]) => JSON.stringify({ type: 'object', required: names })

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

const add = (document: string, more: { name?: string; accept?: boolean; by?: typeof owner } = {}) =>
  addSchema(node.as(more.by ?? owner), dataset.replica, {
    name: more.name ?? 'schema-a',
    document,
    ...(more.accept !== undefined && { accept: more.accept }),
  })
const accept = (...events: string[]) =>
  review(context, dataset.entry, { verdict: 'accept', items: events })
const reject = (...events: string[]) =>
  review(context, dataset.entry, { verdict: 'reject', items: events })
const show = (ref: string) => showSchema(context, dataset.replica, ref)

describe('adding', () => {
  test('keeps the document byte by byte, and counts versions from 0', async () => {
    const text = ' {"type" : "object"}\n'
    const { event, schema } = await add(text)
    expect(schema).toMatchObject({ name: 'schema-a', number: 0, versions: 1, status: 'pending' })
    expect(schema.version).toBe(`${event}:0`)
    await accept(event)
    const second = await add(requires('x'))
    expect(second.schema).toMatchObject({ id: schema.id, number: 1, versions: 2 })
    expect((await show('schema-a@0')).document).toBe(text)
    expect((await show('schema-a@1')).document).toBe(requires('x'))
    expect(await show('schema-a')).toMatchObject({ number: 0, status: 'accepted', document: text })
  })

  test('builds on what this node has proposed and nobody has decided', async () => {
    const first = await add(requires('a'))
    const second = await add(requires('b'))
    expect(second.schema).toMatchObject({ id: first.schema.id, number: 1, status: 'pending' })
    await accept(first.event, second.event)
    expect(await show('schema-a')).toMatchObject({ number: 1, status: 'accepted' })
  })

  test('does not build on what a stranger has proposed', async () => {
    const value = await dataset.file('schema-a', requires('evil'), 'application/schema+json')
    const evil = await proposeFromAfar(dataset.replica, stranger, [{ op: 'create', value }])
    expect(await show('schema-a')).toMatchObject({ document: requires('evil') })
    const { schema } = await add(requires('good'))
    expect(schema).toMatchObject({ number: 0, versions: 1 })
    expect(await show('schema-a')).toMatchObject({ id: schema.id, document: requires('good') })
    const later = await dataset.file('schema-a', requires('later'), 'application/schema+json')
    await proposeFromAfar(dataset.replica, stranger, [{ op: 'create', value: later }])
    expect(await show('schema-a')).toMatchObject({ id: schema.id, document: requires('good') })
    await dataset.accept(owner, evil)
    expect(await show('schema-a')).toMatchObject({ document: requires('evil') })
  })

  test('with accept it is in force at once, whatever waits under its name', async () => {
    await add(requires('waiting'))
    const { schema } = await add(requires('now'), { accept: true })
    expect(schema.status).toBe('accepted')
    expect(await show('schema-a')).toMatchObject({ id: schema.id, document: requires('now') })
  })

  test.each([
    ['BAD_NAME', { name: 'boxes' }, '{}'],
    ['BAD_NAME', { name: 'schema-a@1' }, '{}'],
    ['BAD_NAME', { name: 'schema-a/../b' }, '{}'],
    ['BAD_NAME', { name: 'schema-a\u0301' }, '{}'],
    ['BAD_SCHEMA', {}, '{"type":12}'],
    ['BAD_SCHEMA', {}, '[1,2]'],
    ['BAD_SCHEMA', {}, 'not json'],
    ['BAD_SCHEMA', {}, '{"title":"\ud800"}'],
    ['BAD_SCHEMA', {}, '{"$ref":"http://example.com/other"}'],
    ['TOO_LARGE', {}, `{"description":"${'x'.repeat(300_000)}"}`],
    ['NOT_OWNER', { by: stranger, accept: true }, '{}'],
  ])('refuses with %s %j %.40s, and signs nothing', async (code, more, document) => {
    const before = await eventsOf(dataset.replica)
    await expect(add(document, more)).rejects.toMatchObject({ code })
    expect(await eventsOf(dataset.replica)).toBe(before)
  })

  test('refuses what the schema is already', async () => {
    const { event } = await add(requires('a'))
    await expect(add(requires('a'))).rejects.toMatchObject({ code: 'EXISTS' })
    await accept(event)
    await expect(add(requires('a'))).rejects.toMatchObject({ code: 'EXISTS' })
  })

  test('takes every schema that comes with the package', async () => {
    const shipped = commonSchemas()
    expect(shipped.length).toBeGreaterThan(0)
    for (const { name, document } of shipped) await add(document, { name })
    const names = (await listSchemas(dataset.replica)).map(({ name }) => name)
    expect(names).toEqual(shipped.map(({ name }) => name).toSorted())
  })
})

describe('a name', () => {
  test('means its owner, of two that claim it', async () => {
    const first = await add(requires('first'))
    const value = await dataset.file('schema-a', requires('late'), 'application/schema+json')
    await accept(first.event)
    const late = await dataset.add(owner, value)
    expect(await show('schema-a')).toMatchObject({ id: first.schema.id })
    const list = await listSchemas(dataset.replica)
    expect(list.map(({ id }) => id)).toEqual([first.schema.id])
    const shadowed = await show(versionOf(late.id))
    expect(shadowed).toMatchObject({ status: 'shadowed', document: requires('late') })
  })

  test('of files and of schemas are different', async () => {
    await dataset.add(owner, await dataset.file('schema-a', 'a file', 'text/plain'))
    await expect(show('schema-a')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await add('{}', { accept: true })
    expect(await show('schema-a')).toMatchObject({ status: 'accepted', document: '{}' })
  })

  test.each(['schema-b', 'schema-a@7', 'schema-a@', 'deadbeef', '', 'bafyreiabc:0'])(
    'that nothing has is not found: %j',
    async (ref) => {
      await add('{}', { accept: true })
      await expect(show(ref)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    },
  )

  test('with a number means that version, in any status', async () => {
    const fate = fc.constantFrom('pending', 'accepted', 'rejected')
    await fc.assert(
      fc.asyncProperty(fc.array(fate, { minLength: 1, maxLength: 5 }), async (fates) => {
        const name = `schema-${crypto.randomUUID()}`
        const versions: { event: string; status: string }[] = []
        // The first one stays, so that all are versions of one schema.
        for (const [i, status] of ['pending', ...fates].entries()) {
          const { event, schema } = await add(requires(`${i}`), { name })
          expect(schema.number).toBe(i)
          versions.push({ event, status })
          if (status === 'rejected') await reject(event)
          if (status !== 'accepted') continue
          // An acceptance needs what it builds on.
          const isFirst = !versions.slice(0, -1).some((version) => version.status === 'accepted')
          const open = versions.filter((version) => version.status === 'pending')
          await accept(...(isFirst ? open.map((version) => version.event) : []), event)
          if (isFirst) for (const version of open) version.status = 'accepted'
        }
        for (const [i, { status, event }] of versions.entries()) {
          const detail = await show(`${name}@${i}`)
          expect(detail).toMatchObject({ number: i, document: requires(`${i}`) })
          expect(detail.history[i]).toMatchObject({ number: i, status, version: `${event}:0` })
        }
      }),
      { numRuns: 15 },
    )
  }, 30_000)
})

describe('whatever strangers propose', () => {
  const propose = (by: typeof owner, ...operations: Operation[]) =>
    proposeFromAfar(dataset.replica, by, operations)
  const schemaFile = (text: string, name = 'schema-a') =>
    dataset.file(name, text, 'application/schema+json')
  const create = async (by: typeof owner, text: string, name?: string) =>
    propose(by, { op: 'create', value: await schemaFile(text, name) })

  async function updates(ref: string, count: number): Promise<Operation[]> {
    const { id, version } = await show(ref)
    const [event = ''] = version.split(':')
    const base = [{ proposal: eventIdOfText(event) as EventId, index: 0 }]
    const value = await schemaFile(requires('evil'))
    const object = id as ObjectId
    return Array.from({ length: count }, () => ({ op: 'update', object, base, value }))
  }

  test('a number means what it meant, and new versions are found', async () => {
    await add(requires('0'), { accept: true })
    const evil = await propose(stranger, ...(await updates('schema-a', 1)))
    await propose(stranger, ...(await updates('schema-a', 1_500)))
    await add(requires('1'), { accept: true })
    await propose(stranger, ...(await updates('schema-a', 1_500)))
    const { schema } = await add(requires('2'))
    expect(schema).toMatchObject({ number: 2, versions: 3 })
    for (const i of [0, 1, 2]) {
      expect(await show(`schema-a@${i}`)).toMatchObject({ number: i, document: requires(`${i}`) })
    }
    await expect(show('schema-a@3')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      hint: expect.stringContaining('the newest is 2') as string,
    })
    const theirs = await show(versionOf(evil.id))
    expect(theirs).toMatchObject({ document: requires('evil') })
    expect(theirs.number).toBeUndefined()
  })

  test('what an owner accepts of it counts', async () => {
    await add(requires('0'), { accept: true })
    const theirs = await propose(stranger, ...(await updates('schema-a', 1)))
    await dataset.accept(owner, theirs)
    expect(await show('schema-a@1')).toMatchObject({ number: 1, document: requires('evil') })
  })

  test('a schema that is named like a version of another is not that version', async () => {
    await add(requires('0'))
    await add(requires('1'))
    await create(stranger, requires('evil'), 'schema-a@1')
    expect(await show('schema-a@1')).toMatchObject({ document: requires('1') })
  })

  test('one name of several strangers means none of them', async () => {
    const ids = []
    for (const by of ['s', 't']) {
      const { id } = await create(signerNamed(by), requires(by))
      ids.push(objectIdOf({ proposal: id, index: 0 }, sha256))
    }
    await expect(show('schema-a')).rejects.toMatchObject({
      code: 'AMBIGUOUS',
      message: expect.stringMatching(new RegExp(`${ids[1]}.*${ids[0]}`)) as string,
    })
    expect(await show(ids[0] as string)).toMatchObject({ document: requires('s') })
    await create(owner, requires('by an owner'))
    await create(stranger, requires('later'))
    expect(await show('schema-a')).toMatchObject({ document: requires('by an owner') })
    const list = await listSchemas(dataset.replica)
    expect(list).toMatchObject([{ id: (await show('schema-a')).id }])
    await add(requires('here'), { by: signerNamed('member') })
    expect(await show('schema-a')).toMatchObject({ document: requires('here') })
  })

  test('a schema that is out of use keeps its name until another is accepted', async () => {
    const { schema } = await add(requires('old'), { accept: true })
    const { events } = await deprecateSchema(context, dataset.replica, 'schema-a')
    await accept(...events)
    await create(stranger, requires('evil'))
    expect(await show('schema-a')).toMatchObject({ id: schema.id, status: 'deprecated' })
    expect(await listSchemas(dataset.replica)).toMatchObject([{ id: schema.id }])
  })

  test('a schema of this node is found behind any number of theirs', async () => {
    const member = signerNamed('member')
    const { schema } = await add(requires('mine'), { by: member })
    const byOwner = await create(owner, requires('b'), 'schema-b')
    const value = await schemaFile(requires('evil'))
    const replica = dataset.replica
    const blocks = Array.from({ length: 1_050 }, (_, claimedAtMs) =>
      signDraft(
        {
          family: 'proposal',
          dataset: replica.id,
          operations: [{ op: 'create', value: { ...value, name: `schema-${claimedAtMs % 7}` } }],
          claimedAtMs,
        },
        stranger,
        sha256,
      ),
    )
    expect((await replica.submit(blocks)).refused).toEqual([])
    expect(await show('schema-a')).toMatchObject({ id: schema.id })
    expect(await show('schema-b')).toMatchObject({ version: versionOf(byOwner.id) })
    await expect(add(requires('mine'), { by: member })).rejects.toMatchObject({ code: 'EXISTS' })
  }, 30_000)
})

describe('out of use', () => {
  test('goes one version, and not those that came later', async () => {
    await add(requires('0'), { accept: true })
    await add(requires('1'), { accept: true })
    const { events } = await deprecateSchema(context, dataset.replica, 'schema-a@0')
    expect(await show('schema-a@0')).toMatchObject({ status: 'accepted' })
    await accept(...events)
    expect(await show('schema-a@0')).toMatchObject({ status: 'deprecated', number: 0 })
    expect(await show('schema-a')).toMatchObject({ status: 'accepted', number: 1 })
    await expect(deprecateSchema(context, dataset.replica, 'schema-a@0')).rejects.toMatchObject({
      code: 'ALREADY_DECIDED',
    })
  })

  test('goes a whole schema, whose name is listed still and can be taken again', async () => {
    const old = await add(requires('old'), { accept: true })
    const { events } = await deprecateSchema(context, dataset.replica, 'schema-a')
    await accept(...events)
    expect(await show('schema-a')).toMatchObject({ id: old.schema.id, status: 'deprecated' })
    expect(await listSchemas(dataset.replica)).toMatchObject([{ status: 'deprecated' }])
    const fresh = await add(requires('fresh'), { accept: true })
    expect(fresh.schema.id).not.toBe(old.schema.id)
    expect(await listSchemas(dataset.replica)).toMatchObject([{ id: fresh.schema.id }])
  })

  test('goes nothing that was rejected', async () => {
    const { event } = await add('{}')
    await reject(event)
    await expect(deprecateSchema(context, dataset.replica, `${event}:0`)).rejects.toMatchObject({
      code: 'ALREADY_DECIDED',
    })
  })
})

describe('the list', () => {
  test('has each name once: what is in force before what waits', async () => {
    await add('{}', { name: 'schema-b', accept: true })
    await add(requires('x'), { name: 'schema-b' })
    await add('{}', { name: 'schema-a' })
    const gone = await add('{}', { name: 'schema-c' })
    await reject(gone.event)
    const list = await listSchemas(dataset.replica)
    expect(list.map(({ name, status, versions }) => [name, status, versions])).toEqual([
      ['schema-a', 'pending', 1],
      ['schema-b', 'accepted', 2],
    ])
  })

  test('has no files, and schemas are not among the files', async () => {
    await dataset.add(owner, await dataset.file('schema-like', 'text', 'text/plain'))
    await add('{}', { accept: true })
    expect((await listSchemas(dataset.replica)).map(({ name }) => name)).toEqual(['schema-a'])
    expect((await dataset.replica.snapshot()).counts.files).toBe(1)
  })
})

test('a schema is removed like an object, by its name', async () => {
  await add('{}', { accept: true })
  const { events } = await removeObjects(context, dataset.entry, ['schema-a'])
  await accept(...events)
  expect(await show('schema-a')).toMatchObject({ status: 'deprecated' })
})

function versionOf(proposal: Parameters<typeof textOfEventId>[0]): string {
  return `${textOfEventId(proposal)}:0`
}
