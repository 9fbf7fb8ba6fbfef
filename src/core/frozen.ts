// The frozen prefix: what a final checkpoint has settled for good. Every layer takes it as an
// argument from the first day, so that finality needs no other rules; until checkpoints exist,
// nothing is frozen.
import type { EventId, ObjectId, TenureId, VersionId } from './ids.ts'

/** The causally closed set F(B) of the newest final checkpoint B, and what its state says. */
export interface FrozenPrefix {
  /** Verdict of layer A on an event of F(B), fixed both ways; undefined outside F(B). */
  verdictOf(event: EventId): boolean | undefined
  /** Whether a removal or leaving in F(B) is in force on the tenure in the state of F(B). */
  isInForce(removal: EventId, tenure: TenureId): boolean
  /** Keys that must accept what a review of F(B) accepts, fixed; undefined outside F(B). */
  requirementOf(review: EventId): number | undefined
  /** Leavings in F(B) that its state ignores so that somebody stays. */
  readonly ignoredLeavings: readonly EventId[]
  /** Canonical head of an object known to the state of F(B): later ones descend from it. */
  headOf(object: ObjectId): VersionId | undefined
  /** Who owns a name there, and keeps it while its canonical head carries it. */
  ownerOfName(space: 'file' | 'schema', name: string): ObjectId | undefined
  /** The release event that owns a tag there. */
  ownerOfTag(tag: string): EventId | undefined
}

export const nothingFrozen: FrozenPrefix = Object.freeze({
  verdictOf: () => undefined,
  isInForce: () => false,
  requirementOf: () => undefined,
  ignoredLeavings: [],
  headOf: () => undefined,
  ownerOfName: () => undefined,
  ownerOfTag: () => undefined,
})
