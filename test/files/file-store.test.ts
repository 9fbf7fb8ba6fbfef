import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import type { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import { openDiskBlocks } from '../../src/files/block-store.ts'
import { memoryBlocks } from '../../src/files/blocks.ts'
import { createFileStore } from '../../src/files/file-store.ts'
import { cidFor, DAG_PB } from '../conformance/blocks-suite.ts'
import { collect } from '../conformance/collect.ts'
import { fileStoreSuite, pattern } from '../conformance/file-store-suite.ts'
import { temporaryFolder } from './temporary-folder.ts'

fileStoreSuite('in memory', async () => ({
  files: createFileStore(memoryBlocks()),
  dispose: async () => undefined,
}))

fileStoreSuite('on disk', async () => {
  const folder = await temporaryFolder()
  const blocks = await openDiskBlocks(folder.path)
  return {
    files: createFileStore(blocks),
    async dispose() {
      await blocks.close()
      await folder.remove()
    },
  }
})

/** Stores a node of a file as somebody else's software, or an attacker, may write it. */
async function nodeOf(
  blocks: ReturnType<typeof memoryBlocks>,
  children: { cid: CID; sizeBytes: number }[],
  data?: Uint8Array,
): Promise<CID> {
  const blockSizes = children.map(({ sizeBytes }) => BigInt(sizeBytes))
  const entry = new UnixFS({ type: 'file', blockSizes, ...(data && { data }) })
  const Links = children.map(({ cid, sizeBytes }) => ({ Name: '', Hash: cid, Tsize: sizeBytes }))
  const bytes = dagPb.encode({ Data: entry.marshal(), Links })
  await blocks.put(cidFor(bytes, DAG_PB), bytes)
  return cidFor(bytes, DAG_PB)
}

test('reads files whose nodes hold bytes themselves', async () => {
  const blocks = memoryBlocks()
  const files = createFileStore(blocks)
  const leaf = await nodeOf(blocks, [], pattern(100))
  const root = await nodeOf(blocks, [{ cid: leaf, sizeBytes: 100 }], pattern(50, 3))
  const bytes = Buffer.concat(await collect(files.read(root)))
  expect(bytes.equals(Buffer.concat([pattern(50, 3), pattern(100)]))).toBe(true)
  const part = Buffer.concat(await collect(files.read(root, { offset: 49, lengthBytes: 2 })))
  expect(part.equals(bytes.subarray(49, 51))).toBe(true)
})

test('a node that states other sizes than its children have gives BAD_BLOCK', async () => {
  const blocks = memoryBlocks()
  const files = createFileStore(blocks)
  const { cid } = await files.put([pattern(100)])
  const root = await nodeOf(blocks, [{ cid, sizeBytes: 99 }])
  await expect(collect(files.read(root))).rejects.toMatchObject({ code: 'BAD_BLOCK' })
})

test('what is not a file gives BAD_BLOCK, and its links are walked all the same', async () => {
  const blocks = memoryBlocks()
  const files = createFileStore(blocks)
  const { cid } = await files.put([pattern(100)])
  const folder = dagPb.encode({
    Data: new UnixFS({ type: 'directory' }).marshal(),
    Links: [{ Name: 'a', Hash: cid, Tsize: 100 }],
  })
  const root = cidFor(folder, DAG_PB)
  await blocks.put(root, folder)
  await expect(collect(files.read(root))).rejects.toMatchObject({ code: 'BAD_BLOCK' })
  const walked = (await collect(files.walk(root))).map(({ cid }) => String(cid))
  expect(walked).toEqual([String(root), String(cid)])
})

test('a long chain of nodes is not followed', async () => {
  const blocks = memoryBlocks()
  const files = createFileStore(blocks)
  let { cid } = await files.put([pattern(10)])
  for (let i = 0; i < 100; i++) cid = await nodeOf(blocks, [{ cid, sizeBytes: 10 }])
  await expect(collect(files.read(cid))).rejects.toMatchObject({ code: 'BAD_BLOCK' })
})
