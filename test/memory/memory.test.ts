// Peak resident memory of two daemons while gigabytes are added to one and cloned by the other.
// GONK_MEMORY_GIB: how much (default 5). It needs three times that on the disk of the temporary files.
import { createCipheriv } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type TestNode, World } from '../node/daemon.ts'

const MiB = 1024 ** 2
const GiB = 1024 ** 3
const gibibytes = Number(process.env['GONK_MEMORY_GIB'] ?? 5)
const LIMIT_BYTES = 400 * MiB
const HOUR_MS = 3_600_000

let world: World

beforeAll(async () => {
  world = await World.create()
})

afterAll(() => world.close(), HOUR_MS)

it(`${gibibytes} GiB are added and cloned in little memory`, { timeout: HOUR_MS }, async () => {
  const folder = join(world.dir, 'source')
  const sizes = sizesOf(gibibytes * GiB)
  const bytes = await writeRandomFiles(folder, sizes)
  say(`${sizes.length} files, ${(bytes / GiB).toFixed(2)} GiB`)
  const [a, b] = world.nodes('A', 'B')
  await a.start()
  await a.api.createDataset({ name: 'cells' })
  await b.start()
  say(`idle: ${await peaksOf(a, b)}`)

  await timed('add', bytes, () => a.json('add', 'cells', folder, '--accept'))
  say(`after add: ${await peaksOf(a)}`)
  const { root } = await a.api.root('cells')
  await timed('clone', bytes, () => b.json('clone', root, '--peer', a.address))
  say(`after clone: ${await peaksOf(a, b)}`)
  expect(await b.api.showDataset('cells')).toMatchObject({ root, counts: { bytes } })
  for (const { daemon } of [a, b]) {
    expect((await daemon.memory()).peakBytes).toBeLessThan(LIMIT_BYTES)
  }
  const verified = await timed('verify', bytes, () => b.api.verify('cells'))
  expect(verified).toMatchObject({ ok: true, problems: [] })
  say(`after verify: ${await peaksOf(b)}`)
  expect([a, b].flatMap(({ daemon }) => daemon.complaints())).toEqual([])
})

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

async function peaksOf(...nodes: TestNode[]): Promise<string> {
  const texts = nodes.map(async ({ name, daemon }) => {
    const { peakBytes, nowBytes } = await daemon.memory()
    return `${name} peak ${Math.round(peakBytes / MiB)} MiB, now ${Math.round(nowBytes / MiB)} MiB`
  })
  return (await Promise.all(texts)).join('; ')
}

async function timed<T>(what: string, bytes: number, work: () => Promise<T>): Promise<T> {
  const startedMs = Date.now()
  const result = await work()
  const seconds = (Date.now() - startedMs) / 1000
  say(`${what}: ${seconds.toFixed(1)} s, ${(bytes / MiB / seconds).toFixed(0)} MiB/s`)
  return result
}

/** Four fifths in files of at most 1 GiB, the rest in thousands of small and hundreds of middling ones. */
function sizesOf(total: number): number[] {
  const sizes: number[] = []
  const small = Math.floor(total / 5)
  let left = Math.floor(total)
  const take = (bytes: number) => {
    sizes.push(Math.min(bytes, left))
    left -= sizes.at(-1) as number
  }
  while (left > small) take(Math.min(GiB, left - small))
  for (let i = 0; i < 5_000 && left > 0; i++) take(2_000 + ((i * 7_919) % 20_000))
  while (left > 0) take(MiB + ((sizes.length * 104_729) % MiB))
  return sizes
}

/** Files that have no block in common. @returns their bytes. */
async function writeRandomFiles(dir: string, sizes: readonly number[]): Promise<number> {
  await mkdir(dir, { recursive: true })
  for (const [i, size] of sizes.entries()) {
    const folder = join(dir, String(i % 50))
    if (i < 50) await mkdir(folder, { recursive: true })
    await pipeline(
      Readable.from(randomBytesOf(i, size)),
      createWriteStream(join(folder, `${i}.bin`)),
    )
  }
  return sizes.reduce((sum, size) => sum + size, 0)
}

function* randomBytesOf(file: number, size: number): Generator<Buffer> {
  const key = Buffer.alloc(32, `file ${file} `)
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
  for (let left = size; left > 0; left -= MiB) {
    yield cipher.update(Buffer.alloc(Math.min(MiB, left)))
  }
}
