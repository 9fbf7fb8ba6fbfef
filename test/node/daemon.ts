// Nodes as processes of their own: homes in one temporary directory, commands run as a user runs
// them, daemons on free ports of 127.0.0.1. What a world starts, it ends.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import type { NodeApi, Role, UserWithKey } from '../../src/contract/api.ts'
import { createClient } from '../../src/client/client.ts'
import type { Ready } from '../../src/daemon.ts'
import { readDaemonFile } from '../../src/home.ts'

const launcher = new URL('../../bin/gonk-node.js', import.meta.url).pathname
/** Far more than a daemon needs to start or to stop, on a machine with much else to do. */
const START_STOP_MS = 40_000
/** What `start` tells a person. */
const notes = /^gonk-node: (made a new home|stopping)/
const FREE_PORTS = ['--http', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0']

/** One line of a daemon's log; `msg` holds the text of what is no JSON. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly level?: string }

export interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A command under way. */
export interface Running {
  readonly ended: Promise<Outcome>
  kill(signal?: NodeJS.Signals): void
}

/** Polls until `condition` gives something true, and returns it; fails after `deadlineMs`. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  deadlineMs = 20_000,
): Promise<NonNullable<T>> {
  const giveUpAtMs = Date.now() + deadlineMs
  let failure: unknown
  for (;;) {
    try {
      failure = undefined
      const value = await condition()
      if (value) return value
    } catch (error) {
      failure = error
    }
    if (Date.now() >= giveUpAtMs) {
      throw new Error(`not within ${deadlineMs} ms: ${what}`, { cause: failure })
    }
    await pause(20)
  }
}

/** Fails, with what `explain` says, when the promise is not settled in time. */
async function within<T>(ms: number, promise: Promise<T>, explain: () => string): Promise<T> {
  const stop = new AbortController()
  const late = pause(ms, undefined, { signal: stop.signal, ref: false }).then(() => {
    throw new Error(`not within ${ms} ms: ${explain()}`)
  })
  late.catch(() => {})
  try {
    return await Promise.race([promise, late])
  } finally {
    stop.abort()
  }
}

/** A daemon that is ready, until it is stopped or killed. */
export class Daemon {
  readonly ready: Ready
  /** Its HTTP API, for looking without the cost of a process. */
  readonly api: NodeApi
  readonly child: ChildProcess
  /** All it wrote, on stdout too. */
  readonly written: () => string
  readonly #stderr: () => string

  constructor(
    child: ChildProcess,
    ready: Ready,
    api: NodeApi,
    texts: { readonly stdout: () => string; readonly stderr: () => string },
  ) {
    this.child = child
    this.ready = ready
    this.api = api
    this.#stderr = texts.stderr
    this.written = () => texts.stdout() + texts.stderr()
  }

  /** `http://HOST:PORT` of the Gonk dialect, where it was started with `--gonk`. */
  get gonkUrl(): string {
    if (this.ready.gonk === undefined) throw new Error('it was started without --gonk')
    return `http://${this.ready.gonk}`
  }

  /** Its first address, with /p2p/ID. */
  get address(): string {
    return this.ready.multiaddrs[0] as string
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  lines(): LogLine[] {
    return this.#stderr().split('\n').filter(Boolean).map(lineOf)
  }

  /** Lines at `warn` and above, and what is no log line at all. */
  complaints(): LogLine[] {
    return this.lines().filter(
      ({ level, msg }) => level !== 'debug' && level !== 'info' && !notes.test(String(msg)),
    )
  }

  /** Ends it as Ctrl-C does and waits. @returns its exit status. */
  async stop(): Promise<number | null> {
    await this.#end('SIGTERM')
    return this.child.exitCode
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.hasEnded) return
    const ended = once(this.child, 'close')
    this.child.kill(signal)
    await within(START_STOP_MS, ended, () => `the end by ${signal}: ${this.#stderr()}`)
  }

  /** Peak and present resident memory, in bytes. */
  async memory(): Promise<{ peakBytes: number; nowBytes: number }> {
    const status = await readFile(`/proc/${this.ready.pid}/status`, 'utf8')
    const bytes = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024
    return { peakBytes: bytes('VmHWM'), nowBytes: bytes('VmRSS') }
  }
}

function lineOf(text: string): LogLine {
  try {
    return JSON.parse(text) as LogLine
  } catch {
    return { level: 'text', msg: text }
  }
}

export interface TestUser extends UserWithKey {
  /** Of the daemon that runs now. */
  readonly api: () => NodeApi
}

/** One home, and what runs on it. */
export class TestNode {
  readonly name: string
  readonly home: string
  readonly #world: World
  #daemon: Daemon | undefined

  constructor(world: World, name: string) {
    this.#world = world
    this.name = name
    this.home = join(world.dir, name)
  }

  /** The daemon started last. */
  get daemon(): Daemon {
    if (this.#daemon === undefined) throw new Error(`no daemon was started on ${this.name}`)
    return this.#daemon
  }

  /** The API of its daemon. */
  get api(): NodeApi {
    return this.daemon.api
  }

  get address(): string {
    return this.daemon.address
  }

  /** Starts a command on this home, with --json. */
  begin(args: readonly string[], env: Record<string, string> = {}): Running {
    const child = this.#world.spawn(['--home', this.home, '--json', ...args], env)
    const text = { stdout: '', stderr: '' }
    child.stdout?.setEncoding('utf8').on('data', (piece: string) => (text.stdout += piece))
    child.stderr?.setEncoding('utf8').on('data', (piece: string) => (text.stderr += piece))
    const ended = once(child, 'close').then(([status]) => ({
      status: status as number | null,
      ...text,
    }))
    return { ended, kill: (signal = 'SIGKILL') => void child.kill(signal) }
  }

  run(...args: string[]): Promise<Outcome> {
    return this.begin(args).ended
  }

  /** The JSON a command prints; throws unless it ends with status 0. */
  async json<T = Record<string, unknown>>(...args: string[]): Promise<T> {
    const { status, stdout, stderr } = await this.run(...args)
    if (status === 0) return JSON.parse(stdout) as T
    throw new Error(`${this.name}: ${args.join(' ')} ended with ${status}: ${stdout}${stderr}`)
  }

  /** Starts the daemon and waits for its ready line. */
  async start(args: readonly string[] = [], env: Record<string, string> = {}): Promise<Daemon> {
    const begun = ['--home', this.home, '--json', 'start', ...FREE_PORTS, ...args]
    const child = this.#world.spawn(begun, env)
    let stdout = ''
    let stderr = ''
    child.stdout?.setEncoding('utf8').on('data', (piece: string) => (stdout += piece))
    child.stderr?.setEncoding('utf8').on('data', (piece: string) => (stderr += piece))
    const ended = once(child, 'close').then(() => undefined)
    const lines = createInterface(child.stdout as NonNullable<typeof child.stdout>)
    const ready = Promise.race([once(lines, 'line'), ended])
    const line = await within(START_STOP_MS, ready, () => `${this.name} is ready: ${stderr}`)
    const file = await readDaemonFile(this.home)
    if (line === undefined || file === undefined) {
      throw new Error(`${this.name} did not start: ${stderr}`)
    }
    const parsed = JSON.parse(String(line[0])) as Ready
    const texts = { stdout: () => stdout, stderr: () => stderr }
    this.#daemon = new Daemon(child, parsed, createClient(file), texts)
    return this.#daemon
  }

  /** Begins to start the daemon, and kills it after so many ms, wherever it is then. */
  async startAndKill(afterMs: number, args: readonly string[] = []): Promise<void> {
    const begun = ['--home', this.home, '--json', 'start', ...FREE_PORTS, ...args]
    const child = this.#world.spawn(begun, {})
    const ended = once(child, 'close')
    await pause(afterMs)
    child.kill('SIGKILL')
    await ended
  }

  /** `kill -9` of its daemon, if there is one. */
  async end(): Promise<void> {
    await this.#daemon?.kill()
  }

  /** A user made as people make them, and the API of the daemon on that user's behalf. */
  async user(name: string, role: Role = 'member'): Promise<TestUser> {
    const made = await this.json<UserWithKey>('users', 'add', name, '--role', role)
    const api = () => createClient({ url: this.daemon.ready.url, apiKey: made.apiKey })
    return { ...made, api }
  }
}

export class World {
  /** Absolute path of the directory that holds the homes; there is room for more in it. */
  readonly dir: string
  readonly #children = new Set<ChildProcess>()
  readonly #program: string

  private constructor(dir: string, program: string) {
    this.dir = dir
    this.#program = program
  }

  /**
   * @param program that its nodes run. @default the one of this repository, from its sources
   * @param parent of the directory of the homes. @default a temporary one
   */
  static async create(program = launcher, parent = tmpdir()): Promise<World> {
    return new World(await mkdtemp(join(parent, 'gonk-world-')), program)
  }

  node(name: string): TestNode {
    return new TestNode(this, name)
  }

  nodes<const Names extends readonly string[]>(...names: Names): { [K in keyof Names]: TestNode } {
    return names.map((name) => this.node(name)) as { [K in keyof Names]: TestNode }
  }

  spawn(args: readonly string[], env: Record<string, string>): ChildProcess {
    const { PATH = '', HOME = '' } = process.env
    const child = spawn(process.execPath, [this.#program, ...args], {
      env: { PATH, HOME, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#children.add(child)
    child.once('close', () => this.#children.delete(child))
    return child
  }

  /** Ends every process and removes every file. */
  async close(): Promise<void> {
    const closed = [...this.#children].map((child) => once(child, 'close'))
    for (const child of this.#children) child.kill('SIGKILL')
    await Promise.all(closed)
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** A world that goes with the test. */
export async function aWorld(): Promise<World> {
  const world = await World.create()
  onTestFinished(() => world.close())
  return world
}
