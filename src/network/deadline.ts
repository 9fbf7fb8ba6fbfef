// A signal that fires after a time or with its parent, and that leaves no timer behind.
export interface Deadline {
  readonly signal: AbortSignal
  /** The time is up; false when it was the parent that fired. */
  readonly expired: boolean
  clear(): void
}

export function startDeadline(ms: number, parent?: AbortSignal): Deadline {
  const controller = new AbortController()
  let expired = false
  const timer = setTimeout(() => {
    expired = true
    controller.abort(new DOMException(`no answer within ${ms} ms`, 'TimeoutError'))
  }, ms)
  timer.unref()
  const onAbort = (): void => controller.abort(parent?.reason)
  if (parent?.aborted === true) onAbort()
  else parent?.addEventListener('abort', onAbort, { once: true })
  return {
    signal: controller.signal,
    get expired() {
      return expired
    },
    clear() {
      clearTimeout(timer)
      parent?.removeEventListener('abort', onAbort)
    },
  }
}
