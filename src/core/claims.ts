// Who owns a name or a tag. The earliest claim owns it; a claim conflicts with another on the same
// name and, among files, where one name is a path prefix of the other. Only claims that own stand
// in the way.
import { compareDates } from './accept-date.ts'
import { type FrozenPrefix, nothingFrozen } from './frozen.ts'
import { type EventId, type ObjectId } from './ids.ts'
import type { AcceptDate, NameClaim } from './state.ts'

export interface NameOwners {
  /** By space and name, at most one per name. */
  readonly owning: readonly NameClaim[]
  readonly shadowed: readonly NameClaim[]
}

/**
 * Which of `claims` own their name: taken by (date, object), a claim owns it unless it conflicts
 * with one that was taken before. `claims` must be closed under conflict (see {@link
 * claimScopeOf}), at most one per object. Owners in the frozen prefix come first. O(claims ×
 * segments).
 */
export function ownersOf(
  claims: readonly NameClaim[],
  frozen: FrozenPrefix = nothingFrozen,
): NameOwners {
  const isFrozen = new Set(
    claims.filter(({ space, name, object }) => frozen.ownerOfName(space, name) === object),
  )
  const byDate = claims.toSorted(
    (a, b) =>
      Number(isFrozen.has(b)) - Number(isFrozen.has(a)) ||
      compareDates(a.date, b.date) ||
      compareText(a.object, b.object),
  )
  const taken = { file: new Set<string>(), schema: new Set<string>() }
  const directories = new Set<string>()
  const owning: NameClaim[] = []
  const shadowed: NameClaim[] = []
  for (const claim of byDate) {
    const { space, name } = claim
    const prefixes = pathPrefixesOf(space, name)
    const names = taken[space]
    const isFree =
      !names.has(name) &&
      !(space === 'file' && directories.has(name)) &&
      !prefixes.some((prefix) => names.has(prefix))
    if (!isFree) {
      shadowed.push(claim)
      continue
    }
    owning.push(claim)
    names.add(name)
    for (const prefix of prefixes) directories.add(prefix)
  }
  return { owning: owning.sort(compareNames), shadowed: shadowed.sort(compareNames) }
}

/**
 * The names whose ownership a claim on some name can change: `top`, and for files all under
 * `top/`.
 */
export interface ClaimScope {
  readonly space: NameClaim['space']
  readonly top: string
  /** Names that start so belong to the scope too; undefined: none. */
  readonly under?: string
}

/**
 * The scope of a name that gained or lost a claim: closed under conflict, because no proper path
 * prefix of `top` is claimed. To find it, look up the claims on {@link pathPrefixesOf}.
 * @param isClaimed whether any object claims the prefix, before the change or after it.
 */
export function claimScopeOf(
  space: NameClaim['space'],
  name: string,
  isClaimed: (prefix: string) => boolean,
): ClaimScope {
  const top = pathPrefixesOf(space, name).find(isClaimed) ?? name
  return space === 'file' ? { space, top, under: `${top}/` } : { space, top }
}

/** `a` and `a/b` for the file `a/b/c`, shortest first; none for schemas. */
export function pathPrefixesOf(space: NameClaim['space'], name: string): string[] {
  const prefixes: string[] = []
  if (space === 'schema') return prefixes
  for (let end = name.indexOf('/'); end !== -1; end = name.indexOf('/', end + 1)) {
    prefixes.push(name.slice(0, end))
  }
  return prefixes
}

export interface TagClaim {
  readonly tag: string
  /** The valid release event. */
  readonly event: EventId
  readonly date: AcceptDate
}

/** Who owns each tag: the earliest release that names it. Tags never move. */
export function tagOwnersOf(
  claims: readonly TagClaim[],
  frozen: FrozenPrefix = nothingFrozen,
): Map<string, EventId> {
  const owners = new Map<string, EventId>()
  for (const { tag, event } of claims.toSorted((a, b) => compareDates(a.date, b.date))) {
    if (!owners.has(tag) || frozen.ownerOfTag(tag) === event) owners.set(tag, event)
  }
  return owners
}

/** By claimed date, then object: the order in which claims on one name come. */
export function compareClaims(a: NameClaim, b: NameClaim): number {
  return compareDates(a.date, b.date) || compareText(a.object, b.object)
}

function compareNames(a: NameClaim, b: NameClaim): number {
  return compareText(a.space, b.space) || compareText(a.name, b.name) || compareClaims(a, b)
}

function compareText(a: string | ObjectId, b: string | ObjectId): number {
  return a < b ? -1 : a > b ? 1 : 0
}
