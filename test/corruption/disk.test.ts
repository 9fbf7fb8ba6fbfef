// Disks that are full, and disks that may only be read: what fails says so, nothing that was acknowledged is
// lost, and work goes on when there is room again.
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDatabase, put } from '../../src/log/database.ts'
import { type TestNode, until, World } from '../node/daemon.ts'
import { manyFiles, writeFiles } from '../node/folders.ts'
import { SmallDisk, whyNoDisk } from './small-disk.ts'

const why = whyNoDisk()
if (why !== undefined) process.stdout.write(`skipped: ${why}\n`)

const MB = 1 << 20
/** The disk is to be full for the database, not only for what watches how full it is. */
const NO_RESERVE = { GONK_DISK_RESERVE_BYTES: '1' }

let disk: SmallDisk
let small: World
let large: World
/** Its home is on the small disk. */
let a: TestNode
let count = 0

beforeEach(async () => {
  if (why !== undefined) return
  disk = await SmallDisk.mount(64)
  small = await World.create(undefined, disk.dir)
  large = await World.create()
  a = small.node('A')
})

afterEach(async () => {
  if (why !== undefined) return
  await small.close()
  await large.close()
  await disk.close()
})

interface Failure {
  readonly code: string
  readonly hint: string
}

async function addTo(node: TestNode, files: number, bytes: number): Promise<readonly string[]> {
  const batch = `batch${count++}`
  const dir = await writeFiles(join(large.dir, batch), manyFiles(batch, files, bytes))
  return (await node.api.add('cells', { paths: [dir], accept: true })).events
}

describe.skipIf(why !== undefined)('a disk that is full', { timeout: 60_000 }, () => {
  it('refuses what it has no room for, keeps what it acknowledged, and goes on later', async () => {
    await a.start([], NO_RESERVE)
    await a.api.createDataset({ name: 'cells' })
    const acknowledged = [...(await addTo(a, 20, 5_000))]
    await disk.fill(2 * MB)
    const failures: Failure[] = []
    for (let i = 0; failures.length < 8 && i < 3_000; i++) {
      // Large events and no content, then content too: each may be the one without room.
      const work = i % 2 === 0 ? addTo(a, 60, 100 + i) : addTo(a, 1, 20_000)
      await work.then(
        (events) => acknowledged.push(...events),
        (error: Failure) => failures.push(error),
      )
    }
    expect(new Set(failures.map(({ code }) => code))).toEqual(new Set(['DISK']))
    for (const { hint } of failures) expect(hint).toMatch(/room|space|again/)
    expect(a.daemon.hasEnded).toBe(false)
    // What follows from the last events may have to be written first.
    const read = a.api.listObjects('cells', {})
    const outcome = await read.then(
      () => 'read',
      ({ code }: Failure) => code,
    )
    expect(['read', 'DISK']).toContain(outcome)
    await disk.free()
    await until('there is room again', async () =>
      acknowledged.push(...(await addTo(a, 20, 3_000))),
    )
    for (let i = 0; i < 5; i++) acknowledged.push(...(await addTo(a, 20, 3_000)))
    await a.daemon.kill()
    await a.start([], NO_RESERVE)
    const lost: string[] = []
    for (const id of acknowledged) {
      await a.api.show('cells', id).catch(() => lost.push(id))
    }
    expect(lost).toEqual([])
    expect(await a.api.verify('cells')).toMatchObject({ ok: true, problems: [] })
  })

  it('ends a clone with a code, and the same clone goes on when there is room', async () => {
    const b = large.node('B')
    await b.start()
    await b.api.createDataset({ name: 'cells' })
    for (let i = 0; i < 6; i++) await addTo(b, 8, 300_000)
    const { root } = await b.api.root('cells')
    await a.start([], NO_RESERVE)
    await disk.fill(6 * MB)
    const request = { ref: root, peers: [b.address] }
    await expect(a.api.clone(request)).rejects.toMatchObject({ code: 'DISK' })
    expect(a.daemon.hasEnded).toBe(false)
    await disk.free()
    await a.api.clone(request).catch((error: Failure) => expect(error.code).toBe('DISK'))
    await until('the clone is whole', async () => {
      const [cells] = await a.api.listDatasets()
      if (cells?.root !== root) await a.api.clone(request).catch(() => {})
      return (await a.api.verify('cells')).ok
    })
    expect((await a.api.root('cells')).root).toBe(root)
  })
})

describe.skipIf(why !== undefined)('the database on a disk that was full', () => {
  it('keeps what was written after a write that failed', async () => {
    const directory = join(disk.dir, 'log')
    const db = await openDatabase(directory)
    const keyOf = (i: number) => Buffer.from(`key ${i}`)
    const valueOf = (i: number) => Buffer.alloc(200 + ((i * 7_919) % 40_000), i)
    const write = (i: number) => db.batch([put(keyOf(i), valueOf(i))], { sync: true } as object)
    const acknowledged: number[] = []
    let next = 0
    await disk.fill(3 * MB)
    for (let failed = 0; failed < 5;) {
      const i = next++
      await write(i).then(
        () => acknowledged.push(i),
        (error: Failure) => {
          expect(error.code).toBe('DISK')
          failed++
        },
      )
    }
    expect(await db.get(keyOf(0))).toHaveLength(valueOf(0).length)
    await disk.free()
    for (const last = next + 50; next < last; next++) {
      await write(next)
      acknowledged.push(next)
    }
    // As a crash leaves it: nothing is closed.
    await cp(directory, join(disk.dir, 'copy'), { recursive: true })
    await db.close()
    const copy = await openDatabase(join(disk.dir, 'copy'))
    for (const i of acknowledged) {
      const value = (await copy.get(keyOf(i))) ?? new Uint8Array()
      expect(Buffer.compare(value, valueOf(i)), `write ${i}`).toBe(0)
    }
    expect(copy.health?.lostBytes).toBe(0)
    await copy.close()
  })
})

describe.skipIf(why !== undefined)('a disk that may only be read', { timeout: 60_000 }, () => {
  it('lets no command pretend that it worked, and harms nothing', async () => {
    await a.start()
    await a.api.createDataset({ name: 'cells' })
    const acknowledged = await addTo(a, 20, 5_000)
    await a.daemon.stop()
    disk.remount('ro')
    const dir = await writeFiles(join(large.dir, 'more'), { file: 'bytes' })
    const commands = [['root', 'cells'], ['add', 'cells', dir], ['start']]
    for (const command of commands) {
      const { status, stdout } = await a.run(...command)
      expect(status, command.join(' ')).toBe(1)
      const { error } = JSON.parse(stdout) as { error: Failure & { message: string } }
      expect(error).toMatchObject({
        code: 'DISK',
        hint: expect.stringMatching(/permissions|space/),
      })
      expect(error.message).toContain('ead-only')
    }
    disk.remount('rw')
    await a.start()
    for (const id of acknowledged) await a.api.show('cells', id)
    expect(await a.api.verify('cells')).toMatchObject({ ok: true, problems: [] })
  })
})
