// Nodes of the Merkle trie, as peers send them and as this node keeps its own.
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { GonkError, isRejection } from '../../../src/core/errors.ts'
import { cidOfDigest } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import {
  decodeTrieNode,
  encodeEntry,
  loadDraft,
  loadNode,
  storeNode,
  type TrieNode,
  valueOfEntry,
} from '../../../src/core/trie-node.ts'
import { sha256 } from '../../../src/crypto.ts'
import { cborWords, cidBytes } from '../seeds.ts'
import { allowingLater, hold, holdRefusal, holdSame, type Target } from '../target.ts'

const link = (fill: number) => CID.decode(cidBytes(0x71, fill))
const key = (fill: number) => new Uint8Array(32).fill(fill)

const samples: readonly unknown[] = [
  { e: [] },
  { e: [[key(1), link(2)]] },
  { e: [...Array(30).keys()].map((i) => [key(i), { name: 'a', n: i }]) },
  { e: [[key(1), null, link(3)]] },
  { c: [...Array(16).keys()].map((i) => (i % 3 === 0 ? link(i) : null)), n: 40 },
]

/** The one encoding of a node, made by the code that makes our own. */
async function encoded(node: TrieNode): Promise<CID> {
  const sink = { sha256, put: () => undefined }
  if (node.kind === 'inner') return storeNode(node, sink)
  const entries = []
  for (const { key, value, link } of node.entries) {
    const item = dagCbor.encode([Buffer.from(key, 'hex'), null, link ?? null])
    entries.push(link ? { key, item } : await encodeEntry({ key, value }, sink))
  }
  return storeNode({ kind: 'leaf', entries }, sink)
}

export const target: Target = {
  seeds: () => samples.map((sample) => dagCbor.encode(sample)),
  words: cborWords,
  isAsync: true,
  check: async (bytes) => {
    const cid = cidOfDigest(sha256(bytes))
    const source = { get: async () => bytes }
    const draft = await allowingLater(['BAD_BLOCK'], () => loadDraft(cid, '', source))
    const node = decodeTrieNode(bytes)
    if (isRejection(node)) {
      holdRefusal(node)
      const loaded = await loadNode(cid, '', source).catch((error: unknown) => error)
      hold(loaded instanceof GonkError && loaded.code === 'BAD_BLOCK', 'a bad node is loaded')
      return
    }
    hold((await encoded(node)).equals(cid), 'a node encoded again')
    if (node.kind === 'inner') return
    hold(node.entries.length <= limits.trieLeafEntriesMax, 'entries')
    hold(draft?.kind === 'leaf', 'a leaf that is not read as our own')
    const keys = node.entries.map(({ key }) => key)
    holdSame(draft.kind === 'leaf' && draft.entries.map(({ key }) => key), keys, 'keys')
    for (const entry of node.entries) {
      await allowingLater(['BAD_BLOCK'], () => valueOfEntry(entry, source))
    }
  },
}
