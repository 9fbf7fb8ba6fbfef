import { execFileSync } from 'node:child_process'
import { appendFile, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { memoryBlocks } from '../../src/files/blocks.ts'
import { createFileStore } from '../../src/files/file-store.ts'
import { filesUnder, type FolderOptions, type LocalFile } from '../../src/files/folder.ts'
import { ingest } from '../../src/files/ingest.ts'
import type { FileStore } from '../../src/ports.ts'
import { collect } from '../conformance/collect.ts'
import { pattern } from '../conformance/file-store-suite.ts'
import { temporaryFolder } from './temporary-folder.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
beforeEach(async () => {
  folder = await temporaryFolder()
})
afterEach(() => folder.remove())

const at = (name: string) => path.join(folder.path, name)

async function write(name: string, content: string | Uint8Array = name): Promise<void> {
  await mkdir(path.dirname(at(name)), { recursive: true })
  await writeFile(at(name), content)
}

async function namesUnder(paths: string[], options?: FolderOptions): Promise<string[]> {
  return (await collect(filesUnder(paths, options))).map(({ name }) => name)
}

describe('files under paths', () => {
  test('names are relative to the folder, in byte order, dot-files included', async () => {
    const names = [
      'a.txt',
      'a/b',
      'a-b',
      'a/.hidden',
      'B',
      'é',
      '\u{1F600}',
      '\uFF5E',
      '.git/x',
      'a0',
    ]
    for (const name of names) await write(name)
    const sorted = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    expect(await namesUnder([folder.path])).toEqual(sorted)
  })

  test('any tree comes in byte order, whole, with a prefix', async () => {
    const segment = fc
      .stringMatching(/^[-.0-9a-cA-C_~é]{1,4}$/)
      .filter((s) => s !== '.' && s !== '..')
    const tree = fc.uniqueArray(fc.array(segment, { minLength: 1, maxLength: 3 }), {
      maxLength: 20,
      selector: (segments) => segments.join('/'),
    })
    await fc.assert(
      fc.asyncProperty(tree, async (paths) => {
        await rm(folder.path, { recursive: true, force: true })
        await mkdir(folder.path)
        const names: string[] = []
        for (const segments of paths) {
          const name = segments.join('/').normalize('NFC')
          const written = await write(name).then(
            () => true,
            () => false,
          )
          if (written) names.push(`in/${name}`)
        }
        const sorted = names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        expect(await namesUnder([folder.path], { prefix: 'in/' })).toEqual(sorted)
      }),
      { numRuns: 30 },
    )
  })

  test('a file takes its base name; several paths are merged in order', async () => {
    for (const name of ['x/b', 'x/d', 'y/a', 'y/c/e', 'z/bb']) await write(name)
    expect(await namesUnder([at('x'), at('y'), at('z/bb')])).toEqual(['a', 'b', 'bb', 'c/e', 'd'])
  })

  test('two files with one name are refused', async () => {
    await write('x/a')
    await write('y/a')
    await expect(namesUnder([at('x'), at('y')])).rejects.toMatchObject({
      code: 'EXISTS',
      details: { name: 'a', paths: [at('x/a'), at('y/a')] },
    })
  })

  test('links and special files are passed over, with a warning', async () => {
    await write('real/a')
    await symlink(at('real'), at('real/loop'))
    await symlink(at('real/a'), at('real/link'))
    await symlink(at('real'), at('alias'))
    execFileSync('mkfifo', [at('real/pipe')])
    const skipped: string[] = []
    const onSkipped = (file: string, why: string) => skipped.push(`${path.basename(file)}: ${why}`)
    expect(await namesUnder([at('alias')], { onSkipped })).toEqual(['a'])
    expect(skipped.sort()).toEqual([
      'link: symbolic link',
      'loop: symbolic link',
      'pipe: special file',
    ])
  })

  test.each([
    ['not NFC', 'e\u0301.txt'],
    ['with a control character', 'a\nb'],
    ['with a backslash', 'a\\b'],
  ])('a name %s is refused, naming the file', async (_, name) => {
    await write(name)
    await expect(namesUnder([folder.path])).rejects.toMatchObject({
      code: 'BAD_NAME',
      details: { path: at(name) },
    })
  })

  test('a name that is not UTF-8 is refused', async () => {
    await writeFile(Buffer.concat([Buffer.from(folder.path + '/a'), Buffer.from([0xff])]), '')
    await expect(namesUnder([folder.path])).rejects.toMatchObject({ code: 'BAD_NAME' })
  })

  test('a path that does not exist gives NOT_FOUND', async () => {
    await expect(namesUnder([at('nothing')])).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('media types come from extensions', async () => {
    const types: Record<string, string> = {
      'a.jpg': 'image/jpeg',
      'b.JSON': 'application/json',
      'c.parquet': 'application/vnd.apache.parquet',
      json: 'application/octet-stream',
      'e.unheard': 'application/octet-stream',
    }
    for (const name of Object.keys(types)) await write(name)
    for (const { name, mediaType } of await collect(filesUnder([folder.path]))) {
      if (name !== 'c.parquet') expect([name, mediaType]).toEqual([name, types[name]])
    }
  })
})

describe('ingesting', () => {
  let files: FileStore
  beforeEach(() => {
    files = createFileStore(memoryBlocks())
  })

  test('stores every file, large and small, in the order given', async () => {
    const sizes = [0, 1, 20_000, 1 << 20, (1 << 20) + 1, 3 << 20, 20 << 20, 5, 6, 7]
    for (const [i, size] of sizes.entries()) await write(`f${i}`, pattern(size, i * 2 + 1))
    const ingested = await collect(ingest(filesUnder([folder.path]), files))
    expect(ingested.map(({ name, sizeBytes }) => [name, sizeBytes])).toEqual(
      sizes.map((size, i) => [`f${i}`, size]),
    )
    for (const [i, { cid }] of ingested.entries()) {
      const stored = Buffer.concat(await collect(files.read(cid)))
      expect(stored.equals(pattern(sizes[i] as number, i * 2 + 1))).toBe(true)
    }
  })

  test('a file that grew since it was looked at is stored as it is now', async () => {
    await write('log', pattern(1000))
    const listed = await collect(filesUnder([folder.path]))
    await appendFile(at('log'), pattern(2 << 20))
    const [stored] = await collect(ingest(listed, files))
    expect(stored?.sizeBytes).toBe(1000 + (2 << 20))
  })

  test('no more than the bounds run at once', async () => {
    const listed = Array.from({ length: 50 }, (_, i): LocalFile => ({
      path: at('x'),
      name: `${i}`,
      sizeBytes: i % 10 === 0 ? 30 << 20 : 5 << 20,
      mediaType: '',
    }))
    await write('x', 'x')
    let running = 0
    const most: number[] = []
    const counting: FileStore = {
      ...files,
      async put(source) {
        most.push(++running)
        await new Promise((resolve) => setImmediate(resolve))
        const stored = await files.put(source)
        running -= 1
        return stored
      },
    }
    await collect(ingest(listed, counting))
    expect(Math.max(...most)).toBe(3)
  })

  test('a file that is gone stops it, naming the file', async () => {
    await write('a')
    await write('b')
    const listed = await collect(filesUnder([folder.path]))
    await rm(at('b'))
    await expect(collect(ingest(listed, files))).rejects.toMatchObject({
      code: 'DISK',
      details: { file: at('b') },
    })
  })
})
