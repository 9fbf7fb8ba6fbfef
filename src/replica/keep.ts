// The order of effects of a commit, as a value: tests pass others, to see that a wrong order is found
// out.
import type { Stored } from './store.ts'

/** What a commit consists of. Runs behind the replica's lock; each step once. */
export interface KeepSteps {
  /** Events into the log, in one atomic batch: on disk before it resolves when they are our own. */
  store(): Promise<Stored>
  /** What follows from all that is stored. */
  derive(): Promise<void>
  /** Tells whoever listens: they publish. */
  tell(stored: Stored): void
}

/** Takes the steps. Throws what they throw. */
export type Keep = (steps: KeepSteps) => Promise<Stored>

/** Durable, then derived, then published. */
export const keepInOrder: Keep = async ({ store, derive, tell }) => {
  const stored = await store()
  await derive()
  tell(stored)
  return stored
}
