import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import {
  environment,
  loadConfig,
  newConfigText,
  settingText,
  settings,
  withSetting,
} from '../../src/config.ts'
import { initHome } from '../../src/home.ts'
import { gonk, tempDir } from './run.ts'

const load = (text = '', flags = {}, env = {}) => loadConfig(text, flags, env).config

function problemsOf(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}

it('a new config file explains every setting, sets none, and reads as the defaults', () => {
  const text = newConfigText()
  expect(parse(text)).toBeNull()
  expect(load(text)).toEqual(load())
  for (const name of Object.keys(settings)) expect(text).toMatch(new RegExp(`^#${name}: `, 'm'))
  const uncommented = text.replaceAll(/^#(\w)/gm, '$1')
  expect(load(uncommented)).toEqual(load())
  expect(load(newConfigText('Ada: "the first"')).name).toBe('Ada: "the first"')
})

it('defaults listen on this machine only', () => {
  expect(load()).toMatchObject({
    http: { host: '127.0.0.1', port: 5050 },
    listen: ['/ip4/127.0.0.1/tcp/4050'],
    peers: [],
    prefetchBytesMax: 10 * 2 ** 30,
    poolBytesMax: 2 ** 30,
    storedBytesMax: 10 * 2 ** 30,
    diskReserveBytes: 2 ** 30,
    logLevel: 'info',
  })
})

it('flags stand above the environment, which stands above the file', () => {
  const text = 'http: 127.0.0.1:1\nlogLevel: error\nname: file\n'
  const env = {
    GONK_HTTP: '127.0.0.1:2',
    GONK_LOG: 'debug',
    GONK_PEERS: '/ip4/1.1.1.1/tcp/1,/ip4/1.1.1.1/tcp/2',
  }
  const { config, sources } = loadConfig(text, { http: '127.0.0.1:3' }, env)
  expect(config.http.port).toBe(3)
  expect(config.logLevel).toBe('debug')
  expect(config.peers).toEqual(['/ip4/1.1.1.1/tcp/1', '/ip4/1.1.1.1/tcp/2'])
  expect(sources).toMatchObject({
    http: 'flag',
    logLevel: 'environment',
    name: 'file',
    allow: 'default',
  })
})

it('the config is frozen, lists included', () => {
  const config = load()
  expect(Object.isFrozen(config)).toBe(true)
  expect(Object.isFrozen(config.listen)).toBe(true)
  expect(Object.isFrozen(config.http)).toBe(true)
})

it('one error names every bad field', () => {
  const text = 'http: nowhere\nlisten: [/ip4/1.2.3.4/tcp/x]\ncolour: red\npoolBytesMax: many\n'
  const error = problemsOf(() => load(text, { logLevel: 'loud' }, { GONK_CONNECTIONS_MAX: '-1' }))
  expect(error).toMatchObject({ code: 'CONFIG', details: { problems: expect.any(Array) } })
  const message = String(error)
  for (const part of ['http:', 'listen:', 'colour:', 'poolBytesMax:', 'logLevel:']) {
    expect(message).toContain(part)
  }
  expect(message).toContain('connectionsMax (GONK_CONNECTIONS_MAX)')
})

it.each(['a: [', '- a list', 'text', 'a: 1\na: 2'])('the file %j is CONFIG', (text) => {
  expect(problemsOf(() => load(text))).toMatchObject({ code: 'CONFIG' })
})

it.each([
  ['1024', 1024],
  ['10 GiB', 10 * 2 ** 30],
  ['1.5MiB', 1.5 * 2 ** 20],
  [0, 0],
])('the size %j is %d bytes', (size, bytes) => {
  expect(load('', { poolBytesMax: size }).poolBytesMax).toBe(bytes)
})

it.each(['[::1]:5050', 'localhost:0', '0.0.0.0:65535'])('%s is an HTTP address', (text) => {
  expect(settingText(load('', { http: text }).http)).toBe(text)
})

it.each(['gonk', 'http'] as const)(
  'a bare port of %s is answered with an address of its own',
  (name) => {
    const example = { gonk: '127.0.0.1:5000', http: '127.0.0.1:5050' }[name]
    expect(() => loadConfig('', { [name]: '7000' })).toThrow(
      `${name}: "7000" is not HOST:PORT, such as ${example}`,
    )
  },
)

it.each(['5050', '::1:5050', 'a:65536', 'http://a:1', ''])('%j is no HTTP address', (text) => {
  expect(problemsOf(() => load('', { http: text }))).toMatchObject({ code: 'CONFIG' })
})

describe('config set', () => {
  it('puts the setting where it was explained and keeps every comment', () => {
    const before = newConfigText('lab')
    const after = withSetting(before, 'http', ['0.0.0.0:80'])
    expect(load(after).http).toEqual({ host: '0.0.0.0', port: 80 })
    expect(after.split('\n').filter((line) => line.startsWith('# '))).toEqual(
      before.split('\n').filter((line) => line.startsWith('# ')),
    )
    expect(after.replace('http: 0.0.0.0:80', '#http: 127.0.0.1:5050')).toBe(before)
  })

  it('takes lists as several words or one with commas, and overwrites', () => {
    const text = withSetting(newConfigText(), 'peers', ['/ip4/1.1.1.1/tcp/1', '/ip4/1.1.1.1/tcp/2'])
    expect(load(text).peers).toHaveLength(2)
    const again = withSetting(text, 'peers', ['/ip4/1.1.1.1/tcp/3'])
    expect(load(again).peers).toEqual(['/ip4/1.1.1.1/tcp/3'])
    expect(load(withSetting(again, 'connectionsMax', ['7'])).connectionsMax).toBe(7)
  })

  it('works on a file without our comments', () => {
    const text = withSetting('# mine\nname: a # why\n', 'logLevel', ['warn'])
    expect(text).toBe('# mine\nname: a # why\nlogLevel: warn\n')
    expect(withSetting(text, 'name', ['b'])).toBe('# mine\nname: b # why\nlogLevel: warn\n')
    expect(load(withSetting('', 'name', ['b'])).name).toBe('b')
  })

  it.each([
    ['colour', ['red']],
    ['http', ['nowhere']],
    ['http', ['a:1', 'b:2']],
  ])('refuses %s %j', (name, values) => {
    const error = problemsOf(() => withSetting(newConfigText(), name, values))
    expect(error).toMatchObject({ code: 'CONFIG' })
  })
})

it('GONK_HOME and GONK_DEBUG come from the environment', () => {
  expect(environment({ GONK_HOME: '/data', GONK_DEBUG: '1' })).toEqual({
    home: '/data',
    debug: true,
  })
  expect(environment({}).home).toMatch(/\.gonk$/)
})

it('config get, set and list work on the file of the home', async () => {
  const dir = await tempDir()
  await initHome(dir, newConfigText())
  const run = (...args: string[]) => gonk(['config', ...args, '--home', dir])
  expect((await run('get', 'http')).stdout).toBe('127.0.0.1:5050\n')
  expect((await run('set', 'http', '127.0.0.1:6060')).status).toBe(0)
  expect((await run('get', 'http')).stdout).toBe('127.0.0.1:6060\n')
  const list = JSON.parse((await run('list', '--json')).stdout)
  expect(list.find((entry: { name: string }) => entry.name === 'http')).toMatchObject({
    value: '127.0.0.1:6060',
    source: 'file',
    default: '127.0.0.1:5050',
    variable: 'GONK_HTTP',
  })
  const bad = await run('set', 'http', 'nowhere')
  expect([bad.status, bad.stderr.split('\n').length]).toEqual([2, 2])
})
