// `kill -9` at random moments, of nodes that start, add, review, follow, clone, collect, release, make
// backups and serve users. What was acknowledged is there after a plain start; every now and then the
// nodes must agree, and everything is verified.
// GONK_CRASH_KILLS: how many (default 20). GONK_SEED: the seed of an earlier run.
import { afterAll, expect, it } from 'vitest'
import { bundle } from './bundle.ts'
import { Crashes, type Kill, type Kind, kinds } from './crashes.ts'
import { randomFrom } from './random.ts'

const kills = Number(process.env['GONK_CRASH_KILLS'] ?? process.env['GONK_CRASH_ROUNDS'] ?? 20)
const seed = Number(process.env['GONK_SEED'] ?? Date.now() % 1_000_000)
/** Then new homes are made, so that a kill does not come to cost more and more. */
const KILLS_PER_WORLD = 72
const KILLS_PER_CHECK = 18

const { program, remove } = await bundle()
afterAll(remove)

it(`loses nothing in ${kills} crashes`, { timeout: 120_000 + kills * 30_000 }, async () => {
  process.stdout.write(`GONK_SEED=${seed} GONK_CRASH_KILLS=${kills}\n`)
  const random = randomFrom(seed)
  const done: Kill[] = []
  const startedMs = Date.now()
  while (done.length < kills) {
    const crashes = await Crashes.create(random, program)
    try {
      for (let i = 0; i < KILLS_PER_WORLD && done.length < kills; i++) {
        const kill = await crashes.kill(kinds[done.length % kinds.length] as Kind)
        done.push(kill)
        process.stdout.write(`${done.length}/${kills} ${lineOf(kill)}\n`)
        expect(kill.lost).toEqual([])
        if ((i + 1) % KILLS_PER_CHECK === 0) await crashes.check()
      }
      await crashes.check()
    } catch (error) {
      process.stdout.write(`${crashes.describe()}\n`)
      throw error
    } finally {
      await crashes.close()
    }
  }
  const minutes = (Date.now() - startedMs) / 60_000
  process.stdout.write(`${table(done)}\n${(kills / minutes).toFixed(0)} kills a minute\n`)
})

const lineOf = ({ kind, killedAfterMs, acknowledged, readyMs }: Kill) =>
  `${kind}: killed after ${killedAfterMs} ms, ${acknowledged} events acknowledged, ` +
  `ready in ${readyMs} ms`

function table(done: readonly Kill[]): string {
  const rows = [...kinds, undefined].map((kind) => {
    const mine = done.filter((kill) => kind === undefined || kill.kind === kind)
    const events = mine.reduce((sum, { acknowledged }) => sum + acknowledged, 0)
    const lost = mine.reduce((sum, kill) => sum + kill.lost.length, 0)
    const slowest = Math.max(0, ...mine.map(({ readyMs }) => readyMs))
    return [kind ?? 'all', mine.length, events, lost, `${slowest} ms`]
  })
  const head = ['', 'kills', 'acknowledged', 'lost', 'slowest start']
  return [head, ...rows]
    .map((row) => row.map((cell) => String(cell).padStart(14)).join(''))
    .join('\n')
}
