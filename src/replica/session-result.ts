// What a session needs of whoever stores events, and what it ends with.
import type { Rejection } from '../core/errors.ts'
import type { EventId } from '../core/ids.ts'
import type { PeerId } from '../ports.ts'
import type { PeerFault, Traffic } from './sync-client.ts'
import type { RefusalCode, Roots } from './sync-messages.ts'

export interface Submitted {
  readonly stored: number
  /** Not held, and named as parents by events that were therefore not stored. */
  readonly missingParents: readonly EventId[]
  readonly refused: readonly Rejection[]
}

/** Verifies and stores events, in any order within one call. Known ones are passed over. */
export type Submit = (
  blocks: readonly Uint8Array[],
  from: PeerId,
  /** The peer told of them without being asked. */
  isNews?: boolean,
) => Promise<Submitted>

export type SessionEnd =
  /** Both sides hold the same. */
  | 'equal'
  /** We hold all the peer holds, and more: its turn to ask. */
  | 'ahead'
  /** Nothing changed since the last session with this peer. */
  | 'settled'
  /** The rest are proposals that this node has no room for. */
  | 'over-quota'
  /** The rest are events of a later version of the protocol, or build on such events. */
  | 'newer'
  /** Progress was made and there is more: start again. */
  | 'partial'
  | 'refused'
  | 'unreachable'
  | 'cancelled'
  | 'peer-fault'

export interface SessionResult {
  readonly end: SessionEnd
  /** One line for the log. */
  readonly what: string
  /** When `end` is `peer-fault`. */
  readonly fault?: PeerFault
  /** When `end` is `refused`. */
  readonly refusal?: RefusalCode
  /** Events stored. */
  readonly stored: number
  readonly traffic: Traffic
  readonly ours?: Roots
  /** As the peer last told them. */
  readonly theirs?: Roots
}
