// Peers that break the protocol, over raw libp2p: the stream ends, one line is logged, the node goes on.
import { randomBytes } from 'node:crypto'
import type { Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, describe, expect, it } from 'vitest'
import { cidBytesOf } from '../../src/core/ids.ts'
import { encodeBatch, END } from '../../src/network/block-wire.ts'
import { topicOf } from '../../src/network/gossip.ts'
import type { Host } from '../../src/network/host.ts'
import { withLength } from '../../src/network/streams.ts'
import type { GossipVerdict } from '../../src/ports.ts'
import { BLOCKS_PROTOCOL, SYNC_PROTOCOL } from '../../src/network/versions.ts'
import { aBlock, animals } from '../conformance/network-suite.ts'
import { aNeighbourhood, type TestNode } from './makers.ts'

const here = aNeighbourhood()
afterEach(() => here.close())

const quick = { limits: { requestTimeoutMs: 400 } }
const uint32 = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

async function open(from: Host, to: TestNode, protocol: string): Promise<Stream> {
  return from.dialProtocol(multiaddr(to.address), protocol)
}

function closed(stream: Stream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.status !== 'open') resolve()
    stream.addEventListener('close', () => resolve())
  })
}

/** An honest peer is still answered, and exactly one line was logged. */
async function goesOn(node: TestNode, code: string): Promise<void> {
  const honest = await here.node()
  const peer = await honest.network.connect(node.address)
  expect(await honest.network.request(peer, Uint8Array.of(5))).toEqual(Uint8Array.of(5))
  expect(node.log.lines).toMatchObject([{ code, message: 'peer failed' }])
}

describe('a hostile client of /gonk/sync', () => {
  const cases: [string, Uint8Array, string][] = [
    ['a length beyond the limit', uint32(1024 * 1024 + 1), 'TOO_LARGE'],
    ['the largest length there is', uint32(0xffff_ffff), 'TOO_LARGE'],
    ['garbage', new Uint8Array(100_000).fill(0xa7), 'TOO_LARGE'],
    ['half a request and silence', Uint8Array.of(0, 0, 1, 0, 1, 2, 3), 'TIMEOUT'],
  ]
  it.each(cases)('that sends %s is cut off', async (_what, bytes, code) => {
    const bob = await here.node(quick)
    const stream = await open(await here.stranger(), bob, SYNC_PROTOCOL)
    stream.send(bytes)
    await closed(stream)
    await goesOn(bob, code)
  })

  it('that ends in the middle of a request is cut off', async () => {
    const bob = await here.node()
    const stream = await open(await here.stranger(), bob, SYNC_PROTOCOL)
    stream.send(Uint8Array.of(0, 0, 1, 0, 1, 2, 3))
    await stream.close()
    await closed(stream)
    await goesOn(bob, 'PEER_FAILED')
  })

  it('that opens many streams gets sixteen, and the others are reset', async () => {
    const bob = await here.node()
    const stranger = await here.stranger()
    await stranger.dial(multiaddr(bob.address))
    const dials = Array.from({ length: 120 }, () => open(stranger, bob, SYNC_PROTOCOL))
    const streams = (await Promise.allSettled(dials)).flatMap((dial) =>
      dial.status === 'fulfilled' ? [dial.value] : [],
    )
    const live = (): number => streams.filter(({ status }) => status === 'open').length
    await expect.poll(live).toBeLessThanOrEqual(16)
    const honest = await here.node()
    const peer = await honest.network.connect(bob.address)
    expect(await honest.network.request(peer, Uint8Array.of(5))).toEqual(Uint8Array.of(5))
  })

  it('that asks thousands of times and reads nothing is answered only as far as it reads', async () => {
    const bob = await here.node()
    let answered = 0
    bob.told.onRequest = async () => {
      answered++
      return new Uint8Array(100_000)
    }
    const stream = await open(await here.stranger(), bob, SYNC_PROTOCOL)
    stream.addEventListener('message', () => stream.pause())
    for (let i = 0; i < 5_000; i++) stream.send(withLength(new Uint8Array(100)))
    const honest = await here.node()
    const peer = await honest.network.connect(bob.address)
    bob.told.onRequest = async (_peer, body) => {
      answered++
      return body.length === 1 ? body : new Uint8Array(100_000)
    }
    for (let i = 0; i < 300; i++) await honest.network.request(peer, Uint8Array.of(5))
    // A window of the muxer and the write buffer: less than 10 MiB of answers.
    expect(answered - 300).toBeLessThan(100)
  })

  it('is banned when it does not stop', async () => {
    const bob = await here.node()
    const stranger = await here.stranger()
    for (let i = 0; i < 5; i++) {
      const stream = await open(stranger, bob, SYNC_PROTOCOL)
      stream.send(uint32(0xffff_ffff))
      await closed(stream)
    }
    await expect.poll(() => bob.network.peers()).toEqual([])
    await expect(open(stranger, bob, SYNC_PROTOCOL)).rejects.toThrow()
    expect(bob.log.lines.map(({ message }) => message)).toEqual(['peer failed', 'peer banned'])
  })
})

describe('a hostile client of /gonk/blocks', () => {
  const dataset = cidBytesOf(animals)
  const cases: [string, Uint8Array[], string][] = [
    ['no dataset', [new Uint8Array(36)], 'PEER_FAILED'],
    ['too many CIDs in a batch', [dataset, Uint8Array.of(1, 1)], 'TOO_LARGE'],
    ['a CID of another hash', [dataset, Uint8Array.of(0, 1), new Uint8Array(36)], 'PEER_FAILED'],
  ]
  it.each(cases)('that sends %s is cut off', async (_what, parts, code) => {
    const bob = await here.node()
    const stream = await open(await here.stranger(), bob, BLOCKS_PROTOCOL)
    for (const part of parts) stream.send(part)
    await closed(stream)
    await goesOn(bob, code)
  })

  it('that reads nothing makes the node look up only a few blocks', async () => {
    const bob = await here.node()
    const block = aBlock(1024 * 1024, 1)
    let lookedUp = 0
    bob.told.onBlock = async () => {
      lookedUp++
      return block.bytes
    }
    const stream = await open(await here.stranger(), bob, BLOCKS_PROTOCOL)
    stream.addEventListener('message', () => stream.pause())
    stream.send(dataset)
    const batch = encodeBatch(Array.from({ length: 256 }, () => block.cid.bytes))
    for (let i = 0; i < 20; i++) stream.send(batch)
    const honest = await here.node()
    const peer = await honest.network.connect(bob.address)
    for (let i = 0; i < 300; i++) await honest.network.request(peer, Uint8Array.of(5))
    expect(lookedUp).toBeLessThan(20)
  })
})

describe('a hostile server', () => {
  const block = aBlock(1000, 1)

  async function meet(
    serve: (stream: Stream) => void,
    protocol: string,
  ): Promise<{
    alice: TestNode
    mallory: string
    fetch: () => Promise<number>
  }> {
    const alice = await here.node(quick)
    const stranger = await here.stranger()
    await stranger.handle(protocol, serve)
    await stranger.dial(multiaddr(alice.address))
    const mallory = stranger.peerId.toString()
    const fetch = async (): Promise<number> => {
      let got = 0
      for await (const { bytes } of alice.network.blocks(mallory, animals, [block.cid])) {
        if (bytes !== undefined) got++
      }
      return got
    }
    await expect.poll(() => alice.network.peers().length).toBe(1)
    return { alice, mallory, fetch }
  }

  const answers: [string, Uint8Array[], string][] = [
    ['other bytes', [uint32(1000), new Uint8Array(1000)], 'BAD_BLOCK'],
    ['a length beyond the limit', [uint32(2 * 1024 * 1024 + 1)], 'PEER_FAILED'],
    ['the end at once', [uint32(END)], 'PEER_FAILED'],
    ['more than was asked', [withLength(block.bytes), withLength(block.bytes)], 'PEER_FAILED'],
  ]
  it.each(answers)('that sends %s fails the transfer', async (_what, parts, code) => {
    const { alice, fetch } = await meet((stream) => {
      for (const part of parts) stream.send(part)
    }, BLOCKS_PROTOCOL)
    await expect(fetch()).rejects.toMatchObject({ code })
    expect(alice.log.lines).toHaveLength(1)
  })

  it('that closes without the end record fails the transfer', async () => {
    const { fetch } = await meet((stream) => {
      stream.send(withLength(block.bytes))
      void stream.close()
    }, BLOCKS_PROTOCOL)
    await expect(fetch()).rejects.toMatchObject({ code: 'PEER_FAILED' })
  })

  it('that sends nothing times out', async () => {
    const alice = await here.node({ limits: { blockTimeoutMs: 300 } })
    const stranger = await here.stranger()
    await stranger.handle(BLOCKS_PROTOCOL, () => undefined)
    await stranger.dial(multiaddr(alice.address))
    await expect.poll(() => alice.network.peers().length).toBe(1)
    const transfer = (async () => {
      const peer = stranger.peerId.toString()
      for await (const _ of alice.network.blocks(peer, animals, [block.cid]));
    })()
    await expect(transfer).rejects.toMatchObject({ code: 'TIMEOUT' })
  })

  it('that sends wrong blocks again and again is banned', async () => {
    const { alice, fetch } = await meet((stream) => {
      stream.send(uint32(1000))
      stream.send(new Uint8Array(1000))
    }, BLOCKS_PROTOCOL)
    for (let i = 0; i < 3; i++) await expect(fetch()).rejects.toMatchObject({ code: 'BAD_BLOCK' })
    await expect.poll(() => alice.network.peers()).toEqual([])
  })

  it('that answers a request with too much is refused', async () => {
    const { alice, mallory } = await meet(
      (stream) => void stream.send(uint32(0xffff_fff0)),
      SYNC_PROTOCOL,
    )
    await expect(alice.network.request(mallory, new Uint8Array(1))).rejects.toMatchObject({
      code: 'PEER_FAILED',
    })
    expect(alice.log.lines).toMatchObject([{ code: 'TOO_LARGE' }])
  })

  it('of another version fails with both versions named, and one line says so', async () => {
    const alice = await here.node()
    const future = await here.stranger()
    await future.handle('/gonk/sync/2', () => undefined)
    await future.dial(multiaddr(alice.address))
    const peer = future.peerId.toString()
    await expect.poll(() => alice.log.lines.length).toBe(1)
    await expect(alice.network.request(peer, new Uint8Array(1))).rejects.toMatchObject({
      code: 'PEER_FAILED',
      message: `peer ${peer} speaks /gonk/sync/2, this node speaks /gonk/sync/1`,
    })
    const transfer = (async () => {
      for await (const _ of alice.network.blocks(peer, animals, [block.cid]));
    })()
    await expect(transfer).rejects.toMatchObject({ code: 'PEER_FAILED' })
    expect(alice.log.lines).toHaveLength(1)
    expect(alice.told.seen).toEqual([])
  })
})

describe('hostile gossip', () => {
  async function gossiping(options = {}): Promise<{
    alice: TestNode
    mallory: Host
    say: (bytes: Uint8Array) => Promise<unknown>
  }> {
    const alice = await here.node(options)
    const mallory = await here.stranger()
    alice.network.join(animals)
    const { pubsub } = mallory.services
    const topic = topicOf(animals)
    await mallory.dial(multiaddr(alice.address))
    await expect.poll(() => pubsub.getSubscribers(topic).length).toBe(1)
    return { alice, mallory, say: (bytes) => pubsub.publish(topic, bytes) }
  }

  it('that is too large never reaches the handler', async () => {
    const { alice, say } = await gossiping()
    await say(new Uint8Array(65_537))
    await expect.poll(() => alice.log.lines).toMatchObject([{ code: 'TOO_LARGE' }])
    await say(Uint8Array.of(65))
    await alice.told.until(() => alice.told.gossiped.length > 0)
    expect(alice.told.gossiped).toMatchObject([{ text: 'A' }])
  })

  it('that is rejected costs the sender its standing, and in the end the connection', async () => {
    const { alice, mallory, say } = await gossiping()
    alice.told.verdict = 'reject'
    for (let i = 0; i < 3; i++) await say(Uint8Array.of(i))
    await alice.told.until(() => alice.told.gossiped.length === 3)
    await expect.poll(() => alice.network.score(mallory.peerId.toString())).toBeLessThan(-80)
    alice.network.ban(mallory.peerId.toString(), 'bad gossip')
    await expect.poll(() => alice.network.peers()).toEqual([])
  })

  it('that is ignored costs nothing', async () => {
    const { alice, mallory, say } = await gossiping()
    alice.told.verdict = 'ignore'
    for (let i = 0; i < 20; i++) await say(Uint8Array.of(i))
    await alice.told.until(() => alice.told.gossiped.length === 20)
    expect(alice.network.score(mallory.peerId.toString())).toBe(0)
    expect(alice.log.lines).toEqual([])
  })

  it('in a flood is dropped over the rate, while an honest peer is heard', async () => {
    const conduct = { gossipBytesPerSecond: 10_000 }
    const { alice, mallory, say } = await gossiping({ conduct })
    for (let i = 0; i < 100; i++) await say(new Uint8Array(randomBytes(10_000)))
    await expect.poll(() => alice.log.lines.length).toBe(1)
    expect(alice.told.gossiped.length).toBeLessThan(20)
    // What was dropped is looked for in a while, and by then no other peer tells of it.
    await alice.told.until(() => alice.told.missed.includes(mallory.peerId.toString()))
    const honest = await here.node()
    honest.network.join(animals)
    await honest.network.connect(alice.address)
    await honest.told.untilSeen(alice.network.peerId, animals)
    await honest.network.publish(animals, new TextEncoder().encode('hello'))
    await alice.told.until(() => alice.told.gossiped.some(({ text }) => text === 'hello'))
  })

  it('that is more than is wanted of the peer is read ever later', async () => {
    // Too few bytes to slow anybody down: it is the verdict that does.
    const flood = async (verdict: GossipVerdict) => {
      const { alice, mallory, say } = await gossiping({ conduct: { gossipReadPerSecond: 65_536 } })
      alice.told.verdict = verdict
      for (let i = 0; i < 8_000; i++) await say(Uint8Array.from(randomBytes(32)))
      return { alice, mallory }
    }
    const { alice: patient } = await flood('ignore')
    await patient.told.until(() => patient.told.gossiped.length === 8_000)
    const { alice, mallory } = await flood('surplus')
    await alice.told.until(() => alice.told.gossiped.length >= 32)
    const honest = await here.node()
    honest.network.join(animals)
    await honest.network.connect(alice.address)
    await honest.told.untilSeen(alice.network.peerId, animals)
    await honest.network.publish(animals, new TextEncoder().encode('hello'))
    await alice.told.until(() => alice.told.gossiped.some(({ text }) => text === 'hello'))
    // Two a second, after what was on its way when it had told enough.
    expect(alice.told.gossiped.length).toBeLessThan(7_000)
    expect(alice.network.score(mallory.peerId.toString())).toBe(0)
  })

  it('that is read later waits with its sender, however often it has to', async () => {
    const { alice, say } = await gossiping({ conduct: { gossipReadPerSecond: 256 * 1024 } })
    alice.told.verdict = 'ignore'
    for (let i = 0; i < 7_000; i++) await say(Uint8Array.from(randomBytes(1_000)))
    const waitingBytes = () =>
      alice.network.libp2p
        .getConnections()
        .flatMap(({ streams }) => streams.map(({ readBufferLength }) => readBufferLength))
    let mostBytes = 0
    const isFarEnough = () => {
      mostBytes = Math.max(mostBytes, ...waitingBytes())
      // 4 MiB at once, and then as much as comes in several pauses.
      return alice.told.gossiped.length >= 5_200
    }
    await expect.poll(isFarEnough, { timeout: 30_000, interval: 5 }).toBe(true)
    expect(mostBytes).toBeGreaterThan(0)
    expect(mostBytes).toBeLessThanOrEqual(300 * 1024)
  })

  it('of a peer that the user named is read as it comes', async () => {
    const alice = await here.node({ conduct: { gossipReadPerSecond: 32_768 } })
    const friend = await here.node()
    for (const { network } of [alice, friend]) network.join(animals)
    await alice.network.connect(friend.address)
    await friend.told.untilSeen(alice.network.peerId, animals)
    await alice.told.untilSeen(friend.network.peerId, animals)
    alice.told.verdict = 'surplus'
    for (let i = 0; i < 200; i++) await friend.network.publish(animals, new Uint8Array([i, 1, 2]))
    await alice.told.until(() => alice.told.gossiped.length === 200)
  })

  it('on topics that were not joined is dropped unread', async () => {
    const { alice, mallory, say } = await gossiping()
    const { pubsub } = mallory.services
    pubsub.subscribe('/other')
    await pubsub.publish('/other', new Uint8Array(1000))
    await say(Uint8Array.of(65))
    await alice.told.until(() => alice.told.gossiped.length > 0)
    expect(alice.told.gossiped).toHaveLength(1)
  })
})
