// How much may come in: at a time, on the disk, and for proposals to come.
import { CID } from 'multiformats/cid'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { propose } from '../../src/api/objects/propose.ts'
import { Incoming, type IncomingOptions } from '../../src/api/objects/incoming.ts'
import type { NodeContext } from '../../src/api/context.ts'
import { submit } from '../../src/api/objects/submit.ts'
import { store, upload } from '../../src/api/objects/upload.ts'
import type { PublicKey } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { DiskSpace } from '../../src/files/disk-space.ts'
import { signDraft } from '../../src/replica/replica.ts'
import { openValidator } from '../../src/validation/validator.ts'
import { type AnnotationNode, makeAnnotationNode } from './annotation-node.ts'
import { signerNamed, type TestDataset } from './make-node.ts'

const ada = signerNamed('ada')
const DAY_MS = 24 * 3_600_000
const PIECE = 4_096
const validator = openValidator()
let node: AnnotationNode
let dataset: TestDataset
let nowMs = 0

beforeEach(async () => {
  node = await makeAnnotationNode(validator)
  dataset = await node.createDataset('letters', [ada])
  nowMs = Date.UTC(2026, 0, 1)
})
afterEach(() => node.close())
afterAll(() => validator.close())

function contextOf(options: Partial<IncomingOptions> = {}, freeBytes = 2 ** 40): NodeContext {
  const space = new DiskSpace('/', { reserveBytes: 0, freeBytes: async () => freeBytes })
  const clock = { nowMs: () => nowMs, sleep: async () => {} }
  const needs = { held: node.held, clock, space }
  const incoming = new Incoming(needs, { storedBytesMax: 2 ** 30, ...options })
  return { ...node.as(ada), clock, incoming }
}

async function* bodyOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}

/** A body that does not end until it is told to. */
function openBody() {
  const { promise, resolve } = Promise.withResolvers<void>()
  const began = Promise.withResolvers<void>()
  async function* body(): AsyncGenerator<Uint8Array> {
    began.resolve()
    await promise
    yield Buffer.from('x')
  }
  return { body: body(), end: resolve, began: began.promise }
}

describe('uploads at a time', () => {
  it('are limited for each user and for the node, until one ends in whatever way', async () => {
    const { incoming } = contextOf({ userUploadsMax: 2, uploadsMax: 3 })
    const [a, b, c] = ['a', 'b', 'c'] as PublicKey[]
    const one = await incoming.begin(a as PublicKey)
    const two = await incoming.begin(a as PublicKey)
    await expect(incoming.begin(a as PublicKey)).rejects.toMatchObject({ code: 'TOO_MANY' })
    await incoming.begin(b as PublicKey)
    await expect(incoming.begin(c as PublicKey)).rejects.toMatchObject({ code: 'TOO_MANY' })
    one[Symbol.dispose]()
    one[Symbol.dispose]()
    two[Symbol.dispose]()
    await incoming.begin(c as PublicKey)
    await incoming.begin(a as PublicKey)
    await expect(incoming.begin(a as PublicKey)).rejects.toMatchObject({ code: 'TOO_MANY' })
  })

  it('count while they come in, as files and as content alike', async () => {
    const context = contextOf({ userUploadsMax: 2 })
    const [first, second] = [openBody(), openBody()]
    const storing = store(context, first.body)
    const uploading = upload(context, dataset.entry, { name: 'a' }, second.body)
    await Promise.all([first.began, second.began])
    const more = upload(context, dataset.entry, { name: 'b' }, bodyOf('y'))
    await expect(more).rejects.toMatchObject({ code: 'TOO_MANY' })
    await expect(store(context, bodyOf('y'))).rejects.toMatchObject({ code: 'TOO_MANY' })
    first.end()
    second.end()
    await Promise.all([storing, uploading])
    await store(context, bodyOf('y'))
  })

  it('are none where the disk is full, and leave no trace in the count', async () => {
    const context = contextOf({ userUploadsMax: 1 }, -1)
    for (let i = 0; i < 3; i++) {
      await expect(store(context, bodyOf('x'))).rejects.toMatchObject({ code: 'DISK' })
    }
  })
})

describe('content stored for proposals to come', () => {
  const options = { storedBytesMax: 3 * PIECE }
  const full = { code: 'TOO_MANY', details: options }

  it('has a limit together, which counts small ones as what they take', async () => {
    const context = contextOf(options)
    for (const text of ['a', 'a', 'b', 'c']) await store(context, bodyOf(text))
    await expect(store(context, bodyOf('d'))).rejects.toMatchObject(full)
    // As the next process finds it.
    await expect(store(contextOf(options), bodyOf('d'))).rejects.toMatchObject(full)
  })

  it('counts no more once it is proposed, here or by an event signed elsewhere', async () => {
    const context = contextOf(options)
    const cids: string[] = []
    for (const text of ['a', 'b', 'c']) cids.push((await store(context, bodyOf(text))).cid)
    const [first, second] = cids as [string, string]
    await propose(context, dataset.entry, {
      operations: [{ op: 'create', name: 'a', cid: first }],
    })
    await store(context, bodyOf('d'))
    await expect(store(context, bodyOf('e'))).rejects.toMatchObject(full)
    const content = CID.parse(second).bytes
    const value = { type: 'file' as const, name: 'b', mediaType: 'a/b', sizeBytes: 1, content }
    const draft = { family: 'proposal' as const, dataset: dataset.replica.id, claimedAtMs: 0 }
    const operations = [{ op: 'create' as const, value }]
    const block = signDraft({ ...draft, operations }, signerNamed('eve'), sha256)
    await submit(context, dataset.entry, [Buffer.from(block).toString('base64')])
    await store(context, bodyOf('e'))
    await expect(store(context, bodyOf('f'))).rejects.toMatchObject(full)
  })

  it('counts no more when its day is over', async () => {
    const context = contextOf(options)
    for (const text of ['a', 'b', 'c']) await store(context, bodyOf(text))
    await expect(store(context, bodyOf('d'))).rejects.toMatchObject(full)
    nowMs += DAY_MS + 1
    await store(context, bodyOf('d'))
  })

  it('that could not be stored does not count', async () => {
    const context = contextOf({ storedBytesMax: PIECE })
    const files = { ...context.files, put: () => Promise.reject(new Error('no')) }
    for (let i = 0; i < 2; i++) {
      await expect(store({ ...context, files }, bodyOf('a'))).rejects.toThrow('no')
    }
    await store(context, bodyOf('a'))
  })
})
