// Cloning from peers that die, lie or have moved on, and clones that are cut off themselves.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { CloneResult, Progress } from '../../src/api/types.ts'
import { addressOf, aMirror, blockOf, datasetIdOf } from './bad-peer.ts'
import { type TestNode, until, World } from './daemon.ts'
import { manyFiles, writeFiles } from './folders.ts'

const FILES = 32
const FILE_BYTES = 1024 * 1024
const ALL_BYTES = FILES * FILE_BYTES

let world: World
/** Owns the dataset. */
let a: TestNode
/** A second holder of all of it. */
let b: TestNode
let id: string
let oldRoot: string
let root: string

beforeAll(async () => {
  world = await World.create()
  ;[a, b] = world.nodes('A', 'B')
  await Promise.all([a.start(), b.start()])
  id = (await a.api.createDataset({ name: 'cells' })).id
  const first = await writeFiles(join(world.dir, 'first'), manyFiles('old', 3, 2_000))
  await a.api.add('cells', { paths: [first], accept: true })
  oldRoot = (await a.api.root('cells')).root
  const large = await writeFiles(join(world.dir, 'large'), manyFiles('large', FILES, FILE_BYTES))
  await a.api.add('cells', { paths: [large], accept: true })
  await writeFiles(first, { 'old-0001': 'another version' })
  await a.api.add('cells', { paths: [first], accept: true })
  root = (await a.api.root('cells')).root
  await b.api.clone({ ref: root, peers: [a.address] })
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

it('goes on with the second peer when the first is killed', async () => {
  const [c, d] = world.nodes('C', 'D')
  await Promise.all([c.start(), d.start()])
  await c.api.clone({ ref: root, peers: [a.address] })
  const { begun, onProgress } = progressOf()
  const cloning = d.api.clone({ ref: root, peers: [c.address, b.address] }, { onProgress })
  await begun
  await c.daemon.kill()
  expect(await cloning).toMatchObject({ root, objects: FILES + 3 })
  expect(await d.api.verify('cells')).toMatchObject({ ok: true })
})

it('a daemon killed while it clones goes on by itself when it is started again', async () => {
  const c = world.node('E')
  await c.start()
  const { begun, onProgress } = progressOf()
  const cloning = c.api.clone({ ref: root, peers: [a.address] }, { onProgress })
  cloning.catch(() => {})
  await begun
  await c.daemon.kill()
  await expect(cloning).rejects.toThrow()
  expect(await blocksOf(c)).toBeLessThan(FILES)
  await c.start()
  await until('the clone is whole', async () => {
    return c.daemon.lines().some(({ msg }) => msg === 'clone finished')
  })
  expect(await c.api.showDataset('cells')).toMatchObject({ root, sync: { missingFiles: 0 } })
  expect(await c.api.verify('cells')).toMatchObject({ ok: true })
  expect(c.daemon.complaints()).toEqual([])
})

it('the same command goes on after kill -9, and fetches nothing twice', async () => {
  const c = world.node('F')
  await c.json('init')
  const command = ['clone', root, '--peer', a.address]
  const first = c.begin(command)
  const before = await until('some files are here', () => blocksOf(c))
  first.kill()
  expect((await first.ended).status).toBe(null)
  const had = await blocksOf(c)
  expect(had).toBeGreaterThanOrEqual(before)
  expect(had).toBeLessThan(FILES)

  await c.start()
  const { fetched, onProgress } = progressOf()
  const request = { ref: root, peers: [a.address] }
  const result = await c.api.clone(request, { onProgress }).catch((error: unknown) => {
    // It went on by itself meanwhile, and is done.
    expect(error).toMatchObject({ code: 'EXISTS' })
    return undefined
  })
  if (result !== undefined) expect(result).toMatchObject({ root })
  expect(fetched.bytes).toBeLessThanOrEqual(ALL_BYTES - (had - 3) * FILE_BYTES + 10_000)
  expect(await c.api.verify('cells')).toMatchObject({ ok: true })
})

it('refuses a history with its end cut off, and asks the next peer', async () => {
  const blocks = new Map([[root, await blockOf(a, datasetIdOf(id), root)]])
  const keep = ({ index, count }: { index: number; count: number }) => index < count - 1
  const liar = await aMirror(a, 'cells', { keep, blocks })
  const c = world.node('G')
  await c.start()
  const alone = c.api.clone({ ref: root, peers: [addressOf(liar)] })
  await expect(alone).rejects.toMatchObject({ code: 'BAD_ROOT' })
  expect(c.daemon.complaints()).toMatchObject([{ code: 'BAD_ROOT', peer: liar.peerId }])
  const both = { ref: root, peers: [addressOf(liar), b.address] }
  expect(await c.api.clone(both)).toMatchObject({ root })
})

it('an old root brings all that came after it', async () => {
  const c = world.node('H')
  await c.json('init')
  const cloned = await c.json<CloneResult>('clone', oldRoot, '--peer', a.address)
  expect(cloned).toMatchObject({ root, name: 'cells', objects: FILES + 3 })
})

it('--pin-only keeps exactly that root, and gives it to others', async () => {
  const [c, d] = world.nodes('I', 'J')
  await c.start()
  const pinned = { ref: oldRoot, peers: [a.address], pinOnly: true }
  expect(await c.api.clone(pinned)).toMatchObject({ root: oldRoot, objects: 3 })
  expect(await c.api.verify('cells')).toMatchObject({ ok: true })
  await c.daemon.stop()
  await c.start(['--peer', a.address])
  await until('they are connected', async () => (await c.api.peers()).peers.length > 0)
  await d.start()
  const again = { ref: oldRoot, peers: [c.address] }
  expect(await d.api.clone(again)).toMatchObject({ root: oldRoot, objects: 3 })
  expect((await c.api.root('cells')).root).toBe(oldRoot)
  const noRoot = d.api.clone({ ...again, ref: id, pinOnly: true })
  await expect(noRoot).rejects.toMatchObject({ code: 'USAGE' })
})

it('takes the id of a dataset, and a gonk:// link', async () => {
  const [c, d] = world.nodes('K', 'L')
  await Promise.all([c.start(), d.start()])
  const small = await b.api.createDataset({ name: 'small' })
  await b.api.add('small', { paths: [join(world.dir, 'first')], accept: true })
  const { root } = await b.api.root('small')
  const byId = { ref: small.id, peers: [b.address], name: 'mine' }
  expect(await c.api.clone(byId)).toMatchObject({ root, name: 'mine' })
  expect(await c.api.verify('mine')).toMatchObject({ ok: true })
  const { link } = await c.api.share('mine')
  expect(link).toMatch(new RegExp(`^gonk://${small.id}\\?root=${root}&peer=`))
  await b.api.forgetDataset('small')
  expect(await d.json<CloneResult>('clone', link)).toMatchObject({ root, name: 'small' })
})
