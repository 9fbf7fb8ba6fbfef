// `import` as a user runs it: with and without a daemon, cut off by kill -9 and repeated.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { ImportResult } from '../../src/contract/api.ts'
import { aWorld } from '../node/daemon.ts'
import { GonkModel, writeFolder } from './make-gonk-folder.ts'

function aModel(objects: number): GonkModel {
  const model = new GonkModel()
  const schema = model.schema()
  for (let i = 0; i < objects; i++) {
    const object = model.object()
    if (i % 3 !== 0) model.review(1, i % 3 === 1)
    if (i % 2 === 0) model.annotation([object], schema)
  }
  model.review(0, true)
  return model
}

test('tells what came, and warns on stderr only, with nothing of the platform', async () => {
  const world = await aWorld()
  const node = world.node('a')
  const model = aModel(5)
  const root = join(world.dir, 'root')
  await writeFolder(model, join(root, 'datasets', 'cells'), 'sqlite')
  await node.json('init')
  await node.json('dataset', 'create', 'cells')
  const args = ['--home', node.home, 'import', 'cells', '--format', 'gonk', root]
  const child = world.spawn(args, {})
  const text = { stdout: '', stderr: '' }
  child.stdout?.setEncoding('utf8').on('data', (piece: string) => (text.stdout += piece))
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => (text.stderr += piece))
  await new Promise((resolve) => child.once('close', resolve))
  expect(child.exitCode).toBe(0)
  expect(text.stdout).toMatch(/^objects accepted +\d+$/m)
  expect(text.stderr.trim().split('\n')).toEqual([
    expect.stringMatching(/^gonk-node: ada was an owner in Gonk/),
  ])
  const again = await node.json<ImportResult>('import', 'cells', '--format', 'gonk', root)
  expect(again.events).toEqual([])
  expect(again.counts).toMatchObject(model.counts())
})

test('has the same result when it is killed on the way and repeated', async () => {
  const world = await aWorld()
  const node = world.node('a')
  const daemon = await node.start()
  await daemon.api.createDataset({ name: 'cells' })
  const model = aModel(800)
  const path = join(world.dir, 'cells')
  await writeFolder(model, path, 'files')
  const begun = node.begin(['import', 'cells', '--format', 'gonk', path])
  for await (const { kind } of daemon.api.followEvents({ dataset: 'cells' })) {
    if (kind !== 'propose') continue
    daemon.child.kill('SIGKILL')
    break
  }
  await daemon.kill()
  begun.kill()
  const { stdout } = await begun.ended
  expect(stdout).not.toContain('objectsAccepted')
  const result = await node.json<ImportResult>('import', 'cells', '--format', 'gonk', path)
  expect(result.counts['known']).toBeGreaterThan(0)
  expect(result.counts).toMatchObject(model.counts())
  expect((await node.json<{ ok: boolean }>('verify', 'cells')).ok).toBe(true)
})

test('fails with a code where there is nothing of Gonk', async () => {
  const world = await aWorld()
  const node = world.node('a')
  await node.json('init')
  await node.json('dataset', 'create', 'cells')
  await writeFile(join(world.dir, 'rk.db'), '')
  const failed = await node.run('import', 'cells', '--format', 'gonk', world.dir)
  expect(failed.status).toBe(1)
  expect(JSON.parse(failed.stdout)).toMatchObject({ error: { code: 'BAD_EVENT' } })
  expect((await node.run('import', 'cells', world.dir)).status).toBe(2)
})
