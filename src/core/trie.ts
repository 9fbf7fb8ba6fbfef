// A Merkle trie over 32-byte keys that are digests: 16 branches a node, and a form that depends on the
// set of entries alone, so equal sets have equal roots and different ones differ along few paths.
import type { CID } from 'multiformats/cid'
import { GonkError } from './errors.ts'
import { limits } from './limits.ts'
import {
  type BlockSink,
  type DraftNode,
  type EncodedEntry,
  encodeEntry,
  loadDraft,
  loadNode,
  type NodeSource,
  storeNode,
  type TrieEntry,
  type TrieNode,
  type TrieStore,
  valueOfEntry,
} from './trie-node.ts'

export {
  decodeTrieNode,
  firstKeyOf,
  type NodeSource,
  type TrieEntry,
  type TrieNode,
  type TrieStore,
  valueOfEntry,
} from './trie-node.ts'

/** `key`: 64 lower-case hex digits. `value`: anything dag-cbor can say; undefined removes the key. */
export interface TrieChange {
  readonly key: string
  readonly value: unknown
}

const DIGITS = '0123456789abcdef'
const CHANGES_BUFFERED = 512

// ---------------------------------------------------------------- updating

/**
 * Applies `changes` to the trie `root` (undefined: empty). Each node concerned is read and written once.
 * Of two changes of a key the later counts. With `sorted`, keys must come in ascending order, each
 * once, and are taken as they come: memory is then that of one path, however many there are.
 * @throws NOT_HERE, BAD_BLOCK when a node is missing or broken; INTERNAL for keys that are no keys.
 */
export async function updateTrie(
  root: CID | undefined,
  changes: Iterable<TrieChange> | AsyncIterable<TrieChange>,
  store: TrieStore,
  options: { readonly sorted?: boolean } = {},
): Promise<{ root: CID; count: number }> {
  const cursor = new Cursor(options.sorted ? changes : await sortedChanges(changes), store)
  const before = root && (await loadDraft(root, '', store.source))
  const node = await updated(before, '', cursor, store)
  await cursor.end()
  return { root: await storeNode(node, store), count: countOf(node) }
}

async function updated(
  node: DraftNode | undefined,
  prefix: string,
  cursor: Cursor,
  store: TrieStore,
): Promise<DraftNode> {
  if (node?.kind !== 'inner') {
    cursor.unread(node?.entries ?? [])
    return built(prefix, cursor, store)
  }
  const children: (CID | DraftNode | undefined)[] = [...node.children]
  let { count } = node
  for (const [i, digit] of [...DIGITS].entries()) {
    const below = prefix + digit
    if (!(await cursor.isUnder(below))) continue
    const child = node.children[i]
    const before = child && (await loadDraft(child, below, store.source))
    const after = await updated(before, below, cursor, store)
    count += countOf(after) - countOf(before)
    // A leaf may yet become part of this node, so it is stored only when this is known not to happen.
    if (countOf(after) === 0) children[i] = undefined
    else children[i] = after.kind === 'inner' ? await storeNode(after, store) : after
  }
  if (count > limits.trieLeafEntriesMax) {
    const links: (CID | undefined)[] = []
    for (const child of children) links.push(isNode(child) ? await storeNode(child, store) : child)
    return { kind: 'inner', count, children: links }
  }
  const entries: EncodedEntry[] = []
  for (const [i, child] of children.entries()) {
    if (!child) continue
    const leaf = isNode(child) ? child : await loadDraft(child, prefix + DIGITS[i], store.source)
    if (leaf.kind !== 'leaf') throw new GonkError('BAD_BLOCK', 'trie: wrong count')
    entries.push(...leaf.entries)
  }
  return { kind: 'leaf', entries }
}

/** The node over all that the cursor has under `prefix`. */
async function built(prefix: string, cursor: Cursor, store: TrieStore): Promise<DraftNode> {
  const entries = await cursor.take(prefix, limits.trieLeafEntriesMax + 1)
  if (entries.length <= limits.trieLeafEntriesMax) return { kind: 'leaf', entries }
  cursor.unread(entries)
  const children: (CID | undefined)[] = []
  let count = 0
  for (const digit of DIGITS) {
    const child = await built(prefix + digit, cursor, store)
    count += countOf(child)
    children.push(countOf(child) > 0 ? await storeNode(child, store) : undefined)
  }
  return { kind: 'inner', count, children }
}

function isNode(child: CID | DraftNode | undefined): child is DraftNode {
  return child !== undefined && 'kind' in child
}

function countOf(node: DraftNode | undefined): number {
  if (!node) return 0
  return node.kind === 'leaf' ? node.entries.length : node.count
}

async function sortedChanges(changes: Iterable<TrieChange> | AsyncIterable<TrieChange>) {
  const last = new Map<string, TrieChange>()
  for await (const change of changes) last.set(change.key, change)
  return [...last.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
}

/** Changes in key order, laid over the entries of the one leaf they fall into. */
class Cursor {
  readonly #changes: AsyncIterator<TrieChange> | Iterator<TrieChange>
  #buffer: TrieChange[] = []
  #bufferAt = 0
  #ended = false
  #lastKey = ''
  #entries: readonly EncodedEntry[] = []
  #entriesAt = 0

  readonly #sink: BlockSink

  constructor(changes: Iterable<TrieChange> | AsyncIterable<TrieChange>, sink: BlockSink) {
    this.#sink = sink
    this.#changes =
      Symbol.asyncIterator in changes ? changes[Symbol.asyncIterator]() : changes[Symbol.iterator]()
  }

  async isUnder(prefix: string): Promise<boolean> {
    return (await this.#peek())?.key.startsWith(prefix) ?? false
  }

  /** Up to `max` entries under `prefix` as they are once the changes are made. */
  async take(prefix: string, max: number): Promise<EncodedEntry[]> {
    const taken: EncodedEntry[] = []
    while (taken.length < max) {
      const change = this.#buffer[this.#bufferAt] ?? (await this.#peek())
      const entry = this.#entries[this.#entriesAt]
      const changeKey = change?.key.startsWith(prefix) ? change.key : undefined
      const entryKey = entry?.key.startsWith(prefix) ? entry.key : undefined
      if (changeKey === undefined && entryKey === undefined) break
      const isEntryFirst =
        entryKey !== undefined && (changeKey === undefined || entryKey < changeKey)
      if (entryKey === changeKey || isEntryFirst) this.#entriesAt++
      if (isEntryFirst) {
        taken.push(entry as EncodedEntry)
      } else {
        this.#bufferAt++
        if (change?.value !== undefined) taken.push(await encodeEntry(change, this.#sink))
      }
    }
    return taken
  }

  /** Puts entries in front of all that is left. */
  unread(entries: readonly EncodedEntry[]): void {
    this.#entries = [...entries, ...this.#entries.slice(this.#entriesAt)]
    this.#entriesAt = 0
  }

  async end(): Promise<void> {
    if (await this.#peek()) throw new GonkError('INTERNAL', 'trie: keys are not in order')
  }

  async #peek(): Promise<TrieChange | undefined> {
    if (this.#bufferAt === this.#buffer.length && !this.#ended) await this.#fill()
    return this.#buffer[this.#bufferAt]
  }

  async #fill(): Promise<void> {
    this.#buffer = []
    this.#bufferAt = 0
    while (this.#buffer.length < CHANGES_BUFFERED) {
      const step = this.#changes.next()
      const { value, done } = step instanceof Promise ? await step : step
      if (done) {
        this.#ended = true
        return
      }
      if (!/^[0-9a-f]{64}$/.test(value.key)) throw new GonkError('INTERNAL', 'trie: not a key')
      if (value.key <= this.#lastKey) throw new GonkError('INTERNAL', 'trie: keys are not in order')
      this.#lastKey = value.key
      this.#buffer.push(value)
    }
  }
}

// ---------------------------------------------------------------- reading

/** All entries in key order. @throws NOT_HERE, BAD_BLOCK, also when counts do not add up. */
export async function* entriesOf(
  root: CID,
  source: NodeSource,
): AsyncGenerator<{ key: string; value: unknown }> {
  for await (const { node } of walk(root, '', source)) {
    if (node.kind === 'inner') continue
    for (const entry of node.entries) {
      yield { key: entry.key, value: await valueOfEntry(entry, source) }
    }
  }
}

/** The CIDs of all nodes and of all values that have a block of their own. */
export async function* nodesOf(root: CID, source: NodeSource): AsyncGenerator<CID> {
  for await (const { cid, node } of walk(root, '', source)) {
    yield cid
    if (node.kind === 'inner') continue
    for (const { link } of node.entries) if (link) yield link
  }
}

/** Nodes before what is below them. */
async function* walk(
  cid: CID,
  prefix: string,
  source: NodeSource,
): AsyncGenerator<{ cid: CID; node: TrieNode }, number> {
  const node = await loadNode(cid, prefix, source)
  yield { cid, node }
  if (node.kind === 'leaf') return node.entries.length
  let count = 0
  for (const [i, child] of node.children.entries()) {
    if (child) count += yield* walk(child, prefix + DIGITS[i], source)
  }
  if (count !== node.count) throw new GonkError('BAD_BLOCK', `trie node ${cid}: wrong count`)
  return count
}

/** @returns undefined when the key is not in the trie. @throws NOT_HERE, BAD_BLOCK. */
export async function lookup(root: CID, key: string, source: NodeSource): Promise<unknown> {
  const { node } = await descend(root, key, source)
  if (node?.kind !== 'leaf') return undefined
  const entry = node.entries.find((candidate) => candidate.key === key)
  return entry && valueOfEntry(entry, source)
}

/** All entries whose keys start with a prefix: one node, a part of a leaf, or nothing. */
export interface Subtree {
  /** Equal for equal sets of entries. Undefined for nothing, and for a part of a leaf. */
  readonly hash: CID | undefined
  readonly count: number
  /** 16; present when there are more than 32 entries. */
  readonly children?: readonly (CID | undefined)[]
  /** Sorted; present when `children` is not. */
  readonly entries?: readonly TrieEntry[]
}

/** `prefix`: 0 to 64 hex digits. @throws NOT_HERE, BAD_BLOCK. */
export async function subtree(root: CID, prefix: string, source: NodeSource): Promise<Subtree> {
  const { cid, node, depth } = await descend(root, prefix, source)
  if (!node) return { hash: undefined, count: 0, entries: [] }
  if (node.kind === 'inner') return { hash: cid, count: node.count, children: node.children }
  const entries = node.entries.filter(({ key }) => key.startsWith(prefix))
  const isWhole = depth === prefix.length && entries.length > 0
  return { hash: isWhole ? cid : undefined, count: entries.length, entries }
}

/** The node at `path`, or the leaf above it; no node where nothing is. */
async function descend(
  root: CID,
  path: string,
  source: NodeSource,
): Promise<{ cid: CID | undefined; node?: TrieNode; depth: number }> {
  let cid: CID | undefined = root
  for (let depth = 0; cid; depth++) {
    const node = await loadNode(cid, path.slice(0, depth), source)
    if (node.kind === 'leaf' || depth === path.length) return { cid, node, depth }
    cid = node.children[DIGITS.indexOf(path[depth] as string)]
  }
  return { cid, depth: path.length }
}
