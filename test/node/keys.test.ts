// API keys stay where they belong: a daemon that logs all it can, asked in every place where somebody
// might put a key, writes none of them, and its home holds nothing but hashes of them.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'
import type { UserInfo, UserWithKey } from '../../src/contract/api.ts'
import { readDaemonFile } from '../../src/home.ts'
import { aWorld, type TestNode } from './daemon.ts'
import { GONK } from './gonk.ts'

const PERCENT = (key: string) => key.replaceAll('_', '%5F').replace('g', '%67')
const WRONG = `gk_${'Wrong0'.repeat(6).slice(0, 32)}`

/** Requests that carry a key everywhere but in the body; how each is answered does not matter here. */
function requestsWith(key: string): { path: string; method?: string; headers?: HeadersInit }[] {
  const headers = [
    { authorization: `Bearer ${key}` },
    { authorization: `Basic ${btoa(`${key}:`)}` },
    { authorization: key },
    { 'x-api-key': key },
    { 'x-api-key': `${key} ` },
    { 'x-api-key': `${key}x` },
    { 'x-api-key': `"${key}"`, cookie: `key=${key}` },
    { 'x-api-key': key, 'if-none-match': key, 'last-event-id': key, 'content-type': key },
  ]
  const paths = [
    `/${key}`,
    `/datasets/${key}`,
    `/datasets/${PERCENT(key)}/objects`,
    `/datasets/cells/objects/${key}?key=${key}`,
    `/datasets/cells/schemas/schema-${key}`,
    `/datasets/cells/annotations?after=${key}`,
    `/datasets/cells/objects?x-api-key=${PERCENT(key)}&limit=${key}`,
    `/datasets?api_key=${key}`,
    `/users/${key}`,
    `/events?after=${key}`,
    `/stream?since=${key}`,
    `/datasets/%zz${key}`,
  ]
  const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']
  return [
    ...headers.map((headers) => ({ path: '/datasets', headers })),
    ...paths.map((path) => ({ path })),
    ...paths.map((path) => ({ path, headers: { 'x-api-key': key } })),
    ...methods.map((method) => ({ path: `/datasets/${key}/root`, method })),
  ]
}

/** Bodies in which a key is no value of anything that is kept. */
const bodiesWith = (key: string) => [key, `{"name":${key}`, JSON.stringify({ [key]: key })]

async function askAll(url: string, key: string): Promise<number[]> {
  const headers = { 'x-api-key': key, 'content-type': 'application/json' }
  const bodies = bodiesWith(key).map((body) => ({
    method: 'POST',
    headers,
    body,
    path: '/datasets',
  }))
  const statuses: number[] = []
  for (const { path, ...init } of [...requestsWith(key), ...bodies]) {
    const response = await fetch(url + path, init)
    await response.text()
    statuses.push(response.status)
  }
  return statuses
}

/** What is hardly HTTP. @returns the answer. */
async function askRaw(url: string, request: string): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.end(request)
  return text(socket)
}

const rawWith = (key: string) => [
  `${key}\r\n\r\n`,
  `GET /datasets HTTP/1.1\r\nHost: ${key}\r\nConnection: close\r\n\r\n`,
  `GET /datasets HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: ${key}\r\n${key}\r\n\r\n`,
  `GET /${key} HTTP/1.1\r\nHost: 127.0.0.1\r\n${`x-${key}: ${key}\r\n`.repeat(400)}\r\n`,
  `POST /datasets HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${key}\r\n\r\n`,
]

/** Every file of a home but the one that tells the token, with its bytes as one letter each. */
async function textsOf({ home }: TestNode): Promise<Map<string, string>> {
  const entries = await readdir(home, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && entry.name !== 'daemon.json')
  const read = files.map(async ({ parentPath, name }) => {
    const path = join(parentPath, name)
    return [path, await readFile(path, 'latin1')] as const
  })
  return new Map(await Promise.all(read))
}

it('no key is in the log or in the home, whatever is asked with it', async () => {
  const a = (await aWorld()).node('A')
  const daemon = await a.start(GONK, { GONK_LOG: 'trace' })
  await a.json('dataset', 'create', 'cells')
  const [kept, gone] = [await a.user('ada', 'admin'), await a.user('bob')]
  const rekeyed = await a.json<UserWithKey>('users', 'rekey', 'ada')
  const added = await a.api.addUser({ name: 'eve', role: 'reader' })
  const again = await a.api.rekeyUser('eve')
  const token = (await readDaemonFile(a.home))?.token ?? ''
  const keys = [kept, gone, rekeyed, added, again].map(({ apiKey }) => apiKey)
  expect(new Set(keys).size).toBe(5)

  const statuses = new Set<number>()
  const ask = async (url: string, key: string) => {
    for (const status of await askAll(url, key)) statuses.add(status)
  }
  const { url } = daemon.ready
  const doors = [`${url}/api/v1`, `${url}/gonk`, url, daemon.gonkUrl]
  for (const key of [...keys, token, WRONG]) {
    for (const door of doors) await ask(door, key)
    for (const request of rawWith(key)) {
      for (const door of [url, daemon.gonkUrl])
        expect(await askRaw(door, request)).toMatch(/^HTTP\/1.1 [45]/)
    }
    for (const args of [
      ['show', 'cells', key],
      ['users', 'rekey', key],
      ['users', 'remove', key],
    ]) {
      expect((await a.run(...args)).status).toBe(1)
    }
  }
  expect([...statuses]).toEqual(expect.arrayContaining([200, 400, 401, 403, 404, 500]))
  await a.json<UserInfo>('users', 'remove', 'bob')
  await ask(doors[0] as string, gone.apiKey)
  const homeWhileItRuns = await textsOf(a)
  await daemon.stop()

  const written = daemon.written()
  // It did log what was asked.
  expect(written).toMatch(/"msg":"answered"/)
  expect(written).toMatch(/"msg":"refused"/)
  expect(written).toContain('/datasets/[secret]')
  const homes = [...homeWhileItRuns, ...(await textsOf(a))]
  for (const key of [...keys, token, WRONG]) {
    // Its random part: no encoding of what stands before it hides that.
    const secret = key.slice(key.indexOf('_') + 1)
    const lines = written.split('\n').filter((line) => line.includes(secret))
    expect(lines.map((line) => line.replaceAll(secret, 'SECRET'))).toEqual([])
    expect(homes.filter(([, bytes]) => bytes.includes(secret)).map(([path]) => path)).toEqual([])
  }

  const users = homes.filter(([path]) => path.includes('/users/')).map(([, bytes]) => bytes)
  const hashOf = (key: string) => createHash('sha256').update(key).digest('hex')
  const isHeld = (key: string) => users.some((bytes) => bytes.includes(hashOf(key)))
  expect([rekeyed, again].map(({ apiKey }) => isHeld(apiKey))).toEqual([true, true])
  expect(daemon.complaints()).toEqual([])
})
