import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cursorOf, positionsOf } from '../../src/api/history/event-cursor.ts'
import { events, followEvents } from '../../src/api/history/events.ts'
import type { EventEntry, EventRequest } from '../../src/contract/api.ts'
import { decodeEvent } from '../../src/core/event-codec.ts'
import { textOfEventId } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { makeNode, signerNamed, type TestDataset, type TestNode } from './make-node.ts'

const ada = signerNamed('ada')
let node: TestNode
let cells: TestDataset
let stars: TestDataset

beforeEach(async () => {
  node = await makeNode()
  cells = await node.createDataset('cells', [ada])
  stars = await node.createDataset('stars', [ada])
})
afterEach(() => node.close())

async function fill(dataset: TestDataset, count: number): Promise<void> {
  const value = await dataset.file('x')
  for (let i = 0; i < count; i++) await dataset.create(ada, { ...value, name: `${i}.txt` })
}

async function allOf(request: EventRequest & { limit?: number } = {}): Promise<EventEntry[]> {
  const found: EventEntry[] = []
  let { after } = request
  do {
    const page = await events(node, { ...request, ...(after && { after }) })
    expect(page.events.length).toBeLessThanOrEqual(request.limit ?? 200)
    found.push(...page.events)
    after = page.next
  } while (after !== undefined)
  return found
}

const placeOf = ({ dataset, seq }: EventEntry) => `${dataset} ${seq}`

async function take(stream: AsyncGenerator<EventEntry>, count: number): Promise<EventEntry[]> {
  const taken: EventEntry[] = []
  while (taken.length < count) {
    const next = await stream.next()
    if (next.done === true) break
    taken.push(next.value)
  }
  return taken
}

describe('pages of events', () => {
  it('have every event once, whatever their size, and of one dataset only where asked', async () => {
    await fill(cells, 40)
    await fill(stars, 7)
    const all = await allOf()
    expect(all).toHaveLength(49)
    expect(new Set(all.map(placeOf)).size).toBe(49)
    for (const limit of [1, 2, 5, 16, 17, 48, 49, 50]) expect(await allOf({ limit })).toEqual(all)
    const ofStars = await allOf({ dataset: 'stars', limit: 3 })
    expect(ofStars.map(({ seq }) => seq)).toEqual([...Array(8).keys()])
    expect(ofStars.map(({ event }) => event)).toEqual(all.slice(41).map(({ event }) => event))
  })

  it('go on after any event that was given', async () => {
    await fill(cells, 5)
    await fill(stars, 5)
    const all = await allOf()
    for (const [i, { cursor }] of all.entries()) {
      expect((await allOf({ after: cursor })).map(placeOf)).toEqual(all.slice(i + 1).map(placeOf))
    }
  })

  it('say what an event says, and give its block where asked', async () => {
    const proposal = await cells.create(ada, await cells.file('a.txt'))
    const [genesis, entry] = await allOf({ dataset: 'cells', blocks: true })
    expect(genesis).toMatchObject({ kind: 'genesis', seq: 0, body: { kOwner: 1 } })
    expect(entry).toMatchObject({
      dataset: textOfEventId(cells.entry.id),
      event: textOfEventId(proposal.id),
      kind: 'propose',
      author: ada.publicKey,
      body: { operations: [{ op: 'create', value: { name: 'a.txt' } }] },
    })
    const block = Buffer.from(entry?.block ?? '', 'base64')
    expect(decodeEvent(block, sha256)).toMatchObject({ id: proposal.id })
    expect((await allOf({ dataset: 'cells' }))[1]).not.toHaveProperty('block')
  })

  it('end where they would be large', async () => {
    const value = { ...(await cells.file('x')), meta: JSON.stringify('m'.repeat(4_000)) }
    for (let i = 0; i < 24; i++) {
      const values = [...Array(50).keys()].map((n) => ({ ...value, name: `${i}-${n}` }))
      await cells.create(ada, ...values)
    }
    const page = await events(node, { limit: 1_000, dataset: 'cells' })
    expect(page.events.length).toBeLessThan(25)
    expect(page.next).toBe(page.events.at(-1)?.cursor)
    expect(await allOf({ dataset: 'cells' })).toHaveLength(25)
  })

  it('refuse cursors that this node never gave', async () => {
    const [genesis] = await allOf()
    const { cursor } = genesis as EventEntry
    const ahead = cursorOf(new Map([[cells.entry.ordinal, 2]]))
    for (const after of ['x', '', 'AQ==', `${cursor}A`, `${cursor} `, cursor.slice(1), ahead]) {
      await expect(events(node, { after })).rejects.toMatchObject({ code: 'USAGE' })
    }
    // Of a dataset that is gone: nothing to say of it.
    const gone = cursorOf(new Map([[77, 1_000]]))
    expect((await events(node, { after: gone })).events).toHaveLength(2)
    await expect(events(node, { dataset: 'nothing' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('cursors', () => {
  it('come back as they were, each in one form only', () => {
    const numbers = fc.oneof(fc.nat(300), fc.maxSafeNat())
    const pairs = fc.uniqueArray(fc.tuple(numbers, numbers), { selector: ([ordinal]) => ordinal })
    fc.assert(
      fc.property(pairs, (some) => {
        const positions = new Map(some)
        expect(positionsOf(cursorOf(positions))).toEqual(positions)
      }),
    )
    const hostile = fc.oneof(fc.base64String(), fc.string(), fc.uint8Array({ maxLength: 40 }))
    fc.assert(
      fc.property(hostile, (made) => {
        const text =
          typeof made === 'string' ? made : Buffer.from([1, ...made]).toString('base64url')
        let positions
        try {
          positions = positionsOf(text)
        } catch (error) {
          expect(error).toMatchObject({ code: 'USAGE' })
          return
        }
        expect(cursorOf(positions)).toBe(text)
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('following events', () => {
  it('misses nothing and says nothing twice while others write', async () => {
    await fill(cells, 30)
    const stop = new AbortController()
    const followed: EventEntry[] = []
    const total = 2 + 30 + 3 * 40 + 1
    const following = (async () => {
      for await (const entry of followEvents(node, {}, { signal: stop.signal })) {
        followed.push(entry)
        if (followed.length === total) stop.abort()
      }
    })()
    const writing = [cells, stars, cells].map((dataset) => fill(dataset, 40))
    const late = node.createDataset('late', [ada])
    await Promise.all([...writing, late, following])
    expect(followed).toHaveLength(total)
    expect(new Set(followed.map(placeOf)).size).toBe(total)
    for (const dataset of new Set(followed.map((entry) => entry.dataset))) {
      const seqs = followed.filter((entry) => entry.dataset === dataset).map(({ seq }) => seq)
      expect(seqs).toEqual([...seqs.keys()])
    }
    expect((await allOf({ after: followed.at(-1)?.cursor ?? '' })).length).toBe(0)
  })

  it('goes on after a cursor, in one dataset where asked', async () => {
    await fill(cells, 3)
    await fill(stars, 2)
    const [, second] = await allOf({ dataset: 'cells' })
    const stop = new AbortController()
    const { signal } = stop
    const after = second?.cursor ?? ''
    const stream = followEvents(node, { dataset: 'cells', after }, { signal })
    expect((await take(stream, 2)).map(({ seq }) => seq)).toEqual([2, 3])
    const waiting = take(stream, 1)
    await fill(stars, 1)
    await fill(cells, 1)
    expect((await waiting).map(({ seq }) => seq)).toEqual([4])
    stop.abort()
    expect(await stream.next()).toEqual({ done: true, value: undefined })
  })

  it('ends when it is stopped while nothing happens', async () => {
    const stop = new AbortController()
    const stream = followEvents(node, {}, { signal: stop.signal })
    await take(stream, 2)
    const end = stream.next()
    stop.abort()
    expect(await end).toEqual({ done: true, value: undefined })
  })

  it('leaves out a dataset that is forgotten, and has it again when it comes back', async () => {
    await fill(cells, 40)
    const stop = new AbortController()
    const stream = followEvents(node, {}, { signal: stop.signal })
    await take(stream, 3)
    const genesis = await cells.replica.log.block(cells.entry.id)
    await node.catalog.remove(cells.entry.id, () => node.replicas.close(cells.entry.id))
    const rest: EventEntry[] = []
    while (rest.at(-1)?.dataset !== textOfEventId(stars.entry.id)) {
      rest.push(...(await take(stream, 1)))
    }
    expect(rest.length).toBeLessThan(30)
    await node.catalog.create(cells.entry.id, { name: 'again' })
    const again = await node.replicas.get(cells.entry.id)
    const waiting = take(stream, 1)
    await again.submit([genesis as Uint8Array], 'own')
    expect(await waiting).toMatchObject([{ seq: 0, event: textOfEventId(cells.entry.id) }])
    stop.abort()
    await stream.return(undefined)
  })

  it('keeps nothing in memory for a reader that is slow', async () => {
    const stop = new AbortController()
    const stream = followEvents(node, { dataset: 'cells' }, { signal: stop.signal })
    await take(stream, 1)
    await fill(cells, 300)
    const rest = await take(stream, 300)
    expect(rest.map(({ seq }) => seq)).toEqual([...Array(300).keys()].map((i) => i + 1))
    stop.abort()
  })
})
