// Annotations: what may be annotated, what is checked before anything is signed, updates, lists, and the
// way from one node to the owner on another.
import fc from 'fast-check'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { listAnnotations } from '../../src/api/annotations/annotation-list.ts'
import {
  annotate,
  showAnnotation,
  updateAnnotation,
} from '../../src/api/annotations/annotations.ts'
import type { NodeContext } from '../../src/api/context.ts'
import { review } from '../../src/api/review/review.ts'
import { addSchema, deprecateSchema } from '../../src/api/annotations/schemas.ts'
import { versionText } from '../../src/api/text.ts'
import type { AnnotateRequest, AnnotationFilter, AnnotationInfo } from '../../src/contract/api.ts'
import type { Operation, Proposal } from '../../src/core/event.ts'
import { objectIdOf, textOfEventId } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { openValidator } from '../../src/validation/validator.ts'
import {
  type AnnotationNode,
  eventsOf,
  makeAnnotationNode,
  proposeFromAfar,
  replicaOn,
  tell,
} from './annotation-node.ts'
import { signerNamed, type TestDataset } from './make-node.ts'

const owner = signerNamed('owner')
const stranger = signerNamed('stranger')
const validator = openValidator()
const schemaText = '{"type":"object","required":["label"]}'
const good = { label: 'cell' }

let node: AnnotationNode
let context: NodeContext
let dataset: TestDataset
let file: Proposal

beforeEach(async () => {
  node = await makeAnnotationNode(validator)
  context = node.as(owner)
  dataset = await node.createDataset('cells', [owner])
  file = await dataset.add(owner, await dataset.file('a.jpg'))
  await schema('schema-a', schemaText)
})

afterEach(() => node.close())
afterAll(() => validator.close())

type Item = AnnotateRequest['annotations'][number]
const item = (more: Partial<Item> = {}): Item => {
  const document = 'text' in more || 'value' in more ? {} : { value: good }
  return { objects: ['a.jpg'], schema: 'schema-a', ...document, ...more }
}
const schema = (name: string, document: string, accept = true) =>
  addSchema(context, dataset.replica, { name, document, accept })
const add = async (more: Partial<Item> = {}, accept = true) => {
  const request = { annotations: [item(more)], accept }
  const { annotations, events } = await annotate(context, dataset.replica, request)
  return { ...(annotations[0] as AnnotationInfo), event: events[0] as string }
}
const decide = (verdict: 'accept' | 'reject', ...items: string[]) =>
  review(context, dataset.entry, { verdict, items })
const show = (ref: string) => showAnnotation(context, dataset.replica, ref)
const list = (filter?: AnnotationFilter) => listAnnotations(dataset.replica, filter)
const idsOf = ({ annotations }: { annotations: readonly { id: string }[] }) =>
  annotations.map(({ id }) => id)
const versionOf = ({ id }: Proposal, index = 0) => versionText({ proposal: id, index })

describe('annotating', () => {
  test('keeps what was said, and says what it is of', async () => {
    const { id, ...info } = await add({ value: { label: 'x', n: [1.5, null] } })
    expect(info).toMatchObject({
      objects: [{ version: versionOf(file), name: 'a.jpg' }],
      schema: { name: 'schema-a', number: 0 },
      status: 'accepted',
      author: owner.publicKey,
    })
    expect(await show(id.slice(0, 10))).toMatchObject({
      id,
      text: '{"label":"x","n":[1.5,null]}',
      here: true,
      conformity: { status: 'conforms' },
      history: [{ number: 0, op: 'create', status: 'accepted', isCurrent: true }],
    })
  })

  test('keeps text byte by byte, short or long', async () => {
    const pad = fc.nat({ max: 20_000 }).map((length) => ' '.repeat(length))
    const label = fc.string({ unit: 'grapheme', maxLength: 40 })
    await fc.assert(
      fc.asyncProperty(pad, label, async (pad, label) => {
        const text = `${pad}{ "label" :${JSON.stringify(label)}}\n`
        const { id } = await add({ text })
        expect((await show(id)).text).toBe(text)
      }),
      { numRuns: 25 },
    )
  })

  test('of several objects is one annotation', async () => {
    const other = await dataset.add(owner, await dataset.file('b.jpg'))
    const { objects } = await add({ objects: ['a.jpg', 'b.jpg', versionOf(other), 'a.jpg'] })
    expect(objects.map(({ name }) => name)).toEqual(['a.jpg', 'b.jpg'])
  })

  test('by thousands needs few events, in order', async () => {
    const annotations = Array.from({ length: 2_500 }, (_, i) => item({ value: { label: `${i}` } }))
    const result = await annotate(context, dataset.replica, { annotations })
    expect(result.events.length).toBe(3)
    expect(result.annotations.length).toBe(2_500)
    const last = result.annotations.at(-1) as AnnotationInfo
    expect((await show(last.id)).text).toBe('{"label":"2499"}')
  }, 30_000)

  test.each<[string, string, Partial<Item>]>([
    ['NOT_CONFORMING', 'what does not conform', { value: { lable: 1 } }],
    ['NOT_CONFORMING', 'what is no JSON', { text: '{"label":' }],
    ['NOT_CONFORMING', 'JSON with something after it', { text: '{"label":1}\u0000' }],
    ['USAGE', 'half a character', { text: '{"label":"\ud800"}' }],
    ['USAGE', 'a value and a text', { value: good, text: '{}' }],
    ['USAGE', 'neither', { value: undefined }],
    ['USAGE', 'no objects', { objects: [] }],
    ['USAGE', 'too many objects', { objects: Array.from({ length: 65 }, () => 'a.jpg') }],
    ['USAGE', 'a schema', { objects: ['schema-a'] }],
    ['NOT_FOUND', 'an object that is not there', { objects: ['b.jpg'] }],
    ['NOT_FOUND', 'a schema that is not there', { schema: 'schema-b' }],
    ['NOT_FOUND', 'a version that is not there', { schema: 'schema-a@1' }],
    ['NOT_FOUND', 'a file as the schema', { schema: 'a.jpg' }],
    ['TOO_LARGE', 'nine megabytes', { text: `{"label":"${'x'.repeat(9 << 20)}"}` }],
  ])('refuses with %s %s, and signs nothing of the batch', async (code, _, bad) => {
    const before = await eventsOf(dataset.replica)
    const annotations = [item(), item(bad), item()]
    await expect(annotate(context, dataset.replica, { annotations })).rejects.toMatchObject({
      code,
      details: { index: 1 },
    })
    expect(await eventsOf(dataset.replica)).toBe(before)
  })

  test('is refused for those who are no owners and want to accept', async () => {
    const before = await eventsOf(dataset.replica)
    const request = { annotations: [item()], accept: true }
    const asked = annotate(node.as(stranger), dataset.replica, request)
    await expect(asked).rejects.toMatchObject({ code: 'NOT_OWNER' })
    expect(await eventsOf(dataset.replica)).toBe(before)
  })

  test('goes with one version of the schema, and asks what that one asks', async () => {
    await schema('schema-a', '{"required":["box"]}')
    await expect(add()).rejects.toMatchObject({ code: 'NOT_CONFORMING' })
    expect(await add({ value: { box: 1 } })).toMatchObject({ schema: { number: 1 } })
    expect(await add({ schema: 'schema-a@0' })).toMatchObject({ schema: { number: 0 } })
  })

  test('goes by a schema out of use when its version is named', async () => {
    const { events } = await deprecateSchema(context, dataset.replica, 'schema-a')
    await decide('accept', ...events)
    await expect(add()).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await add({ schema: 'schema-a@0' })).toMatchObject({ status: 'accepted' })
  })
})

describe('what is annotated', () => {
  test('by name is the current version, and exactly that one', async () => {
    const base = [{ proposal: file.id, index: 0 }]
    const object = objectIdOf({ proposal: file.id, index: 0 }, sha256)
    const value = await dataset.file('a.jpg', 'new')
    const update = await dataset.propose(owner, { op: 'update', object, base, value })
    expect(await add()).toMatchObject({ objects: [{ version: versionOf(file) }] })
    await dataset.accept(owner, update)
    expect(await add()).toMatchObject({ objects: [{ version: versionOf(update), object }] })
    expect(await add({ objects: [object.slice(0, 12)] })).toMatchObject({
      objects: [{ version: versionOf(update) }],
    })
    expect(await add({ objects: [versionOf(file)] })).toMatchObject({
      objects: [{ version: versionOf(file) }],
    })
  })

  test('may wait for a decision, when it is named by its id or version', async () => {
    const waiting = await dataset.create(stranger, await dataset.file('b.jpg'))
    const object = objectIdOf({ proposal: waiting.id, index: 0 }, sha256)
    for (const ref of [object, object.slice(0, 16), versionOf(waiting)]) {
      const { objects } = await add({ objects: [ref] })
      expect(objects).toEqual([{ version: versionOf(waiting), object, name: 'b.jpg' }])
    }
    await expect(add({ objects: ['b.jpg'] })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await dataset.reject(owner, waiting)
    for (const ref of [object, versionOf(waiting)]) {
      await expect(add({ objects: [ref] })).rejects.toMatchObject({ code: 'ALREADY_DECIDED' })
    }
  })

  test('is not deleted', async () => {
    const object = objectIdOf({ proposal: file.id, index: 0 }, sha256)
    const base = [{ proposal: file.id, index: 0 }]
    await dataset.accept(owner, await dataset.propose(owner, { op: 'delete', object, base }))
    for (const ref of ['a.jpg', object, versionOf(file)]) {
      await expect(add({ objects: [ref] })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    }
  })

  test('is not a deleted version of what lives on', async () => {
    const object = objectIdOf({ proposal: file.id, index: 0 }, sha256)
    const base = [{ proposal: file.id, index: 0 }]
    const value = await dataset.file('a.jpg', 'new')
    await dataset.accept(owner, await dataset.propose(owner, { op: 'update', object, base, value }))
    expect(await add({ objects: [versionOf(file)] })).toMatchObject({ status: 'accepted' })
    await dataset.accept(owner, await dataset.propose(owner, { op: 'delete', object, base }))
    await expect(add({ objects: [versionOf(file)] })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await add()).toMatchObject({ status: 'accepted' })
  })

  test('is no annotation', async () => {
    const { id, version } = await add()
    for (const ref of [id, version]) {
      await expect(add({ objects: [ref] })).rejects.toMatchObject({ code: 'USAGE' })
    }
  })

  test('cannot be faked by a name that looks like a version', async () => {
    const name = versionOf(file)
    await dataset.add(owner, await dataset.file(name, 'fake'))
    expect(await add({ objects: [name] })).toMatchObject({ objects: [{ name: 'a.jpg' }] })
  })
})

describe('an update', () => {
  const update = (ref: string, value: unknown, more: { accept?: boolean; schema?: string } = {}) =>
    updateAnnotation(context, dataset.replica, ref, { value, ...more })

  test('builds on the current version and stays on the same objects', async () => {
    const first = await add()
    const { events, annotations } = await update(first.id, { label: 'new' })
    expect(annotations).toMatchObject([{ id: first.id, objects: first.objects, status: 'pending' }])
    expect(await show(first.id)).toMatchObject({ text: '{"label":"cell"}', status: 'accepted' })
    await decide('accept', ...events)
    const detail = await show(first.id)
    expect(detail).toMatchObject({ text: '{"label":"new"}', version: annotations[0]?.version })
    expect(detail.history.map(({ number, isCurrent }) => [number, isCurrent])).toEqual([
      [0, false],
      [1, true],
    ])
  })

  test('builds on what waits where nothing is accepted', async () => {
    const first = await add({}, false)
    await update(first.id, { label: '1' })
    await update(first.id, { label: '2' })
    const { history, text, status } = await show(first.id)
    expect([text, status]).toEqual(['{"label":"2"}', 'pending'])
    expect(history.map(({ base }) => base)).toEqual([
      [],
      [history[0]?.version],
      [history[1]?.version],
    ])
    await decide('accept', ...history.map(({ version }) => version))
    expect(await show(first.id)).toMatchObject({ text: '{"label":"2"}', status: 'accepted' })
  })

  test('is checked against the schema it names, else the one before', async () => {
    const { id } = await add()
    await schema('schema-b', '{"required":["box"]}')
    await expect(update(id, { box: 1 })).rejects.toMatchObject({ code: 'NOT_CONFORMING' })
    await update(id, { box: 1 }, { schema: 'schema-b', accept: true })
    expect(await show(id)).toMatchObject({ schema: { name: 'schema-b' }, text: '{"box":1}' })
  })

  test('is refused where it could not come into force', async () => {
    const waiting = await add({}, false)
    const at = (id: string, accept = false) => update(id, good, { accept })
    await expect(at(waiting.id, true)).rejects.toMatchObject({ code: 'STALE_BASE' })
    await decide('reject', waiting.event)
    await expect(at(waiting.id)).rejects.toMatchObject({ code: 'ALREADY_DECIDED' })
    await expect(at(objectIdOf({ proposal: file.id, index: 0 }, sha256))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })
})

describe('the lists', () => {
  /** All pages, each of `limit`. */
  async function pages(filter: AnnotationFilter, limit: number): Promise<string[]> {
    const ids: string[] = []
    let after: string | undefined
    do {
      const page = await list({ ...filter, limit, ...(after !== undefined && { after }) })
      expect(page.annotations.length).toBeLessThanOrEqual(limit)
      ids.push(...idsOf(page))
      after = page.next
    } while (after !== undefined)
    return ids
  }

  /** Some of everything; what each annotation is, by id. */
  async function variety() {
    await schema('schema-b', '{}')
    await dataset.add(owner, await dataset.file('b.jpg'))
    const known: { id: string; status: string; objects: string[]; schema: string }[] = []
    const fates = ['pending', 'accepted', 'rejected', 'deleted', 'updated', 'waiting'] as const
    for (const [i, fate] of [...fates, ...fates].entries()) {
      const objects = i % 3 === 0 ? ['a.jpg', 'b.jpg'] : i % 3 === 1 ? ['a.jpg'] : ['b.jpg']
      const schema = i % 2 === 0 ? 'schema-a' : 'schema-b'
      const { id, event, version } = await add({ objects, schema, value: { label: i } }, false)
      if (fate === 'rejected') await decide('reject', event)
      if (fate !== 'rejected' && fate !== 'pending') await decide('accept', event)
      if (fate === 'deleted') await remove(id, version)
      const update = { value: good, accept: fate === 'updated' }
      if (fate === 'updated' || fate === 'waiting') {
        await updateAnnotation(context, dataset.replica, id, update)
      }
      const status = fate === 'updated' || fate === 'waiting' ? 'accepted' : fate
      known.push({ id, status, objects, schema })
    }
    return known
  }

  async function remove(id: string, version: string): Promise<void> {
    const [event = '', index] = version.split(':')
    const all: Proposal['id'][] = []
    for await (const [, proposal] of dataset.replica.log.arrivals()) all.push(proposal)
    const proposal = all.find((candidate) => textOfEventId(candidate) === event) as Proposal['id']
    const object = id as ReturnType<typeof objectIdOf>
    const base = [{ proposal, index: Number(index) }]
    await dataset.accept(owner, await dataset.propose(owner, { op: 'delete', object, base }))
  }

  test('have what belongs on them, each once, whatever the size of the pages', async () => {
    const known = await variety()
    const isOpen = ({ status }: { status: string }) => status === 'accepted' || status === 'pending'
    const filters: [AnnotationFilter, (one: (typeof known)[number]) => boolean][] = [
      [{}, ({ status }) => status === 'accepted'],
      ...(['accepted', 'pending', 'rejected', 'deleted'] as const).map(
        (wanted): [AnnotationFilter, (one: (typeof known)[number]) => boolean] => [
          { status: wanted },
          ({ status }) => status === wanted,
        ],
      ),
      [{ object: 'a.jpg' }, (one) => isOpen(one) && one.objects.includes('a.jpg')],
      [{ schema: 'schema-b' }, (one) => isOpen(one) && one.schema === 'schema-b'],
      [{ schema: 'schema-b@0' }, (one) => isOpen(one) && one.schema === 'schema-b'],
      [
        { object: 'b.jpg', schema: 'schema-a', status: 'deleted' },
        (one) =>
          one.status === 'deleted' && one.objects.includes('b.jpg') && one.schema === 'schema-a',
      ],
    ]
    for (const [filter, belongs] of filters) {
      const expected = known.filter(belongs).map(({ id }) => id)
      for (const limit of [1, 2, 5, 1_000]) {
        expect([...(await pages(filter, limit))].sort()).toEqual(expected.toSorted())
      }
      expect(await pages(filter, 2)).toEqual(await pages(filter, 7))
    }
  }, 60_000)

  test('of an object have what is said of all its versions', async () => {
    const old = await add()
    const object = objectIdOf({ proposal: file.id, index: 0 }, sha256)
    const value = await dataset.file('a.jpg', 'new')
    const base = [{ proposal: file.id, index: 0 }]
    await dataset.accept(owner, await dataset.propose(owner, { op: 'update', object, base, value }))
    const fresh = await add()
    const both = await add({ objects: ['a.jpg', versionOf(file)] })
    const ids = idsOf(await list({ object: 'a.jpg' }))
    expect(ids.toSorted()).toEqual([old.id, fresh.id, both.id].toSorted())
  })

  test('end a page early when little of what they look at belongs on it', async () => {
    await schema('schema-b', '{}')
    const many = Array.from({ length: 5_100 }, (_, i) => item({ value: { label: i } }))
    await annotate(context, dataset.replica, {
      annotations: [...many, item({ schema: 'schema-b' })],
    })
    const filter = { object: 'a.jpg', schema: 'schema-b' }
    const first = await list(filter)
    expect(first).toEqual({ annotations: [], next: expect.any(String) })
    const second = await list({ ...filter, after: first.next as string })
    expect(second).toMatchObject({ annotations: [{ schema: { name: 'schema-b' } }] })
    expect(second.next).toBeUndefined()
  }, 30_000)

  test.each(['x', '0.0', '-1.0.0', '1e9.0.0', '0.0.0.0', ' 0.0.0'])(
    'refuse a cursor that is none: %j',
    async (after) => {
      await expect(list({ after })).rejects.toMatchObject({ code: 'USAGE' })
    },
  )

  test('are empty after any place past the end', async () => {
    await add()
    expect(await list({ after: '9.999999999999999.9' })).toEqual({ annotations: [] })
    expect(await list({ object: 'a.jpg', after: '999999.0.0' })).toEqual({ annotations: [] })
  })
})

describe('from elsewhere', () => {
  /** What a program that checks nothing would propose. */
  async function unchecked(text: string, target = file): Promise<Proposal> {
    const inline = new TextEncoder().encode(text)
    const [claim] = await dataset.replica.log.names.claimsOn('schema', 'schema-a')
    const [versions] = await dataset.replica.log.versions([claim?.object as never])
    const value = {
      type: 'annotation' as const,
      targets: [{ proposal: target.id, index: 0 }],
      schema: versions?.[0]?.id as { proposal: Proposal['id']; index: number },
      sizeBytes: inline.length,
      inline,
    }
    const operation: Operation = { op: 'create', value }
    return proposeFromAfar(dataset.replica, stranger, [operation])
  }

  test('what does not conform is shown so, and cannot be accepted', async () => {
    const bad = await unchecked('{"lable":1}')
    const version = versionOf(bad)
    expect(await show(version)).toMatchObject({
      status: 'pending',
      conformity: { status: 'invalid', code: 'NOT_CONFORMING', errors: [{ rule: 'required' }] },
    })
    await expect(decide('accept', version)).rejects.toMatchObject({ code: 'NOT_CONFORMING' })
    expect(await show(version)).toMatchObject({ status: 'pending' })
    await decide('reject', version)
    expect(await show(version)).toMatchObject({ status: 'rejected' })
    const fine = await unchecked('{"label":1}')
    await decide('accept', versionOf(fine))
    expect(await show(versionOf(fine))).toMatchObject({ status: 'accepted' })
  })

  test('an update of an annotation nobody knows is not listed', async () => {
    const { value } = (await unchecked('{"label":1}')).operations[0] as Operation & { op: 'create' }
    const base = [{ proposal: file.id, index: 9 }]
    const object = sha256Hex('nothing')
    const ghost: Operation = { op: 'update', object, base, value }
    await proposeFromAfar(dataset.replica, stranger, [ghost])
    expect((await list({ status: 'pending' })).annotations.length).toBe(1)
    expect((await list({ object: 'a.jpg' })).annotations.length).toBe(1)
    await expect(show(object)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test("a stranger's update does not move an annotation to another object", async () => {
    const { id } = await add()
    const other = await dataset.add(owner, await dataset.file('b.jpg'))
    const { value } = (await unchecked('{"label":1}', other)).operations[0] as Operation & {
      op: 'create'
    }
    const object = id as ReturnType<typeof objectIdOf>
    const base = [{ proposal: file.id, index: 0 }]
    await proposeFromAfar(dataset.replica, stranger, [{ op: 'update', object, base, value }])
    expect(idsOf(await list({ object: 'b.jpg' }))).not.toContain(id)
    expect(idsOf(await list({ object: 'a.jpg' }))).toEqual([id])
  })

  test('one node annotates, the owner on another accepts, the first sees it', async () => {
    const far = await makeAnnotationNode(validator)
    try {
      far.fetchFrom(node)
      node.fetchFrom(far)
      const replica = await replicaOn(far, dataset.replica)
      const there = far.as(stranger)
      // Larger than what fits into the event, so that its content has to travel, too.
      const text = `{"label":"${'x'.repeat(20_000)}"}`
      const annotations = [item({ text }), item()]
      const { events } = await annotate(there, replica, { annotations })
      await tell(replica, dataset.replica)
      const waiting = await list({ status: 'pending' })
      expect(waiting.annotations.length).toBe(2)
      await decide('accept', ...events)
      await tell(dataset.replica, replica)
      const [first] = (await listAnnotations(replica)).annotations
      expect(await showAnnotation(there, replica, first?.id as string)).toMatchObject({
        ...{ status: 'accepted', text, conformity: { status: 'conforms' } },
      })
      expect(await show(first?.id as string)).toMatchObject({ here: true, text })
    } finally {
      await far.close()
    }
  })
})

test('a purged annotation says nothing any more', async () => {
  const { id } = await add()
  const object = id as ReturnType<typeof objectIdOf>
  await dataset.accept(owner, await dataset.propose(owner, { op: 'purge', object }))
  expect(await show(id)).toMatchObject({ status: 'purged', text: '', here: false })
})

function sha256Hex(text: string): ReturnType<typeof objectIdOf> {
  const bytes = sha256(new TextEncoder().encode(text))
  return Buffer.from(bytes).toString('hex') as ReturnType<typeof objectIdOf>
}
