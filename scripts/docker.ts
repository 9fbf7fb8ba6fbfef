// What the scripts that use Docker have in common: running it, and looking what is there.
import { spawnSync } from 'node:child_process'

const SECOND = 1000
const MINUTE = 60 * SECOND
const ANSWER_LIMIT = 10 * SECOND

export const DEFAULT_BASE_IMAGE = 'node:24-bookworm-slim'
/** What the peers' image is built on. */
export const baseImage = process.env['BASE_IMAGE'] || DEFAULT_BASE_IMAGE

export interface Ran {
  ok: boolean
  stdout: string
  /** The last line it wrote to stderr (else stdout): what a person should read when it failed. */
  complaint: string
}

export interface RunOptions {
  /** In ms; the command is killed then. @default one minute */
  limit?: number
  env?: Record<string, string>
}

export function run(command: string, args: string[], options: RunOptions = {}): Ran {
  const { limit = MINUTE, env = {} } = options
  const result = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: limit,
    killSignal: 'SIGKILL',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  const complaint = result.error
    ? result.error.message
    : lastLine(result.stderr) || lastLine(result.stdout) || `exit status ${result.status}`
  return { ok: result.status === 0, stdout: result.stdout ?? '', complaint }
}

function lastLine(text: string): string {
  return text.trimEnd().split('\n').at(-1)?.trim() ?? ''
}

/** Asks the engine for its version; not ok when none answers. */
export function askEngine(): Ran {
  return run('docker', ['version', '--format', '{{.Server.Version}}'], { limit: ANSWER_LIMIT })
}

export interface Compose {
  /** Program and first arguments. */
  readonly command: readonly [string, ...string[]]
  readonly version: string
}

/** `docker compose`, else the older `docker-compose`, else undefined. */
export function findCompose(): Compose | undefined {
  for (const command of [['docker', 'compose'], ['docker-compose']] as const) {
    const [program, ...first] = command
    const ran = run(program, [...first, 'version', '--short'], { limit: ANSWER_LIMIT })
    if (ran.ok) return { command, version: ran.stdout.trim() }
  }
  return undefined
}

export function imageIsHere(image: string): boolean {
  return run('docker', ['image', 'inspect', image]).ok
}
