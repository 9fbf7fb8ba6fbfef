// Cables pulled between two networks: a proxy that goes silent without ending a connection.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { pingEveryMs } from '../../src/network/liveness.ts'
import { animals } from '../conformance/network-suite.ts'
import { aNeighbourhood, type TestNode } from './makers.ts'

const here = aNeighbourhood()
const cables: Cable[] = []
afterEach(async () => {
  for (const cable of cables.splice(0)) cable.remove()
  await here.close()
})

/** Another address of a node. Connections made before a cut never come back, as after a long one. */
class Cable {
  readonly #server = createServer((near) => this.#join(near))
  readonly #port: number
  #sockets: Socket[] = []
  #isCut = false
  address = ''

  private constructor(port: number) {
    this.#port = port
  }

  static async to(node: TestNode): Promise<Cable> {
    const [, port = '', id = ''] = /\/tcp\/(\d+)(\/p2p\/.*)/.exec(node.address) ?? []
    const cable = new Cable(Number(port))
    cables.push(cable)
    cable.#server.listen(0, '127.0.0.1')
    await once(cable.#server, 'listening')
    const own = cable.#server.address() as AddressInfo
    cable.address = `/ip4/127.0.0.1/tcp/${own.port}${id}`
    return cable
  }

  cut(): void {
    this.#isCut = true
    for (const socket of this.#sockets) socket.unpipe().pause()
  }

  heal(): void {
    this.#isCut = false
  }

  remove(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #join(near: Socket): void {
    this.#sockets.push(near)
    near.on('error', () => near.destroy())
    if (this.#isCut) return
    const far = connect(this.#port, '127.0.0.1')
    this.#sockets.push(far)
    far.on('error', () => far.destroy())
    near.pipe(far).pipe(near)
  }
}

const redial = { firstMs: 20, longestMs: 50 }
const quick = { redial, silenceMs: 300, dialTimeoutMs: 300 }

async function meet(a: TestNode, b: TestNode): Promise<void> {
  await a.told.untilSeen(b.network.peerId, animals)
  await b.told.untilSeen(a.network.peerId, animals)
}

function forget(...nodes: TestNode[]): void {
  for (const { told } of nodes) told.seen.length = told.lost.length = 0
}

async function expectTalk(from: TestNode, to: TestNode): Promise<void> {
  const text = `from ${from.network.peerId}`
  await from.network.publish(animals, new TextEncoder().encode(text))
  await to.told.until(() => to.told.gossiped.some((heard) => heard.text === text))
}

describe('a connection on which nothing comes', () => {
  it('ends on both sides, and the named peer is reached again', async () => {
    const [alice, bob] = [await here.node(quick), await here.node(quick)]
    for (const { network } of [alice, bob]) network.join(animals)
    const cable = await Cable.to(bob)
    await alice.network.connect(cable.address)
    await meet(alice, bob)
    cable.cut()
    await alice.told.until(() => alice.told.lost.length > 0)
    await bob.told.until(() => bob.told.lost.length > 0)
    expect([alice.network.peers(), bob.network.peers()]).toEqual([[], []])
    forget(alice, bob)
    cable.heal()
    await meet(alice, bob)
    await expectTalk(alice, bob)
    await expectTalk(bob, alice)
  })

  it('stays while the peer only answers pings', async () => {
    const [alice, bob] = [await here.node(quick), await here.node(quick)]
    await alice.network.connect(bob.address)
    await alice.told.untilSeen(bob.network.peerId)
    await pause(2 * (quick.silenceMs + pingEveryMs(quick.silenceMs)))
    expect(alice.told.lost).toEqual([])
    expect(await alice.network.request(bob.network.peerId, Uint8Array.of(7))).toEqual(
      Uint8Array.of(7),
    )
  })

  it('ends at once where the peer connects again', async () => {
    const [alice, bob] = [await here.node(quick), await here.node({ silenceMs: 60_000 })]
    for (const { network } of [alice, bob]) network.join(animals)
    const cable = await Cable.to(bob)
    await alice.network.connect(cable.address)
    await meet(alice, bob)
    cable.cut()
    await alice.told.until(() => alice.told.lost.length > 0)
    forget(alice, bob)
    cable.heal()
    await alice.told.untilSeen(bob.network.peerId, animals)
    await bob.told.untilSeen(alice.network.peerId)
    expect(bob.network.peers()[0]?.multiaddrs).toHaveLength(1)
    await expectTalk(bob, alice)
    await expectTalk(alice, bob)
  })

  it('leaves gossip to the one in the other direction', async () => {
    const [alice, bob] = [await here.node(quick), await here.node({ silenceMs: 2_000 })]
    for (const { network } of [alice, bob]) network.join(animals)
    const cable = await Cable.to(alice)
    await bob.network.connect(cable.address)
    await meet(alice, bob)
    cable.cut()
    await alice.told.until(() => alice.told.lost.length > 0)
    forget(alice, bob)
    await alice.network.connect(bob.address)
    await alice.told.untilSeen(bob.network.peerId, animals)
    await expectTalk(bob, alice)
    await expectTalk(alice, bob)
  })
})
