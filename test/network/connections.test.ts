import { fork } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { createNetwork } from '../../src/network/libp2p-network.ts'
import { TokenBucket } from '../../src/network/token-bucket.ts'
import type { CID } from 'multiformats/cid'
import { aBlock, animals } from '../conformance/network-suite.ts'
import { aNeighbourhood, quiet } from './makers.ts'

const here = aNeighbourhood()
afterEach(() => here.close())

describe('identity', () => {
  it('follows from the seed: the peer id of the Ed25519 key of RFC 8032, test 1', async () => {
    const seed = Buffer.from(
      '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
      'hex',
    )
    const network = await createNetwork({ log: quiet }, { seed })
    const { publicKey } = network.libp2p.peerId
    expect(Buffer.from(publicKey?.raw ?? []).toString('hex')).toBe(
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    )
    expect(network.peerId).toBe(network.libp2p.peerId.toString())
  })

  it('is part of the addresses others may dial', async () => {
    const alice = await here.node()
    expect(alice.address).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\/12D3Koo/)
    expect(alice.address.endsWith(alice.network.peerId)).toBe(true)
  })

  it('cannot be dialled by itself, nor by another name', async () => {
    const [alice, bob] = [await here.node(), await here.node()]
    await expect(alice.network.connect(alice.address)).rejects.toMatchObject({
      code: 'BAD_ADDRESS',
    })
    const impostor = alice.address.replace(alice.network.peerId, bob.network.peerId)
    await expect((await here.node()).network.connect(impostor)).rejects.toMatchObject({
      code: 'NO_PEER',
    })
  })
})

describe('connections', () => {
  const redial = { firstMs: 20, longestMs: 100 }

  it('are not made to somebody else at the address of a named peer', async () => {
    const bob = await here.node()
    const alice = await here.node({ redial, listen: [] })
    await alice.network.connect(bob.address)
    const seed = new Uint8Array(32).fill(3)
    const listen = [bob.address.replace(/\/p2p\/.*/, '')]
    await bob.network.stop()
    await alice.told.until(() => alice.told.lost.length === 1)
    const other = await here.node({ seed, listen })
    expect(other.network.peerId).not.toBe(bob.network.peerId)
    expect(alice.network.peers()).toEqual([])
  })

  it('to peers named at the start are made when the peer appears', async () => {
    const seed = new Uint8Array(32).fill(9)
    const first = await here.node({ seed })
    await first.network.stop()
    const alice = await here.node({ redial, peers: [first.address] })
    const again = await here.node({ seed, listen: [first.address.replace(/\/p2p\/.*/, '')] })
    await alice.told.untilSeen(again.network.peerId)
    alice.told.seen.length = 0
    await again.network.stop()
    await alice.told.until(() => alice.told.lost.length === 1)
    const third = await here.node({ seed, listen: [first.address.replace(/\/p2p\/.*/, '')] })
    await alice.told.untilSeen(third.network.peerId)
  })

  it('are refused to peers that are not on the list, in both directions', async () => {
    const [friend, stranger] = [await here.node(), await here.node()]
    const alice = await here.node({ allow: [friend.network.peerId] })
    await friend.network.connect(alice.address)
    await alice.told.untilSeen(friend.network.peerId)
    await expect(alice.network.connect(stranger.address)).rejects.toMatchObject({ code: 'NO_PEER' })
    await stranger.network.connect(alice.address).catch(() => undefined)
    await expect
      .poll(() => alice.network.peers().map(({ peerId }) => peerId))
      .toEqual([friend.network.peerId])
  })

  it('are not made to addresses that others told of, where the node may not dial them', async () => {
    const hub = await here.node()
    const bob = await here.node({ directory: { settleMs: 50 } })
    bob.network.join(animals)
    await bob.network.connect(hub.address)
    const alice = await here.node({ mayDial: () => false })
    await alice.network.connect(hub.address)
    await alice.network.discover(animals, { signal: AbortSignal.timeout(500) })
    expect(alice.network.peers().map(({ peerId }) => peerId)).not.toContain(bob.network.peerId)
  })

  it('of twenty peers at once from one address are all accepted', async () => {
    const hub = await here.node()
    const others = await Promise.all(Array.from({ length: 20 }, () => here.node({ listen: [] })))
    await Promise.all(others.map(({ network }) => network.connect(hub.address)))
    await expect.poll(() => hub.network.peers().length).toBe(20)
  })

  it('give TIMEOUT when the caller has no more time', async () => {
    const [alice, bob] = [await here.node(), await here.node()]
    const { signal } = new AbortController()
    await alice.network.connect(bob.address, { signal })
    await expect(
      alice.network.connect((await here.node()).address, { signal: AbortSignal.timeout(0) }),
    ).rejects.toMatchObject({ code: 'TIMEOUT' })
  })

  it('to a port in use are refused with BAD_ADDRESS', async () => {
    const alice = await here.node()
    const listen = [alice.address.replace(/\/p2p\/.*/, '')]
    await expect(here.node({ listen })).rejects.toMatchObject({ code: 'BAD_ADDRESS' })
  })
})

describe('a transfer of blocks', () => {
  const block = aBlock(1024 * 1024, 1)
  function* many(): Generator<CID> {
    for (let i = 0; i < 5_000; i++) yield block.cid
  }

  it('fails when the other process is killed, and never ends as if complete', async () => {
    const child = fork(new URL('peer-process.ts', import.meta.url), { execArgv: [] })
    const [address] = (await once(child, 'message')) as [string]
    const alice = await here.node()
    const peer = await alice.network.connect(address)
    let got = 0
    const transfer = (async () => {
      for await (const _ of alice.network.blocks(peer, animals, many())) {
        if (++got === 3) child.kill('SIGKILL')
      }
    })()
    await expect(transfer).rejects.toMatchObject({ code: 'PEER_FAILED' })
    await alice.told.until(() => alice.told.lost.includes(peer))
  })

  it('waits for a slow reader', async () => {
    const [alice, bob] = [await here.node(), await here.node()]
    let lookedUp = 0
    bob.told.onBlock = async () => {
      lookedUp++
      return block.bytes
    }
    const peer = await alice.network.connect(bob.address)
    const transfer = alice.network.blocks(peer, animals, many())[Symbol.asyncIterator]()
    await transfer.next()
    for (let i = 0; i < 200; i++) await alice.network.request(peer, Uint8Array.of(1))
    expect(lookedUp).toBeLessThan(40)
    for (let i = 0; i < 60; i++) await transfer.next()
    expect(lookedUp).toBeGreaterThan(60)
    await transfer.return?.(undefined)
    await expect.poll(() => streamsOpen(bob.network.libp2p, '/gonk/blocks/1')).toBe(0)
  })

  it('runs several at once', async () => {
    const [alice, bob] = [await here.node(), await here.node()]
    const blocks = Array.from({ length: 300 }, (_, i) => aBlock(20_000, i))
    bob.told.hold(...blocks)
    const peer = await alice.network.connect(bob.address)
    const counts = await Promise.all(
      Array.from({ length: 4 }, async () => {
        let got = 0
        const cids = blocks.map(({ cid }) => cid)
        for await (const { bytes } of alice.network.blocks(peer, animals, cids)) {
          if (bytes !== undefined) got++
        }
        return got
      }),
    )
    expect(counts).toEqual([300, 300, 300, 300])
    await expect.poll(() => streamsOpen(alice.network.libp2p, '/gonk/blocks/1')).toBe(0)
  })
})

describe('requests', () => {
  it('use a few streams again and again', async () => {
    const [alice, bob] = [await here.node(), await here.node()]
    const peer = await alice.network.connect(bob.address)
    await Promise.all(
      Array.from({ length: 500 }, () => alice.network.request(peer, Uint8Array.of(1))),
    )
    expect(streamsOpen(alice.network.libp2p, '/gonk/sync/1')).toBeLessThanOrEqual(8)
    expect(bob.log.lines).toEqual([])
  })

  it('work again after the server gave up the idle streams', async () => {
    const [alice, bob] = [await here.node(), await here.node({ limits: { idleTimeoutMs: 50 } })]
    const peer = await alice.network.connect(bob.address)
    await alice.network.request(peer, Uint8Array.of(1))
    await expect.poll(() => streamsOpen(bob.network.libp2p, '/gonk/sync/1', 'writable')).toBe(0)
    expect(await alice.network.request(peer, Uint8Array.of(2))).toEqual(Uint8Array.of(2))
    expect(bob.log.lines).toEqual([])
  })

  it('are slowed down, not refused, over their rate', async () => {
    const alice = await here.node()
    const bob = await here.node({ conduct: { requestsPerSecond: 50 } })
    const peer = await alice.network.connect(bob.address)
    const startMs = performance.now()
    await Promise.all(
      Array.from({ length: 250 }, () => alice.network.request(peer, Uint8Array.of(1))),
    )
    expect(performance.now() - startMs).toBeGreaterThan(500)
    expect(bob.log.lines).toEqual([])
  })
})

describe('a token bucket', () => {
  it('holds a burst and refills steadily', () => {
    let nowMs = 0
    const bucket = new TokenBucket(10, 20, () => nowMs)
    expect(bucket.take(20)).toBe(true)
    expect(bucket.take(1)).toBe(false)
    nowMs += 100
    expect(bucket.take(1)).toBe(true)
    expect(bucket.spend(5)).toBe(500)
    nowMs += 60_000
    expect(bucket.take(21)).toBe(false)
    expect(bucket.take(20)).toBe(true)
  })
})

function streamsOpen(
  node: { getConnections(): { streams: { protocol: string; writeStatus: string }[] }[] },
  protocol: string,
  writeStatus?: string,
): number {
  return node
    .getConnections()
    .flatMap(({ streams }) => streams)
    .filter((s) => s.protocol === protocol)
    .filter((s) => writeStatus === undefined || s.writeStatus === writeStatus).length
}
