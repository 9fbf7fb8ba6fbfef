// The main job in a minute: two real daemons on this machine, a folder of images, propose, approve,
// clone by root CID, verify. `npm run quickstart -- FOLDER` takes your own images.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32, deflateSync } from 'node:zlib'
import type { AddResult, CloneResult, NodeApi, VerifyResult } from '../src/contract/api.ts'
import { createClient } from '../src/client/client.ts'
import { readDaemonFile } from '../src/home.ts'

const launcher = resolve(import.meta.dirname, '../bin/gonk-node.js')
const workspace = mkdtempSync(join(tmpdir(), 'gonk-quickstart-'))
const daemons: ChildProcess[] = []

interface Node {
  readonly home: string
  readonly api: NodeApi
  readonly multiaddr: string
}

const say = (text = '') => process.stdout.write(`${text}\n`)
const result = (text: string) => say(`          ${text}`)

function show(home: string, args: readonly string[]): void {
  const shown = args.map((arg) => (arg.startsWith(workspace) ? relative(workspace, arg) : arg))
  say(`  ${relative(workspace, home).padEnd(5)} $ gonk-node ${shown.join(' ')}`)
}

/** A command as it runs in a terminal, but for its answer, which is JSON. Throws what it says when it fails. */
function launch(home: string, args: readonly string[]): ChildProcess {
  const all = [launcher, '--home', home, '--json', '--quiet', ...args]
  return spawn(process.execPath, all, { stdio: ['ignore', 'pipe', 'inherit'] })
}

async function gonk<T = Record<string, string>>(home: string, ...args: string[]): Promise<T> {
  show(home, args)
  const child = launch(home, args)
  const chunks: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
  const [status] = await once(child, 'close')
  const answer: unknown = JSON.parse(Buffer.concat(chunks).toString() || '{}')
  return status === 0 ? (answer as T) : failed(`gonk-node ${args[0]}`, answer)
}

function failed(what: string, answer: unknown): never {
  const { error } = answer as { error?: { message: string } }
  throw new Error(`${what} failed: ${error?.message ?? 'it ended early'}`)
}

/** Starts a daemon on a new home and free ports. */
async function start(home: string): Promise<Node> {
  const ports = ['--http', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0']
  const child = launch(home, ['start', ...ports])
  daemons.push(child)
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  for await (const line of lines) {
    const ready = JSON.parse(line) as { multiaddrs?: string[] }
    const daemon = await readDaemonFile(home)
    if (daemon === undefined || ready.multiaddrs === undefined) return failed('start', ready)
    return { home, api: createClient(daemon), multiaddr: ready.multiaddrs[0] ?? '' }
  }
  return failed('start', {})
}

/** A grey PNG with bright discs on it, a different one for each number. */
function picture(number: number): Buffer {
  const size = 128
  const rows = Buffer.alloc((size + 1) * size)
  let seed = number + 1
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647
  const discs = Array.from({ length: 5 }, () => [
    random() * size,
    random() * size,
    6 + random() * 14,
  ])
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const isDisc = discs.some(([cx = 0, cy = 0, r = 0]) => Math.hypot(x - cx, y - cy) < r)
      rows[y * (size + 1) + 1 + x] = isDisc ? 230 : 40 + ((x * y + number) % 24)
    }
  }
  const header = Buffer.from([0, 0, 0, size, 0, 0, 0, size, 8, 0, 0, 0, 0])
  const chunks = [chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND')]
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), ...chunks])
}

function chunk(type: string, data: Buffer = Buffer.alloc(0)): Buffer {
  const body = Buffer.concat([Buffer.from(type), data])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  const checksum = Buffer.alloc(4)
  checksum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, checksum])
}

async function makeImages(count: number): Promise<string> {
  const folder = join(workspace, 'images')
  await mkdir(folder)
  for (let i = 0; i < count; i++) {
    await writeFile(join(folder, `cell-${String(i).padStart(2, '0')}.png`), picture(i))
  }
  return folder
}

async function main(given: string | undefined): Promise<void> {
  const images = given === undefined ? await makeImages(24) : resolve(given)
  say('Alice maintains a dataset, Bob contributes. Each runs a node; there is no server.')
  say()
  const homes = [join(workspace, 'alice'), join(workspace, 'bob')] as const
  for (const home of homes) show(home, ['start'])
  const [alice, bob] = await Promise.all([start(homes[0]), start(homes[1])])

  await gonk(alice.home, 'dataset', 'create', 'cells')
  const added = await gonk<AddResult>(alice.home, 'add', 'cells', images, '--accept')
  if (added.objects.length === 0) throw new Error(`there are no files in ${images}`)
  result(`${added.objects.length} files are in`)
  const first = await gonk(alice.home, 'root', 'cells')
  result(`${first['root']}: the dataset and its history`)

  const peer = ['--peer', alice.multiaddr]
  const cloned = await gonk<CloneResult>(bob.home, 'clone', `${first['root']}`, ...peer)
  result(`${cloned.objects} files fetched and verified in ${cloned.seconds.toFixed(1)} s`)
  const mine = join(workspace, 'from-bob')
  await mkdir(mine)
  await writeFile(join(mine, 'bobs-cell.png'), picture(1_000))
  const { events } = await gonk<AddResult>(bob.home, 'add', 'cells', mine)
  result('proposed: it counts once Alice approves')

  await until('the proposal reaches Alice', async () => {
    const waiting = await alice.api.listReviews('cells')
    return waiting.some(({ event }) => event === events[0])
  })
  await gonk(alice.home, 'review', 'accept', 'cells', `${events[0]}`)
  const { root } = await alice.api.root('cells')
  await until('Bob follows', async () => (await bob.api.root('cells')).root === root)
  result('Bob has it too')
  const verified = await gonk<VerifyResult>(bob.home, 'verify', 'cells')
  result(`${verified.events} signatures and ${verified.blocks} blocks are right`)
  await gonk(bob.home, 'checkout', 'cells', join(workspace, 'checkout'))
  say()
  say(`Done in ${(performance.now() / 1000).toFixed(1)} s. Both nodes hold ${root}`)
  say()
  say(`Look at     ${join(workspace, 'checkout')}`)
  say(`Go on       npx gonk-node --home ${alice.home} start`)
  say(`            npx gonk-node --home ${alice.home} log cells    (in another terminal)`)
  say('Your own    npx gonk-node start')
  say('            npx gonk-node dataset create NAME    (in another terminal; README.md goes on)')
  say('While a node runs, http://127.0.0.1:5050/ answers in the browser.')
  say(`Clean up    rm -r ${workspace}`)
}

async function until(what: string, isDone: () => Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + 30_000
  while (!(await isDone())) {
    if (Date.now() > deadlineMs) throw new Error(`waited 30 s until ${what}`)
    await sleep(50)
  }
}

function cleanUp(): void {
  for (const daemon of daemons) daemon.kill('SIGKILL')
  rmSync(workspace, { recursive: true, force: true })
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    cleanUp()
    process.exit(130)
  })
}

try {
  const given = process.argv[2]
  if (given !== undefined && !existsSync(given)) throw new Error(`there is no folder ${given}`)
  await main(given)
  for (const daemon of daemons) {
    daemon.kill('SIGTERM')
    if (daemon.exitCode === null) await once(daemon, 'close')
  }
} catch (error) {
  process.stderr.write(`quickstart: ${(error as Error).message}\n`)
  process.exitCode = 1
  cleanUp()
}
