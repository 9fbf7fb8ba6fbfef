// Runs the command line as a user does: a process of its own, started by the launcher.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { onTestFinished, vi } from 'vitest'
import { run } from '../../src/cli/program.ts'

export const launcher = new URL('../../bin/gonk-node.js', import.meta.url).pathname

/** A Node from 18 on but older than ours, on the PATH outside of node_modules; if there is one. */
export const olderNode = (process.env['PATH'] ?? '')
  .split(delimiter)
  .filter((dir) => !dir.includes('node_modules'))
  .map((dir) => join(dir, 'node'))
  .find((node) => {
    try {
      const major = Number.parseInt(
        execFileSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' }),
      )
      return major >= 18 && major < 24
    } catch {
      return false
    }
  })

export interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly env?: Record<string, string>
  readonly node?: string
  readonly script?: string
  readonly signal?: AbortSignal
  /** Called with all of stdout so far, at each piece. */
  readonly onStdout?: (stdout: string, kill: (signal: NodeJS.Signals) => void) => void
}

/** An empty directory that goes with the test. */
export async function tempDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'gonk-test-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

export async function gonk(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { PATH = '', HOME = '' } = process.env
  const child = spawn(options.node ?? process.execPath, [options.script ?? launcher, ...args], {
    env: { PATH, HOME, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    options.onStdout?.(stdout, (signal) => child.kill(signal))
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  options.signal?.addEventListener('abort', () => child.kill('SIGINT'))
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, stdout, stderr }
}

/** The same in this process: quick, for what needs no process of its own. */
export async function gonkHere(args: readonly string[]): Promise<Outcome> {
  const written = { stdout: '', stderr: '' }
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      written[name] += String(text)
      return true
    }),
  )
  try {
    const status = await run(args)
    return { status, ...written }
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}
