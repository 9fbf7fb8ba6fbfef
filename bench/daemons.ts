// Real daemons on homes in a benchmark's directory, driven through the typed client.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { NodeApi } from '../src/contract/api.ts'
import { createClient } from '../src/client/client.ts'
import type { Ready } from '../src/daemon.ts'
import { readDaemonFile } from '../src/home.ts'
import { memoryOf } from './harness.ts'

export const launcher = join(import.meta.dirname, '../bin/gonk-node.js')
const FREE_PORTS = ['--http', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0']

export interface Daemon {
  readonly api: NodeApi
  /** Its first address, with /p2p/ID. */
  readonly address: string
  /** `HOST:PORT` of the Gonk dialect, where it was asked for. */
  readonly gonk?: string
  memory(): Promise<{ peakBytes: number; nowBytes: number }>
  stop(): Promise<void>
}

export interface DialectDaemon extends Daemon {
  /** `http://HOST:PORT`. */
  readonly gonk: string
  /** Of a user. */
  readonly apiKey: string
}

/** A daemon with the Gonk dialect, and a user of it. */
export async function startDialect(home: string): Promise<DialectDaemon> {
  const daemon = await startDaemon(home, ['--gonk', '127.0.0.1:0'])
  const { apiKey } = await daemon.api.addUser({ name: 'bench' })
  return { ...daemon, gonk: `http://${daemon.gonk}`, apiKey }
}

/** Resolves when the daemon says it is ready. */
export async function startDaemon(home: string, more: readonly string[] = []): Promise<Daemon> {
  const args = ['--home', home, '--json', '--log-level', 'warn', 'start', ...FREE_PORTS, ...more]
  const child = spawn(process.execPath, [launcher, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (piece: string) => (stderr += piece))
  const exited = once(child, 'exit').then(() => undefined)
  const line = await Promise.race([once(createInterface(child.stdout), 'line'), exited])
  if (line === undefined) throw new Error(`a daemon did not start: ${stderr}`)
  const ready = JSON.parse(String(line[0])) as Ready
  const file = await readDaemonFile(home)
  if (file === undefined) throw new Error('a daemon left no daemon.json')
  return {
    api: createClient(file),
    address: ready.multiaddrs[0] as string,
    ...(ready.gonk !== undefined && { gonk: ready.gonk }),
    memory: () => memoryOf(ready.pid),
    stop: () => end(child),
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
}
