// Waiting in one place for what happens in another, within one program.

/** `wait` resolves at the next `wake`; a wake that nobody waits for is remembered once. */
export class Wakeup {
  #woken = false
  #resolve: (() => void) | undefined

  wake(): void {
    this.#woken = true
    this.#resolve?.()
  }

  /** For one waiter at a time. */
  async wait(): Promise<void> {
    if (!this.#woken) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#resolve = resolve
      await promise
      this.#resolve = undefined
    }
    this.#woken = false
  }
}

/** Resolves after `ms`, without keeping the process alive; at once where that is nothing. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  if (ms <= 0) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  timer.unref()
  const onAbort = (): void => resolve()
  signal?.addEventListener('abort', onAbort, { once: true })
  await promise
  clearTimeout(timer)
  signal?.removeEventListener('abort', onAbort)
  signal?.throwIfAborted()
}

/** Resolves once everything that is ready now has had its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
