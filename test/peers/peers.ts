// The four containers of docker-compose.peers.yml, each driven as its user would: gonk-node commands in
// it, and what happens to machines: a pulled cable, a kill, a start.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { DatasetInfo, NodeStatus, ReviewEntry, RootInfo } from '../../src/contract/api.ts'
import { until } from '../node/daemon.ts'

const run = promisify(execFile)
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

export const IMAGE = 'gonk-node:peers'
const NETWORK = 'gonk-peers'
const SUBNET = process.env['GONK_PEERS_SUBNET'] || '10.189.50'

/** Runs docker and gives its stdout. Rejects with what it printed. */
export async function docker(...args: string[]): Promise<string> {
  try {
    const { stdout } = await run('docker', args, { maxBuffer: OUTPUT_BYTES_MAX })
    return stdout
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`docker ${args.join(' ')}: ${stdout}${stderr}`, { cause: error })
  }
}

export class Peer {
  readonly name: string
  readonly container: string
  readonly #ip: string

  constructor(name: string, lastNumber: number) {
    this.name = name
    this.container = `gonk-${name}`
    this.#ip = `${SUBNET}.${lastNumber}`
  }

  /** The JSON of a gonk-node command that is run in the container. */
  async gonk<T = Record<string, unknown>>(...args: string[]): Promise<T> {
    return JSON.parse(await docker('exec', this.container, 'gonk-node', '--json', ...args)) as T
  }

  /** The JSON that a program prints, run by Node in the container. */
  async program<T>(source: string, ...args: (string | number)[]): Promise<T> {
    const command = ['exec', this.container, 'node', '-e', source, ...args.map(String)]
    return JSON.parse(await docker(...command)) as T
  }

  /** Where the others reach it, with /p2p/ID. */
  async address(): Promise<string> {
    const { multiaddrs } = await this.gonk<NodeStatus>('status')
    const address = multiaddrs.find((candidate) => candidate.includes(`/ip4/${this.#ip}/`))
    if (address === undefined) throw new Error(`${this.name} is not at ${this.#ip}: ${multiaddrs}`)
    return address
  }

  async root(dataset: string): Promise<string> {
    return (await this.gonk<RootInfo>('root', dataset)).root
  }

  /** Ids of the proposals that wait. */
  async pending(dataset: string): Promise<string[]> {
    const entries = await this.gonk<ReviewEntry[]>('review', 'list', dataset)
    return entries.map(({ event }) => event)
  }

  /** Accepted files it does not have yet. */
  async missingFiles(dataset: string): Promise<number> {
    return (await this.gonk<DatasetInfo>('dataset', 'show', dataset)).sync.missingFiles
  }

  /** Peer ids it is connected to. */
  async connected(): Promise<string[]> {
    const { peers } = await this.gonk<{ peers: { peerId: string }[] }>('peers')
    return peers.map(({ peerId }) => peerId)
  }

  async peerId(): Promise<string> {
    return (await this.gonk<NodeStatus>('status')).peerId
  }

  /** Writes `count` files of `bytes` bytes, which follow from the folder's name. @returns the folder */
  async makeFiles(folder: string, count: number, bytes: number): Promise<string> {
    const path = `/tmp/${folder}`
    await this.program(MAKE_FILES, path, count, bytes)
    return path
  }

  /** Sha-256 of every file under a folder by its relative name. */
  digests(path: string): Promise<Record<string, string>> {
    return this.program(DIGESTS, path)
  }

  /** Waits until its daemon answers. No command before: it would open the home in place of the daemon. */
  async ready(): Promise<void> {
    await until(`${this.name} answers`, () => this.program(HEALTH), 60_000)
  }

  /** Pulls its cable: no connection is told. */
  async cutOff(): Promise<void> {
    await docker('network', 'disconnect', NETWORK, this.container)
  }

  async heal(): Promise<void> {
    const address = ['--ip', this.#ip, '--alias', this.name]
    await docker('network', 'connect', ...address, NETWORK, this.container)
  }

  /** `kill -9` of the daemon, which is the container's only process. */
  async kill(): Promise<void> {
    await docker('kill', '-s', 'KILL', this.container)
    await docker('wait', this.container)
  }

  /** Ends its daemon as `systemctl stop` does. */
  async stop(): Promise<void> {
    await docker('stop', this.container)
  }

  async start(): Promise<void> {
    await docker('start', this.container)
    await this.ready()
  }
}

export const maintainer = new Peer('maintainer', 11)
export const contributorA = new Peer('contributor-a', 12)
export const contributorB = new Peer('contributor-b', 13)
export const seeder = new Peer('seeder', 14)
export const everybody = [maintainer, contributorA, contributorB, seeder]

/** Waits until the peers have the same root as the first of them, and gives it. */
export async function sameRoot(
  dataset: string,
  [first, ...others]: readonly Peer[],
  deadlineMs?: number,
): Promise<string> {
  const root = await (first as Peer).root(dataset)
  for (const peer of others) {
    const what = `${peer.name} has the root of ${(first as Peer).name}`
    await until(what, async () => (await peer.root(dataset)) === root, deadlineMs)
  }
  return root
}

const HEALTH = `
  fetch('http://127.0.0.1:5050/healthz').then((answer) => console.info(answer.ok))
`

const MAKE_FILES = `
  const { createHash, createCipheriv } = require('node:crypto')
  const { mkdirSync, writeFileSync } = require('node:fs')
  const [folder, count, bytes] = process.argv.slice(1)
  mkdirSync(folder + '/sub', { recursive: true })
  for (let i = 0; i < Number(count); i++) {
    const key = createHash('sha256').update(folder + i).digest()
    const stream = createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
    const name = (i % 2 ? '/sub/' : '/') + folder.split('/').at(-1) + '-' + i + '.bin'
    writeFileSync(folder + name, stream.update(Buffer.alloc(Number(bytes))))
  }
  console.info(count)
`

const DIGESTS = `
  const { createHash } = require('node:crypto')
  const { readdirSync, readFileSync } = require('node:fs')
  const { join, relative } = require('node:path')
  const [folder] = process.argv.slice(1)
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
  const digest = (path) => createHash('sha256').update(readFileSync(path)).digest('hex')
  console.info(JSON.stringify(Object.fromEntries(files.map((path) => [relative(folder, path), digest(path)]))))
`
