/**
 * Makes this machine able to run the Docker tests: an engine that answers, a compose command and the base image.
 *
 * For .ci/run only. It installs Debian packages and starts a daemon that stays up, which nobody wants on their own
 * machine; `npm run test:peers` never calls it. Whatever is already there is used as it is, so a second run only looks.
 *
 *   node scripts/docker-engine.ts          BASE_IMAGE=… asks for another base image than node:24-bookworm-slim
 *
 * Progress goes to stderr. Exit status 0 means that a container ran; else 1 and one line that says why not.
 */
import { spawn } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  askEngine,
  baseImage,
  DEFAULT_BASE_IMAGE,
  findCompose,
  imageIsHere,
  run,
  type RunOptions,
} from './docker.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND

const ENGINE_START_LIMIT = 45 * SECOND
const ENGINE_STOP_LIMIT = 20 * SECOND
const PULL_LIMIT = 60 * SECOND
const INSTALL_LIMIT = 5 * MINUTE
const BASE_SYSTEM_LIMIT = 5 * MINUTE

const NODE_MAJOR = '24'
const DEBIAN_SUITE = 'bookworm'
/** The user of the official Node images, so that a volume written under one base image can be read under the other. */
const NODE_UID = '1000'

/** One place for every run on this machine, so that the next run finds the engine of this one. */
const ENGINE_DIR = join(tmpdir(), 'gonk-docker-engine')
const PID_FILE = join(ENGINE_DIR, 'dockerd.pid')
const LOG_FILE = join(ENGINE_DIR, 'dockerd.log')

const startedAt = performance.now()

/** A reason why Docker cannot be had here, in one line. */
class Unavailable extends Error {
  override name = 'Unavailable'
}

function progress(text: string): void {
  const seconds = ((performance.now() - startedAt) / SECOND).toFixed(1)
  process.stderr.write(`docker-engine: [${seconds.padStart(5)} s] ${text}\n`)
}

function must(what: string, command: string, args: string[], options?: RunOptions): string {
  const ran = run(command, args, options)
  if (!ran.ok) throw new Unavailable(`${what} failed: ${ran.complaint}`)
  return ran.stdout
}

function isInstalled(command: string): boolean {
  return (process.env['PATH'] ?? '')
    .split(':')
    .concat('/usr/sbin', '/sbin')
    .some((folder) => folder !== '' && existsSync(join(folder, command)))
}

// ── packages ────────────────────────────────────────────────────────────────────────────────────────────────────────

let packageListsAreFresh = false

function install(packages: string[]): void {
  if (process.getuid?.() !== 0) throw new Unavailable(`only root can install ${packages.join(' ')}`)
  if (!isInstalled('apt-get')) {
    throw new Unavailable(`${packages.join(' ')} missing, and there is no apt to install them with`)
  }
  const options: RunOptions = {
    limit: INSTALL_LIMIT,
    env: { DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_SUSPEND: '1' },
  }
  const lockWait = ['-o', 'DPkg::Lock::Timeout=120']
  if (!packageListsAreFresh) {
    progress('apt-get update')
    must('apt-get update', 'apt-get', ['update', '-q', ...lockWait], options)
    packageListsAreFresh = true
  }
  progress(`apt-get install ${packages.join(' ')}`)
  const args = ['install', '-y', '-q', '--no-install-recommends', ...lockWait, ...packages]
  must('apt-get install', 'apt-get', args, options)
}

// ── engine ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function engineAnswers(): boolean {
  return askEngine().ok
}

function isRunning(name: string): boolean {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .some((pid) => commandOf(pid) === name)
}

function commandOf(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return undefined
  }
}

async function becomes(condition: () => boolean, limit: number): Promise<boolean> {
  const deadline = performance.now() + limit
  while (performance.now() < deadline) {
    if (condition()) return true
    await sleep(250)
  }
  return condition()
}

async function provideEngine(): Promise<void> {
  if (isInstalled('docker') && engineAnswers()) return
  if (process.env['DOCKER_HOST']) {
    throw new Unavailable(
      `the engine named by DOCKER_HOST (${process.env['DOCKER_HOST']}) does not answer`,
    )
  }
  const missing: string[] = []
  if (!isInstalled('dockerd') || !isInstalled('docker')) missing.push('docker.io')
  if (!isInstalled('iptables')) missing.push('iptables')
  if (missing.length > 0) install(missing)

  // Somebody else's dockerd, perhaps started by the installation: give it its time rather than start a rival.
  if (isRunning('dockerd')) {
    progress('a dockerd is running, waiting for its answer')
    if (await becomes(engineAnswers, ENGINE_START_LIMIT)) return
    throw new Unavailable(`a dockerd is running here, but: ${askEngine().complaint}`)
  }
  // dockerd picks a storage driver by itself; vfs is slow, and works where overlay passes its check but then fails.
  if ((await startEngine([])) || (await startEngine(['--storage-driver=vfs']))) return
  throw new Unavailable(`dockerd does not start: ${whyEngineFailed()} (all of it: ${LOG_FILE})`)
}

async function startEngine(args: string[]): Promise<boolean> {
  progress(`dockerd ${[...args, `(log ${LOG_FILE})`].join(' ')}`)
  mkdirSync(ENGINE_DIR, { recursive: true })
  rmSync(PID_FILE, { force: true })
  const log = openSync(LOG_FILE, 'a')
  // Detached, in a session of its own: it outlives this script and any time limit put on it.
  const engine = spawn('dockerd', ['--pidfile', PID_FILE, ...args], {
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
  })
  let ended = false
  engine.once('exit', () => (ended = true))
  engine.once('error', () => (ended = true))
  const answers = await becomes(() => ended || engineAnswers(), ENGINE_START_LIMIT)
  if (answers && !ended) {
    engine.unref()
    return true
  }
  engine.kill('SIGTERM')
  await becomes(() => ended, ENGINE_STOP_LIMIT)
  return false
}

function whyEngineFailed(): string {
  const lines = readFileSync(LOG_FILE, 'utf8').trimEnd().split('\n')
  return lines.findLast((line) => /failed|fatal|error/i.test(line)) ?? lines.at(-1) ?? 'no log'
}

// ── compose ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function provideCompose(): string {
  if (findCompose() === undefined) install(['docker-compose'])
  const found = findCompose()
  if (found === undefined) throw new Unavailable('docker-compose was installed but does not run')
  return `${found.command.join(' ')} ${found.version}`
}

// ── base image ──────────────────────────────────────────────────────────────────────────────────────────────────────

function provideBaseImage(): void {
  if (imageIsHere(baseImage)) return
  progress(`docker pull ${baseImage}`)
  const pull = run('docker', ['pull', '--quiet', baseImage], { limit: PULL_LIMIT })
  if (pull.ok) return
  progress(`not to be had from a registry (${pull.complaint})`)
  if (baseImage !== DEFAULT_BASE_IMAGE) {
    throw new Unavailable(
      `${baseImage} cannot be pulled, and only ${DEFAULT_BASE_IMAGE} can be made here`,
    )
  }
  makeBaseImage()
}

/** Stands in for the official image: Debian from this machine's own mirror, and the Node that runs this script. */
function makeBaseImage(): void {
  if (process.versions.node.split('.')[0] !== NODE_MAJOR) {
    throw new Unavailable(
      `the base image needs Node ${NODE_MAJOR}, this script runs on ${process.version}`,
    )
  }
  if (!isInstalled('debootstrap')) install(['debootstrap'])

  const root = mkdtempSync(join(tmpdir(), 'gonk-base-image-'))
  try {
    progress(`debootstrap ${DEBIAN_SUITE}, from the mirror apt uses`)
    const args = ['--variant=minbase', DEBIAN_SUITE, root, debianMirror()]
    must('debootstrap', 'debootstrap', args, { limit: BASE_SYSTEM_LIMIT, env: aptProxy() })
    const waste = ['var/cache/apt', 'var/lib/apt/lists', 'etc/apt/sources.list', 'usr/share/doc']
    for (const path of waste) {
      rmSync(join(root, path), { recursive: true, force: true })
    }
    copyFileSync(process.execPath, join(root, 'usr/local/bin/node'))
    must('groupadd', 'chroot', [root, 'groupadd', '--gid', NODE_UID, 'node'])
    const user = ['--uid', NODE_UID, '--gid', 'node', '--create-home', 'node']
    must('useradd', 'chroot', [root, 'useradd', '--shell', '/bin/bash', ...user])

    progress(`docker import, as ${baseImage}`)
    const archive = `${root}.tar`
    try {
      must('tar', 'tar', ['-C', root, '--numeric-owner', '-cf', archive, '.'])
      const changes = [
        'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        `ENV NODE_VERSION=${process.versions.node}`,
        'LABEL gonk-node.stand-in=made-by-scripts/docker-engine.ts',
        'CMD ["node"]',
      ].flatMap((change) => ['--change', change])
      must('docker import', 'docker', ['import', ...changes, archive, baseImage])
    } finally {
      rmSync(archive, { force: true })
    }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

/** The mirror that this machine's own apt is set up with; this project names none. */
function debianMirror(): string {
  const format = '$(CODENAME) $(COMPONENT) $(REPO_URI)'
  const query = ['indextargets', '--format', format, 'Created-By: Packages']
  const sources = must('apt-get indextargets', 'apt-get', query)
    .split('\n')
    .map((line) => line.split(' '))
  const mirror = sources.find(([suite, part]) => suite === DEBIAN_SUITE && part === 'main')?.[2]
  if (mirror === undefined) {
    throw new Unavailable(
      `apt on this machine has no source for Debian ${DEBIAN_SUITE}, so no base image can be made`,
    )
  }
  return mirror
}

/** debootstrap downloads by itself, so it must be told of a proxy that only apt knows. */
function aptProxy(): Record<string, string> {
  const { stdout } = run('apt-config', ['shell', 'PROXY', 'Acquire::http::Proxy'])
  const proxy = /^PROXY='(.+)'$/m.exec(stdout)?.[1]
  return proxy === undefined ? {} : { http_proxy: proxy }
}

// ── all of it ───────────────────────────────────────────────────────────────────────────────────────────────────────

async function main(): Promise<void> {
  await provideEngine()
  const about = ['info', '--format', '{{.ServerVersion}}, {{.Driver}}']
  progress(`engine ${must('docker info', 'docker', about).trim()}`)
  progress(provideCompose())
  provideBaseImage()
  const first = ['run', '--rm', '--network', 'none', '--entrypoint', 'node', baseImage, '--version']
  progress(`${baseImage} runs Node ${must('a first container', 'docker', first).trim()}`)
  const pid = existsSync(PID_FILE) ? readFileSync(PID_FILE, 'utf8').trim() : ''
  if (commandOf(pid) === 'dockerd') {
    progress(`ready; the dockerd started for these tests stays up: kill ${pid} ends it`)
  } else {
    progress('ready')
  }
}

try {
  await main()
} catch (error) {
  if (!(error instanceof Unavailable)) throw error
  process.stderr.write(`docker-engine: no Docker here: ${error.message}\n`)
  process.exitCode = 1
}
