// Peers that lie, are silent, or are late, among honest ones: those come to the same all the same, and
// only whoever is at fault is dropped.
import { describe, expect, it } from 'vitest'
import type { Operation } from '../../src/core/event.ts'
import { type DatasetId, eventIdOfBlock } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { GRAYLIST } from '../../src/network/conduct.ts'
import { rules } from '../../src/core/rules.ts'
import type { Replica } from '../../src/replica/replica.ts'
import { encodeGossip } from '../../src/replica/gossip-messages.ts'
import { decodeRequest, encodeResponse, type Roots } from '../../src/replica/sync-messages.ts'
import { isRejection } from '../../src/core/errors.ts'
import { aPeer, addressOf } from '../node/bad-peer.ts'
import { until } from '../node/daemon.ts'
import { ownerEventBy, reviewOf } from '../replica/subject.ts'
import { file } from '../makers.ts'
import { blockOf, signerNamed } from '../signing.ts'
import { aBareNode, type BareNode, ownerOf } from './bare-node.ts'

const DEADLINE_MS = 40_000

const idOf = (block: Uint8Array) => eventIdOfBlock(block, sha256)
const createOf = (name: string): Operation => ({ op: 'create', value: file(name) })
const rootOf = async (replica: Replica) =>
  replica.hasGenesis ? (await replica.snapshot()).root.toString() : 'nothing'

async function converge(replicas: readonly Replica[], what: string): Promise<void> {
  await until(
    what,
    async () => new Set(await Promise.all(replicas.map(rootOf))).size === 1,
    DEADLINE_MS,
  )
  expect(await rootOf(replicas[0] as Replica)).not.toBe('nothing')
}

/** Accepts something new. */
async function write(node: BareNode, dataset: DatasetId, name: string): Promise<void> {
  const replica = await node.replicaOf(dataset)
  const proposal = await replica.propose(ownerOf(node), [createOf(name)])
  await replica.act(ownerOf(node), reviewOf('accept', proposal))
}

const none: Roots = {
  owner: { root: new Uint8Array(32), count: 0 },
  pool: { root: new Uint8Array(32), count: 0 },
}

describe('T40: peers that never meet', () => {
  it('get everything through one that opened the dataset last', async () => {
    const [a, r, b] = [
      await aBareNode('A', { speed: 10 }),
      await aBareNode('R', { speed: 10 }),
      await aBareNode('B', { speed: 10 }),
    ]
    const { entry } = await a.createDataset('cells')
    await write(a, entry.id, 'before')
    const atB = await b.follow(entry.id)
    await b.network.connect(r.address)
    const atR = await r.follow(entry.id, a)
    await converge([await a.replicaOf(entry.id), atR, atB], 'B has what A wrote before')
    await write(a, entry.id, 'after')
    await converge([await a.replicaOf(entry.id), atR, atB], 'B has what A wrote after')
    expect(b.network.peers().map(({ peerId }) => peerId)).not.toContain(a.network.peerId)
  })
})

describe('T41: without gossip', () => {
  it('and with half of the answers lost, sets are compared until they are equal', async () => {
    let asked = 0
    let seed = 1
    const isLost = () => (seed = (seed * 48_271) % 2_147_483_647) % 2 === 0
    const deaf = () => ({ publish: async () => {} })
    const a = await aBareNode('A', {
      speed: 10,
      instead: deaf,
      answers: (handlers) => ({
        gossip: async () => 'ignore',
        request: async (peer, body, signal) => {
          asked++
          if (isLost()) throw new Error('lost')
          return handlers.request(peer, body, signal)
        },
      }),
    })
    const b = await aBareNode('B', { speed: 10, instead: deaf })
    const { entry } = await a.createDataset('cells')
    for (let i = 0; i < 20; i++) await write(a, entry.id, `file ${i}`)
    const atB = await b.follow(entry.id, a)
    await converge([await a.replicaOf(entry.id), atB], 'B has what A had')
    await write(a, entry.id, 'later')
    await converge([await a.replicaOf(entry.id), atB], 'B has what came later')
    expect(asked).toBeGreaterThan(4)
  })
})

describe('T43: a lying peer', () => {
  const random = (seed: number) => new Uint8Array(32).fill(seed)

  /** Says hello with these roots, and to everything else what `answer` says. */
  async function aLiar(roots: () => Roots, answer: (k: string) => Uint8Array) {
    const told = { requests: 0 }
    const liar = await aPeer({
      request: async (_, body) => {
        told.requests++
        const request = decodeRequest(body)
        if (isRejection(request)) throw new Error(request.what)
        if (request.k === 'hello') return encodeResponse({ k: 'hello', roots: roots() })
        return answer(request.k)
      },
    })
    return { liar, told }
  }

  it('that tells roots of sets it does not have is dropped, and an honest one is heard', async () => {
    const [a, b] = [await aBareNode('A', { speed: 20 }), await aBareNode('B', { speed: 20 })]
    const { entry } = await a.createDataset('cells')
    await write(a, entry.id, 'one')
    const roots: Roots = { ...none, owner: { root: random(7), count: 50 } }
    const empty = { k: 'diff' as const, roots, parts: [], events: [], more: [] }
    const { liar } = await aLiar(
      () => roots,
      () => encodeResponse({ ...empty, extra: false, cut: false }, 8),
    )
    const atB = await b.follow(entry.id)
    await b.network.connect(addressOf(liar))
    await b.network.connect(a.address)
    await converge([await a.replicaOf(entry.id), atB], 'B has what A has')
    await until('the liar is dropped', () => liar.peers().length === 0, DEADLINE_MS)
    expect(
      b.lines.filter(({ level }) => level === 'warn' || level === 'error').length,
    ).toBeLessThan(10)
    expect(b.network.peers().map(({ peerId }) => peerId)).toContain(a.network.peerId)
  })

  it('whose roots never stop changing does not keep a node busy', async () => {
    const a = await aBareNode('A', { speed: 10 })
    const { entry } = await a.createDataset('cells')
    await write(a, entry.id, 'one')
    let turn = 0
    const roots = (): Roots => ({
      owner: { root: random(turn++ % 250), count: 10 },
      pool: { root: random(9), count: 1_000 },
    })
    const { liar, told } = await aLiar(roots, () =>
      encodeResponse(
        { k: 'diff', roots: roots(), parts: [], events: [], more: [], extra: true, cut: true },
        8,
      ),
    )
    const remote = await liar.connect(a.address)
    liar.join(entry.id)
    await until('it is heard', () => liar.peersOf(entry.id).includes(remote))
    const startMs = Date.now()
    for (let i = 0; i < 40 && liar.peers().length > 0; i++) {
      await liar.publish(entry.id, encodeGossip({ k: 'have', roots: roots() }))
      await a.replicaOf(entry.id).then((replica) => replica.settled())
    }
    await until('it is dropped', () => liar.peers().length === 0, DEADLINE_MS)
    expect(told.requests).toBeLessThan(500)
    process.stdout.write(`T43 ${told.requests} requests, ${Date.now() - startMs} ms\n`)
  })

  it('that answers nothing at all keeps nobody from an honest one', async () => {
    const [a, b] = [await aBareNode('A', { speed: 10 }), await aBareNode('B', { speed: 10 })]
    const { entry } = await a.createDataset('cells')
    await write(a, entry.id, 'one')
    const mutes = []
    for (let i = 0; i < 6; i++) {
      mutes.push(await aPeer({ request: () => new Promise<never>(() => {}) }))
    }
    const atB = await b.follow(entry.id)
    for (const mute of mutes) await b.network.connect(addressOf(mute))
    await b.network.connect(a.address)
    await converge([await a.replicaOf(entry.id), atB], 'B has what A has')
  })
})

describe('T44: a relay', () => {
  it('of late and of just voided events keeps its good name', async () => {
    const a = await aBareNode('A', { speed: 10 })
    const { entry, replica } = await a.createDataset('cells')
    const owner = ownerOf(a)
    const second = signerNamed('second')
    const genesis = (await replica.snapshot()).heads[0]
    const add = await replica.act(owner, { kind: 'add', key: second.publicKey })
    const relay = await aPeer()
    const remote = await relay.connect(a.address)
    relay.join(entry.id)
    await until('it is heard', () => relay.peersOf(entry.id).includes(remote))
    // The second owner works on what the first knew before; meanwhile it is removed.
    const tag = (i: number) => ({
      kind: 'release' as const,
      tag: `t${i}`,
      root: new Uint8Array([1, 0x71, 0x12, 0x20, ...new Uint8Array(32).fill(i)]),
    })
    if (add.family !== 'owner') throw new Error('not an owner event')
    const chain = [ownerEventBy(second, entry.id, tag(0), [add], add)]
    for (let i = 1; i < 5; i++) {
      chain.push(ownerEventBy(second, entry.id, tag(i), [chain.at(-1) ?? add], add))
    }
    await replica.act(owner, { kind: 'remove', key: second.publicKey })
    // Children before parents, and the parents never: then all in order.
    for (const { block } of chain.toReversed()) {
      await relay.publish(entry.id, encodeGossip({ k: 'event', block }))
    }
    for (const [i, { block }] of chain.entries()) {
      const again = encodeGossip({ k: 'event', block })
      await relay.publish(entry.id, again)
      const isHere = async () => (await replica.log.header(chain[i]?.id ?? add.id)) !== undefined
      // What was heard before is not passed on twice by gossip: it comes as from a session.
      await replica.submit([block], { peer: relay.peerId, isNews: true })
      await until('it is here', isHere)
    }
    expect(await replica.log.areVoid(chain.map(({ id }) => id))).toEqual(chain.map(() => true))
    expect(genesis).toBeDefined()
    expect(a.network.score(relay.peerId)).toBe(0)
    expect(a.network.peers()).toHaveLength(1)
  })

  it('of bad signatures is not heard any more after a few', async () => {
    const a = await aBareNode('A')
    const { entry } = await a.createDataset('cells')
    const mallory = await aPeer()
    const remote = await mallory.connect(a.address)
    mallory.join(entry.id)
    await until('it is heard', () => mallory.peersOf(entry.id).includes(remote))
    const honest = await aPeer()
    await honest.connect(a.address)
    const signer = signerNamed('mallory')
    const lying = {
      ...signer,
      sign: (bytes: Uint8Array) => signer.sign(Uint8Array.of(...bytes, 1)),
    }
    const draft = { family: 'proposal' as const, dataset: entry.id, operations: [createOf('x')] }
    const say = (block: Uint8Array) =>
      mallory.publish(entry.id, encodeGossip({ k: 'event', block }))
    const scoreOf = () => a.network.score(mallory.peerId)
    const startMs = performance.now()
    let sent = 0
    while (scoreOf() > GRAYLIST && sent < 100) {
      const before = scoreOf()
      await say(blockOf({ ...draft, claimedAtMs: sent++ }, lying))
      await until('it is judged', () => scoreOf() < before)
    }
    const ms = Math.round(performance.now() - startMs)
    process.stdout.write(`T44 bad signatures: ignored after ${sent} messages, ${ms} ms\n`)
    expect(sent).toBe(3)
    // From here on nothing of it is heard, while others are.
    const replica = await a.replicaOf(entry.id)
    const good = blockOf({ ...draft, claimedAtMs: 1_000 }, signer)
    await say(good)
    honest.join(entry.id)
    await until('it is heard', () => honest.peersOf(entry.id).length > 0)
    const other = blockOf({ ...draft, claimedAtMs: 2_000 }, signer)
    await honest.publish(entry.id, encodeGossip({ k: 'event', block: other }))
    await until('the other is here', async () => (await replica.log.countPending()) > 0)
    expect(await replica.log.hasMany([idOf(good), idOf(other)])).toEqual([false, true])
    expect(a.network.score(honest.peerId)).toBe(0)
  })
})

describe('T53: a node that derives another state from the same events', () => {
  it('raises an alarm within one period of its peers, and honest ones raise none', async () => {
    const wrong = {
      ...rules,
      decide: (count: number, reviews: readonly unknown[]) =>
        reviews.length > 0 ? [{ from: 0, to: count - 1, status: 'pending' as const }] : [],
    }
    const [a, b] = [await aBareNode('A', { speed: 20 }), await aBareNode('B', { speed: 20 })]
    const { entry } = await a.createDataset('cells')
    await write(a, entry.id, 'one')
    const atB = await b.follow(entry.id, a)
    await converge([await a.replicaOf(entry.id), atB], 'B follows')
    const c = await aBareNode('C', { speed: 20, rules: wrong })
    const atC = await c.follow(entry.id, a)
    await c.network.connect(b.address)
    const ownersOf = async (replica: Replica) => (await replica.eventSets()).owner.root?.toString()
    await until(
      'C has the events',
      async () => (await ownersOf(atC)) === (await ownersOf(await a.replicaOf(entry.id))),
      DEADLINE_MS,
    )
    const startMs = performance.now()
    const suspects = (node: BareNode) => node.live.rootAlarms(entry.id).map(({ peer }) => peer)
    await until('A suspects C', () => suspects(a).includes(c.network.peerId), DEADLINE_MS)
    // Half a minute to a minute, twenty times as fast, on a machine with much else to do.
    expect(performance.now() - startMs).toBeLessThan(20_000)
    await until('C suspects A', () => suspects(c).includes(a.network.peerId), DEADLINE_MS)
    expect(suspects(a)).not.toContain(b.network.peerId)
    expect(suspects(b)).not.toContain(a.network.peerId)
    expect(a.lines.filter(({ code }) => code === 'ROOT_DIFFERS').length).toBeGreaterThan(0)
    expect(a.network.score(c.network.peerId)).toBe(0)
  })
})
