import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { FastifyInstance } from 'fastify'
import { createClient } from '../../src/client/client.ts'
import { apiPrefix, pathFields, routes } from '../../src/client/routes.ts'
import { GonkError, errorCodes } from '../../src/core/errors.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import { buildServer } from '../../src/http/server.ts'
import { createLogger } from '../../src/logger.ts'
import type { NodeApi, Progress } from '../../src/api/types.ts'
import { anObject, fakeNodeApi, untilAborted } from './fake-node-api.ts'

const token = 'secret-token'
const authorization = `Bearer ${token}`
const servers: FastifyInstance[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

function serverOf(api: NodeApi, level = 'silent', destination?: { write(line: string): void }) {
  const logger = createLogger({ level, ...(destination === undefined ? {} : { destination }) })
  const hosts = ['localhost', '127.0.0.1', '::1']
  const server = buildServer(api, { token, hosts, version: '1.2.3', logger })
  servers.push(server)
  return server
}

async function clientOf(api: NodeApi): Promise<NodeApi> {
  const server = serverOf(api)
  const url = await server.listen({ host: '127.0.0.1', port: 0 })
  return createClient({ url, token })
}

/** Arguments for every method, the awkward ones on purpose. */
const samples: { [Method in keyof NodeApi]: Parameters<NodeApi[Method]> } = {
  status: [],
  peers: [],
  connect: ['/ip4/127.0.0.1/tcp/4050/p2p/12D3KooW'],
  createDataset: [{ name: 'cells', founders: ['ab'.repeat(32)], threshold: 1 }],
  listDatasets: [],
  showDataset: ['cells & more/100%'],
  forgetDataset: ['cells'],
  add: ['cells', { paths: ['/tmp/a b', '/tmp/ü'], prefix: 'x', meta: '{"a":1}', accept: true }],
  removeObjects: ['cells', ['a.jpg', 'b/c.jpg']],
  renameObject: ['cells', 'a.jpg', 'b.jpg'],
  listObjects: ['cells@v1', { after: 'a&b=c', limit: 10 }],
  listReviews: ['cells', { status: 'all', author: 'ab' }],
  review: [
    'cells',
    { verdict: 'accept', items: ['e1:0-3'], all: { status: 'pending', author: 'k' }, reason: 'ok' },
  ],
  owners: ['cells'],
  addOwner: ['cells', 'cd'.repeat(32), 'Ada'],
  removeOwner: ['cells', 'cd'.repeat(32)],
  log: ['cells', { limit: 5, author: 'ab', object: 'a.jpg' }],
  show: ['cells', 'e1:3'],
  diff: ['cells', 'v1', 'v2'],
  root: ['cells'],
  createRelease: ['cells', 'v1/beta', 'first\nrelease'],
  listReleases: ['cells'],
  showRelease: ['cells', 'v1/beta $&'],
  share: ['cells'],
  clone: [
    { ref: 'gonk://x?root=y&peer=z', peers: ['/ip4/1.2.3.4/tcp/1'], name: 'n', pinOnly: true },
  ],
  checkout: ['cells@v1', '/tmp/out'],
  verify: ['cells'],
  gc: [],
}

describe('every method of the node through server and client', () => {
  it.each(Object.entries(samples))('%s arrives with its arguments', async (name, args) => {
    const api = fakeNodeApi()
    const client = await clientOf(api)
    const result: unknown = Reflect.apply(client[name as keyof NodeApi], client, args)
    if (name === 'log') {
      const entries = []
      for await (const entry of result as ReturnType<NodeApi['log']>) entries.push(entry)
      expect(entries).toHaveLength(1)
    } else expect(await result).toEqual({ ok: true })
    expect(api.calls).toEqual([{ method: name, args }])
  })

  it('optional arguments may be left out', async () => {
    const api = fakeNodeApi()
    const client = await clientOf(api)
    await client.diff('cells', 'v1')
    await client.listReviews('cells')
    await client.listObjects('cells')
    await client.addOwner('cells', 'cd'.repeat(32))
    expect(api.calls.map((call) => call.args)).toEqual([
      ['cells', 'v1', undefined],
      ['cells', {}],
      ['cells', {}],
      ['cells', 'cd'.repeat(32), undefined],
    ])
  })

  it('a dataset called .. cannot lead to another route', async () => {
    const client = await clientOf(fakeNodeApi())
    await expect(client.showDataset('..')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('who may ask', () => {
  const paths = Object.values(routes).map((route) => {
    const path = pathFields(route).reduce((url, name) => url.replace(`:${name}`, 'x'), route.path)
    return [route.method, apiPrefix + path] as const
  })

  it.each(paths)('%s %s wants the token', async (method, url) => {
    const api = fakeNodeApi()
    const server = serverOf(api)
    for (const headers of [{}, { authorization: 'Bearer wrong' }, { authorization: token }]) {
      const response = await server.inject({ method, url, headers })
      expect(response.statusCode).toBe(401)
      expect(response.headers['content-type']).toMatch(/^application\/problem\+json/)
      expect(response.headers['www-authenticate']).toContain('Bearer')
      expect(response.json()).toMatchObject({ code: 'UNAUTHORIZED', status: 401 })
    }
    expect(api.calls).toEqual([])
  })

  it('unknown paths of the API are not told apart without the token', async () => {
    const server = serverOf(fakeNodeApi())
    expect((await server.inject({ url: `${apiPrefix}/none` })).statusCode).toBe(401)
    const known = await server.inject({ url: `${apiPrefix}/none`, headers: { authorization } })
    expect(known.json()).toMatchObject({ code: 'NOT_FOUND', status: 404 })
    expect((await server.inject({ url: '/none' })).json()).toMatchObject({ code: 'NOT_FOUND' })
  })

  it.each(['evil.example', 'evil.example:5050', '127.0.0.1.evil.example', '[::1', 'a:b:c'])(
    'the Host header %j is refused everywhere',
    async (host) => {
      const server = serverOf(fakeNodeApi())
      for (const url of ['/healthz', '/', `${apiPrefix}/status`]) {
        const response = await server.inject({ url, headers: { host, authorization } })
        expect(response.json()).toMatchObject({ code: 'BAD_HOST', status: 403 })
      }
    },
  )

  it.each(['localhost', 'LOCALHOST:5050', '127.0.0.1:1', '[::1]:5050'])(
    'the Host header %j is fine',
    async (host) => {
      const server = serverOf(fakeNodeApi())
      expect((await server.inject({ url: '/healthz', headers: { host } })).statusCode).toBe(200)
    },
  )

  it('/healthz needs no token and says the version', async () => {
    const response = await serverOf(fakeNodeApi()).inject({ url: '/healthz' })
    expect(response.json()).toEqual({ ok: true, version: '1.2.3' })
  })
})

describe('errors', () => {
  it.each(Object.keys(errorCodes) as ErrorCode[])('%s passes through whole', async (code) => {
    const failure = new GonkError(code, 'what happened', { hint: 'do this', details: { n: 1 } })
    const api = fakeNodeApi({
      root: () => Promise.reject(failure),
      verify: () => Promise.reject(failure),
    })
    const response = await serverOf(api).inject({
      url: `${apiPrefix}/datasets/cells/root`,
      headers: { authorization },
    })
    expect(response.statusCode).toBe(errorCodes[code].status)
    expect(response.json()).toEqual({
      type: `urn:gonk-node:error:${code}`,
      title: expect.any(String),
      status: errorCodes[code].status,
      detail: 'what happened',
      code,
      hint: 'do this',
      details: { n: 1 },
    })
    const client = await clientOf(api)
    const same = { code, message: 'what happened', hint: 'do this', details: { n: 1 } }
    await expect(client.root('cells')).rejects.toMatchObject(same)
    await expect(client.verify('cells')).rejects.toMatchObject(same)
  })

  it('an unexpected failure is INTERNAL and logged with its stack', async () => {
    const lines: string[] = []
    const api = fakeNodeApi({ root: () => Promise.reject(new RangeError('boom')) })
    const server = serverOf(api, 'info', { write: (line) => lines.push(line) })
    const url = `${apiPrefix}/datasets/cells/root`
    const response = await server.inject({ url, headers: { authorization } })
    expect(response.json()).toMatchObject({ code: 'INTERNAL', status: 500, detail: 'boom' })
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('RangeError')
    expect(lines[0]).not.toContain(token)
  })

  it.each([
    ['an unknown field', { name: 'a', colour: 'red' }],
    ['a missing field', {}],
    ['a field of the wrong type', { name: ['a'] }],
    ['a key that is none', { name: 'a', founders: ['xyz'] }],
  ])('%s is USAGE', async (_what, payload) => {
    const api = fakeNodeApi()
    const url = `${apiPrefix}/datasets`
    const headers = { authorization }
    const response = await serverOf(api).inject({ method: 'POST', url, headers, payload })
    expect(response.json()).toMatchObject({ code: 'USAGE', status: 400 })
    expect(api.calls).toEqual([])
  })

  it('broken JSON is USAGE and a body beyond the limit TOO_LARGE', async () => {
    const server = serverOf(fakeNodeApi())
    const post = { method: 'POST', url: `${apiPrefix}/datasets` } as const
    const headers = { authorization, 'content-type': 'application/json' }
    const broken = await server.inject({ ...post, headers, payload: '{"name":' })
    expect(broken.json()).toMatchObject({ code: 'USAGE', status: 400 })
    const large = await server.inject({ ...post, headers, payload: `"${'x'.repeat(9 << 20)}"` })
    expect(large.json()).toMatchObject({ code: 'TOO_LARGE', status: 413 })
  })

  it.each([
    ['/%zz', 'a path that cannot be decoded'],
    [`${apiPrefix}/datasets/${'x'.repeat(5_000)}`, 'a part that is too long'],
  ])('%s is a problem document too', async (url) => {
    const response = await serverOf(fakeNodeApi()).inject({ url, headers: { authorization } })
    expect(response.headers['content-type']).toMatch(/^application\/problem\+json/)
    expect(response.json()).toMatchObject({ code: 'USAGE', status: 400 })
  })

  it.each([
    ['garbage\r\n\r\n', 400, 'USAGE'],
    [`GET / HTTP/1.1\r\nHost: localhost\r\nx: ${'x'.repeat(50_000)}\r\n\r\n`, 431, 'TOO_LARGE'],
  ])(
    'what is no readable request is a problem document too: %.20s',
    async (bytes, status, code) => {
      const server = serverOf(fakeNodeApi())
      await server.listen({ host: '127.0.0.1', port: 0 })
      const socket = connect((server.server.address() as AddressInfo).port, '127.0.0.1')
      socket.end(bytes)
      const answer = (await socket.toArray()).join('')
      expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} .*application/problem\\+json`, 's'))
      expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({ code, status })
    },
  )

  it('a token is never logged, wherever it was put', async () => {
    const lines: string[] = []
    const server = serverOf(fakeNodeApi(), 'trace', { write: (line) => lines.push(line) })
    for (const path of ['/status', '/none', '/datasets/x/log']) {
      const url = `${apiPrefix}${path}?token=${token}`
      await server.inject({ url, headers: { authorization } })
      await server.inject({ url, headers: { authorization: `Basic ${token}` } })
    }
    expect(lines.length).toBeGreaterThan(6)
    expect(lines.join('')).not.toContain(token)
  })

  it('a daemon that is gone is NO_PEER', async () => {
    const client = createClient({ url: 'http://127.0.0.1:1', token })
    await expect(client.status()).rejects.toMatchObject({ code: 'NO_PEER' })
  })
})

describe('long operations', () => {
  const progress: Progress = { what: 'adding', done: 1, total: 2, bytes: 3 }

  it('send progress, objects and the result as lines', async () => {
    const result = { events: ['e1'], objects: [], skipped: 0, warnings: [] }
    const api = fakeNodeApi({
      add: async (_dataset, _request, options) => {
        options?.onProgress?.(progress)
        for (let i = 0; i < 500; i++) options?.onObject?.({ ...anObject, name: `${i}` })
        return result
      },
    })
    const client = await clientOf(api)
    const seen: Progress[] = []
    const names: string[] = []
    const answer = await client.add(
      'cells',
      { paths: ['/x'] },
      { onProgress: (p) => seen.push(p), onObject: (object) => names.push(object.name) },
    )
    expect(answer).toEqual(result)
    expect(names).toEqual(Array.from({ length: 500 }, (_, i) => `${i}`))
    expect(seen.length).toBeLessThanOrEqual(1)
    const collected = await client.add('cells', { paths: ['/x'] })
    expect(collected.objects.map(({ name }) => name)).toEqual(names)

    const response = await serverOf(api).inject({
      method: 'POST',
      url: `${apiPrefix}/datasets/cells/add`,
      headers: { authorization },
      payload: { paths: ['/x'] },
    })
    expect(response.headers['content-type']).toBe('application/x-ndjson')
    expect(JSON.parse(response.body.trimEnd().split('\n').at(-1) ?? '')).toEqual({ result })
  })

  it('a failure half way is the last line and is thrown by the client', async () => {
    const client = await clientOf(
      fakeNodeApi({
        clone: async (_request, options) => {
          const news = Promise.withResolvers<void>()
          options?.onProgress?.(progress)
          setImmediate(() => news.resolve())
          await news.promise
          throw new GonkError('BAD_ROOT', 'a truncated history', { details: { root: 'r' } })
        },
      }),
    )
    const seen: Progress[] = []
    const cloned = client.clone({ ref: 'r' }, { onProgress: (p) => seen.push(p) })
    await expect(cloned).rejects.toMatchObject({ code: 'BAD_ROOT', details: { root: 'r' } })
    expect(seen).toEqual([progress])
  })

  it('end when the client gives up', async () => {
    const ended = Promise.withResolvers<unknown>()
    const client = await clientOf(
      fakeNodeApi({
        verify: (_dataset, options) => {
          options?.onProgress?.(progress)
          const run = untilAborted(options)
          run.catch(ended.resolve)
          return run
        },
      }),
    )
    const controller = new AbortController()
    const verified = client.verify('cells', {
      signal: controller.signal,
      onProgress: () => controller.abort(),
    })
    await expect(verified).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(await ended.promise).toMatchObject({ code: 'CANCELLED' })
  })

  it('end when the client hangs up before the first line', async () => {
    const started = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<unknown>()
    const server = serverOf(
      fakeNodeApi({
        gc: (options) => {
          started.resolve()
          const run = untilAborted(options)
          run.catch(ended.resolve)
          return run
        },
      }),
    )
    const url = await server.listen({ host: '127.0.0.1', port: 0 })
    const request = httpRequest(`${url}${apiPrefix}/gc`, {
      method: 'POST',
      headers: { authorization },
    })
    request.on('error', () => undefined)
    request.end()
    await started.promise
    request.destroy()
    expect(await ended.promise).toMatchObject({ code: 'CANCELLED' })
  })

  it('end when the server stops', async () => {
    const started = Promise.withResolvers<void>()
    const api = fakeNodeApi({
      verify: (_dataset, options) => {
        started.resolve()
        return untilAborted(options)
      },
    })
    const server = serverOf(api)
    const url = await server.listen({ host: '127.0.0.1', port: 0 })
    const verified = createClient({ url, token }).verify('cells')
    const refused = expect(verified).rejects.toMatchObject({ code: 'CANCELLED' })
    await started.promise
    await server.close()
    await refused
  })

  it('a list that fails at once has its own status', async () => {
    const api = fakeNodeApi({
      log: async function* () {
        throw new GonkError('NOT_FOUND', 'no such dataset')
      },
    })
    const url = `${apiPrefix}/datasets/none/log`
    const response = await serverOf(api).inject({ url, headers: { authorization } })
    expect(response.json()).toMatchObject({ code: 'NOT_FOUND', status: 404 })
  })
})
