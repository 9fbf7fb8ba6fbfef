// The rows of State: what is derived from events and kept by key. Everything here can be rebuilt
// from the log.
import type { AnnotationValue, FileValue, Verdict } from './event.ts'
import type { EventId, ObjectId, PublicKey, TenureId, VersionId } from './ids.ts'

/**
 * (depth, rank, id) of a valid accept, as 80 bytes that sort as the triple does:
 * depth u64 ‖ rank of the tenure ‖ id 32 bytes, where a rank is the depth of its add u64 ‖ id of its
 * add 32 bytes, or 0 ‖ i for founder i.
 */
export type AcceptDate = Uint8Array

/** An owner event without its payload: all that layer A reads. */
export interface OwnerHeader {
  readonly id: EventId
  readonly kind: string
  readonly tenure: TenureId
  readonly depth: number
  readonly parents: readonly EventId[]
  /** Of `add` and `remove`. */
  readonly key?: PublicKey
  /** Of `endorse`: what it agrees to. */
  readonly operation?: EventId
  /** Of `policy`. */
  readonly kReview?: number
}

/** One period in which a key may approve. */
export interface Tenure {
  readonly id: TenureId
  readonly key: PublicKey
  /** Depth and id of the add; founders: 0 and their index. */
  readonly addDepth: number
  readonly founderIndex?: number
  /** Its add is valid, and enough of its seniors endorse it. Founders exist. */
  readonly exists: boolean
  /** Exists, was not removed, and has not left (or its leaving is ignored, rule 7). */
  readonly live: boolean
}

/** One review of one proposal, as layer B reads it. */
export interface ReviewOfProposal {
  readonly event: EventId
  readonly key: PublicKey
  readonly verdict: Verdict
  readonly date: AcceptDate
  /** Verdict of layer A on the review event. */
  readonly valid: boolean
  /** Distinct keys that must accept for this accept to count, by the policies it is under. */
  readonly requires: number
  /** Both ends included; undefined: the whole proposal. */
  readonly ranges?: readonly (readonly [from: number, to: number])[]
  /** Rejects of the same proposal in this event's past. */
  readonly rejectsBefore: readonly EventId[]
  /** Those of `rejectsBefore` that are valid in the state of this event's past alone. Immutable. */
  readonly validRejectsBefore: readonly EventId[]
}

/** What layer B decides for a run of operations of one proposal (both ends included). */
export type Decision =
  | { readonly from: number; readonly to: number; readonly status: 'pending' }
  | {
      readonly from: number
      readonly to: number
      readonly status: 'rejected'
      readonly by: EventId
    }
  | {
      readonly from: number
      readonly to: number
      readonly status: 'accepted'
      /** The first accept, by date, with which there are enough. */
      readonly by: EventId
      readonly date: AcceptDate
    }

/** An accepted version of an object. */
export interface Version {
  readonly id: VersionId
  /** The accept that dates it. */
  readonly date: AcceptDate
  readonly op: 'create' | 'update' | 'delete' | 'purge'
  /** Empty for create and purge. */
  readonly base: readonly VersionId[]
  /** Absent for delete and purge, and for every version of a purged object. */
  readonly value?: FileValue | AnnotationValue
}

/** All accepted versions of one object, and what follows from them. */
export interface ObjectRow {
  readonly id: ObjectId
  /** Sorted by (date, id). */
  readonly versions: readonly Version[]
  /** Indexes into `versions` whose base chain is accepted back to the create. */
  readonly active: readonly number[]
  /** Active versions that no active version builds on, canonical head first, the rest by index. */
  readonly heads: readonly number[]
  readonly purged: boolean
  /** What the canonical head holds; undefined when it is a tombstone, or nothing is active. */
  readonly current?: FileValue | AnnotationValue
  /** Claim on a name, dated by the earliest version of the unbroken run that carries it. */
  readonly claim?: NameClaim
}

export interface NameClaim {
  readonly space: 'file' | 'schema'
  readonly name: string
  readonly date: AcceptDate
  readonly object: ObjectId
}
