// Which things have changed, for one reader that takes its time: each is remembered once.

export class Waker<T> {
  readonly #changed = new Set<T>()
  #wake: () => void = () => {}

  wake(thing: T): void {
    this.#changed.add(thing)
    this.#wake()
  }

  /** What changed first; waits for a change when there is none. Undefined when `signal` fires. */
  async next(signal?: AbortSignal): Promise<T | undefined> {
    if (this.#changed.size === 0 && signal?.aborted !== true) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      const onAbort = () => resolve()
      signal?.addEventListener('abort', onAbort, { once: true })
      await promise
      signal?.removeEventListener('abort', onAbort)
    }
    if (signal?.aborted === true) return undefined
    const [first] = this.#changed
    if (first !== undefined) this.#changed.delete(first)
    return first
  }
}
