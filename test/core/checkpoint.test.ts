// Whose votes make a checkpoint final, and which of several goes on the chain.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  bestOf,
  mayBeFinal,
  pathTo,
  quorumOf,
  tallyOf,
  votersOf,
} from '../../src/core/checkpoint.ts'
import type { CheckpointBody } from '../../src/core/event.ts'
import type { CheckpointId, PublicKey } from '../../src/core/ids.ts'

const keys = (names: string) => new Set([...names] as PublicKey[])
const id = (text: string) => text as CheckpointId

test('more than two thirds of the voters make a quorum', () => {
  expect([1, 2, 3, 4, 5, 6, 7, 64].map(quorumOf)).toEqual([1, 2, 3, 3, 4, 5, 5, 43])
})

test('voters are who lived before and stays; where nobody stays, who lives afterwards', () => {
  expect(votersOf(keys('abc'), keys('bcd'))).toEqual(keys('bc'))
  expect(votersOf(keys('ab'), keys('cd'))).toEqual(keys('cd'))
})

test('only voters are counted, each once', () => {
  expect(tallyOf(keys('abcd'), keys('abcd'), keys('abx')).isFinal).toBe(false)
  expect(tallyOf(keys('abcd'), keys('abcd'), keys('abdx')).isFinal).toBe(true)
  expect(tallyOf(keys('ab'), keys('a'), keys('b')).isFinal).toBe(false)
  expect(tallyOf(keys('ab'), keys('a'), keys('a'))).toMatchObject({ needed: 1, isFinal: true })
})

test('what may not be final by those who surely stay never is', () => {
  const some = fc.subarray([...'abcdefg']).map((names) => keys(names.join('')))
  fc.assert(
    fc.property(some, some, some, some, (before, after, votes, more) => {
      const stay = new Set([...before].filter((key) => after.has(key) && !more.has(key)))
      if (tallyOf(before, after, votes).isFinal) expect(mayBeFinal(before, stay, votes)).toBe(true)
    }),
    { numRuns: 2_000 },
  )
  expect(mayBeFinal(keys('ab'), keys('a'), keys('b'))).toBe(false)
  expect(mayBeFinal(keys('abc'), keys('ab'), keys('ab'))).toBe(true)
  expect(mayBeFinal(keys('abc'), keys('abc'), keys('cx'))).toBe(false)
})

test('of siblings the one with most votes by owners before goes on, then the smaller id', () => {
  const one = { id: id('1'), votes: keys('a') }
  const two = { id: id('2'), votes: keys('abxyz') }
  const three = { id: id('3'), votes: keys('bc') }
  expect(bestOf([one, three, two], keys('abc'))).toBe(two)
  expect(bestOf([three, two, one], keys('abc'))).toBe(two)
  expect(bestOf([one], keys('abc'))).toBe(one)
  expect(bestOf([], keys('abc'))).toBe(undefined)
})

test('the way to an anchor is known when every body on it is, and their heights fit', async () => {
  const body = (height: number, previous?: string): CheckpointBody => ({
    height,
    ...(previous !== undefined && { previous: id(previous) }),
    heads: [],
    without: [],
    root: new Uint8Array(36),
  })
  const bodies = new Map([
    ['1', body(1)],
    ['2', body(2, '1')],
    ['3', body(3, '2')],
    ['5', body(5, '3')],
    ['7', body(2, 'gone')],
  ])
  const path = (anchor: string) => pathTo(id(anchor), async (one) => bodies.get(one))
  expect(await path('3')).toEqual(['1', '2', '3'])
  expect(await path('1')).toEqual(['1'])
  expect(await path('5')).toBe(undefined)
  expect(await path('7')).toBe(undefined)
  expect(await path('gone')).toBe(undefined)
})
