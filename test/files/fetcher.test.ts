import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import type { CID } from 'multiformats/cid'
import { beforeEach, describe, expect, test } from 'vitest'
import { GonkError } from '../../src/core/errors.ts'
import { type ListedBlocks, memoryBlocks } from '../../src/files/blocks.ts'
import { type BlockSource, fetchFiles } from '../../src/files/fetcher.ts'
import { createFileStore } from '../../src/files/file-store.ts'
import type { AbortOptions, Blocks, Clock, StoredFile } from '../../src/ports.ts'
import { cidFor } from '../conformance/blocks-suite.ts'
import { collect } from '../conformance/collect.ts'
import { pattern } from '../conformance/file-store-suite.ts'

const MiB = 1024 * 1024

/** Turns of the event loop without a peer doing anything, after which nothing more will happen. */
const IDLE_TURNS = 50
/** Counts what peers do. */
let activity = 0

/** Time stands still while peers work, however slow the machine; then the next sleep ends. */
function jumpingClock(): Clock {
  let now = 0
  const sleeping = new Set<{ until: number; wake: () => void }>()
  let watching = false
  const watch = async () => {
    watching = true
    while (sleeping.size > 0) {
      const before = activity
      for (let i = 0; i < IDLE_TURNS && sleeping.size > 0; i++) await setImmediate()
      const [next] = [...sleeping].sort((a, b) => a.until - b.until)
      if (next === undefined || activity !== before) continue
      now = Math.max(now, next.until)
      next.wake()
    }
    watching = false
  }
  return {
    nowMs: () => now,
    sleep: (ms, { signal }: AbortOptions = {}) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) return reject(signal.reason)
        const wake = () => {
          sleeping.delete(entry)
          signal?.removeEventListener('abort', cancel)
          resolve()
        }
        const cancel = () => {
          sleeping.delete(entry)
          reject(signal?.reason)
        }
        const entry = { until: now + ms, wake }
        signal?.addEventListener('abort', cancel, { once: true })
        sleeping.add(entry)
        if (!watching) void watch()
      }),
  }
}

/** What a fake peer does with each block asked of it. */
type Behaviour = (cid: CID, asked: number) => 'send' | 'absent' | 'lie' | 'vanish' | 'stall' | 'end'

class FakePeer implements BlockSource {
  readonly peer: string
  readonly sent: string[] = []
  asked = 0
  readonly #blocks: Blocks
  readonly #behave: Behaviour

  constructor(peer: string, blocks: Blocks, behave: Behaviour = () => 'send') {
    this.peer = peer
    this.#blocks = blocks
    this.#behave = behave
  }

  async *blocks(cids: readonly CID[]) {
    for (const cid of cids) {
      const does = this.#behave(cid, this.asked++)
      activity += 1
      if (does === 'lie') throw new GonkError('BAD_BLOCK', `not ${cid}`)
      if (does === 'vanish') throw new GonkError('PEER_FAILED', 'connection lost')
      if (does === 'stall') await new Promise(() => undefined)
      if (does === 'end') return
      const bytes = does === 'absent' ? undefined : await this.#blocks.get(cid)
      await setImmediate()
      if (bytes !== undefined) this.sent.push(String(cid))
      yield { cid, bytes }
    }
  }
}

describe('fetching files', () => {
  let remote: ListedBlocks
  let local: ListedBlocks
  let clock: Clock
  let large: StoredFile
  let small: StoredFile[]

  beforeEach(async () => {
    remote = memoryBlocks()
    local = memoryBlocks()
    clock = jumpingClock()
    const files = createFileStore(remote)
    large = await files.put([pattern(9 * MiB + 5, 77)])
    small = []
    for (let i = 0; i < 600; i++) small.push(await files.put([pattern(200 + i, i * 2 + 1)]))
  })

  const wanted = () => [...small, large, ...small.slice(0, 5)]
  const keysOf = async (blocks: ListedBlocks) => (await collect(blocks.list())).map(String).sort()
  const expectAllHere = async () => expect(await keysOf(local)).toEqual(await keysOf(remote))
  const needs = (...peers: BlockSource[]) => ({ blocks: local, sources: () => peers, clock })

  test('from several peers ends with all blocks, none fetched twice', async () => {
    const peers = ['a', 'b', 'c'].map((peer) => new FakePeer(peer, remote))
    const done: string[] = []
    const failures: unknown[] = []
    const result = await fetchFiles(wanted(), needs(...peers), {
      onPeerFailed: (_, error) => failures.push(error),
      async onFile(file, blocks) {
        for (const block of blocks) expect(await local.has(block)).toBe(true)
        done.push(String(file))
      },
    })
    expect(result).toMatchObject({ files: 606, blocks: 611, missing: [], invalid: [] })
    expect(done.sort()).toEqual(
      wanted()
        .map(({ cid }) => String(cid))
        .sort(),
    )
    await expectAllHere()
    expect(failures).toEqual([])
    const sent = peers.flatMap((peer) => peer.sent)
    expect(new Set(sent).size).toBe(sent.length)
    for (const peer of peers) expect(peer.sent.length).toBeGreaterThan(0)
  })

  test('tells all blocks of a file, also those that were here', async () => {
    const leaf = (await collect(createFileStore(remote).walk(large.cid)))[3] as {
      cid: CID
      bytes: Uint8Array
    }
    await local.put(leaf.cid, leaf.bytes)
    const peer = new FakePeer('a', remote)
    let told: string[] = []
    await fetchFiles([large], needs(peer), {
      onFile: (_, blocks) => void (told = blocks.map(String)),
    })
    expect(told).toHaveLength(11)
    expect(told).toContain(String(leaf.cid))
    expect(peer.sent).toHaveLength(10)
  })

  test('what is here is not asked for again', async () => {
    await fetchFiles(wanted(), needs(new FakePeer('a', remote)))
    const again = new FakePeer('b', remote)
    const result = await fetchFiles(wanted(), needs(again))
    expect(result).toMatchObject({ files: 606, blocks: 0 })
    expect(again.asked).toBe(0)
  })

  test('a fetch that was cancelled goes on where it was', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const first = new FakePeer('a', remote)
    const onProgress = ({ blocks }: { blocks: number }) => {
      if (blocks === 300) controller.abort()
    }
    const stopped = fetchFiles(wanted(), needs(first), { signal, onProgress })
    await expect(stopped).rejects.toMatchObject({ code: 'CANCELLED' })
    const here = (await keysOf(local)).length
    expect(here).toBeGreaterThanOrEqual(300)
    const second = new FakePeer('a', remote)
    await fetchFiles(wanted(), needs(second))
    await expectAllHere()
    expect(second.sent.length).toBe(611 - here)
  })

  test('a block one peer lacks comes from another', async () => {
    const lacks = new FakePeer('a', remote, (cid) =>
      (cid.bytes.at(-1) as number) % 2 ? 'absent' : 'send',
    )
    const result = await fetchFiles(wanted(), needs(lacks, new FakePeer('b', remote)))
    expect(result.missing).toEqual([])
    await expectAllHere()
  })

  test('files with a block that nobody has are named, the others are fetched', async () => {
    const gone = (await collect(createFileStore(remote).walk(large.cid)))[5]?.cid as CID
    const behave: Behaviour = (cid) =>
      cid.equals(gone) || cid.equals(small[7]?.cid) ? 'absent' : 'send'
    const peers = ['a', 'b'].map((peer) => new FakePeer(peer, remote, behave))
    const result = await fetchFiles([...small, large], needs(...peers))
    expect(result.missing.map(String).sort()).toEqual(
      [String(small[7]?.cid), String(large.cid)].sort(),
    )
    expect(result.files).toBe(599)
  })

  test('without a peer everything is missing, at once', async () => {
    const result = await fetchFiles(wanted(), needs())
    expect(result.missing).toHaveLength(606)
    expect(result.files).toBe(0)
  })

  test('a peer that stalls is left, and its work done by another', async () => {
    const stalls = new FakePeer('a', remote, (_, asked) => (asked < 20 ? 'send' : 'stall'))
    const failed: string[] = []
    const result = await fetchFiles(wanted(), needs(stalls, new FakePeer('b', remote)), {
      onPeerFailed: (peer, error) => failed.push(`${peer} ${(error as GonkError).code}`),
    })
    expect(result.missing).toEqual([])
    await expectAllHere()
    expect(new Set(failed)).toEqual(new Set(['a TIMEOUT']))
  })

  test('a peer that sends wrong bytes is never asked again', async () => {
    const lies = new FakePeer('a', remote, (_, asked) => (asked === 3 ? 'lie' : 'send'))
    const failures: unknown[] = []
    const onPeerFailed = (_: string, error: unknown) => failures.push(error)
    const result = await fetchFiles(wanted(), needs(lies), { onPeerFailed })
    expect(failures[0]).toMatchObject({ code: 'BAD_BLOCK' })
    expect(result.missing.length).toBeGreaterThan(0)
    expect(lies.asked).toBeLessThan(600)
    const rest = await fetchFiles(wanted(), needs(lies, new FakePeer('b', remote)))
    expect(rest.missing).toEqual([])
    await expectAllHere()
  })

  test('a peer that comes back after a failure is asked again', async () => {
    const back = new FakePeer('a', remote, (_, asked) =>
      asked === 10 || asked === 400 ? 'vanish' : 'send',
    )
    const result = await fetchFiles(wanted(), needs(back))
    expect(result.missing).toEqual([])
    await expectAllHere()
  })

  test('a peer found while the fetch runs is asked too', async () => {
    const slow = new FakePeer('a', remote, (_, asked) => (asked < 50 ? 'send' : 'absent'))
    const later = new FakePeer('b', remote)
    const sources = () => (slow.asked < 40 ? [slow] : [slow, later])
    const result = await fetchFiles(wanted(), { blocks: local, sources, clock })
    expect(result.missing).toEqual([])
    await expectAllHere()
  })

  test('a peer that ends early, or answers what was not asked, fails alone', async () => {
    const ends = new FakePeer('a', remote, (_, asked) => (asked % 7 === 6 ? 'end' : 'send'))
    const other = pattern(99)
    const answersWrong: BlockSource = {
      peer: 'b',
      async *blocks() {
        yield { cid: cidFor(other), bytes: other }
      },
    }
    const result = await fetchFiles(wanted(), needs(ends, answersWrong, new FakePeer('c', remote)))
    expect(result.missing).toEqual([])
    await expectAllHere()
  })

  test('content that is not of the stated size is refused, and named', async () => {
    const lies = { cid: large.cid, sizeBytes: large.sizeBytes - 1 }
    const empty = { cid: small[0]?.cid as CID, sizeBytes: 0 }
    const peer = new FakePeer('a', remote)
    const result = await fetchFiles([lies, empty, small[1] as StoredFile], needs(peer))
    expect(result.invalid.map(String).sort()).toEqual([String(lies.cid), String(empty.cid)].sort())
    expect(result.files).toBe(1)
    expect(peer.sent).toHaveLength(3)
  })

  test('a wrong size is found also of content that is here', async () => {
    const [first] = small as [StoredFile]
    await fetchFiles([first], needs(new FakePeer('a', remote)))
    const result = await fetchFiles([{ ...first, sizeBytes: 1 }], needs())
    expect(result.invalid.map(String)).toEqual([String(first.cid)])
  })

  test('a disk that fails ends the fetch', async () => {
    local.put = async () => {
      throw new GonkError('DISK', 'full')
    }
    const fetching = fetchFiles(wanted(), needs(new FakePeer('a', remote)))
    await expect(fetching).rejects.toMatchObject({ code: 'DISK' })
  })

  test('no more is asked for than fits in memory', async () => {
    const files = createFileStore(remote)
    const many = await Promise.all(
      Array.from({ length: 60 }, (_, i) => files.put([pattern(MiB, i * 2 + 1001)])),
    )
    let asked = 0
    let most = 0
    const peers = Array.from({ length: 8 }, (_, i): BlockSource => ({
      peer: `peer ${i}`,
      async *blocks(cids) {
        asked += cids.length
        most = Math.max(most, asked)
        for (const cid of cids) {
          await setImmediate()
          yield { cid, bytes: await remote.get(cid) }
          asked -= 1
        }
      },
    }))
    const result = await fetchFiles(many, needs(...peers))
    expect(result.files).toBe(60)
    expect(most).toBeLessThanOrEqual(32)
  })
})

test('however peers fail, what an honest peer has arrives, and nothing else', async () => {
  const remote = memoryBlocks()
  const files = createFileStore(remote)
  const wanted: StoredFile[] = []
  for (let i = 0; i < 40; i++)
    wanted.push(await files.put([pattern(i % 10 ? 50 + i : 2 * MiB + i, i)]))
  await files.put([pattern(10_000)])
  const behaviour = fc.constantFrom<ReturnType<Behaviour>>(
    'send',
    'absent',
    'lie',
    'vanish',
    'stall',
    'end',
  )
  const peers = fc.array(fc.array(behaviour, { minLength: 1, maxLength: 8 }), { maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(peers, async (scripts) => {
      const local = memoryBlocks()
      const sources = scripts.map(
        (script, i) => new FakePeer(`${i}`, remote, (_, n) => script[n % script.length] ?? 'send'),
      )
      const honest = new FakePeer('honest', remote)
      const all = [...sources, honest]
      const result = await fetchFiles(
        wanted,
        { blocks: local, sources: () => all, clock: jumpingClock() },
        {},
      )
      expect(result).toMatchObject({ files: 40, missing: [], invalid: [] })
      expect((await collect(local.list())).length).toBe(result.blocks)
      expect((await collect(local.list())).length).toBe((await collect(remote.list())).length - 1)
    }),
    { numRuns: 60 },
  )
})
