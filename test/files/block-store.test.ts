import { execFile } from 'node:child_process'
import { readdir, stat, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type DiskBlocks, openDiskBlocks } from '../../src/files/block-store.ts'
import { blocksOf, memoryBlocks } from '../../src/files/blocks.ts'
import { blocksSuite, cidFor, DAG_PB } from '../conformance/blocks-suite.ts'
import { collect } from '../conformance/collect.ts'
import { pattern } from '../conformance/file-store-suite.ts'
import { temporaryFolder } from './temporary-folder.ts'

blocksSuite('in memory', async () => ({ blocks: memoryBlocks(), dispose: async () => undefined }))

blocksSuite('on disk', async () => {
  const folder = await temporaryFolder()
  const blocks = await openDiskBlocks(folder.path)
  return {
    blocks,
    async dispose() {
      await blocks.close()
      await folder.remove()
    },
  }
})

describe('blocks on disk', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>
  let blocks: DiskBlocks
  const bytes = pattern(300_000)
  const cid = cidFor(bytes)

  beforeEach(async () => {
    folder = await temporaryFolder()
    blocks = await openDiskBlocks(folder.path)
  })
  afterEach(async () => {
    await blocks.close()
    await folder.remove()
  })

  const filesOnDisk = async () => {
    const entries = await readdir(folder.path, { recursive: true, withFileTypes: true })
    return entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => path.join(parentPath, name))
  }
  const fileOfBlock = async () => {
    const [file] = (await filesOnDisk()).filter((name) => name.endsWith('.data'))
    return file as string
  }

  const damages: [string, (file: string) => Promise<void>][] = [
    ['cut short', (file) => truncate(file, 1000)],
    ['cut to nothing', (file) => truncate(file, 0)],
    ['zeroed', (file) => writeFile(file, new Uint8Array(bytes.length))],
    ['with one bit flipped', (file) => writeFile(file, bytes.with(7, (bytes[7] as number) ^ 1))],
    ['with bytes added', (file) => writeFile(file, Buffer.concat([bytes, Buffer.from('!')]))],
  ]
  test.each(damages)('a block %s reads as absent and can be put again', async (_, damage) => {
    await blocks.put(cid, bytes)
    await damage(await fileOfBlock())
    expect(await blocks.get(cid)).toBeUndefined()
    expect(await blocks.has(cid)).toBe(false)
    await blocks.put(cid, bytes)
    expect(await blocks.get(cid)).toEqual(bytes)
  })

  test.each(damages)('putting a block repairs one %s', async (_, damage) => {
    await blocks.put(cid, bytes)
    await damage(await fileOfBlock())
    await blocks.put(cid, bytes)
    expect(await blocks.get(cid)).toEqual(bytes)
  })

  test('a read of a damaged block never removes what is put meanwhile', async () => {
    for (let i = 0; i < 20; i++) {
      await blocks.put(cid, bytes)
      await truncate(await fileOfBlock(), i)
      await Promise.all([blocks.get(cid), blocks.put(cid, bytes), blocks.get(cid)])
      expect(await blocks.get(cid)).toEqual(bytes)
    }
  })

  test('a good block is not written again', async () => {
    await blocks.put(cid, bytes)
    const before = await stat(await fileOfBlock(), { bigint: true })
    await blocks.put(cid, bytes)
    const after = await stat(await fileOfBlock(), { bigint: true })
    expect([after.ino, after.mtimeNs]).toEqual([before.ino, before.mtimeNs])
  })

  test('the same bytes under two codecs are two blocks', async () => {
    await blocks.put(cid, bytes)
    expect(await blocks.has(cidFor(bytes, DAG_PB))).toBe(false)
  })

  test('what is not sha2-256 is refused', async () => {
    const { identity } = await import('multiformats/hashes/identity')
    const { CID } = await import('multiformats/cid')
    const odd = CID.createV1(0x55, identity.digest(Uint8Array.of(1)))
    await expect(blocks.put(odd, Uint8Array.of(1))).rejects.toMatchObject({ code: 'BAD_CID' })
    expect(await blocks.get(odd)).toBeUndefined()
  })

  test('temporary files of a crash are not listed, and are removed by listing', async () => {
    await blocks.put(cid, bytes)
    const file = await fileOfBlock()
    const leftover = path.join(path.dirname(file), `.${path.basename(file)}.tmp`)
    await writeFile(leftover, 'half')
    await writeFile(path.join(folder.path, 'README'), 'not a block')
    expect((await collect(blocks.list())).map(String)).toEqual([String(cid)])
    expect(await filesOnDisk()).not.toContain(leftover)
  })

  test('a folder that cannot be written gives DISK, not an absent block', async () => {
    await blocks.close()
    await writeFile(path.join(folder.path, 'file'), '')
    await expect(openDiskBlocks(path.join(folder.path, 'file', 'blocks'))).rejects.toMatchObject({
      code: 'DISK',
    })
  })

  test('every block acknowledged before kill -9 is whole afterwards', async () => {
    const acknowledged = await writeUntilKilled(path.join(folder.path, 'killed'), 300)
    expect(acknowledged.length).toBeGreaterThanOrEqual(300)
    const again = await openDiskBlocks(path.join(folder.path, 'killed'))
    for (const seed of acknowledged) {
      const block = pattern(20_000, seed)
      expect((await again.get(cidFor(block)))?.length).toBe(block.length)
    }
    for await (const listed of again.list()) expect(await again.get(listed)).toBeDefined()
  })
})

/** Lets a process write blocks, and kills it when it has written `count`. */
async function writeUntilKilled(directory: string, count: number): Promise<number[]> {
  const script = path.join(import.meta.dirname, 'write-blocks.ts')
  const child = execFile(process.execPath, [script, directory])
  const acknowledged: number[] = []
  let tail = ''
  for await (const text of child.stdout as AsyncIterable<string>) {
    const lines = (tail + text).split('\n')
    tail = lines.pop() as string
    acknowledged.push(...lines.map(Number))
    if (acknowledged.length >= count) child.kill('SIGKILL')
  }
  return acknowledged
}

test('two stores as one: the first is read first, new blocks go to the second', async () => {
  const [first, second] = [memoryBlocks(), memoryBlocks()]
  const both = blocksOf(first, second)
  const [a, b] = [Uint8Array.of(1), Uint8Array.of(2)]
  await first.put(cidFor(a), a)
  await both.put(cidFor(b), b)
  await both.put(cidFor(a), a)
  expect(await both.get(cidFor(a))).toEqual(a)
  expect(await both.has(cidFor(b))).toBe(true)
  expect((await collect(second.list())).map(String)).toEqual([String(cidFor(b))])
  await both.delete(cidFor(a))
  expect(await both.has(cidFor(a))).toBe(false)
})
