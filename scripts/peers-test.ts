/**
 * `npm run test:peers`: builds the image, starts the four peers of docker-compose.peers.yml, runs
 * test/peers against them and takes everything down again. Arguments go to vitest, such as
 * `npm run test:peers -- -t 'cut off'`.
 *
 * It uses the Docker that is there and installs nothing: where something is missing it says what,
 * and exits with 77.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { askEngine, baseImage, findCompose, imageIsHere, run } from './docker.ts'

const SECOND = 1000
const BUILD_LIMIT = 240 * SECOND
const UP_LIMIT = 60 * SECOND
const DOWN_LIMIT = 60 * SECOND
const NOT_POSSIBLE_HERE = 77
const CONTAINERS = ['gonk-maintainer', 'gonk-contributor-a', 'gonk-contributor-b', 'gonk-seeder']
const LOG_LINES = '40'

const root = resolve(import.meta.dirname, '..')
const startedAt = performance.now()

function say(text: string): void {
  const seconds = ((performance.now() - startedAt) / SECOND).toFixed(1)
  process.stderr.write(`test:peers: [${seconds.padStart(5)} s] ${text}\n`)
}

/** What is missing here, in one line; undefined when the tests can run. */
function whatIsMissing(): string | undefined {
  const engine = askEngine()
  if (!engine.ok) return `no Docker engine answers (${engine.complaint})`
  if (findCompose() === undefined) return 'neither `docker compose` nor docker-compose is here'
  if (imageIsHere(baseImage)) return undefined
  return `the base image is not here: docker pull ${baseImage}, or BASE_IMAGE=… for another`
}

/** Runs compose on the peers' file; throws with its own last line when it fails. */
function compose(limit: number, ...args: string[]): void {
  const [program = '', ...first] = findCompose()?.command ?? []
  const project = ['-p', 'gonk-peers', '-f', join(root, 'docker-compose.peers.yml')]
  const ran = run(program, [...first, ...project, ...args], { limit })
  if (!ran.ok) throw new Error(`${args[0]} failed: ${ran.complaint}`)
}

const down = () => compose(DOWN_LIMIT, 'down', '--volumes', '--timeout', '2')

/** @returns the exit status of vitest. */
async function runTests(args: readonly string[]): Promise<number> {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs')
  const config = join(root, 'test/peers/vitest.config.ts')
  const command = [vitest, 'run', '--config', config, ...args]
  const child = spawn(process.execPath, command, { cwd: root, stdio: 'inherit' })
  const stop = (): void => void child.kill('SIGTERM')
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
  const [status] = (await once(child, 'close')) as [number | null]
  return status ?? 1
}

function showLogs(): void {
  for (const container of CONTAINERS) {
    // A shell, because the daemon writes its log to stderr and only that of a failure is kept.
    const { stdout } = run('sh', ['-c', `docker logs --tail ${LOG_LINES} ${container} 2>&1`])
    process.stderr.write(`\n--- ${container}\n${stdout}`)
  }
}

async function main(): Promise<number> {
  const missing = whatIsMissing()
  if (missing !== undefined) {
    process.stderr.write(`test:peers: not run: ${missing}\n`)
    return NOT_POSSIBLE_HERE
  }
  // What a run that was killed has left.
  down()
  say(`building on ${baseImage}`)
  compose(BUILD_LIMIT, 'build')
  try {
    say('starting four peers')
    compose(UP_LIMIT, 'up', '-d')
    say('testing')
    const status = await runTests(process.argv.slice(2))
    if (status !== 0) showLogs()
    return status
  } finally {
    say('taking the peers down')
    down()
    say('done')
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`test:peers: ${(error as Error).message}\n`)
  process.exitCode = 1
}
