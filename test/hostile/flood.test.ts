// T45: thousands of free keys flood a dataset through two peers. Real daemons: the owner's and one that
// follows. What they keep stays under its cap, and owner events arrive as ever.
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { aWorld, type TestNode, until } from '../node/daemon.ts'
import { datasetIdOf } from '../node/bad-peer.ts'
import { manyFiles, writeFiles } from '../node/folders.ts'
import { flood, Flooder } from './flooder.ts'

const MiB = 1024 ** 2
const number = (name: string, preset: number) => Number(process.env[name] ?? preset)
const KEYS = number('SYBIL_KEYS', 100)
const EACH = number('SYBIL_PROPOSALS', 10)
const PER_SECOND = number('SYBIL_PER_SECOND', 250)
const POOL_BYTES_MAX = number('SYBIL_POOL_MIB', 1) * MiB
/** Of the database beside the pool: its own log files, tables that wait to be merged, the trees. */
const DISK_BESIDES = 96 * MiB
const RSS_GROWTH_MAX = number('SYBIL_RSS_MIB', 250) * MiB
/** Beside other tests there is no telling; alone it is 2 s, see vitest.config.ts. */
const LATENCY_MAX_MS = number('SYBIL_LATENCY_MS', 30_000)
const OWNER_EVENTS = 400
/** So many owner events are spread over the whole flood. */
const PAUSE_MS = Math.max(100, (KEYS * EACH * 1_000) / PER_SECOND / (OWNER_EVENTS - 10))

async function diskBytes(dir: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const found = await stat(join(entry.parentPath, entry.name)).catch(() => undefined)
    bytes += found?.size ?? 0
  }
  return bytes
}

/** Until something is there, looked for again and again. @returns ms */
async function arrivalOf(node: TestNode, event: string, sinceMs: number): Promise<number> {
  await until(
    `owner event ${event}`,
    () =>
      node.api.show('cells', event).then(
        () => true,
        () => false,
      ),
    60_000,
  ).catch((error: unknown) => {
    const { hasEnded } = node.daemon
    const lines = JSON.stringify(node.daemon.lines().slice(-20))
    throw new Error(`${node.name}, ${hasEnded ? 'ended' : 'running'}: ${lines}`, { cause: error })
  })
  return performance.now() - sinceMs
}

const quantile = (sorted: readonly number[], q: number) =>
  Math.round(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0)

const summaryOf = (sorted: readonly number[]) => ({
  p50: quantile(sorted, 0.5),
  p99: quantile(sorted, 0.99),
  max: quantile(sorted, 1),
})

it(
  `T45: ${KEYS} free keys × ${EACH} proposals through two peers hold up no owner`,
  { timeout: 60 * 60_000 },
  async () => {
    const world = await aWorld()
    const [o, a] = world.nodes('O', 'A')
    const env = { GONK_POOL_BYTES_MAX: String(POOL_BYTES_MAX) }
    await o.start([], env)
    await o.api.createDataset({ name: 'cells' })
    const folder = await writeFiles(join(world.dir, 'f'), manyFiles('f', OWNER_EVENTS, 100))
    const { events } = await o.api.add('cells', { paths: [folder] })
    await a.start([], env)
    const dataset = datasetIdOf((await o.api.showDataset('cells')).id)
    await a.api.clone({ ref: (await o.api.root('cells')).root, peers: [o.address] })
    const flooders = [
      await Flooder.meet(dataset, [a.address]),
      await Flooder.meet(dataset, [a.address]),
    ]
    const before = { a: await a.daemon.memory(), o: await o.daemon.memory() }

    const disk: number[] = []
    const bothDisks = () => Promise.all([o, a].map(({ home }) => diskBytes(join(home, 'log'))))
    /** What took over a second: when, in s since the test began, and how many ms. */
    const late: [number, number][] = []
    let next = 0
    /** Owner events one after the other, until there are enough. @returns ms until each is at A */
    const act = async (isEnough: (count: number) => boolean) => {
      const latencies: number[] = []
      while (next < OWNER_EVENTS && !isEnough(latencies.length)) {
        const items = [`${events[0] as string}:${next++}`]
        const { events: signed } = await o.api.review('cells', { verdict: 'accept', items })
        const ms = await arrivalOf(a, signed[0] as string, performance.now())
        latencies.push(ms)
        if (ms > 1_000) late.push([Math.round(performance.now() / 1_000), Math.round(ms)])
        if (next % 10 === 0) disk.push(...(await bothDisks()))
        await pause(PAUSE_MS)
      }
      return latencies.sort((x, y) => x - y)
    }
    const quiet = await act((count) => count === 10)
    let isOver = false
    const flooding = flood(flooders, dataset, { keys: KEYS, each: EACH, perSecond: PER_SECOND })
    const ended = flooding.finally(() => (isOver = true))
    const latencies = await act(() => isOver)
    const { sent, seconds } = await ended
    const end = Math.max(...(await bothDisks()))
    disk.push(end)
    const { peakBytes } = await a.daemon.memory()
    const [pending] = [await a.api.listReviews('cells', { status: 'pending', limit: 1_000 })]
    const figures = {
      keys: KEYS,
      sent,
      seconds: Math.round(seconds),
      ownerEvents: latencies.length,
      latencyMs: summaryOf(latencies),
      late,
      withoutFloodMs: summaryOf(quiet),
      diskMiB: { peak: Math.round(Math.max(...disk) / MiB), end: Math.round(end / MiB) },
      poolCapMiB: POOL_BYTES_MAX / MiB,
      rssMiB: { before: Math.round(before.a.nowBytes / MiB), peak: Math.round(peakBytes / MiB) },
      pending: pending.length,
    }
    process.stdout.write(`T45 ${JSON.stringify(figures)}\n`)

    expect(Math.max(...disk)).toBeLessThan(3 * POOL_BYTES_MAX + DISK_BESIDES)
    expect(peakBytes - before.a.nowBytes).toBeLessThan(RSS_GROWTH_MAX)
    expect(quantile(latencies, 0.99)).toBeLessThan(LATENCY_MAX_MS)
    expect(pending.length).toBeGreaterThan(0)
    // The flooders broke no rule: they are heard still, and what they sent is here as far as it fits.
    expect(flooders[0]?.network.peers().length).toBeGreaterThanOrEqual(1)
    await until('A has all that O has', async () => {
      const [ours, theirs] = [await a.api.root('cells'), await o.api.root('cells')]
      return ours.root === theirs.root
    })
    expect(await a.api.verify('cells')).toMatchObject({ ok: true, problems: [] })
  },
)
