// The launcher on Node versions older than ours. Needs one on the PATH; without, there is nothing
// to test.
import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { gonk, launcher, olderNode, tempDir } from './run.ts'

it('starts the sources on Node 24', async () => {
  const { status, stdout } = await gonk(['version', '--json'])
  expect([status, JSON.parse(stdout).node]).toEqual([0, process.versions.node])
})

describe.runIf(olderNode)(`on ${olderNode}`, () => {
  const node = olderNode ?? ''

  it('hands over to the Node 24 of node_modules, with output and exit status', async () => {
    const version = await gonk(['version', '--json'], { node })
    expect(Number.parseInt(JSON.parse(version.stdout).node)).toBeGreaterThanOrEqual(24)
    expect((await gonk(['frobnicate'], { node })).status).toBe(2)
  })

  it('says in one line what is missing when there is no Node 24', async () => {
    const dir = await tempDir()
    await copyFile(launcher, join(dir, 'gonk-node.js'))
    await writeFile(join(dir, 'package.json'), '{"type":"module"}')
    const { status, stdout, stderr } = await gonk(['--help'], {
      node,
      script: join(dir, 'gonk-node.js'),
    })
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^gonk-node: UNSUPPORTED: this is Node \S+; install Node 24 .*\n$/)
  })
})
