// T47: peers that want a node's memory, its connections or its time. Real daemons: A is attacked, B
// follows it. After each attack A answers, what it writes reaches B, and its memory is as it was.
import * as dagCbor from '@ipld/dag-cbor'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { cidBytesOf, type DatasetId } from '../../src/core/ids.ts'
import { topicOf } from '../../src/network/gossip.ts'
import type { Host } from '../../src/network/host.ts'
import { BLOCKS_PROTOCOL, SYNC_PROTOCOL } from '../../src/network/versions.ts'
import { encodeGossip } from '../../src/replica/gossip-messages.ts'
import { blockOf } from '../signing.ts'
import { aStranger, datasetIdOf } from '../node/bad-peer.ts'
import { type TestNode, until, World } from '../node/daemon.ts'
import { manyFiles, writeFiles } from '../node/folders.ts'
import { aFreeProposal, freeKey } from './flooder.ts'

const MiB = 1024 ** 2
const RSS_GROWTH_MAX = 150 * MiB
const HONEST_MS = 15_000
const GOSSIP = '/meshsub/1.2.0'

let world: World
let a: TestNode
let b: TestNode
let id: DatasetId
let rssBefore: number
let written = 0

beforeAll(async () => {
  world = await World.create()
  ;[a, b] = world.nodes('A', 'B')
  await a.start()
  await a.api.createDataset({ name: 'cells' })
  await write()
  await b.start()
  await b.api.clone({ ref: (await a.api.root('cells')).root, peers: [a.address] })
  id = datasetIdOf((await a.api.showDataset('cells')).id)
  await honestWork()
  rssBefore = (await a.daemon.memory()).nowBytes
})

afterAll(() => world.close())

async function write(): Promise<string> {
  const name = `honest-${written++}`
  const folder = await writeFiles(join(world.dir, name), manyFiles(name, 1, 100))
  await a.api.add('cells', { paths: [folder], accept: true })
  return (await a.api.root('cells')).root
}

/** What A writes reaches B. @returns ms */
async function honestWork(): Promise<number> {
  const root = await write()
  const startMs = performance.now()
  await until('B follows', async () => (await b.api.root('cells')).root === root, HONEST_MS)
  return Math.round(performance.now() - startMs)
}

async function survives(what: string): Promise<void> {
  const ms = await honestWork()
  expect((await fetch(`${a.daemon.ready.url}/healthz`)).status).toBe(200)
  const grown = (await a.daemon.memory()).nowBytes - rssBefore
  process.stdout.write(
    `T47 ${what}: honest event in ${ms} ms, RSS +${Math.round(grown / MiB)} MiB\n`,
  )
  expect(grown).toBeLessThan(RSS_GROWTH_MAX)
}

const dial = async (from: Host, protocol: string) =>
  from.dialProtocol(multiaddr(a.address), protocol)

/** Subscribed, and heard by A. */
async function aTalker(): Promise<{ host: Host; say: (body: Uint8Array) => Promise<unknown> }> {
  const host = await aStranger()
  const topic = topicOf(id)
  const { pubsub } = host.services
  pubsub.subscribe(topic)
  await host.dial(multiaddr(a.address))
  await until('subscribed', () => pubsub.getSubscribers(topic).length > 0)
  return { host, say: (body) => pubsub.publish(topic, body) }
}

const linesOf = (host: Host) => {
  const peer = host.peerId.toString()
  return a.daemon.lines().filter((line) => line['peer'] === peer)
}

it('T47: RPCs with thousands of subscriptions are cut, and cost little', async () => {
  for (const count of [5_000, 20_000]) {
    const host = await aStranger()
    for (let i = 0; i < count; i++) host.services.pubsub.subscribe(`/topic/${count}/${i}`)
    await host.dial(multiaddr(a.address))
    // What it says after that is read after that.
    const topic = topicOf(id)
    host.services.pubsub.subscribe(topic)
    await until('it hears A', () => host.services.pubsub.getSubscribers(topic).length > 0)
  }
  await survives('5,000 and 20,000 subscriptions')
})

/** Sends until the stream ends or nothing more is taken. @returns bytes that were taken */
async function sendWithoutEnd(stream: Stream, piece: Uint8Array): Promise<number> {
  let taken = 0
  while (stream.status === 'open' && taken < 256 * MiB) {
    if (!stream.send(piece)) {
      const signal = AbortSignal.timeout(2_000)
      const goesOn = await Promise.race([
        once(stream as never, 'drain', { signal }),
        once(stream as never, 'close', { signal }),
      ]).then(
        () => true,
        () => false,
      )
      if (!goesOn) return taken
    }
    taken += piece.length
  }
  return taken
}

const endless: [string, string][] = [
  ['gossip', GOSSIP],
  ['a request', SYNC_PROTOCOL],
  ['a question for blocks', BLOCKS_PROTOCOL],
]
it.each(endless)('T47: %s without end is cut off or left unread', async (what, protocol) => {
  const host = await aStranger()
  const stream = await dial(host, protocol)
  // The first bytes claim a length that is not allowed.
  stream.send(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x7f))
  const taken = await sendWithoutEnd(stream, new Uint8Array(randomBytes(256 * 1024)))
  await survives(`${what} without end: ${taken / MiB} MiB taken, then ${stream.status}`)
  expect(taken).toBeLessThan(8 * MiB)
})

const event = (block: Uint8Array) => encodeGossip({ k: 'event', block })
const bombs: [string, () => Uint8Array][] = [
  ['lists in lists', () => event(new Uint8Array(16_000).fill(0x81))],
  ['a list of 2^20 parents that are not there', () => event(parentsBomb())],
  [
    'a length of 1 GiB in 1 KiB',
    () => event(Uint8Array.of(0x5a, 0x40, 0, 0, 0, ...new Uint8Array(1_000))),
  ],
  ['the same event in another encoding', () => event(notCanonical())],
  ['bytes that are no message', () => new Uint8Array(randomBytes(1_000))],
]

function parentsBomb(): Uint8Array {
  const head = dagCbor.encode({ v: 1, k: 'release' })
  return new Uint8Array([0xa3, ...head.subarray(1), 0x61, 0x70, 0x9a, 0, 0x10, 0, 0])
}

function notCanonical(): Uint8Array {
  const block = aFreeProposal(freeKey(1), id, 1)
  // The head of the outer map with a length of its own.
  return new Uint8Array([0xb8, (block[0] as number) & 31, ...block.subarray(1)])
}

it.each(bombs)(
  'T47: %s: refused at once, and the sender not heard any more',
  async (what, bomb) => {
    const { host, say } = await aTalker()
    const startMs = performance.now()
    let sent = 0
    const faults = () => linesOf(host).filter(({ code }) => code === 'BAD_EVENT').length
    for (; sent < 3; sent++) await say(variantOf(bomb(), sent))
    await until('it is held against the sender', () => faults() > 0)
    process.stdout.write(`T47 ${what}: ${Math.round(performance.now() - startMs)} ms\n`)
    await survives(what)
  },
)

/** Other bytes each time, since gossip drops what it knows. */
function variantOf(message: Uint8Array, number: number): Uint8Array {
  return number === 0 ? message : new Uint8Array([...message, number])
}

it('T47: a flood of orphans by free keys keeps nobody waiting and is held against nobody', async () => {
  const { host, say } = await aTalker()
  for (let i = 0; i < 3_000; i++) {
    const block = blockOf(
      {
        ...{ family: 'owner', dataset: id, tenure: 'f0' as never, depth: 5, claimedAtMs: i },
        parents: [randomBytes(32).toString('hex') as never],
        body: { kind: 'release', tag: `t${i}`, root: cidBytesOf(id) },
      },
      freeKey(i % 50),
    )
    await say(event(block))
  }
  await survives('3,000 orphans')
  expect(linesOf(host).filter(({ message }) => message === 'peer banned')).toEqual([])
})

it('T47: connections that never say who they are keep nobody out', async () => {
  const [, , host, , port] = a.address.split('/')
  const sockets: Socket[] = []
  // Counted when they connect: one that was closed since does not say any more that it had.
  let arrived = 0
  for (let i = 0; i < 300; i++) {
    const socket = connect(Number(port), host, () => arrived++)
    socket.on('error', () => {})
    sockets.push(socket)
  }
  await until('they are there', () => arrived === sockets.length)
  const honest = await aStranger()
  const connects = () =>
    honest.dial(multiaddr(a.address)).then(
      () => true,
      () => false,
    )
  const startMs = performance.now()
  await until('an honest peer gets in', connects, 40_000)
  process.stdout.write(
    `T47 300 half-open: in after ${Math.round(performance.now() - startMs)} ms\n`,
  )
  await survives('300 half-open connections')
  for (const socket of sockets) socket.destroy()
}, 90_000)

it('T47: streams that are opened and left, or fed byte by byte, are ended', async () => {
  const host = await aStranger()
  await host.dial(multiaddr(a.address))
  const open = [SYNC_PROTOCOL, BLOCKS_PROTOCOL].flatMap((protocol) =>
    Array.from({ length: 30 }, () => dial(host, protocol).catch(() => undefined)),
  )
  const streams = (await Promise.all(open)).filter((stream) => stream !== undefined)
  for (const stream of streams) if (stream.status === 'open') stream.send(Uint8Array.of(0))
  await survives(`${streams.length} streams left open`)
  await until(
    'most are reset',
    () => streams.filter(({ status }) => status === 'open').length <= 24,
  )
})

it('T47: after all of that the log is short, and B is what A is', async () => {
  expect(a.daemon.lines().length).toBeLessThan(300)
  expect(await b.api.verify('cells')).toMatchObject({ ok: true, problems: [] })
})
