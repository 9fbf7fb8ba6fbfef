// A clone follows by itself: after a restart, and when its peer lacked something at first.
import { mkdir, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { aWorld, type TestNode, until } from './daemon.ts'
import { manyFiles, writeFiles } from './folders.ts'

async function moveAll(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  for (const name of await readdir(from)) await rename(join(from, name), join(to, name))
}

it('a clone finds its peer after a restart, and gets the files when the peer has them', async () => {
  const world = await aWorld()
  const [a, b] = world.nodes('A', 'B')
  const add = async (name: string, count: number) => {
    const folder = await writeFiles(join(world.dir, name), manyFiles(name, count, 2_000))
    await a.json('add', 'cells', folder, '--accept')
  }
  const missing = async (node: TestNode) => (await node.api.showDataset('cells')).sync.missingFiles

  await a.json('init')
  await a.start()
  await a.json('dataset', 'create', 'cells')
  await add('first', 3)
  await b.start()
  await b.json('clone', (await a.api.root('cells')).root, '--peer', a.address)
  await b.daemon.stop()

  await add('second', 5)
  const { root } = await a.api.root('cells')
  const [blocks, aside] = [join(a.home, 'blocks'), join(world.dir, 'aside')]
  await moveAll(blocks, aside)
  await b.start()
  await until('B has the events', async () => (await b.api.root('cells')).root === root)
  expect(await missing(b)).toBe(5)
  await moveAll(aside, blocks)
  await until('B has the files', async () => (await missing(b)) === 0)
  expect(await b.json('verify', 'cells')).toMatchObject({ ok: true, problems: [] })
})
