// Broken invariants are bugs: they end the operation loudly and are never handled.

export function assert(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${what}`)
}
