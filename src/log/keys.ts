// The key space of the database. Every key is: table (1 byte) ‖ dataset ordinal (u32) ‖ rest, fixed
// width and big-endian wherever order matters. Tables of the whole home have no ordinal.

/** One byte each; never reuse a letter. */
export const tables = {
  /** '' → home row: format version, next ordinal. */
  home: 'h',
  /** dataset id → dataset row. */
  datasets: 'd',
  /** ordinal → id of a dataset that was forgotten, or nothing: until its rows are gone. */
  forgotten: 'g',
  /** event id → signed block. */
  events: 'e',
  /** CID bytes → block of a trie, a `files/` directory or a snapshot. */
  nodes: 'n',
  /** CID bytes of a file → how this node came to hold it. */
  held: 'f',
  /** block CID ‖ file CID: which held files of several blocks a block belongs to. */
  refs: 'r',
  /** number → CID of undecided content fetched for a reviewer, oldest first, and its size. */
  prefetched: 'p',
  /** file CID → when it may go, unless something needs it by then: it was stored for a proposal to come. */
  stored: 's',
  // ---- of one dataset
  /** name → single rows: heads, counts, published, … */
  meta: 'm',
  /** arrival number → event id. */
  arrivals: 'a',
  /** owner event id → header row. */
  headers: 'H',
  /** depth ‖ owner event id. */
  depths: 'D',
  /** owner event id that no other owner event builds on. */
  heads: 'B',
  /** ordinal → `add`, `remove`, `endorse` and `policy` events, in order of arrival. */
  operations: 'G',
  /** event id: struck by a removal. */
  voids: 'W',
  /** review event id → how many keys must accept what it accepts, if not what the genesis says. */
  requirements: 't',
  /** proposal id → proposal row. */
  proposals: 'P',
  /** proposal id ‖ review event id → review row. */
  reviews: 'V',
  /** proposal id named by a review but not here. */
  wanted: 'N',
  /** arrival ‖ proposal id with undecided operations. */
  pending: 'Q',
  /** see pool-index.ts. */
  pool: 'E',
  /** proposal id whose decisions must be derived again. */
  dirty: 'X',
  /** object id → object row. */
  objects: 'O',
  /** space ‖ name → claims on it: date and object id. */
  names: 'C',
  /** path of a directory → how many names below it are claimed. */
  directories: 'U',
  /** space ‖ name → object that owns the name in the snapshot, and its size. */
  owned: 'Y',
  /** content CID ‖ date ‖ object id. */
  contents: 'K',
  /** content CID ‖ object id, for every accepted version that is not purged. */
  accepted: 'k',
  /** content CID that is accepted and not here yet → its size. */
  lacking: 'M',
  /** object id ‖ arrival ‖ index of an operation on it → op ‖ proposal id. */
  touches: 'o',
  /** target or schema ‖ version ‖ arrival ‖ index of an operation → annotation's id ‖ proposal id. */
  annotations: 'R',
  /** author ‖ arrival → event id. */
  authors: 'A',
  /** author of a proposal that was made on this node. */
  ownAuthors: 'I',
  /** kind and status that operations of a proposal have ‖ arrival → proposal id. */
  statuses: 'S',
  /** tag ‖ 0 ‖ date ‖ event id. */
  releases: 'L',
  /** checkpoint id → what votes for it say. */
  checkpoints: 'c',
  /** checkpoint before (zeros: none) ‖ checkpoint ‖ key: a vote. */
  votes: 'v',
  /** tenure → its newest events, see replica/self-forks.ts. */
  tips: 'l',
  /** tenure ‖ event id ‖ event id: two of its events, neither in the past of the other. */
  selfForks: 'F',
  /** see gonk-log.ts. */
  gonk: 'Z',
  /** event id → its block as it was found: damaged, or of an event whose parents are. */
  quarantine: 'q',
  /** number → touched objects and names, until they are in the snapshot. */
  stateJournal: 'T',
  /** number → events that entered or left a set, until they are in its tree. */
  eventJournal: 'J',
} as const

export type Table = keyof typeof tables

/** Tables without an ordinal. */
const HOME_TABLES = new Set<Table>([
  'home',
  'datasets',
  'forgotten',
  'events',
  'nodes',
  'held',
  'refs',
  'prefetched',
  'stored',
])

/** Tables with an ordinal. */
export const datasetTables = (Object.keys(tables) as Table[]).filter(
  (table) => !HOME_TABLES.has(table),
)

const NONE = new Uint8Array(0)
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
const letters = Object.fromEntries(
  Object.entries(tables).map(([table, letter]) => [table, Buffer.from(letter)]),
) as unknown as Record<Table, Uint8Array>

export function concat(...parts: Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const bytes = Buffer.allocUnsafe(length)
  let offset = 0
  for (const part of parts) {
    bytes.set(part, offset)
    offset += part.length
  }
  return bytes
}

export function u32(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export function u64(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}

export function numberOfU64(bytes: Uint8Array): number {
  return Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0))
}

export const utf8 = (text: string): Uint8Array => Buffer.from(text)
export const textOf = (bytes: Uint8Array): string => decoder.decode(bytes)
export const hex = (text: string): Uint8Array => Buffer.from(text, 'hex')

/** A key of a table of the whole home. */
export function homeKey(table: Table, ...rest: Uint8Array[]): Uint8Array {
  return concat(letters[table], ...rest)
}

/** The tables of what is settled of a dataset, see sealed-log.ts. */
export const sealedOrdinal = (ordinal: number): number => (ordinal | 0x8000_0000) >>> 0
/** The tables of a checkpoint that is being drafted. */
export const draftOrdinal = (ordinal: number): number => (ordinal | 0xc000_0000) >>> 0

/** What all keys of one dataset's table begin with. */
export function datasetPrefix(table: Table, ordinal: number): Uint8Array {
  return concat(letters[table], u32(ordinal))
}

/** Builds keys of one dataset's tables; strings are UTF-8. */
export type DatasetKey = (table: Table, ...rest: (string | Uint8Array)[]) => Uint8Array

export function datasetKeys(ordinal: number): DatasetKey {
  const prefixes = new Map<Table, Uint8Array>()
  return (table, ...rest) => {
    let prefix = prefixes.get(table)
    if (prefix === undefined) prefixes.set(table, (prefix = datasetPrefix(table, ordinal)))
    return concat(prefix, ...rest.map((part) => (typeof part === 'string' ? utf8(part) : part)))
  }
}

/** Bytes after the table letter and the ordinal. */
export const DATASET_PREFIX_BYTES = 5

/** The first key after all keys that begin with `prefix`. */
export function endOf(prefix: Uint8Array): Uint8Array {
  const end = new Uint8Array(prefix)
  for (let i = end.length - 1; i >= 0; i--) {
    if (end[i] !== 0xff) {
      end[i] = (end[i] as number) + 1
      return end.subarray(0, i + 1)
    }
  }
  return NONE
}

export interface Range {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
}

export function rangeOf(prefix: Uint8Array): Range {
  return { gte: prefix, lt: endOf(prefix) }
}
