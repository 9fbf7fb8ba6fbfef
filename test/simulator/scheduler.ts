// Virtual time. Everything that takes time waits here, and one thing happens after the other: a step is
// one of them with all that follows from it at once (promises). No real timer, no thread.
import type { Clock } from '../../src/ports.ts'
import { GonkError } from '../../src/core/errors.ts'
import type { Choices } from '../reference/generator.ts'

interface Due {
  readonly atMs: number
  /** Things of the same time come in an order that only the seed knows. */
  readonly tie: number
  run: (() => void) | undefined
}

/** Takes back what was scheduled. */
export type Cancel = () => void

/** The time that all clocks without skew show at the start. */
const EPOCH_MS = 1_700_000_000_000

export class Scheduler {
  /** Things that happened so far. */
  steps = 0
  nowMs = 0
  /** Of the order and the times of all that happened: equal for equal runs. */
  trace = 0
  readonly #choices: Choices
  readonly #heap: Due[] = []

  constructor(choices: Choices) {
    this.#choices = choices
  }

  get waiting(): number {
    return this.#heap.length
  }

  in(ms: number, run: () => void): Cancel {
    const due: Due = { atMs: this.nowMs + ms, tie: this.#choices.below(2 ** 31), run }
    push(this.#heap, due)
    return () => (due.run = undefined)
  }

  /**
   * Lets things happen until `isDone`, asked after each.
   * @returns false when more than `stepsMax` happened before, or nothing is left to happen.
   */
  async run(isDone: () => boolean, stepsMax: number): Promise<boolean> {
    await settled()
    for (const end = this.steps + stepsMax; !isDone();) {
      if (this.steps >= end) return false
      const due = pop(this.#heap)
      if (due === undefined) return false
      if (due.run === undefined) continue
      this.steps++
      this.nowMs = due.atMs
      this.trace = (Math.imul(this.trace, 31) + due.tie + Math.floor(due.atMs)) | 0
      due.run()
      await settled()
    }
    return true
  }

  /** Lets things happen until `task` has an outcome, which it returns or throws. */
  async until<T>(task: Promise<T>, stepsMax: number): Promise<T> {
    let isOver = false
    const over = () => (isOver = true)
    task.then(over, over)
    if (!(await this.run(() => isOver, stepsMax))) throw new Error('it comes to no end')
    return task
  }

  /**
   * The clock of one process.
   * @param skewMs how much it is ahead, which may change.
   * @param isAlive sleepers of a process that has ended never wake.
   */
  clock(skewMs: () => number, isAlive: () => boolean): Clock {
    return {
      nowMs: () => EPOCH_MS + Math.floor(this.nowMs + skewMs()),
      sleep: (ms, { signal } = {}) =>
        new Promise((resolve, reject) => {
          const aborted = () => reject(new GonkError('CANCELLED', 'aborted'))
          if (signal?.aborted === true) return aborted()
          const onAbort = () => {
            cancel()
            aborted()
          }
          const cancel = this.in(Math.max(0, ms), () => {
            signal?.removeEventListener('abort', onAbort)
            if (isAlive()) resolve()
          })
          signal?.addEventListener('abort', onAbort, { once: true })
        }),
    }
  }
}

/** Until all promises that can settle have. */
function settled(): Promise<void> {
  return new Promise<void>((resolve) => setImmediate(resolve))
}

const isBefore = (a: Due, b: Due): boolean => (a.atMs !== b.atMs ? a.atMs < b.atMs : a.tie < b.tie)

function push(heap: Due[], due: Due): void {
  let i = heap.length
  heap.push(due)
  while (i > 0) {
    const up = (i - 1) >> 1
    const parent = heap[up] as Due
    if (!isBefore(due, parent)) break
    heap[i] = parent
    i = up
  }
  heap[i] = due
}

function pop(heap: Due[]): Due | undefined {
  const top = heap[0]
  const last = heap.pop()
  if (top === undefined || last === undefined || heap.length === 0) return top
  let i = 0
  for (;;) {
    let down = 2 * i + 1
    if (down >= heap.length) break
    if (down + 1 < heap.length && isBefore(heap[down + 1] as Due, heap[down] as Due)) down++
    if (!isBefore(heap[down] as Due, last)) break
    heap[i] = heap[down] as Due
    i = down
  }
  heap[i] = last
  return top
}
