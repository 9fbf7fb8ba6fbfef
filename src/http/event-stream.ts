// Server-sent events from an endless list: heartbeats, an end for slow readers, errors as events.
import type { EventForm } from '../contract/route.ts'
import { GonkError } from '../core/errors.ts'

export const eventStreamType = 'text/event-stream'

/** A comment after this long silence keeps the connection open, and shows when it is not. */
const HEARTBEAT_MS = 15_000
/** What fails at once, such as a dataset that is not here, fails within this time. */
const START_MS = 100
/** A reader that takes nothing for so long is dropped; it goes on from the last event it has. */
const SLOW_MS = 30_000

export interface EventStreamOptions {
  readonly form: EventForm
  /** Asked every now and then; false ends the stream. */
  isKnown(): boolean
  /** Ends the connection of a reader that is too slow. */
  drop(): void
  /** What the last event says when the stream fails. */
  problemOf(error: unknown): object
  readonly heartbeatMs?: number
  readonly slowMs?: number
}

/**
 * Frames of `events`, each pulled when the one before is on its way: nothing piles up here. Throws
 * what fails before the first event.
 */
export async function openEvents(
  events: AsyncIterable<unknown>,
  options: EventStreamOptions,
): Promise<AsyncGenerator<string>> {
  const iterator = events[Symbol.asyncIterator]()
  const first = iterator.next()
  const start = afterMs(START_MS)
  try {
    await Promise.race([first, start.promise])
  } finally {
    start.stop()
  }
  return framesOf(iterator, first, options)
}

async function* framesOf(
  iterator: AsyncIterator<unknown>,
  first: Promise<IteratorResult<unknown>>,
  options: EventStreamOptions,
): AsyncGenerator<string> {
  const { heartbeatMs = HEARTBEAT_MS, slowMs = SLOW_MS } = options
  let pending = first
  let checkedMs = Date.now()
  try {
    yield comment
    for (;;) {
      const silence = afterMs(heartbeatMs)
      const next = await Promise.race([pending, silence.promise])
      silence.stop()
      if (Date.now() - checkedMs >= heartbeatMs) {
        checkedMs = Date.now()
        if (!options.isKnown()) throw new GonkError('UNAUTHORIZED', 'this API key was withdrawn')
      }
      if (next?.done === true) return
      const slow = setTimeout(options.drop, slowMs)
      try {
        yield next === undefined ? comment : frameOf(next.value, options.form)
      } finally {
        clearTimeout(slow)
      }
      if (next !== undefined) pending = iterator.next()
    }
  } catch (error) {
    yield `event: error\ndata: ${JSON.stringify(options.problemOf(error))}\n\n`
  } finally {
    // It may wait for something that never comes: its signal ends it.
    void Promise.resolve(iterator.return?.()).catch(() => undefined)
  }
}

const comment = ':\n\n'

function frameOf(value: unknown, { name, id }: EventForm): string {
  const key = typeof value === 'object' && value !== null ? Reflect.get(value, id) : undefined
  const line = key === undefined ? '' : `id: ${String(key).replaceAll(/[\r\n\0]/g, '')}\n`
  return `${line}event: ${name}\ndata: ${JSON.stringify(value)}\n\n`
}

function afterMs(ms: number): { promise: Promise<undefined>; stop: () => void } {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => resolve(undefined), ms)
  return { promise, stop: () => clearTimeout(timer) }
}
