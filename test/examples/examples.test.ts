// Each example as its reader runs it, against a daemon of its own.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Daemon, type TestNode, World } from '../node/daemon.ts'

const examples = new URL('../../examples/', import.meta.url).pathname
const preload = new URL('resolve-to-source.ts', import.meta.url).href

let world: World
let node: TestNode
let daemon: Daemon
let apiKey: string

beforeAll(async () => {
  world = await World.create()
  node = world.node('a')
  daemon = await node.start(['--gonk', '127.0.0.1:0'])
  const user = await daemon.api.addUser({ name: 'ada', role: 'admin' })
  apiKey = user.apiKey
}, 60_000)
afterAll(() => world.close())

function isHere(command: string): boolean {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Runs it to its end. @returns what it printed; throws when it fails. */
async function run(
  command: string,
  args: readonly string[],
  { url, dataset }: { url: string; dataset: string },
): Promise<string> {
  const { PATH = '' } = process.env
  const env = { PATH, GONK_URL: url, GONK_API_KEY: apiKey, GONK_DATASET: dataset }
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
  const [status] = (await once(child, 'close')) as [number | null]
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${output}`)
  return output
}

const native = [
  {
    language: 'TypeScript',
    needs: process.execPath,
    args: ['--import', preload, `${examples}typescript/boxes.ts`],
  },
  { language: 'Python', needs: 'python3', args: [`${examples}python/boxes.py`] },
  { language: 'shell', needs: 'curl', command: 'sh', args: [`${examples}shell/boxes.sh`] },
]

describe('an example', () => {
  test('in TypeScript has no wrong types', () => {
    const args = ['node_modules/typescript/bin/tsc', '-p', 'test/examples/tsconfig.json']
    execFileSync(process.execPath, args, { cwd: new URL('../..', import.meta.url) })
  })

  test.for(native)('in $language takes an image to a release, twice', async (example, context) => {
    const { language, needs, args, command = needs } = example
    if (!isHere(needs)) return context.skip(`${needs} is not installed`)
    const dataset = `boxes-${language.toLowerCase()}`
    const first = await run(command, args, { url: daemon.ready.url, dataset })
    expect(first).toContain('I am ada (admin)')
    expect(first).toContain(`dataset ${dataset} made`)
    expect(first).toContain('added schema-boxes')
    expect(first).toMatch(/released v\d+: bafy/)
    expect(first).toContain('in two ranges: the same as were sent')
    const second = await run(command, args, { url: daemon.ready.url, dataset })
    expect(second).toContain(`dataset ${dataset} was there`)
    expect(second).not.toContain('added schema-boxes')

    const { objects } = await daemon.api.listObjects(dataset, { status: 'accepted' })
    const images = objects.filter(({ mediaType }) => mediaType === 'image/png')
    expect(images).toHaveLength(2)
    const { annotations } = await daemon.api.listAnnotations(dataset, { status: 'accepted' })
    expect(annotations).toHaveLength(2)
    expect(await daemon.api.listReleases(dataset)).toHaveLength(2)
    expect(await daemon.api.listReviews(dataset)).toEqual([])
  })

  test('for Gonk does what it does there', async (context) => {
    if (!isHere('python3')) return context.skip('python3 is not installed')
    const url = `http://${daemon.ready.gonk}`
    const script = `${examples}python/gonk_dialect.py`
    const output = await run('python3', [script], { url, dataset: 'gonk-example' })
    expect(output).toContain("owned by ['ada']")
    expect(output).toMatch(/accepted ObjectCreateEvent [0-9a-f-]{36} by ada/)
    expect(output).toMatch(/accepted AnnotationCreateEvent [0-9a-f-]{36} by ada/)
    expect(output).toMatch(/downloaded \d+ bytes: the same as were sent/)
    expect(daemon.complaints()).toEqual([])
  })
})
