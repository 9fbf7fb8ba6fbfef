// Histories of Gonk, random ones too, come over with the statuses they had.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NodeContext } from '../../src/api/context.ts'
import { importGonk } from '../../src/api/import-gonk/import-gonk.ts'
import { GonkError } from '../../src/core/errors.ts'
import type { Signer } from '../../src/ports.ts'
import { openValidator } from '../../src/validation/validator.ts'
import { type AnnotationNode, makeAnnotationNode } from '../api/annotation-node.ts'
import { signerNamed, type TestDataset } from '../api/make-node.ts'
import { GonkModel, type Layout, writeFolder } from './make-gonk-folder.ts'
import { play, steps } from './random-steps.ts'

const validator = openValidator()
const ada = signerNamed('ada')
let node: AnnotationNode
let dir: string
let datasets = 0

beforeAll(async () => {
  node = await makeAnnotationNode(validator)
  dir = await mkdtemp(join(tmpdir(), 'gonk-import-'))
})
afterAll(async () => {
  await node.close()
  await validator.close()
  await rm(dir, { recursive: true, force: true })
})

async function folderOf(model: GonkModel, layout: Layout): Promise<string> {
  const path = join(dir, `folder ${datasets++}`)
  await writeFolder(model, path, layout)
  return path
}

const datasetFor = (...founders: Signer[]) => node.createDataset(`d${datasets++}`, founders)

/** The marks of each version, from the signed events alone. */
async function marksIn({ replica }: TestDataset): Promise<Map<string, string[]>> {
  const found = new Map<string, Set<string>>()
  for await (const [, id] of replica.log.arrivals()) {
    const proposal = await replica.proposal(id)
    const row = await replica.log.proposal(id)
    for (const [index, operation] of proposal?.operations.entries() ?? []) {
      const { status } = row?.decisions.find(({ from, to }) => from <= index && index <= to) ?? {}
      const { labels = {} } = operation
      const key = `${labels['gonk.uuid']}.${labels['gonk.version']}`
      const marks = found.get(key) ?? new Set()
      found.set(key, marks)
      const isDelete = operation.op === 'delete'
      if (status === 'pending') marks.add(isDelete ? 'deletePending' : 'createPending')
      if (status === 'rejected' && !isDelete) marks.add('createRejected')
      if (status === 'accepted' && isDelete) marks.add('deleteAccepted')
    }
  }
  return new Map([...found].map(([key, marks]) => [key, [...marks].sort()]))
}

/** Names and media types of files, in the order of their proposals. */
async function valuesIn({ replica }: TestDataset) {
  const values: { name: string; mediaType: string }[] = []
  for await (const [, id] of replica.log.arrivals()) {
    for (const operation of (await replica.proposal(id))?.operations ?? []) {
      if (!('value' in operation) || operation.value.type !== 'file') continue
      values.push({ name: operation.value.name, mediaType: operation.value.mediaType })
    }
  }
  return values
}

const marksOf = (model: GonkModel) =>
  new Map(model.versions.map((v) => [`${v.uuid}.${v.version}`, [...v.marks].sort()]))

describe('an import from Gonk', () => {
  test('gives each version the marks it had, and nothing new when it is repeated', async () => {
    const property = fc.asyncProperty(steps, fc.boolean(), async (moves, isSqlite) => {
      const model = new GonkModel()
      play(model, moves)
      const folder = await folderOf(model, isSqlite ? 'sqlite' : 'files')
      const dataset = await datasetFor(ada)
      const context = node.as(ada)
      const { counts } = await importGonk(context, dataset.entry, folder)
      expect(counts).toMatchObject(model.counts())
      expect(await marksIn(dataset)).toEqual(marksOf(model))
      const again = await importGonk(context, dataset.entry, folder)
      expect(again.events).toEqual([])
      expect(again.counts).toMatchObject(model.counts())
    })
    await fc.assert(property, { numRuns: 25 })
  })

  test('that is asked for twice at once is done once', async () => {
    const model = new GonkModel('twice')
    for (let n = 0; n < 5; n++) model.object({ text: `bird ${n}` })
    model.acceptAll()
    const path = await folderOf(model, 'files')
    const dataset = await datasetFor(ada)
    const run = () => importGonk(node.as(ada), dataset.entry, path)
    const results = await Promise.all([run(), run()])
    expect(results.map(({ counts }) => counts['known']).sort()).toEqual([0, 5])
    expect(await valuesIn(dataset)).toHaveLength(5)
  })

  test('goes on where it was cut off, with the same result', async () => {
    const property = fc.asyncProperty(steps, fc.nat({ max: 12 }), async (moves, signatures) => {
      const model = new GonkModel()
      play(model, moves)
      const folder = await folderOf(model, 'files')
      const dataset = await datasetFor(ada)
      let left = signatures
      const sign: Signer['sign'] = (message) => {
        if (left-- > 0) return ada.sign(message)
        throw new GonkError('LOCKED', 'no more signatures')
      }
      const context = node.as(ada)
      const weary: NodeContext = { ...context, signer: { publicKey: ada.publicKey, sign } }
      await importGonk(weary, dataset.entry, folder).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'LOCKED' })
      })
      const { counts } = await importGonk(context, dataset.entry, folder)
      expect(counts).toMatchObject(model.counts())
      expect(await marksIn(dataset)).toEqual(marksOf(model))
    })
    await fc.assert(property, { numRuns: 15 })
  })

  test('takes over what Gonk has added since the last time', async () => {
    const property = fc.asyncProperty(steps, steps, async (first, second) => {
      const model = new GonkModel()
      play(model, first)
      const dataset = await datasetFor(ada)
      await importGonk(node.as(ada), dataset.entry, await folderOf(model, 'files'))
      play(model, second)
      const { counts } = await importGonk(
        node.as(ada),
        dataset.entry,
        await folderOf(model, 'sqlite'),
      )
      expect(counts).toMatchObject(model.counts())
      expect(await marksIn(dataset)).toEqual(marksOf(model))
    })
    await fc.assert(property, { numRuns: 15 })
  })

  test('keeps the ids, authors and times of Gonk as labels', async () => {
    const model = new GonkModel()
    const object = model.object({ name: 'birds.txt' })
    model.review(0, true)
    const dataset = await datasetFor(ada)
    await importGonk(node.as(ada), dataset.entry, await folderOf(model, 'files'))
    const [, create, review] = model.events
    for await (const [, id] of dataset.replica.log.arrivals()) {
      const proposal = await dataset.replica.proposal(id)
      if (proposal === undefined) continue
      expect(proposal.operations).toHaveLength(1)
      expect(proposal.operations[0]?.labels).toEqual({
        'gonk.uuid': object.uuid,
        'gonk.version': '0',
        'gonk.event': create?.uuid,
        'gonk.timestamp': create?.timestamp,
        'gonk.author': create?.author,
        'gonk.integrity': create?.integrity,
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        'gonk.review': review?.uuid,
        'gonk.verdict': 'accept',
        'gonk.reviewed': review?.timestamp,
        'gonk.reviewer': 'ada',
        'gonk.review-integrity': review?.integrity,
      })
    }
  })

  test('signs few events for a long history', async () => {
    const model = new GonkModel()
    const schema = model.schema()
    for (let i = 0; i < 400; i++) {
      const object = model.object({})
      model.review(i === 0 ? 1 : 0, true)
      model.annotation([object], schema)
    }
    model.acceptAll()
    const dataset = await datasetFor(ada)
    const folder = await folderOf(model, 'sqlite')
    const { events, counts } = await importGonk(node.as(ada), dataset.entry, folder)
    expect(counts).toMatchObject({ objectsAccepted: 400, annotationsAccepted: 400, events: 1_603 })
    expect(events.length).toBeLessThan(40)
  })

  test('leaves what does not conform for a review, and says so', async () => {
    const model = new GonkModel()
    const object = model.object()
    const schema = model.schema()
    const wrong = model.annotation([object], schema, false)
    const right = model.updateAnnotation(wrong, schema)
    model.acceptAll()
    const dataset = await datasetFor(ada)
    const folder = await folderOf(model, 'files')
    const { counts, warnings } = await importGonk(node.as(ada), dataset.entry, folder)
    expect(counts).toMatchObject({
      notConforming: 1,
      annotationsPending: 1,
      annotationsAccepted: 1,
    })
    expect(warnings.join('\n')).toContain(`${wrong.uuid}:0 (NOT_CONFORMING)`)
    expect(right.marks).toEqual(new Set())
  })

  test('takes names and types that mean something else here, and keeps them as labels', async () => {
    const model = new GonkModel()
    model.object({ name: '../up\\and away' })
    model.object({ name: 'e\u0301.txt', format: 'application/schema+json' })
    model.acceptAll()
    const dataset = await datasetFor(ada)
    const folder = await folderOf(model, 'files')
    const { warnings } = await importGonk(node.as(ada), dataset.entry, folder)
    const found = await valuesIn(dataset)
    expect(found).toEqual([
      { name: model.versions[0]?.uuid, mediaType: 'text/plain' },
      { name: '\u00e9.txt', mediaType: 'application/json' },
    ])
    expect(warnings).toHaveLength(3)
  })

  test('makes nobody an owner, and asks to', async () => {
    const model = new GonkModel()
    model.append({ type: 'OwnerAddEvent', owner: 'grace', owner_action: 1 })
    model.append({ type: 'OwnerAddEvent', owner: 'eve', owner_action: 1 })
    model.append({ type: 'OwnerRemoveEvent', owner: 'eve', owner_action: 2 })
    const dataset = await datasetFor(ada)
    const folder = await folderOf(model, 'files')
    await node.users.add('grace', 'member').catch(() => undefined)
    const { warnings } = await importGonk(node.as(ada), dataset.entry, folder)
    expect(warnings).toHaveLength(2)
    expect(warnings[0]).toMatch(/^ada was an owner in Gonk: ask for a key/)
    expect(warnings[1]).toContain(node.users.find('grace')?.publicKey)
    expect(dataset.replica.tenures).toHaveLength(1)
  })

  test('is for owners', async () => {
    const dataset = await datasetFor(ada)
    const folder = await folderOf(new GonkModel(), 'files')
    const import_ = importGonk(node.as(signerNamed('grace')), dataset.entry, folder)
    await expect(import_).rejects.toMatchObject({ code: 'NOT_OWNER' })
  })
})
