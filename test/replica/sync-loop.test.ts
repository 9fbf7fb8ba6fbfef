import { describe, expect, it } from 'vitest'
import type { Clock, GossipVerdict, Logger, PeerId } from '../../src/ports.ts'
import { encodeGossip, gossipOf } from '../../src/replica/gossip-messages.ts'
import { SyncLoop } from '../../src/replica/sync-loop.ts'
import type { SyncReason } from '../../src/replica/sync-schedule.ts'
import { createSyncServer, rootsOf } from '../../src/replica/sync-server.ts'
import type { SessionResult } from '../../src/replica/sync-session.ts'
import { DATASET, makeEvent, sha256, type TestEvent, World } from './sync-world.ts'

/** Time that moves only when told to, and lets everything that is ready run in between. */
class FakeClock implements Clock {
  #nowMs = 0
  readonly #sleepers = new Set<{ atMs: number; wake: () => void }>()

  nowMs(): number {
    return this.#nowMs
  }

  sleep(ms: number, options: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = { atMs: this.#nowMs + ms, wake: resolve }
      const onAbort = () => {
        this.#sleepers.delete(sleeper)
        reject(new Error('aborted'))
      }
      if (options.signal?.aborted) return onAbort()
      this.#sleepers.add(sleeper)
      options.signal?.addEventListener('abort', onAbort)
    })
  }

  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    for (;;) {
      await settle()
      const next = [...this.#sleepers].sort((a, b) => a.atMs - b.atMs)[0]
      if (next === undefined || next.atMs > untilMs) break
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      this.#sleepers.delete(next)
      next.wake()
    }
    this.#nowMs = untilMs
  }
}

/** Runs everything that needs no time. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
}

const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

interface Session {
  readonly at: PeerId
  readonly with: PeerId
  readonly reason: SyncReason
  readonly result: SessionResult
}

interface Node {
  readonly name: PeerId
  readonly world: World
  readonly loop: SyncLoop
  readonly serve: ReturnType<typeof createSyncServer>
}

/** Nodes of one dataset on one clock, linked as the test says. */
class Net {
  readonly clock = new FakeClock()
  readonly sessions: Session[] = []
  readonly banned: [PeerId, PeerId][] = []
  readonly verdicts: GossipVerdict[] = []
  readonly nodes = new Map<PeerId, Node>()
  readonly #links = new Set<string>()
  /** Whether a gossip message, or a request, gets through. */
  gossips: (from: PeerId, to: PeerId) => boolean = () => true
  answers: (from: PeerId, to: PeerId, body: Uint8Array) => Promise<void> = async () => {}

  add(name: PeerId, ...events: TestEvent[]): Node {
    const world = new World().put(makeEvent('genesis', { depth: 0 }), events)
    let seed = name.charCodeAt(0)
    const random = {
      bytes: (count: number) =>
        Uint8Array.from({ length: count }, () => (seed = (seed * 73 + 41) & 255)),
    }
    const network = {
      peers: () =>
        [...this.nodes.keys()]
          .filter((peerId) => this.#links.has(`${name} ${peerId}`))
          .map((peerId) => ({
            peerId,
            multiaddrs: [],
            direction: 'inbound' as const,
            datasets: [],
          })),
      ban: (peer: PeerId) => void this.banned.push([name, peer]),
      publish: async (_: unknown, body: Uint8Array) => this.flood(name, body),
      request: async (peer: PeerId, body: Uint8Array, options: { signal?: AbortSignal } = {}) => {
        if (!this.#links.has(`${name} ${peer}`)) throw new Error('not connected')
        const signal = options.signal ?? new AbortController().signal
        await this.answers(name, peer, body)
        return (this.nodes.get(peer) as Node).serve(name, body, signal)
      },
    }
    const loop: SyncLoop = new SyncLoop({
      dataset: DATASET,
      network,
      clock: this.clock,
      random,
      source: world,
      submit: world.submit,
      sha256,
      logger: silent,
      onSession: (peer, reason, result) =>
        this.sessions.push({ at: name, with: peer, reason, result }),
    })
    const serve = createSyncServer({
      source: () => world,
      heard: (peer, _, roots) => loop.peerHello(peer, roots),
    })
    const node = { name, world, loop, serve }
    this.nodes.set(name, node)
    loop.start()
    return node
  }

  link(a: Node, b: Node): void {
    this.#links.add(`${a.name} ${b.name}`).add(`${b.name} ${a.name}`)
    a.loop.peerSeen(b.name)
    b.loop.peerSeen(a.name)
  }

  /** As gossipsub does: to all linked peers, and on from those that accept. */
  async flood(from: PeerId, body: Uint8Array, seen = new Set([from])): Promise<void> {
    for (const node of this.nodes.values()) {
      if (!this.#links.has(`${from} ${node.name}`) || seen.has(node.name)) continue
      if (!this.gossips(from, node.name)) continue
      seen.add(node.name)
      const verdict = await node.loop.gossip(from, body)
      this.verdicts.push(verdict)
      if (verdict === 'accept') await this.flood(node.name, body, seen)
    }
  }

  async publish(node: Node, event: TestEvent): Promise<void> {
    node.world.put(event)
    await this.flood(node.name, encodeGossip(gossipOf({ ...event, kind: 'review' })))
  }

  async stop(): Promise<void> {
    await Promise.all([...this.nodes.values()].map(({ loop }) => loop.stop()))
  }
}

function line(count: number, name = 'e', sizeBytes = 100): TestEvent[] {
  const events: TestEvent[] = []
  for (let i = 1; i <= count; i++) {
    const parents = [events.at(-1)?.id ?? DATASET]
    events.push(makeEvent(`${name} ${i}`, { depth: i, parents, sizeBytes }))
  }
  return events
}

const isEqual = (a: Node, b: Node) => Buffer.compare(a.world.owner.root, b.world.owner.root) === 0

describe('the sync loop', () => {
  it('makes two peers equal as soon as they meet, and then leaves them alone', async () => {
    const net = new Net()
    const a = net.add('a', ...line(5, 'a'))
    const b = net.add('b', ...line(5, 'b'))
    net.link(a, b)
    await net.clock.advance(1_000)
    expect(isEqual(a, b)).toBe(true)
    expect(net.sessions[0]).toMatchObject({ reason: 'peer-seen' })
    const before = net.sessions.length
    expect(before).toBeLessThan(9)
    await net.clock.advance(20_000)
    expect(net.sessions.length).toBe(before)
    await net.clock.advance(100_000)
    const later = net.sessions.slice(before)
    expect(later.length).toBeGreaterThanOrEqual(1)
    for (const { reason, result } of later) {
      expect(['periodic', 'have']).toContain(reason)
      expect(result.traffic.roundTrips).toBeLessThanOrEqual(1)
    }
    await net.stop()
  })

  it('T40: brings events through a relay when their authors never meet', async () => {
    const net = new Net()
    const [a, relay, b] = [net.add('a', ...line(3)), net.add('r'), net.add('b')]
    net.link(relay, b)
    await net.clock.advance(1_000)
    net.link(a, relay)
    await net.clock.advance(2_000)
    expect(isEqual(a, b)).toBe(true)
    expect(net.sessions.some(({ at, reason }) => at === 'b' && reason === 'have')).toBe(true)
    await net.stop()
  })

  it('applies a published event everywhere without any time passing', async () => {
    const net = new Net()
    const nodes = ['a', 'b', 'c', 'd'].map((name) => net.add(name))
    const [a, b, c, d] = nodes as [Node, Node, Node, Node]
    net.link(a, b)
    net.link(b, c)
    net.link(c, d)
    await net.clock.advance(1_000)
    const [first, large] = line(2, 'large', 100_000) as [TestEvent, TestEvent]
    await net.publish(a, first)
    await net.publish(a, large)
    await settle()
    for (const node of nodes) expect(node.world.events.has(large.id)).toBe(true)
    expect(net.verdicts).toContain('accept')
    await net.stop()
  })

  it('fetches missing parents from whoever forwarded the event, at once', async () => {
    const net = new Net()
    const events = line(3)
    const a = net.add('a', ...events.slice(0, 2))
    const b = net.add('b')
    net.link(a, b)
    await net.clock.advance(1_000)
    const more = line(5).slice(3)
    net.gossips = () => false
    await net.publish(a, events[2] as TestEvent)
    await net.publish(a, more[0] as TestEvent)
    net.gossips = () => true
    await net.publish(a, more[1] as TestEvent)
    await settle()
    expect(isEqual(a, b)).toBe(true)
    expect(net.sessions.some(({ reason }) => reason === 'missing-parents')).toBe(true)
    await net.stop()
  })

  it('T41: converges without gossip, and with half of the answers lost', async () => {
    const net = new Net()
    net.gossips = () => false
    let seed = 1
    net.answers = async () => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
      if (seed > 2 ** 30) throw new Error('lost')
    }
    const [a, b] = [net.add('a', ...line(3, 'a')), net.add('b', ...line(3, 'b'))]
    net.link(a, b)
    await net.clock.advance(300_000)
    expect(isEqual(a, b)).toBe(true)
    expect(net.sessions.some(({ reason }) => reason === 'retry')).toBe(true)
    await net.stop()
  })

  it('turns to another peer when one does not answer', async () => {
    const net = new Net()
    const [a, stuck, good] = [net.add('a'), net.add('s', ...line(3)), net.add('g', ...line(3))]
    net.answers = (_, to) => (to === 's' ? new Promise<void>(() => {}) : Promise.resolve())
    net.link(a, stuck)
    await net.clock.advance(100)
    net.link(a, good)
    await net.clock.advance(5_000)
    expect(isEqual(a, good)).toBe(true)
    await net.clock.advance(60_000)
    const [session] = net.sessions.filter((each) => each.at === 'a' && each.with === 's')
    expect(session?.result).toMatchObject({ end: 'unreachable', what: 'no answer in 30000 ms' })
    await net.stop()
  })

  it('waits longer after each failure, and bans a peer that keeps lying', async () => {
    const net = new Net()
    const [a, b] = [net.add('a'), net.add('b', ...line(50))]
    b.world.blocks = async (ids) => ids.map(() => undefined)
    net.link(a, b)
    const times: number[] = []
    for (let second = 0; second < 100 && net.banned.length === 0; second++) {
      const before = net.sessions.length
      await net.clock.advance(1_000)
      if (net.sessions.slice(before).some(({ at }) => at === 'a')) times.push(second)
    }
    expect(net.banned).toContainEqual(['a', 'b'])
    const faults = net.sessions.filter(({ result }) => result.end === 'peer-fault')
    expect(faults).toHaveLength(5)
    expect(times.at(-1)).toBeGreaterThan(6)
    await net.stop()
  })

  it('holds invalid bytes against the sender of gossip, and nothing else', async () => {
    const net = new Net()
    const a = net.add('a')
    const orphan = makeEvent('orphan', { depth: 9, parents: [makeEvent('nowhere').id] })
    const gossip = (block: Uint8Array) => a.loop.gossip('b', encodeGossip({ k: 'event', block }))
    expect(await gossip(Uint8Array.of(9))).toBe('reject')
    expect(await a.loop.gossip('b', Uint8Array.of(0xff))).toBe('reject')
    expect(await gossip(orphan.block)).toBe('ignore')
    const known = makeEvent('genesis', { depth: 0 }).block
    expect(await gossip(known)).toBe('ignore')
    const roots = rootsOf(await a.world.sets())
    expect(await a.loop.gossip('b', encodeGossip({ k: 'have', roots }))).toBe('ignore')
    await net.stop()
  })

  it('syncs when asked, and tells what came of it', async () => {
    const net = new Net()
    const [a, b] = [net.add('a'), net.add('b', ...line(3))]
    net.link(a, b)
    const result = a.loop.sync('b')
    await net.clock.advance(100)
    expect(await result).toMatchObject({ end: 'equal' })
    const nobody = a.loop.sync('nobody')
    await net.clock.advance(100)
    expect(await nobody).toMatchObject({ end: 'unreachable', what: 'not connected' })
    await net.stop()
    expect(await a.loop.sync('b')).toMatchObject({ end: 'cancelled' })
  })
})
