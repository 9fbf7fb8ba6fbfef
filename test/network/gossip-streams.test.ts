// What becomes of gossip to a peer that does not read it.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Stream } from '@libp2p/interface'
import { afterEach, describe, expect, it } from 'vitest'
import { animals } from '../conformance/network-suite.ts'
import { aNeighbourhood, type TestNode } from './makers.ts'

const here = aNeighbourhood()
afterEach(() => here.close())

const HEARTBEAT = 'gossipsub:heartbeat'
/** After its first bytes of gossip a peer is read again hours later. */
const deaf = { conduct: { gossipReadPerSecond: 1 } }

async function meet(from: TestNode, to: TestNode): Promise<void> {
  await from.network.connect(to.address)
  await from.told.untilSeen(to.network.peerId, animals)
  await to.told.untilSeen(from.network.peerId, animals)
}

async function nodes(...options: object[]): Promise<TestNode[]> {
  const made = []
  for (const option of options) made.push(await here.node(option))
  for (const { network } of made) network.join(animals)
  return made
}

/** Its open streams of gossip to a peer. */
function streamsTo(from: TestNode, to: TestNode): Stream[] {
  return from.network.libp2p
    .getConnections()
    .filter(({ remotePeer }) => remotePeer.toString() === to.network.peerId)
    .flatMap(({ streams }) => streams)
    .filter(({ protocol, direction }) => protocol.includes('meshsub') && direction === 'outbound')
}

const say = ({ network }: TestNode, bytes: number) =>
  network.publish(animals, new Uint8Array(randomBytes(bytes)))

async function beats({ network }: TestNode, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await once(network.libp2p.services.pubsub, HEARTBEAT)
}

/** It says something, and the other one hears it within some seconds. */
async function isHeard(from: TestNode, by: TestNode): Promise<void> {
  const text = randomBytes(8).toString('hex')
  const hears = async (): Promise<boolean> => {
    // Each time another message, or it counts as heard already.
    const message = text + randomBytes(2).toString('hex')
    await from.network.publish(animals, new TextEncoder().encode(message))
    return by.told.gossiped.some((message) => message.text.startsWith(text))
  }
  await expect.poll(hears, { timeout: 15_000, interval: 200 }).toBe(true)
}

describe('a peer that does not read', () => {
  it('is heard again soon after the stream to it held too much', async () => {
    const [alice, bob] = (await nodes({}, deaf)) as [TestNode, TestNode]
    await meet(alice, bob)
    // By then neither identifies itself to the other once more, which would open streams, too.
    await beats(bob, 3)
    const [before] = streamsTo(alice, bob)
    for (let i = 0; i < 200; i++) await say(alice, 60_000)
    await expect.poll(() => before?.status).toBe('aborted')
    await beats(bob, 3)
    await isHeard(bob, alice)
    await expect.poll(() => streamsTo(alice, bob)[0]?.status).toBe('open')
  })

  it('is not passed on more than it reads, and hears what the node itself says', async () => {
    const generous = { conduct: { gossipBytesPerSecond: 2 ** 30, gossipReadPerSecond: 2 ** 30 } }
    const [source, relay, slow] = (await nodes({}, generous, deaf)) as [
      TestNode,
      TestNode,
      TestNode,
    ]
    await meet(source, relay)
    await meet(relay, slow)
    const [stream] = streamsTo(relay, slow)
    const waiting: number[] = []
    for (let beat = 0; beat < 8; beat++) {
      for (let i = 0; i < 32; i++) await say(source, 60_000)
      await beats(relay, 1)
      waiting.push(stream?.writeBufferLength ?? 0)
    }
    expect(stream?.status).toBe('open')
    expect(Math.max(...waiting)).toBeLessThan(8 * 1024 * 1024)
    const before = stream?.writeBufferLength ?? 0
    await say(relay, 1_000)
    expect(stream?.writeBufferLength).toBeGreaterThan(before + 1_000)
    await isHeard(slow, relay)
  })
})
