// Schemas and annotations from the command line, on a home without a daemon.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { gonkHere, launcher, tempDir } from './run.ts'

let template: string
let dir: string
let home: string

/** Every test begins with a copy of the same home. */
beforeAll(async () => {
  template = await mkdtemp(join(tmpdir(), 'gonk-test-'))
  dir = template
  home = join(dir, 'home')
  await succeed('init')
  await succeed('dataset', 'create', 'cells')
  await file('pictures.a.jpg', 'a')
  await file('pictures.b.jpg', 'b')
  await succeed('add', 'cells', at('pictures.a.jpg'), at('pictures.b.jpg'), '--accept')
  const schema = await file('schema.json', '{"type":"object","required":["label"]}\n')
  await succeed('schema', 'add', 'cells', 'schema-a', schema, '--accept')
}, 60_000)

beforeEach(async () => {
  dir = await tempDir()
  home = join(dir, 'home')
  await cp(join(template, 'home'), home, { recursive: true })
})

afterAll(() => rm(template, { recursive: true, force: true }))

const at = (name: string) => join(dir, name)

async function file(name: string, text: string): Promise<string> {
  await writeFile(at(name), text)
  return at(name)
}

const run = (...args: string[]) => gonkHere(['--home', home, ...args])

async function succeed(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await run(...args)
  expect([status, stderr]).toEqual([0, ''])
  return stdout
}

const json = async (...args: string[]) => JSON.parse(await succeed(...args, '--json'))

async function fail(...args: string[]) {
  const { status, stdout } = await run(...args, '--json')
  const { error } = JSON.parse(stdout) as { error: { code: string; message: string } }
  return { status, ...error }
}

/** A process of its own, which reads this. */
async function withInput(input: string, ...args: string[]): Promise<string> {
  const child = spawn(process.execPath, [launcher, '--home', home, ...args])
  onTestFinished(() => void child.kill())
  child.stdin.end(input)
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  if (child.exitCode === null) await once(child, 'exit')
  expect([child.exitCode, stderr]).toEqual([0, ''])
  return stdout
}

describe('schema', () => {
  it('goes in, is listed and shown, gets a new version, and goes out of use', async () => {
    const second = await file('second.json', '{"required":["box"]}')
    const added = await json('schema', 'add', 'cells', 'schema-a', second, '--accept')
    expect(added).toMatchObject({ schema: { name: 'schema-a', number: 1, status: 'accepted' } })
    expect(added.schema.version).toBe(`${added.event}:0`)
    expect(await json('schema', 'list', 'cells')).toMatchObject([{ number: 1, versions: 2 }])
    const shown = await succeed('schema', 'show', 'cells', 'schema-a@0', '--document')
    expect(shown).toBe('{"type":"object","required":["label"]}\n')
    expect(await succeed('schema', 'show', 'cells', 'schema-a')).toContain('{"required":["box"]}')
    const { events } = await json('schema', 'deprecate', 'cells', 'schema-a@0')
    const again = await succeed('schema', 'deprecate', 'cells', 'schema-a@0')
    expect(again).toBe('nothing to do; 1 proposed already\n')
    await succeed('review', 'accept', 'cells', ...events)
    const old = await json('schema', 'show', 'cells', 'schema-a@0')
    expect(old).toMatchObject({ status: 'deprecated' })
  })

  it('comes along under its own name or another', async () => {
    const names = (await json('schema', 'common')) as { name: string; example: string }[]
    expect(names.map(({ name }) => name)).toContain('schema-boxes')
    await succeed('schema', 'add', 'cells', '--common', 'boxes', '--accept')
    await succeed('schema', 'add', 'cells', 'schema-mine', '--common', 'schema-boxes')
    const document = await succeed('schema', 'show', 'cells', 'schema-boxes', '--document')
    expect((await succeed('schema', 'common', 'boxes')).trimEnd()).toBe(document.trimEnd())
    const example = await file(
      'example.json',
      await succeed('schema', 'common', 'boxes', '--example'),
    )
    const args = ['pictures.a.jpg', '--schema', 'schema-boxes', example]
    expect(await json('annotate', 'cells', ...args)).toMatchObject({ annotations: [{}] })
    expect(await fail('schema', 'common', 'nothing')).toMatchObject({ code: 'NOT_FOUND' })
  })

  it.each([
    [['schema', 'add', 'cells'], 'USAGE', 2],
    [['schema', 'add', 'cells', 'schema-b'], 'USAGE', 2],
    [['schema', 'add', 'cells', 'schema-b', 'x.json', '--common', 'boxes'], 'USAGE', 2],
    [['schema', 'add', 'cells', 'schema-b', '/nowhere/x.json'], 'NOT_FOUND', 1],
    [['schema', 'add', 'cells', 'boxes', '--common', 'boxes'], 'BAD_NAME', 1],
    [['schema', 'show', 'cells', 'schema-b'], 'NOT_FOUND', 1],
  ])('%j fails with %s', async (args, code, status) => {
    expect(await fail(...args)).toMatchObject({ code, status })
  })
})

describe('annotate', () => {
  it('proposes the document of a file, of one object or several', async () => {
    const document = await file('a.json', '{"label": "cell"}\n')
    const objects = ['pictures.a.jpg', '--also', 'pictures.b.jpg']
    const result = await json('annotate', 'cells', ...objects, '--schema', 'schema-a', document)
    expect(result).toMatchObject({
      events: [expect.any(String)],
      annotations: [{ status: 'pending', objects: [{ name: 'pictures.a.jpg' }, {}] }],
    })
    const [{ id }] = result.annotations
    expect(await succeed('annotation', 'show', 'cells', id.slice(0, 8), '--document')).toBe(
      '{"label": "cell"}\n',
    )
    const human = await succeed('annotation', 'show', 'cells', id)
    expect(human).toMatch(/conforms +yes/)
    expect(human).toContain('pictures.a.jpg, pictures.b.jpg')
  })

  it('shows the document byte by byte, but to a terminal nothing that steers it', async () => {
    const text = '{"label":\t"\u061c\u202e"}\r\n'
    const document = await file('a.json', text)
    const args = ['pictures.a.jpg', '--schema', 'schema-a', document]
    const [{ id }] = (await json('annotate', 'cells', ...args)).annotations
    const evil = await file('evil.json', text)
    await succeed('schema', 'add', 'cells', 'schema-evil', evil)
    for (const what of [
      ['annotation', 'show', 'cells', id],
      ['schema', 'show', 'cells', 'schema-evil'],
    ]) {
      expect(await succeed(...what, '--document')).toBe(text)
      const { isTTY } = process.stdout
      process.stdout.isTTY = true
      try {
        expect(await succeed(...what, '--document')).toBe('{"label":  "\ufffd\ufffd"}\n')
      } finally {
        process.stdout.isTTY = isTTY
      }
    }
  })

  it('says what does not conform, and where', async () => {
    const document = await file('a.json', '{"lable":1}')
    const args = ['pictures.a.jpg', '--schema', 'schema-a', document]
    const { stderr, status } = await run('annotate', 'cells', ...args)
    expect(status).toBe(1)
    expect(stderr).toMatch(/^gonk-node: NOT_CONFORMING: the annotation does not conform: .*'label'/)
    expect(await json('annotation', 'list', 'cells', '--status', 'pending')).toEqual({
      annotations: [],
    })
  })

  it('takes a document or a batch from standard input', async () => {
    const args = ['annotate', 'cells', 'pictures.a.jpg', '--schema', 'schema-a', '-', '--json']
    const one = JSON.parse(await withInput('{"label":"ü"}', ...args))
    expect(one.annotations.length).toBe(1)
    const line = JSON.stringify({
      object: 'pictures.a.jpg',
      schema: 'schema-a',
      text: '{"label":1}',
    })
    const many = await withInput(
      `${line}\n\n${line.replace('1', '2')}`,
      'annotate',
      'cells',
      '--batch',
      '-',
      '--json',
    )
    expect(JSON.parse(many)).toMatchObject({ annotations: [{}, {}], events: [expect.any(String)] })
    const list = await json('annotation', 'list', 'cells', '--object', 'pictures.a.jpg')
    expect(list.annotations.length).toBe(3)
  }, 60_000)

  it('proposes a long batch in groups, and prints one document', async () => {
    const lines = Array.from({ length: 2_100 }, (_, i) => {
      const objects = i % 2 === 0 ? { object: 'pictures.a.jpg' } : { objects: ['pictures.b.jpg'] }
      return JSON.stringify({ ...objects, value: { label: i } })
    })
    const batch = await file('all.jsonl', lines.join('\r\n'))
    const args = ['--batch', batch, '--schema', 'schema-a', '--accept']
    const result = await json('annotate', 'cells', ...args)
    expect(result.annotations.length).toBe(2_100)
    expect(result.events.length).toBe(3)
    const list = await json('annotation', 'list', 'cells', '--limit', '300')
    expect(list.annotations.length).toBe(300)
    const again = '2100 annotations already there or proposed'
    expect(await succeed('annotate', 'cells', ...args)).toBe(`nothing new to propose: ${again}\n`)
  }, 60_000)

  it.each([
    ['not json', '{', 'USAGE'],
    ['no schema', '{"object":"pictures.a.jpg","value":{}}', 'USAGE'],
    ['no object', '{"schema":"schema-a","value":{}}', 'USAGE'],
    ['no document', '{"object":"pictures.a.jpg","schema":"schema-a"}', 'USAGE'],
    [
      'what does not conform',
      '{"object":"pictures.a.jpg","schema":"schema-a","value":{}}',
      'NOT_CONFORMING',
    ],
    ['no such object', '{"object":"c.jpg","schema":"schema-a","value":{}}', 'NOT_FOUND'],
  ])('names the line of a batch with %s', async (_, bad, code) => {
    const good = '{"object":"pictures.a.jpg","schema":"schema-a","value":{"label":1}}'
    const batch = await file('all.jsonl', [good, '', bad, good].join('\n'))
    const failure = await fail('annotate', 'cells', '--batch', batch)
    expect(failure).toMatchObject({ code, message: expect.stringMatching(/^line 3\b/) })
    expect((await json('annotation', 'list', 'cells', '--status', 'pending')).annotations).toEqual(
      [],
    )
  })

  it('says how many of the lines before a bad one were proposed', async () => {
    const lineOf = (label: number) =>
      `{"object":"pictures.a.jpg","schema":"schema-a","value":{"label":${label}}}`
    const lines = Array.from({ length: 1_000 }, (_, i) => lineOf(Math.min(i, 989)))
    const batch = await file('all.jsonl', [...lines, '{}'].join('\n'))
    const { status, stdout } = await run('annotate', 'cells', '--batch', batch, '--json')
    const { annotations, error } = JSON.parse(stdout)
    expect([status, annotations.length]).toEqual([1, 1_000])
    expect(error.message).toMatch(
      /^line 1001 .*; 990 annotations of earlier lines stay proposed, and are skipped when .* again$/,
    )
    await file('all.jsonl', [...lines, lineOf(-1)].join('\n'))
    const result = await json('annotate', 'cells', '--batch', batch)
    expect(result).toMatchObject({ events: [expect.any(String)], skipped: 1_000 })
    expect(new Set(result.annotations.map(({ id }: { id: string }) => id)).size).toBe(991)
  }, 30_000)

  it('of the same thing twice is skipped, and accepted where it waits', async () => {
    const document = await file('a.json', '{"label":1}')
    const args = ['annotate', 'cells', 'pictures.a.jpg', '--schema', 'schema-a', document]
    expect(await succeed(...args)).toMatch(/^proposed 1 annotation\nbafy\w+\n$/)
    const skipped = 'nothing new to propose: 1 annotation already there or proposed\n'
    expect(await succeed(...args)).toBe(skipped)
    expect(await succeed(...args, '--accept')).toBe('added and accepted 1 annotation\n')
    expect(await succeed(...args, '--accept')).toBe(skipped)
    expect((await json('annotation', 'list', 'cells')).annotations).toHaveLength(1)
  })

  it.each([
    [['annotate', 'cells']],
    [['annotate', 'cells', 'pictures.a.jpg']],
    [['annotate', 'cells', 'pictures.a.jpg', 'a.json']],
    [['annotate', 'cells', 'pictures.a.jpg', 'a.json', '--schema', 's', '--batch', 'x']],
    [['annotate', 'cells', '--batch', 'x', '--also', 'pictures.a.jpg']],
  ])('%j is wrong usage', async (args) => {
    expect(await fail(...args)).toMatchObject({ code: 'USAGE', status: 2 })
  })
})

it('an annotation gets a new version, and is removed', async () => {
  const [old, fresh] = [await file('1.json', '{"label":1}'), await file('2.json', '{"label":2}')]
  const args = ['pictures.a.jpg', '--schema', 'schema-a', old, '--accept']
  const { annotations } = await json('annotate', 'cells', ...args)
  const [{ id }] = annotations
  await succeed('annotation', 'update', 'cells', id, fresh, '--accept')
  expect(await json('annotation', 'show', 'cells', id)).toMatchObject({ text: '{"label":2}' })
  const { events } = await json('rm', 'cells', id)
  expect(await succeed('rm', 'cells', id)).toBe('nothing to do; 1 proposed already\n')
  await succeed('review', 'accept', 'cells', ...events)
  expect(await json('annotation', 'show', 'cells', id)).toMatchObject({ status: 'deleted' })
  expect(await succeed('annotation', 'list', 'cells', '--status', 'deleted')).toContain(id)
})
