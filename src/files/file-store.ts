// Files as UnixFS over blocks: bytes in, a CID out, and back. Works on blocks that are here and
// never asks the network.
import { hash } from 'node:crypto'
import { type AddOptions, unixfs } from '@helia/unixfs'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'
import type { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { GonkError } from '../core/errors.ts'
import { cidOfDigest } from '../core/ids.ts'
import type { AbortOptions, Blocks, FileStore, StoredFile } from '../ports.ts'
import type { ListedBlocks } from './blocks.ts'
import { throwIfAborted } from './concurrent.ts'
import { bad, blockKey, isFileBlock, isRaw, linksOf, parseFileNode } from './dag.ts'

/** The size of a leaf, and of the largest file that is a single raw block. */
export const CHUNK_BYTES = 1024 * 1024

/** Profile `unixfs-v1-2025` (IPIP-499), written out: these settings decide every file's CID. */
const importSettings: Partial<AddOptions> = {
  cidVersion: 1,
  rawLeaves: true,
  reduceSingleLeafToSelf: true,
  wrapWithDirectory: false,
  fieldOrder: 'links-first',
  chunker: fixedSize({ chunkSize: CHUNK_BYTES }),
  layout: balanced({ maxChildrenPerNode: 1024 }),
  blockWriteConcurrency: 8,
}

/** Blocks loaded before they are asked for, while a file is read in order. */
const READ_AHEAD = 2
/** Deeper than any honest file: four levels of 1,024 children hold 1 PiB. */
const DEPTH_MAX = 32

export function createFileStore(blocks: ListedBlocks): FileStore {
  return {
    blocks,
    put: (source, options) => putFile(blocks, source, options),
    read: (cid, options) => readRange(blocks, cid, options),
    walk: (cid, options) => walkFile(blocks, cid, options),
    list: (options) => blocks.list(options),
  }
}

async function putFile(
  blocks: Blocks,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { signal }: AbortOptions = {},
): Promise<StoredFile> {
  let sizeBytes = 0
  const counted = (async function* () {
    for await (const bytes of source) {
      throwIfAborted(signal)
      sizeBytes += bytes.length
      yield bytes
    }
  })()
  try {
    const head: Uint8Array[] = []
    while (sizeBytes <= CHUNK_BYTES) {
      const next = await counted.next()
      if (next.done === true) return { cid: await putRaw(blocks, join(head)), sizeBytes }
      head.push(next.value)
    }
    const whole = (async function* () {
      yield* head.splice(0)
      yield* counted
    })()
    const importer = unixfs({ blockstore: importTarget(blocks, signal) })
    const cid = await importer.addByteStream(whole, importSettings)
    return { cid, sizeBytes }
  } finally {
    await counted.return()
  }
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  return pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces)
}

async function putRaw(blocks: Blocks, bytes: Uint8Array): Promise<CID> {
  const cid = cidOfDigest(hash('sha256', bytes, 'buffer'), raw.code)
  await blocks.put(cid, bytes)
  return cid
}

/** The part of a blockstore that Helia's importer asks for; files need no more of it than `put`. */
function importTarget(blocks: Blocks, signal: AbortSignal | undefined) {
  return {
    has: (cid: CID) => blocks.has(cid),
    async *get(cid: CID) {
      const bytes = await blocks.get(cid)
      if (bytes) yield bytes
    },
    async put(cid: CID, bytes: unknown) {
      throwIfAborted(signal)
      if (!(bytes instanceof Uint8Array)) throw new TypeError('the importer puts whole blocks')
      await blocks.put(cid, bytes)
      return cid
    },
  }
}

/** A block on the way, with where its bytes stand in the file. */
interface Place {
  readonly cid: CID
  readonly start: number
  /** What the parent says the block holds; unknown for the root. */
  readonly sizeBytes: number | undefined
  readonly depth: number
  loading?: Promise<Uint8Array | undefined>
}

async function* readRange(
  blocks: Blocks,
  root: CID,
  options: AbortOptions & { offset?: number; lengthBytes?: number } = {},
): AsyncGenerator<Uint8Array> {
  const { signal, offset = 0 } = options
  const end = offset + (options.lengthBytes ?? Infinity)
  const clip = (bytes: Uint8Array, start: number) =>
    bytes.subarray(Math.max(0, offset - start), Math.max(0, end - start))
  const stack: Place[] = [{ cid: root, start: 0, sizeBytes: undefined, depth: 0 }]
  for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
    throwIfAborted(signal)
    const bytes = await load(blocks, place)
    if (bytes === undefined) throw notHere(root, place.cid)
    loadAhead(blocks, stack)
    const node = isRaw(place.cid)
      ? { data: bytes, children: [], sizeBytes: bytes.length }
      : parseFileNode(place.cid, bytes)
    if (node.sizeBytes !== (place.sizeBytes ?? node.sizeBytes))
      bad(place.cid, 'not the size its parent says')
    if (place.depth > DEPTH_MAX) bad(place.cid, 'nested too deep')
    const piece = clip(node.data, place.start)
    if (piece.length > 0) yield piece
    let start = place.start + node.data.length
    const wanted: Place[] = []
    for (const { cid, sizeBytes } of node.children) {
      // Nothing is looked for in what is empty: a few blocks can name it millions of times.
      if (sizeBytes > 0 && start < end && start + sizeBytes > offset) {
        wanted.push({ cid, start, sizeBytes, depth: place.depth + 1 })
      }
      start += sizeBytes
    }
    for (const child of wanted.reverse()) stack.push(child)
    loadAhead(blocks, stack)
  }
}

function load(blocks: Blocks, place: Place): Promise<Uint8Array | undefined> {
  if (place.loading !== undefined) return place.loading
  return isFileBlock(place.cid) ? blocks.get(place.cid) : Promise.resolve(undefined)
}

function loadAhead(blocks: Blocks, stack: Place[]): void {
  for (const place of stack.slice(-READ_AHEAD)) {
    if (place.loading !== undefined) continue
    place.loading = load(blocks, place)
    place.loading.catch(() => undefined)
  }
}

function notHere(file: CID, block: CID): GonkError {
  return new GonkError('NOT_HERE', `block ${block} of file ${file} is not here`, {
    details: { file: file.toString(), block: block.toString() },
  })
}

async function* walkFile(
  blocks: Blocks,
  root: CID,
  { signal }: AbortOptions = {},
): AsyncGenerator<{ cid: CID; bytes: Uint8Array | undefined }> {
  const seen = new Set([blockKey(root)])
  const stack: Place[] = [{ cid: root, start: 0, sizeBytes: undefined, depth: 0 }]
  for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
    throwIfAborted(signal)
    const { cid, depth } = place
    const bytes = await load(blocks, place)
    const children: Place[] = []
    for (const link of bytes === undefined ? [] : linksOf(cid, bytes)) {
      const key = blockKey(link)
      if (seen.has(key)) continue
      seen.add(key)
      children.push({ cid: link, start: 0, sizeBytes: undefined, depth: depth + 1 })
    }
    for (const child of children.reverse()) stack.push(child)
    loadAhead(blocks, stack)
    yield { cid, bytes }
  }
}
