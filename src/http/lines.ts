// Answers that grow: a long operation or a list as application/x-ndjson, one JSON object a line.
import type { ProgressOptions, ObjectInfo, Progress } from '../contract/api.ts'

export const linesType = 'application/x-ndjson'

/** Progress is news, not data: at most one line in this time. */
const PROGRESS_EVERY_MS = 100
/** An empty line after this long silence keeps connections open that hang up on silent ones. */
const HEARTBEAT_MS = 15_000

export type Operation = (
  options: ProgressOptions & { readonly onObject: (object: ObjectInfo) => void },
) => Promise<unknown>

/**
 * Runs an operation and yields its lines: {"progress"} (only the newest), {"object"}, and
 * at the end {"result"}. What the operation throws is thrown.
 */
export async function* operationLines(run: Operation, signal: AbortSignal): AsyncGenerator<string> {
  const objects: ObjectInfo[] = []
  let progress: Progress | undefined
  let progressAtMs = 0
  let news = Promise.withResolvers<void>()
  const running = run({
    signal,
    onProgress: (latest) => {
      progress = latest
      if (Date.now() - progressAtMs >= PROGRESS_EVERY_MS) news.resolve()
    },
    onObject: (object) => {
      objects.push(object)
      news.resolve()
    },
  })
  const ended = running.then(
    () => true,
    () => true,
  )
  for (;;) {
    const beat = heartbeat()
    const what = await Promise.race([ended, news.promise, beat.promise])
    beat.stop()
    news = Promise.withResolvers()
    if (what === 'silence') yield '\n'
    for (const object of objects.splice(0)) yield lineOf({ object })
    if (what === true) break
    if (progress !== undefined) {
      progressAtMs = Date.now()
      yield lineOf({ progress })
      progress = undefined
    }
  }
  yield lineOf({ result: await running })
}

/** Yields each element as {"object"}. What `list` throws is thrown. */
export async function* listLines(list: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const object of list) yield lineOf({ object })
}

/**
 * Waits for the first line, so that what fails at once is still answered with its own status, then
 * goes on; a later failure becomes the last line, made by `errorLine`.
 */
export async function startedLines(
  lines: AsyncGenerator<string>,
  errorLine: (error: unknown) => object,
): Promise<AsyncGenerator<string>> {
  const first = await lines.next()
  async function* all(): AsyncGenerator<string> {
    if (first.done === true) return
    yield first.value
    try {
      yield* lines
    } catch (error) {
      yield lineOf(errorLine(error))
    }
  }
  return all()
}

const lineOf = (value: object) => `${JSON.stringify(value)}\n`

function heartbeat(): { promise: Promise<'silence'>; stop: () => void } {
  const { promise, resolve } = Promise.withResolvers<'silence'>()
  const timer = setTimeout(() => resolve('silence'), HEARTBEAT_MS)
  return { promise, stop: () => clearTimeout(timer) }
}
