// The blocks that hang off a root and live in the database: snapshot, tries, records, directories.
// Events and content are linked from them and are not among them.
import * as dagCbor from '@ipld/dag-cbor'
import * as dagPb from '@ipld/dag-pb'
import * as Block from 'multiformats/block'
import type { CID } from 'multiformats/cid'
import type { BlockCodec } from 'multiformats/codecs/interface'
import * as raw from 'multiformats/codecs/raw'
import type { NodeBlocks } from '../../log/node-blocks.ts'

/**
 * Every block of a tree, each once, the root first.
 * @param seen texts of CIDs to pass over; those yielded are added.
 */
export async function* treeBlocks(
  nodes: Pick<NodeBlocks, 'node'>,
  root: CID,
  seen: Set<string> = new Set(),
): AsyncGenerator<{ cid: CID; bytes: Uint8Array }> {
  const open = [root]
  for (let cid = open.pop(); cid !== undefined; cid = open.pop()) {
    if (seen.has(cid.toString())) continue
    const bytes = await nodes.node(cid)
    if (bytes === undefined) continue
    seen.add(cid.toString())
    yield { cid, bytes }
    for (const [, link] of Block.createUnsafe({ bytes, cid, codec: codecOf(cid) }).links()) {
      if (link.code !== raw.code) open.push(link as CID)
    }
  }
}

function codecOf(cid: CID): BlockCodec<number, unknown> {
  return (cid.code === dagPb.code ? dagPb : dagCbor) as BlockCodec<number, unknown>
}
