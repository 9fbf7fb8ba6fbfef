// Keeps the index of claims on names, and of how many are below each directory.
import { pathPrefixesOf } from '../core/claims.ts'
import type { NameClaim } from '../core/state.ts'
import type { Write } from '../log/database.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { FrozenSource } from './frozen-source.ts'
import type { Name } from './ownership.ts'

/** What one object claimed before and claims now. */
export interface ClaimChange {
  readonly before: NameClaim | undefined
  readonly after: NameClaim | undefined
}

/** Adds the writes for all changes of a batch. @returns the names whose claims changed. */
export async function claimWrites(
  log: DatasetLog,
  changes: readonly ClaimChange[],
  writes: Write[],
  frozen: FrozenSource,
): Promise<Name[]> {
  const touched = new Map<string, Name>()
  for (const claim of changes.flatMap(({ before, after }) => [before, after])) {
    if (claim) touched.set(`${claim.space}:${claim.name}`, { space: claim.space, name: claim.name })
  }
  const names = [...touched.values()]
  const [rows, settled] = await Promise.all([log.names.claimsOnMany(names), frozen.ofNames(names)])
  const claims = new Map([...touched.keys()].map((key, i) => [key, rows[i] ?? []]))
  const countBefore = new Map([...claims].map(([key, list]) => [key, list.length]))
  for (const { before, after } of changes) {
    if (before) {
      const key = `${before.space}:${before.name}`
      const rest = (claims.get(key) ?? []).filter(({ object }) => object !== before.object)
      claims.set(key, rest)
    }
    if (after) claims.get(`${after.space}:${after.name}`)?.push(after)
  }
  const below = new Map<string, number>()
  for (const [key, { space, name }] of touched) {
    const now = claims.get(key) ?? []
    writes.push(log.names.putClaims(space, name, now, settled.ownerOfName(space, name)))
    const change = now.length - (countBefore.get(key) ?? 0)
    if (change === 0) continue
    for (const directory of pathPrefixesOf(space, name)) {
      below.set(directory, (below.get(directory) ?? 0) + change)
    }
  }
  const directories = [...below.keys()]
  const counts = await log.names.claimedBelow(directories)
  directories.forEach((directory, i) => {
    const count = (counts[i] ?? 0) + (below.get(directory) ?? 0)
    writes.push(log.names.putClaimedBelow(directory, count))
  })
  return names
}
