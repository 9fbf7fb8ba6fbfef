// Doing several asynchronous things at once, within bounds and in order, or group by group.
import { GonkError } from '../core/errors.ts'

export interface ConcurrencyBounds<T> {
  /** How many run at once. */
  readonly count: number
  /** What one of them costs, and how much may be spent at once; one that costs more runs alone. */
  readonly costOf?: (item: T) => number
  readonly budget?: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Applies `work` to every item, several at once, and yields the results in the order of the items.
 * When one fails, or nobody wants more results, those already begun are aborted and waited for.
 */
export async function* mapInOrder<T, R>(
  items: AsyncIterable<T> | Iterable<T>,
  work: (item: T, signal: AbortSignal) => Promise<R>,
  bounds: ConcurrencyBounds<T>,
): AsyncGenerator<R> {
  const ended = new AbortController()
  const signals = bounds.signal === undefined ? [] : [bounds.signal]
  const signal = AbortSignal.any([ended.signal, ...signals])
  const budget = bounds.budget ?? Infinity
  const running: { cost: number; result: Promise<R> }[] = []
  let spent = 0
  const oldest = async () => {
    const first = running.shift() as { cost: number; result: Promise<R> }
    const result = await first.result
    spent -= first.cost
    return result
  }
  try {
    for await (const item of items) {
      const cost = Math.min(bounds.costOf?.(item) ?? 0, budget)
      while (running.length >= bounds.count || (running.length > 0 && spent + cost > budget)) {
        yield await oldest()
      }
      const result = work(item, signal)
      result.catch(() => undefined)
      running.push({ cost, result })
      spent += cost
    }
    while (running.length > 0) yield await oldest()
  } finally {
    ended.abort()
    await Promise.allSettled(running.map(({ result }) => result))
  }
}

/** Throws the signal's reason when that is a GonkError, such as TIMEOUT, else CANCELLED. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return
  if (signal.reason instanceof GonkError) throw signal.reason
  throw new GonkError('CANCELLED', 'stopped before it was done', { cause: signal.reason })
}

/** Groups of `size` items, in order; the last one may be smaller. */
export async function* inGroups<T>(
  items: AsyncIterable<T>,
  size: number,
): AsyncGenerator<T[], void, undefined> {
  let group: T[] = []
  for await (const item of items) {
    group.push(item)
    if (group.length < size) continue
    yield group
    group = []
  }
  if (group.length > 0) yield group
}
