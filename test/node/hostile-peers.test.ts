// What a peer does wrong ends in one line of the log, with a code, and nothing else: the daemon goes
// on, and so does the dataset.
import * as dagCbor from '@ipld/dag-cbor'
import { join } from 'node:path'
import { multiaddr } from '@multiformats/multiaddr'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { isRejection } from '../../src/core/errors.ts'
import { cidBytesOf, cidOfDigest, type DatasetId, type ObjectId } from '../../src/core/ids.ts'
import { sha256, signerOf } from '../../src/crypto.ts'
import { GOSSIP_BYTES_MAX, topicOf } from '../../src/network/gossip.ts'
import { BLOCKS_PROTOCOL, SYNC_PROTOCOL } from '../../src/network/versions.ts'
import { encodeGossip } from '../../src/replica/gossip-messages.ts'
import { decodeRequest, encodeResponse } from '../../src/replica/sync-messages.ts'
import { signDraft } from '../../src/replica/replica.ts'
import { addressOf, aMirror, aPeer, aStranger, blockOf, datasetIdOf } from './bad-peer.ts'
import { type LogLine, type TestNode, until, World } from './daemon.ts'
import { manyFiles, writeFiles } from './folders.ts'

let world: World
/** Owns the dataset; the peers of most tests turn to it. */
let a: TestNode
let id: DatasetId
/** B clones in one of the tests, and follows from then on. */
let b: TestNode
let before: number

beforeAll(async () => {
  world = await World.create()
  a = world.node('A')
  b = world.node('B')
  await a.start()
  await a.api.createDataset({ name: 'cells' })
  const folder = await writeFiles(join(world.dir, 'files'), manyFiles('cell', 5, 100))
  await a.api.add('cells', { paths: [folder], accept: true })
  id = datasetIdOf((await a.api.showDataset('cells')).id)
})

afterAll(() => world.close())

beforeEach(() => {
  before = a.daemon.lines().length
})

/** The one line that came since the test began; waits for it, and sees that no other follows. */
async function theLine(node = a, since = before): Promise<LogLine> {
  await until('a line in the log', () => node.daemon.lines().length > since)
  await goesOn(node)
  const lines = node.daemon.lines().slice(since)
  expect(lines).toHaveLength(1)
  return lines[0] as LogLine
}

/** It answers, and what it then adds is there. */
async function goesOn(node: TestNode): Promise<void> {
  expect((await fetch(`${node.daemon.ready.url}/healthz`)).status).toBe(200)
  expect((await node.api.status()).daemon).toBe(true)
}

/** A proposal to `dataset`, with another signature than the one it was made with. */
function badlySigned(dataset: DatasetId): Uint8Array {
  const signer = signerOf(new Uint8Array(32).fill(7))
  const block = signDraft(
    {
      family: 'proposal',
      dataset,
      operations: [{ op: 'purge', object: 'ab'.repeat(32) as ObjectId }],
      claimedAtMs: 1,
    },
    { ...signer, sign: (message) => signer.sign(Uint8Array.of(1, ...message)) },
    sha256,
  )
  return block
}

describe('one line for', () => {
  it('an event with a wrong signature, by gossip', async () => {
    const peer = await aPeer()
    const remote = await peer.connect(a.address)
    peer.join(id)
    await until('subscribed', () => peer.peersOf(id).includes(remote))
    const body = encodeGossip({ k: 'event', block: badlySigned(id) })
    await until('the daemon has it', async () => {
      await peer.publish(id, body)
      return a.daemon.lines().length > before
    })
    expect(await theLine()).toMatchObject({ level: 'warn', peer: peer.peerId, code: 'BAD_EVENT' })
    expect(await a.api.listReviews('cells')).toEqual([])
  })

  it('an event with a wrong signature, in a sync session', async () => {
    const roots = {
      owner: { root: sha256(Uint8Array.of(1)), count: 100_000 },
      pool: { root: new Uint8Array(32), count: 0 },
    }
    const peer = await aPeer({
      async request(_peer, body) {
        const request = decodeRequest(body)
        if (isRejection(request)) throw new Error(request.what)
        if (request.k === 'hello') return encodeResponse({ k: 'hello', roots })
        return encodeResponse({ k: 'log', roots, events: [badlySigned(id)] })
      },
    })
    await peer.connect(a.address)
    const { level, peer: who, reason } = await theLine()
    expect([level, who]).toEqual(['warn', peer.peerId])
    expect(reason).toMatch(/^invalid-event: bad-signature: /)
    await until('it is cut off', () => peer.peers().length === 0)
  })

  it('a block that is not what its CID says; another peer then gives it', async () => {
    const { root } = await a.api.root('cells')
    const { objects } = await a.api.listObjects('cells')
    const wrong = new Map(objects.map(({ cid }) => [cid, Uint8Array.of(1, 2, 3)]))
    const liar = await aMirror(a, 'cells', {
      blocks: new Map([...wrong, [root, await blockOf(a, id, root)]]),
    })
    await b.start()
    const since = b.daemon.lines().length
    const peers = [addressOf(liar), a.address]
    expect(await b.api.clone({ ref: root, peers })).toMatchObject({ root, objects: 5 })
    expect(await theLine(b, since)).toMatchObject({ peer: liar.peerId, code: 'BAD_BLOCK' })
    expect(await b.api.verify('cells')).toMatchObject({ ok: true })
  })

  it('a root that its history does not give', async () => {
    const { root } = await a.api.root('cells')
    const snapshot = dagCbor.decode<Record<string, unknown>>(await blockOf(a, id, root))
    const forged = dagCbor.encode({ ...snapshot, stateRoot: snapshot['eventsRoot'] })
    const forgedRoot = cidOfDigest(sha256(forged)).toString()
    const liar = await aMirror(a, 'cells', { blocks: new Map([[forgedRoot, forged]]) })
    const c = world.node('C')
    await c.start()
    const since = c.daemon.lines().length
    const cloned = c.api.clone({ ref: forgedRoot, peers: [addressOf(liar)] })
    await expect(cloned).rejects.toMatchObject({ code: 'BAD_ROOT' })
    expect(await theLine(c, since)).toMatchObject({ peer: liar.peerId, code: 'BAD_ROOT' })
    expect(await c.api.listDatasets()).toEqual([])
    expect(await c.api.clone({ ref: root, peers: [a.address] })).toMatchObject({ root })
  })

  it('a request that is too large', async () => {
    const stranger = await aStranger()
    const stream = await stranger.dialProtocol(multiaddr(a.address), SYNC_PROTOCOL)
    stream.send(Uint8Array.of(0x7f, 0xff, 0xff, 0xff))
    const peer = stranger.peerId.toString()
    expect(await theLine()).toMatchObject({ level: 'warn', peer, code: 'TOO_LARGE' })
  })

  it('a question for too many blocks', async () => {
    const stranger = await aStranger()
    const stream = await stranger.dialProtocol(multiaddr(a.address), BLOCKS_PROTOCOL)
    stream.send(Uint8Array.of(...cidBytesOf(id), 0xff, 0xff))
    const peer = stranger.peerId.toString()
    expect(await theLine()).toMatchObject({ level: 'warn', peer, code: 'TOO_LARGE' })
  })

  it('a gossip message that is too large', async () => {
    const stranger = await aStranger()
    const topic = topicOf(id)
    stranger.services.pubsub.subscribe(topic)
    await stranger.dial(multiaddr(a.address))
    const { pubsub } = stranger.services
    await until('subscribed', () => pubsub.getSubscribers(topic).length > 0)
    await pubsub.publish(topic, new Uint8Array(GOSSIP_BYTES_MAX + 1))
    const peer = stranger.peerId.toString()
    expect(await theLine()).toMatchObject({ level: 'warn', peer, code: 'TOO_LARGE' })
  })

  it('a peer of another protocol version, which says both', async () => {
    const stranger = await aStranger()
    await stranger.handle('/gonk/sync/9', () => {})
    await stranger.dial(multiaddr(a.address))
    const line = await theLine()
    const peer = stranger.peerId.toString()
    expect(line).toMatchObject({ level: 'warn', peer, code: 'PEER_FAILED' })
    expect(line['what']).toMatch(/\/gonk\/sync\/9.*\/gonk\/sync\/1/)
  })
})

it('after all of that the dataset goes on', async () => {
  const folder = await writeFiles(join(world.dir, 'more'), manyFiles('more', 1, 100))
  await a.api.add('cells', { paths: [folder], accept: true })
  const { root } = await a.api.root('cells')
  await until('B follows', async () => (await b.api.root('cells')).root === root)
})
