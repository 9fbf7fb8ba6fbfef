// `npm run fuzz`: the fuzzer itself, for a moment.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { forOlderLibraries } from '../../scripts/fuzz-addon.ts'

const script = join(import.meta.dirname, '../../scripts/fuzz.ts')
const run = (...args: string[]) => promisify(execFile)(process.execPath, [script, ...args])

it('runs a target guided by coverage, and says how far it came', async () => {
  const { stdout } = await run('gossip', '--runs', '2000')
  const [, inputs, , edges] = /^gossip +(\d+) +(\d+) +(\d+) +\d+$/m.exec(stdout) ?? []
  expect(Number(inputs)).toBeGreaterThanOrEqual(2000)
  expect(Number(edges)).toBeGreaterThan(200)
})

it('names the targets there are where it is asked for another', async () => {
  await expect(run('nothing')).rejects.toMatchObject({
    code: 2,
    stdout: expect.stringContaining('event-map'),
  })
})

it('makes no addon of a file that is none', () => {
  expect(() => forOlderLibraries(new Uint8Array(100))).toThrow('no ELF file')
})
