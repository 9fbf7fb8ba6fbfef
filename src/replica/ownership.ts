// Who owns the names that a batch touched, and every other name whose owner depends on them.
import { CID } from 'multiformats/cid'
import { claimScopeOf, pathPrefixesOf } from '../core/claims.ts'
import type { ObjectId } from '../core/ids.ts'
import type { Rules } from '../core/rules.ts'
import type { NameClaim } from '../core/state.ts'
import type { DirectoryChange } from '../files/directory.ts'
import type { Write } from '../log/database.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { OwnedName } from '../log/name-index.ts'
import { rowOfStored, type StoredObject } from '../log/object-table.ts'
import { assert } from './assert.ts'
import type { FrozenSource } from './frozen-source.ts'

export interface Name {
  readonly space: NameClaim['space']
  readonly name: string
}

export interface OwnershipNeeds {
  readonly log: DatasetLog
  readonly frozen: FrozenSource
  readonly rules: Rules
}

export interface Ownership {
  /** What the `files/` directory must change. */
  readonly files: DirectoryChange[]
  /** Change of the number and the bytes of files in it. */
  readonly fileCount: number
  readonly fileBytes: bigint
  readonly writes: Write[]
}

export async function ownershipOf(
  needs: OwnershipNeeds,
  touched: readonly Name[],
): Promise<Ownership> {
  const { log, frozen, rules } = needs
  const names = new Map<string, Name>()
  const winners = new Map<string, NameClaim>()
  for await (const { names: some, claims } of scopesOf(log, touched)) {
    for (const name of some) names.set(keyOf(name.space, name.name), name)
    // Who is alone with a name has it.
    const isAlone = claims.length < 2
    const owning = isAlone ? claims : rules.ownersOf(claims, await frozen.ofNames(claims)).owning
    for (const claim of owning) winners.set(keyOf(claim.space, claim.name), claim)
  }
  return changesOf(needs, [...names.values()], winners)
}

/** What must go of the names given: those that are owned and that nobody claims any more. */
export async function releasedOf(
  needs: OwnershipNeeds,
  names: readonly Name[],
): Promise<Ownership> {
  const { log } = needs
  const owned = await log.names.owned(names)
  const owning = names.filter((_, i) => owned[i] !== undefined)
  const claims = await log.names.claimsOnMany(owning)
  const released = owning.filter((_, i) => claims[i]?.length === 0)
  return changesOf(needs, released, new Map())
}

/** Rows of objects that are in memory at one time. */
const NAMES_PER_READ = 512

const keyOf = (space: string, name: string): string => `${space}:${name}`

interface Scope {
  readonly names: readonly Name[]
  /** All claims that can stand in each other's way. */
  readonly claims: readonly NameClaim[]
}

/**
 * Claims that decide about the touched names, in scopes that do not concern each other. Nearly
 * always a name stands alone, which three reads for all of them tell.
 */
async function* scopesOf(log: DatasetLog, touched: readonly Name[]): AsyncIterable<Scope> {
  const files = touched.filter(({ space }) => space === 'file').map(({ name }) => name)
  const prefixes = [...new Set(files.flatMap((name) => pathPrefixesOf('file', name)))]
  const [onNames, onPrefixes, below] = await Promise.all([
    log.names.claimsOnMany(touched),
    log.names.claimsOnMany(prefixes.map((name) => ({ space: 'file' as const, name }))),
    log.names.claimedBelow(files),
  ])
  const claimed = new Set(prefixes.filter((_, i) => (onPrefixes[i] ?? []).length > 0))
  const crowded = new Set(files.filter((_, i) => (below[i] ?? 0) > 0))
  const tops = new Map<string, Name[]>()
  for (const [i, name] of touched.entries()) {
    const { top } = claimScopeOf(name.space, name.name, (prefix) => claimed.has(prefix))
    if (name.space === 'schema' || (top === name.name && !crowded.has(top))) {
      yield { names: [name], claims: onNames[i] ?? [] }
    } else {
      tops.set(top, [...(tops.get(top) ?? []), name])
    }
  }
  for (const [top, names] of tops) {
    const claims = await log.names.claimsOn('file', top)
    for await (const claim of log.names.claimsUnder('file', top)) claims.push(claim)
    yield { names: [...names, ...claims], claims }
  }
}

async function changesOf(
  needs: OwnershipNeeds,
  names: readonly Name[],
  winners: ReadonlyMap<string, NameClaim>,
): Promise<Ownership> {
  const { log } = needs
  const files: DirectoryChange[] = []
  const writes: Write[] = []
  let fileCount = 0
  let fileBytes = 0n
  for (let i = 0; i < names.length; i += NAMES_PER_READ) {
    const some = names.slice(i, i + NAMES_PER_READ)
    const owners = some.map(({ space, name }) => winners.get(keyOf(space, name))?.object)
    const [before, after] = await Promise.all([log.names.owned(some), ownedNamesOf(needs, owners)])
    for (const [k, { space, name }] of some.entries()) {
      const [old, now] = [before[k], after[k]]
      // What never owned its name has nothing to take out, and there may be a directory of that name.
      if (now === undefined && old === undefined) continue
      writes.push(log.names.setOwned(space, name, now))
      if (space !== 'file') continue
      fileCount += Number(now !== undefined) - Number(old !== undefined)
      fileBytes += BigInt(now?.sizeBytes ?? 0) - BigInt(old?.sizeBytes ?? 0)
      const file = now && { cid: CID.decode(now.content), sizeBytes: now.sizeBytes }
      files.push({ path: name, file })
    }
  }
  return { files, fileCount, fileBytes, writes }
}

/** What each owner holds: the owner of a name is a live file. */
async function ownedNamesOf(
  { log, rules }: OwnershipNeeds,
  owners: readonly (ObjectId | undefined)[],
): Promise<(OwnedName | undefined)[]> {
  const rows = await log.objectTable.stored(owners.filter((object) => object !== undefined))
  let next = 0
  return owners.map((object) => {
    if (object === undefined) return undefined
    const stored = rows[next++] as StoredObject
    const { current } = rowOfStored(object, stored, rules.objectRowOf)
    assert(current?.type === 'file', 'the owner of a name is a live file')
    return { object, content: current.content, sizeBytes: current.sizeBytes }
  })
}
