import fc from 'fast-check'
import { MemoryLevel } from 'memory-level'
import { describe, expect, it } from 'vitest'
import { type Database, del, put } from '../../src/log/database.ts'
import { pagedKeys, pagedRows } from '../../src/log/pages.ts'
import { collect } from '../conformance/collect.ts'

const keyOf = (n: number) => Uint8Array.of(n >> 8, n & 255)
const numberOf = (key: Uint8Array) => (key[0] as number) * 256 + (key[1] as number)

async function databaseOf(numbers: Iterable<number>): Promise<Database> {
  const db = new MemoryLevel<Uint8Array, Uint8Array>({
    keyEncoding: 'view',
    valueEncoding: 'view',
  }) as unknown as Database
  await db.batch([...numbers].map((n) => put(keyOf(n), Uint8Array.of(n % 251))))
  return db
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)

const number = fc.integer({ min: 0, max: 6_000 })
const range = fc.record(
  {
    gte: number.map(keyOf),
    gt: number.map(keyOf),
    lt: number.map(keyOf),
    lte: number.map(keyOf),
    reverse: fc.boolean(),
    limit: fc.oneof(fc.constantFrom(-1, 0, 1, 63, 64, 65, 1_024, 2_048), number),
  },
  { requiredKeys: [] },
)

describe('pages', () => {
  it('give what an iterator gives', async () => {
    const db = await databaseOf(upTo(6_001).filter((n) => n % 2 === 0))
    await fc.assert(
      fc.asyncProperty(range, async (asked) => {
        expect(await collect(pagedRows(db, asked))).toEqual(await db.iterator(asked).all())
        expect(await collect(pagedKeys(db, asked))).toEqual(await db.keys(asked).all())
      }),
      { numRuns: 60 },
    )
  })

  it('keep nothing that is deleted while a row is worked on', async () => {
    const db = await databaseOf(upTo(5_000))
    const rows = pagedRows(db, {})
    await rows.next()
    await db.batch(upTo(4_990).map((n) => del(keyOf(n))))
    const seen = (await collect(rows)).map(([key]) => numberOf(key))
    expect(seen.filter((n) => n > 100)).toEqual(upTo(5_000).slice(4_990))
  })

  it.each([true, false])(
    'end where the rows ended at the beginning, reverse: %s',
    async (reverse) => {
      const db = await databaseOf(upTo(200).map((n) => n + 1_000))
      const seen: number[] = []
      for await (const key of pagedKeys(db, { reverse })) {
        seen.push(numberOf(key))
        await db.batch([put(keyOf(1_200 + seen.length)), put(keyOf(1_000 - seen.length))])
      }
      expect(seen).toHaveLength(200)
    },
  )
})
