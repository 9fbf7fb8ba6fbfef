// A part of a benchmark in a process of its own, called like an object. A worker module ends with
// `serve(methods)` and exports the type of its methods; values cross as structured clones.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { memoryOf } from './harness.ts'

type Methods = Record<string, (...args: never[]) => Promise<unknown>>

interface Call {
  readonly id: number
  readonly method: string
  readonly args: readonly unknown[]
}

interface Answer {
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

export interface Worker<M> {
  readonly call: M
  readonly pid: number
  /** VmHWM so far. */
  peakBytes(): Promise<number>
  /** Values the worker sends unasked. */
  onTold(listener: (value: unknown) => void): void
  stop(): Promise<void>
}

/** Starts `workers/NAME.ts`. It ends with this process at the latest. */
export function startWorker<M extends Methods>(name: string): Worker<M> {
  const path = join(import.meta.dirname, 'workers', `${name}.ts`)
  const child = fork(path, [], { serialization: 'advanced' })
  const waiting = new Map<number, (answer: Answer) => void>()
  const listeners: ((value: unknown) => void)[] = []
  let nextId = 0
  child.on('message', (message: Answer | { told: unknown }) => {
    if ('told' in message) for (const listener of listeners) listener(message.told)
    else waiting.get(message.id)?.(message)
  })
  child.on('exit', () => {
    for (const [id, answer] of waiting) answer({ id, error: `worker ${name} ended` })
  })
  const call = new Proxy({} as M, {
    get:
      (_, method) =>
      async (...args: unknown[]) => {
        const id = nextId++
        const answered = new Promise<Answer>((resolve) => waiting.set(id, resolve))
        child.send({ id, method: String(method), args } satisfies Call)
        const { result, error } = await answered
        waiting.delete(id)
        if (error !== undefined) throw new Error(`${name}.${String(method)}: ${error}`)
        return result
      },
  })
  const pid = child.pid as number
  return {
    call,
    pid,
    peakBytes: async () => (await memoryOf(pid)).peakBytes,
    onTold: (listener) => void listeners.push(listener),
    stop: () => stop(child),
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

/** In the worker: answers calls until the parent goes. */
export function serve(methods: Methods): void {
  process.on('message', async ({ id, method, args }: Call) => {
    try {
      const result = await (methods[method] as (...args: unknown[]) => Promise<unknown>)(...args)
      process.send?.({ id, result } satisfies Answer)
    } catch (error) {
      process.send?.({ id, error: (error as Error).stack ?? String(error) } satisfies Answer)
    }
  })
  process.on('disconnect', () => process.exit())
}

/** In the worker: sends a value the parent did not ask for. */
export function tell(value: unknown): void {
  process.send?.({ told: value })
}
