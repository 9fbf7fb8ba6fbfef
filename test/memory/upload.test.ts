// Peak resident memory of a daemon that takes in one large file through its HTTP API, and what it
// leaves of one that is cut off. GONK_UPLOAD_GIB: how large (default 2). It needs three times that on
// the disk of the temporary files.
import { createCipheriv } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { until, World } from '../node/daemon.ts'

const MiB = 1024 ** 2
const GiB = 1024 ** 3
const size = Math.round(Number(process.env['GONK_UPLOAD_GIB'] ?? 2) * GiB)
const LIMIT_BYTES = 300 * MiB
const QUARTER_HOUR_MS = 900_000

let world: World

beforeAll(async () => {
  world = await World.create()
})

afterAll(() => world.close(), QUARTER_HOUR_MS)

it(
  `a file of ${size / GiB} GiB is uploaded in little memory`,
  { timeout: QUARTER_HOUR_MS },
  async () => {
    const [a] = world.nodes('A')
    if (a === undefined) throw new Error('there is no node')
    await a.start()
    await a.api.createDataset({ name: 'cells' })
    const peakOf = async (what: string): Promise<number> => {
      const { peakBytes } = await a.daemon.memory()
      process.stdout.write(`${what}: peak ${(peakBytes / MiB).toFixed(0)} MiB\n`)
      return peakBytes
    }
    await peakOf('idle')
    const spool = () => readdir(join(a.home, 'tmp')).catch(() => [])
    const blocks = async () => (await readdir(join(a.home, 'blocks'), { recursive: true })).length

    const before = await blocks()
    const cut = a.api.upload('cells', { name: 'cut.bin' }, bytesOf(size / 2, new Error('cut off')))
    await expect(cut).rejects.toThrow()
    await until('the spool is empty', async () => (await spool()).length === 0)
    expect(await blocks()).toBe(before)
    expect((await a.api.listObjects('cells', { status: 'pending' })).objects).toEqual([])

    await peakOf('cut off')

    const startedMs = Date.now()
    const request = { name: 'large.bin', accept: true }
    const { objects } = await a.api.upload('cells', request, bytesOf(size))
    const seconds = (Date.now() - startedMs) / 1000
    expect(objects).toMatchObject([{ size, status: 'accepted' }])
    await peakOf(`uploaded with ${(size / MiB / seconds).toFixed(0)} MiB/s`)
    expect(await spool()).toEqual([])

    const content = await a.api.content('cells', 'large.bin')
    let read = 0
    for await (const piece of content.read()) read += piece.length
    expect(read).toBe(size)
    expect(await peakOf('read')).toBeLessThan(LIMIT_BYTES)
  },
)

async function* bytesOf(total: number, end?: Error): AsyncGenerator<Uint8Array> {
  const cipher = createCipheriv('aes-256-ctr', Buffer.alloc(32, 'key'), Buffer.alloc(16))
  const zeros = Buffer.alloc(MiB / 4)
  for (let left = total; left > 0; left -= zeros.length) {
    yield cipher.update(zeros.subarray(0, Math.min(zeros.length, left)))
  }
  if (end) throw end
}
