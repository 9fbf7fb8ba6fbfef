// Files that differ between two `files/` directories, reading only the nodes that differ. Against
// nothing, it lists a directory.
import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import type { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'

export interface FileChange {
  readonly path: string
  /** Content before and after; undefined: no such file. */
  readonly before: CID | undefined
  readonly after: CID | undefined
}

/** Steps from the root of a walk: indexes of slots and names of entries. */
export type Place = readonly string[]

export interface PlacedChange extends FileChange {
  readonly place: Place
}

export interface DirectorySource {
  /** A directory node; undefined when it is not there. */
  get(cid: CID): Promise<Uint8Array | undefined>
  /** Whether what is at `path` and is no directory node there is a file: if not, a node is missing. */
  isFile(path: string, cid: CID): Promise<boolean>
  /** Gets a missing node from elsewhere; undefined: there is no such directory node. */
  recover?(cid: CID): Promise<Uint8Array | undefined>
}

interface Entry {
  readonly name: string
  readonly cid: CID
}
/** What one slot of a shard holds: an entry, or the shard below (no name). */
interface Slot {
  readonly name: string | undefined
  readonly cid: CID
}
type Node =
  | { readonly kind: 'flat'; readonly entries: readonly Entry[] }
  | { readonly kind: 'shard'; readonly slots: ReadonlyMap<string, Slot> }

/** Deeper than any HAMT this node makes. */
const SHARD_LEVELS_MAX = 48
const INDEX_CHARACTERS = 2

/**
 * The changes that make `after` of `before` (undefined: an empty directory), in no certain order, but
 * always in the same one: `from`, the place of a change, goes on behind it without a look at what was
 * before. Memory: the nodes on one path. Throws NOT_HERE when a node is missing, BAD_BLOCK when one is no
 * directory.
 */
export async function* directoryChanges(
  before: CID | undefined,
  after: CID | undefined,
  source: DirectorySource,
  from?: Place,
): AsyncGenerator<PlacedChange> {
  if (before !== undefined && after?.equals(before)) return
  const [old, now] = [before, after].map((cid) => cid && loadNode(cid, source))
  yield* nodeChanges(await old, await now, { path: '', level: 0, place: [], from }, source)
}

/** Where a walk is. */
interface Walk {
  /** Of the directory, with a slash behind it. */
  readonly path: string
  /** Of shards, within the directory. */
  readonly level: number
  readonly place: Place
  /** What of this may be left out: all up to a place below. */
  readonly from: Place | undefined
}

/** One step down, or undefined for what lies before the place to go on from. */
function below(walk: Walk, step: string, isBefore: boolean): Walk | undefined {
  const { place, from } = walk
  if (isBefore) return undefined
  const rest = from?.[0] === step ? from.slice(1) : undefined
  return { ...walk, place: [...place, step], from: rest }
}

async function* nodeChanges(
  before: Node | undefined,
  after: Node | undefined,
  walk: Walk,
  source: DirectorySource,
): AsyncGenerator<PlacedChange> {
  const { level, from } = walk
  if (before?.kind === 'flat' || after?.kind === 'flat') {
    yield* listChanges(
      entriesOf(before, level, source),
      entriesOf(after, level, source),
      walk,
      source,
    )
    return
  }
  const [olds, nows] = [before?.slots ?? noSlots, after?.slots ?? noSlots]
  for (const index of [...new Set([...olds.keys(), ...nows.keys()])].sort()) {
    const inner = below(walk, index, from?.[0] !== undefined && index < from[0])
    const old = olds.get(index)
    const now = nows.get(index)
    if (inner === undefined) continue
    if (old && now && old.name === now.name && old.cid.equals(now.cid)) continue
    if (old?.name === undefined && now?.name === undefined) {
      const [oldShard, nowShard] = await Promise.all(
        [old, now].map((slot) => slot && loadShard(slot.cid, level + 1, source)),
      )
      yield* nodeChanges(oldShard, nowShard, { ...inner, level: level + 1 }, source)
    } else {
      // One side has at most one entry here.
      const lists = [old, now].map((slot) => entriesOfSlot(slot, level, source))
      yield* listChanges(lists[0] as Entries, lists[1] as Entries, inner, source)
    }
  }
}

const noSlots: ReadonlyMap<string, Slot> = new Map()

interface Entries {
  /** Few enough to be held in memory. */
  readonly isSmall: boolean
  readonly list: AsyncIterable<Entry> | Iterable<Entry>
}

/** One of the lists is small: it is held, the other streams past it. */
async function* listChanges(
  before: Entries,
  after: Entries,
  walk: Walk,
  source: DirectorySource,
): AsyncGenerator<PlacedChange> {
  const isBeforeHeld = before.isSmall
  const held = new Map<string, CID>()
  for await (const { name, cid } of isBeforeHeld ? before.list : after.list) held.set(name, cid)
  const first = walk.from?.[0]
  let isBefore = first !== undefined
  async function* changesOf(name: string, one?: CID, other?: CID): AsyncGenerator<PlacedChange> {
    isBefore &&= name !== first
    const inner = below(walk, name, isBefore)
    const [old, now] = isBeforeHeld ? [other, one] : [one, other]
    if (inner) yield* entryChanges(name, old, now, inner, source)
  }
  for await (const { name, cid } of isBeforeHeld ? after.list : before.list) {
    const other = held.get(name)
    held.delete(name)
    yield* changesOf(name, cid, other)
  }
  for (const [name, cid] of held) yield* changesOf(name, undefined, cid)
}

async function* entryChanges(
  name: string,
  before: CID | undefined,
  after: CID | undefined,
  walk: Walk,
  source: DirectorySource,
): AsyncGenerator<PlacedChange> {
  if (before && after?.equals(before)) return
  const path = walk.path + name
  const old = before && (await directoryAt(path, before, source))
  const now = after && (await directoryAt(path, after, source))
  const oldFile = old ? undefined : before
  const nowFile = now ? undefined : after
  const isTold = walk.from !== undefined
  if (!isTold && (oldFile ?? nowFile)) {
    yield { path, before: oldFile, after: nowFile, place: walk.place }
  }
  // An empty list of steps has nothing below it: it was the place of the file.
  const from = walk.from?.length === 0 ? undefined : walk.from
  if (old ?? now) {
    yield* nodeChanges(old, now, { ...walk, path: `${path}/`, level: 0, from }, source)
  }
}

/** @returns undefined for a file. */
async function directoryAt(
  path: string,
  cid: CID,
  source: DirectorySource,
): Promise<Node | undefined> {
  if (cid.code !== dagPb.code) return undefined
  const bytes = await source.get(cid)
  if (bytes !== undefined) return nodeOf(cid, bytes)
  if (await source.isFile(path, cid)) return undefined
  if (source.recover === undefined) throw missing(cid)
  const recovered = await source.recover(cid)
  return recovered && nodeOf(cid, recovered)
}

// ---------------------------------------------------------------- nodes

function entriesOf(node: Node | undefined, level: number, source: DirectorySource): Entries {
  if (node === undefined) return { isSmall: true, list: [] }
  if (node.kind === 'flat') return { isSmall: true, list: node.entries }
  return { isSmall: false, list: entriesOfShard(node.slots, level, source) }
}

function entriesOfSlot(slot: Slot | undefined, level: number, source: DirectorySource): Entries {
  if (slot === undefined) return { isSmall: true, list: [] }
  const { name, cid } = slot
  if (name !== undefined) return { isSmall: true, list: [{ name, cid }] }
  return { isSmall: false, list: entriesBelow(cid, level + 1, source) }
}

async function* entriesBelow(
  cid: CID,
  level: number,
  source: DirectorySource,
): AsyncGenerator<Entry> {
  const { slots } = await loadShard(cid, level, source)
  yield* entriesOfShard(slots, level, source)
}

async function* entriesOfShard(
  slots: ReadonlyMap<string, Slot>,
  level: number,
  source: DirectorySource,
): AsyncGenerator<Entry> {
  for (const { name, cid } of slots.values()) {
    if (name !== undefined) yield { name, cid }
    else yield* entriesBelow(cid, level + 1, source)
  }
}

async function loadNode(cid: CID, source: DirectorySource): Promise<Node> {
  const bytes = (await source.get(cid)) ?? (await source.recover?.(cid))
  if (bytes === undefined) throw missing(cid)
  return nodeOf(cid, bytes) ?? bad(cid, 'no directory')
}

async function loadShard(cid: CID, level: number, source: DirectorySource) {
  const node = level < SHARD_LEVELS_MAX ? await loadNode(cid, source) : bad(cid, 'nested too deep')
  return node.kind === 'shard' ? node : bad(cid, 'no shard')
}

/** @returns undefined for what is no directory. */
function nodeOf(cid: CID, bytes: Uint8Array): Node | undefined {
  if (bytes.length > limits.blockBytesMax) bad(cid, 'too large')
  const { type, links } = parsed(cid, bytes)
  if (type === 'directory') {
    return {
      kind: 'flat',
      entries: links.map(({ Name, Hash }) => ({ name: Name ?? '', cid: Hash })),
    }
  }
  if (type !== 'hamt-sharded-directory') return undefined
  const slots = links.map(({ Name = '', Hash }): [string, Slot] => {
    const name = Name.slice(INDEX_CHARACTERS)
    return [Name.slice(0, INDEX_CHARACTERS), { name: name === '' ? undefined : name, cid: Hash }]
  })
  return { kind: 'shard', slots: new Map(slots) }
}

function parsed(cid: CID, bytes: Uint8Array): { type: string; links: readonly dagPb.PBLink[] } {
  try {
    const { Data = new Uint8Array(0), Links } = dagPb.decode(bytes)
    return { type: UnixFS.unmarshal(Data).type, links: Links }
  } catch (cause) {
    return bad(cid, 'not UnixFS', cause)
  }
}

function missing(cid: CID): GonkError {
  return new GonkError('NOT_HERE', `directory node ${cid.toString()} is not here`, {
    details: { cid: cid.toString() },
  })
}

function bad(cid: CID, what: string, cause?: unknown): never {
  throw new GonkError('BAD_BLOCK', `directory node ${cid.toString()}: ${what}`, { cause })
}
