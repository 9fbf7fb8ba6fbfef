// A history that came over from Gonk, seen by a client of Gonk.
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Cursor, GonkApi, Page } from '../../src/api/gonk/types.ts'
import { type OpenTestNode, openTestNode } from '../api/open-test-node.ts'
import { GonkModel, type ModelVersion, writeFolder } from './make-gonk-folder.ts'
import { play, steps } from './random-steps.ts'

let node: OpenTestNode
let gonk: GonkApi
let datasets = 0

beforeAll(async () => {
  node = await openTestNode()
  gonk = node.gonkOf(await node.api.me())
})
afterAll(() => node.close())

async function all<T>(page: (cursor?: Cursor) => Promise<Page<T>>): Promise<T[]> {
  const items: T[] = []
  for (let cursor: Cursor | undefined; ;) {
    const { items: some, next } = await page(cursor)
    items.push(...some)
    if (next === undefined) return items
    cursor = next
  }
}

const isListed = {
  accepted: ({ marks }: ModelVersion) =>
    !['createPending', 'createRejected', 'deleteAccepted'].some((mark) => marks.has(mark as never)),
  pending: ({ marks }: ModelVersion) => marks.has('createPending') || marks.has('deletePending'),
  rejected: ({ marks }: ModelVersion) => marks.has('createRejected'),
  deleted: ({ marks }: ModelVersion) => marks.has('deleteAccepted'),
}

async function imported(model: GonkModel): Promise<string> {
  const name = `d${datasets++}`
  const path = join(node.dir, name)
  await writeFolder(model, path, datasets % 2 === 0 ? 'files' : 'sqlite')
  await node.api.createDataset({ name })
  await node.api.importFrom(name, { format: 'gonk', path })
  return name
}

test('every version is in the listings it was in, under its own UUID and number', async () => {
  const property = fc.asyncProperty(steps, async (moves) => {
    const model = new GonkModel(`dialect ${datasets}`)
    play(model, moves)
    const name = await imported(model)
    for (const status of ['accepted', 'pending', 'rejected', 'deleted'] as const) {
      for (const kind of ['object', 'schema', 'annotation'] as const) {
        const found = await all((cursor) =>
          kind === 'schema'
            ? gonk.schemasWith(name, status, cursor)
            : gonk.listWith(name, kind, status, cursor),
        )
        const keyOf = ({ uuid, version }: { uuid: string; version: number }) => `${uuid}:${version}`
        const expected = model.versions.filter((v) => v.kind === kind && isListed[status](v))
        expect(found.map(keyOf).sort(), `${kind} ${status}`).toEqual(expected.map(keyOf).sort())
      }
    }
  })
  await fc.assert(property, { numRuns: 12 })
})

test('events keep their UUIDs, types, authors and times', async () => {
  const model = new GonkModel('events')
  const schema = model.schema()
  const object = model.object({ name: 'birds.txt', text: 'caw' })
  model.annotation([object], schema)
  model.acceptAll()
  model.delete(model.object({ of: object, name: 'birds.txt', text: 'caw caw' }))
  model.review(0, false)
  const name = await imported(model)
  const found = await all((cursor) => gonk.events(name, cursor?.after))
  const wordsOf = ({ uuid, type, author, timestamp }: (typeof found)[number]) =>
    `${uuid} ${type} ${author} ${timestamp}`
  // The dataset here has an owner of its own.
  expect(found.slice(1).map(wordsOf).sort()).toEqual(
    model.events
      .slice(1)
      .map((event) => wordsOf(event))
      .sort(),
  )
  const details = await gonk.showObject(name, { uuid: object.uuid, version: 0 })
  const bytes = await gonk.bytes(details.value, {})
  expect(Buffer.from(bytes as Uint8Array).toString()).toBe('caw')
  const first = model.events.find(({ type }) => type === 'ObjectCreateEvent')
  expect(details.annotations).toHaveLength(1)
  expect(details.events.map(({ review }) => review)).toEqual(['ACCEPTED', null])
  expect(first).toBeDefined()
})
