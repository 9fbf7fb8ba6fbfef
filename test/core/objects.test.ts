// Layer C on its own: merges, runs of a name, the sticky base of a frozen prefix.
import { expect, test } from 'vitest'
import { acceptDateOf, eventOfDate, rankBytesOf } from '../../src/core/accept-date.ts'
import { nothingFrozen } from '../../src/core/frozen.ts'
import { type EventId, founderTenure, type ObjectId } from '../../src/core/ids.ts'
import { objectRowOf } from '../../src/core/objects.ts'
import type { Version } from '../../src/core/state.ts'
import { file } from '../makers.ts'

const rank = rankBytesOf({ id: founderTenure(0), addDepth: 0, founderIndex: 0 })
const object = 'c'.repeat(64) as ObjectId
const id = (digit: string) => ({ proposal: digit.repeat(64) as EventId, index: 0 })
const headIds = (row: ReturnType<typeof objectRowOf>) =>
  row.heads.map((i) => row.versions[i]?.id.proposal[0])

/** Version `digit`, accepted at that depth, on these bases; no name: a tombstone. */
function version(digit: string, depth: number, bases: string, name?: string): Version {
  return {
    id: id(digit),
    date: acceptDateOf(depth, rank, `${depth}`.padStart(64, '0') as EventId),
    op: bases === '' ? 'create' : name === undefined ? 'delete' : 'update',
    base: [...bases].map(id),
    ...(name !== undefined && { value: file(name, digit) }),
  }
}

const dateOf = (row: ReturnType<typeof objectRowOf>) =>
  row.claim && Number(eventOfDate(row.claim.date))

test('a version with several bases is active once all of them are', () => {
  const parts = [version('1', 1, '', 'a'), version('2', 2, '1', 'a'), version('4', 4, '23', 'a')]
  expect(headIds(objectRowOf(object, parts))).toEqual(['2'])
  expect(headIds(objectRowOf(object, [...parts, version('3', 3, '1', 'a')]))).toEqual(['4'])
})

test('versions that build on each other in a circle are never active', () => {
  const row = objectRowOf(object, [version('1', 1, '2', 'a'), version('2', 2, '1', 'a')])
  expect(row).toMatchObject({ active: [], heads: [] })
  expect(row).not.toHaveProperty('current')
})

test('a name is dated by the first version of the run, not by the create nor by the head', () => {
  const versions = [
    version('1', 1, '', 'old'),
    version('2', 2, '1', 'new'),
    version('3', 3, '2', 'new'),
  ]
  const row = objectRowOf(object, versions)
  expect(row.claim).toMatchObject({ space: 'file', name: 'new' })
  expect(dateOf(row)).toBe(2)
})

test('a deletion breaks the run: the name is claimed anew', () => {
  const versions = [version('1', 1, '', 'a'), version('2', 2, '1'), version('3', 3, '2', 'a')]
  expect(dateOf(objectRowOf(object, versions))).toBe(3)
})

test('a run that a merge joins is dated by the earlier of its first versions', () => {
  const versions = [
    version('1', 1, '', 'old'),
    version('2', 5, '1', 'a'),
    version('3', 4, '1', 'a'),
    version('4', 6, '23', 'a'),
  ]
  expect(dateOf(objectRowOf(object, versions))).toBe(4)
})

test('an update accepted before its base claims no earlier than the base does', () => {
  const versions = [version('1', 7, '', 'a'), version('2', 3, '1', 'a')]
  expect(dateOf(objectRowOf(object, versions))).toBe(7)
})

test('a purge strips every value, also when nothing else is accepted', () => {
  const purge: Version = { ...version('9', 9, ''), op: 'purge' }
  const row = objectRowOf(object, [version('1', 1, '', 'a'), version('2', 2, '1', 'b'), purge])
  expect(row.purged).toBe(true)
  expect(row.versions.some((v) => 'value' in v)).toBe(false)
  expect(headIds(row)).toEqual(['2'])
  expect(objectRowOf(object, [purge])).toMatchObject({ purged: true, heads: [] })
})

test('X9 C-1: only heads that build on the frozen head replace it', () => {
  const frozen = { ...nothingFrozen, headOf: () => id('2') }
  const finalised = [version('1', 1, '', 'a'), version('2', 5, '1', 'b')]
  const timeBomb = version('3', 2, '1', 'x')
  expect(headIds(objectRowOf(object, [...finalised, timeBomb]))).toEqual(['3', '2'])
  expect(headIds(objectRowOf(object, [...finalised, timeBomb], frozen))).toEqual(['2', '3'])
  const next = [version('4', 7, '2', 'b'), version('5', 6, '2')]
  const row = objectRowOf(object, [...finalised, timeBomb, ...next], frozen)
  expect(headIds(row)).toEqual(['4', '3', '5'])
})

test('the order in which versions are given has no part in it', () => {
  const versions = [
    version('1', 1, '', 'a'),
    version('2', 2, '1', 'a'),
    version('3', 2, '1', 'b'),
    version('4', 9, '3'),
  ]
  expect(objectRowOf(object, versions.toReversed())).toEqual(objectRowOf(object, versions))
})
