import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { importFile } from 'ipfs-unixfs-importer'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { describe, expect, test } from 'vitest'
import { addSizes, dagSizeOf } from '../../src/files/dag-size.ts'

const MiB = 1024 * 1024

describe('dagSizeOf', () => {
  test.each([0, 1, 1000, MiB - 1, MiB, MiB + 1, 2 * MiB, 5 * MiB + 12_345, 21 * MiB])(
    'is what a real import of %i bytes sums up to',
    async (sizeBytes) => {
      const discard = { put: (cid: CID) => cid }
      const imported = await importFile({ content: new Uint8Array(sizeBytes) }, discard, {
        profile: 'unixfs-v1-2025',
      })
      expect(dagSizeOf(sizeBytes)).toBe(Number(imported.size))
    },
  )

  test.each([
    1024 * MiB,
    1024 * MiB + 1,
    1025 * MiB,
    3000 * MiB + 77,
    1024 * 1024 * MiB,
    1024 * 1024 * MiB + 1,
    1030 * 1024 * MiB + 5 * MiB + 3,
  ])('is the sum of the dag-pb blocks of a file of %i bytes', (sizeBytes) => {
    expect(dagSizeOf(sizeBytes)).toBe(sizeOfBuiltDag(sizeBytes))
  })

  test('never exceeds what a Tsize can say, whatever size is claimed', () => {
    expect(dagSizeOf(Number.MAX_SAFE_INTEGER)).toBe(Number.MAX_SAFE_INTEGER)
    expect(addSizes(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)).toBe(Number.MAX_SAFE_INTEGER)
  })
})

/** Builds every node of the balanced tree as the importer does, but without any content. */
function sizeOfBuiltDag(sizeBytes: number): number {
  const someCid = CID.createV1(0x55, Digest.create(0x12, new Uint8Array(32)))
  let level: { fileBytes: number; dagBytes: number }[] = []
  for (let left = sizeBytes; left > 0; left -= MiB) {
    level.push({ fileBytes: Math.min(left, MiB), dagBytes: Math.min(left, MiB) })
  }
  const sizes = new Map<string, number>()
  do {
    const parents: typeof level = []
    for (let i = 0; i < level.length; i += 1024) {
      const children = level.slice(i, i + 1024)
      const shape = JSON.stringify([children.length, children[0], children.at(-1)])
      let blockBytes = sizes.get(shape)
      if (blockBytes === undefined) {
        const blockSizes = children.map(({ fileBytes }) => BigInt(fileBytes))
        const Data = new UnixFS({ type: 'file', blockSizes }).marshal()
        const Links = children.map(({ dagBytes }) => ({ Hash: someCid, Name: '', Tsize: dagBytes }))
        blockBytes = dagPb.encode({ Data, Links }).length
        sizes.set(shape, blockBytes)
      }
      parents.push({
        fileBytes: children.reduce((sum, child) => sum + child.fileBytes, 0),
        dagBytes: children.reduce((sum, child) => sum + child.dagBytes, blockBytes),
      })
    }
    level = parents
  } while (level.length > 1)
  return (level[0] as { dagBytes: number }).dagBytes
}
