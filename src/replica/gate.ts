// Lets many do one thing, or one do the other: files come in freely, the collector works alone.
import { Mutex } from './mutex.ts'

export class Gate {
  readonly #turn = new Mutex()
  #inside = 0
  #empty: (() => void) | undefined

  /** Runs beside other shared tasks, never beside an exclusive one. */
  async shared<T>(task: () => Promise<T>): Promise<T> {
    await this.#turn.run(async () => {
      this.#inside++
    })
    try {
      return await task()
    } finally {
      this.#inside--
      if (this.#inside === 0) this.#empty?.()
    }
  }

  /** Runs alone when no shared task is under way, else not at all. @returns whether it ran. */
  tryExclusive(task: () => Promise<void>): Promise<boolean> {
    return this.#turn.run(async () => {
      if (this.#inside > 0) return false
      await task()
      return true
    })
  }

  /** Waits for the shared tasks under way and runs alone. */
  exclusive<T>(task: () => Promise<T>): Promise<T> {
    return this.#turn.run(async () => {
      if (this.#inside > 0) await new Promise<void>((resolve) => (this.#empty = resolve))
      this.#empty = undefined
      return task()
    })
  }
}
