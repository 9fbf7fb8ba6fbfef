// A `files/` directory from nothing: every node is made once, and what is in memory is the entries of
// the directories that are open, packed. The same directory as `updateDirectory` makes.
import { UnixFS } from 'ipfs-unixfs'
import { linkSerializedSize } from 'ipfs-unixfs-importer/utils'
import { CID } from 'multiformats/cid'
import { CID_BYTES } from '../core/ids.ts'
import { dagSizeOf } from './dag-size.ts'
import { emptyDirectory, FLAT_BYTES_MAX, storeDirectory } from './directory.ts'
import {
  type DirectoryStore,
  emptyShard,
  type Entry,
  entryOf,
  hashOfName,
  type Shard,
  storeNode,
  storeShard,
} from './hamt.ts'

export interface DirectoryFile {
  readonly path: string
  /** The 36 bytes of the file's CID. */
  readonly content: Uint8Array
  readonly sizeBytes: number
}

/** Levels of a HAMT whose indexes are kept with an entry. */
const LEVELS_PACKED = 8
const ENTRIES_FIRST = 64

/** @param files each path once, in byte order; none is a path prefix of another. */
export async function buildDirectory(
  files: AsyncIterable<DirectoryFile> | Iterable<DirectoryFile>,
  store: DirectoryStore,
): Promise<CID> {
  const root = { name: '', entries: new PackedEntries() }
  const open = [root]
  const closeBelow = async (depth: number) => {
    while (open.length > depth) {
      const { name, entries } = open.pop() as typeof root
      const { cid, size } = await storeEntries(entries, store)
      open.at(-1)?.entries.push(name, cid.bytes, size)
    }
  }
  for await (const { path, content, sizeBytes } of files) {
    const directories = path.split('/')
    const name = directories.pop() as string
    let same = 0
    while (same < directories.length && open[same + 1]?.name === directories[same]) same++
    await closeBelow(same + 1)
    for (const directory of directories.slice(same)) {
      open.push({ name: directory, entries: new PackedEntries() })
    }
    open.at(-1)?.entries.push(name, content, dagSizeOf(sizeBytes))
  }
  await closeBelow(1)
  const { cid } = await storeEntries(root.entries, store)
  return cid
}

async function storeEntries(entries: PackedEntries, store: DirectoryStore) {
  if (entries.flatBytes > FLAT_BYTES_MAX)
    return storeShard(await shardOfPacked(entries, store), store)
  const content = new Map(entries.all().map((entry) => [entry.name, entry]))
  const directory = { content, flatBytes: entries.flatBytes, changed: true }
  const stored = await storeDirectory(directory, store)
  return stored ?? storeNode(new UnixFS({ type: 'directory' }), [], store)
}

/** The root shard of a HAMT; everything below it is stored. */
function shardOfPacked(entries: PackedEntries, store: DirectoryStore): Promise<Shard> {
  const { high, low, order } = entries.byHash()
  const indexOf = (i: number, level: number): number => {
    if (level >= LEVELS_PACKED) return hashOfName(entries.nameOf(i)).at(level)
    const half = level < 4 ? high : low
    return ((half[i] as number) >>> (24 - 8 * (level % 4))) & 0xff
  }
  const build = async (level: number, members: Uint32Array): Promise<Shard> => {
    if (level >= LEVELS_PACKED) members.sort((a, b) => indexOf(a, level) - indexOf(b, level))
    const shard = emptyShard(level)
    for (let at = 0, end = 0; at < members.length; at = end) {
      const first = members[at] as number
      const index = indexOf(first, level)
      while (end < members.length && indexOf(members[end] as number, level) === index) end++
      const isAlone = end - at === 1
      const below = isAlone ? undefined : await build(level + 1, members.subarray(at, end))
      shard.slots.set(index, below ? await storeShard(below, store) : entries.at(first))
    }
    return shard
  }
  return build(0, order)
}

/** Entries of one directory: names, and the rest in arrays of numbers. */
class PackedEntries {
  flatBytes = emptyDirectory().flatBytes
  readonly #names: string[] = []
  readonly #sizes: number[] = []
  #cids = new Uint8Array(ENTRIES_FIRST * CID_BYTES)

  push(name: string, cid: Uint8Array, size: number): void {
    const offset = this.#names.length * CID_BYTES
    if (offset === this.#cids.length) {
      const larger = new Uint8Array(offset * 2)
      larger.set(this.#cids)
      this.#cids = larger
    }
    this.#cids.set(cid, offset)
    this.#names.push(name)
    this.#sizes.push(size)
    this.flatBytes += linkSerializedSize(Buffer.byteLength(name), CID_BYTES, size)
  }

  nameOf(i: number): string {
    return this.#names[i] as string
  }

  at(i: number): Entry {
    const cid = CID.decode(this.#cids.slice(i * CID_BYTES, (i + 1) * CID_BYTES))
    return entryOf(this.nameOf(i), cid, this.#sizes[i])
  }

  all(): Entry[] {
    return this.#names.map((_, i) => this.at(i))
  }

  /** The first eight indexes of each entry in two halves, and the entries in their order. */
  byHash(): { high: Uint32Array; low: Uint32Array; order: Uint32Array } {
    const count = this.#names.length
    const high = new Uint32Array(count)
    const low = new Uint32Array(count)
    for (const [i, name] of this.#names.entries()) {
      const { buffer, byteOffset } = hashOfName(name).first
      const view = new DataView(buffer, byteOffset)
      high[i] = view.getUint32(0)
      low[i] = view.getUint32(4)
    }
    const order = Uint32Array.from(this.#names.keys())
    const compare = (a: number, b: number) =>
      (high[a] as number) - (high[b] as number) || (low[a] as number) - (low[b] as number)
    return { high, low, order: order.sort(compare) }
  }
}
