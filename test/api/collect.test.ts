// The collector and what goes on beside it: nothing that is needed is lost, and the disk does not fill
// with what strangers name.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CID } from 'multiformats/cid'
import { collect, neededFiles } from '../../src/api/collect.ts'
import type { NodeContext } from '../../src/api/context.ts'
import { add } from '../../src/api/proposals.ts'
import { review } from '../../src/api/review.ts'
import type { Event } from '../../src/core/event.ts'
import { textOfEventId } from '../../src/core/ids.ts'
import { entriesOf } from '../../src/core/trie.ts'
import { systemRandom } from '../../src/crypto.ts'
import { type ListedBlocks, memoryBlocks } from '../../src/files/blocks.ts'
import { createFileStore } from '../../src/files/file-store.ts'
import type { Network } from '../../src/ports.ts'
import { FileKeeper } from '../../src/replica/file-keeper.ts'
import { signDraft } from '../../src/replica/replica.ts'
import { makeNode, signerNamed, type TestDataset, type TestNode } from './make-node.ts'

const F = signerNamed('F')
const stranger = signerNamed('stranger')
const PREFETCH_BYTES_MAX = 5_000_000

let node: TestNode
let context: NodeContext
let dataset: TestDataset
let directory: string
/** Blocks that the one peer has. */
let theirs: ListedBlocks

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
    { ...node, network, neededFiles: () => neededFiles(node) },
    { prefetchBytesMax: PREFETCH_BYTES_MAX },
  )
  context = { ...node, network, keeper, signer: F, random: systemRandom }
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
