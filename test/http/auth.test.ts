import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Me, NodeApi, NodeDoor } from '../../src/contract/api.ts'
import { apiPrefix, routes } from '../../src/contract/routes.ts'
import type { Users } from '../../src/users/users.ts'
import { makeUsersHome } from '../users/make-users.ts'
import { fakeNodeApi, untilAborted } from './fake-node-api.ts'
import { requestOf } from './samples.ts'
import { listening, serverOf, token } from './serve.ts'

const names = Object.keys(routes) as (keyof NodeApi)[]

type Asker =
  | 'noKey'
  | 'wrongKey'
  | 'reader'
  | 'member'
  | 'admin'
  | 'removedUser'
  | 'oldKey'
  | 'newKey'
  | 'daemon'

const nobody = { noKey: 401, wrongKey: 401, removedUser: 401, oldKey: 401 }
// The rekeyed user is a member.
const everyone = { ...nobody, reader: 200, member: 200, newKey: 200, admin: 200, daemon: 200 }
const members = { ...everyone, reader: 403 }
const admins = { ...members, member: 403, newKey: 403 }

/** Who may do what: every route by everybody who may ask. 200 stands for 201, too. */
const matrix: Record<keyof NodeApi, Record<Asker, number>> = {
  me: everyone,
  status: everyone,
  sync: everyone,
  peers: everyone,
  connect: admins,
  addUser: admins,
  listUsers: admins,
  rekeyUser: admins,
  removeUser: admins,
  createDataset: admins,
  listDatasets: everyone,
  showDataset: everyone,
  forgetDataset: admins,
  add: admins,
  upload: members,
  store: members,
  propose: members,
  submit: members,
  removeObjects: members,
  renameObject: members,
  listObjects: everyone,
  showObject: everyone,
  content: everyone,
  history: everyone,
  importFrom: admins,
  addSchema: members,
  listSchemas: everyone,
  showSchema: everyone,
  deprecateSchema: members,
  commonSchemas: everyone,
  annotate: members,
  updateAnnotation: members,
  listAnnotations: everyone,
  showAnnotation: everyone,
  listReviews: everyone,
  review: members,
  listProposals: everyone,
  queue: everyone,
  queueCounts: everyone,
  select: members,
  checkDecisions: members,
  decide: members,
  owners: everyone,
  addOwner: admins,
  removeOwner: admins,
  endorse: admins,
  policy: everyone,
  setPolicy: admins,
  checkpoints: everyone,
  createCheckpoint: admins,
  voteCheckpoint: admins,
  trustCheckpoint: admins,
  log: everyone,
  show: everyone,
  diff: everyone,
  events: everyone,
  followEvents: everyone,
  stream: everyone,
  proof: everyone,
  root: everyone,
  createRelease: members,
  listReleases: everyone,
  showRelease: everyone,
  share: everyone,
  clone: admins,
  checkout: admins,
  verify: members,
  repair: admins,
  gc: admins,
  backup: admins,
}

async function makeKeys(users: Users): Promise<Record<Asker, string | undefined>> {
  const keyOf = async (name: string, role: Me['role']) => (await users.add(name, role)).apiKey
  const removedUser = await keyOf('gone', 'admin')
  await users.remove('gone')
  const oldKey = await keyOf('rekeyed', 'member')
  return {
    noKey: undefined,
    wrongKey: `gk_${'x'.repeat(32)}`,
    reader: await keyOf('rita', 'reader'),
    member: await keyOf('max', 'member'),
    admin: await keyOf('ada', 'admin'),
    removedUser,
    oldKey,
    newKey: (await users.rekey('rekeyed')).apiKey,
    daemon: token,
  }
}

async function makeDoor(): Promise<{ users: Users; door: NodeDoor; asked: string[] }> {
  const users = await (await makeUsersHome()).open()
  const asked: string[] = []
  const authenticate: NodeDoor['authenticate'] = (key) => users.authenticate(key)
  const apiOf = ({ name }: Me) => {
    asked.push(name)
    return fakeNodeApi()
  }
  return { users, asked, door: { authenticate, apiOf } }
}

describe('who may do what', () => {
  it.each(names)('%s', async (name) => {
    const { users, door } = await makeDoor()
    const server = serverOf(fakeNodeApi(), { door })
    const seen: Record<string, number> = {}
    for (const [asker, key] of Object.entries(await makeKeys(users))) {
      const byHeader = [{ authorization: `Bearer ${key}` }, { 'x-api-key': key }]
      const ways = key === undefined ? [{}] : byHeader
      const codes = ways.map(async (headers) => {
        const response = await server.inject({ ...requestOf(name), headers })
        if (response.statusCode >= 400) {
          expect(response.headers['content-type']).toMatch(/^application\/problem\+json/)
          const code = response.statusCode === 401 ? 'UNAUTHORIZED' : 'FORBIDDEN'
          expect(response.json()).toMatchObject({ code, status: response.statusCode })
        }
        return Math.min(response.statusCode, response.statusCode === 201 ? 200 : 999)
      })
      const [first, ...others] = await Promise.all(codes)
      expect(others.every((code) => code === first)).toBe(true)
      seen[asker] = first as number
    }
    expect(seen).toEqual(matrix[name])
  })

  it('acts on behalf of whoever asks', async () => {
    const { users, door, asked } = await makeDoor()
    const keys = await makeKeys(users)
    const server = serverOf(fakeNodeApi(), { door })
    for (const key of [keys.member, keys.newKey, keys.daemon]) {
      await server.inject({ ...requestOf('me'), headers: { 'x-api-key': key } })
    }
    expect(asked).toEqual(['max', 'rekeyed'])
  })

  it.each(['clone', 'addUser', 'add'] as const)(
    '%s is forbidden before its body is looked at, and says which role it needs',
    async (name) => {
      const { users, door } = await makeDoor()
      const { member } = await makeKeys(users)
      const server = serverOf(fakeNodeApi(), { door })
      const headers = { 'x-api-key': member, 'content-type': 'application/json' }
      const payload = `{"${'x'.repeat(20 << 20)}`
      const response = await server.inject({ ...requestOf(name), headers, payload })
      expect(response.json()).toMatchObject({ code: 'FORBIDDEN', details: { needed: 'admin' } })
      expect(response.json().detail).toContain('the role admin')
    },
  )

  it('takes no credentials of another kind', async () => {
    const server = serverOf(fakeNodeApi())
    const ways: Record<string, string>[] = [
      { authorization: token },
      { authorization: `Basic ${token}` },
      { authorization: `Bearer ${token} ${token}` },
      { authorization: 'Bearer ' },
      { 'x-api-key': '' },
      { 'x-api-key': `${token}, ${token}` },
      { authorization: 'Bearer no', 'x-api-key': token },
      { cookie: `token=${token}` },
    ]
    for (const headers of ways) {
      const response = await server.inject({ ...requestOf('status'), headers })
      expect(response.statusCode, JSON.stringify(headers)).toBe(401)
    }
    const query = await server.inject({ url: `${apiPrefix}/status?apiKey=${token}` })
    expect(query.statusCode).toBe(401)
  })
})

describe('keys in the log', () => {
  let lines: string[]
  beforeAll(() => {
    lines = []
  })

  it('never appear, wherever they were put', async () => {
    const { users, door } = await makeDoor()
    const keys = Object.values(await makeKeys(users)).filter((key) => key !== undefined)
    const failing = (text: string) => Promise.reject(new RangeError(`boom ${text}`))
    const destination = { write: (line: string) => void lines.push(line) }
    const api = fakeNodeApi({ show: (_dataset, id) => failing(id), root: (name) => failing(name) })
    const server = serverOf(api, { door, level: 'trace', destination })
    for (const key of keys) {
      const odd = key.replace('g', '%67').replace('_', '%5F')
      for (const headers of [{ authorization: `Bearer ${key}` }, { 'x-api-key': key }]) {
        const asToken = { ...headers, authorization: `Bearer ${token}` }
        for (const path of [
          `/none/${key}`,
          `/none/${odd}`,
          `/status?key=${key}`,
          `/users/${key}`,
        ]) {
          await server.inject({ url: apiPrefix + path, headers })
          await server.inject({ url: apiPrefix + path, headers: asToken })
        }
        for (const path of [`/datasets/${odd}/root`, `/datasets/x/show/${key}?${key}=${key}`]) {
          await server.inject({ url: apiPrefix + path, headers: asToken })
        }
        const payload = { name: key, [key]: key }
        const url = `${apiPrefix}/users`
        await server.inject({ method: 'POST', url, headers: asToken, payload })
      }
    }
    expect(lines.length).toBeGreaterThan(100)
    expect(lines.some((line) => line.includes('RangeError'))).toBe(true)
    const log = lines.join('')
    for (const key of keys) {
      expect(log).not.toContain(key)
      expect(log).not.toContain(key.slice(3))
    }
  })
})

describe('streams of one user', () => {
  it('are at most 16 at a time, whoever else has some', async () => {
    const { users, door } = await makeDoor()
    const keys = await makeKeys(users)
    async function* endless(_request: unknown, options: { signal?: AbortSignal } | undefined) {
      await untilAborted(options)
      yield { seq: 0, dataset: '', kind: 'peer' as const, ids: [] }
    }
    const api = fakeNodeApi({ stream: endless })
    const url = await listening(api, { door: { ...door, apiOf: () => api } })
    const opened: AbortController[] = []
    onTestFinished(() => opened.forEach((controller) => controller.abort()))
    const open = (key: string | undefined) => {
      const controller = new AbortController()
      opened.push(controller)
      const headers = { 'x-api-key': key ?? '' }
      return fetch(`${url}${apiPrefix}/stream`, { headers, signal: controller.signal })
    }
    const first = await Promise.all(Array.from({ length: 16 }, () => open(keys.reader)))
    expect(first.map(({ status }) => status)).toEqual(Array.from({ length: 16 }, () => 200))
    const beyond = await open(keys.reader)
    expect(beyond.status).toBe(429)
    expect(await beyond.json()).toMatchObject({ code: 'TOO_MANY' })
    expect((await open(keys.member)).status).toBe(200)
    opened[0]?.abort()
    await expect.poll(async () => (await open(keys.reader)).status).toBe(200)
  })
})
