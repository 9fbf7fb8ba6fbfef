import fc from 'fast-check'
import type { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import { cidOfDigest, compareBytes } from '../../src/core/ids.ts'
import { updateDirectory } from '../../src/files/directory.ts'
import { buildDirectory } from '../../src/files/directory-build.ts'
import { sha256 } from '../makers.ts'

const RAW = 0x55

class MemoryNodes {
  readonly blocks = new Map<string, Uint8Array>()
  puts = 0

  get = async (cid: CID) => this.blocks.get(cid.toString())

  put = (cid: CID, bytes: Uint8Array) => {
    this.puts++
    this.blocks.set(cid.toString(), bytes)
  }
}

interface File {
  readonly path: string
  readonly cid: CID
  readonly sizeBytes: number
}

const fileAt = (path: string, sizeBytes: number): File => ({
  path,
  cid: cidOfDigest(sha256(Buffer.from(`${path} ${sizeBytes}`)), RAW),
  sizeBytes,
})

async function built(files: readonly File[]) {
  const store = new MemoryNodes()
  const sorted = files.toSorted((a, b) => compareBytes(Buffer.from(a.path), Buffer.from(b.path)))
  const packed = sorted.map(({ path, cid, sizeBytes }) => ({ path, sizeBytes, content: cid.bytes }))
  return { root: String(await buildDirectory(packed, store)), store }
}

async function updated(files: readonly File[]) {
  const store = new MemoryNodes()
  const changes = files.map(({ path, ...file }) => ({ path, file }))
  return { root: String(await updateDirectory(undefined, changes, store)), store }
}

/** No path is a prefix of another: files have a suffix that directories do not have. */
const paths = fc
  .array(fc.constantFrom('a', 'a.b', 'b', 'ä', '/', '-'), { maxLength: 4 })
  .map((parts) => [...parts.filter((part) => part !== '/'), 'x.bin'].join('/'))

describe('buildDirectory', () => {
  test('makes the directory that updates make', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.tuple(paths, fc.nat(5_000_000)), { selector: ([path]) => path }),
        async (entries) => {
          const files = entries.map(([path, size]) => fileAt(path, size))
          const [one, other] = [await built(files), await updated(files)]
          expect(one.root).toBe(other.root)
          expect([...one.store.blocks.keys()].sort()).toEqual([...other.store.blocks.keys()].sort())
        },
      ),
    )
  })

  test('makes HAMTs beside and below flat directories, each node once', async () => {
    const many = Array.from({ length: 7_000 }, (_, i) => fileAt(`images/cell-${i}.jpg`, i))
    const nested = Array.from({ length: 5_000 }, (_, i) => fileAt(`images/set ${i}/one`, i))
    const files = [...many, ...nested, fileAt('notes.txt', 3), fileAt('images.txt', 4)]
    const [one, other] = [await built(files), await updated(files)]
    expect(one.root).toBe(other.root)
    expect(one.store.puts).toBe(other.store.puts)
  })

  test('turns to a HAMT at exactly the size at which updates do', async () => {
    const many = Array.from({ length: 5_600 }, (_, i) => fileAt(String(i).padStart(5, '0'), 1))
    for (const count of [4_700, 4_800, 4_900, 5_000, 5_200, 5_600]) {
      const files = many.slice(0, count)
      expect((await built(files)).root).toBe((await updated(files)).root)
    }
  })

  test('makes an empty directory of nothing', async () => {
    expect((await built([])).root).toBe((await updated([])).root)
  })
})
