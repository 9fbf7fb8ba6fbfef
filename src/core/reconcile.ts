// Finding what one side lacks of a set of event ids in bytes proportional to the difference. Both
// sides hold the set as a 16-ary Merkle trie; the asker describes nodes, the answerer replies with
// what differs, until lists of ids are short. Neither side keeps anything between messages.
import { bytesOfHex, type EventId, hexOf } from './ids.ts'
import { limits } from './limits.ts'

/** Lower-case hex digits that an id starts with. */
export type Prefix = string

/** A subset of a set: all ids under one prefix. */
export interface SetNode {
  /** 32 bytes that depend on the ids under the prefix and nothing else. */
  readonly hash: Uint8Array
  readonly count: number
  /** Hashes of the 16 nodes below, undefined where nothing is. Always present when `count` > 64. */
  readonly children?: readonly (Uint8Array | undefined)[]
  /** Ascending; present when `children` is not. Empty when nothing is here. */
  readonly ids?: readonly EventId[]
}

/** A set of ids as it was at one moment. */
export interface SetView {
  /** 32 bytes: equal exactly when the sets are. */
  readonly root: Uint8Array
  readonly count: number
  /** Any prefix of 0 to 64 digits, also below a leaf. */
  subtree(prefix: Prefix): Promise<SetNode>
}

/**
 * Bytes of each hash and id in a message. At 8 a collision can be made on purpose and hides a
 * difference, so when nothing is found although the roots differ, the same is asked again with 32.
 */
export type Width = 8 | 32

/** What one side has under a prefix: its 16 child hashes (zeros: nothing there), or all its ids. */
export type Part =
  | { readonly prefix: Prefix; readonly hashes: Uint8Array }
  | { readonly prefix: Prefix; readonly ids: readonly string[] }

export interface Answer {
  /** What the answerer has where it differs from what was asked about. */
  readonly parts: readonly Part[]
  /** Ids the answerer has and the asker did not list. */
  readonly lacking: readonly EventId[]
  /** The asker listed ids that the answerer does not have. */
  readonly extra: boolean
  /** A limit was reached: there is more than is said here. */
  readonly cut: boolean
}

export interface Narrowed {
  readonly ask: readonly Part[]
  /** Hex of the first bytes of ids this side does not have. */
  readonly want: readonly string[]
  /** This side has something the other one does not. */
  readonly extra: boolean
  readonly cut: boolean
}

export const reconcileLimits = {
  /** A node with at most this many ids is described by them; must be ≥ a trie leaf. */
  idsPerPartMax: 64,
  /** Parts of one question, and those of them that are child hashes. */
  partsMax: 8_192,
  hashPartsMax: 1_024,
  /** Parts and their contents in one message, roughly as encoded. */
  partsBytesMax: 512 * 1024,
  /** Ids the asker lacks, in one answer. */
  lackingMax: 8_192,
} as const

if (reconcileLimits.idsPerPartMax < limits.trieLeafEntriesMax)
  throw new Error('limits: ids per part')

const BRANCHES = 16
/** A set larger than this is first described two levels down, which saves a round trip. */
const OPEN_WIDE_ABOVE_COUNT = 1_024
const PART_OVERHEAD_BYTES = 16
const EMPTY_NODES = { 8: new Uint8Array(8), 32: new Uint8Array(32) } as const

/** What to ask first about a whole set. */
export async function openingParts(set: SetView, width: Width): Promise<Part[]> {
  if (set.count <= OPEN_WIDE_ABOVE_COUNT) return [await describe(set, '', width)]
  const parts: Part[] = []
  for (let i = 0; i < BRANCHES; i++) parts.push(await describe(set, digit(i), width))
  return parts
}

/** What to answer to `asked`. Work and size are bounded by {@link reconcileLimits}. */
export async function answerParts(
  set: SetView,
  asked: readonly Part[],
  width: Width,
): Promise<Answer> {
  const parts: Part[] = []
  const lacking: EventId[] = []
  let extra = false
  let bytes = 0
  for (const part of asked) {
    if (bytes > reconcileLimits.partsBytesMax) return { parts, lacking, extra, cut: true }
    if ('ids' in part) {
      const listed = new Set(part.ids)
      const matched = new Set<string>()
      for await (const id of idsUnder(set, part.prefix)) {
        const short = shorten(id, width)
        if (listed.has(short)) {
          matched.add(short)
          continue
        }
        if (lacking.length >= reconcileLimits.lackingMax) {
          return { parts, lacking, extra, cut: true }
        }
        lacking.push(id)
      }
      if (matched.size < listed.size) extra = true
      continue
    }
    for (const answered of await differences(set, part, width)) {
      parts.push(answered)
      bytes += sizeOf(answered, width)
    }
  }
  return { parts, lacking, extra, cut: false }
}

async function differences(
  set: SetView,
  asked: { prefix: Prefix; hashes: Uint8Array },
  width: Width,
): Promise<Part[]> {
  const mine = await describe(set, asked.prefix, width)
  if ('ids' in mine) return [mine]
  const parts: Part[] = []
  for (const i of unequal(mine.hashes, asked.hashes, width)) {
    parts.push(await describe(set, asked.prefix + digit(i), width))
  }
  return parts
}

/** What to ask next, given an answer, and which ids it shows to be missing here. */
export async function narrow(
  set: SetView,
  answered: readonly Part[],
  width: Width,
): Promise<Narrowed> {
  const ask: Part[] = []
  const want: string[] = []
  let extra = false
  const size = { parts: 0, hashParts: 0, bytes: 0 }
  for (const part of answered) {
    if (isFull(size)) return { ask, want, extra, cut: true }
    if ('ids' in part) {
      let matched = 0
      for (const short of new Set(part.ids)) {
        const { count } = await set.subtree(short)
        if (count === 0) want.push(short)
        matched += count
      }
      if ((await set.subtree(part.prefix)).count > matched) extra = true
      continue
    }
    const mine = await describe(set, part.prefix, width)
    const next: Part[] = 'ids' in mine ? [mine] : []
    if ('hashes' in mine) {
      for (const i of unequal(mine.hashes, part.hashes, width)) {
        if (isEmpty(part.hashes, i, width)) extra = true
        else next.push(await describe(set, part.prefix + digit(i), width))
      }
    }
    for (const question of next) {
      size.parts++
      if ('hashes' in question) size.hashParts++
      size.bytes += sizeOf(question, width)
    }
    ask.push(...next)
  }
  return { ask, want, extra, cut: false }
}

/** Whether the questions of one more part may not fit. */
function isFull(size: { parts: number; hashParts: number; bytes: number }): boolean {
  const { partsMax, hashPartsMax, partsBytesMax } = reconcileLimits
  if (size.parts > partsMax - BRANCHES || size.hashParts > hashPartsMax - BRANCHES) return true
  return size.bytes > partsBytesMax
}

/** @returns what is wrong with the shape of a part that came from outside, if anything. */
export function partProblem(part: Part, width: Width): string | undefined {
  if (!/^[0-9a-f]{0,64}$/.test(part.prefix)) return 'prefix'
  if ('hashes' in part) return part.hashes.length === BRANCHES * width ? undefined : 'child hashes'
  if (part.ids.length > reconcileLimits.idsPerPartMax) return 'too many ids'
  for (const [i, id] of part.ids.entries()) {
    if (!id.startsWith(part.prefix) && !part.prefix.startsWith(id)) return 'id outside its prefix'
    if (i > 0 && id < (part.ids[i - 1] as string)) return 'ids are not sorted'
  }
  return undefined
}

/**
 * @returns what in the answer was not asked for, if anything. Answers must go down, never repeat
 * and never come from elsewhere, so that no answerer can make the asker walk for ever.
 */
export function answerProblem(
  asked: readonly Part[],
  answered: readonly Part[],
): string | undefined {
  const askedHashes = new Set(asked.flatMap((part) => ('hashes' in part ? [part.prefix] : [])))
  const seen = new Set<Prefix>()
  for (const { prefix, ...rest } of answered) {
    const below = prefix !== '' && askedHashes.has(prefix.slice(0, -1))
    if (!below && !(askedHashes.has(prefix) && 'ids' in rest))
      return 'a part that was not asked for'
    if (seen.has(prefix)) return 'a part twice'
    seen.add(prefix)
  }
  return undefined
}

/** Whether an id may answer the questions that list ids: under one of them, and not in it. */
export function lackingTest(asked: readonly Part[], width: Width): (id: string) => boolean {
  const lists = new Map<Prefix, ReadonlySet<string>>()
  for (const part of asked) if ('ids' in part) lists.set(part.prefix, new Set(part.ids))
  const lengths = [...new Set([...lists.keys()].map((prefix) => prefix.length))]
  return (id) => {
    const short = id.slice(0, width * 2)
    return lengths.some((length) => lists.get(id.slice(0, length))?.has(short) === false)
  }
}

/** All ids under a prefix, ascending, loading nodes as they are needed. */
export async function* idsUnder(set: SetView, prefix: Prefix): AsyncGenerator<EventId> {
  const node = await set.subtree(prefix)
  if (node.children === undefined) {
    yield* node.ids ?? []
    return
  }
  for (const [i, child] of node.children.entries()) {
    if (child !== undefined) yield* idsUnder(set, prefix + digit(i))
  }
}

async function describe(set: SetView, prefix: Prefix, width: Width): Promise<Part> {
  const node = await set.subtree(prefix)
  if (node.children === undefined || node.count <= reconcileLimits.idsPerPartMax) {
    const ids: string[] = []
    for await (const id of idsUnder(set, prefix)) ids.push(shorten(id, width))
    return { prefix, ids }
  }
  const hashes = new Uint8Array(BRANCHES * width)
  node.children.forEach((hash, i) => hash && hashes.set(hash.subarray(0, width), i * width))
  return { prefix, hashes }
}

function* unequal(mine: Uint8Array, theirs: Uint8Array, width: Width): Generator<number> {
  for (let i = 0; i < BRANCHES; i++) {
    if (!sameBytes(childHash(mine, i, width), childHash(theirs, i, width))) yield i
  }
}

function isEmpty(hashes: Uint8Array, index: number, width: Width): boolean {
  return sameBytes(childHash(hashes, index, width), EMPTY_NODES[width])
}

function childHash(hashes: Uint8Array, index: number, width: Width): Uint8Array {
  return hashes.subarray(index * width, (index + 1) * width)
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

function sizeOf(part: Part, width: Width): number {
  const contents = 'ids' in part ? part.ids.length * width : part.hashes.length
  return contents + part.prefix.length + PART_OVERHEAD_BYTES
}

function shorten(id: EventId, width: Width): string {
  return id.slice(0, width * 2)
}

function digit(index: number): string {
  return index.toString(16)
}

/** Short ids as one byte string, `width` bytes each. */
export function packIds(ids: readonly string[], width: Width): Uint8Array {
  const bytes = new Uint8Array(ids.length * width)
  ids.forEach((id, i) => bytes.set(bytesOfHex(id.slice(0, width * 2)), i * width))
  return bytes
}

/** @returns undefined when `bytes` is not a whole number of ids. */
export function unpackIds(bytes: Uint8Array, width: Width): string[] | undefined {
  if (bytes.length % width !== 0) return undefined
  const ids: string[] = []
  for (let at = 0; at < bytes.length; at += width) ids.push(hexOf(bytes.subarray(at, at + width)))
  return ids
}
