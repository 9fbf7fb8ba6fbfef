// What the API says of proposals and decisions: the queue, its counts, selections, checks, reviews.
import { Type } from 'typebox'
import { Conformity } from './object-shapes.ts'
import { Approvals } from './owner-shapes.ts'
import {
  authorText,
  bytes,
  count,
  eventId,
  exact,
  flag,
  listOf,
  localName,
  longText,
  next,
  objectId,
  oneOf,
  optional,
  page,
  positive,
  publicKey,
  type Shape,
  text,
  time,
  versionId,
  word,
} from './shape.ts'

export const ReviewEntry = Type.Object({
  event: eventId,
  type: Type.String({ description: '`create`, `update`, `delete`, `purge`, or `mixed`' }),
  author: publicKey,
  user: optional(localName),
  summary: word,
  at: Type.String({ description: 'The time its author claims; RFC 3339, UTC' }),
  operations: count,
  status: Type.Object({ pending: count, accepted: count, rejected: count }),
  approvals: optional(Approvals),
  invalid: optional(
    Type.Integer({
      minimum: 1,
      description: 'Annotations and schemas in it that wait and are known not to conform',
    }),
  ),
})
export type ReviewEntry = Shape<typeof ReviewEntry>

const reviewStatus = oneOf('pending', 'accepted', 'rejected', 'all')
export const reviewFilter = {
  status: optional(reviewStatus),
  author: optional(authorText),
}
export type ReviewFilter = Shape<ReturnType<typeof exact<typeof reviewFilter>>>

export const reviewListFilter = {
  ...reviewFilter,
  limit: optional(positive(1_000)),
  after: optional(
    Type.String({ maxLength: 256, description: '`event` of the last entry that is known' }),
  ),
}
export type ReviewListFilter = Shape<ReturnType<typeof exact<typeof reviewListFilter>>>

/** Decides whole proposals or parts of them: `EVENT`, `EVENT:INDEX`, `EVENT:FROM-TO`. */
export const reviewFields = {
  verdict: oneOf('accept', 'reject'),
  items: optional(
    Type.Array(text, {
      maxItems: 100_000,
      description: '`EVENT`, `EVENT:INDEX` or `EVENT:FROM-TO`; either these or `all`',
    }),
  ),
  all: optional(exact(reviewFilter, 'Everything pending that passes')),
  reason: optional(longText),
}
export type ReviewRequest = Shape<ReturnType<typeof exact<typeof reviewFields>>>

/** A run of operations that is approved and waits for more owners. */
export const ItemApprovals = Type.Object({
  item: Type.String({ description: '`EVENT:FROM-TO`' }),
  approvals: Approvals,
})
export type ItemApprovals = Shape<typeof ItemApprovals>

export const ReviewResult = Type.Object({
  events: listOf(eventId),
  decided: Type.Array(word, { description: '`EVENT:FROM-TO` of each decided run' }),
  waiting: optional(
    Type.Array(ItemApprovals, { description: 'What was signed and waits for more owners' }),
  ),
})
export type ReviewResult = Shape<typeof ReviewResult>

/** A proposal with what became of it. */
export const ProposalEntry = Type.Object({
  ...ReviewEntry.properties,
  reasons: listOf(Type.Object({ by: publicKey, verdict: oneOf('accept', 'reject'), reason: word })),
})
export type ProposalEntry = Shape<typeof ProposalEntry>

export const ProposalPage = Type.Object({ proposals: listOf(ProposalEntry), next })
export type ProposalPage = Shape<typeof ProposalPage>

export const proposalFilter = { ...page, ...reviewFilter }
export type ProposalFilter = Shape<ReturnType<typeof exact<typeof proposalFilter>>>

// ---------------------------------------------------------------- the queue, operation by operation

export const ItemKind = oneOf('object', 'schema', 'annotation', 'removal')
export type ItemKind = Shape<typeof ItemKind>

const ItemSide = Type.Object({
  version: versionId,
  name: optional(word),
  mediaType: optional(word),
  size: optional(bytes),
  cid: optional(word),
  text: optional(Type.String({ description: 'Of an annotation: the document, when it is short' })),
})

/** One operation of one proposal, with all that a person needs in order to decide. */
export const QueueItem = Type.Object({
  item: Type.String({ description: '`EVENT:INDEX`' }),
  proposal: eventId,
  index: count,
  of: Type.Integer({ minimum: 1, description: 'Operations of the proposal' }),
  kind: ItemKind,
  op: oneOf('create', 'update', 'delete', 'purge'),
  status: oneOf('pending', 'accepted', 'rejected'),
  approvals: optional(Approvals),
  object: objectId,
  base: listOf(versionId),
  head: optional(
    Type.String({ description: 'The current version of the object; absent for a new one' }),
  ),
  stale: Type.Boolean({ description: 'It builds on a version that is not current' }),
  wouldConflict: Type.Boolean({ description: 'Its name belongs to another object' }),
  author: Type.Object({
    key: publicKey,
    name: optional(Type.String({ description: 'As the author calls itself' })),
    user: optional(localName),
    isOwner: flag,
  }),
  claimedAt: time,
  before: optional(ItemSide),
  after: optional(ItemSide),
  objects: optional(
    listOf(Type.Object({ version: versionId, object: optional(objectId), name: optional(word) })),
  ),
  schema: optional(
    Type.Object({ version: versionId, name: optional(word), status: optional(word) }),
  ),
  validity: Conformity,
  here: Type.Boolean({ description: 'Its content is on this node' }),
  duplicateOf: optional(objectId),
  decidedBy: optional(eventId),
  reason: optional(Type.String({ description: 'Why, as that review says' })),
  canAccept: flag,
  why: optional(Type.String({ description: 'Why it cannot be accepted: a code and a reason' })),
})
export type QueueItem = Shape<typeof QueueItem>

export const QueuePage = Type.Object({
  items: listOf(QueueItem),
  next,
  asOf: Type.Integer({
    minimum: 0,
    description: 'Events that had arrived: pages with this `asOf` do not move',
  }),
})
export type QueuePage = Shape<typeof QueuePage>

const filterFields = {
  status: optional(oneOf('pending', 'accepted', 'rejected', 'mine')),
  kind: optional(ItemKind),
  author: optional(authorText),
  schema: optional(Type.String({ maxLength: 1_024, description: 'Name of a schema' })),
  prefix: optional(Type.String({ maxLength: 1_024, description: 'Names that begin with this' })),
}
export const queueFilter = exact(filterFields)
export type QueueFilter = Shape<typeof queueFilter>

export const queueFields = {
  ...filterFields,
  after: page.after,
  limit: optional(positive(200)),
  asOf: optional(count),
}
export type QueueRequest = Shape<ReturnType<typeof exact<typeof queueFields>>>

export const countFields = {
  ...filterFields,
  group: optional(oneOf('proposal', 'author', 'schema', 'kind')),
}
export type CountRequest = Shape<ReturnType<typeof exact<typeof countFields>>>

export const QueueCounts = Type.Object({
  total: count,
  exact: Type.Boolean({ description: 'False when counting stopped at a limit' }),
  groups: listOf(Type.Object({ key: word, count })),
})
export type QueueCounts = Shape<typeof QueueCounts>

/** Freezes what passes a filter now, so that what arrives meanwhile is not decided unseen. */
export const selectionFields = {
  filter: queueFilter,
  asOf: optional(count),
  add: optional(listOf(text, 10_000)),
  drop: optional(listOf(text, 10_000)),
}
export type SelectionRequest = Shape<ReturnType<typeof exact<typeof selectionFields>>>

export const Selection = Type.Object({ id: word, count, expiresAt: time })
export type Selection = Shape<typeof Selection>

const seenItem = exact({
  item: Type.String({
    minLength: 1,
    maxLength: 4_096,
    description: '`EVENT`, `EVENT:INDEX` or `EVENT:FROM-TO`',
  }),
  seen: optional(
    exact(
      { content: optional(word), head: optional(word) },
      'CID and current version as they were shown (empty: there was none): an operation is not decided ' +
        'when they have changed since',
    ),
  ),
})

export const decisionFields = {
  decisions: Type.Array(
    exact({
      verdict: oneOf('accept', 'reject'),
      reason: optional(longText),
      items: optional(listOf(seenItem, 10_000)),
      selection: optional(
        Type.String({ minLength: 1, maxLength: 4_096, description: '`id` of a frozen selection' }),
      ),
    }),
    { minItems: 1, maxItems: 100 },
  ),
}
export type DecisionRequest = Shape<ReturnType<typeof exact<typeof decisionFields>>>

export const decideFields = {
  ...decisionFields,
  idempotencyKey: optional(
    Type.String({
      minLength: 1,
      maxLength: 128,
      description: 'The same key gets the same answer, and nothing is signed twice',
    }),
  ),
}
export type DecideRequest = Shape<ReturnType<typeof exact<typeof decideFields>>>

export const ItemOutcome = Type.Object({
  item: word,
  outcome: Type.Unsafe<
    | 'decided'
    | 'approved'
    | 'alreadyDecided'
    | 'alreadyApproved'
    | 'changed'
    | 'stale'
    | 'invalid'
    | 'notHere'
    | 'badName'
  >({
    type: 'string',
    enum: [
      ...['decided', 'approved', 'alreadyDecided', 'alreadyApproved'],
      ...['changed', 'stale', 'invalid', 'notHere', 'badName'],
    ],
    description:
      '`approved`: signed, and more owners must accept it; `alreadyApproved`: you did so before',
  }),
  what: optional(word),
  approvals: optional(Approvals),
})
export type ItemOutcome = Shape<typeof ItemOutcome>

export const Decided = Type.Object({ events: listOf(eventId), results: listOf(ItemOutcome) })
export type Decided = Shape<typeof Decided>

export const CheckResult = Type.Object({
  results: listOf(ItemOutcome),
  events: Type.Integer({ minimum: 0, description: 'How many reviews would be signed' }),
})
export type CheckResult = Shape<typeof CheckResult>
