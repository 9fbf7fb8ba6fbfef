// The nodes of the Merkle trie as blocks: one node has one encoding, and nothing else is taken for one.
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { GonkError, isRejection, quoted, type Rejection } from './errors.ts'
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

/** An entry as it stands in a leaf. Updating moves entries about and never looks into their values. */
export interface EncodedEntry {
  readonly key: string
  readonly item: Uint8Array
}

/** A node that is being made. */
export type DraftNode =
  | { readonly kind: 'leaf'; readonly entries: readonly EncodedEntry[] }
  | Extract<TrieNode, { kind: 'inner' }>

/** {"e": … }, and array of 2, bytes of length 32. */
const LEAF_HEAD = Uint8Array.of(0xa1, 0x61, 0x65)
/** Of a list of 24 entries and more; the length follows in a byte. */
const LONG_LIST = 0x98
const KEY_AT = 3
const VALUE_AT = KEY_AT + KEY_DIGITS / 2

/** The entry, its value stored as a block of its own when it is large. */
export async function encodeEntry(
  { key, value }: { key: string; value: unknown },
  sink: BlockSink,
): Promise<EncodedEntry> {
  const item = dagCbor.encode([bytesOfHex(key), value])
  if (item.length - VALUE_AT <= VALUE_INLINE_BYTES_MAX) return { key, item }
  const link = await putBytes(item.slice(VALUE_AT), sink)
  return { key, item: dagCbor.encode([bytesOfHex(key), null, link]) }
}

/** Stores the node. @returns its CID. */
export async function storeNode(node: DraftNode, sink: BlockSink): Promise<CID> {
  if (node.kind === 'inner') {
    return putValue({ c: node.children.map((child) => child ?? null), n: node.count }, sink)
  }
  const items = node.entries.map(({ item }) => item)
  const { length } = items
  const listHead = length < 24 ? Uint8Array.of(0x80 + length) : Uint8Array.of(LONG_LIST, length)
  return putBytes(concat([LEAF_HEAD, listHead, ...items]), sink)
}

/** A node of our own making, whose values are left as they are. @throws NOT_HERE, BAD_BLOCK. */
export async function loadDraft(cid: CID, prefix: string, source: NodeSource): Promise<DraftNode> {
  const bytes = await load(cid, source)
  if (!LEAF_HEAD.every((byte, i) => byte === bytes[i])) {
    const node = await loadNode(cid, prefix, { get: async () => bytes })
    if (node.kind === 'leaf') throw new GonkError('BAD_BLOCK', `trie node ${cid} is no node`)
    return node
  }
  const isLong = bytes[LEAF_HEAD.length] === LONG_LIST
  let at = LEAF_HEAD.length + (isLong ? 2 : 1)
  const entries: EncodedEntry[] = []
  while (at < bytes.length) {
    const item = bytes.subarray(at, endOfItem(bytes, at))
    const key = hexOf(item.subarray(KEY_AT, VALUE_AT))
    if (!key.startsWith(prefix)) throw new GonkError('BAD_BLOCK', `trie node ${cid} is misplaced`)
    entries.push({ key, item })
    at += item.length
  }
  return { kind: 'leaf', entries }
}

/** Of a leaf of our own making, without a look at the rest; undefined: no leaf, or an empty one. */
export function firstKeyOf(bytes: Uint8Array): string | undefined {
  if (!LEAF_HEAD.every((byte, i) => byte === bytes[i])) return undefined
  const at = LEAF_HEAD.length + (bytes[LEAF_HEAD.length] === LONG_LIST ? 2 : 1)
  const key = bytes.subarray(at + KEY_AT, at + VALUE_AT)
  return key.length === VALUE_AT - KEY_AT ? hexOf(key) : undefined
}

/** Where the CBOR item that starts at `at` ends. */
function endOfItem(bytes: Uint8Array, at: number): number {
  for (let pending = 1; pending > 0; pending--) {
    const head = bytes[at++] ?? 0xff
    const major = head >> 5
    let argument = head & 31
    if (argument > 27) throw new GonkError('BAD_BLOCK', 'trie node: not dag-cbor')
    if (argument >= 24) {
      const end = at + 2 ** (argument - 24)
      for (argument = 0; at < end; at++) argument = argument * 256 + (bytes[at] ?? 0)
    }
    if (major === 2 || major === 3) at += argument
    if (major === 4) pending += argument
    if (major === 5) pending += 2 * argument
    if (major === 6) pending += 1
    if (at > bytes.length) throw new GonkError('BAD_BLOCK', 'trie node: not dag-cbor')
  }
  return at
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((total, part) => total + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** Stores `value` as a block of dag-cbor. */
export function putValue(value: unknown, sink: BlockSink): Promise<CID> {
  return putBytes(dagCbor.encode(value), sink)
}

async function putBytes(bytes: Uint8Array, sink: BlockSink): Promise<CID> {
  const cid = cidOfDigest(sink.sha256(bytes))
  const done = sink.put(cid, bytes)
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
      const mayBeLarge = nodeBytes > VALUE_INLINE_BYTES_MAX
      if (mayBeLarge && dagCbor.encode(value).length > VALUE_INLINE_BYTES_MAX) return undefined
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
    return { refused: 'not-canonical', what: quoted((error as Error).message) }
  }
}

/**
 * The node whose keys all start with `prefix`.
 * @throws NOT_HERE, BAD_BLOCK when there is no such node in the block.
 */
export async function loadNode(cid: CID, prefix: string, source: NodeSource): Promise<TrieNode> {
  const node = decodedOnce(await load(cid, source))
  if (isRejection(node)) throw new GonkError('BAD_BLOCK', `trie node ${cid}: ${node.what}`)
  const isPlaced =
    node.kind === 'inner'
      ? prefix.length < KEY_DIGITS
      : node.entries.every(({ key }) => key.startsWith(prefix)) &&
        (node.entries.length > 0 || prefix === '')
  if (!isPlaced) throw new GonkError('BAD_BLOCK', `trie node ${cid} is not under ${prefix}`)
  return node
}

/** Inner nodes by their block: the upper ones are read again and again, and sources keep them. */
const innerNodes = new WeakMap<Uint8Array, TrieNode>()

function decodedOnce(bytes: Uint8Array): TrieNode | Rejection {
  const known = innerNodes.get(bytes)
  if (known) return known
  const node = decodeTrieNode(bytes)
  if (!isRejection(node) && node.kind === 'inner') innerNodes.set(bytes, node)
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
