// Who owns the names that a batch touched, and every other name whose owner depends on them.
import { CID } from 'multiformats/cid'
import { claimScopeOf, ownersOf, pathPrefixesOf } from '../core/claims.ts'
import type { FrozenPrefix } from '../core/frozen.ts'
import type { ObjectId } from '../core/ids.ts'
import { objectRowOf } from '../core/objects.ts'
import type { NameClaim, Version } from '../core/state.ts'
import type { DirectoryChange } from '../files/directory.ts'
import type { Write } from '../log/database.ts'
import type { DatasetLog, OwnedName } from '../log/dataset-log.ts'
import { assert } from './assert.ts'

export interface Name {
  readonly space: NameClaim['space']
  readonly name: string
}

export interface Ownership {
  /** What the `files/` directory must change. */
  readonly files: DirectoryChange[]
  /** Change of the number and the bytes of files in it. */
  readonly fileCount: number
  readonly fileBytes: number
  readonly writes: Write[]
}

export async function ownershipOf(
  log: DatasetLog,
  touched: readonly Name[],
  frozen: FrozenPrefix,
): Promise<Ownership> {
  const names = new Map<string, Name>()
  const winners = new Map<string, NameClaim>()
  const isClaimed = claimedPrefixes(log)
  for (const { space, name } of touched) {
    if (names.has(keyOf(space, name))) continue
    names.set(keyOf(space, name), { space, name })
    const claims = await claimsInScope(log, space, name, isClaimed)
    for (const claim of claims) names.set(keyOf(space, claim.name), claim)
    for (const claim of ownersOf(claims, frozen).owning) winners.set(keyOf(space, claim.name), claim)
  }
  return changesOf(log, [...names.values()], winners, frozen)
}

const keyOf = (space: string, name: string): string => `${space}:${name}`

/** Whether a prefix is claimed, each looked up once. */
function claimedPrefixes(log: DatasetLog) {
  const known = new Map<string, boolean>()
  return async (space: NameClaim['space'], prefix: string): Promise<boolean> => {
    const before = known.get(prefix)
    if (before !== undefined) return before
    const isClaimed = await log.hasClaim(space, prefix)
    known.set(prefix, isClaimed)
    return isClaimed
  }
}

async function claimsInScope(
  log: DatasetLog,
  space: NameClaim['space'],
  name: string,
  isClaimed: ReturnType<typeof claimedPrefixes>,
): Promise<NameClaim[]> {
  const claimed = new Set<string>()
  for (const prefix of pathPrefixesOf(space, name)) {
    if (!(await isClaimed(space, prefix))) continue
    claimed.add(prefix)
    break
  }
  const scope = claimScopeOf(space, name, (prefix) => claimed.has(prefix))
  const claims: NameClaim[] = []
  for await (const claim of log.claimsOn(space, scope.top)) claims.push(claim)
  if (scope.under === undefined) return claims
  for await (const claim of log.claimsUnder(space, scope.top)) claims.push(claim)
  return claims
}

async function changesOf(
  log: DatasetLog,
  names: readonly Name[],
  winners: ReadonlyMap<string, NameClaim>,
  frozen: FrozenPrefix,
): Promise<Ownership> {
  const before = await log.owned(names)
  const claims = names.map(({ space, name }) => winners.get(keyOf(space, name)))
  const objects = [...new Set(claims.flatMap((claim) => (claim ? [claim.object] : [])))]
  const rows = await log.versions(objects)
  const versions = new Map(objects.map((object, i) => [object, rows[i] ?? []]))
  const files: DirectoryChange[] = []
  const writes: Write[] = []
  let fileCount = 0
  let fileBytes = 0
  names.forEach(({ space, name }, i) => {
    const claim = claims[i]
    const after = claim && ownedNameOf(claim.object, versions.get(claim.object) ?? [], frozen)
    // What never owned its name has nothing to take out, and there may be a directory of that name.
    if (after === undefined && before[i] === undefined) return
    writes.push(log.setOwned(space, name, after))
    if (space !== 'file') return
    fileCount += Number(after !== undefined) - Number(before[i] !== undefined)
    fileBytes += (after?.sizeBytes ?? 0) - (before[i]?.sizeBytes ?? 0)
    const file = after && { cid: CID.decode(after.content), sizeBytes: after.sizeBytes }
    files.push({ path: name, file })
  })
  return { files, fileCount, fileBytes, writes }
}

function ownedNameOf(
  object: ObjectId,
  versions: readonly Version[],
  frozen: FrozenPrefix,
): OwnedName {
  const { current } = objectRowOf(object, versions, frozen)
  assert(current?.type === 'file', 'the owner of a name is a live file')
  return { object, content: current.content, sizeBytes: current.sizeBytes }
}
