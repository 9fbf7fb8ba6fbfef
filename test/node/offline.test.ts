// Two nodes that work apart and then meet.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { AddResult } from '../../src/contract/api.ts'
import { aWorld, until } from './daemon.ts'
import { manyFiles, writeFiles } from './folders.ts'

it('one proposes 50 files while it is offline, the other accepts 50: they meet and agree', async () => {
  const world = await aWorld()
  const [a, b] = world.nodes('A', 'B')
  await a.start()
  await a.api.createDataset({ name: 'cells' })
  const { root } = await a.api.root('cells')
  await b.start()
  await b.api.clone({ ref: root, peers: [a.address] })
  await b.daemon.stop()

  const ofB = await writeFiles(join(world.dir, 'of-b'), manyFiles('b', 50, 3_000))
  const proposed = await b.json<AddResult>('add', 'cells', ofB)
  expect(proposed.objects).toHaveLength(50)
  const ofA = await writeFiles(join(world.dir, 'of-a'), manyFiles('a', 50, 3_000))
  await a.json('add', 'cells', ofA, '--accept')
  expect(await a.api.listReviews('cells')).toEqual([])

  await b.start(['--peer', a.address])
  const here = await a.api.root('cells')
  await until('both have the same root', async () => {
    return (await b.api.root('cells')).root === here.root
  })
  const waiting = await until('A lists what B proposed', async () => {
    const list = await a.api.listReviews('cells')
    return list.length > 0 && list
  })
  expect(waiting).toMatchObject([
    { event: proposed.events[0], operations: 50, status: { pending: 50, accepted: 0 } },
  ])
  expect((await a.api.root('cells')).root).toBe(here.root)

  await a.json('review', 'accept', 'cells', ...proposed.events)
  const after = await a.api.root('cells')
  await until('B has what A accepted', async () => {
    return (await b.api.root('cells')).root === after.root
  })
  expect(await b.api.showDataset('cells')).toMatchObject({
    counts: { files: 100, pending: 0 },
    role: 'contributor',
  })
  expect(await b.api.verify('cells')).toMatchObject({ ok: true })
})
