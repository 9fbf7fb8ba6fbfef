import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { spool, type Spooled } from '../../src/files/spool.ts'

const MiB = 1024 ** 2
let dir: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gonk-spool-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

async function* pieces(...all: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* all
}

async function bytesOf(spooled: Spooled): Promise<Buffer> {
  const read: Uint8Array[] = []
  for await (const piece of spooled.read()) read.push(piece)
  return Buffer.concat(read)
}

describe('spooling', () => {
  it('gives back what came in, however it was cut into pieces', async () => {
    const sizes = fc.array(fc.oneof(fc.nat(9), fc.nat(3 * MiB)), { maxLength: 5 })
    const check = async (lengths: number[]) => {
      const all = lengths.map((length) => randomBytes(length))
      const whole = Buffer.concat(all)
      await using spooled = await spool(pieces(...all), dir)
      expect(spooled.sizeBytes).toBe(whole.length)
      for (let times = 0; times < 2; times++) {
        expect(whole.equals(await bytesOf(spooled))).toBe(true)
      }
    }
    await fc.assert(fc.asyncProperty(sizes, check), { numRuns: 25 })
    expect(await readdir(dir)).toEqual([])
  })

  it('joins pieces of one byte, so that they cost what they hold', async () => {
    const one = randomBytes(1)
    const many = (async function* () {
      for (let i = 0; i < 200_000; i++) yield one
    })()
    const before = process.memoryUsage().heapUsed
    await using spooled = await spool(many, dir)
    expect(spooled.sizeBytes).toBe(200_000)
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(40 * MiB)
  })

  it('has a file while there is more than a megabyte, and none afterwards', async () => {
    {
      await using small = await spool(pieces(randomBytes(MiB)), dir)
      expect([small.sizeBytes, await readdir(dir)]).toEqual([MiB, []])
      await using large = await spool(pieces(randomBytes(MiB + 1)), dir)
      expect([large.sizeBytes, (await readdir(dir)).length]).toEqual([MiB + 1, 1])
    }
    expect(await readdir(dir)).toEqual([])
  })

  it('leaves nothing of what breaks off or is stopped', async () => {
    const broken = (async function* () {
      yield randomBytes(3 * MiB)
      throw new Error('socket hang up')
    })()
    await expect(spool(broken, dir)).rejects.toMatchObject({ code: 'CANCELLED' })
    const stop = new AbortController()
    const stopped = (async function* () {
      yield randomBytes(3 * MiB)
      expect(await readdir(dir)).toHaveLength(1)
      stop.abort()
      yield randomBytes(1)
    })()
    const { signal } = stop
    await expect(spool(stopped, dir, { signal })).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(await readdir(dir)).toEqual([])
  })

  it('says DISK where it cannot write', async () => {
    const file = join(dir, 'file')
    await writeFile(file, '')
    const large = pieces(randomBytes(2 * MiB))
    await expect(spool(large, join(file, 'below'))).rejects.toMatchObject({ code: 'DISK' })
  })
})
