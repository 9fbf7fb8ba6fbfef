// What every implementation of the Network port must do. Run it with a factory of networks.
import { createHash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { afterEach, describe, expect, it } from 'vitest'
import { cidOfDigest, type DatasetId } from '../../src/core/ids.ts'
import type { GossipVerdict, Network, NetworkHandlers, PeerId } from '../../src/ports.ts'

export const animals = 'a1'.repeat(32) as DatasetId
export const plants = 'b2'.repeat(32) as DatasetId

export interface Block {
  readonly cid: CID
  readonly bytes: Uint8Array
}

export function aBlock(sizeBytes: number, fill = 0, codec = 0x55): Block {
  const bytes = new Uint8Array(sizeBytes).fill(fill)
  if (sizeBytes >= 4) new DataView(bytes.buffer).setUint32(0, fill)
  return { cid: cidOfDigest(createHash('sha256').update(bytes).digest(), codec), bytes }
}

/** Handlers that remember what they were told, and let a test wait for it. */
export class Recorder implements NetworkHandlers {
  readonly seen: { peer: PeerId; dataset: DatasetId | undefined }[] = []
  readonly missed: PeerId[] = []
  readonly lost: PeerId[] = []
  readonly gossiped: { peer: PeerId; dataset: DatasetId; text: string }[] = []
  readonly blocks = new Map<string, Uint8Array>()
  verdict: GossipVerdict = 'accept'
  onRequest: NetworkHandlers['request'] = async (_peer, body) => body
  onBlock: NetworkHandlers['block'] = async (_peer, _dataset, cid) =>
    this.blocks.get(cid.toString())
  #waiters: (() => void)[] = []

  request(peer: PeerId, body: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    return this.onRequest(peer, body, signal)
  }

  block(peer: PeerId, dataset: DatasetId, cid: CID): Promise<Uint8Array | undefined> {
    return this.onBlock(peer, dataset, cid)
  }

  async gossip(peer: PeerId, dataset: DatasetId, body: Uint8Array): Promise<GossipVerdict> {
    this.gossiped.push({ peer, dataset, text: new TextDecoder().decode(body) })
    this.#changed()
    return this.verdict
  }

  peerSeen(peer: PeerId, dataset: DatasetId | undefined): void {
    this.seen.push({ peer, dataset })
    this.#changed()
  }

  gossipMissed(peer: PeerId): void {
    this.missed.push(peer)
    this.#changed()
  }

  peerLost(peer: PeerId): void {
    this.lost.push(peer)
    this.#changed()
  }

  hold(...blocks: readonly Block[]): void {
    for (const { cid, bytes } of blocks) this.blocks.set(cid.toString(), bytes)
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiters.push(resolve))
  }

  async untilSeen(peer: PeerId, dataset?: DatasetId): Promise<void> {
    await this.until(() => this.seen.some((s) => s.peer === peer && s.dataset === dataset))
  }

  #changed(): void {
    for (const wake of this.#waiters.splice(0)) wake()
  }
}

export interface Node {
  readonly network: Network
  readonly told: Recorder
}

export interface NetworkFactory {
  /**
   * A network that is not started and listens on an address of its own. With `roams` it may dial
   * addresses that peers told of; without, only those it is given.
   */
  create(options: { roams: boolean }): Promise<Network>
}

export function networkSuite(title: string, factory: NetworkFactory): void {
  describe(`${title} as a Network`, () => {
    const nodes: Node[] = []

    const aNode = async ({ roams = false } = {}): Promise<Node> => {
      const node = { network: await factory.create({ roams }), told: new Recorder() }
      nodes.push(node)
      await node.network.start(node.told)
      return node
    }

    const connect = async (from: Node, to: Node): Promise<void> => {
      await from.network.connect(to.network.multiaddrs()[0] as string)
      await from.told.untilSeen(to.network.peerId)
      await to.told.untilSeen(from.network.peerId)
    }

    const aPair = async (): Promise<[Node, Node]> => {
      const [alice, bob] = [await aNode(), await aNode()]
      await connect(alice, bob)
      return [alice, bob]
    }

    const joinAll = async (dataset: DatasetId, pairs: readonly [Node, Node][]): Promise<void> => {
      for (const node of new Set(pairs.flat())) node.network.join(dataset)
      for (const [a, b] of pairs) {
        await a.told.untilSeen(b.network.peerId, dataset)
        await b.told.untilSeen(a.network.peerId, dataset)
      }
    }

    const say = (node: Node, dataset: DatasetId, text: string): Promise<void> =>
      node.network.publish(dataset, new TextEncoder().encode(text))

    /** Gossip is best effort while a mesh forms: says new things until one has arrived. */
    const sayUntilHeard = async (from: Node, to: Node): Promise<void> => {
      let count = 0
      const heard = async (): Promise<number> => {
        await say(from, animals, `warm-up ${count++}`)
        return to.told.gossiped.length
      }
      await expect.poll(heard, { timeout: 30_000 }).toBeGreaterThan(0)
    }

    afterEach(async () => {
      for (const { network } of nodes.splice(0)) await network.stop()
    })

    describe('connections', () => {
      it('tells both sides of a connection and of its end', async () => {
        const [alice, bob] = await aPair()
        expect(alice.network.peers()).toMatchObject([
          { peerId: bob.network.peerId, direction: 'outbound', datasets: [] },
        ])
        expect(bob.network.peers()).toMatchObject([
          { peerId: alice.network.peerId, direction: 'inbound' },
        ])
        expect(alice.network.isNamed(bob.network.peerId)).toBe(true)
        expect(bob.network.isNamed(alice.network.peerId)).toBe(false)
        await bob.network.stop()
        await alice.told.until(() => alice.told.lost.includes(bob.network.peerId))
        expect(alice.network.peers()).toEqual([])
      })

      it('refuses what is not an address, and says when nobody is there', async () => {
        const [alice, bob] = [await aNode(), await aNode()]
        await expect(alice.network.connect('somewhere')).rejects.toMatchObject({
          code: 'BAD_ADDRESS',
        })
        const address = bob.network.multiaddrs()[0] as string
        await bob.network.stop()
        await expect(alice.network.connect(address)).rejects.toMatchObject({ code: 'NO_PEER' })
      })

      it('gives the same peer for connecting twice', async () => {
        const [alice, bob] = await aPair()
        const again = await alice.network.connect(bob.network.multiaddrs()[0] as string)
        expect(again).toBe(bob.network.peerId)
        expect(alice.network.peers()).toHaveLength(1)
      })

      it('closes the connection to a banned peer and refuses the next', async () => {
        const [alice, bob] = await aPair()
        bob.network.ban(alice.network.peerId, 'it lied')
        await alice.told.until(() => alice.told.lost.length > 0)
        await alice.network.connect(bob.network.multiaddrs()[0] as string).catch(() => undefined)
        await expect(
          alice.network.request(bob.network.peerId, new Uint8Array(1)),
        ).rejects.toMatchObject({ code: 'PEER_FAILED' })
        expect(bob.network.peers()).toEqual([])
      })

      it('stops twice without complaint', async () => {
        const alice = await aNode()
        await alice.network.stop()
        await alice.network.stop()
      })
    })

    describe('requests', () => {
      it('carries bodies of every size up to the limits', async () => {
        const [alice, bob] = await aPair()
        bob.told.onRequest = async (_peer, body) => new Uint8Array(body.length * 2).fill(7)
        for (const size of [0, 1, 65_536, 1024 * 1024]) {
          const answer = await alice.network.request(bob.network.peerId, new Uint8Array(size))
          expect(answer.length).toBe(size * 2)
        }
        await expect(
          alice.network.request(bob.network.peerId, new Uint8Array(1024 * 1024 + 1)),
        ).rejects.toMatchObject({ code: 'TOO_LARGE' })
      })

      it('keeps many requests at once apart', async () => {
        const [alice, bob] = await aPair()
        const answers = await Promise.all(
          Array.from({ length: 100 }, (_, i) =>
            alice.network.request(bob.network.peerId, Uint8Array.of(i, i)),
          ),
        )
        expect(answers.map((answer) => answer[1])).toEqual(answers.map((_, i) => i))
      })

      it('fails one request when the handler throws, and answers the next', async () => {
        const [alice, bob] = await aPair()
        bob.told.onRequest = async (_peer, body) => {
          if (body[0] === 0) throw new Error('cannot')
          return body
        }
        const ask = (first: number): Promise<Uint8Array> =>
          alice.network.request(bob.network.peerId, Uint8Array.of(first))
        await expect(ask(0)).rejects.toMatchObject({ code: 'PEER_FAILED' })
        expect(await ask(1)).toEqual(Uint8Array.of(1))
      })

      it('refuses an answer that is too large', async () => {
        const [alice, bob] = await aPair()
        bob.told.onRequest = async () => new Uint8Array(2 * 1024 * 1024 + 1)
        await expect(
          alice.network.request(bob.network.peerId, new Uint8Array(1)),
        ).rejects.toMatchObject({ code: 'PEER_FAILED' })
      })

      it('fails for a peer that is not connected', async () => {
        const [alice, bob] = [await aNode(), await aNode()]
        await expect(
          alice.network.request(bob.network.peerId, new Uint8Array(1)),
        ).rejects.toMatchObject({ code: 'PEER_FAILED' })
      })

      it('ends with the signal: TIMEOUT for a timeout, CANCELLED otherwise', async () => {
        const [alice, bob] = await aPair()
        bob.told.onRequest = () => new Promise(() => undefined)
        const ask = (signal: AbortSignal): Promise<Uint8Array> =>
          alice.network.request(bob.network.peerId, new Uint8Array(1), { signal })
        await expect(ask(AbortSignal.timeout(20))).rejects.toMatchObject({ code: 'TIMEOUT' })
        const controller = new AbortController()
        const asked = ask(controller.signal)
        controller.abort()
        await expect(asked).rejects.toMatchObject({ code: 'CANCELLED' })
      })
    })

    describe('gossip', () => {
      it('reaches nodes that are connected only through another, once', async () => {
        const [alice, relay, bob] = [await aNode(), await aNode(), await aNode()]
        await connect(alice, relay)
        await connect(bob, relay)
        await joinAll(animals, [
          [alice, relay],
          [bob, relay],
        ])
        await sayUntilHeard(alice, bob)
        await say(alice, animals, 'cat')
        await say(alice, animals, 'cat')
        await say(alice, animals, 'dog')
        await bob.told.until(() => bob.told.gossiped.some(({ text }) => text === 'dog'))
        const texts = bob.told.gossiped.map(({ text }) => text)
        expect(texts).toContain('cat')
        expect(new Set(texts).size).toBe(texts.length)
        expect(bob.told.gossiped[0]).toMatchObject({
          peer: relay.network.peerId,
          dataset: animals,
        })
        expect(alice.told.gossiped).toEqual([])
      })

      it('does not pass on what the handler ignores or rejects', async () => {
        const [alice, relay, bob] = [await aNode(), await aNode(), await aNode()]
        await connect(alice, relay)
        await connect(bob, relay)
        await joinAll(animals, [
          [alice, relay],
          [bob, relay],
        ])
        await sayUntilHeard(alice, bob)
        relay.told.verdict = 'ignore'
        await say(alice, animals, 'rumour')
        await relay.told.until(() => relay.told.gossiped.some(({ text }) => text === 'rumour'))
        relay.told.verdict = 'accept'
        await say(alice, animals, 'news')
        await bob.told.until(() => bob.told.gossiped.some(({ text }) => text === 'news'))
        expect(bob.told.gossiped.map(({ text }) => text)).not.toContain('rumour')
      })

      it('keeps datasets apart, and knows who has which', async () => {
        const [alice, bob] = await aPair()
        bob.network.join(plants)
        await joinAll(animals, [[alice, bob]])
        expect(alice.network.peersOf(animals)).toEqual([bob.network.peerId])
        expect(alice.network.peersOf(plants)).toEqual([])
        expect(alice.network.peers()[0]?.datasets).toEqual([animals])
        alice.network.join(plants)
        await alice.told.untilSeen(bob.network.peerId, plants)
        await bob.told.untilSeen(alice.network.peerId, plants)
        await say(alice, plants, 'oak')
        await bob.told.until(() => bob.told.gossiped.length > 0)
        expect(bob.told.gossiped[0]?.dataset).toBe(plants)
      })

      it('refuses to send what is too large', async () => {
        const [alice] = await aPair()
        alice.network.join(animals)
        await expect(alice.network.publish(animals, new Uint8Array(65_537))).rejects.toMatchObject({
          code: 'TOO_LARGE',
        })
      })
    })

    blockSuite(aPair)

    describe('discovery', () => {
      it('finds and dials a peer of the dataset that only a common peer knows', async () => {
        const [hub, bob] = [await aNode(), await aNode()]
        const alice = await aNode({ roams: true })
        bob.network.join(animals)
        await connect(bob, hub)
        await connect(alice, hub)
        alice.network.join(animals)
        const found = async (): Promise<number> => {
          await alice.network.discover(animals)
          return alice.network.peers().length
        }
        await expect.poll(found, { timeout: 30_000 }).toBe(2)
        await alice.told.untilSeen(bob.network.peerId, animals)
        expect(alice.network.peersOf(animals)).toEqual([bob.network.peerId])
      })
    })
  })
}

function blockSuite(aPair: () => Promise<[Node, Node]>): void {
  describe('blocks', () => {
    const small = Array.from({ length: 500 }, (_, i) => aBlock(100 + i, i))
    const large = Array.from({ length: 12 }, (_, i) => aBlock(1024 * 1024, i))

    it('gives blocks in the order asked, whatever their size and codec', async () => {
      const [alice, bob] = await aPair()
      const asked = [
        ...small,
        aBlock(0),
        ...large,
        aBlock(2 * 1024 * 1024, 1),
        aBlock(50, 9, 0x70),
        aBlock(50, 9, 0x71),
        small[3] as Block,
        small[3] as Block,
      ]
      bob.told.hold(...asked)
      const cids = asked.map(({ cid }) => cid)
      let index = 0
      for await (const { cid, bytes } of alice.network.blocks(bob.network.peerId, animals, cids)) {
        const wanted = asked[index++] as Block
        expect(cid.equals(wanted.cid)).toBe(true)
        expect(bytes !== undefined && Buffer.compare(bytes, wanted.bytes)).toBe(0)
      }
      expect(index).toBe(asked.length)
    })

    it('says which blocks the peer does not have', async () => {
      const [alice, bob] = await aPair()
      const [held, missing] = [aBlock(10, 1), aBlock(10, 2)]
      bob.told.hold(held)
      const cids = [missing.cid, held.cid, missing.cid]
      const got: boolean[] = []
      for await (const { bytes } of alice.network.blocks(bob.network.peerId, animals, cids)) {
        got.push(bytes !== undefined)
      }
      expect(got).toEqual([false, true, false])
    })

    it('ends at once when nothing is asked', async () => {
      const [alice, bob] = await aPair()
      for await (const _ of alice.network.blocks(bob.network.peerId, animals, [])) expect.fail()
    })

    it('names the dataset and the asker to the handler', async () => {
      const [alice, bob] = await aPair()
      const asked: unknown[] = []
      bob.told.onBlock = async (peer, dataset) => {
        asked.push([peer, dataset])
        return undefined
      }
      const { cid } = aBlock(1)
      for await (const _ of alice.network.blocks(bob.network.peerId, plants, [cid]));
      expect(asked).toEqual([[alice.network.peerId, plants]])
    })

    it('never yields bytes that do not match their CID', async () => {
      const [alice, bob] = await aPair()
      const [good, bad] = [aBlock(1000, 1), aBlock(1000, 2)]
      bob.told.hold(good, { cid: bad.cid, bytes: good.bytes })
      const got: CID[] = []
      const cids = [good.cid, bad.cid, good.cid]
      const transfer = (async () => {
        for await (const { cid } of alice.network.blocks(bob.network.peerId, animals, cids)) {
          got.push(cid)
        }
      })()
      await expect(transfer).rejects.toMatchObject({ code: 'BAD_BLOCK' })
      expect(got).toHaveLength(1)
    })

    it('refuses a CID that is not a CIDv1 with sha2-256', async () => {
      const [alice, bob] = await aPair()
      const v0 = CID.parse('QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n')
      const transfer = (async () => {
        for await (const _ of alice.network.blocks(bob.network.peerId, animals, [v0]));
      })()
      await expect(transfer).rejects.toMatchObject({ code: 'BAD_CID' })
    })

    it('takes CIDs from an endless source only as it goes, and stops when the reader stops', async () => {
      const [alice, bob] = await aPair()
      const block = large[0] as Block
      bob.told.hold(block)
      let taken = 0
      let ended = false
      function* endless(): Generator<CID> {
        try {
          for (;;) {
            taken++
            yield block.cid
          }
        } finally {
          ended = true
        }
      }
      let got = 0
      for await (const _ of alice.network.blocks(bob.network.peerId, animals, endless())) {
        if (++got === 20) break
      }
      expect(taken).toBeLessThan(20 + 64)
      await bob.told.until(() => true)
      await expect.poll(() => ended).toBe(true)
      expect(await alice.network.request(bob.network.peerId, Uint8Array.of(1))).toHaveLength(1)
    })

    it('serves a source that asks for the next block only after the last has come', async () => {
      const [alice, bob] = await aPair()
      bob.told.hold(...small)
      let release = Promise.withResolvers<void>()
      async function* oneByOne(): AsyncGenerator<CID> {
        for (const { cid } of small.slice(0, 20)) {
          yield cid
          await release.promise
          release = Promise.withResolvers()
        }
      }
      let got = 0
      for await (const _ of alice.network.blocks(bob.network.peerId, animals, oneByOne())) {
        got++
        release.resolve()
      }
      expect(got).toBe(20)
    })

    it('passes on the failure of its source', async () => {
      const [alice, bob] = await aPair()
      async function* failing(): AsyncGenerator<CID> {
        yield aBlock(1).cid
        throw new TypeError('the disk is gone')
      }
      const transfer = (async () => {
        for await (const _ of alice.network.blocks(bob.network.peerId, animals, failing()));
      })()
      await expect(transfer).rejects.toThrow('the disk is gone')
    })

    it('fails when the peer stops in the middle, and never ends as if complete', async () => {
      const [alice, bob] = await aPair()
      bob.told.hold(large[0] as Block)
      const cids = Array.from({ length: 200 }, () => (large[0] as Block).cid)
      let got = 0
      const transfer = (async () => {
        for await (const _ of alice.network.blocks(bob.network.peerId, animals, cids)) {
          if (++got === 3) await bob.network.stop()
        }
      })()
      await expect(transfer).rejects.toMatchObject({ code: 'PEER_FAILED' })
      expect(got).toBeLessThan(200)
    })

    it('ends with the signal', async () => {
      const [alice, bob] = await aPair()
      bob.told.onBlock = () => new Promise(() => undefined)
      const controller = new AbortController()
      const transfer = (async () => {
        const cids = [aBlock(1).cid]
        const { signal } = controller
        for await (const _ of alice.network.blocks(bob.network.peerId, animals, cids, { signal }));
      })()
      controller.abort()
      await expect(transfer).rejects.toMatchObject({ code: 'CANCELLED' })
    })
  })
}
