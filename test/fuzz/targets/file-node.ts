// One block that is said to be part of a UnixFS file or directory.
import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { cidOfDigest } from '../../../src/core/ids.ts'
import { sha256 } from '../../../src/crypto.ts'
import { linksOf, parseFileNode } from '../../../src/files/dag.ts'
import { directoryChanges } from '../../../src/files/directory-diff.ts'
import { cidBytes } from '../seeds.ts'
import { allowing, allowingLater, hold, type Target } from '../target.ts'

const leaf = CID.decode(cidBytes(0x55))
const node = (unixfs: UnixFS, links: readonly { Name?: string; Tsize?: number }[] = []) =>
  dagPb.encode({
    Data: unixfs.marshal(),
    Links: links.map((link) => ({ Name: '', Tsize: 5, Hash: leaf, ...link })),
  })
const hamt = () => ({ type: 'hamt-sharded-directory', hashType: 0x22n, fanout: 256n }) as const

export const target: Target = {
  seeds: () => [
    node(new UnixFS({ type: 'file', data: new Uint8Array(5) })),
    node(new UnixFS({ type: 'file', blockSizes: [5n, 7n] }), [{}, {}]),
    node(new UnixFS({ type: 'raw', data: new Uint8Array(3) })),
    node(new UnixFS({ type: 'directory' }), [{ Name: 'a' }, { Name: 'b' }]),
    node(new UnixFS({ ...hamt(), data: Uint8Array.of(3) }), [{ Name: '00a' }, { Name: '01b' }]),
    node(new UnixFS({ ...hamt(), data: Uint8Array.of(3) }), [{ Name: '00' }, { Name: 'FFb' }]),
    dagPb.encode({ Links: [] }),
  ],
  words: [
    Uint8Array.of(0x0a),
    Uint8Array.of(0x12, 0x2c, 0x0a, 0x24),
    cidBytes(0x70),
    cidBytes(0x55),
  ],
  isAsync: true,
  check: async (bytes) => {
    const cid = cidOfDigest(sha256(bytes), dagPb.code)
    const links = allowing(['BAD_BLOCK'], () => linksOf(cid, bytes))
    hold((links?.length ?? 0) <= bytes.length, 'links')
    const parsed = allowing(['BAD_BLOCK'], () => parseFileNode(cid, bytes))
    if (parsed) {
      const { data, children, sizeBytes } = parsed
      hold(data.length <= bytes.length && children.length <= bytes.length, 'sizes')
      hold(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0, `a file of ${sizeBytes} bytes`)
      const sum = children.reduce((total, child) => total + child.sizeBytes, data.length)
      hold(sum === sizeBytes, `parts of ${sum} bytes in a file of ${sizeBytes}`)
    }
    const source = {
      get: async (asked: CID) => (asked.equals(cid) ? bytes : undefined),
      isFile: async () => true,
    }
    await allowingLater(['BAD_BLOCK', 'NOT_HERE'], async () => {
      let count = 0
      for await (const change of directoryChanges(undefined, cid, source)) {
        hold(change.after !== undefined, 'a file of nothing')
        if (++count >= 50) return
      }
    })
  },
}
