// The main job in a minute: two real daemons on this machine, a folder of images, propose, approve,
// clone by root CID, verify. `npm run quickstart -- FOLDER` takes your own images.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { crc32, deflateSync } from 'node:zlib'

const launcher = resolve(import.meta.dirname, '../bin/gonk-node.js')
const workspace = mkdtempSync(join(tmpdir(), 'gonk-quickstart-'))
const alice = join(workspace, 'alice')
const bob = join(workspace, 'bob')
const daemons: ChildProcess[] = []

type Json = Record<string, unknown>

const say = (text: string) => process.stdout.write(`${text}\n`)

/** Runs one command on a home and returns its JSON; what it says on stderr is shown. */
async function gonk(home: string, ...args: string[]): Promise<Json> {
  const shown = args.map((arg) => (arg.startsWith(workspace) ? relative(workspace, arg) : arg))
  say(`\n  ${home === alice ? 'alice' : 'bob  '} $ gonk-node ${shown.join(' ')}`)
  const child = spawn(process.execPath, [launcher, '--home', home, '--json', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  const [status] = await once(child, 'close')
  const text = Buffer.concat(chunks).toString()
  if (status !== 0) throw new Error(`gonk-node ${args[0]} failed: ${text}`)
  return JSON.parse(text || '{}') as Json
}

async function start(home: string): Promise<Json> {
  say(`\n  ${home === alice ? 'alice' : 'bob  '} $ gonk-node start`)
  const free = ['--http', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0']
  const args = [launcher, '--home', home, '--json', '--log-level', 'warn', 'start', ...free]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  daemons.push(child)
  for await (const line of createInterface({ input: child.stdout })) return JSON.parse(line) as Json
  throw new Error('the daemon did not start')
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

async function main(): Promise<void> {
  const given = process.argv[2]
  if (given !== undefined && !existsSync(given)) throw new Error(`there is no folder ${given}`)
  const images = given === undefined ? await makeImages(24) : resolve(given)
  say('Alice maintains a dataset. Bob contributes. Each runs a node; there is no server.')
  say(given === undefined ? '24 pictures were made for this.' : `The pictures are in ${images}.`)

  await gonk(alice, 'init')
  const { multiaddrs } = (await start(alice)) as { multiaddrs: string[] }
  await gonk(alice, 'dataset', 'create', 'cells')
  await gonk(alice, 'add', 'cells', images, '--accept')
  const first = await gonk(alice, 'root', 'cells')
  say(`          the dataset with its history is ${String(first['root'])}`)

  await gonk(bob, 'init')
  await start(bob)
  await gonk(bob, 'clone', String(first['root']), '--peer', String(multiaddrs[0]))
  const mine = join(workspace, 'from-bob')
  await mkdir(mine)
  await writeFile(join(mine, 'bobs-cell.png'), picture(1_000))
  const { events } = (await gonk(bob, 'add', 'cells', mine)) as { events: string[] }
  say('          proposed: it counts once Alice approves')

  await until('the proposal reaches Alice', async () => {
    const waiting = (await quietly(alice, 'review', 'list', 'cells')) as unknown as Json[]
    return waiting.some((entry) => entry['event'] === events[0])
  })
  await gonk(alice, 'review', 'accept', 'cells', String(events[0]))
  const second = await gonk(alice, 'root', 'cells')
  await until('Bob follows', async () => {
    return (await quietly(bob, 'root', 'cells'))['root'] === second['root']
  })
  const verified = await gonk(bob, 'verify', 'cells')
  await gonk(bob, 'checkout', 'cells', join(workspace, 'checkout'))
  say(`          verified: ${JSON.stringify(verified)}`)
  say(`\nBoth hold ${String(second['root'])}`)
  say(`The files are in ${join(workspace, 'checkout')}\n`)
  say('Go on with Alice’s node:')
  say(`  npx gonk-node --home ${alice} start`)
  say(`  npx gonk-node --home ${alice} log cells        (in another terminal)`)
  say(`  npx gonk-node --home ${alice} share cells      (a link others can clone)`)
  say(`or begin your own:  npx gonk-node init  &&  npx gonk-node start`)
  say('While a node runs, http://127.0.0.1:5050/healthz answers in the browser.')
  say(`Remove the example with:  rm -r ${workspace}`)
}

async function quietly(home: string, ...args: string[]): Promise<Json> {
  const child = spawn(process.execPath, [launcher, '--home', home, '--json', '--quiet', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const chunks: Buffer[] = []
  child.stdout.on('data', (data: Buffer) => chunks.push(data))
  await once(child, 'close')
  return JSON.parse(Buffer.concat(chunks).toString()) as Json
}

async function until(what: string, isDone: () => Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + 30_000
  while (!(await isDone())) {
    if (Date.now() > deadlineMs) throw new Error(`waited 30 s until ${what}`)
  }
}

try {
  await main()
} catch (error) {
  process.stderr.write(`quickstart: ${(error as Error).message}\n`)
  process.exitCode = 1
  await rm(workspace, { recursive: true, force: true })
} finally {
  for (const daemon of daemons) {
    daemon.kill('SIGTERM')
    if (daemon.exitCode === null) await once(daemon, 'close')
  }
}
