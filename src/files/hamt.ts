// HAMT-sharded UnixFS directories (murmur3-x64-64, 256 slots): a tree in memory whose shards are read
// when something below them is looked at, and the blocks directories are made of.
import * as dagPb from '@ipld/dag-pb'
import { murmur364 } from '@multiformats/murmur3'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import { GonkError } from '../core/errors.ts'
import { compareBytes } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { addSizes } from './dag-size.ts'

/** Where directory nodes are kept. `get` gives undefined for a block that is not there. */
export interface DirectoryStore {
  get(cid: CID): Promise<Uint8Array | undefined>
  put(cid: CID, bytes: Uint8Array): unknown
}

const MURMUR3_X64_64 = 0x22n
const FANOUT = 256n
/** Indexes from murmur3 (8), from murmur3 once more (8), from sha2-256 (32). */
const SHARD_LEVELS_MAX = 48

export interface Entry {
  readonly kind: 'entry'
  readonly name: string
  readonly cid: CID
  readonly size: number
}
/** A shard that is not loaded. */
interface Stub {
  readonly kind: 'stub'
  readonly cid: CID
  readonly size: number
}
export interface Shard {
  readonly kind: 'shard'
  readonly level: number
  readonly slots: Map<number, Slot>
  /** Its stored form, until something in it changes. */
  stored: Stub | undefined
}
type Slot = Entry | Stub | Shard

export type Revise = (name: string, before: Entry | undefined) => Promise<Entry | undefined>

const utf8 = new TextEncoder()

export interface NameHash {
  readonly name: string
  /** The indexes of the first eight levels. */
  readonly first: Uint8Array
  /** Index in the shard of that level. */
  at(level: number): number
}

/**
 * murmur3 is easy to collide for good, so past what importers ever reach (16 levels; Kubo: 8) the
 * index is taken from sha2-256: no set of names makes a HAMT without end.
 */
export function hashOfName(name: string): NameHash {
  const bytes = utf8.encode(name)
  const digests: Uint8Array[] = []
  const digestOf = (round: number): Uint8Array => {
    if (round === 0) return synchronous(murmur364.encode(bytes))
    if (round === 1) return synchronous(murmur364.encode(Uint8Array.of(...bytes, round)))
    return synchronous(sha256.encode(bytes))
  }
  const first = (digests[0] = digestOf(0))
  return {
    name,
    first,
    at(level) {
      const round = Math.min(level >> 3, 2)
      const digest = (digests[round] ??= digestOf(round))
      return digest[level - 8 * round] as number
    },
  }
}

function synchronous(digest: Uint8Array | Promise<Uint8Array>): Uint8Array {
  if (digest instanceof Uint8Array) return digest
  throw new GonkError('INTERNAL', 'this hash function has become asynchronous')
}

export function shardOf(entries: Iterable<Entry>): Shard {
  const root = emptyShard(0)
  for (const entry of entries) {
    const hash = hashOfName(entry.name)
    let shard = root
    let slot = shard.slots.get(hash.at(shard.level))
    while (slot?.kind === 'shard') {
      shard = slot
      slot = shard.slots.get(hash.at(shard.level))
    }
    const taken = slot as Entry | undefined
    shard.slots.set(hash.at(shard.level), taken ? shardOfTwo(taken, entry, hash, shard) : entry)
  }
  return root
}

/** What takes the slot in `parent` that both entries want. */
function shardOfTwo(one: Entry, other: Entry, otherHash: NameHash, parent: Shard): Shard {
  const oneHash = hashOfName(one.name)
  const top = emptyShard(parent.level + 1)
  let shard = top
  while (oneHash.at(shard.level) === otherHash.at(shard.level)) {
    const next = emptyShard(shard.level + 1)
    shard.slots.set(oneHash.at(shard.level), next)
    shard = next
  }
  shard.slots.set(oneHash.at(shard.level), one).set(otherHash.at(shard.level), other)
  return top
}

export function emptyShard(level: number): Shard {
  return { kind: 'shard', level, slots: new Map(), stored: undefined }
}

/**
 * Replaces the entry of each name by what `revise` makes of it, from the first slot to the last.
 * What is below a slot is stored and let go of before the next slot is read, so that many names
 * take no more memory than the names themselves.
 */
export async function reviseShard(
  root: Shard,
  names: Iterable<string>,
  revise: Revise,
  store: DirectoryStore,
): Promise<void> {
  const hashes = Array.from(names, hashOfName).sort((a, b) => compareBytes(a.first, b.first))
  for (const [i, hash] of hashes.entries()) {
    await reviseEntry(root, hash, revise, store)
    const index = hash.at(0)
    if (hashes[i + 1]?.at(0) === index) continue
    const slot = root.slots.get(index)
    if (slot?.kind === 'shard') root.slots.set(index, await storeShard(slot, store))
  }
}

async function reviseEntry(
  root: Shard,
  hash: NameHash,
  revise: Revise,
  store: DirectoryStore,
): Promise<void> {
  const { name } = hash
  const path: Shard[] = []
  let slot: Slot | undefined = root
  while (slot?.kind === 'shard') {
    path.push(slot)
    slot = await loadedSlot(slot, hash.at(slot.level), store)
  }
  const parent = path.at(-1) as Shard
  const before = slot?.name === name ? slot : undefined
  const after = await revise(name, before)
  if (after === before) return
  let next: Slot | undefined = after
  if (slot && !before && after) next = shardOfTwo(slot, after, hash, parent)
  for (const shard of path.reverse()) {
    const index = hash.at(shard.level)
    if (next) shard.slots.set(index, next)
    else shard.slots.delete(index)
    shard.stored = undefined
    next = collapsed(shard)
  }
}

/** All shards, level by level, each read when its turn comes. */
export async function* shardsOf(root: Shard, store: DirectoryStore): AsyncGenerator<Shard> {
  const queue: (() => Promise<Entry | Shard | undefined>)[] = [async () => root]
  for (const open of queue) {
    const shard = await open()
    if (shard?.kind !== 'shard') continue
    yield shard
    for (const [index, slot] of shard.slots) {
      if (slot.kind !== 'entry') queue.push(() => loadedSlot(shard, index, store))
    }
  }
}

/** A shard below the root exists only where two names share a slot. */
function collapsed(shard: Shard): Slot | undefined {
  if (shard.slots.size > 1) return shard
  const [only] = shard.slots.values()
  return only?.kind === 'entry' ? only : only && shard
}

async function loadedSlot(
  shard: Shard,
  index: number,
  store: DirectoryStore,
): Promise<Entry | Shard | undefined> {
  const slot = shard.slots.get(index)
  if (slot?.kind !== 'stub') return slot
  const { unixfs, links } = await loadNode(slot.cid, store)
  if (unixfs.type !== 'hamt-sharded-directory') throw damaged(slot.cid, 'not a shard')
  const loaded = shardOfLinks(slot, links, shard.level + 1)
  shard.slots.set(index, loaded)
  return loaded
}

// ---------------------------------------------------------------- blocks

export function shardOfLinks(
  stored: Omit<Stub, 'kind'>,
  links: readonly dagPb.PBLink[],
  level: number,
): Shard {
  if (level >= SHARD_LEVELS_MAX) throw damaged(stored.cid, 'too deep')
  const shard = emptyShard(level)
  for (const { Name = '', Hash, Tsize = 0 } of links) {
    if (!/^[0-9A-F]{2}/.test(Name)) throw damaged(stored.cid, 'a link without index')
    const name = Name.slice(2)
    const stub = { kind: 'stub', cid: Hash, size: Tsize } as const
    shard.slots.set(Number.parseInt(Name.slice(0, 2), 16), name ? entryOf(name, Hash, Tsize) : stub)
  }
  shard.stored = { kind: 'stub', cid: stored.cid, size: stored.size }
  return shard
}

export function entryOf(name: string, cid: CID, size = 0): Entry {
  return { kind: 'entry', name, cid, size }
}

export interface DirectoryNode {
  readonly unixfs: UnixFS
  readonly links: readonly dagPb.PBLink[]
  /** Of the block and everything below. */
  readonly size: number
}

/** @throws HOME_DAMAGED: directory nodes are never had from peers. */
export async function loadNode(cid: CID, store: DirectoryStore): Promise<DirectoryNode> {
  const bytes = cid.code === dagPb.code ? await store.get(cid) : undefined
  if (!bytes || bytes.length > limits.blockBytesMax) throw damaged(cid, 'not here')
  try {
    const { Data = new Uint8Array(0), Links } = dagPb.decode(bytes)
    const size = Links.reduce((total, link) => addSizes(total, link.Tsize ?? 0), bytes.length)
    return { unixfs: UnixFS.unmarshal(Data), links: Links, size }
  } catch (cause) {
    throw damaged(cid, 'not UnixFS', cause)
  }
}

export function damaged(cid: CID, what: string, cause?: unknown): GonkError {
  return new GonkError('HOME_DAMAGED', `directory node ${cid}: ${what}`, { cause })
}

export async function storeShard(shard: Shard, store: DirectoryStore): Promise<Stub> {
  if (shard.stored) return shard.stored
  const links: dagPb.PBLink[] = []
  const bits = new Uint8Array(Number(FANOUT) / 8)
  for (const [index, slot] of [...shard.slots].sort(([a], [b]) => a - b)) {
    const prefix = index.toString(16).toUpperCase().padStart(2, '0')
    const link = slot.kind === 'shard' ? await storeShard(slot, store) : slot
    links.push(linkTo(slot.kind === 'entry' ? prefix + slot.name : prefix, link))
    // Big-endian: slot 0 is the lowest bit of the last byte.
    const byte = bits.length - 1 - (index >> 3)
    bits[byte] = (bits[byte] as number) | (1 << (index & 7))
  }
  const data = bits.subarray(bits.findIndex((byte) => byte !== 0))
  const unixfs = new UnixFS({
    type: 'hamt-sharded-directory',
    data,
    fanout: FANOUT,
    hashType: MURMUR3_X64_64,
  })
  return (shard.stored = { kind: 'stub', ...(await storeNode(unixfs, links, store)) })
}

export function linkTo(name: string, to: { cid: CID; size: number }): dagPb.PBLink {
  return { Hash: to.cid, Name: name, Tsize: to.size }
}

/** `links` must be in the order of their names' bytes. */
export async function storeNode(unixfs: UnixFS, links: dagPb.PBLink[], store: DirectoryStore) {
  const bytes = dagPb.encode({ Data: unixfs.marshal(), Links: links })
  const cid = CID.createV1(dagPb.code, await sha256.digest(bytes))
  await store.put(cid, bytes)
  const size = links.reduce((total, link) => addSizes(total, link.Tsize ?? 0), bytes.length)
  return { cid, size }
}
