// What the API says of datasets as a whole: their state, owners, releases, copies and checks.
import { Type } from 'typebox'
import { Alarm, CheckpointRef, Policy, SelfFork } from './owner-shapes.ts'
import {
  anyJson,
  authorText,
  bytes,
  cid,
  count,
  eventId,
  exact,
  flag,
  jsonObject,
  listOf,
  localName,
  next,
  oneOf,
  optional,
  positive,
  page,
  publicKey,
  type Shape,
  time,
  word,
} from './shape.ts'

export const Counts = Type.Object({
  events: count,
  proposals: count,
  objects: count,
  versions: count,
  annotations: count,
  files: Type.Integer({ minimum: 0, description: 'Files under `files/`' }),
  bytes,
  pending: Type.Integer({ minimum: 0, description: 'Proposals with undecided operations' }),
})
export type Counts = Shape<typeof Counts>

export const DatasetInfo = Type.Object({
  id: word,
  name: word,
  root: word,
  stateRoot: word,
  counts: Counts,
  role: Type.Unsafe<'owner' | 'contributor'>({
    type: 'string',
    enum: ['owner', 'contributor'],
    description: 'What the key of whoever asks is in this dataset',
  }),
  pinned: Type.Boolean({ description: 'Serves exactly this root and does not follow' }),
  peers: count,
  sync: Type.Object({ state: oneOf('idle', 'syncing', 'offline'), missingFiles: count }),
  policy: optional(Policy),
  checkpoint: optional(CheckpointRef),
  alarms: listOf(Alarm),
  forks: optional(listOf(SelfFork)),
})
export type DatasetInfo = Shape<typeof DatasetInfo>

export const RootInfo = Type.Object({ root: cid, stateRoot: cid, heads: listOf(eventId) })
export type RootInfo = Shape<typeof RootInfo>

export const ReleaseInfo = Type.Object({
  tag: word,
  root: cid,
  event: eventId,
  by: publicKey,
  at: time,
  text: optional(word),
  check: Type.Unsafe<'ok' | 'mismatch' | 'checking'>({
    type: 'string',
    enum: ['ok', 'mismatch', 'checking'],
    description: '`checking` until this node has recomputed the root',
  }),
  shadowed: flag,
})
export type ReleaseInfo = Shape<typeof ReleaseInfo>

export const Link = Type.Object({ link: word, root: cid })

export const CloneResult = Type.Object({
  id: word,
  name: word,
  root: cid,
  stateRoot: cid,
  objects: count,
  bytes,
  seconds: Type.Number({ minimum: 0 }),
})
export type CloneResult = Shape<typeof CloneResult>

export const VerifyResult = Type.Object({
  ok: flag,
  events: count,
  blocks: count,
  bytes,
  problems: listOf(word),
})
export type VerifyResult = Shape<typeof VerifyResult>

export const RepairResult = Type.Object({
  /** Events that all rows were made from. */
  events: count,
  /** Events that are damaged here and that no peer gave. */
  missingEvents: count,
  /** Files that are not whole here and that no peer gave. */
  missingFiles: count,
  /** Empty while not even the first event is here. */
  root: word,
})
export type RepairResult = Shape<typeof RepairResult>

export const CheckoutResult = Type.Object({ files: count, bytes })
export const Collected = Type.Object({ blocks: count, bytes })

export const Change = Type.Object({
  name: word,
  change: oneOf('added', 'removed', 'changed'),
  before: optional(cid),
  after: optional(cid),
})
export type Change = Shape<typeof Change>

export const ChangePage = Type.Object({ changes: listOf(Change), next })
export type ChangePage = Shape<typeof ChangePage>

export const diffPage = { after: page.after, limit: optional(positive(10_000)) }
export type DiffPage = Shape<ReturnType<typeof exact<typeof diffPage>>>

export const LogEntry = Type.Object({
  event: eventId,
  kind: word,
  author: publicKey,
  user: optional(localName),
  at: Type.String({ description: 'The time its author claims; RFC 3339, UTC' }),
  summary: word,
  void: optional(
    Type.Boolean({ description: "Present and true when an owner's removal struck the event" }),
  ),
})
export type LogEntry = Shape<typeof LogEntry>

/** Which events a log is of; all by default. */
export const logFilter = {
  limit: optional(positive(Number.MAX_SAFE_INTEGER)),
  author: optional(authorText),
  object: optional(Type.String({ minLength: 1, maxLength: 4_096, description: 'Name or id' })),
}

/** One event in full, in the order in which events arrived at this node. */
export const EventEntry = Type.Object({
  dataset: word,
  seq: Type.Integer({ minimum: 0, description: "This node's own number of it in its dataset" }),
  cursor: Type.String({ description: 'Give it as `after` to get what came after this event' }),
  event: eventId,
  kind: word,
  author: publicKey,
  at: time,
  body: jsonObject,
  block: optional(Type.String({ description: 'The signed block, base64; when asked for' })),
})
export type EventEntry = Shape<typeof EventEntry>

export const EventPage = Type.Object({ events: listOf(EventEntry), next })
export type EventPage = Shape<typeof EventPage>

/** A short notice that something changed; ask for the thing itself. */
export const Notice = Type.Object({
  seq: count,
  dataset: word,
  kind: oneOf(
    ...(['proposal', 'decision', 'root', 'release', 'owner'] as const),
    ...(['checkpoint', 'content', 'peer', 'reset'] as const),
  ),
  ids: listOf(word, 50),
})
export type Notice = Shape<typeof Notice>

/** Why a version of an object is what it is: each step was checked by this node. */
export const Proof = Type.Object({
  steps: listOf(Type.Object({ what: word, ok: flag, ids: listOf(word) })),
  blocks: listOf(Type.Object({ cid, block: Type.String({ description: 'base64' }) })),
})
export type Proof = Shape<typeof Proof>

export const Shown = Type.Record(Type.String(), anyJson, {
  description: 'An event, an object, a schema, an annotation or a version: `type` says which',
})

export const ImportResult = Type.Object({
  events: listOf(eventId),
  counts: Type.Record(Type.String(), count, {
    description: 'What was imported, by kind and status',
  }),
  warnings: listOf(word),
})
export type ImportResult = Shape<typeof ImportResult>
