// What scripts rely on: the fields that every command prints with --json, and how failures look.
// Real homes and one daemon, which runs in this process.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig, newConfigText } from '../../src/config.ts'
import { type Daemon, startDaemon } from '../../src/daemon.ts'
import { initHome } from '../../src/home.ts'
import { createLogger } from '../../src/logger.ts'
import { gonkHere } from './run.ts'

type Json = Record<string, unknown>

const text = expect.any(String)
const number = expect.any(Number)
const list = expect.any(Array)
const cid = expect.stringMatching(/^bafy[a-z2-7]{55}$/)
const hex = expect.stringMatching(/^[0-9a-f]{64}$/)
const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
const run = expect.stringMatching(/^bafy\w+:\d+-\d+$/)
const fields = (shape: Json) => expect.objectContaining(shape)
const listOf = (shape: unknown) => expect.arrayContaining([shape])

const dataset = fields({ id: cid, name: text, root: cid, stateRoot: cid, counts: fields({}) })
const object = fields({
  ...{ id: hex, version: expect.stringMatching(/^bafy\w+:\d+$/), name: text, mediaType: text },
  ...{ size: number, cid: text, status: text },
})
const owners = fields({ owners: listOf(fields({ key: hex, rank: number, since: time })) })
const release = fields({ tag: text, root: cid, event: cid, at: time })
const proposal = fields({ event: cid, type: text, author: hex, summary: text, at: time })
const logEntry = fields({ event: cid, kind: text, author: hex, at: time, summary: text })
const setting = fields({ name: text, source: text })
const somebody = '7d59c51523d5f64ce06a2bb2f1a1d3ae3b9d3b8ae84a3f3b1f4a3d1c1b1a1f0e'

let work: string
let daemon: Daemon
let events: string[]
const home = () => join(work, 'home')
const other = () => join(work, 'other')

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'gonk-contract-'))
  const opened = await initHome(home(), newConfigText())
  const flags = { http: '127.0.0.1:0', listen: ['/ip4/127.0.0.1/tcp/0'] }
  const { config } = loadConfig('', flags, {})
  daemon = await startDaemon({ home: opened, logger: createLogger({ level: 'silent' }) }, config)
  await initHome(other(), newConfigText())
  for (const folder of ['first', 'second', 'third', 'none']) await mkdir(join(work, folder))
  await writeFile(join(work, 'first', 'a.txt'), 'a')
  await writeFile(join(work, 'first', 'b.txt'), 'b')
  await writeFile(join(work, 'second', 'c.txt'), 'c')
  await writeFile(join(work, 'third', 'd.txt'), 'd')
})

afterAll(async () => {
  await daemon.close()
  await rm(work, { recursive: true, force: true })
})

/** The words of a line; FIRST, WORK, ROOT, EVENT, PEER and KEY stand for what is known by now. */
async function wordsOf(line: string): Promise<string[]> {
  const known: Record<string, () => string | Promise<string>> = {
    WORK: () => work,
    ROOT: async () => (await gonkHere(['root', 'cells', '--home', home()])).stdout.trim(),
    EVENT: () => events[0] ?? '',
    PEER: () => daemon.ready.multiaddrs[0] ?? '',
    KEY: () => somebody,
  }
  let filled = line
  for (const [name, value] of Object.entries(known)) {
    if (filled.includes(name)) filled = filled.replaceAll(name, await value())
  }
  return filled.split(' ').map((word) => (word === "''" ? '' : word))
}

async function json(line: string, at = home()): Promise<unknown> {
  const words = await wordsOf(line)
  const { status, stdout, stderr } = await gonkHere([...words, '--home', at, '--json'])
  expect([status, stderr], stdout).toEqual([0, ''])
  const value = JSON.parse(stdout)
  events = (value as { events?: string[] }).events ?? events
  return value
}

// In this order: each row builds on those before.
const table: [line: string, shape: unknown][] = [
  ['version', fields({ version: text })],
  ['dataset create cells', dataset],
  ['dataset list', [dataset]],
  ['dataset show cells', dataset],
  [
    'add cells WORK/first --accept',
    fields({ events: [cid], objects: [object, object], skipped: 0 }),
  ],
  ['add cells WORK/first', { events: [], objects: [], skipped: 2, warnings: [] }],
  ['ls cells', { objects: [object, object] }],
  ['root cells', fields({ root: cid, stateRoot: cid, heads: listOf(cid) })],
  ['release create cells v1 -m first', release],
  ['release list cells', [release]],
  ['release show cells v1', release],
  ['add cells WORK/second --meta {"by":"me"}', fields({ objects: [object], skipped: 0 })],
  ['review list cells', [proposal]],
  ['show cells EVENT', fields({ event: cid, kind: 'propose', operations: list, status: list })],
  ['review accept cells EVENT', { events: [cid], decided: [run] }],
  ['add cells WORK/third', fields({ objects: [object] })],
  ['review reject cells EVENT:0 --reason blurred', { events: [cid], decided: [run] }],
  ['review accept cells --all', { events: [], decided: [] }],
  ['diff cells v1', { changes: [fields({ name: 'c.txt', change: 'added' })] }],
  ['rm cells a.txt', { events: [cid], skipped: 0 }],
  ['mv cells b.txt sub/b.txt', { events: [cid] }],
  ['show cells b.txt', fields({ type: 'object', id: hex, versions: list })],
  ['show cells EVENT:0', fields({ type: 'version', version: text, status: 'pending' })],
  ['owner list cells', owners],
  ['owner add cells KEY --name Ada', owners],
  ['owner remove cells KEY', owners],
  ['policy show cells', { kOwner: 1, kReview: 1, owners: 1, waiting: [] }],
  ['checkpoint list cells', { checkpoints: [], alarms: [] }],
  ['log cells --limit 1', logEntry],
  ['log cells --limit 1 --object b.txt', logEntry],
  [
    'verify cells',
    fields({ ok: true, events: number, blocks: number, bytes: number, problems: [] }),
  ],
  ['checkout cells WORK/out', { files: 3, bytes: 3 }],
  ['checkout cells@v1 WORK/out-v1', { files: 2, bytes: 2 }],
  ['share cells', fields({ link: expect.stringMatching(/^gonk:\/\/bafy\w+\?root=bafy\w+&peer=/) })],
  ['peers', { running: true, peers: [] }],
  ['gc', { blocks: number, bytes: number }],
  [
    'backup WORK/backup',
    fields({ at: time, keys: true, blocks: fields({ count: 3, added: 3 }), datasets: list }),
  ],
  ['restore WORK/backup --check', fields({ ok: true, at: time, publicKey: hex, problems: [] })],
  ['config list', listOf(setting)],
  ['config get http', setting],
  ['status', fields({ peerId: text, publicKey: hex, multiaddrs: [text], peers: 0 })],
  ['status', fields({ datasets: [dataset] })],
]

describe('what commands print with --json', () => {
  it('init', async () => {
    const made = { home: join(work, 'new'), publicKey: hex, peerId: text }
    expect(await json('init', join(work, 'new'))).toEqual(made)
  })

  it('every command that a daemon answers', async () => {
    for (const [line, shape] of table) {
      if (line.startsWith('share')) continue
      expect(await json(line), line).toEqual(shape)
    }
  })

  it('share, with a note where only this machine can reach the node', async () => {
    const shared = await gonkHere(['share', 'cells', '--home', home(), '--json'])
    expect(JSON.parse(shared.stdout)).toEqual(table.find(([line]) => line === 'share cells')?.[1])
    expect(shared.stderr).toMatch(/^gonk-node: only this machine can reach the node; .*\n$/)
  })

  it('add with and without --json names the same objects, one a line with --stream', async () => {
    await writeFile(join(work, 'third', 'e.txt'), 'eeee')
    const human = await gonkHere(['add', 'cells', join(work, 'third'), '--home', home()])
    expect(human.stdout).toMatch(/^proposed 2 objects \(5 B\)\nbafy\w+\n$/)
    await writeFile(join(work, 'third', 'f.txt'), 'f')
    const stream = ['add', 'cells', join(work, 'third'), '--home', home(), '--stream']
    const { stdout } = await gonkHere(stream)
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([object])
  })

  it('what needs no daemon: clone, connect, add, forget, config set', async () => {
    expect(await json('connect PEER', other())).toEqual({ peerId: daemon.ready.peerId })
    expect(await json('clone ROOT --peer PEER --name copy', other())).toEqual({
      ...{ id: cid, name: 'copy', root: cid, stateRoot: cid },
      ...{ objects: number, bytes: number, seconds: number },
    })
    expect(await json('add copy WORK/third', other())).toMatchObject({
      objects: [object, object, object],
    })
    expect(await json('dataset forget copy', other())).toEqual({ id: cid })
    const set = await gonkHere(['config', 'set', 'name', 'lab', '--home', other(), '--json'])
    expect(JSON.parse(set.stdout)).toEqual(setting)
  })
})

const NOBODY = '/ip4/127.0.0.1/tcp/1'
const failures: [line: string, code: string, status: 1 | 2][] = [
  ['', 'USAGE', 2],
  ['dataset', 'USAGE', 2],
  ['frobnicate', 'USAGE', 2],
  ['dataset frobnicate', 'USAGE', 2],
  ['help frobnicate', 'USAGE', 2],
  ['root', 'USAGE', 2],
  ["root ''", 'USAGE', 2],
  ['root cells@v1', 'USAGE', 2],
  ["checkout cells ''", 'USAGE', 2],
  ['root none', 'NOT_FOUND', 1],
  ['checkout cells@none WORK/x', 'NOT_FOUND', 1],
  ['checkout cells WORK/first/a.txt', 'EXISTS', 1],
  ['dataset create cells', 'EXISTS', 1],
  ['dataset create a/b', 'BAD_NAME', 1],
  ['dataset create two --threshold 2', 'USAGE', 2],
  ['add cells WORK/nowhere', 'NOT_FOUND', 1],
  ['add cells WORK/first --prefix ../up', 'BAD_NAME', 1],
  ['add cells WORK/first --meta {', 'USAGE', 2],
  ['rm cells none', 'NOT_FOUND', 1],
  ['mv cells a.txt /x', 'BAD_NAME', 1],
  ['mv cells a.txt c.txt', 'EXISTS', 1],
  ['review accept cells none', 'NOT_FOUND', 1],
  ['review accept cells b', 'AMBIGUOUS', 1],
  ['review accept cells', 'USAGE', 2],
  ['review list cells --status none', 'USAGE', 2],
  ['release create cells v1', 'EXISTS', 1],
  ['release show cells none', 'NOT_FOUND', 1],
  ['owner add cells abc', 'USAGE', 2],
  ['owner remove cells KEY', 'NOT_FOUND', 1],
  ['show cells none', 'NOT_FOUND', 1],
  ['diff cells none', 'NOT_FOUND', 1],
  ['log cells --limit 0', 'USAGE', 2],
  ['log cells --author xyz', 'USAGE', 2],
  ['connect nowhere', 'BAD_ADDRESS', 1],
  [`connect ${NOBODY}`, 'NO_PEER', 1],
  ['clone nothing', 'BAD_CID', 1],
  ['clone ROOT', 'NO_PEER', 1],
  [`clone ROOT --peer ${NOBODY}`, 'NO_PEER', 1],
  ['clone ROOT --anchor none', 'BAD_CID', 1],
  ['policy set cells --reviews 2', 'USAGE', 2],
  ['policy set cells --reviews 1', 'EXISTS', 1],
  ['owner endorse cells none', 'NOT_FOUND', 1],
  ['checkpoint vote cells none', 'NOT_FOUND', 1],
  ['checkpoint trust cells none', 'ANCHOR_NOT_FOUND', 1],
  ['schema add cells boxes WORK/first/a.txt', 'BAD_NAME', 1],
  ['schema add cells schema-boxes WORK/nowhere', 'NOT_FOUND', 1],
  ['config get none', 'CONFIG', 2],
  ['config set http nowhere', 'CONFIG', 2],
  ['status --log-level loud', 'USAGE', 2],
  ["status --home ''", 'USAGE', 2],
  ['status --home WORK/none', 'HOME_MISSING', 1],
  ['init', 'HOME_EXISTS', 1],
]

describe('how commands fail', () => {
  it.each(failures)(
    '"%s" is %s, status %d, once as a line and once as JSON',
    async (line, code, status) => {
      const words = line === '' ? [] : await wordsOf(line)
      const args = ['--home', home(), ...words]
      if (!['', 'dataset'].includes(line)) {
        const human = await gonkHere(args)
        expect([human.status, human.stdout]).toEqual([status, ''])
        expect(human.stderr).toMatch(new RegExp(`^gonk-node: ${code}: [^\n]+; [^\n]+\n$`))
      }
      const machine = await gonkHere([...args, '--json'])
      expect([machine.status, machine.stderr]).toEqual([status, ''])
      expect(JSON.parse(machine.stdout)).toEqual({ error: { code, message: text, hint: text } })
    },
  )

  it('a contributor cannot decide, release or add owners', async () => {
    await json('clone ROOT --peer PEER --name mine', other())
    for (const line of [
      'review accept mine --all',
      'release create mine v2',
      'owner add mine KEY',
      'add mine WORK/first --accept',
    ]) {
      const { status, stdout } = await gonkHere([
        ...(await wordsOf(line)),
        '--home',
        other(),
        '--json',
      ])
      expect([status, JSON.parse(stdout).error.code], line).toEqual([1, 'NOT_OWNER'])
    }
  })
})
