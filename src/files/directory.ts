// The `files/` directory: nested UnixFS directories that change only where a file changed, and always
// have the CIDs of a fresh `unixfs-v1-2025` import of the same files.
import { UnixFS } from 'ipfs-unixfs'
import { dataFieldSerializedSize, linkSerializedSize } from 'ipfs-unixfs-importer/utils'
import type { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { GonkError } from '../core/errors.ts'
import { compareBytes } from '../core/ids.ts'
import { dagSizeOf } from './dag-size.ts'
import {
  damaged,
  type DirectoryStore,
  type Entry,
  entryOf,
  linkTo,
  loadNode,
  type Revise,
  reviseShard,
  type Shard,
  shardOf,
  shardOfLinks,
  shardsOf,
  storeNode,
  storeShard,
} from './hamt.ts'

/** What is at `path` from now on; undefined: no file. Of two changes of one path the later counts. */
export interface DirectoryChange {
  readonly path: string
  readonly file: { readonly cid: CID; readonly sizeBytes: number } | undefined
}

/** A flat directory whose block would be greater is a HAMT. All links count, also to directories. */
export const FLAT_BYTES_MAX = 256 * 1024
/** What a shard not read yet adds at least: two links with names of one byte. */
const SHARD_FLAT_BYTES_MIN = 2 * linkSerializedSize(1, 36, 0)

export interface Directory {
  /** Every entry by name, or the root of a HAMT. */
  content: Map<string, Entry> | Shard
  /** Size of the flat block; of a HAMT, by how much that size changed since it was loaded. */
  flatBytes: number
  changed: boolean
}

/** Changes of one path (`file`: null removes) and of the paths below it. */
interface Changes {
  file?: { readonly cid: CID; readonly sizeBytes: number } | null
  below?: Map<string, Changes>
}

/**
 * Applies `changes` to the directory `root` (undefined: empty) and stores the nodes that are new.
 * Every node concerned is read and written once. The result depends only on the final set of files.
 *
 * Names must not be path prefixes of each other once all is applied. A removal must name a file that
 * is there, or a path where nothing is; never a directory: blocks do not say for sure which a link is
 * (a file's content may look like a directory), so what is removed is taken to be a file.
 * @returns the CID of the directory; directories without files do not exist, but the root does.
 * @throws INTERNAL when names collide; HOME_DAMAGED when a node is missing or broken.
 */
export async function updateDirectory(
  root: CID | undefined,
  changes: Iterable<DirectoryChange>,
  store: DirectoryStore,
): Promise<CID> {
  const directory = root ? await loadDirectory(root, store) : emptyDirectory()
  const entry = await applyChanges(directory, treeOf(changes), store)
  if (root && !directory.changed) return root
  const { cid } = entry ?? (await storeNode(new UnixFS({ type: 'directory' }), [], store))
  return cid
}

function treeOf(changes: Iterable<DirectoryChange>): Map<string, Changes> {
  const root: Changes = {}
  for (const { path, file } of changes) {
    let node = root
    for (const segment of path.split('/')) {
      if (segment === '') throw new GonkError('INTERNAL', `files/: empty segment in ${path}`)
      node.below ??= new Map()
      let next = node.below.get(segment)
      if (!next) node.below.set(segment, (next = {}))
      node = next
    }
    node.file = file ?? null
  }
  return root.below ?? new Map()
}

/** @returns where the directory is stored now; undefined when nothing is left in it. */
async function applyChanges(
  directory: Directory,
  changes: Map<string, Changes>,
  store: DirectoryStore,
): Promise<{ cid: CID; size: number } | undefined> {
  const revise: Revise = async (name, before) => {
    const after = await entryAfter(name, before, changes.get(name) as Changes, store)
    if (after === before) return before
    directory.changed = true
    directory.flatBytes += (after ? linkBytesOf(after) : 0) - (before ? linkBytesOf(before) : 0)
    return after
  }
  const { content } = directory
  if (content instanceof Map) {
    for (const name of changes.keys()) {
      const after = await revise(name, content.get(name))
      if (after) content.set(name, after)
      else content.delete(name)
    }
  } else {
    await reviseShard(content, changes.keys(), revise, store)
  }
  return storeDirectory(directory, store)
}

async function entryAfter(
  name: string,
  before: Entry | undefined,
  change: Changes,
  store: DirectoryStore,
): Promise<Entry | undefined> {
  const { file, below } = change
  if (file) {
    if (below && [...below.values()].some(hasFile)) throw collision(name)
    const size = dagSizeOf(file.sizeBytes)
    if (before?.size === size && before.cid.equals(file.cid)) return before
    return { kind: 'entry', name, cid: file.cid, size }
  }
  if (!below) return undefined
  if (file === undefined && before?.cid.code === raw.code) {
    if (hasFile(change)) throw collision(name)
    return before
  }
  const existing = file === null ? undefined : before
  const directory = existing ? await loadDirectory(existing.cid, store) : emptyDirectory()
  const stored = await applyChanges(directory, below, store)
  if (existing && !directory.changed) return existing
  return stored && { kind: 'entry', name, cid: stored.cid, size: stored.size }
}

function hasFile(change: Changes): boolean {
  return Boolean(change.file) || [...(change.below?.values() ?? [])].some(hasFile)
}

function collision(name: string): GonkError {
  return new GonkError('INTERNAL', `files/: ${name} is both a file and a directory`)
}

// ---------------------------------------------------------------- form

export function emptyDirectory(): Directory {
  return { content: new Map(), flatBytes: dataFieldSerializedSize(), changed: false }
}

/** @returns undefined for a directory that has not changed, or has nothing in it. */
export async function storeDirectory(
  directory: Directory,
  store: DirectoryStore,
): Promise<{ cid: CID; size: number } | undefined> {
  let { content } = directory
  if (!directory.changed) return undefined
  if (content instanceof Map) {
    if (directory.flatBytes > FLAT_BYTES_MAX) content = shardOf(content.values())
  } else if (directory.flatBytes < 0) {
    content = (await flattened(content, store)) ?? content
  }
  if (!(content instanceof Map)) return storeShard(content, store)
  if (content.size === 0) return undefined
  const links = [...content.values()]
    .map((entry) => ({ entry, bytes: Buffer.from(entry.name) }))
    .sort((a, b) => compareBytes(a.bytes, b.bytes))
    .map(({ entry }) => linkTo(entry.name, entry))
  return storeNode(new UnixFS({ type: 'directory' }), links, store)
}

/** The entries of a HAMT that is small enough to be flat; stops reading once it cannot be. */
async function flattened(root: Shard, store: DirectoryStore) {
  const entries = new Map<string, Entry>()
  let leastBytes = dataFieldSerializedSize() + SHARD_FLAT_BYTES_MIN
  for await (const shard of shardsOf(root, store)) {
    leastBytes -= SHARD_FLAT_BYTES_MIN
    for (const slot of shard.slots.values()) {
      leastBytes += slot.kind === 'entry' ? linkBytesOf(slot) : SHARD_FLAT_BYTES_MIN
      if (slot.kind === 'entry') entries.set(slot.name, slot)
    }
    if (leastBytes > FLAT_BYTES_MAX) return undefined
  }
  return entries
}

function linkBytesOf(entry: Entry): number {
  return linkSerializedSize(Buffer.byteLength(entry.name), entry.cid.byteLength, entry.size)
}

async function loadDirectory(cid: CID, store: DirectoryStore): Promise<Directory> {
  const { unixfs, links, size } = await loadNode(cid, store)
  if (unixfs.type === 'hamt-sharded-directory') {
    const content = shardOfLinks({ cid, size }, links, 0)
    return { content, flatBytes: 0, changed: false }
  }
  if (unixfs.type !== 'directory') throw damaged(cid, 'not a directory')
  const directory = emptyDirectory()
  const entries = links.map(({ Name, Hash, Tsize }) => entryOf(Name ?? '', Hash, Tsize))
  for (const entry of entries) directory.flatBytes += linkBytesOf(entry)
  directory.content = new Map(entries.map((entry) => [entry.name, entry]))
  return directory
}
