// What every FileStore must do, over any blocks.
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { exporter } from 'ipfs-unixfs-exporter'
import { importByteStream } from 'ipfs-unixfs-importer'
import { MemoryBlockstore } from 'blockstore-core'
import type { CID } from 'multiformats/cid'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { collect } from './collect.ts'
import type { FileStore } from '../../src/ports.ts'

const MiB = 1024 * 1024

export interface FileStoreUnderTest {
  readonly files: FileStore
  dispose(): Promise<void>
}

/** Bytes that differ from place to place, the same for the same seed. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length)
  const words = new Uint32Array(bytes.buffer, 0, length >>> 2)
  let x = seed | 1
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    words[i] = x
  }
  for (let i = words.length * 4; i < length; i++) bytes[i] = seed + i
  return bytes
}

export async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < bytes.length; i += pieceBytes) yield bytes.subarray(i, i + pieceBytes)
}

async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await collect(source))
}

/** The CID that stock IPFS software gives the bytes with profile unixfs-v1-2025. */
async function stockImport(bytes: Uint8Array) {
  const store = new MemoryBlockstore()
  const { cid } = await importByteStream(inPieces(bytes, 300_000), store, {
    profile: 'unixfs-v1-2025',
  })
  return { cid, store }
}

export function fileStoreSuite(name: string, make: () => Promise<FileStoreUnderTest>): void {
  describe(`file store: ${name}`, () => {
    let under: FileStoreUnderTest
    let files: FileStore
    beforeEach(async () => {
      under = await make()
      files = under.files
    })
    afterEach(() => under.dispose())

    const sizes = [0, 1, 20_000, MiB - 1, MiB, MiB + 1, 2 * MiB, 5 * MiB + 12_345]
    test.each(sizes)('a file of %i bytes has the CID stock software gives it', async (size) => {
      const bytes = pattern(size)
      const { cid } = await stockImport(bytes)
      for (const pieceBytes of [65_536, 3 * MiB]) {
        const stored = await files.put(inPieces(bytes, pieceBytes))
        expect(String(stored.cid)).toBe(String(cid))
        expect(stored.sizeBytes).toBe(size)
      }
      expect((await bytesOf(files.read(cid))).equals(bytes)).toBe(true)
    })

    test('more than 1,024 chunks make a tree that stock software reads', async () => {
      const piece = pattern(MiB)
      const source = (function* () {
        for (let i = 0; i < 1025; i++) yield piece
      })()
      const { cid, sizeBytes } = await files.put(source)
      expect(sizeBytes).toBe(1025 * MiB)
      const walked: CID[] = []
      for await (const block of files.walk(cid)) {
        expect(block.bytes).toBeDefined()
        walked.push(block.cid)
      }
      // Root, two inner nodes, and the one leaf they all share.
      expect(walked).toHaveLength(4)
      const last = await bytesOf(files.read(cid, { offset: 1024 * MiB - 10 }))
      expect(last.length).toBe(MiB + 10)
      expect(last.subarray(10).equals(piece)).toBe(true)
    })

    test('any part of a file is what the stock exporter gives', async () => {
      const bytes = pattern(4 * MiB + 777, 5)
      const { cid, store } = await stockImport(bytes)
      await files.put([bytes])
      const entry = await exporter(cid, store)
      if (entry.type !== 'file') throw new Error(entry.type)
      const offsets = fc.integer({ min: 0, max: bytes.length })
      await fc.assert(
        fc.asyncProperty(offsets, fc.integer({ min: 0, max: 2 * MiB }), async (offset, length) => {
          const lengthBytes = Math.min(length, bytes.length - offset)
          const ours = await bytesOf(files.read(cid, { offset, lengthBytes }))
          const theirs = await bytesOf(entry.content({ offset, length: lengthBytes }))
          return ours.equals(theirs)
        }),
        { numRuns: 50 },
      )
    })

    test('reading past the end gives what there is', async () => {
      const { cid } = await files.put([pattern(10)])
      expect((await bytesOf(files.read(cid, { offset: 8, lengthBytes: 100 }))).length).toBe(2)
      expect((await bytesOf(files.read(cid, { offset: 10 }))).length).toBe(0)
    })

    test('reading a file of which a block is missing throws NOT_HERE', async () => {
      const { cid } = await files.put([pattern(3 * MiB)])
      const blocks = await collect(files.walk(cid))
      const leaf = blocks[2]?.cid as CID
      await files.blocks.delete(leaf)
      await expect(bytesOf(files.read(cid))).rejects.toMatchObject({
        code: 'NOT_HERE',
        details: { block: String(leaf) },
      })
      const again = await collect(files.walk(cid))
      expect(
        again.filter(({ bytes }) => bytes === undefined).map(({ cid }) => String(cid)),
      ).toEqual([String(leaf)])
      expect(again).toHaveLength(4)
    })

    test('walking a missing file yields its root without bytes', async () => {
      const { cid } = await files.put([pattern(10)])
      await files.blocks.delete(cid)
      expect(await collect(files.walk(cid))).toEqual([{ cid, bytes: undefined }])
    })

    test('lists every block', async () => {
      const { cid } = await files.put([pattern(3 * MiB)])
      const walked = (await collect(files.walk(cid))).map(({ cid }) => String(cid)).sort()
      expect((await collect(files.list())).map(String).sort()).toEqual(walked)
    })

    test('an aborted import and an aborted read throw CANCELLED', async () => {
      const controller = new AbortController()
      const endless = (async function* () {
        for (;;) {
          yield pattern(MiB)
          controller.abort()
        }
      })()
      const { signal } = controller
      await expect(files.put(endless, { signal })).rejects.toMatchObject({ code: 'CANCELLED' })
      const { cid } = await files.put([pattern(3 * MiB)])
      await expect(bytesOf(files.read(cid, { signal }))).rejects.toMatchObject({
        code: 'CANCELLED',
      })
    })

    test('a source that fails leaves the store usable and passes its error on', async () => {
      const failing = (async function* () {
        yield pattern(3 * MiB)
        throw new Error('the disk is gone')
      })()
      await expect(files.put(failing)).rejects.toThrow('the disk is gone')
      expect((await files.put([pattern(3 * MiB)])).sizeBytes).toBe(3 * MiB)
    })

    test('the digest of a small file is that of its bytes', async () => {
      const bytes = pattern(20_000)
      const { cid } = await files.put([bytes])
      expect(Buffer.from(cid.multihash.digest)).toEqual(createHash('sha256').update(bytes).digest())
    })
  })
}
