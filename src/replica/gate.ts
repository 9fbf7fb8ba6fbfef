// Lets many do one thing, or one do the other: files come in freely, the collector works alone.
import { GonkError } from '../core/errors.ts'
import { throwIfAborted } from '../files/concurrent.ts'
import type { AbortOptions, Clock } from '../ports.ts'
import { Mutex } from './mutex.ts'

/** For how long newcomers wait for somebody who wants to be alone, while others are inside still. */
const HOLD_MS = 1_000
/** Between the times when they wait. */
const PAUSES_MS = [1_000, 2_000, 4_000, 8_000, 16_000]

/**
 * `shared` tasks run beside each other, an `exclusive` one alone. Whoever is inside may stay for hours,
 * so nobody waits long because somebody else waits for that: newcomers are held back for a second, then
 * all get in, and the exclusive task goes on waiting for a moment when nobody is inside.
 */
export class Gate {
  readonly #clock: Pick<Clock, 'sleep'>
  /** One exclusive task at a time. */
  readonly #turn = new Mutex()
  #inside = 0
  /** While nobody gets in. */
  #door: { readonly opened: Promise<void>; readonly open: () => void } | undefined
  /** Called, where somebody waits for that, when the last one leaves. */
  #left: (() => void) | undefined
  #isWanted = false

  constructor(clock: Pick<Clock, 'sleep'>) {
    this.#clock = clock
  }

  /** Somebody waits to be alone: whoever is inside for long, and can leave and come back, should. */
  get isWanted(): boolean {
    return this.#isWanted
  }

  /** Runs beside other shared tasks, never beside an exclusive one. */
  async shared<T>(task: () => Promise<T>): Promise<T> {
    while (this.#door) await this.#door.opened
    this.#inside++
    try {
      return await task()
    } finally {
      this.#inside--
      if (this.#inside === 0) this.#left?.()
    }
  }

  /** Runs alone when no shared task is under way, else not at all. @returns whether it ran. */
  async tryExclusive(task: () => Promise<void>): Promise<boolean> {
    if (this.#inside > 0) return false
    return this.#turn.run(async () => {
      if (this.#inside > 0) return false
      this.#shut()
      await task().finally(() => this.#open())
      return true
    })
  }

  /**
   * Waits until no shared task is under way, and runs alone. Throws TIMEOUT after about half a minute,
   * CANCELLED.
   */
  async exclusive<T>(task: () => Promise<T>, { signal }: AbortOptions = {}): Promise<T> {
    const turn = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<void>()
    void this.#turn.run(() => {
      turn.resolve()
      return ended.promise
    })
    try {
      await unlessAborted(turn.promise, signal)
      await this.#becomeAlone(signal)
      return await task().finally(() => this.#open())
    } finally {
      ended.resolve()
    }
  }

  /** Resolves with the door shut and nobody inside; where it fails, the door is open. */
  async #becomeAlone(signal: AbortSignal | undefined): Promise<void> {
    this.#isWanted = true
    try {
      for (const pauseMs of PAUSES_MS) {
        this.#shut()
        if (await this.#isLeftWithin(HOLD_MS, signal)) return
        this.#open()
        if (await this.#isLeftWithin(pauseMs, signal)) return
      }
    } catch (error) {
      this.#open()
      throw error
    } finally {
      this.#isWanted = false
    }
    throw new GonkError('TIMEOUT', 'files are coming in, or are in use, all the time', {
      hint: 'try again later, when that is done',
    })
  }

  /** Whether everybody has left in time: then the door was shut behind the last. */
  async #isLeftWithin(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
    if (this.#inside === 0) this.#shut()
    else {
      const left = Promise.withResolvers<void>()
      const stop = new AbortController()
      this.#left = () => {
        this.#shut()
        left.resolve()
      }
      try {
        const sleep = this.#clock.sleep(ms, { signal: stop.signal })
        await unlessAborted(Promise.race([left.promise, sleep]), signal)
      } finally {
        this.#left = undefined
        stop.abort()
      }
    }
    return this.#inside === 0
  }

  #shut(): void {
    if (this.#door) return
    const { promise: opened, resolve: open } = Promise.withResolvers<void>()
    this.#door = { opened, open }
  }

  #open(): void {
    const door = this.#door
    this.#door = undefined
    door?.open()
  }
}

/** Waits, and leaves off when the signal comes: throws CANCELLED, or its reason. */
async function unlessAborted(promise: Promise<void>, signal?: AbortSignal): Promise<void> {
  throwIfAborted(signal)
  const aborted = Promise.withResolvers<void>()
  const leaveOff = () => aborted.resolve()
  signal?.addEventListener('abort', leaveOff, { once: true })
  try {
    await Promise.race([promise, aborted.promise])
  } finally {
    signal?.removeEventListener('abort', leaveOff)
  }
  throwIfAborted(signal)
}
