import { createHash } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import { isRejection } from '../../src/core/errors.ts'
import { bytesOfHex, cidOfDigest } from '../../src/core/ids.ts'
import {
  decodeTrieNode,
  entriesOf,
  lookup,
  nodesOf,
  subtree,
  type TrieChange,
  updateTrie,
} from '../../src/core/trie.ts'

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())
const keyOf = (i: number) => createHash('sha256').update(`key ${i}`).digest('hex')

class MemoryNodes {
  readonly blocks = new Map<string, Uint8Array>()
  gets: string[] = []
  puts: string[] = []
  readonly sha256 = sha256
  readonly source = {
    get: async (cid: CID) => {
      this.gets.push(cid.toString())
      return this.blocks.get(cid.toString())
    },
  }
  readonly put = (cid: CID, bytes: Uint8Array): void => {
    this.puts.push(cid.toString())
    this.blocks.set(cid.toString(), bytes)
  }

  putValue(value: unknown): CID {
    const bytes = dagCbor.encode(value)
    const cid = cidOfDigest(sha256(bytes))
    this.put(cid, bytes)
    return cid
  }
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of source) list.push(item)
  return list
}

const entries = (count: number, value: (i: number) => unknown = (i) => i): TrieChange[] =>
  Array.from({ length: count }, (_, i) => ({ key: keyOf(i), value: value(i) }))

/** Hex keys that share long prefixes, as an attacker would grind them. */
const closeKey = fc
  .tuple(fc.constantFrom(0, 1, 2, 5, 20, 60, 63), fc.integer({ min: 0, max: 0xffff }))
  .map(([shared, n]) => {
    const rest = createHash('sha256').update(String(n)).digest('hex')
    return 'a'.repeat(shared) + rest.slice(shared)
  })

describe('updateTrie', () => {
  test('gives one root for one set, whatever the order and the batches', async () => {
    const value = fc.option(fc.integer({ min: 0, max: 9 }), { nil: undefined })
    const batch = fc.array(fc.record({ key: closeKey, value }), { maxLength: 150 })
    await fc.assert(
      fc.asyncProperty(fc.array(batch, { maxLength: 6 }), async (batches) => {
        const store = new MemoryNodes()
        const model = new Map<string, unknown>()
        let root: CID | undefined
        let count = 0
        for (const changes of batches) {
          ;({ root, count } = await updateTrie(root, changes, store))
          for (const change of changes) {
            if (change.value === undefined) model.delete(change.key)
            else model.set(change.key, change.value)
          }
        }
        const sorted = [...model].sort(([a], [b]) => (a < b ? -1 : 1))
        const fresh = await updateTrie(
          undefined,
          sorted.map(([key, v]) => ({ key, value: v })),
          new MemoryNodes(),
          { sorted: true },
        )
        if (!root) return
        expect(String(root)).toBe(String(fresh.root))
        expect(count).toBe(model.size)
        const listed = await all(entriesOf(root, store.source))
        expect(listed).toEqual(sorted.map(([key, v]) => ({ key, value: v })))
        expect((await all(nodesOf(root, store.source))).length).toBeGreaterThan(0)
      }),
      { numRuns: 150 },
    )
  })

  test('is an empty leaf when it has no entries, also after they were removed', async () => {
    const store = new MemoryNodes()
    const empty = await updateTrie(undefined, [], store)
    expect(empty.count).toBe(0)
    expect(decodeTrieNode(store.blocks.get(String(empty.root)) as Uint8Array)).toEqual({
      kind: 'leaf',
      entries: [],
    })
    const full = await updateTrie(empty.root, entries(500), store)
    const removed = entries(500, () => undefined)
    expect(String((await updateTrie(full.root, removed, store)).root)).toBe(String(empty.root))
  })

  test('splits a leaf at 33 entries and merges at 32', async () => {
    const store = new MemoryNodes()
    const small = await updateTrie(undefined, entries(32), store)
    expect((await subtree(small.root, '', store.source)).entries?.length).toBe(32)
    const large = await updateTrie(small.root, entries(33), store)
    expect((await subtree(large.root, '', store.source)).children?.length).toBe(16)
    const last = [{ key: keyOf(32), value: undefined }]
    const back = await updateTrie(large.root, last, store)
    expect(String(back.root)).toBe(String(small.root))
  })

  test('reads and writes each node it touches once', async () => {
    const store = new MemoryNodes()
    const { root } = await updateTrie(undefined, entries(20_000), store)
    expect(new Set(store.puts).size).toBe(store.puts.length)
    store.gets = []
    store.puts = []
    const changes = entries(5_000, (i) => (i % 3 === 0 ? undefined : -i))
    await updateTrie(root, changes, store)
    expect(new Set(store.gets).size).toBe(store.gets.length)
    expect(new Set(store.puts).size).toBe(store.puts.length)
    store.gets = []
    store.puts = []
    await updateTrie(root, changes.slice(0, 1), store)
    expect(store.gets.length).toBeLessThanOrEqual(5)
    expect(store.puts.length).toBe(store.gets.length)
  })

  test('takes sorted changes as they come, and refuses them out of order', async () => {
    const store = new MemoryNodes()
    const sorted = entries(3_000).sort((a, b) => (a.key < b.key ? -1 : 1))
    async function* stream() {
      yield* sorted
    }
    const streamed = await updateTrie(undefined, stream(), store, { sorted: true })
    const bulk = await updateTrie(undefined, entries(3_000), store)
    expect(String(streamed.root)).toBe(String(bulk.root))
    const refusal = expect.objectContaining({ code: 'INTERNAL' })
    const reversed = sorted.toReversed()
    await expect(updateTrie(undefined, reversed, store, { sorted: true })).rejects.toEqual(refusal)
    const notAKey = [{ key: 'AB', value: 1 }]
    await expect(updateTrie(undefined, notAKey, store)).rejects.toEqual(refusal)
  })

  test('keeps large values in blocks of their own, apart from values that are links', async () => {
    const store = new MemoryNodes()
    const link = store.putValue('something')
    const values = [
      new Uint8Array(9_000),
      new Uint8Array(8 * 1024 - 3),
      new Uint8Array(8 * 1024 - 2),
      link,
      null,
      { nested: [link, 'text'] },
    ]
    const { root } = await updateTrie(
      undefined,
      entries(values.length, (i) => values[i]),
      store,
    )
    for (const [i, value] of values.entries()) {
      expect(await lookup(root, keyOf(i), store.source)).toEqual(value)
    }
    expect(await lookup(root, keyOf(77), store.source)).toBeUndefined()
    // The root and two values: encodings of exactly 8 KiB stay in the leaf.
    expect((await all(nodesOf(root, store.source))).length).toBe(3)
    const smaller = await updateTrie(root, [{ key: keyOf(0), value: 1 }], store)
    expect((await all(nodesOf(smaller.root, store.source))).length).toBe(2)
  })
})

describe('subtree', () => {
  test('tells what is under any prefix, at nodes and below leaves', async () => {
    const store = new MemoryNodes()
    const { root } = await updateTrie(undefined, entries(2_000), store)
    const whole = await subtree(root, '', store.source)
    expect(whole).toMatchObject({ hash: root, count: 2_000 })
    let count = 0
    for (const digit of '0123456789abcdef') {
      const node = await subtree(root, digit, store.source)
      expect(String(node.hash)).toBe(String(whole.children?.[Number.parseInt(digit, 16)]))
      count += node.count
    }
    expect(count).toBe(2_000)
    const key = keyOf(5)
    const one = await subtree(root, key.slice(0, 20), store.source)
    expect(one).toEqual({ hash: undefined, count: 1, entries: [{ key, value: 5 }] })
    expect((await subtree(root, key, store.source)).count).toBe(1)
    const nothing = await subtree(root, 'f'.repeat(60), store.source)
    expect(nothing).toEqual({ hash: undefined, count: 0, entries: [] })
  })
})

describe('nodes of peers', () => {
  const key = (i: number) => bytesOfHex(keyOf(i))
  const sortedKeys = (count: number) =>
    Array.from({ length: count }, (_, i) => keyOf(i))
      .sort()
      .map(bytesOfHex)
  const someLink = cidOfDigest(new Uint8Array(32))
  const sixteen = (link: unknown) => Array.from({ length: 16 }, () => link)

  test.each([
    ['no map', [1]],
    ['another map', { x: 1 }],
    ['one key more', { e: [], x: 1 }],
    ['entries that are no list', { e: 5 }],
    ['33 entries', { e: sortedKeys(33).map((bytes) => [bytes, 1]) }],
    [
      'keys out of order',
      {
        e: sortedKeys(2)
          .toReversed()
          .map((bytes) => [bytes, 1]),
      },
    ],
    ['one key twice', { e: [key(0), key(0)].map((bytes) => [bytes, 1]) }],
    ['a short key', { e: [[key(0).subarray(1), 1]] }],
    ['a key that is text', { e: [['x'.repeat(32), 1]] }],
    ['an entry without value', { e: [[key(0)]] }],
    ['a link beside a value', { e: [[key(0), 1, someLink]] }],
    ['a value block of another codec', { e: [[key(0), null, cidOfDigest(key(0), 0x55)]] }],
    ['a large value in the leaf', { e: [[key(0), new Uint8Array(9_000)]] }],
    ['15 children', { c: sixteen(someLink).slice(1), n: 100 }],
    ['no child', { c: sixteen(null), n: 100 }],
    ['children that are no links', { c: sixteen(key(0)), n: 100 }],
    ['so few entries that it is a leaf', { c: sixteen(someLink), n: 32 }],
    ['a negative count', { c: sixteen(someLink), n: -1 }],
    ['a count that is no integer', { c: sixteen(someLink), n: 99.5 }],
    ['more than a node can need', { e: [[key(0), 'x'.repeat(400_000)]] }],
    ['what looks like a refusal', { refused: 'malformed', what: '' }],
  ])('are refused with %s', (_, wire) => {
    const node = decodeTrieNode(dagCbor.encode(wire))
    expect(isRejection(node) && node.refused).toMatch(/malformed|too-large/)
  })

  test('are refused unless canonical', () => {
    // {"e": []} with the length of the list in two bytes, and with trailing bytes.
    for (const hex of ['a161659800', 'a1616580ff', 'a161659fff', 'ff', '']) {
      expect(decodeTrieNode(bytesOfHex(hex))).toMatchObject({ refused: 'not-canonical' })
    }
  })

  test('never throw, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(isRejection(decodeTrieNode(bytes))).toBe(true)
      }),
    )
    const deep = new Uint8Array(200_000).fill(0x81)
    expect(isRejection(decodeTrieNode(deep))).toBe(true)
  })

  test('are refused where they do not belong', async () => {
    const store = new MemoryNodes()
    const leaf = store.putValue({ e: [[bytesOfHex('1'.repeat(64)), 1]] })
    const empty = store.putValue({ e: [] })
    const wrongCount = store.putValue({ c: [null, leaf, ...sixteen(null).slice(2)], n: 33 })
    const wrongPlace = store.putValue({ c: sixteen(leaf), n: 33 })
    const emptyChild = store.putValue({ c: sixteen(empty), n: 33 })
    let bottomless = leaf
    for (let i = 0; i < 65; i++) bottomless = store.putValue({ c: sixteen(bottomless), n: 33 })
    const refusal = expect.objectContaining({ code: 'BAD_BLOCK' })
    for (const root of [wrongCount, wrongPlace, emptyChild, bottomless]) {
      await expect(all(entriesOf(root, store.source))).rejects.toEqual(refusal)
    }
    await expect(lookup(bottomless, '1'.repeat(64), store.source)).rejects.toEqual(refusal)
    const absent = expect.objectContaining({ code: 'NOT_HERE' })
    await expect(lookup(someLink, keyOf(0), store.source)).rejects.toEqual(absent)
  })
})
