import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digestPrefixesOf, resolveEvent } from '../../src/api/resolve.ts'
import { type EventId, hexOf, textOfEventId } from '../../src/core/ids.ts'
import { makeNode, signerNamed, type TestDataset, type TestNode } from './make-node.ts'

const eventId = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((id) => hexOf(id) as EventId)

describe('prefixes of event ids', () => {
  it('cover exactly the ids whose text begins with the prefix', () => {
    const near = fc.tuple(eventId, eventId, fc.nat(64)).map(([a, b, shared]) => {
      return [a, (a.slice(0, shared) + b.slice(shared)) as EventId] as const
    })
    fc.assert(
      fc.property(near, fc.nat(59), ([id, other], length) => {
        const prefix = textOfEventId(id).slice(0, length)
        const digits = digestPrefixesOf(prefix)
        const isCovered = (candidate: EventId) => digits.some((d) => candidate.startsWith(d))
        if (length > 0) expect(isCovered(id)).toBe(true)
        expect(isCovered(other)).toBe(length > 0 && textOfEventId(other).startsWith(prefix))
        expect(digits.length).toBeLessThanOrEqual(8)
      }),
      { numRuns: 2_000 },
    )
  })

  it('are none for text that no event has', () => {
    const id = textOfEventId('ab'.repeat(32) as EventId)
    for (const text of [
      '',
      'x',
      'B',
      'bafkrei',
      'bafyrez',
      'bafy1',
      `${id}a`,
      `${id} `,
      'bafy é',
    ]) {
      expect(digestPrefixesOf(text)).toEqual([])
    }
    // The padding of the last character must be zero.
    expect(digestPrefixesOf(id)).toEqual(['ab'.repeat(32)])
    const last = id.at(-1) as string
    const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'
    const next = alphabet[alphabet.indexOf(last) + 1] as string
    expect(digestPrefixesOf(id.slice(0, -1) + next)).toEqual([])
  })
})

describe('resolving an event', () => {
  let node: TestNode
  let dataset: TestDataset
  const ada = signerNamed('ada')

  beforeAll(async () => {
    node = await makeNode()
    dataset = await node.createDataset('letters', [ada])
    for (let i = 0; i < 40; i++) await dataset.create(ada, await dataset.file(`${i}.txt`))
  })
  afterAll(() => node.close())

  it('finds each event by the shortest prefix that is its own', async () => {
    const { log } = dataset.replica
    const ids: EventId[] = []
    for await (const [, id] of log.arrivals()) ids.push(id)
    const texts = ids.map(textOfEventId)
    for (const [i, text] of texts.entries()) {
      let length = 1
      const others = texts.filter((other) => other !== text)
      while (others.some((other) => other.startsWith(text.slice(0, length)))) length++
      await expect(resolveEvent(log, text.slice(0, length))).resolves.toBe(ids[i])
      await expect(resolveEvent(log, text.slice(0, length - 1))).rejects.toMatchObject({
        code: 'AMBIGUOUS',
      })
      await expect(resolveEvent(log, text)).resolves.toBe(ids[i])
    }
  })

  it('refuses what is not there, and looks only in the tables asked for', async () => {
    const { log, id } = dataset.replica
    const genesis = textOfEventId(id)
    const missing = textOfEventId('00'.repeat(32) as EventId)
    await expect(resolveEvent(log, missing)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(resolveEvent(log, '')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(resolveEvent(log, genesis, ['proposals'])).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })
})
