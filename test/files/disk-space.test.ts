import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { DiskSpace } from '../../src/files/disk-space.ts'
import { spool } from '../../src/files/spool.ts'

const MiB = 1024 ** 2

async function tempDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'gonk-space-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

it('keeps the reserve free, and the room of what is on its way to be stored', async () => {
  let free = 100
  const space = new DiskSpace('/', { reserveBytes: 10, freeBytes: async () => free })
  const first = space.room()
  // Written once, and once more where it stays.
  await first.grow(45)
  free -= 45
  const second = space.room()
  await expect(second.grow(1)).rejects.toMatchObject({ code: 'DISK' })
  second[Symbol.dispose]()
  first[Symbol.dispose]()
  first[Symbol.dispose]()
  const third = space.room()
  await third.grow(22)
  free -= 22
  await expect(third.grow(1)).rejects.toMatchObject({ code: 'DISK' })
})

it('asks the file system', async () => {
  const dir = await tempDir()
  await new DiskSpace(dir, { reserveBytes: 0 }).room().grow(1)
  const never = new DiskSpace(dir, { reserveBytes: 2 ** 60 }).room()
  await expect(never.grow(0)).rejects.toMatchObject({ code: 'DISK' })
  const nowhere = new DiskSpace(join(dir, 'none'), { reserveBytes: 0 }).room()
  await expect(nowhere.grow(0)).rejects.toMatchObject({ code: 'DISK' })
})

it('ends what fills the disk half way, and nothing of it stays', async () => {
  const dir = await tempDir()
  let taken = 0
  const freeBytes = async () => 10 * MiB - taken
  const space = new DiskSpace(dir, { reserveBytes: 0, freeBytes })
  async function* endless() {
    for (;;) {
      taken += MiB
      yield randomBytes(MiB)
    }
  }
  using room = space.room()
  await expect(spool(endless(), dir, { room })).rejects.toMatchObject({ code: 'DISK' })
  expect(taken).toBeLessThan(10 * MiB)
  expect(await readdir(dir)).toEqual([])
  // What stays in memory while it comes is stored all the same.
  const full = new DiskSpace(dir, { reserveBytes: 0, freeBytes: async () => 10 }).room()
  const small = spool([randomBytes(100)].values() as never, dir, { room: full })
  await expect(small).rejects.toMatchObject({ code: 'DISK' })
})
