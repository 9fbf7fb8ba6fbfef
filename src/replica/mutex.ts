// One task at a time. Patient ones let those go first that somebody waits for, and yet get their turn.

/** So many tasks in a row go before a patient one that waits. */
const AHEAD_MAX = 16

type Start = () => Promise<void>

export class Mutex {
  /** Each in the order asked. */
  readonly #tasks: Start[] = []
  readonly #patient: Start[] = []
  #ahead = 0
  #isRunning = false

  run<T>(task: () => Promise<T>, { isPatient = false } = {}): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const start = async (): Promise<void> => {
      try {
        resolve(await task())
      } catch (error) {
        reject(error)
      }
    }
    if (isPatient) this.#patient.push(start)
    else this.#tasks.push(start)
    if (!this.#isRunning) void this.#run()
    return promise
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    // Whoever asks goes on first.
    await Promise.resolve()
    for (let start = this.#next(); start; start = this.#next()) await start()
    this.#isRunning = false
  }

  #next(): Start | undefined {
    const isTurnOfPatient = this.#tasks.length === 0 || this.#ahead >= AHEAD_MAX
    if (isTurnOfPatient && this.#patient.length > 0) {
      this.#ahead = 0
      return this.#patient.shift()
    }
    this.#ahead++
    return this.#tasks.shift()
  }
}
