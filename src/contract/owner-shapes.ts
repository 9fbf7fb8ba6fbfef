// What the API says of who decides: owners, how many of them must agree, what waits for more of
// them, and checkpoints.
import { Type } from 'typebox'
import {
  cid,
  count,
  eventId,
  listOf,
  localName,
  oneOf,
  optional,
  positive,
  publicKey,
  type Shape,
  time,
  word,
} from './shape.ts'

/** Most owners that a rule may ask for. */
const KEYS_MAX = 64

export const Approvals = Type.Object(
  {
    have: Type.Integer({ minimum: 0, description: 'Distinct owners that agree' }),
    needed: Type.Integer({ minimum: 1, description: 'How many must' }),
  },
  { description: 'Of what waits: how many owners agree, and how many must' },
)
export type Approvals = Shape<typeof Approvals>

export const Policy = Type.Object({
  kOwner: Type.Integer({
    minimum: 1,
    maximum: KEYS_MAX,
    description: 'Owners that must agree to add or remove an owner, or to change this; fixed',
  }),
  kReview: Type.Integer({
    minimum: 1,
    maximum: KEYS_MAX,
    description: 'Owners that must accept a change, from now on',
  }),
})
export type Policy = Shape<typeof Policy>

export const threshold = positive(KEYS_MAX)

export const OwnerInfo = Type.Object({
  key: publicKey,
  rank: count,
  since: time,
  name: optional(Type.String({ description: 'As whoever added the key calls it' })),
  user: optional(localName),
  confirmed: Type.Boolean({ description: 'The key has signed something in this dataset' }),
})
export type OwnerInfo = Shape<typeof OwnerInfo>

/** A change of owners or of the policy that is signed and waits for more owners. */
export const WaitingOperation = Type.Object({
  event: eventId,
  kind: oneOf('add', 'remove', 'policy'),
  key: optional(Type.String({ description: 'The key that is added or removed' })),
  name: optional(Type.String({ description: 'As whoever adds the key calls it' })),
  reviews: optional(
    Type.Integer({ minimum: 1, description: 'Of a policy: owners that must accept a change' }),
  ),
  by: publicKey,
  at: time,
  endorsedBy: Type.Array(publicKey, { description: 'Whose agreement counts, the author included' }),
  approvals: Approvals,
})
export type WaitingOperation = Shape<typeof WaitingOperation>

/** A restored backup, one key on two machines, or an owner who tells different people different things. */
export const SelfFork = Type.Object(
  {
    key: publicKey,
    events: Type.Array(eventId, {
      description: 'Two of its events, neither in the past of the other',
    }),
  },
  { description: 'One key has written two histories; both count, and nothing depends on it' },
)
export type SelfFork = Shape<typeof SelfFork>

export const keyOrUser = Type.String({
  minLength: 1,
  maxLength: 64,
  description: 'A public key, 64 lower-case hex digits, or the name of a user of this node',
})
export const Owners = Type.Object({
  owners: listOf(OwnerInfo),
  waiting: listOf(WaitingOperation),
  forks: optional(listOf(SelfFork)),
})
export type Owners = Shape<typeof Owners>

/** `event` is in force unless it is among `waiting`. */
export const OwnersChanged = Type.Object({ event: eventId, ...Owners.properties })
export type OwnersChanged = Shape<typeof OwnersChanged>

export const Endorsed = Type.Object({
  event: eventId,
  operation: Type.String({ description: 'What was endorsed; in force unless it is in `waiting`' }),
  ...Owners.properties,
})
export type Endorsed = Shape<typeof Endorsed>

export const PolicyInfo = Type.Object({
  ...Policy.properties,
  owners: Type.Integer({ minimum: 0, description: 'Owners there are' }),
  waiting: Type.Array(WaitingOperation, { description: 'Changes of it that wait' }),
})
export type PolicyInfo = Shape<typeof PolicyInfo>

/** `event` is in force unless it is among `waiting`. */
export const PolicyChanged = Type.Object({ event: eventId, ...PolicyInfo.properties })
export type PolicyChanged = Shape<typeof PolicyChanged>

// ---------------------------------------------------------------- checkpoints

export const Alarm = Type.Object({
  kind: oneOf('forked', 'root-mismatch', 'chain-changed', 'root-differs'),
  what: Type.String({ description: 'What is wrong, in one sentence' }),
  ids: listOf(word),
})
export type Alarm = Shape<typeof Alarm>

export const CheckpointRef = Type.Object({ id: cid, height: positive(Number.MAX_SAFE_INTEGER) })
export type CheckpointRef = Shape<typeof CheckpointRef>

export const CheckpointInfo = Type.Object({
  ...CheckpointRef.properties,
  status: Type.Unsafe<'final' | 'open' | 'incomplete' | 'passed-over'>({
    type: 'string',
    enum: ['final', 'open', 'incomplete', 'passed-over'],
    description:
      '`final`: settled for good; `open`: waits for votes; `incomplete`: not all it covers is here; ' +
      '`passed-over`: another one was chosen',
  }),
  anchor: Type.Boolean({ description: 'This node was told to trust it' }),
  previous: optional(cid),
  heads: listOf(eventId),
  without: Type.Array(eventId, { description: 'Proposals it does not cover' }),
  root: cid,
  check: Type.Unsafe<'verified' | 'mismatch' | 'unknown'>({
    type: 'string',
    enum: ['verified', 'mismatch', 'unknown'],
    description: '`unknown` until this node has recomputed the root',
  }),
  votes: listOf(publicKey),
  voters: Type.Integer({ minimum: 0, description: 'Owners whose votes count' }),
  needed: Type.Integer({ minimum: 0, description: 'Votes that make it final; 0: not known' }),
  have: Type.Integer({ minimum: 0, description: 'Votes that count' }),
})
export type CheckpointInfo = Shape<typeof CheckpointInfo>

export const Checkpoints = Type.Object({
  checkpoints: Type.Array(CheckpointInfo, { description: 'By height' }),
  alarms: listOf(Alarm),
})
export type Checkpoints = Shape<typeof Checkpoints>

export const CheckpointVoted = Type.Object({ event: eventId, checkpoint: CheckpointInfo })
export type CheckpointVoted = Shape<typeof CheckpointVoted>
