// What every Blocks must do, in memory or on disk.
import { sha256 } from '@noble/hashes/sha2.js'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { collect } from './collect.ts'
import type { ListedBlocks } from '../../src/files/blocks.ts'

export const RAW = 0x55
export const DAG_PB = 0x70

export function cidFor(bytes: Uint8Array, codec = RAW): CID {
  return CID.createV1(codec, Digest.create(0x12, sha256(bytes)))
}

export interface BlocksUnderTest {
  readonly blocks: ListedBlocks
  dispose(): Promise<void>
}

export function blocksSuite(name: string, make: () => Promise<BlocksUnderTest>): void {
  describe(`blocks: ${name}`, () => {
    let under: BlocksUnderTest
    let blocks: ListedBlocks
    const bytes = new TextEncoder().encode('a block')
    const cid = cidFor(bytes)

    beforeEach(async () => {
      under = await make()
      blocks = under.blocks
    })
    afterEach(() => under.dispose())

    test('an unknown block is absent', async () => {
      expect(await blocks.get(cid)).toBeUndefined()
      expect(await blocks.has(cid)).toBe(false)
    })

    test('a block that was put is there', async () => {
      await blocks.put(cid, bytes)
      expect(await blocks.get(cid)).toEqual(bytes)
      expect(await blocks.has(cid)).toBe(true)
    })

    test('an empty block is a block', async () => {
      const empty = new Uint8Array(0)
      await blocks.put(cidFor(empty), empty)
      expect(await blocks.has(cidFor(empty))).toBe(true)
      expect(await blocks.get(cidFor(empty))).toEqual(empty)
    })

    test('putting a block again, also at the same time, changes nothing', async () => {
      await Promise.all([1, 2, 3, 4].map(() => blocks.put(cid, bytes)))
      await blocks.put(cid, bytes)
      expect(await blocks.get(cid)).toEqual(bytes)
      expect((await collect(blocks.list())).map(String)).toEqual([String(cid)])
    })

    test('a deleted block is absent, and may be deleted again and put again', async () => {
      await blocks.put(cid, bytes)
      await blocks.delete(cid)
      await blocks.delete(cid)
      expect(await blocks.get(cid)).toBeUndefined()
      await blocks.put(cid, bytes)
      expect(await blocks.has(cid)).toBe(true)
    })

    test('lists every block with the CID it was put under', async () => {
      const put = [0, 1, 2, 3, 4, 5].map((i) => {
        const block = Uint8Array.of(i)
        return { cid: cidFor(block, i % 2 === 0 ? RAW : DAG_PB), block }
      })
      await Promise.all(put.map(({ cid, block }) => blocks.put(cid, block)))
      const listed = (await collect(blocks.list())).map(String).sort()
      expect(listed).toEqual(put.map(({ cid }) => String(cid)).sort())
    })

    test('the two versions of a CID name the same block', async () => {
      const v1 = cidFor(bytes, DAG_PB)
      const v0 = CID.createV0(v1.multihash as Parameters<typeof CID.createV0>[0])
      await blocks.put(v0, bytes)
      expect(await blocks.get(v1)).toEqual(bytes)
      await blocks.delete(v1)
      expect(await blocks.has(v0)).toBe(false)
    })
  })
}
