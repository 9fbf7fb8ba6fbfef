// The life of the worker process: started when there is work, ended when one step of it takes too
// much time or memory, and when there has been nothing to do for a while. A process and no thread:
// what a hostile pattern makes V8 do cannot always be interrupted, and a thread out of memory may
// take its process along.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { GonkError } from '../core/errors.ts'
import type { Conformance } from '../ports.ts'
import type { Limits, Report, SchemaAnswer, Task } from './messages.ts'

export interface WorkerOptions extends Limits {
  /** Processor time for compiling one schema, or for one document. */
  readonly stepMsMax: number
  readonly heapMiBMax: number
  readonly idleMs: number
}

/** How far one task came. The first step without an answer is the one that was under way. */
export interface Outcome {
  readonly schema: SchemaAnswer | undefined
  readonly documents: readonly Conformance[]
  readonly end: 'done' | 'time' | 'death'
  /** The process had done nothing before, so that whatever it ran out of went into this task. */
  readonly isFirst: boolean
}

interface Running {
  readonly process: ChildProcess
  /** Of the process, in its whole life, as it said last. */
  cpuMs: number
  tasks: number
}

/** On a machine with other work a step may wait for a processor, but not for ever. */
const WALL_TIME_FACTOR = 10

/** One task at a time: `run` is called again only after it has resolved. */
export class ValidationWorker {
  readonly #options: WorkerOptions
  #running: Running | undefined
  #idle: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(options: WorkerOptions) {
    this.#options = options
  }

  /** Throws INTERNAL when the process cannot start. */
  async run(task: Task): Promise<Outcome> {
    clearTimeout(this.#idle)
    const running = (this.#running ??= await this.#start())
    running.process.ref()
    running.process.channel?.ref()
    const outcome = await work(running, task, this.#options)
    if (outcome.end === 'done') {
      running.process.unref()
      running.process.channel?.unref()
      this.#idle = setTimeout(() => void this.#end(), this.#options.idleMs).unref()
    } else {
      await this.#end()
    }
    return outcome
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#end()
  }

  async #start(): Promise<Running> {
    const running = await start(this.#options)
    if (this.#isClosed) {
      await killed(running.process)
      throw new GonkError('CANCELLED', 'the node stops: schemas are checked no more')
    }
    return running
  }

  async #end(): Promise<void> {
    const running = this.#running
    this.#running = undefined
    clearTimeout(this.#idle)
    if (running !== undefined) await killed(running.process)
  }
}

/** Resolves when the process has loaded all it needs. */
async function start(options: WorkerOptions): Promise<Running> {
  // .ts in the repository, .js in the library and beside the command.
  const file = new URL(`./validation-worker${extname(import.meta.url)}`, import.meta.url)
  const { schemaBytesMax, schemaDepthMax, documentBytesMax, documentDepthMax } = options
  const limits: Limits = { schemaBytesMax, schemaDepthMax, documentBytesMax, documentDepthMax }
  // Ajv's work on a wide schema is deep. Where the system gives less stack, the process dies of it.
  const memory = [`--max-old-space-size=${options.heapMiBMax}`, '--stack-size=3900']
  const worker = fork(file, [JSON.stringify(limits)], {
    // It may read its code; it cannot write a file or start a program.
    execArgv: ['--permission', '--allow-fs-read=*', '--allow-worker', ...memory],
    env: {},
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  const { promise, resolve, reject } = Promise.withResolvers<Running>()
  const failed = (cause: unknown) =>
    reject(new GonkError('INTERNAL', 'the process that checks schemas does not start', { cause }))
  worker.once('message', (report) => {
    resolve({ process: worker, cpuMs: (report as Report).cpuMs, tasks: 0 })
  })
  // Both stay: a process that dies later has nobody else to tell.
  worker.on('error', failed)
  worker.on('exit', failed)
  return promise
}

async function killed(worker: ChildProcess): Promise<void> {
  if (worker.exitCode !== null || worker.signalCode !== null) return
  const gone = once(worker, 'exit')
  worker.ref()
  worker.kill('SIGKILL')
  await gone
}

function work(running: Running, task: Task, { stepMsMax }: WorkerOptions): Promise<Outcome> {
  const worker = running.process
  const isFirst = running.tasks++ === 0
  const documents: Conformance[] = []
  let schema: SchemaAnswer | undefined
  let sinceMs = performance.now()
  let timer: NodeJS.Timeout | undefined
  let isOver = false
  const { promise, resolve } = Promise.withResolvers<Outcome>()
  const finish = (end: Outcome['end']) => {
    isOver = true
    clearTimeout(timer)
    worker.off('message', hear)
    worker.off('exit', died)
    resolve({ schema, documents, end, isFirst })
  }
  const died = () => finish('death')
  const hear = (message: unknown) => {
    const report = message as Report
    sinceMs = performance.now()
    running.cpuMs = report.cpuMs
    if (report.step === 'schema') schema = report.answer
    if (report.step === 'document') documents.push(report.answer)
    if (report.step === 'done') finish('done')
  }
  const look = async () => {
    const lookedAtMs = performance.now()
    const tookMs = lookedAtMs - sinceMs
    const usedMs = tookMs < stepMsMax ? tookMs : (await cpuMsOf(worker.pid)) - running.cpuMs
    if (isOver) return
    // Answers wait while this thread is busy, and may have come just now.
    if (sinceMs > lookedAtMs) watch(stepMsMax)
    else if (usedMs < stepMsMax && tookMs < stepMsMax * WALL_TIME_FACTOR) watch(stepMsMax - usedMs)
    else finish('time')
  }
  const watch = (ms: number) => {
    timer = setTimeout(() => void look(), Math.max(ms, 10))
  }
  worker.on('message', hear)
  worker.on('exit', died)
  watch(stepMsMax)
  worker.send(task, (error) => {
    if (error !== null) died()
  })
  return promise
}

/**
 * Processor time of the whole life of a process. Where the system does not tell, Infinity: then the
 * time that has passed is what counts.
 */
async function cpuMsOf(pid: number | undefined): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // Behind the name, which may hold anything: utime and stime are fields 14 and 15, in 1/100 s.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const cpuMs = (Number(fields[11]) + Number(fields[12])) * 10
  return Number.isFinite(cpuMs) ? cpuMs : Infinity
}
