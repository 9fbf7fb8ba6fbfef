// The worker process in which schemas are compiled and documents checked. Its name is that of the
// file the build makes of it, beside the command.
import { Worker } from 'node:worker_threads'
import { type Compiled, compile } from './compile.ts'
import type { Limits, Report, Task } from './messages.ts'

/** Compiled schemas kept, and how many bytes of schema they may come from: they grow manyfold. */
const COMPILED_MAX = 64
const COMPILED_BYTES_MAX = 1024 * 1024
/** After this long in one task others have a turn. */
const TURN_MS = 100

/** In a thread of its own, because a hostile pattern keeps this one from hearing that its parent died. */
const ORPHAN_WATCH = `
const parent = process.ppid
setInterval(() => process.ppid === parent || process.kill(process.pid, 'SIGKILL'), 1_000)
`

type Said<R = Report> = R extends Report ? Omit<R, 'cpuMs'> : never

const limits = JSON.parse(process.argv[2] as string) as Limits
const kept = new Map<string, { compiled: Compiled; sizeBytes: number }>()

// A terminal sends its signals to both: the parent decides when this ends.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
process.on('disconnect', () => process.exit())
process.on('message', (task) => void work(task as Task))
new Worker(ORPHAN_WATCH, { eval: true, execArgv: [] }).unref()
await say({ step: 'ready' })

async function work({ key, schema, documents }: Task): Promise<void> {
  const endMs = performance.now() + TURN_MS
  const { answer, check } = compiledOf(key, schema)
  await say({ step: 'schema', answer })
  for (const document of documents) {
    await say({ step: 'document', answer: check(document) })
    if (performance.now() > endMs) break
  }
  await say({ step: 'done' })
}

/** Resolves when the parent can read it, whatever this process does next. */
function say(said: Said): Promise<void> {
  const { user, system } = process.cpuUsage()
  const report = { ...said, cpuMs: (user + system) / 1000 }
  return new Promise((resolve) => process.send?.(report, undefined, {}, () => resolve()))
}

function compiledOf(key: string, schema: Uint8Array): Compiled {
  const known = kept.get(key)
  const compiled = known?.compiled ?? compile(schema, limits)
  // The one used last is the last to go.
  kept.delete(key)
  kept.set(key, { compiled, sizeBytes: schema.length })
  let sizeBytes = [...kept.values()].reduce((sum, entry) => sum + entry.sizeBytes, 0)
  for (const [oldest, entry] of kept) {
    if (kept.size <= COMPILED_MAX && sizeBytes <= COMPILED_BYTES_MAX) break
    kept.delete(oldest)
    sizeBytes -= entry.sizeBytes
  }
  return compiled
}
