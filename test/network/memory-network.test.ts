import { describe, expect, it } from 'vitest'
import { MemoryWorld } from '../simulator/memory-network.ts'
import { animals, networkSuite, Recorder } from '../conformance/network-suite.ts'

const world = new MemoryWorld()
let count = 0
networkSuite('the memory network', { create: async () => world.network(`node-${count++}`) })

describe('a memory world', () => {
  const aPair = async (seed: number) => {
    const here = new MemoryWorld({ seed })
    const [alice, bob] = [here.network('alice'), here.network('bob')]
    const [a, b] = [new Recorder(), new Recorder()]
    await alice.start(a)
    await bob.start(b)
    alice.join(animals)
    bob.join(animals)
    await alice.connect('/memory/bob')
    await a.untilSeen(bob.peerId, animals)
    await b.untilSeen(alice.peerId, animals)
    return { here, alice, bob, a, b }
  }

  it('parts two nodes and joins them again', async () => {
    const { here, alice, bob, a, b } = await aPair(1)
    here.partition(alice, bob)
    expect(a.lost).toEqual([bob.peerId])
    expect(b.lost).toEqual([alice.peerId])
    await expect(alice.connect('/memory/bob')).rejects.toMatchObject({ code: 'NO_PEER' })
    a.seen.length = 0
    await here.heal(alice, bob)
    await a.untilSeen(bob.peerId, animals)
    expect(alice.peersOf(animals)).toEqual([bob.peerId])
  })

  it('loses the share of messages it is told to, the same ones for the same seed', async () => {
    const run = async (seed: number): Promise<string[]> => {
      const { here, alice, bob, b } = await aPair(seed)
      here.gossipLoss = 0.5
      for (let i = 0; i < 40; i++) await alice.publish(animals, Uint8Array.of(65 + i))
      here.gossipLoss = 0
      await alice.publish(animals, Uint8Array.of(10))
      await b.until(() => b.gossiped.at(-1)?.text === '\n')
      await bob.stop()
      return b.gossiped.map(({ text }) => text)
    }
    const first = await run(7)
    expect(first.length).toBeGreaterThan(5)
    expect(first.length).toBeLessThan(36)
    expect(await run(7)).toEqual(first)
    expect(await run(8)).not.toEqual(first)
  })

  it('loses answers, and counts what crossed', async () => {
    const { here, alice, bob } = await aPair(3)
    await alice.request(bob.peerId, new Uint8Array(10))
    expect(here.traffic).toMatchObject({ requests: 1, requestBytes: 10, responseBytes: 10 })
    here.requestLoss = 1
    await expect(alice.request(bob.peerId, new Uint8Array(1))).rejects.toMatchObject({
      code: 'TIMEOUT',
    })
  })
})
