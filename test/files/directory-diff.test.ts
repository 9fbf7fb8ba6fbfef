import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import { cidOfDigest } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { directoryChanges, type Place } from '../../src/files/directory-diff.ts'
import { updateDirectory } from '../../src/files/directory.ts'

const RAW = 0x55
const DAG_PB = 0x70
type Files = ReadonlyMap<string, string>

const contentCid = (content: string): CID =>
  cidOfDigest(sha256(new TextEncoder().encode(content)), content.startsWith('large') ? DAG_PB : RAW)

class Store {
  readonly blocks = new Map<string, Uint8Array>()
  reads = 0

  get = async (cid: CID) => {
    this.reads++
    return this.blocks.get(cid.toString())
  }

  put = (cid: CID, bytes: Uint8Array) => {
    this.blocks.set(cid.toString(), bytes)
  }

  isFile = async () => true

  directoryOf(files: Files): Promise<CID> {
    const changes = [...files].map(([path, content]) => ({
      path,
      file: { cid: contentCid(content), sizeBytes: content.length },
    }))
    return updateDirectory(undefined, changes, this)
  }
}

async function linesOf(store: Store, before: CID | undefined, after: CID | undefined) {
  const lines: string[] = []
  for await (const change of directoryChanges(before, after, store)) {
    lines.push(`${change.path} ${change.before ?? '-'} ${change.after ?? '-'}`)
  }
  return lines.sort()
}

function expectedLines(before: Files, after: Files): string[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((path) => before.get(path) !== after.get(path))
    .map((path) => {
      const [old, now] = [before.get(path), after.get(path)]
      const text = (content: string | undefined) => (content ? contentCid(content).toString() : '-')
      return `${path} ${text(old)} ${text(now)}`
    })
    .sort()
}

/** Without names that are path prefixes of others. */
const files = fc
  .array(
    fc.tuple(
      fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'é'), { minLength: 1, maxLength: 4 }),
      fc.constantFrom('one', 'two', 'large one', 'large two'),
    ),
    { maxLength: 30 },
  )
  .map((list) => {
    const all = new Map<string, string>()
    for (const [segments, content] of list) {
      const path = segments.join('/')
      const isFree = ![...all.keys()].some(
        (other) => other.startsWith(`${path}/`) || path.startsWith(`${other}/`),
      )
      if (isFree) all.set(path, content)
    }
    return all
  })

describe('changes between directories', () => {
  test('are those between the sets of files', async () => {
    await fc.assert(
      fc.asyncProperty(files, files, async (before, after) => {
        const store = new Store()
        const old = await store.directoryOf(before)
        const now = await store.directoryOf(after)
        expect(await linesOf(store, old, now)).toEqual(expectedLines(before, after))
        expect(await linesOf(store, undefined, now)).toEqual(expectedLines(new Map(), after))
        expect(await linesOf(store, old, undefined)).toEqual(expectedLines(before, new Map()))
      }),
      { numRuns: 300 },
    )
  })

  /** Page by page, each behind the place of the last change of the one before. */
  async function pagesOf(
    store: Store,
    before: CID | undefined,
    after: CID | undefined,
    size: number,
  ) {
    const paths: string[] = []
    for (let from: Place | undefined, isMore = true; isMore;) {
      isMore = false
      let count = 0
      for await (const { path, place } of directoryChanges(before, after, store, from)) {
        isMore = count++ === size
        if (isMore) break
        paths.push(path)
        from = place
      }
    }
    return paths
  }

  async function pathsOf(store: Store, before: CID | undefined, after: CID | undefined) {
    const paths: string[] = []
    for await (const { path } of directoryChanges(before, after, store)) paths.push(path)
    return paths
  }

  test('are the same page by page, however large the pages are', async () => {
    await fc.assert(
      fc.asyncProperty(
        files,
        files,
        fc.integer({ min: 1, max: 5 }),
        async (before, after, size) => {
          const store = new Store()
          const old = await store.directoryOf(before)
          const now = await store.directoryOf(after)
          for (const [a, b] of [
            [old, now],
            [undefined, now],
            [old, undefined],
          ] as const) {
            expect(await pagesOf(store, a, b, size)).toEqual(await pathsOf(store, a, b))
          }
        },
      ),
      { numRuns: 200 },
    )
  })

  test('go on behind a place of a large directory without reading what is before', async () => {
    const store = new Store()
    const few = new Map([...Array(40).keys()].map((i) => [`file number ${i}`, `old ${i}`]))
    const large = new Map([...Array(8_000).keys()].map((i) => [`file number ${i}`, `${i}`]))
    const below = new Map([...large].map(([name, text]) => [`sub/dir/${name}`, text]))
    const [small, now, deep] = [
      await store.directoryOf(few),
      await store.directoryOf(large),
      await store.directoryOf(new Map([...large, ...below])),
    ]
    for (const [a, b] of [
      [undefined, now],
      [now, undefined],
      [small, now],
      [now, deep],
    ] as const) {
      expect(await pagesOf(store, a, b, 3_000)).toEqual(await pathsOf(store, a, b))
    }
    for (const [a, b] of [
      [undefined, now],
      [now, deep],
    ] as const) {
      let last: Place = []
      for await (const { place } of directoryChanges(a, b, store)) last = place
      store.reads = 0
      for await (const _ of directoryChanges(a, b, store, last));
      expect(store.reads).toBeLessThan(12)
    }
  })

  test('behind a place that is none are some or none, and no error', async () => {
    const store = new Store()
    const now = await store.directoryOf(
      new Map([
        ['a/b', 'one'],
        ['c', 'two'],
      ]),
    )
    for (const from of [['x'], ['a', 'x'], ['a', 'b', 'c', 'd'], ['']]) {
      for await (const _ of directoryChanges(undefined, now, store, from));
    }
  })

  test('are found in large directories by reading what differs', async () => {
    const store = new Store()
    const large = new Map([...Array(8_000).keys()].map((i) => [`file number ${i}`, `${i}`]))
    const other = new Map(large)
    other.delete('file number 77')
    other.set('file number 4000', 'changed')
    other.set('new', 'new')
    other.set('sub/new', 'new')
    const old = await store.directoryOf(large)
    const now = await store.directoryOf(other)
    store.reads = 0
    expect(await linesOf(store, old, now)).toEqual(expectedLines(large, other))
    expect(store.reads).toBeLessThan(60)
    const few = new Map([...large].slice(0, 50))
    const small = await store.directoryOf(few)
    expect(await linesOf(store, small, old)).toEqual(expectedLines(few, large))
    expect(await linesOf(store, old, small)).toEqual(expectedLines(large, few))
  })

  test('a missing node is asked for once more, else it is an error', async () => {
    const store = new Store()
    const now = await store.directoryOf(
      new Map([
        ['d/a', 'one'],
        ['large', 'large one'],
      ]),
    )
    const all = new Map(store.blocks)
    const sub = [...all.keys()].find((cid) => cid !== now.toString()) as string
    store.blocks.delete(sub)
    const strict = { get: store.get, isFile: async (path: string) => path === 'large' }
    const read = async (source: Parameters<typeof directoryChanges>[2]) => {
      const paths: string[] = []
      for await (const { path } of directoryChanges(undefined, now, source)) paths.push(path)
      return paths.sort()
    }
    await expect(read(strict)).rejects.toMatchObject({ code: 'NOT_HERE' })
    const recover = async (cid: CID) => all.get(cid.toString())
    expect(await read({ ...strict, isFile: async () => false, recover })).toEqual(['d/a', 'large'])
    await expect(read({ ...strict, get: async () => Uint8Array.of(1) })).rejects.toMatchObject({
      code: 'BAD_BLOCK',
    })
  })
})
