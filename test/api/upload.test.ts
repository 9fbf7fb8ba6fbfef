import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { collect } from '../../src/api/copies/collect.ts'
import { store } from '../../src/api/objects/upload.ts'
import type { Content, UploadRequest } from '../../src/contract/api.ts'
import { FileKeeper } from '../../src/replica/file-keeper.ts'
import { makeNode, signerNamed, silentLogger } from './make-node.ts'
import { openTestNode, type OpenTestNode } from './open-test-node.ts'

const MiB = 1024 ** 2
let node: OpenTestNode

beforeEach(async () => {
  node = await openTestNode()
  await node.api.createDataset({ name: 'cells' })
})
afterEach(() => node.close())

async function* bodyOf(...pieces: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield typeof piece === 'string' ? Buffer.from(piece) : piece
}

const upload = (name: string, text: string, more: Partial<UploadRequest> = {}) =>
  node.api.upload('cells', { name, ...more }, bodyOf(text))

async function textOf(content: Content, range?: { offset: number; length: number }) {
  const pieces: Uint8Array[] = []
  for await (const piece of content.read(range)) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

async function filesIn(folder: string): Promise<string[]> {
  const found = await readdir(join(node.home.dir, folder), { recursive: true }).catch(() => [])
  return found.filter((name) => /upload|\.data/.test(name))
}

describe('uploading', () => {
  it('proposes a new object, with the media type given or that of its name', async () => {
    const result = await upload('a.png', 'x', { meta: '{"by":"me"}' })
    const { objects, events } = result
    expect(result).toMatchObject({ skipped: 0, warnings: [], events: [expect.any(String)] })
    expect(objects).toMatchObject([
      {
        name: 'a.png',
        mediaType: 'image/png',
        size: 1,
        status: 'pending',
        version: `${events[0]}:0`,
      },
    ])
    const [typed] = (await upload('b', 'y', { mediaType: 'text/csv; header=absent' })).objects
    expect(typed?.mediaType).toBe('text/csv; header=absent')
    expect((await upload('c', 'z')).objects[0]?.mediaType).toBe('application/octet-stream')
  })

  it('makes a new version of the object that has the name, on what is current', async () => {
    const [first] = (await upload('a.txt', 'one', { accept: true })).objects
    const [second] = (await upload('a.txt', 'two', { accept: true })).objects
    expect(second).toMatchObject({ id: first?.id, status: 'accepted' })
    const detail = await node.api.showObject('cells', 'a.txt')
    expect(detail.versions).toMatchObject([
      { op: 'create', isHead: false },
      { op: 'update', isHead: true, isCurrent: true, base: [first?.version] },
    ])
    expect(await textOf(await node.api.content('cells', 'a.txt'))).toBe('two')
  })

  it('skips what is there, and what waits already', async () => {
    await upload('a.txt', 'one', { accept: true })
    expect(await upload('a.txt', 'one')).toMatchObject({ skipped: 1, events: [], objects: [] })
    await upload('b.txt', 'one')
    expect(await upload('b.txt', 'one')).toMatchObject({ skipped: 1, events: [] })
    expect(await upload('c.txt', 'one')).toMatchObject({ skipped: 0, events: [expect.any(String)] })
    const typed = await upload('a.txt', 'one', { mediaType: 'text/markdown' })
    expect(typed.objects).toMatchObject([{ mediaType: 'text/markdown' }])
  })

  it.each<[string, Partial<UploadRequest>]>([
    ['BAD_NAME', { name: 'a/../b' }],
    ['BAD_NAME', { name: 'e\u0301' }],
    ['BAD_NAME', { name: 'x'.repeat(256) }],
    ['USAGE', { name: 'schema-box' }],
    ['USAGE', { mediaType: 'application/schema+json; charset=utf-8' }],
    ['USAGE', { mediaType: 'no media type' }],
    ['USAGE', { meta: '{' }],
    ['TOO_LARGE', { meta: JSON.stringify('x'.repeat(4_096)) }],
  ])('refuses with %s before it reads a byte: %o', async (code, request) => {
    const unread = (async function* () {
      yield Buffer.from('x')
      throw new Error('it was read')
    })()
    const asked = { name: 'a.txt', ...request }
    await expect(node.api.upload('cells', asked, unread)).rejects.toMatchObject({ code })
  })

  it('accepts for owners only, and says so before it reads a byte', async () => {
    const user = await node.api.addUser({ name: 'eve' })
    const me = node.door.authenticate(user.apiKey)
    if (me === undefined) throw new Error('the key does not work')
    const eve = node.door.apiOf(me)
    const request = { name: 'a.txt', accept: true }
    await expect(eve.upload('cells', request, bodyOf('x'))).rejects.toMatchObject({
      code: 'NOT_OWNER',
    })
    const { objects } = await eve.upload('cells', { name: 'a.txt' }, bodyOf('x'))
    const { versions } = await node.api.showObject('cells', objects[0]?.id ?? '')
    expect(versions).toMatchObject([{ author: user.publicKey, status: 'pending' }])
  })

  it('that is cut off leaves no block, no file and no event', async () => {
    await upload('before.bin', 'x')
    const blocks = await filesIn('blocks')
    const { events } = await node.api.events()
    const broken = (async function* () {
      for (let i = 0; i < 32; i++) yield randomBytes(MiB / 4)
      expect(await filesIn('tmp')).toHaveLength(1)
      throw new Error('socket hang up')
    })()
    await expect(node.api.upload('cells', { name: 'cut.bin' }, broken)).rejects.toMatchObject({
      code: 'CANCELLED',
    })
    expect(await filesIn('tmp')).toEqual([])
    expect(await filesIn('blocks')).toEqual(blocks)
    expect((await node.api.events()).events).toEqual(events)
  })

  it('does not hold the collector up while a slow body comes in', async () => {
    const begun = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    const slow = (async function* () {
      yield Buffer.from('begin ')
      begun.resolve()
      await goOn.promise
      yield Buffer.from('end')
    })()
    const uploading = node.api.upload('cells', { name: 'slow.txt', accept: true }, slow)
    await begun.promise
    await node.api.gc()
    goOn.resolve()
    await uploading
    expect(await textOf(await node.api.content('cells', 'slow.txt'))).toBe('begin end')
  })

  it('of 64 MiB needs little memory and can be read in ranges', async () => {
    const pieceBytes = 64 * 1024
    const size = 64 * MiB
    const piece = Buffer.alloc(pieceBytes)
    const before = process.memoryUsage().arrayBuffers
    let peak = 0
    const body = (async function* () {
      for (let i = 0; i < size / pieceBytes; i++) {
        piece.fill(`piece ${i} `)
        peak = Math.max(peak, process.memoryUsage().arrayBuffers)
        // The same memory again and again: whoever keeps it keeps the wrong bytes.
        yield piece
      }
    })()
    const result = await node.api.upload('cells', { name: 'large.bin', accept: true }, body)
    expect(result.objects).toMatchObject([{ size }])
    expect(peak - before).toBeLessThan(8 * MiB)
    const content = await node.api.content('cells', 'large.bin')
    expect(content.size).toBe(size)
    for (const i of [0, 15, 16, 1_000]) {
      const range = { offset: i * pieceBytes, length: 12 }
      expect(await textOf(content, range)).toBe(`piece ${i} piece ${i} `.slice(0, 12))
    }
    expect(await textOf(content, { offset: size - 2, length: 10 })).toHaveLength(2)
    await expect(textOf(content, { offset: size + 1, length: 1 })).rejects.toMatchObject({
      code: 'BAD_RANGE',
    })
  })

  it('says DISK where the spool cannot be written', async () => {
    const scratch = join(node.home.dir, 'tmp')
    await rm(scratch, { recursive: true, force: true })
    await writeFile(scratch, '')
    const large = bodyOf(randomBytes(2 * MiB))
    await expect(node.api.upload('cells', { name: 'a' }, large)).rejects.toMatchObject({
      code: 'DISK',
    })
    await rm(scratch)
    await mkdir(scratch)
  })
})

describe('stored content', () => {
  it('survives the collector and can be proposed', async () => {
    const { cid, size } = await node.api.store(bodyOf(randomBytes(3 * MiB)))
    expect(size).toBe(3 * MiB)
    expect(await node.api.gc()).toEqual({ blocks: 0, bytes: 0 })
    await node.api.propose('cells', {
      operations: [{ op: 'create', name: 'a.bin', cid }],
      accept: true,
    })
    const { objects } = await node.api.listObjects('cells')
    expect(objects).toMatchObject([{ name: 'a.bin', size, cid, status: 'accepted' }])
  })

  it('goes after a day unless something names it', async () => {
    let nowMs = Date.UTC(2026, 0, 1)
    const clock = { nowMs: () => nowMs, sleep: async () => {} }
    const memory = await makeNode({ clock })
    try {
      const { held, files } = memory
      const network = { peers: () => [], peersOf: () => [] }
      const needs = { files, held, network, clock, logger: silentLogger }
      const keeper = new FileKeeper(needs as never, { prefetchBytesMax: 0 })
      const context = { ...memory, keeper, signer: signerNamed('ada') } as never
      await store(context, bodyOf('kept'))
      nowMs += 23 * 3_600_000
      expect((await collect(context)).blocks).toBe(0)
      nowMs += 2 * 3_600_000
      expect((await collect(context)).blocks).toBe(1)
      expect((await collect(context)).blocks).toBe(0)
    } finally {
      await memory.close()
    }
  })
})
