// From publishing an event on one node until every node has applied it. Nodes are spread over a few
// processes and know a few others each, so that most hear of an event from each other.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { EventId } from '../src/core/ids.ts'
import { eventIdOfBlock } from '../src/core/ids.ts'
import { sha256 } from '../src/crypto.ts'
import { Author } from './dataset.ts'
import { type Bench, quantile } from './harness.ts'
import { startWorker, type Worker } from './worker.ts'
import type { Applied, GossipMethods } from './workers/gossip.ts'

const PROCESSES = 4
const BETWEEN_MS = 100
const DEADLINE_MS = 30_000
/** Gossipsub builds its mesh with its heartbeat of one second. */
const MESH_MS = 3_000

interface Place {
  readonly worker: Worker<GossipMethods>
  readonly index: number
  readonly address: string
}

export async function run(bench: Bench): Promise<void> {
  const count = bench.pick(5, 16)
  const published = bench.pick(20, 100) * bench.rounds
  const author = new Author(randomBytes(32))
  const workers = Array.from({ length: Math.min(PROCESSES, count) }, () =>
    startWorker<GossipMethods>('gossip'),
  )
  const places = await openNodes(bench, workers, count, author)
  const applied = new Map<EventId, { times: bigint[]; done: () => void }>()
  for (const worker of workers) {
    worker.onTold((value) => {
      const { event, atNs } = value as Applied
      const entry = applied.get(event)
      entry?.times.push(atNs)
      if (entry?.times.length === count) entry.done()
    })
  }
  const delays: number[] = []
  for (let i = 0; i < published; i++) {
    const block = author.proposal(1)
    const { promise, resolve } = Promise.withResolvers<void>()
    const times: bigint[] = []
    applied.set(eventIdOfBlock(block, sha256), { times, done: resolve })
    const { worker, index } = places[i % count] as Place
    const beganNs = await worker.call.publish(index, block)
    await Promise.race([promise, pause(DEADLINE_MS, undefined, { ref: false })])
    if (times.length < count) throw new Error(`${times.length} of ${count} nodes have event ${i}`)
    const lastNs = times.reduce((a, b) => (a > b ? a : b))
    delays.push(Number(lastNs - beganNs) / 1e6)
    await pause(BETWEEN_MS)
  }
  const peakBytes = await Promise.all(workers.map((worker) => worker.peakBytes()))
  const size = `${count} nodes in ${workers.length} processes, ${published} events`
  const common = { size, unit: 'ms' }
  bench.report({
    what: 'gossip: applied everywhere, median',
    ...common,
    samples: delays,
    goal: { atMost: 150 },
    peakBytes,
  })
  const p99 = [quantile(delays, 0.99)]
  bench.report({ what: 'gossip: p99', ...common, samples: p99, goal: { atMost: 500 } })
  await Promise.all(workers.map((worker) => worker.stop()))
}

/** Each node dials the next one in the ring and the one half way round it. */
async function openNodes(
  bench: Bench,
  workers: readonly Worker<GossipMethods>[],
  count: number,
  author: Author,
): Promise<Place[]> {
  const { dataset, genesis } = author
  const places: Place[] = []
  for (const [i, worker] of workers.entries()) {
    const share = Math.floor(count / workers.length) + (i < count % workers.length ? 1 : 0)
    const addresses = await worker.call.open(join(bench.dir, `p${i}`), share, dataset, genesis)
    places.push(...addresses.map((address, index) => ({ worker, index, address })))
  }
  for (const [i, { worker, index }] of places.entries()) {
    for (const step of new Set([1, Math.floor(count / 2)])) {
      const other = places[(i + step) % count] as Place
      await worker.call.dial(index, other.address)
    }
  }
  const deadlineMs = performance.now() + DEADLINE_MS
  for (;;) {
    const seen = await Promise.all(workers.map((worker) => worker.call.subscribers(dataset)))
    if (seen.flat().every((subscribers) => subscribers >= 2)) break
    if (performance.now() > deadlineMs) throw new Error(`subscribers: ${seen.flat().join(' ')}`)
    await pause(100)
  }
  await pause(MESH_MS)
  return places
}
