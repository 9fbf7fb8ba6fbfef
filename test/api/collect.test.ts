// The collector and what goes on beside it: nothing that is needed is lost, and the disk does not fill
// with what strangers name.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CID } from 'multiformats/cid'
import { collect, neededFiles } from '../../src/api/copies/collect.ts'
import type { NodeContext } from '../../src/api/context.ts'
import { add } from '../../src/api/objects/proposals.ts'
import { review } from '../../src/api/review/review.ts'
import type { Event, FileValue } from '../../src/core/event.ts'
import { textOfEventId } from '../../src/core/ids.ts'
import { entriesOf } from '../../src/core/trie.ts'
import { systemClock, systemRandom } from '../../src/crypto.ts'
import { type ListedBlocks, memoryBlocks } from '../../src/files/blocks.ts'
import { createFileStore } from '../../src/files/file-store.ts'
import type { Network } from '../../src/ports.ts'
import { FileKeeper } from '../../src/replica/file-keeper.ts'
import { signDraft } from '../../src/replica/replica.ts'
import { openValidator } from '../../src/validation/validator.ts'
import { makeNode, signerNamed, type TestDataset, type TestNode } from './make-node.ts'

const F = signerNamed('F')
const stranger = signerNamed('stranger')
const PREFETCH_BYTES_MAX = 5_000_000

const validator = openValidator()
let node: TestNode
let context: NodeContext
let dataset: TestDataset
let directory: string
/** Blocks that the one peer has. */
let theirs: ListedBlocks

afterAll(() => validator.close())
beforeEach(async () => {
  node = await makeNode()
  directory = await mkdtemp(join(tmpdir(), 'gonk-collect-'))
  theirs = memoryBlocks()
  const network = {
    peers: () => [{ peerId: 'peer' }],
    peersOf: () => ['peer'],
    async *blocks(_: string, __: string, cids: Iterable<CID> | AsyncIterable<CID>) {
      for await (const cid of cids) yield { cid, bytes: await theirs.get(cid) }
    },
  } as unknown as Network
  const keeper = new FileKeeper(
    {
      ...node,
      // Time passes while the collector waits.
      clock: { ...node.clock, sleep: systemClock.sleep },
      network,
      neededFiles: () => neededFiles(node),
    },
    { prefetchBytesMax: PREFETCH_BYTES_MAX },
  )
  const me = { name: 'F', role: 'admin' as const, publicKey: F.publicKey }
  context = { ...node, network, keeper, validator, me, signer: F, random: systemRandom }
  dataset = await node.createDataset('cells', [F])
})

afterEach(async () => {
  await context.keeper.close()
  await node.close()
  await rm(directory, { recursive: true, force: true })
})

/** A method that waits, and says that it was called. */
function held<A extends unknown[], R>(method: (...args: A) => Promise<R>) {
  const called = Promise.withResolvers<void>()
  const release = Promise.withResolvers<void>()
  const slow = async (...args: A): Promise<R> => {
    const result = await method(...args)
    called.resolve()
    await release.promise
    return result
  }
  return { slow, called: called.promise, release: () => release.resolve() }
}

async function settledTurns(): Promise<void> {
  for (let i = 0; i < 200; i++) await new Promise(setImmediate)
}

/** A proposal of a stranger's file of that size, which the peer has but for its last block. */
async function foreign(name: string, sizeBytes: number, isWhole = true) {
  const files = createFileStore(theirs)
  const { cid } = await files.put([new Uint8Array(sizeBytes).map((_, i) => name.charCodeAt(i % 3))])
  if (!isWhole) {
    let last: CID | undefined
    for await (const block of files.walk(cid)) last = block.cid
    await theirs.delete(last as CID)
  }
  const value = {
    type: 'file' as const,
    name,
    mediaType: 'text/plain',
    sizeBytes,
    content: cid.bytes,
  }
  const draft = {
    family: 'proposal' as const,
    dataset: dataset.replica.id,
    operations: [{ op: 'create' as const, value }],
    claimedAtMs: 0,
  }
  const { stored } = await dataset.replica.submit([signDraft(draft, stranger, node.crypto.sha256)])
  return { cid, proposal: stored[0] as Event }
}

async function bytesOnDisk(): Promise<number> {
  let bytes = 0
  for await (const cid of node.files.list())
    bytes += (await node.files.blocks.get(cid))?.length ?? 0
  return bytes
}

type MakeIterator = (...all: unknown[]) => { _close(): Promise<void> }

/** @returns how many of the iterators that are made from now on are open. */
function openIterators(): () => number {
  let count = 0
  for (const name of ['iterator', 'keys', 'values'] as const) {
    const make = node.db[name].bind(node.db) as unknown as MakeIterator
    const counted = (...all: unknown[]) => {
      const iterator = make(...all)
      const close = iterator._close.bind(iterator)
      count++
      iterator._close = () => {
        count--
        return close()
      }
      return iterator
    }
    Object.assign(node.db, { [name]: counted })
  }
  return () => count
}

/** Lets the keeper go through all proposals that are here. */
async function prefetched(): Promise<void> {
  const { log } = dataset.replica
  context.keeper.poke(dataset.replica, true)
  const next = await log.nextNumber('arrivals')
  while ((await log.meta<number>('prefetchedUpTo')) !== next) await settledTurns()
}

describe('the collector waits', () => {
  test('for files that are being added', async () => {
    await writeFile(join(directory, 'one.txt'), 'one')
    await writeFile(join(directory, 'two.txt'), 'two')
    const { slow, called, release } = held(node.files.put)
    const files = { ...node.files, put: slow }
    const adding = add({ ...context, files }, dataset.entry, { paths: [directory], accept: true })
    await called
    let isDone = false
    const collecting = collect(context).then(() => (isDone = true))
    await settledTurns()
    expect(isDone).toBe(false)
    release()
    const { objects } = await adding
    await collecting
    for (const { cid } of objects) expect(await node.files.blocks.has(CID.parse(cid))).toBe(true)
    expect(objects.length).toBe(2)
  })

  test('for an acceptance whose content has just come', async () => {
    const { cid, proposal } = await foreign('abc', 10)
    const { replica } = dataset
    const { slow, called, release } = held(context.keeper.bringHere.bind(context.keeper))
    context.keeper.bringHere = slow
    const items = [textOfEventId(proposal.id)]
    const reviewing = review(context, dataset.entry, { items, verdict: 'accept' })
    await called
    const collecting = collect(context)
    await settledTurns()
    expect(await node.files.blocks.has(cid)).toBe(true)
    release()
    await reviewing
    await collecting
    expect(await node.files.blocks.has(cid)).toBe(true)
    expect((await replica.log.proposal(proposal.id))?.decisions[0]?.status).toBe('accepted')
  })
})

describe('while a peer is slow to send what is lacking', () => {
  let answer: PromiseWithResolvers<void>
  let asked: PromiseWithResolvers<void>

  beforeEach(() => {
    answer = Promise.withResolvers()
    asked = Promise.withResolvers()
    context.network.blocks = async function* (_, __, cids) {
      for await (const cid of cids) {
        asked.resolve()
        await answer.promise
        yield { cid, bytes: await theirs.get(cid) }
      }
    }
  })

  /** Accepted files that only the peer has. */
  async function lacking(count: number): Promise<CID[]> {
    const values: FileValue[] = []
    for (let i = 0; i < count; i++) {
      const bytes = new TextEncoder().encode(`lacking ${i}`)
      const { cid, sizeBytes } = await createFileStore(theirs).put([bytes])
      const [name, mediaType] = [`lacking/${i}`, 'text/plain']
      values.push({ type: 'file', name, mediaType, sizeBytes, content: cid.bytes })
    }
    await dataset.add(F, ...values)
    return values.map(({ content }) => CID.decode(content))
  }

  test('files are added, though the collector waits', async () => {
    await lacking(1)
    const fetching = context.keeper.fetchLacking(dataset.replica)
    await asked.promise
    const stop = new AbortController()
    const collecting = collect(context, { signal: stop.signal })
    const stopped = expect(collecting).rejects.toMatchObject({ code: 'CANCELLED' })
    await writeFile(join(directory, 'one.txt'), 'one')
    const { objects } = await add(context, dataset.entry, { paths: [directory] })
    expect(objects.length).toBe(1)
    stop.abort()
    await stopped
    answer.resolve()
    expect(await fetching).toBe(0)
  })

  test('the collector has its turn before all has come, and what has come stays', async () => {
    const files = await lacking(1_300)
    const progress: number[] = []
    const onProgress = ({ done }: { done: number }) => progress.push(done)
    const fetching = context.keeper.fetchLacking(dataset.replica, { onProgress })
    await asked.promise
    const collecting = collect(context)
    await settledTurns()
    answer.resolve()
    await collecting
    const left = await dataset.replica.log.contents.countLacking()
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThan(files.length)
    expect(await fetching).toBe(0)
    for (const cid of files) expect(await node.files.blocks.has(cid)).toBe(true)
    expect(progress).toEqual(progress.toSorted((a, b) => a - b))
    expect(progress.at(-1)).toBe(files.length)
  })

  test('each file is asked for once, also where the peer has none', async () => {
    const files = await lacking(1_300)
    for (const cid of files) await theirs.delete(cid)
    const fetching = context.keeper.fetchLacking(dataset.replica)
    await asked.promise
    const collecting = collect(context)
    await settledTurns()
    answer.resolve()
    await collecting
    expect(await fetching).toBe(files.length)
  })
})

test('nodes of trees that are made while the collector runs are not lost', async () => {
  for (let i = 0; i < 40; i++) await dataset.add(F, await dataset.file(`a${i}`))
  await dataset.replica.snapshot()
  const { entry, replica } = dataset
  const { nodes } = node
  const list = nodes.list.bind(nodes)
  const writing: Promise<unknown>[] = []
  nodes.list = async function* () {
    // New trees, which must wait, or their nodes would be taken for garbage.
    writing.push(dataset.add(F, await dataset.file('late')).then(() => replica.snapshot()))
    await settledTurns()
    yield* list()
  }
  await collect(context)
  nodes.list = list
  await Promise.all(writing)
  const { stateRoot, eventsRoot } = await (await node.replicas.get(entry.id)).snapshot()
  let events = 0
  for await (const _ of entriesOf(eventsRoot, nodes)) events++
  for await (const _ of entriesOf(stateRoot, nodes)) events++
  expect(events).toBe(83 + 41)
})

describe('content fetched ahead', () => {
  test('never takes more than its share of the disk, also when it never comes as a whole', async () => {
    for (let i = 0; i < 8; i++) await foreign(`${i} whole`, 900_000)
    for (let i = 0; i < 6; i++) await foreign(`${i} part`, 1_500_000, false)
    for (let i = 0; i < 8; i++) await foreign(`${i} small`, 20_000)
    await prefetched()
    const bytes = await bytesOnDisk()
    expect(bytes).toBeGreaterThan(0)
    expect(bytes).toBeLessThanOrEqual(PREFETCH_BYTES_MAX)
  })

  test('leaves no iterator open that would keep on disk what is deleted meanwhile', async () => {
    for (const name of ['abc', 'def', 'ghi']) await foreign(name, 10)
    const { get } = theirs
    const { slow, called, release } = held(get)
    theirs.get = slow
    const open = openIterators()
    context.keeper.poke(dataset.replica, true)
    await called
    expect(open()).toBe(0)
    release()
    theirs.get = get
    await prefetched()
  })

  test('that this node has proposed itself meanwhile stays', async () => {
    const { cid } = await foreign('abc', 3_000_000)
    await prefetched()
    const value = await dataset.file('mine', 'mine')
    await dataset.replica.propose(F, [{ op: 'create', value: { ...value, content: cid.bytes } }])
    await foreign('xyz', 4_000_000)
    await prefetched()
    expect(await node.files.blocks.has(cid)).toBe(true)
    expect(await node.held.areHeld([cid.bytes])).toEqual([true])
  })

  test('is fetched later when nobody is there', async () => {
    const { network } = context
    const peersOf = network.peersOf
    network.peersOf = () => []
    const { cid } = await foreign('abc', 10)
    context.keeper.poke(dataset.replica, true)
    await settledTurns()
    expect(await node.files.blocks.has(cid)).toBe(false)
    network.peersOf = peersOf
    await prefetched()
    expect(await node.files.blocks.has(cid)).toBe(true)
  })
})
