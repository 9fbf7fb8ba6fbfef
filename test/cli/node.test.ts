// The command line on real nodes: in process, with a daemon, and when things go wrong with either.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Ready } from '../../src/daemon.ts'
import { openDatabase } from '../../src/log/database.ts'
import { gonk, gonkHere, launcher, olderNode, tempDir } from './run.ts'

const ephemeral = ['--http', '127.0.0.1:0', '--listen', '/ip4/127.0.0.1/tcp/0']

async function start(home: string, node = process.execPath) {
  const { ready, ...daemon } = starting(home, node)
  return { ...daemon, ready: await ready }
}

function starting(home: string, node = process.execPath) {
  const args = ['start', '--home', home, '--json', ...ephemeral]
  const child = spawn(node, [launcher, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  const lines = createInterface(child.stdout)
  const ready = Promise.race([once(lines, 'line'), ended.then(() => undefined)]).then((first) => {
    if (first === undefined) throw new Error(`start failed: ${stderr}`)
    return JSON.parse(String(first[0])) as Ready
  })
  return { child, ready, ended, stderr: () => stderr }
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )

async function aFolder(): Promise<string> {
  const dir = await tempDir()
  await mkdir(join(dir, 'sub'))
  await writeFile(join(dir, 'a.txt'), 'first')
  await writeFile(join(dir, 'sub', 'b.txt'), 'second')
  return dir
}

/** Runs a command on `home` and gives its JSON; fails the test unless it succeeds. */
async function json(home: string, ...args: string[]) {
  const { status, stdout, stderr } = await gonkHere([...args, '--home', home, '--json'])
  expect(stderr).toBe('')
  expect(status).toBe(0)
  return JSON.parse(stdout)
}

describe('without a daemon', () => {
  it('a dataset is made, filled, listed, rooted, checked out and verified', async () => {
    const home = join(await tempDir(), 'home')
    await json(home, 'init')
    const created = await json(home, 'dataset', 'create', 'cells')
    expect(created).toMatchObject({
      name: 'cells',
      id: expect.any(String),
      root: expect.any(String),
    })
    const added = await json(home, 'add', 'cells', await aFolder(), '--accept')
    expect(added.objects.map((object: { name: string }) => object.name).toSorted()).toEqual([
      'a.txt',
      'sub/b.txt',
    ])
    expect((await json(home, 'ls', 'cells')).objects).toHaveLength(2)
    const { root, stateRoot } = await json(home, 'root', 'cells')
    expect(root).not.toBe(created.root)
    expect((await gonk(['root', 'cells', '--home', home])).stdout).toBe(`${root}\n`)
    expect(await json(home, 'dataset', 'show', 'cells')).toMatchObject({ root, stateRoot })
    const out = join(await tempDir(), 'out')
    expect(await json(home, 'checkout', 'cells', out)).toEqual({ files: 2, bytes: 11 })
    expect(await readFile(join(out, 'sub', 'b.txt'), 'utf8')).toBe('second')
    expect(await json(home, 'verify', 'cells')).toMatchObject({ ok: true, problems: [] })
    expect(await json(home, 'peers')).toEqual({ running: false, peers: [] })
    expect(await json(home, 'status')).toMatchObject({ daemon: false, peers: 0 })
  })

  it('a command on no home says to make one', async () => {
    const { status, stderr } = await gonk(['status', '--home', join(await tempDir(), 'none')])
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/^gonk-node: HOME_MISSING: .*init.*\n$/),
    ])
  })

  it('commands at the same time wait for each other', async () => {
    const home = join(await tempDir(), 'home')
    await json(home, 'init')
    const names = ['one', 'two', 'three']
    const create = (name: string) => gonk(['dataset', 'create', name, '--home', home])
    const outcomes = await Promise.all(names.map(create))
    expect(outcomes.map(({ status }) => status)).toEqual([0, 0, 0])
    const list: { name: string }[] = await json(home, 'dataset', 'list')
    expect(list.map(({ name }) => name).toSorted()).toEqual(names.toSorted())
  })
})

describe('start', () => {
  it('makes the home, says so, and gives the ready line', async () => {
    const home = join(await tempDir(), 'home')
    const { child, ready, ended, stderr } = await start(home)
    expect(stderr()).toMatch(/made a new home at .*home /)
    const { publicKey, peerId } = await json(home, 'status')
    expect(stderr()).toContain(publicKey)
    expect(ready).toEqual({
      ready: true,
      http: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      url: `http://${ready.http}`,
      peerId,
      multiaddrs: [expect.stringMatching(new RegExp(`^/ip4/127.0.0.1/tcp/\\d+/p2p/${peerId}$`))],
      pid: child.pid,
    })
    expect(await (await fetch(`${ready.url}/healthz`)).json()).toMatchObject({ ok: true })
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
    expect(await exists(join(home, 'daemon.json'))).toBe(false)
  })

  it('serves the commands of its home, and their work is there afterwards', async () => {
    const home = join(await tempDir(), 'home')
    const { child, ended } = await start(home)
    await json(home, 'dataset', 'create', 'cells')
    const added = await json(home, 'add', 'cells', await aFolder(), '--accept')
    expect(added.objects).toHaveLength(2)
    const root = await json(home, 'root', 'cells')
    expect(await json(home, 'peers')).toEqual({ running: true, peers: [] })
    // As a terminal and npx do together.
    child.kill('SIGINT')
    child.kill('SIGINT')
    expect(await ended).toEqual([0, null])
    expect(await json(home, 'root', 'cells')).toEqual(root)
  })

  it('of a second daemon on the home fails and says who has it', async () => {
    const home = join(await tempDir(), 'home')
    const { child } = await start(home)
    const second = await gonk(['start', '--home', home, ...ephemeral])
    expect(second.status).toBe(1)
    expect(second.stderr).toMatch(/^gonk-node: HOME_BUSY: .*\n$/)
    expect(second.stderr).toContain(`process ${child.pid} (gonk-node start)`)
    expect(await json(home, 'peers')).toMatchObject({ running: true })
  })

  it('on a taken address is one clear line, and the home is free again', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    const home = join(await tempDir(), 'home')
    await json(home, 'init')
    const http = ['--http', `127.0.0.1:${port}`, '--listen', '/ip4/127.0.0.1/tcp/0']
    const first = await gonk(['start', '--home', home, '--log-level', 'silent', ...http])
    expect(first.status).toBe(1)
    expect(first.stderr).toMatch(new RegExp(`^gonk-node: ADDRESS_IN_USE: .*:${port} .*\n$`))
    const listen = ['--http', '127.0.0.1:0', '--listen', `/ip4/127.0.0.1/tcp/${port}`]
    const second = await gonk(['start', '--home', home, '--log-level', 'silent', ...listen])
    expect(second.status).toBe(1)
    expect(second.stderr).toMatch(new RegExp(`^gonk-node: [A-Z_]+: .*${port}.*\n$`))
    await json(home, 'status')
  })

  it.each([
    [['--http', 'nowhere']],
    [['--listen', 'nowhere']],
    [['--http', '127.0.0.1:4050', '--listen', '/ip4/127.0.0.1/tcp/4050']],
  ])('with %j is wrong usage', async (args) => {
    const home = join(await tempDir(), 'home')
    const { status, stderr } = await gonk(['start', '--home', home, '--quiet', ...args])
    expect([status, stderr.split('\n').length]).toEqual([2, 2])
  })

  it('waits for a daemon that is on its way out', async () => {
    const home = join(await tempDir(), 'home')
    await json(home, 'init')
    const database = await openDatabase(join(home, 'log'))
    // As a daemon leaves it that was killed, and is not gone yet.
    const opener = { pid: process.pid, command: 'gonk-node start' }
    await writeFile(join(home, 'opened-by.json'), JSON.stringify(opener))
    const beginning = starting(home)
    await expect
      .poll(() => beginning.stderr(), { timeout: 20_000 })
      .toContain(`waiting for process ${process.pid} (gonk-node start)`)
    await database.close()
    expect((await beginning.ready).pid).toBe(beginning.child.pid)
  })

  it('after kill -9 needs nothing: commands and the next start work', async () => {
    const home = join(await tempDir(), 'home')
    const { child, ended } = await start(home)
    const created = await json(home, 'dataset', 'create', 'cells')
    child.kill('SIGKILL')
    await ended
    expect(await exists(join(home, 'daemon.json'))).toBe(true)
    expect(await json(home, 'dataset', 'list')).toMatchObject([{ id: created.id }])
    await start(home)
    expect(await json(home, 'dataset', 'list')).toMatchObject([{ id: created.id }])
  })
})

describe.runIf(olderNode)('start by the launcher of an older Node', () => {
  it('passes signals on and ends as the daemon does', async () => {
    const home = join(await tempDir(), 'home')
    const { child, ready, ended } = await start(home, olderNode)
    expect(ready.pid).not.toBe(child.pid)
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
    expect(await exists(join(home, 'daemon.json'))).toBe(false)
  })

  it('takes the daemon with it when it is killed', async () => {
    const home = join(await tempDir(), 'home')
    const { child, ended } = await start(home, olderNode)
    child.kill('SIGKILL')
    // The pipes close when the daemon, which shares them, is gone too.
    expect(await ended).toEqual([null, 'SIGKILL'])
    expect(await exists(join(home, 'daemon.json'))).toBe(false)
  })
})
