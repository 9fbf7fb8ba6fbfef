// The nodes of the Merkle trie as blocks: one node has one encoding, and nothing else is taken for one.
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { GonkError, isRejection, type Rejection } from './errors.ts'
import { bytesOfHex, cidOfDigest, compareBytes, hexOf, type Sha256 } from './ids.ts'
import { limits } from './limits.ts'

/** Blocks by CID, verified; undefined when a block is not there. */
export interface NodeSource {
  get(cid: CID): Promise<Uint8Array | undefined>
}

/** Where new blocks go. */
export interface BlockSink {
  put(cid: CID, bytes: Uint8Array): void | Promise<void>
  readonly sha256: Sha256
}

export interface TrieStore extends BlockSink {
  readonly source: NodeSource
}

/** A value of more than 8 KiB is a block of its own: `link` is there and `value` is not. */
export interface TrieEntry {
  readonly key: string
  readonly value?: unknown
  readonly link?: CID
}

/** Up to 32 entries are a leaf, sorted by key; more are an inner node. */
export type TrieNode =
  | { readonly kind: 'leaf'; readonly entries: readonly TrieEntry[] }
  | {
      readonly kind: 'inner'
      readonly count: number
      /** 16, by the next hex digit of the key. */
      readonly children: readonly (CID | undefined)[]
    }

export const VALUE_INLINE_BYTES_MAX = 8 * 1024
const NODE_BYTES_MAX = limits.trieLeafEntriesMax * (VALUE_INLINE_BYTES_MAX + 64) + 64
export const KEY_DIGITS = 64
export const BRANCHES = 16

/** Stores the node. @returns its CID. */
export async function storeNode(node: TrieNode, store: TrieStore): Promise<CID> {
  if (node.kind === 'inner') {
    return putValue({ c: node.children.map((child) => child ?? null), n: node.count }, store)
  }
  let wire = node.entries.map(wireOfEntry)
  let bytes = dagCbor.encode({ e: wire })
  if (bytes.length > VALUE_INLINE_BYTES_MAX) {
    wire = []
    for (const entry of node.entries) {
      const isLarge = !entry.link && isLargeValue(entry.value)
      wire.push(
        wireOfEntry(isLarge ? { key: entry.key, link: await putValue(entry.value, store) } : entry),
      )
    }
    bytes = dagCbor.encode({ e: wire })
  }
  return putBytes(bytes, store)
}

function wireOfEntry({ key, value, link }: TrieEntry): unknown[] {
  return link ? [bytesOfHex(key), null, link] : [bytesOfHex(key), value]
}

function isLargeValue(value: unknown): boolean {
  return dagCbor.encode(value).length > VALUE_INLINE_BYTES_MAX
}

/** Stores `value` as a block of dag-cbor. */
export function putValue(value: unknown, store: BlockSink): Promise<CID> {
  return putBytes(dagCbor.encode(value), store)
}

async function putBytes(bytes: Uint8Array, store: BlockSink): Promise<CID> {
  const cid = cidOfDigest(store.sha256(bytes))
  const done = store.put(cid, bytes)
  if (done) await done
  return cid
}

/**
 * Strict: one node has one encoding, in a bounded number of bytes. What only the place of a node can
 * tell (that all keys share the digits that lead here) is checked by whoever walks.
 */
export function decodeTrieNode(bytes: Uint8Array): TrieNode | Rejection {
  if (bytes.length > NODE_BYTES_MAX) return { refused: 'too-large', what: 'trie node' }
  const decoded = decodeCanonical(bytes)
  if (isRejection(decoded)) return decoded
  const wire = decoded.value
  const node = isMapOf(wire, ['e']) ? leafOf(wire['e'], bytes.length) : innerOf(wire)
  return node ?? { refused: 'malformed', what: 'trie node' }
}

function leafOf(list: unknown, nodeBytes: number): TrieNode | undefined {
  if (!Array.isArray(list) || list.length > limits.trieLeafEntriesMax) return undefined
  const entries: TrieEntry[] = []
  for (const item of list as unknown[]) {
    if (!Array.isArray(item) || !(item[0] instanceof Uint8Array)) return undefined
    const [digest, value, link] = item as [Uint8Array, unknown, unknown]
    if (digest.length !== KEY_DIGITS / 2) return undefined
    const key = hexOf(digest)
    if (entries.length > 0 && key <= (entries.at(-1) as TrieEntry).key) return undefined
    if (item.length === 3) {
      if (value !== null || !isNodeLink(link)) return undefined
      entries.push({ key, link })
    } else {
      if (item.length !== 2) return undefined
      if (nodeBytes > VALUE_INLINE_BYTES_MAX && isLargeValue(value)) return undefined
      entries.push({ key, value })
    }
  }
  return { kind: 'leaf', entries }
}

function innerOf(wire: unknown): TrieNode | undefined {
  if (!isMapOf(wire, ['c', 'n'])) return undefined
  const { c: links, n: count } = wire as { c: unknown; n: unknown }
  if (!Number.isSafeInteger(count) || (count as number) <= limits.trieLeafEntriesMax)
    return undefined
  if (!Array.isArray(links) || links.length !== BRANCHES) return undefined
  if (!links.every((link) => link === null || isNodeLink(link))) return undefined
  const children = links.map((link: CID | null) => link ?? undefined)
  if (children.every((child) => child === undefined)) return undefined
  return { kind: 'inner', count: count as number, children }
}

function isNodeLink(value: unknown): value is CID {
  const cid = CID.asCID(value)
  return cid?.code === dagCbor.code && cid.multihash.code === 0x12 && cid.byteLength === 36
}

function isMapOf(value: unknown, keys: string[]): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const own = Object.keys(value)
  return own.length === keys.length && keys.every((key, i) => own[i] === key)
}

/** dag-cbor that is encoded the one way. The caller has bounded the size. */
export function decodeCanonical(bytes: Uint8Array): { value: unknown } | Rejection {
  try {
    const value: unknown = dagCbor.decode(bytes)
    if (compareBytes(dagCbor.encode(value), bytes) === 0) return { value }
    return { refused: 'not-canonical', what: 'another encoding of the same' }
  } catch (error) {
    return { refused: 'not-canonical', what: (error as Error).message }
  }
}

/**
 * The node whose keys all start with `prefix`.
 * @throws NOT_HERE, BAD_BLOCK when there is no such node in the block.
 */
export async function loadNode(cid: CID, prefix: string, source: NodeSource): Promise<TrieNode> {
  const node = decodeTrieNode(await load(cid, source))
  if (isRejection(node)) throw new GonkError('BAD_BLOCK', `trie node ${cid}: ${node.what}`)
  const isPlaced =
    node.kind === 'inner'
      ? prefix.length < KEY_DIGITS
      : node.entries.every(({ key }) => key.startsWith(prefix)) &&
        (node.entries.length > 0 || prefix === '')
  if (!isPlaced) throw new GonkError('BAD_BLOCK', `trie node ${cid} is not under ${prefix}`)
  return node
}

async function load(cid: CID, source: NodeSource): Promise<Uint8Array> {
  const bytes = await source.get(cid)
  if (!bytes) throw new GonkError('NOT_HERE', `trie node ${cid} is not here`)
  return bytes
}

/** The value of an entry, from its own block when it is large. @throws NOT_HERE, BAD_BLOCK. */
export async function valueOfEntry(entry: TrieEntry, source: NodeSource): Promise<unknown> {
  if (!entry.link) return entry.value
  const bytes = await load(entry.link, source)
  const isSized = bytes.length > VALUE_INLINE_BYTES_MAX && bytes.length <= limits.blockBytesMax
  const decoded = isSized ? decodeCanonical(bytes) : undefined
  if (!decoded || isRejection(decoded)) throw new GonkError('BAD_BLOCK', `trie value ${entry.link}`)
  return decoded.value
}
