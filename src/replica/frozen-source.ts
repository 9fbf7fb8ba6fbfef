// What checkpoints have settled, read for what a step of work is going to ask: the rules of core take
// it as a FrozenPrefix, which answers at once.
import { type FrozenPrefix, nothingFrozen } from '../core/frozen.ts'
import type { EventId, ObjectId } from '../core/ids.ts'
import type { NameClaim } from '../core/state.ts'

export interface FrozenSource {
  /** Answers of owner events, those given. */
  ofEvents(ids: readonly EventId[]): Promise<FrozenPrefix>
  /** Answers of objects, those given. */
  ofObjects(ids: readonly ObjectId[]): Promise<FrozenObjects>
  /** Answers of names, those given. */
  ofNames(names: readonly Pick<NameClaim, 'space' | 'name'>[]): Promise<FrozenPrefix>
}

export interface FrozenObjects {
  readonly frozen: FrozenPrefix
  /** Names that the objects claim in the settled state. */
  readonly claims: readonly NameClaim[]
}

/** Without a checkpoint: costs nothing. */
export const neverFrozen: FrozenSource = {
  ofEvents: async () => nothingFrozen,
  ofObjects: async () => ({ frozen: nothingFrozen, claims: [] }),
  ofNames: async () => nothingFrozen,
}
