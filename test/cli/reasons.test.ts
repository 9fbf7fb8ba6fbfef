// What a contributor and an owner read about what was decided, on a home without a daemon.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { gonkHere, tempDir } from './run.ts'

let dir: string
let home: string
let event: string
let annotation: string

const run = (...args: string[]) => gonkHere(['--home', home, ...args])

async function succeed(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await run(...args)
  expect([status, stderr]).toEqual([0, ''])
  return stdout
}

const json = async (...args: string[]) => JSON.parse(await succeed(...args, '--json'))

async function file(name: string, text: string): Promise<string> {
  await writeFile(join(dir, name), text)
  return join(dir, name)
}

beforeEach(async () => {
  dir = await tempDir()
  home = join(dir, 'home')
  await succeed('init')
  await succeed('dataset', 'create', 'cells')
  await succeed('add', 'cells', await file('a.jpg', 'a'), '--accept')
  const schema = await file('schema.json', '{"type":"object"}')
  await succeed('schema', 'add', 'cells', 'schema-a', schema, '--accept')
  const lines = [1, 2, 3].map((n) => JSON.stringify({ object: 'a.jpg', value: { n } }))
  const batch = await file('all.jsonl', lines.join('\n'))
  const made = await json('annotate', 'cells', '--schema', 'schema-a', '--batch', batch)
  event = made.events[0]
  annotation = made.annotations[1].id
})

describe('what was rejected', () => {
  beforeEach(async () => {
    await succeed('review', 'reject', 'cells', `${event}:1-2`, '--reason', 'two boxes are missing')
  })

  it('says why where it is shown', async () => {
    const { history } = await json('annotation', 'show', 'cells', annotation)
    expect(history).toMatchObject([{ status: 'rejected', reason: 'two boxes are missing' }])
    const text = await succeed('annotation', 'show', 'cells', annotation)
    expect(text).toMatch(/rejected .* two boxes are missing$/m)
  })

  it('says why in the list of what was proposed', async () => {
    const mine = ['review', 'list', 'cells', '--items', '--author', 'me'] as const
    const items = await json(...mine, '--status', 'rejected')
    expect(items.map(({ reason }: { reason?: string }) => reason)).toEqual(
      Array.from({ length: 2 }, () => 'two boxes are missing'),
    )
    expect(await succeed(...mine, '--status', 'rejected')).toContain(': two boxes are missing')
    expect(await succeed(...mine)).not.toContain('two boxes are missing')
  })

  it('says why in the list of proposals, which is not asked for items', async () => {
    for (const status of ['rejected', 'all']) {
      const list = await json('review', 'list', 'cells', '--status', status)
      expect(list.find((entry: { event: string }) => entry.event === event)).toMatchObject({
        status: { pending: 1, rejected: 2 },
        reasons: [{ verdict: 'reject', reason: 'two boxes are missing' }],
      })
      const text = await succeed('review', 'list', 'cells', '--status', status)
      expect(text).toMatch(/create an annotation of a.jpg and 2 more +rejected: two boxes are mis/)
    }
    expect(await succeed('review', 'list', 'cells')).not.toContain('two boxes')
  })

  it('is named part by part in the log', async () => {
    const [line] = (await succeed('log', 'cells')).split('\n')
    expect(line).toMatch(new RegExp(`reject ${event}:1-2: two boxes are missing$`))
  })

  it('stays without a reason where none was given', async () => {
    await succeed('review', 'reject', 'cells', `${event}:0`)
    const { annotations } = await json('annotation', 'list', 'cells', '--status', 'rejected')
    const reasons = []
    for (const { id } of annotations) {
      const { history } = await json('annotation', 'show', 'cells', id)
      reasons.push(history[0].reason)
    }
    expect(reasons.toSorted()).toEqual([
      'two boxes are missing',
      'two boxes are missing',
      undefined,
    ])
  })
})

describe('what is named wrongly', () => {
  it('and waits for a decision cannot be deleted, and why is said', async () => {
    const { status, stderr } = await run('rm', 'cells', annotation)
    expect(status).toBe(1)
    expect(stderr).toMatch(/was never accepted; .*review reject/)
  })

  it('is answered with the command that lists what there is', async () => {
    const hints = []
    for (const args of [
      ['annotation', 'show', 'cells', 'ffff'],
      ['schema', 'show', 'cells', 'schema-b'],
      ['rm', 'cells', 'b.jpg'],
      ['review', 'accept', 'cells', 'bafyreifoo'],
      ['ls', 'sells'],
    ]) {
      hints.push(/gonk-node ([a-z ]+[a-z])(?: DATASET.*)?`/.exec((await run(...args)).stderr)?.[1])
    }
    expect(hints).toEqual(['annotation list', 'schema list', 'ls', 'review list', 'dataset list'])
  })
})

describe('show', () => {
  it('says what each thing is', async () => {
    await succeed('review', 'accept', 'cells', '--all')
    expect(await json('show', 'cells', annotation)).toMatchObject({
      type: 'annotation',
      id: annotation,
    })
    expect(await json('show', 'cells', 'a.jpg')).toMatchObject({ type: 'object', name: 'a.jpg' })
    expect(await json('show', 'cells', event)).toMatchObject({ type: 'event', event })
    const [schema] = await json('schema', 'list', 'cells')
    expect(await json('show', 'cells', schema.id)).toMatchObject({ type: 'schema' })
  })
})

describe('people', () => {
  it('are named where they are known here, and can be named', async () => {
    const { publicKey: ada } = await json('users', 'add', 'ada')
    const { publicKey: node } = await json('status')
    expect(await succeed('owner', 'list', 'cells')).toMatch(`${node}  (this node)  `)
    const lineOf = (text: string) => text.split('\n').find((line) => line.includes(ada)) ?? ''
    expect(lineOf(await succeed('owner', 'add', 'cells', 'ada'))).toMatch(/ {2}\(ada\) {2}.*unconf/)
    await succeed('owner', 'remove', 'cells', 'ada')
    const named = await succeed('owner', 'add', 'cells', 'ada', '--name', 'Ada L.')
    expect(lineOf(named)).toMatch(/ {2}Ada L\. {2}/)
    const short = node.slice(0, 12)
    expect(await succeed('log', 'cells', '--author', 'me', '--limit', '1')).toContain(
      `  ${short} (this node)  add  `,
    )
    expect(await succeed('log', 'cells', '--author', 'ada')).toBe('')
    expect(await succeed('review', 'list', 'cells')).toContain(`  ${short} (this node)  `)
    expect(await succeed('review', 'list', 'cells', '--items')).toContain(
      `  ${short} (this node)  `,
    )
    const { status, stderr } = await run('owner', 'add', 'cells', 'adda')
    expect([status, stderr]).toEqual([2, expect.stringMatching(/USAGE: "adda" is neither .*users/)])
  })
})
