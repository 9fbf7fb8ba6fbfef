// Cloning from peers that die, lie or have moved on, and clones that are cut off themselves.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { CloneResult, Progress } from '../../src/contract/api.ts'
import { addressOf, aMirror, blockOf, datasetIdOf } from './bad-peer.ts'
import { type TestNode, until, World } from './daemon.ts'
import { manyFiles, writeFiles } from './folders.ts'

const FILES = 32
const FILE_BYTES = 1024 * 1024

let world: World
/** Owns both datasets. */
let a: TestNode
/** A second holder of all of them. */
let b: TestNode
/** Enough to be killed in the middle of it. */
let large: { root: string }
/** One with a past. */
let small: { id: string; oldRoot: string; root: string }

beforeAll(async () => {
  world = await World.create()
  ;[a, b] = world.nodes('A', 'B')
  await Promise.all([a.start(), b.start()])
  const { id } = await a.api.createDataset({ name: 'small' })
  const folder = await writeFiles(join(world.dir, 'small'), manyFiles('file', 3, 2_000))
  await a.api.add('small', { paths: [folder], accept: true })
  const { root: oldRoot } = await a.api.root('small')
  await writeFiles(folder, { 'file-0001': 'another version', more: 'more' })
  await a.api.add('small', { paths: [folder], accept: true })
  small = { id, oldRoot, root: (await a.api.root('small')).root }

  await a.api.createDataset({ name: 'large' })
  const source = await writeFiles(join(world.dir, 'large'), manyFiles('large', FILES, FILE_BYTES))
  await a.api.add('large', { paths: [source], accept: true })
  large = { root: (await a.api.root('large')).root }
  for (const { root } of [small, large]) await b.api.clone({ ref: root, peers: [a.address] })
})

afterAll(() => world.close())

/** Resolves once the first files come in; gives the bytes fetched at the end. */
function progressOf() {
  const begun = Promise.withResolvers<void>()
  const fetched = { bytes: 0 }
  const onProgress = ({ what, bytes }: Progress) => {
    if (what !== 'fetching files') return
    fetched.bytes = Math.max(fetched.bytes, bytes)
    if (bytes > 0) begun.resolve()
  }
  return { begun: begun.promise, fetched, onProgress }
}

/** Bytes of whole files' blocks on disk. */
async function blocksOf({ home }: TestNode): Promise<number> {
  const names = await readdir(join(home, 'blocks'), { recursive: true }).catch(() => [])
  return names.filter((name) => name.endsWith('.data')).length
}

it('a daemon killed while it clones goes on by itself when it is started again', async () => {
  const c = world.node('C')
  await c.start()
  const { begun, onProgress } = progressOf()
  const cloning = c.api.clone({ ref: large.root, peers: [a.address] }, { onProgress })
  cloning.catch(() => {})
  await begun
  await c.daemon.kill()
  await expect(cloning).rejects.toThrow()
  expect(await blocksOf(c)).toBeLessThan(FILES)
  await c.start()
  await until('the clone is whole', async () => {
    return c.daemon.lines().some(({ msg }) => msg === 'clone finished')
  })
  const { root } = large
  expect(await c.api.showDataset('large')).toMatchObject({ root, sync: { missingFiles: 0 } })
  expect(await c.api.verify('large')).toMatchObject({ ok: true })
  expect(c.daemon.complaints()).toEqual([])
})

it('the same command goes on after kill -9, and fetches nothing twice', async () => {
  const c = world.node('D')
  await c.json('init')
  const first = c.begin(['clone', large.root, '--peer', a.address])
  await until('some files are here', () => blocksOf(c))
  first.kill()
  expect((await first.ended).status).toBe(null)
  const had = await blocksOf(c)
  expect(had).toBeLessThan(FILES)

  await c.start()
  const { fetched, onProgress } = progressOf()
  const request = { ref: large.root, peers: [a.address] }
  const result = await c.api.clone(request, { onProgress }).catch((error: unknown) => {
    // It went on by itself meanwhile, and is done.
    expect(error).toMatchObject({ code: 'EXISTS' })
    return undefined
  })
  if (result !== undefined) expect(result).toMatchObject({ root: large.root })
  expect(fetched.bytes).toBeLessThanOrEqual((FILES - had) * FILE_BYTES)
  expect(await c.api.verify('large')).toMatchObject({ ok: true })
})

it('refuses a history with its end cut off, and asks the next peer', async () => {
  const { id, root } = small
  const blocks = new Map([[root, await blockOf(a, datasetIdOf(id), root)]])
  const keep = ({ index, count }: { index: number; count: number }) => index < count - 1
  const liar = await aMirror(a, 'small', { keep, blocks })
  const c = world.node('E')
  await c.start()
  const alone = c.api.clone({ ref: root, peers: [addressOf(liar)] })
  await expect(alone).rejects.toMatchObject({ code: 'BAD_ROOT' })
  expect(c.daemon.complaints()).toMatchObject([{ code: 'BAD_ROOT', peer: liar.peerId }])
  const both = { ref: root, peers: [addressOf(liar), b.address] }
  expect(await c.api.clone(both)).toMatchObject({ root })
})

it('an old root brings all that came after it', async () => {
  const c = world.node('F')
  await c.json('init')
  const cloned = await c.json<CloneResult>('clone', small.oldRoot, '--peer', a.address)
  expect(cloned).toMatchObject({ root: small.root, name: 'small', objects: 4 })
})

it('--pin-only keeps exactly that root, and gives it to others', async () => {
  const [c, d] = world.nodes('G', 'H')
  const { id, oldRoot } = small
  await c.start()
  const pinned = { ref: oldRoot, peers: [a.address], pinOnly: true }
  expect(await c.api.clone(pinned)).toMatchObject({ root: oldRoot, objects: 3 })
  expect(await c.api.verify('small')).toMatchObject({ ok: true })
  await c.daemon.stop()
  await c.start(['--peer', a.address])
  await until('they are connected', async () => (await c.api.peers()).peers.length > 0)
  await d.start()
  const again = { ref: oldRoot, peers: [c.address] }
  expect(await d.api.clone(again)).toMatchObject({ root: oldRoot, objects: 3 })
  expect((await c.api.root('small')).root).toBe(oldRoot)
  const noRoot = b.api.clone({ ref: id, peers: [c.address], pinOnly: true })
  await expect(noRoot).rejects.toMatchObject({ code: 'USAGE' })
})

it('takes the id of a dataset, and a gonk:// link', async () => {
  const [c, d] = world.nodes('I', 'J')
  await Promise.all([c.start(), d.start()])
  const { id, root } = small
  const byId = { ref: id, peers: [b.address], name: 'mine' }
  expect(await c.api.clone(byId)).toMatchObject({ root, name: 'mine' })
  expect(await c.api.verify('mine')).toMatchObject({ ok: true })
  const { link } = await c.api.share('mine')
  expect(link).toMatch(new RegExp(`^gonk://${id}\\?root=${root}&peer=`))
  expect(await d.json<CloneResult>('clone', link)).toMatchObject({ root, name: 'small' })
})

it('goes on with the second peer when the first is killed', async () => {
  const c = world.node('K')
  await c.start()
  const { begun, onProgress } = progressOf()
  const request = { ref: large.root, peers: [b.address, a.address] }
  const cloning = c.api.clone(request, { onProgress })
  await begun
  await b.daemon.kill()
  expect(await cloning).toMatchObject({ root: large.root, objects: FILES })
  expect(await c.api.verify('large')).toMatchObject({ ok: true })
})
