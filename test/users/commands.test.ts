// `users` as people and scripts see it: with a daemon and without one, in plain and sealed homes.
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { loadConfig, newConfigText } from '../../src/config.ts'
import { startDaemon } from '../../src/daemon.ts'
import { initHome, openHome } from '../../src/home.ts'
import { createLogger } from '../../src/logger.ts'
import { gonk, gonkHere, tempDir } from '../cli/run.ts'

const text = expect.any(String)
const info = (shape: object) =>
  expect.objectContaining({
    ...{ publicKey: expect.stringMatching(/^[0-9a-f]{64}$/), createdAt: text },
    ...{ role: 'member', removed: false, locked: false },
    ...shape,
  })
const apiKey = expect.stringMatching(/^gk_[A-Za-z0-9]{32}$/)

async function makeHome(withDaemon: boolean) {
  const dir = join(await tempDir(), 'home')
  const home = await initHome(dir, newConfigText())
  const log: string[] = []
  if (withDaemon) {
    const destination = { write: (line: string) => void log.push(line) }
    const logger = createLogger({ level: 'trace', destination })
    const flags = { http: '127.0.0.1:0', listen: ['/ip4/127.0.0.1/tcp/0'] }
    const daemon = await startDaemon({ home, logger }, loadConfig('', flags, {}).config)
    onTestFinished(() => daemon.close())
  }
  const run = (line: string) => gonkHere([...line.split(' '), '--home', dir])
  return {
    dir,
    log,
    run,
    async json(line: string): Promise<unknown> {
      const { status, stdout, stderr } = await run(`${line} --json`)
      expect([status, stderr], stdout).toEqual([0, ''])
      return JSON.parse(stdout)
    },
    async codeOf(line: string): Promise<unknown> {
      const { status, stdout } = await run(`${line} --json`)
      return [status, JSON.parse(stdout).error.code]
    },
  }
}

describe.each([
  ['on a daemon', true],
  ['without one', false],
])('users %s', (_, withDaemon) => {
  it('add and rekey print the four lines that scripts read', async () => {
    const { run } = await makeHome(withDaemon)
    const lines = (name: string) =>
      new RegExp(
        `^== THIS API KEY WILL ONLY BE SHOWN ONCE ==\nUSER: ${name}\nKEY: gk_[A-Za-z0-9]{32}\n\n$`,
      )
    const added = await run('users add ada')
    expect(added).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringMatching(lines('ada')),
    })
    const rekeyed = await run('users rekey ada')
    expect(rekeyed).toMatchObject({ status: 0, stdout: expect.stringMatching(lines('ada')) })
    expect(rekeyed.stdout).not.toBe(added.stdout)
  })

  it('--json prints who it is, and the API key where it is new', async () => {
    const { json } = await makeHome(withDaemon)
    expect(await json('users list')).toEqual([])
    expect(await json('users add ada')).toEqual(info({ name: 'ada', apiKey }))
    expect(await json('users add eve --role admin')).toEqual(
      info({ name: 'eve', role: 'admin', apiKey }),
    )
    const bob = await json('users add bob --role reader')
    expect(bob).toEqual(info({ name: 'bob', role: 'reader', apiKey }))
    const rekeyed = (await json('users rekey bob')) as object
    expect(rekeyed).toEqual({ ...(bob as object), apiKey })
    expect(rekeyed).not.toEqual(bob)
    expect(await json('users remove bob')).toEqual(
      info({ name: 'bob', role: 'reader', removed: true }),
    )
    const list = (await json('users list')) as object[]
    expect(list).toEqual([
      info({ name: 'ada' }),
      info({ name: 'bob', role: 'reader', removed: true }),
      info({ name: 'eve', role: 'admin' }),
    ])
    for (const user of list) expect(user).not.toHaveProperty('apiKey')
  })

  it('list is a table that says who was removed', async () => {
    const { run } = await makeHome(withDaemon)
    expect((await run('users list')).stdout).toBe('none\n')
    await run('users add ada')
    await run('users add bob --role reader')
    expect(await run('users remove bob')).toMatchObject({ status: 0, stdout: 'removed bob\n' })
    const [header, ada, bob, ...rest] = (await run('users list')).stdout.split('\n')
    expect(header).toMatch(/^NAME +ROLE +KEY +SINCE$/)
    expect(ada).toMatch(/^ada +member +[0-9a-f]{64} +\S+Z$/)
    expect(bob).toMatch(/^bob +reader +[0-9a-f]{64} +\S+Z +removed$/)
    expect(rest).toEqual([''])
  })

  it('fail with the code that says why', async () => {
    const { codeOf, json } = await makeHome(withDaemon)
    await json('users add ada')
    await json('users add bob')
    await json('users remove bob')
    expect(await codeOf('users add ADA')).toEqual([1, 'EXISTS'])
    expect(await codeOf('users add bob')).toEqual([1, 'EXISTS'])
    expect(await codeOf('users add a/b')).toEqual([1, 'BAD_NAME'])
    expect(await codeOf('users add .')).toEqual([1, 'BAD_NAME'])
    expect(await codeOf('users add eve --role root')).toEqual([2, 'USAGE'])
    expect(await codeOf('users rekey eve')).toEqual([1, 'NOT_FOUND'])
    expect(await codeOf('users rekey bob')).toEqual([1, 'NOT_ALLOWED'])
    expect(await codeOf('users remove eve')).toEqual([1, 'NOT_FOUND'])
    expect(await codeOf('users add')).toEqual([2, 'USAGE'])
    expect(await codeOf('users')).toEqual([2, 'USAGE'])
  })

  it('leave no API key and no seed in the log or on disk', async () => {
    const { dir, log, json } = await makeHome(withDaemon)
    const told = [await json('users add ada'), await json('users rekey ada')] as {
      apiKey: string
    }[]
    const file = await readFile(join(dir, 'users', 'ada.json'), 'utf8')
    const { seed } = JSON.parse(file)
    for (const { apiKey: key } of told) expect(log.join('') + file).not.toContain(key.slice(3))
    expect(seed).toMatch(/^[0-9a-f]{64}$/)
    expect(log.join('')).not.toContain(seed)
  })
})

it('GONK_PASSPHRASE_FILE seals what users add makes, and what was there', async () => {
  const { dir, json, codeOf } = await makeHome(false)
  const passphraseFile = join(dir, '..', 'passphrase')
  await writeFile(passphraseFile, 'correct horse\n')
  await json('users add ada')
  const env = { GONK_PASSPHRASE_FILE: passphraseFile }
  const added = await gonk(['users', 'add', 'bob', '--json', '--home', dir], { env })
  expect([added.status, JSON.parse(added.stdout)]).toEqual([0, info({ name: 'bob', apiKey })])
  expect(await readdir(join(dir, 'users'))).toEqual(['ada.json', 'bob.json'])
  for (const name of ['ada', 'bob']) {
    const { seed } = JSON.parse(await readFile(join(dir, 'users', `${name}.json`), 'utf8'))
    expect(seed).toMatchObject({ salt: text })
  }
  // Without it, and with nobody at a terminal to ask.
  expect(await json('users list')).toEqual([
    info({ name: 'ada', locked: true }),
    info({ name: 'bob', locked: true }),
  ])
  expect(await codeOf('users add eve')).toEqual([1, 'LOCKED'])
  await writeFile(passphraseFile, '')
  const empty = await gonk(['users', 'add', 'eve', '--json', '--home', dir], { env })
  expect([empty.status, JSON.parse(empty.stdout).error.code]).toEqual([2, 'CONFIG'])
})

it('a daemon takes the passphrase from the file that its config names', async () => {
  const { dir, json } = await makeHome(false)
  const passphraseFile = join(dir, '..', 'passphrase')
  await writeFile(passphraseFile, 'correct horse')
  await json('users add ada')
  const flags = { http: '127.0.0.1:0', listen: ['/ip4/127.0.0.1/tcp/0'], passphraseFile }
  const needs = { home: await openHome(dir), logger: createLogger({ level: 'silent' }) }
  const daemon = await startDaemon(needs, loadConfig('', flags, {}).config)
  onTestFinished(() => daemon.close())
  expect(await json('users list')).toEqual([info({ name: 'ada' })])
  const { seed } = JSON.parse(await readFile(join(dir, 'users', 'ada.json'), 'utf8'))
  expect(seed).toMatchObject({ scheme: text })
})
