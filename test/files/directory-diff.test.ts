import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import { cidOfDigest } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { directoryChanges } from '../../src/files/directory-diff.ts'
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
