import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { memoryBlocks } from '../../src/files/blocks.ts'
import { checkout, type CheckoutEntry } from '../../src/files/checkout.ts'
import { createFileStore } from '../../src/files/file-store.ts'
import type { FileStore } from '../../src/ports.ts'
import { collect } from '../conformance/collect.ts'
import { pattern } from '../conformance/file-store-suite.ts'
import { temporaryFolder } from './temporary-folder.ts'

describe('checkout', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>
  let files: FileStore
  let target: string
  const contents: Record<string, Uint8Array> = {
    'a.txt': pattern(10),
    'deep/er/b.bin': pattern(3 << 20, 9),
    'deep/c': new Uint8Array(0),
    z: pattern(20_000, 3),
  }
  let entries: CheckoutEntry[]

  beforeEach(async () => {
    folder = await temporaryFolder()
    target = path.join(folder.path, 'out')
    files = createFileStore(memoryBlocks())
    entries = []
    for (const [name, bytes] of Object.entries(contents)) {
      entries.push({ name, ...(await files.put([bytes])) })
    }
  })
  afterEach(() => folder.remove())

  const filesIn = async (directory: string) => {
    const all = await readdir(directory, { recursive: true, withFileTypes: true })
    return all
      .filter((entry) => !entry.isDirectory())
      .map(({ parentPath, name }) => path.relative(directory, path.join(parentPath, name)))
      .sort()
  }

  test('writes every file, and reports files and bytes', async () => {
    const seen: number[] = []
    const result = await checkout(entries, files, target, { onProgress: (p) => seen.push(p.files) })
    expect(result).toEqual({ files: 4, bytes: 10 + (3 << 20) + 20_000 })
    expect(seen).toEqual([1, 2, 3, 4])
    expect(await filesIn(target)).toEqual(Object.keys(contents).sort())
    for (const [name, bytes] of Object.entries(contents)) {
      expect((await readFile(path.join(target, name))).equals(bytes)).toBe(true)
    }
  })

  test('a second time keeps what is there and writes what is missing', async () => {
    await checkout(entries.slice(0, 2), files, target)
    await writeFile(path.join(target, 'own notes'), 'mine')
    const before = await stat(path.join(target, 'a.txt'))
    await checkout(entries, files, target)
    expect((await stat(path.join(target, 'a.txt'))).mtimeMs).toBe(before.mtimeMs)
    expect(await filesIn(target)).toEqual([...Object.keys(contents), 'own notes'].sort())
  })

  test.each([
    ['of another size', pattern(11)],
    ['with other bytes', pattern(10, 99)],
  ])('a file %s in the way is kept, and stops it', async (_, bytes) => {
    await mkdir(target)
    await writeFile(path.join(target, 'a.txt'), bytes)
    await expect(checkout(entries, files, target)).rejects.toMatchObject({
      code: 'EXISTS',
      details: { path: path.join(target, 'a.txt') },
    })
    expect((await readFile(path.join(target, 'a.txt'))).equals(bytes)).toBe(true)
  })

  test.each(['a.txt', 'deep'])('a link at %s is never followed', async (name) => {
    const elsewhere = path.join(folder.path, 'elsewhere')
    await mkdir(path.join(elsewhere, 'er'), { recursive: true })
    await mkdir(target)
    await symlink(elsewhere, path.join(target, name))
    await expect(checkout(entries, files, target)).rejects.toMatchObject({ code: 'EXISTS' })
    expect(await filesIn(elsewhere)).toEqual([])
  })

  test.each(['../x', '/etc/x', 'a/../../x', 'a//b', '.', '', 'a\0b', 'a\\b'])(
    'the name %j is refused',
    async (name) => {
      const [first] = entries as [CheckoutEntry]
      const refused = checkout([{ ...first, name }], files, target)
      await expect(refused).rejects.toMatchObject({ code: 'BAD_NAME' })
      expect(await filesIn(folder.path)).toEqual([])
    },
  )

  test('a file where a folder is needed stops it', async () => {
    await mkdir(target)
    await writeFile(path.join(target, 'deep'), '')
    await expect(checkout(entries, files, target)).rejects.toMatchObject({ code: 'EXISTS' })
  })

  // Node's own recursive `mkdir` never comes back from there, and takes a thread with it.
  test.skipIf(process.platform !== 'linux')('a place that has no folders is refused', async () => {
    const refused = checkout(entries, files, '/proc/gonk/out')
    await expect(refused).rejects.toMatchObject({ code: 'DISK' })
  })

  test('content that is not here stops it, and leaves no part of a file behind', async () => {
    const last = (await collect(files.walk(entries[1]?.cid as never))).at(-1)
    await files.blocks.delete(last?.cid as never)
    await expect(checkout(entries, files, target)).rejects.toMatchObject({ code: 'NOT_HERE' })
    expect(await filesIn(target)).not.toContain('deep/er/b.bin')
    expect((await readdir(target)).filter((name) => name.startsWith('.gonk'))).toEqual([])
  })

  test('content larger than the dataset states is refused', async () => {
    const [, second] = entries as [CheckoutEntry, CheckoutEntry]
    const refused = checkout([{ ...second, sizeBytes: 1000 }], files, target)
    await expect(refused).rejects.toMatchObject({ code: 'BAD_BLOCK' })
    expect(await filesIn(target)).toEqual([])
  })

  test('what a crash left is cleared away', async () => {
    const left = path.join(target, '.gonk-checkout-01234567-89ab-cdef-0123-456789abcdef')
    await mkdir(left, { recursive: true })
    await writeFile(path.join(left, 'part'), 'x')
    await checkout(entries, files, target)
    expect(await filesIn(target)).toEqual(Object.keys(contents).sort())
  })

  test('can be cancelled', async () => {
    const controller = new AbortController()
    const stopped = checkout(entries, files, target, {
      signal: controller.signal,
      onProgress: () => controller.abort(),
    })
    await expect(stopped).rejects.toMatchObject({ code: 'CANCELLED' })
    await checkout(entries, files, target)
  })
})
