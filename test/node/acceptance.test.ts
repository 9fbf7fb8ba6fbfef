// The main job, as a user does it: a dataset made on one machine, cloned by its root CID on another,
// changed, and cloned again from the clone alone.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type {
  AddResult,
  CloneResult,
  ReviewEntry,
  RootInfo,
  VerifyResult,
} from '../../src/contract/api.ts'
import { aWorld, until, type World } from './daemon.ts'
import { bytesOf, digestsOf, variedFiles, writeFiles } from './folders.ts'

/** What the acceptance asks for; a busy machine is given more before the test fails. */
const ASKED_MS = 2_000
const GIVEN_MS = 10_000

const realImages =
  process.env['GONK_REAL_IMAGES'] ??
  new URL('../../../shared/data/bccd/images', import.meta.url).pathname

describe('one dataset on several machines', () => {
  it('is cloned by its root, changed by both, and cloned from the clone', async () => {
    const world = await aWorld()
    await mainJob(world, await writeFiles(join(world.dir, 'source'), variedFiles()))
  })

  it.skipIf(!existsSync(realImages))(
    'does the same with the real images',
    async () => {
      await mainJob(await aWorld(), realImages)
    },
    180_000,
  )
})

async function mainJob(world: World, folder: string): Promise<void> {
  const [a, b, c] = world.nodes('A', 'B', 'C')
  const source = await digestsOf(folder)

  await a.json('init')
  await a.start()
  await a.json('dataset', 'create', 'cells')
  const added = await a.json<AddResult>('add', 'cells', folder, '--accept')
  expect(added.objects.map(({ name }) => name).toSorted()).toEqual(Object.keys(source).toSorted())
  const { root, stateRoot } = await a.json<RootInfo>('root', 'cells')

  await b.start()
  const cloned = await b.json<CloneResult>('clone', root, '--peer', a.address)
  expect(cloned).toMatchObject({
    root,
    stateRoot,
    name: 'cells',
    objects: Object.keys(source).length,
  })
  expect(await b.json<VerifyResult>('verify', 'cells')).toMatchObject({ ok: true, problems: [] })
  expect(await b.json<RootInfo>('root', 'cells')).toMatchObject({ root, stateRoot })
  await b.json('checkout', 'cells', join(world.dir, 'out-b'))
  expect(await digestsOf(join(world.dir, 'out-b'))).toEqual(source)

  const extra = await writeFiles(join(world.dir, 'extra'), { 'from-b.bin': bytesOf('b', 70_000) })
  const { events } = await b.json<AddResult>('add', 'cells', extra)
  await until('the proposal reaches A', async () => {
    const waiting = await a.api.listReviews('cells', { status: 'pending' })
    return waiting.some(({ event }) => event === events[0])
  })
  await a.json<ReviewEntry>('review', 'accept', 'cells', ...events)
  const acceptedAtMs = Date.now()
  const next = await a.api.root('cells')
  await until('B has the root of A', async () => (await b.api.root('cells')).root === next.root)
  const tookMs = Date.now() - acceptedAtMs
  const sofar = tookMs <= ASKED_MS ? 'as asked' : 'LATE'
  process.stdout.write(`B had A's root ${tookMs} ms after the review, ${sofar}\n`)
  expect(tookMs).toBeLessThan(GIVEN_MS)
  expect(next.root).not.toBe(root)

  expect(await a.daemon.stop()).toBe(0)
  await c.start()
  const again = await c.json<CloneResult>('clone', next.root, '--peer', b.address)
  expect(again).toMatchObject({ root: next.root, stateRoot: next.stateRoot })
  expect(await c.json<VerifyResult>('verify', 'cells')).toMatchObject({ ok: true })
  await c.json('checkout', 'cells', join(world.dir, 'out-c'))
  expect(await digestsOf(join(world.dir, 'out-c'))).toEqual({
    ...source,
    ...(await digestsOf(extra)),
  })
  expect([b, c].flatMap(({ daemon }) => daemon.complaints())).toEqual([])
}
