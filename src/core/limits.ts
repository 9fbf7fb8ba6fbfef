// Every structural limit of the protocol. All nodes must agree on these: they decide what exists.

const KiB = 1024
const MiB = 1024 * KiB

export const limits = {
  /** A signed event as one block. */
  eventBytesMax: 256 * KiB,
  /** Nesting of maps and lists inside an event. */
  eventDepthMax: 16,
  /** Parents of an owner event. */
  parentsMax: 64,
  /** Operations in one proposal. */
  operationsMax: 2_000,
  /** Entries in one review, and ranges over all of them. */
  reviewItemsMax: 1_000,
  reviewRangesMax: 256,
  /** Proposals a checkpoint may leave out. */
  withoutMax: 4_096,
  /** Founders in a genesis. */
  foundersMax: 64,
  /** Versions an operation may build on, and targets of an annotation. */
  basesMax: 64,
  targetsMax: 64,
  /** Object names. */
  nameBytesMax: 1_024,
  nameSegmentBytesMax: 255,
  mediaTypeBytesMax: 255,
  tagBytesMax: 255,
  /** Free text: reasons, display names, label maps. */
  textBytesMax: KiB,
  labelsBytesMax: KiB,
  metaBytesMax: 4 * KiB,
  /** Annotation bodies kept in the event itself. */
  inlineBytesMax: 16 * KiB,
  /** One block of content or of a tree, as every IPFS implementation accepts it. */
  blockBytesMax: 2 * MiB,
  /** A trie node with more entries than this is split. */
  trieLeafEntriesMax: 32,
} as const

if (limits.inlineBytesMax >= limits.eventBytesMax) throw new Error('limits: inline > event')
if (limits.nameSegmentBytesMax > limits.nameBytesMax) throw new Error('limits: segment > name')
