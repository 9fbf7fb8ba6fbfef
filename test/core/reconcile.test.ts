import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { EventId } from '../../src/core/ids.ts'
import {
  answerParts,
  answerProblem,
  lackingTest,
  narrow,
  openingParts,
  type Part,
  partProblem,
  reconcileLimits,
  type Width,
} from '../../src/core/reconcile.ts'
import { MemorySet, sha256 } from '../replica/sync-world.ts'

function idOf(number: number, prefix = ''): EventId {
  const digest = Buffer.from(sha256(Buffer.from(`id ${number}`))).toString('hex')
  return (prefix + digest).slice(0, 64) as EventId
}

function setOf(ids: Iterable<EventId>): MemorySet {
  const set = new MemorySet()
  for (const id of ids) set.add(id)
  return set
}

/** Everything the asker learns in one walk. */
async function walk(asker: MemorySet, answerer: MemorySet, width: Width = 8) {
  const found = new Set<string>()
  let ask: readonly Part[] = await openingParts(asker, width)
  let extra = false
  let cut = false
  let trips = 0
  while (ask.length > 0) {
    trips++
    for (const part of ask) expect(partProblem(part, width)).toBeUndefined()
    const answer = await answerParts(answerer, ask, width)
    expect(answerProblem(ask, answer.parts)).toBeUndefined()
    const isLacking = lackingTest(ask, width)
    for (const id of answer.lacking) {
      expect(isLacking(id)).toBe(true)
      found.add(id.slice(0, width * 2))
    }
    const next = await narrow(asker, answer.parts, width)
    for (const id of next.want) found.add(id)
    extra ||= answer.extra || next.extra
    cut ||= answer.cut || next.cut
    ask = next.ask
  }
  return { found: [...found].sort(), extra, cut, trips }
}

function difference(from: Iterable<EventId>, set: MemorySet, width: Width = 8): string[] {
  const ids = [...from].filter((id) => !set.has(id))
  return [...new Set(ids.map((id) => id.slice(0, width * 2)))].sort()
}

/** Numbers, some of them under a common prefix of up to 12 digits. */
const ids = fc
  .tuple(
    fc.uniqueArray(fc.nat(400), { maxLength: 300 }),
    fc.uniqueArray(fc.nat(400), { maxLength: 200 }),
    fc.stringMatching(/^[0-9a-f]{0,12}$/),
  )
  .map(([wide, narrowed, prefix]) => [
    ...wide.map((n) => idOf(n)),
    ...narrowed.map((n) => idOf(n, prefix)),
  ])

describe('reconciling two sets', () => {
  it('finds exactly what the asker lacks, whatever the sets', async () => {
    await fc.assert(
      fc.asyncProperty(ids, ids, ids, fc.constantFrom<Width>(8, 32), async (a, b, both, width) => {
        const asker = setOf([...a, ...both])
        const answerer = setOf([...b, ...both])
        const { found, extra, cut } = await walk(asker, answerer, width)
        expect(found).toEqual(difference(answerer.all(), asker, width))
        expect(cut).toBe(false)
        expect(extra).toBe(asker.all().some((id) => !answerer.has(id)))
      }),
      { numRuns: 60 },
    )
  })

  it('finds ten of twenty thousand in two questions of a few KiB', async () => {
    const shared = Array.from({ length: 20_000 }, (_, i) => idOf(i))
    const fresh = Array.from({ length: 10 }, (_, i) => idOf(-1 - i))
    const { found, trips } = await walk(setOf(shared), setOf([...shared, ...fresh]))
    expect(found).toEqual(difference(fresh, setOf([])))
    expect(trips).toBeLessThanOrEqual(2)
  })

  it('descends to differences that all lie under one long prefix', async () => {
    const shared = Array.from({ length: 2_000 }, (_, i) => idOf(i))
    const ground = Array.from({ length: 500 }, (_, i) => idOf(i, '0123456789'))
    const asker = setOf([...shared, ...ground.slice(0, 250)])
    const { found, trips } = await walk(asker, setOf([...shared, ...ground]))
    expect(found).toHaveLength(250)
    expect(trips).toBeLessThan(10)
  })

  it('says that it was cut when one answer cannot name everything', async () => {
    const many = Array.from({ length: reconcileLimits.lackingMax + 1 }, (_, i) => idOf(i))
    const answer = await answerParts(setOf(many), [{ prefix: '', ids: [] }], 8)
    expect(answer.lacking).toHaveLength(reconcileLimits.lackingMax)
    expect(answer.cut).toBe(true)
  })

  it('misses ids that share their first 8 bytes, and finds them by whole ids', async () => {
    const shared = Array.from({ length: 100 }, (_, i) => idOf(i))
    const [x, y] = [idOf(1, '00112233aabbccdd'), idOf(2, '00112233aabbccdd')]
    const asker = setOf([...shared, x])
    const answerer = setOf([...shared, y])
    expect((await walk(asker, answerer, 8)).found).toEqual([])
    expect((await walk(asker, answerer, 32)).found).toEqual([y])
  })
})

describe('parts from outside', () => {
  it.each<[string, Part]>([
    ['prefix', { prefix: 'XY', ids: [] }],
    ['prefix', { prefix: '0'.repeat(65), ids: [] }],
    ['child hashes', { prefix: '', hashes: new Uint8Array(127) }],
    ['too many ids', { prefix: '', ids: new Array<string>(65).fill('00'.repeat(8)) }],
    ['id outside its prefix', { prefix: 'ab', ids: ['00'.repeat(8)] }],
    ['ids are not sorted', { prefix: '', ids: ['11'.repeat(8), '00'.repeat(8)] }],
  ])('are refused for: %s', (problem, part) => {
    expect(partProblem(part, 8)).toBe(problem)
  })

  it('must go down from what was asked, once', () => {
    const asked: Part[] = [{ prefix: 'a', hashes: new Uint8Array(128) }]
    const hashes = new Uint8Array(128)
    expect(answerProblem(asked, [{ prefix: 'a0', hashes }])).toBeUndefined()
    expect(answerProblem(asked, [{ prefix: 'a', ids: [] }])).toBeUndefined()
    expect(answerProblem(asked, [{ prefix: 'a', hashes }])).toBe('a part that was not asked for')
    expect(answerProblem(asked, [{ prefix: 'b0', ids: [] }])).toBe('a part that was not asked for')
    const twice = { prefix: 'a0', ids: [] }
    expect(answerProblem(asked, [twice, twice])).toBe('a part twice')
  })
})
