// What strangers send in order to stop the dialect: files that take for ever to read, and long histories.
import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import * as raw from 'multiformats/codecs/raw'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { bytesOf, listEvents } from '../../src/api/gonk/reading.ts'
import type { GonkObject } from '../../src/api/gonk/types.ts'
import { View, Views } from '../../src/api/gonk/view.ts'
import type { FileValue, Labels } from '../../src/core/event.ts'
import { cidOfDigest, hexOf } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { signDraft } from '../../src/replica/replica.ts'
import { makeNode, signerNamed, type TestDataset, type TestNode } from './make-node.ts'

const owner = signerNamed('owner')
const stranger = signerNamed('stranger')

let node: TestNode
let dataset: TestDataset
let view: View

beforeEach(async () => {
  node = await makeNode()
  dataset = await node.createDataset('birds', [owner])
  view = new View(node, dataset.replica)
})
afterEach(() => node.close())

async function put(code: number, bytes: Uint8Array) {
  const cid = cidOfDigest(sha256(bytes), code)
  await node.files.blocks.put(cid, bytes)
  return cid
}

/** A file of `times` ** `levels` pieces of a few bytes each, in `levels` + 1 blocks, that is here. */
async function manyTimes(piece: string, times: number, levels = 1): Promise<FileValue> {
  let cid = await put(raw.code, Buffer.from(piece))
  let sizeBytes = piece.length
  for (let level = 0; level < levels; level++) {
    const blockSizes = Array.from({ length: times }, () => BigInt(sizeBytes))
    const Data = new UnixFS({ type: 'file', blockSizes }).marshal()
    const Links = blockSizes.map(() => ({ Name: '', Hash: cid, Tsize: sizeBytes }))
    cid = await put(dagPb.code, dagPb.encode({ Data, Links }))
    sizeBytes *= times
  }
  await node.held.write(node.held.holdOf(cid.bytes, []))
  return { type: 'file', name: piece, mediaType: 'text/plain', sizeBytes, content: cid.bytes }
}

async function fromPeer(value: FileValue, labels?: Labels): Promise<void> {
  const operations = [{ op: 'create' as const, value, ...(labels && { labels }) }]
  const claimedAtMs = node.clock.nowMs()
  const draft = { family: 'proposal' as const, dataset: dataset.entry.id, operations, claimedAtMs }
  const { stored } = await dataset.replica.submit([signDraft(draft, stranger, sha256)])
  expect(stored).toHaveLength(1)
}

async function objectsTold(): Promise<GonkObject[]> {
  await view.catchUp()
  const { items } = await listEvents(view, undefined)
  return items.flatMap((event) => ('object' in event ? [event.object] : []))
}

const digestOf = ({ content }: FileValue) => hexOf(content.subarray(-32))

describe('the hash of a file in several blocks', () => {
  test('is told without a look at the file', async () => {
    const file = await manyTimes('x', 1_000, 3)
    await fromPeer(file)
    await dataset.add(owner, await manyTimes('y', 1_000, 3))
    const get = vi.spyOn(node.files.blocks, 'get')
    const [theirs, ours] = await objectsTold()
    expect(get).not.toHaveBeenCalled()
    expect(theirs).toMatchObject({ size: 1e9, hash: digestOf(file) })
    expect(ours?.size).toBe(1e9)
  })

  test('is what an owner says it is; of strangers it stays that of the CID', async () => {
    const labels = { sha256: 'ab'.repeat(32) }
    const [theirs, ours] = [await manyTimes('a', 2), await manyTimes('b', 2)]
    await fromPeer(theirs, labels)
    await dataset.propose(owner, { op: 'create', value: ours, labels })
    const hashes = (await objectsTold()).map(({ hash }) => hash)
    expect(hashes).toEqual([digestOf(theirs), labels.sha256])
  })
})

describe('bytes for a JSON document', () => {
  test('are refused where they come in too many pieces, without reading them all', async () => {
    const file = await manyTimes('x', 1_000, 2)
    const get = vi.spyOn(node.files.blocks, 'get')
    await expect(bytesOf(node, file, {})).rejects.toMatchObject({ code: 'TOO_LARGE' })
    expect(get.mock.calls.length).toBeLessThan(2_000)
  })

  test('are not looked for in what is empty', async () => {
    let empty = await put(raw.code, new Uint8Array(0))
    for (let level = 0; level < 4; level++) {
      const blockSizes = Array.from({ length: 1_000 }, () => 0n)
      const Data = new UnixFS({ type: 'file', blockSizes }).marshal()
      const hash = empty
      const Links = blockSizes.map(() => ({ Name: '', Hash: hash, Tsize: 0 }))
      empty = await put(dagPb.code, dagPb.encode({ Data, Links }))
    }
    const one = await put(raw.code, Buffer.from('1'))
    const Data = new UnixFS({ type: 'file', blockSizes: [1n, 0n, 1n] }).marshal()
    const Links = [one, empty, one].map((Hash) => ({ Name: '', Hash, Tsize: 1 }))
    const { bytes: content } = await put(dagPb.code, dagPb.encode({ Data, Links }))
    const file = { type: 'file' as const, name: 'a', mediaType: 'a/b', sizeBytes: 2, content }
    const read = await bytesOf(node, file, {})
    const pieces: Uint8Array[] = []
    for await (const piece of read as AsyncIterable<Uint8Array>) pieces.push(piece)
    expect(Buffer.concat(pieces).toString()).toBe('11')
  })

  test('that are not here, and those nobody waits for, are said so', async () => {
    const missing = await manyTimes('x', 3)
    await node.files.blocks.delete(cidOfDigest(sha256(Buffer.from('x')), raw.code))
    await expect(bytesOf(node, missing, {})).rejects.toMatchObject({ code: 'NOT_HERE' })
    const gone = bytesOf(node, await manyTimes('y', 3), { signal: AbortSignal.abort() })
    await expect(gone).rejects.toMatchObject({ code: 'CANCELLED' })
  })
})

describe('a long history', () => {
  test('is not waited for beyond patience, and told meanwhile', async () => {
    for (let n = 0; n < 300; n++) await dataset.propose(owner, await creation(`bird ${n}`))
    // The clock of this node is out of patience at once.
    await expect(view.current()).rejects.toMatchObject({ code: 'TIMEOUT' })
    await view.catchUp()
    await view.current()
    expect((await view.log.tail()).seq).toBe(301)
  })

  test('is told the same whether its events are heard or read', async () => {
    await view.catchUp()
    for (let n = 0; n < 5; n++) await dataset.add(owner, await dataset.file(`bird ${n}`))
    await view.catchUp()
    const heard = (await listEvents(view, undefined)).items
    expect(heard).toHaveLength(11)
    for await (const key of node.db.keys()) {
      if (String.fromCharCode(key[0] as number) === 'Z') await node.db.del(key)
    }
    const again = new View(node, dataset.replica)
    await again.catchUp()
    expect((await listEvents(again, undefined)).items).toEqual(heard)
  })

  test('is told in the background where somebody follows, also of datasets to come', async () => {
    await dataset.propose(owner, await creation('a bird'))
    const views = new Views(node)
    views.follow()
    const later = await node.createDataset('later', [owner])
    await later.propose(owner, await creation('a later bird'))
    for (const { replica } of [dataset, later]) {
      await vi.waitFor(async () => expect((await replica.log.gonk.tail()).seq).toBe(2), 20_000)
    }
    await views.close()
    await later.propose(owner, await creation('a last bird'))
    await views.close()
    expect((await later.replica.log.gonk.tail()).seq).toBe(2)
  })

  test('stops being told when the node stops, and goes on later', async () => {
    await dataset.propose(owner, await creation('a bird'))
    await expect(view.catchUp(AbortSignal.abort())).rejects.toMatchObject({ code: 'CANCELLED' })
    await view.catchUp()
    expect((await view.log.tail()).seq).toBe(2)
  })
})

const creation = async (name: string) => ({
  op: 'create' as const,
  value: await dataset.file(name),
})
