// Every command against a scripted daemon: what it asks for, what it prints, how it ends.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { CheckpointInfo, NodeApi, QueueItem } from '../../src/contract/api.ts'
import { newConfigText } from '../../src/config.ts'
import { GonkError } from '../../src/core/errors.ts'
import { initHome, writeDaemonFile } from '../../src/home.ts'
import { buildServer } from '../../src/http/server.ts'
import { createLogger } from '../../src/logger.ts'
import { anObject, fakeNodeApi, untilAborted } from '../http/fake-node-api.ts'
import { gonk, gonkHere, launcher, tempDir } from './run.ts'

/** A home whose daemon answers from the script. */
async function daemonOf(script: Partial<NodeApi> = {}) {
  const dir = await tempDir()
  const home = await initHome(dir, newConfigText())
  const api = fakeNodeApi(script)
  const logger = createLogger({ level: 'silent' })
  const door = { authenticate: () => undefined, apiOf: () => api }
  const options = { token: 't', hosts: ['127.0.0.1'], version: '1', logger }
  const server = buildServer({ api, door }, options)
  const url = await server.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(() => server.close())
  await writeDaemonFile(home, { pid: process.pid, url, token: 't' })
  return { api, run: (...args: string[]) => gonkHere(['--home', dir, ...args]), dir }
}

const key = 'ab'.repeat(32)
const cwd = process.cwd()

describe('what a command asks of the node', () => {
  it.each<[string, string, unknown[]]>([
    ['status', 'status', []],
    ['peers', 'peers', []],
    ['connect /ip4/127.0.0.1/tcp/1', 'connect', ['/ip4/127.0.0.1/tcp/1']],
    [
      `dataset create cells --founder ${key} --threshold 2`,
      'createDataset',
      [{ name: 'cells', founders: [key], threshold: 2 }],
    ],
    ['dataset list', 'listDatasets', []],
    ['dataset show cells', 'showDataset', ['cells']],
    ['dataset forget cells', 'forgetDataset', ['cells']],
    ['rm cells a.jpg b.jpg', 'removeObjects', ['cells', ['a.jpg', 'b.jpg']]],
    ['mv cells a.jpg b.jpg', 'renameObject', ['cells', 'a.jpg', 'b.jpg']],
    [
      `review accept cells e1 e2:0-3 --reason fine`,
      'review',
      ['cells', { verdict: 'accept', items: ['e1', 'e2:0-3'], reason: 'fine' }],
    ],
    [
      `review reject cells --all --author ${key}`,
      'review',
      ['cells', { verdict: 'reject', all: { author: key } }],
    ],
    ['owner list cells', 'owners', ['cells']],
    [`owner add cells ${key} --name Ada`, 'addOwner', ['cells', key, 'Ada']],
    [`owner remove cells ${key}`, 'removeOwner', ['cells', key]],
    ['owner endorse cells e1', 'endorse', ['cells', 'e1']],
    ['policy show cells', 'policy', ['cells']],
    ['policy set cells --reviews 2', 'setPolicy', ['cells', 2]],
    ['checkpoint list cells', 'checkpoints', ['cells']],
    ['checkpoint create cells', 'createCheckpoint', ['cells']],
    ['checkpoint vote cells c1', 'voteCheckpoint', ['cells', 'c1']],
    ['checkpoint trust cells c1', 'trustCheckpoint', ['cells', 'c1']],
    ['clone ROOT --anchor c1', 'clone', [{ ref: 'ROOT', anchor: 'c1' }]],
    ['log cells --limit 5 --object a.jpg', 'log', ['cells', { limit: 5, object: 'a.jpg' }]],
    ['show cells e1', 'show', ['cells', 'e1']],
    ['root cells', 'root', ['cells']],
    ['release create cells v1 -m first', 'createRelease', ['cells', 'v1', 'first']],
    ['release list cells', 'listReleases', ['cells']],
    ['release show cells v1', 'showRelease', ['cells', 'v1']],
    [
      'clone ROOT --peer /ip4/1.1.1.1/tcp/1 --peer /ip4/1.1.1.1/tcp/2 --name n --pin-only',
      'clone',
      [
        {
          ref: 'ROOT',
          peers: ['/ip4/1.1.1.1/tcp/1', '/ip4/1.1.1.1/tcp/2'],
          name: 'n',
          pinOnly: true,
        },
      ],
    ],
    ['checkout cells@v1 out', 'checkout', ['cells@v1', `${cwd}/out`]],
    ['gc', 'gc', []],
  ])('%s', async (line, method, args) => {
    const { api, run } = await daemonOf()
    const { status, stdout, stderr } = await run(...line.split(' '), '--json')
    expect(stderr).toBe('')
    expect(status).toBe(0)
    expect(() => JSON.parse(stdout)).not.toThrow()
    expect(stdout.trimEnd().split('\n')).toHaveLength(1)
    expect(api.calls).toEqual([{ method, args }])
  })

  it('diff asks page by page, until there is none left', async () => {
    const changeOf = (name: string) => ({ name, change: 'added' as const })
    const { api, run } = await daemonOf({
      diff: async (_dataset, _a, _b, page) =>
        page?.after === undefined
          ? { changes: [changeOf('a'), changeOf('b')], next: 'x' }
          : { changes: [changeOf('c')] },
    })
    const { status, stdout } = await run('diff', 'cells', 'v1', '--json')
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toEqual({ changes: ['a', 'b', 'c'].map(changeOf) })
    expect(api.calls.map(({ args }) => args)).toEqual([
      ['cells', 'v1', undefined, { limit: 10_000 }],
      ['cells', 'v1', undefined, { limit: 10_000, after: 'x' }],
    ])
    expect((await run('diff', 'cells', 'v1')).stdout).toBe('+ a\n+ b\n+ c\n')
  })

  const waits = {
    ...{ event: 'bafye1', kind: 'add' as const, key, by: key, at: '2026-01-01T00:00:00Z' },
    ...{ endorsedBy: [key], approvals: { have: 1, needed: 2 } },
  }

  it('owner list shows what waits for more owners, and the command that agrees', async () => {
    const { run } = await daemonOf({ owners: async () => ({ owners: [], waiting: [waits] }) })
    const { stdout } = await run('owner', 'list', 'cells')
    expect(stdout).toMatch(/bafye1 +add owner abab\w+ +1 of 2 +abababababab +2026/)
    expect(stdout).toContain('agree with: gonk-node owner endorse cells EVENT\n')
  })

  it('owner add says when others must agree', async () => {
    const answer = { event: 'bafye1', owners: [], waiting: [waits] }
    const { run } = await daemonOf({ addOwner: async () => answer })
    const { stdout } = await run('owner', 'add', 'cells', key)
    const command = 'gonk-node owner endorse cells bafye1'
    expect(stdout).toContain(`signed, 1 of 2 owners agree; another runs: ${command}\n`)
  })

  it('review accept says what others must accept, too', async () => {
    const approvals = { have: 1, needed: 2 }
    const { run } = await daemonOf({
      review: async () => {
        return { events: ['e2'], decided: ['e1:0-1'], waiting: [{ item: 'e1:2-4', approvals }] }
      },
    })
    const { stdout } = await run('review', 'accept', 'cells', 'e1')
    expect(stdout).toBe(
      'accepted 2 changes\ne1:0-1\n' +
        'approved 3 changes, for more owners to accept\ne1:2-4  1 of 2 approvals\n',
    )
  })

  it('review list says how many of several owners have accepted', async () => {
    const status = { pending: 1, accepted: 0, rejected: 0 }
    const of = { type: 'create', author: key, summary: 's', at: 'now', operations: 1, status }
    const entry = (event: string, needed: number) => {
      return { event, ...of, approvals: { have: needed - 1, needed } }
    }
    const { run } = await daemonOf({ listReviews: async () => [entry('e1', 2), entry('e2', 1)] })
    const lines = (await run('review', 'list', 'cells')).stdout.split('\n')
    expect(lines[1]).toMatch(/^e1 .*1 of 2 approvals$/)
    expect(lines[2]).not.toContain('approvals')
  })

  it('review list asks until it has everything', async () => {
    const status = { pending: 1, accepted: 0, rejected: 0 }
    const of = { type: 'create', author: key, summary: 's', at: 'now', operations: 1, status }
    const entries = Array.from({ length: 1_001 }, (_, i) => ({ event: `baf${i}`, ...of }))
    const { api, run } = await daemonOf({
      listReviews: async (_dataset, filter) =>
        filter?.after === undefined ? entries.slice(0, 1_000) : entries.slice(1_000),
    })
    expect(JSON.parse((await run('review', 'list', 'cells', '--json')).stdout)).toEqual(entries)
    expect(api.calls.map(({ args }) => args)).toEqual([
      ['cells', { status: 'pending' }],
      ['cells', { status: 'pending', after: 'baf999' }],
    ])
  })

  it('add makes paths absolute and prints warnings on stderr', async () => {
    const result = { events: ['e1'], objects: [anObject], skipped: 2, warnings: ['skipped a link'] }
    const { api, run } = await daemonOf({ add: async () => result })
    const args = ['add', 'cells', 'x', '/y', '--prefix', 'p', '--meta', '{"a": 1}', '--accept']
    const { status, stdout, stderr } = await run(...args, '--json')
    expect([status, stderr]).toEqual([0, 'gonk-node: skipped a link\n'])
    expect(JSON.parse(stdout)).toEqual(result)
    const request = { paths: [`${cwd}/x`, '/y'], prefix: 'p', meta: '{"a": 1}', accept: true }
    expect(api.calls).toEqual([{ method: 'add', args: ['cells', request] }])
    const human = await run(...args)
    expect(human.stdout).toBe(
      'added and accepted 1 object (19.5 KiB); 2 files unchanged or already proposed\ne1\n',
    )
  })

  it('add --accept says when others must accept, too', async () => {
    const approvals = { have: 1, needed: 2 }
    const result = { events: ['e1'], objects: [anObject], skipped: 0, warnings: [], approvals }
    const { run } = await daemonOf({ add: async () => result })
    const { stdout } = await run('add', 'cells', 'x', '--accept')
    expect(stdout).toBe(
      'approved 1 object (19.5 KiB), for more owners to accept: 1 of 2 approvals\ne1\n',
    )
  })

  const aCheckpoint: CheckpointInfo = {
    ...{ id: 'c1', height: 1, status: 'open', anchor: false, heads: ['e1'], without: [] },
    ...{ root: 'r', check: 'unknown', votes: [key], voters: 3, needed: 3, have: 0 },
  }

  it('checkpoint create counts the votes that count, and names what else waits', async () => {
    const other = { ...aCheckpoint, id: 'c2' }
    const { run } = await daemonOf({
      createCheckpoint: async () => ({ event: 'e2', checkpoint: aCheckpoint }),
      checkpoints: async () => ({ checkpoints: [aCheckpoint, other], alarms: [] }),
    })
    const { stdout, stderr } = await run('checkpoint', 'create', 'cells')
    expect(stdout).toMatch(/votes +0 of 3\n/)
    expect(stdout).toContain('1 more vote does not count')
    expect(stderr).toMatch(/^gonk-node: another waits for votes at height 1/)
  })

  it('checkpoint list says how many votes count, where that is known', async () => {
    const passed = { ...aCheckpoint, status: 'passed-over' as const, voters: 0, needed: 0 }
    const { run } = await daemonOf({
      checkpoints: async () => ({ checkpoints: [aCheckpoint, passed], alarms: [] }),
    })
    const lines = (await run('checkpoint', 'list', 'cells')).stdout.split('\n')
    expect(lines[1]).toMatch(/open +0 of 3 +unknown/)
    expect(lines[2]).toMatch(/passed-over +1 +unknown/)
  })

  it('add --stream prints one object a line', async () => {
    const { run } = await daemonOf({
      add: async (_dataset, _request, options) => {
        for (let i = 0; i < 3; i++) options?.onObject?.({ ...anObject, name: `${i}` })
        return { events: ['e1'], objects: [], skipped: 0, warnings: [] }
      },
    })
    const { stdout } = await run('add', 'cells', 'x', '--stream')
    const names = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).name)
    expect(names).toEqual(['0', '1', '2'])
  })

  it('ls goes through all pages and prints one JSON document', async () => {
    const all = Array.from({ length: 5 }, (_, i) => ({ ...anObject, name: `${i}` }))
    const { run } = await daemonOf({
      listObjects: async (_dataset, page) => {
        const from = page?.after === undefined ? 0 : Number(page.after) + 1
        const objects = all.slice(from, from + Math.min(2, page?.limit ?? 2))
        const last = objects.at(-1)?.name
        return { objects, ...(last === undefined || last === '4' ? {} : { next: last }) }
      },
    })
    expect(JSON.parse((await run('ls', 'cells', '--json')).stdout)).toEqual({ objects: all })
    const limited = JSON.parse((await run('ls', 'cells', '--json', '--limit', '3')).stdout)
    expect(limited.objects).toHaveLength(3)
  })

  it('ls that fails half way still prints one JSON document', async () => {
    const { run } = await daemonOf({
      listObjects: async (_dataset, page) => {
        if (page?.after !== undefined) throw new GonkError('DISK', 'it broke')
        return { objects: [anObject], next: 'x' }
      },
    })
    const { status, stdout, stderr } = await run('ls', 'cells', '--json')
    expect([status, stderr]).toEqual([1, ''])
    const error = { code: 'DISK', message: 'it broke', hint: expect.any(String) }
    expect(JSON.parse(stdout)).toEqual({ objects: [anObject], error })
  })

  it('review list marks what does not conform, also change by change and over pages', async () => {
    const entry = {
      event: 'baf1',
      type: 'create',
      author: key,
      summary: 'create an annotation',
      at: '2026-01-01T00:00:00.000Z',
      operations: 2,
      status: { pending: 2, accepted: 0, rejected: 0 },
    }
    const item = (index: number): QueueItem => ({
      item: `baf1:${index}`,
      proposal: 'baf1',
      index,
      of: 3,
      kind: 'annotation',
      op: 'create',
      status: 'pending',
      object: key,
      base: [],
      stale: false,
      wouldConflict: index === 1,
      author: { key, isOwner: false },
      claimedAt: entry.at,
      objects: [{ version: 'baf0:0', name: 'cat.jpg' }],
      validity: { status: index === 0 ? 'invalid' : 'conforms', errors: [] },
      here: true,
      canAccept: index > 0,
      ...(index === 0 && { why: 'NOT_CONFORMING: label is missing' }),
    })
    const { run, api } = await daemonOf({
      listReviews: async () => [{ ...entry, invalid: 1 }, entry],
      queue: async (_dataset, request) =>
        request?.after === undefined
          ? { items: [item(0), item(1)], asOf: 1, next: 'x' }
          : { items: [item(2)], asOf: 1 },
    })
    const [, marked, plain] = (await run('review', 'list', 'cells')).stdout.split('\n')
    expect(marked).toMatch(/create an annotation {2}1 of it: does not conform$/)
    expect(plain).toMatch(/create an annotation$/)
    const lines = (await run('review', 'list', 'cells', '--items')).stdout.trim().split('\n')
    expect(lines.slice(1)).toEqual([
      expect.stringMatching(/^baf1:0 .* cat.jpg {2}does not conform; NOT_CONFORMING: label is/),
      expect.stringMatching(/^baf1:1 .* cat.jpg {2}its name belongs to another object$/),
      expect.stringMatching(/^baf1:2 .* cat.jpg$/),
    ])
    const filter = { status: 'pending', author: 'me' }
    const options = ['--items', '--author', 'me', '--limit', '1', '--json']
    const some = await run('review', 'list', 'cells', ...options)
    expect(api.calls.at(-1)).toEqual({ method: 'queue', args: ['cells', filter] })
    expect(JSON.parse(some.stdout)).toEqual([item(0)])
    expect(some.stderr).toContain('there is more')
  })

  it.each([
    ['gonk://ID?root=R', /^gonk-node: no daemon runs.*\n$/],
    ['gonk://ID?root=R&peer=%2Fip4%2F127.0.0.1%2Ftcp%2F1', /^gonk-node: only this machine.*\n$/],
    ['gonk://ID?root=R&peer=%2Fip4%2F127.0.0.1%2Ftcp%2F1&peer=%2Fip4%2F10.0.0.2%2Ftcp%2F1', /^$/],
  ])('share of %s', async (link, note) => {
    const { run } = await daemonOf({ share: async () => ({ link, root: 'R' }) })
    const { stdout, stderr } = await run('share', 'cells')
    expect(stdout).toBe(`${link}\n`)
    expect(stderr).toMatch(note)
  })
})

describe('how a command ends', () => {
  it('output that cannot be written is a failure', async () => {
    const { run, dir } = await daemonOf()
    expect((await run('root', 'cells', '--json')).status).toBe(0)
    const line = '"$0" "$1" --home "$2" --json root cells > /dev/full 2> /dev/null; echo $?'
    const full = await promisify(execFile)('bash', ['-c', line, process.execPath, launcher, dir])
    expect(full.stdout).toBe('1\n')
  })

  it('a failure is one line on stderr and status 1', async () => {
    const failure = new GonkError('NOT_FOUND', 'no dataset cells')
    const { run, dir } = await daemonOf({ root: () => Promise.reject(failure) })
    const human = await gonk(['root', 'cells', '--home', dir])
    expect(human).toEqual({
      status: 1,
      stdout: '',
      stderr: 'gonk-node: NOT_FOUND: no dataset cells; list what exists, or give more of the id\n',
    })
    const json = await run('root', 'cells', '--json')
    expect(json.status).toBe(1)
    expect(JSON.parse(json.stdout)).toEqual({
      error: { code: 'NOT_FOUND', message: 'no dataset cells', hint: failure.hint },
    })
  })

  it('verify that finds problems prints them and ends with status 1', async () => {
    const result = { ok: false, events: 1, blocks: 2, bytes: 3, problems: ['block x is damaged'] }
    const { run } = await daemonOf({ verify: async () => result })
    const json = await run('verify', 'cells', '--json')
    expect([json.status, JSON.parse(json.stdout)]).toEqual([1, result])
    expect((await run('verify', 'cells')).stdout).toContain('block x is damaged')
  })

  it.each([
    [['--nonsense']],
    [['frobnicate']],
    [['dataset']],
    [[]],
    [['add', 'cells']],
    [['root']],
    [['root', 'cells', 'more']],
    [['dataset', 'create', 'cells', '--threshold', '2']],
    [['dataset', 'create', 'cells', '--threshold', 'x']],
    [['dataset', 'create', 'cells', '--founder', 'AB']],
    [['policy', 'set', 'cells']],
    [['policy', 'set', 'cells', '--reviews', '0']],
    [['checkpoint', 'vote', 'cells']],
    [['review', 'accept', 'cells']],
    [['review', 'accept', 'cells', 'e1', '--all']],
    [['review', 'list', 'cells', '--limit', '5']],
    [['review', 'list', 'cells', '--items', '--status', 'all']],
    [['add', 'cells', 'x', '--meta', '{']],
    [['ls', 'cells', '--limit', '0']],
    [['help', 'frobnicate']],
  ])('wrong usage %j is status 2 and touches nothing', async (args) => {
    const { api, run } = await daemonOf()
    const { status, stdout, stderr } = await run(...args)
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).not.toBe('')
    expect(api.calls).toEqual([])
  })

  it('Ctrl-C ends the operation in the daemon and the command with status 130', async () => {
    const started = new AbortController()
    const ended = Promise.withResolvers<unknown>()
    const { dir } = await daemonOf({
      clone: (_request, options) => {
        const run = untilAborted(options)
        run.catch(ended.resolve)
        started.abort()
        return run
      },
    })
    const outcome = await gonk(['clone', 'ROOT', '--home', dir], { signal: started.signal })
    expect(outcome.status).toBe(130)
    expect(outcome.stderr).toMatch(/^gonk-node: CANCELLED: .*\n$/)
    expect(await ended.promise).toMatchObject({ code: 'CANCELLED' })
  })

  it('a reader that leaves is no failure', async () => {
    const { run, dir } = await daemonOf({
      log: async function* () {
        for (let i = 0; i < 20_000; i++) {
          yield { event: `e${i}`, kind: 'k', author: key, at: '', summary: 'x'.repeat(200) }
        }
      },
    })
    expect((await run('log', 'cells', '--limit', '1')).status).toBe(0)
    const line = `"$0" "$1" --home "$2" log cells | head -n 1; exit \${PIPESTATUS[0]}`
    const piped = await promisify(execFile)('bash', ['-c', line, process.execPath, launcher, dir])
    expect(piped.stdout).toMatch(/^e0 /)
    expect(piped.stderr).toBe('')
  })

  it('text of strangers cannot steer the terminal', async () => {
    const { run } = await daemonOf({
      log: async function* () {
        yield { event: 'e', kind: 'k', author: key, at: '', summary: '\x1b[2Jgone\r\nforged' }
      },
    })
    const { stdout } = await run('log', 'cells')
    expect(stdout.trimEnd()).not.toMatch(/[\x00-\x1f]/)
  })
})
