// The gate between what may go on at the same time and what must be alone, in virtual time.
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../src/ports.ts'
import { Gate } from '../../src/replica/gate.ts'

const HOLD_MS = 1_000
/** Holds and pauses until an exclusive task gives up. */
const PATIENCE_MS = 5 * HOLD_MS + 31_000

/** Time that passes only when nothing else can happen. */
class VirtualTime implements Clock {
  #nowMs = 0
  #timers: { atMs: number; ring: () => void }[] = []

  nowMs(): number {
    return this.#nowMs
  }

  sleep(ms: number, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = { atMs: this.#nowMs + ms, ring: resolve }
    this.#timers.push(timer)
    signal?.addEventListener('abort', () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
      reject(signal.reason as Error)
    })
    return promise
  }

  /** Rings all timers, those of a moment in the order they were set, until none is left. */
  async run(untilMs = Number.POSITIVE_INFINITY): Promise<void> {
    for (;;) {
      await new Promise(setImmediate)
      const atMs = Math.min(...this.#timers.map((timer) => timer.atMs))
      if (atMs > untilMs || atMs === Number.POSITIVE_INFINITY) return
      this.#nowMs = atMs
      const due = this.#timers.find((timer) => timer.atMs === atMs)
      this.#timers = this.#timers.filter((timer) => timer !== due)
      due?.ring()
    }
  }
}

let time: VirtualTime
let gate: Gate

beforeEach(() => {
  time = new VirtualTime()
  gate = new Gate(time)
})

const lasting = (ms: number) => () => time.sleep(ms)

/** When a task began, or how it failed. */
function told(begin: (task: () => Promise<void>) => Promise<unknown>, ms = 0) {
  const told: { beganMs?: number; endedMs?: number; code?: string } = {}
  begin(async () => {
    told.beganMs = time.nowMs()
    await time.sleep(ms)
  }).then(
    () => (told.endedMs = time.nowMs()),
    (error: { code: string }) => {
      told.endedMs = time.nowMs()
      told.code = error.code
    },
  )
  return told
}

describe('while somebody is inside for long', () => {
  test('newcomers wait a second for one who wants to be alone, and then get in', async () => {
    void gate.shared(lasting(3_600_000))
    const collector = told((task) => gate.exclusive(task))
    await time.run(100)
    const upload = told((task) => gate.shared(task))
    await time.run(HOLD_MS)
    expect(upload.beganMs).toBe(HOLD_MS)
    expect(collector.beganMs).toBeUndefined()
  })

  test('one who wants to be alone gives up in the end, and says what to do', async () => {
    void gate.shared(lasting(3_600_000))
    const alone = gate.exclusive(async () => {})
    const refused = expect(alone).rejects.toMatchObject({
      code: 'TIMEOUT',
      hint: expect.stringContaining('later') as string,
    })
    await time.run(PATIENCE_MS)
    await refused
    expect(gate.isWanted).toBe(false)
    const next = told((task) => gate.shared(task))
    await time.run(PATIENCE_MS)
    expect(next.beganMs).toBe(PATIENCE_MS)
  })

  test('the moment in which all have left is enough', async () => {
    const inside = told((task) => gate.shared(task), 4_500)
    const collector = told((task) => gate.exclusive(task), 10)
    await time.run()
    expect(collector).toEqual({ beganMs: inside.endedMs, endedMs: 4_510 })
  })

  test.each([
    ['holds newcomers back', 500],
    ['lets them in', 1_500],
  ])('the signal ends the wait at once, when it %s', async (_, atMs) => {
    void gate.shared(lasting(3_600_000))
    const stop = new AbortController()
    const collector = told((task) => gate.exclusive(task, { signal: stop.signal }))
    const second = told((task) => gate.exclusive(task, { signal: stop.signal }))
    await time.run(atMs)
    void time.sleep(atMs - time.nowMs()).then(() => stop.abort())
    const upload = told((task) => gate.shared(task))
    await time.run(atMs)
    expect(collector).toEqual({ endedMs: atMs, code: 'CANCELLED' })
    expect(second).toEqual({ endedMs: atMs, code: 'CANCELLED' })
    expect(upload.beganMs).toBeLessThanOrEqual(atMs)
    expect(gate.isWanted).toBe(false)
  })

  test('one who would rather not wait is told no', async () => {
    void gate.shared(lasting(10))
    expect(await gate.tryExclusive(async () => {})).toBe(false)
    await time.run()
    expect(await gate.tryExclusive(async () => {})).toBe(true)
  })
})

test('a task that fails leaves the gate open', async () => {
  const failing = () => Promise.reject(new Error('broken'))
  await expect(gate.shared(failing)).rejects.toThrow('broken')
  await expect(gate.exclusive(failing)).rejects.toThrow('broken')
  await expect(gate.tryExclusive(failing)).rejects.toThrow('broken')
  expect(await gate.shared(async () => 'in')).toBe('in')
  expect(await gate.exclusive(async () => 'alone')).toBe('alone')
})

const arbitraryTask = fc.record({
  kind: fc.constantFrom('shared', 'shared', 'shared', 'exclusive', 'try'),
  atMs: fc.integer({ min: 0, max: 20_000 }),
  lastsMs: fc.oneof(fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: 0, max: 60_000 })),
  abortAfterMs: fc.option(fc.integer({ min: 0, max: 40_000 }), { nil: undefined }),
})

test('nobody is beside one who is alone, and nobody waits long because another waits', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(arbitraryTask, { maxLength: 12 }), async (tasks) => {
      const time = new VirtualTime()
      const gate = new Gate(time)
      let inside = 0
      let alone = 0
      let ended = 0
      const failures: unknown[] = []
      const longestAloneMs = Math.max(
        0,
        ...tasks.map(({ kind, lastsMs }) => (kind === 'shared' ? 0 : lastsMs)),
      )
      for (const { kind, atMs, lastsMs, abortAfterMs } of tasks) {
        const stop = new AbortController()
        const begin = async () => {
          const isShared = kind === 'shared'
          const waitedMs = time.nowMs() - atMs
          if (isShared) inside++
          else alone++
          expect([inside > 0 ? 0 : 1, alone]).toEqual(isShared ? [0, 0] : [1, 1])
          if (isShared) expect(waitedMs).toBeLessThanOrEqual(HOLD_MS + longestAloneMs)
          await time.sleep(lastsMs)
          if (isShared) inside--
          else alone--
        }
        void time.sleep(atMs).then(async () => {
          if (abortAfterMs !== undefined && kind === 'exclusive')
            void time.sleep(abortAfterMs).then(() => stop.abort())
          const { signal } = stop
          const run = {
            shared: () => gate.shared(begin),
            try: () => gate.tryExclusive(begin),
            exclusive: () => gate.exclusive(begin, { signal }),
          }[kind as 'shared' | 'try' | 'exclusive']
          await run().catch((error: { code?: string }) => {
            if (error.code !== 'TIMEOUT' && error.code !== 'CANCELLED') failures.push(error)
          })
          ended++
        })
      }
      await time.run()
      expect(failures).toEqual([])
      expect([ended, inside, alone]).toEqual([tasks.length, 0, 0])
      expect(gate.isWanted).toBe(false)
    }),
    { numRuns: 300 },
  )
})
