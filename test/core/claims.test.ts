// Names: the greedy rule against its plain form, and the scope that has to be loaded for a change.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { acceptDateOf, rankBytesOf } from '../../src/core/accept-date.ts'
import { claimScopeOf, compareClaims, ownersOf, pathPrefixesOf } from '../../src/core/claims.ts'
import { nothingFrozen } from '../../src/core/frozen.ts'
import { type EventId, founderTenure, type ObjectId } from '../../src/core/ids.ts'
import type { NameClaim } from '../../src/core/state.ts'

const rank = rankBytesOf({ id: founderTenure(0), addDepth: 0, founderIndex: 0 })
const pad = (n: number) => String(n).padStart(64, '0')

function claim(object: number, name: string, depth: number, space: NameClaim['space'] = 'file') {
  const date = acceptDateOf(depth, rank, pad(depth) as EventId)
  return { space, name, date, object: pad(object) as ObjectId }
}

const segments = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 4 })
const claimsOf = fc
  .array(
    fc.record({
      name: segments.map((list) => list.join('/')),
      depth: fc.nat(9),
      space: fc.constantFrom<NameClaim['space'][]>('file', 'file', 'file', 'schema'),
    }),
    { maxLength: 14 },
  )
  .map((list) => list.map(({ name, depth, space }, i) => claim(i, name, depth, space)))

function conflict(a: NameClaim, b: NameClaim): boolean {
  if (a.space !== b.space) return false
  if (a.name === b.name) return true
  return (
    a.space === 'file' && (`${a.name}/`.startsWith(`${b.name}/`) || b.name.startsWith(`${a.name}/`))
  )
}

test('a claim owns its name unless an earlier claim that owns conflicts with it', () => {
  fc.assert(
    fc.property(claimsOf, (claims) => {
      const owning: NameClaim[] = []
      for (const next of claims.toSorted(compareClaims)) {
        if (!owning.some((earlier) => conflict(earlier, next))) owning.push(next)
      }
      const owners = ownersOf(claims)
      expect(new Set(owners.owning)).toEqual(new Set(owning))
      expect(owners.owning.length + owners.shadowed.length).toBe(claims.length)
      expect(ownersOf(claims.toReversed())).toEqual(owners)
    }),
    { numRuns: 1_000 },
  )
})

test('one change moves owners in its scope only, and the scope alone decides them', () => {
  fc.assert(
    fc.property(claimsOf, claimsOf, (before, others) => {
      const changed = others[0]
      if (changed === undefined) return
      const after = [...before, { ...changed, object: pad(99) as ObjectId }]
      const { space, name } = changed
      const isClaimed = (prefix: string) =>
        after.some((entry) => entry.space === space && entry.name === prefix)
      const scope = claimScopeOf(space, name, isClaimed)
      const isIn = (entry: NameClaim) =>
        entry.space === scope.space &&
        (entry.name === scope.top ||
          (scope.under !== undefined && entry.name.startsWith(scope.under)))
      const whole = { before: ownersOf(before).owning, after: ownersOf(after).owning }
      const isOut = (entry: NameClaim) => !isIn(entry)
      expect(whole.after.filter(isOut)).toEqual(whole.before.filter(isOut))
      expect(whole.after.filter(isIn)).toEqual(ownersOf(after.filter(isIn)).owning)
      expect(whole.before.filter(isIn)).toEqual(ownersOf(before.filter(isIn)).owning)
    }),
    { numRuns: 1_000 },
  )
})

test('an owner in the frozen prefix keeps its name against an earlier claim', () => {
  const [kept, early, inner] = [claim(1, 'a', 5), claim(2, 'a', 1), claim(3, 'a/b', 2)]
  const frozen = {
    ...nothingFrozen,
    ownerOfName: (_: string, name: string) => (name === 'a' ? kept.object : undefined),
  }
  expect(ownersOf([early, inner, kept]).owning).toEqual([early])
  expect(ownersOf([early, inner, kept], frozen).owning).toEqual([kept])
  expect(ownersOf([early, inner], frozen).owning).toEqual([early])
})

test('path prefixes end at slashes, and schemas have none', () => {
  expect(pathPrefixesOf('file', 'a/bc/d')).toEqual(['a', 'a/bc'])
  expect(pathPrefixesOf('file', 'a')).toEqual([])
  expect(pathPrefixesOf('schema', 'a/b')).toEqual([])
  expect(claimScopeOf('schema', 'a/b', () => true)).toEqual({ space: 'schema', top: 'a/b' })
})
