import * as dagPb from '@ipld/dag-pb'
import { unixfs } from '@helia/unixfs'
import fc from 'fast-check'
import { UnixFS } from 'ipfs-unixfs'
import { importer } from 'ipfs-unixfs-importer'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import { describe, expect, test } from 'vitest'
import { type DirectoryChange, updateDirectory } from '../../src/files/directory.ts'

/** path → content */
type Files = Map<string, string>

class MemoryBlocks {
  readonly blocks = new Map<string, Uint8Array>()
  gets: string[] = []
  puts: string[] = []

  get = async (cid: CID): Promise<Uint8Array | undefined> => {
    this.gets.push(cid.toString())
    return this.blocks.get(cid.toString())
  }

  put = (cid: CID, bytes: Uint8Array): CID => {
    this.puts.push(cid.toString())
    this.blocks.set(cid.toString(), bytes)
    return cid
  }

  /** As a stock node sees them. */
  asBlockstore() {
    return {
      put: this.put,
      has: (cid: CID) => this.blocks.has(cid.toString()),
      get: (cid: CID) => {
        const bytes = this.blocks.get(cid.toString())
        if (!bytes) throw new Error(`no block ${cid}`)
        return (function* () {
          yield bytes
        })()
      },
    }
  }

  typeOf(cid: CID): string {
    const node = dagPb.decode(this.blocks.get(cid.toString()) as Uint8Array)
    return UnixFS.unmarshal(node.Data as Uint8Array).type
  }
}

/**
 * A fresh import. Deepest paths first: the importer loses files when it adds to a subdirectory after
 * the directory around it became a HAMT.
 */
async function imported(files: Files): Promise<string> {
  const depth = (path: string) => path.split('/').length
  const source = [...files.entries()]
    .sort(([a], [b]) => depth(b) - depth(a))
    .map(([path, content]) => ({ path, content: Buffer.from(content) }))
  let root: CID | undefined
  const discard = { put: (cid: CID) => cid }
  const options = { profile: 'unixfs-v1-2025', wrapWithDirectory: true } as const
  for await (const entry of importer(source, discard, options)) root = entry.cid
  return String(root)
}

async function change(path: string, content: string | undefined): Promise<DirectoryChange> {
  if (content === undefined) return { path, file: undefined }
  const bytes = Buffer.from(content)
  const cid = CID.createV1(raw.code, await sha256.digest(bytes))
  return { path, file: { cid, sizeBytes: bytes.length } }
}

async function changesOf(entries: Iterable<[string, string | undefined]>) {
  return Promise.all([...entries].map(([path, content]) => change(path, content)))
}

const numbered = (count: number, name: (i: number) => string): Files =>
  new Map(Array.from({ length: count }, (_, i) => [name(i), `content ${i}`]))

const longName = (i: number) => `${'n'.repeat(240)}-${i}`

const EMPTY = 'bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354'

describe('updateDirectory', () => {
  test('gives the empty directory for no files', async () => {
    const store = new MemoryBlocks()
    const root = await updateDirectory(undefined, [], store)
    expect(String(root)).toBe(EMPTY)
    expect(store.blocks.has(EMPTY)).toBe(true)
    const one = await updateDirectory(root, [await change('a/b/c', 'x')], store)
    expect(String(one)).toBe(await imported(new Map([['a/b/c', 'x']])))
    const none = await updateDirectory(one, [await change('a/b/c', undefined)], store)
    expect(String(none)).toBe(EMPTY)
  })

  test('gives the CID of a fresh import after any batches of changes', async () => {
    const segment = fc.constantFrom('a', 'b', 'ä', 'a.txt', 'Z', '😀', '\uffee', 'long name')
    // Files at depth 3 or 1 only, with other names, so that no name is a prefix of another.
    const path = fc.oneof(
      fc.tuple(segment, segment, segment).map((parts) => parts.join('/')),
      segment.map((name) => `file ${name}`),
    )
    const batch = fc.array(fc.tuple(path, fc.option(fc.string(), { nil: undefined })), {
      maxLength: 12,
    })
    await fc.assert(
      fc.asyncProperty(fc.array(batch, { maxLength: 6 }), async (batches) => {
        const store = new MemoryBlocks()
        const files: Files = new Map()
        let root: CID | undefined
        for (const entries of batches) {
          root = await updateDirectory(root, await changesOf(entries), store)
          for (const [name, content] of entries) {
            if (content === undefined) files.delete(name)
            else files.set(name, content)
          }
          expect(String(root)).toBe(files.size > 0 ? await imported(files) : EMPTY)
        }
      }),
      { numRuns: 200 },
    )
  })

  test('changes between flat and HAMT form in both directions as an import does', async () => {
    // Near 905 names of this length the block of the flat form reaches 256 KiB.
    const universe = Array.from({ length: 1_000 }, (_, i) => longName(i))
    const steps = fc.array(
      fc.record({
        names: fc.shuffledSubarray(universe, { minLength: 1, maxLength: 120 }),
        isRemoval: fc.boolean(),
      }),
      { minLength: 1, maxLength: 6 },
    )
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: 860, max: 950 }), async (list, start) => {
        const store = new MemoryBlocks()
        const files = numbered(start, longName)
        let root = await updateDirectory(undefined, await changesOf(files), store)
        for (const { names, isRemoval } of list) {
          const entries = names.map((name): [string, string | undefined] => {
            if (isRemoval) files.delete(name)
            else files.set(name, 'new')
            return [name, isRemoval ? undefined : 'new']
          })
          root = await updateDirectory(root, await changesOf(entries), store)
          expect(String(root)).toBe(await imported(files))
        }
      }),
      { numRuns: 20 },
    )
  })

  test('turns at exactly 256 KiB of flat block', async () => {
    const store = new MemoryBlocks()
    // 52 bytes a link, 4 bytes of data: 5,041 names are 262,136 bytes, and one of 1 byte makes 262,181.
    const files = numbered(5_041, (i) => `n${String(i).padStart(7, '0')}`)
    const root = await updateDirectory(undefined, await changesOf(files), store)
    expect(store.typeOf(root)).toBe('directory')
    expect(String(root)).toBe(await imported(files))
    const more = await updateDirectory(root, [await change('x', 'content 1')], store)
    expect(store.typeOf(more)).toBe('hamt-sharded-directory')
    expect(String(more)).toBe(await imported(new Map([...files, ['x', 'content 1']])))
    const back = await updateDirectory(more, [await change('x', undefined)], store)
    expect(String(back)).toBe(String(root))
  })

  test('handles more than 6,000 names, nested HAMTs and any order of batches', async () => {
    const files: Files = new Map([
      ...numbered(6_500, (i) => `photo-${i}.jpg`),
      ...numbered(6_200, (i) => `train/img_${i}.png`),
      ...numbered(300, (i) => `labels/${i % 7}/label ${i}.json`),
    ])
    const expected = await imported(files)
    const changes = await changesOf(files)
    for (const seed of [1, 2]) {
      const store = new MemoryBlocks()
      let root: CID | undefined
      for (const batch of shuffledBatches(changes, seed)) {
        root = await updateDirectory(root, batch, store)
      }
      expect(String(root)).toBe(expected)
      const removed = [...files.keys()].filter((_, i) => i % 3 !== seed)
      const kept = new Map([...files].filter((_, i) => i % 3 === seed))
      const removals = await changesOf(removed.map((path) => [path, undefined]))
      for (const batch of shuffledBatches(removals, seed)) {
        root = await updateDirectory(root, batch, store)
      }
      expect(String(root)).toBe(await imported(kept))
    }
  })

  test('reads and writes only what changes, each node once', async () => {
    const store = new MemoryBlocks()
    const files = new Map([
      ...numbered(20_000, (i) => `big/${i}`),
      ...numbered(50, (i) => `small/${i}`),
    ])
    const root = await updateDirectory(undefined, await changesOf(files), store)
    expect(new Set(store.puts).size).toBe(store.puts.length)
    store.gets = []
    store.puts = []
    const changes = await changesOf([
      ['big/17', 'other'],
      ['big/new', 'new'],
      ['big/99', 'other'],
    ])
    const next = await updateDirectory(root, changes, store)
    expect(new Set(store.gets).size).toBe(store.gets.length)
    // Root, `big`, and at most 2 shards below it for each name.
    expect(store.gets.length).toBeLessThanOrEqual(2 + 3 * 2)
    expect(store.puts.length).toBe(store.gets.length)
    store.puts = []
    expect(await updateDirectory(next, changes, store)).toBe(next)
    expect(store.puts).toEqual([])
  })

  test('counts links to directories too, as the profile says and Helia does when it copies', async () => {
    // An import does not count them, and would make this a flat block of any size.
    const store = new MemoryBlocks()
    const name = (i: number) => `d${String(i).padStart(7, '0')}`
    const files = numbered(5_041, (i) => `${name(i)}/f`)
    const root = await updateDirectory(undefined, await changesOf(files), store)
    const stock = unixfs({ blockstore: store.asBlockstore() })
    const inner = await updateDirectory(undefined, [await change('f', 'content 0')], store)
    let flat = root
    const all = new Map(files)
    for (let i = files.size; store.typeOf(flat) === 'directory'; i++) {
      all.set(`${name(i)}/f`, 'content 0')
      const options = { shardSplitStrategy: 'block-bytes' } as const
      const copied = await stock.cp(inner, flat, name(i), options)
      flat = await updateDirectory(flat, [await change(`${name(i)}/f`, 'content 0')], store)
      expect(String(flat)).toBe(String(copied))
    }
    const fresh = await updateDirectory(undefined, await changesOf(all), store)
    expect(String(fresh)).toBe(String(flat))
  })

  test('lets a file become a directory and a directory a file within one batch', async () => {
    const store = new MemoryBlocks()
    const file = await updateDirectory(undefined, await changesOf([['a', '1']]), store)
    const toDirectory = await changesOf([
      ['a/b', '2'],
      ['a', undefined],
    ])
    const directory = await updateDirectory(file, toDirectory, store)
    expect(String(directory)).toBe(await imported(new Map([['a/b', '2']])))
    const toFile = await changesOf([
      ['a', '1'],
      ['a/b', undefined],
    ])
    expect(String(await updateDirectory(directory, toFile, store))).toBe(String(file))
  })

  test('refuses a name that is both a file and a directory', async () => {
    const store = new MemoryBlocks()
    const both = await changesOf([
      ['a', '1'],
      ['a/b', '2'],
    ])
    const refusal = expect.objectContaining({ code: 'INTERNAL' })
    await expect(updateDirectory(undefined, both, store)).rejects.toEqual(refusal)
    const file = await updateDirectory(undefined, both.slice(0, 1), store)
    await expect(updateDirectory(file, both.slice(1), store)).rejects.toEqual(refusal)
  })

  test('says that the home is damaged when a node is missing', async () => {
    const store = new MemoryBlocks()
    const root = await updateDirectory(undefined, await changesOf([['a/b', '1']]), store)
    store.blocks.clear()
    const damaged = expect.objectContaining({ code: 'HOME_DAMAGED' })
    await expect(updateDirectory(root, await changesOf([['c', '']]), store)).rejects.toEqual(
      damaged,
    )
  })

  test('is not stopped by names with one murmur3 hash at every depth, nor by false sizes', async () => {
    const store = new MemoryBlocks()
    const twins = ['two-names-of-the-same-murmur3-01', 'ayloftcrxuvwutvgxfy3TnA!5M;N:Hlj']
    const files = numbered(1_000, longName)
    const before = await updateDirectory(undefined, await changesOf(files), store)
    expect(store.typeOf(before)).toBe('hamt-sharded-directory')
    const [one, other] = (await changesOf(twins.map((name) => [name, 'x']))) as [
      DirectoryChange,
      DirectoryChange,
    ]
    const first = await updateDirectory(before, [one], store)
    const both = await updateDirectory(first, [other], store)
    const otherWay = await updateDirectory(
      undefined,
      [other, one, ...(await changesOf(files))],
      store,
    )
    expect(String(both)).toBe(String(otherWay))
    const gone = await updateDirectory(
      both,
      await changesOf([[twins[1] as string, undefined]]),
      store,
    )
    expect(String(gone)).toBe(String(first))

    const cid = (one.file as { cid: CID }).cid
    const huge = ['p', 'q', 'd/r'].map((path) => ({
      path,
      file: { cid, sizeBytes: Number.MAX_SAFE_INTEGER },
    }))
    const inflated = await updateDirectory(both, huge, store)
    const deflated = huge.map(({ path }) => ({ path, file: undefined }))
    expect(String(await updateDirectory(inflated, deflated, store))).toBe(String(both))
  })

  test('is read by a stock UnixFS by path and as a listing', async () => {
    const store = new MemoryBlocks()
    const files = new Map([
      ...numbered(7_000, (i) => `img ${i}.jpg`),
      ...numbered(20, (i) => `deep/er/${i}`),
    ])
    const root = await updateDirectory(undefined, await changesOf(files), store)
    expect(store.typeOf(root)).toBe('hamt-sharded-directory')
    const blockstore = store.asBlockstore()
    for (const content of files.values()) {
      const bytes = Buffer.from(content)
      store.put(CID.createV1(raw.code, await sha256.digest(bytes)), bytes)
    }
    const stock = unixfs({ blockstore })
    for (const path of ['img 0.jpg', 'img 6999.jpg', 'deep/er/3']) {
      const stat = await stock.stat(root, { path })
      expect(stat.type).toBe('raw')
      const chunks: Uint8Array[] = []
      for await (const chunk of stock.cat(root, { path })) chunks.push(chunk)
      expect(Buffer.concat(chunks).toString()).toBe(files.get(path))
    }
    const names: string[] = []
    for await (const entry of stock.ls(root)) names.push(entry.name)
    expect(names.length).toBe(7_001)
  })
})

/** Not random for real, so that a failure comes again: the seed decides. */
function* shuffledBatches<T>(items: readonly T[], seed: number): Generator<T[]> {
  let state = seed
  const next = (below: number) => {
    state = (state * 48_271) % 2_147_483_647
    return state % below
  }
  const left = [...items]
  for (let i = left.length - 1; i > 0; i--) {
    const j = next(i + 1)
    ;[left[i], left[j]] = [left[j] as T, left[i] as T]
  }
  while (left.length > 0) yield left.splice(0, 1 + next(3_000))
}
