// Folders that Gonk did not write: whatever is wrong with them is named, and nothing is signed.
import {
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { importGonk } from '../../src/api/import-gonk/import-gonk.ts'
import { parseEvent } from '../../src/importers/gonk/events.ts'
import type { GonkEvent } from '../../src/importers/gonk/events.ts'
import { openValidator } from '../../src/validation/validator.ts'
import { type AnnotationNode, makeAnnotationNode } from '../api/annotation-node.ts'
import { signerNamed, type TestDataset } from '../api/make-node.ts'
import { blobKey, blobPath, eventPath, GonkModel, uuidOf, writeFolder } from './make-gonk-folder.ts'

const ada = signerNamed('ada')
const validator = openValidator()
let node: AnnotationNode
let dataset: TestDataset
let dir: string
let model: GonkModel

beforeAll(async () => (node = await makeAnnotationNode(validator)))
afterAll(async () => {
  await node.close()
  await validator.close()
})
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gonk-folder-'))
  dataset = await node.createDataset(dir, [ada])
  model = new GonkModel()
  model.object({ text: 'first' })
  model.object({ text: 'second' })
  model.review(0, true)
  model.review(0, false)
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const run = (path = dir) => importGonk(node.as(ada), dataset.entry, path)

async function refuses(code: string, what: RegExp, path = dir): Promise<void> {
  const before = await dataset.replica.log.nextNumber('arrivals')
  await expect(run(path)).rejects.toMatchObject({ code, message: expect.stringMatching(what) })
  expect(await dataset.replica.log.nextNumber('arrivals')).toBe(before)
}

const edit = async (path: string, change: (event: Record<string, unknown>) => object) =>
  writeFile(path, JSON.stringify(change(JSON.parse(await readFile(path, 'utf8')))))
const pathOf = (index: number) => eventPath(dir, (model.events[index] as GonkEvent).uuid)
const blobOf = (index: number) => blobPath(dir, blobKey(model.versions[index] as never))

describe('the folder', () => {
  test('may be a root with a single dataset', async () => {
    await writeFolder(model, join(dir, 'datasets', 'cells'), 'files')
    await writeFile(join(dir, 'gonk.db'), '')
    expect((await run()).counts).toMatchObject({ objectsAccepted: 1, objectsRejected: 1 })
  })

  test('must be one of several', async () => {
    await writeFolder(model, join(dir, 'datasets', 'cells'), 'files')
    await writeFolder(model, join(dir, 'datasets', 'birds'), 'sqlite')
    await refuses('AMBIGUOUS', /2 datasets/)
    expect((await run(join(dir, 'datasets', 'birds'))).counts).toMatchObject({ events: 5 })
  })

  test('must be there, and be one of Gonk', async () => {
    await refuses('NOT_FOUND', /no such folder/, join(dir, 'nowhere'))
    await refuses('NOT_FOUND', /no such folder/, join(dir, 'x'.repeat(5_000)))
    await refuses('NOT_FOUND', /no such folder/, `${dir}\0`)
    await refuses('NOT_FOUND', /neither rk nor rk.db/)
  })

  test('may hold no event at all', async () => {
    await mkdir(join(dir, 'rk', 'events'), { recursive: true })
    expect(await run()).toMatchObject({ events: [], counts: { events: 0 } })
  })
})

describe('a log of files is refused', () => {
  beforeEach(() => writeFolder(model, dir, 'files'))

  test('when its events run in a circle', async () => {
    await edit(pathOf(4), (event) => ({ ...event, next: model.events[1]?.uuid }))
    await refuses('BAD_EVENT', /comes to event .* twice/)
  })

  test('when an event is missing, cut short, or no JSON object', async () => {
    await truncate(pathOf(2), 40)
    await refuses('BAD_EVENT', /is not JSON/)
    await writeFile(pathOf(2), '[]')
    await refuses('BAD_EVENT', /no JSON object/)
    await rm(pathOf(2))
    await refuses('BAD_EVENT', new RegExp(`event ${model.events[2]?.uuid} is missing`))
  })

  test('when it ends before its tail', async () => {
    await edit(pathOf(2), (event) => ({ ...event, next: null }))
    await refuses('BAD_EVENT', /rk\/tail names as the last/)
  })

  test('when an event was changed, in whatever it says', async () => {
    await edit(pathOf(1), (event) => ({ ...event, timestamp: 'yesterday' }))
    await refuses('BAD_EVENT', /chain breaks at event 1/)
  })

  test('when a pointer leads out of the folder', async () => {
    await edit(pathOf(0), (event) => ({ ...event, next: '../../../../etc/passwd' }))
    await refuses('BAD_EVENT', /"next" that is no UUID/)
    await writeFile(join(dir, 'rk', 'head'), '../../../../../../etc/hostname')
    await refuses('BAD_EVENT', /head holds no UUID/)
  })

  test('when a file or a folder is a link', async () => {
    await rename(pathOf(2), join(dir, 'elsewhere'))
    await symlink(join(dir, 'elsewhere'), pathOf(2))
    await refuses('DISK', /symbolic link/)
    await rm(pathOf(2))
    await rename(join(dir, 'elsewhere'), pathOf(2))
    await rename(join(dir, 'rk', 'events'), join(dir, 'events'))
    await symlink(join(dir, 'events'), join(dir, 'rk', 'events'))
    await refuses('BAD_EVENT', /is missing/)
  })

  test('when an event is larger than any of Gonk', async () => {
    await edit(pathOf(1), (event) => ({ ...event, more: 'x'.repeat(300_000) }))
    await refuses('TOO_LARGE', /more than/)
  })
})

describe('a log in SQLite is refused', () => {
  beforeEach(() => writeFolder(model, dir, 'sqlite'))

  async function sql(text: string): Promise<void> {
    const { DatabaseSync } = await import('node:sqlite')
    const database = new DatabaseSync(join(dir, 'rk.db'))
    database.exec(text)
    database.close()
  }

  test('when it is no database, or not the one of a record keeper', async () => {
    await sql('DROP TABLE events')
    await refuses('BAD_EVENT', /no table events/)
    await writeFile(join(dir, 'rk.db'), 'x'.repeat(5_000))
    await refuses('BAD_EVENT', /not a database/)
  })

  test('when a view stands in for its table', async () => {
    await sql(`DROP TABLE events; CREATE VIEW events AS WITH RECURSIVE n(id) AS
      (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id, '' AS uuid, '' AS event FROM n`)
    await refuses('BAD_EVENT', /no table events/)
  })

  test('when rows are of another kind, swapped or twice there', async () => {
    await sql(`INSERT INTO events (uuid, event) SELECT uuid, event FROM events WHERE id = 2`)
    await refuses('BAD_EVENT', /twice/)
    await sql(`DELETE FROM events WHERE id = 6; UPDATE events SET id = 20 WHERE id = 2`)
    await refuses('BAD_EVENT', /chain breaks at event 1/)
    await sql(`UPDATE events SET event = zeroblob(100000000) WHERE id = 3`)
    await refuses('BAD_EVENT', /row 3 of .* holds no JSON text/)
  })
})

describe('the depot', () => {
  beforeEach(() => writeFolder(model, dir, 'files'))

  test('must hold what was accepted, as long and as it was', async () => {
    await writeFile(blobOf(0), 'First')
    await refuses('BAD_BLOCK', /other bytes/)
    await writeFile(blobOf(0), 'first and more')
    await refuses('BAD_BLOCK', /more than the 5 bytes/)
    await truncate(blobOf(0), 3)
    await refuses('BAD_BLOCK', /fewer than the 5 bytes/)
    await rename(blobOf(0), `${blobOf(0)}.wr`)
    await refuses('NOT_HERE', /is missing/)
  })

  test('may have lost what was rejected: its hash says which it was', async () => {
    await rm(blobOf(1))
    const { counts, warnings } = await run()
    expect(counts).toMatchObject({ missing: 1, objectsAccepted: 1, objectsRejected: 1 })
    expect(warnings.join()).toMatch(/1 rejected versions have no bytes/)
  })
})

describe('events that follow from nothing are refused', () => {
  const at = (index: number) => ({ uuid: model.versions[index]?.uuid as string, version: 0 })
  const ghost = { uuid: uuidOf('ghost'), version: 0 }
  const blob = { size: 0, hash_type: 1 as const, hash: '0'.repeat(64) }
  const cases: Record<string, [RegExp, () => unknown]> = {
    'a second create': [
      /creates .* which is there/,
      () =>
        model.append({
          ...{ type: 'ObjectCreateEvent', action: 1 },
          object: { ...at(0), ...blob, name: 'x', format: 'y' },
        }),
    ],
    'an update of nothing': [
      /updates .* which is not there/,
      () =>
        model.append({
          ...{ type: 'ObjectUpdateEvent', action: 2 },
          object: { ...ghost, ...blob, name: 'x', format: 'y' },
        }),
    ],
    'a version that is not the next': [
      /version 7/,
      () =>
        model.append({
          ...{ type: 'ObjectUpdateEvent', action: 2 },
          object: { ...at(0), ...blob, version: 7, name: 'x', format: 'y' },
        }),
    ],
    'a deletion of nothing': [
      /names .* which is not there/,
      () => model.append({ type: 'ObjectDeleteEvent', action: 4, object_identifier: ghost }),
    ],
    'an annotation by an object': [
      /no schema/,
      () =>
        model.append({
          ...{ type: 'AnnotationCreateEvent', action: 1, object_identifiers: [at(0)] },
          annotation: { ...ghost, ...blob, schema: at(1) },
        }),
    ],
    'a review of nothing': [
      /which is no proposal/,
      () => model.append({ type: 'ReviewAcceptEvent', decision: 1, event_uuid: uuidOf('nothing') }),
    ],
    'a second review': [
      /a second time/,
      () =>
        model.append({
          ...{ type: 'ReviewAcceptEvent', decision: 1 },
          event_uuid: (model.events[1] as GonkEvent).uuid,
        }),
    ],
  }
  test.for(Object.entries(cases))('%s', async ([, [what, append]]) => {
    append()
    await writeFolder(model, dir, 'files')
    await refuses('BAD_EVENT', what)
  })

  test('what is no event at all', () => {
    const good = model.events[1] as Extract<GonkEvent, { object: object }>
    const wrong = [
      { ...good, type: 'constructor' },
      { ...good, uuid: 'A'.repeat(36) },
      { ...good, integrity: 'zz' },
      { ...good, author: '' },
      { ...good, action: 2 },
      { ...good, object: { ...good.object, version: -1 } },
      { ...good, object: { ...good.object, size: 1.5 } },
    ]
    for (const event of wrong) {
      expect(() => parseEvent(JSON.stringify(event), 'it')).toThrow(
        expect.objectContaining({ code: 'BAD_EVENT' }),
      )
    }
  })
})
