import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import { apiPrefix, pathFields, routes } from '../../src/contract/routes.ts'
import { GonkError, errorCodes } from '../../src/core/errors.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import type { NodeApi, Progress } from '../../src/contract/api.ts'
import { anObject, fakeNodeApi, untilAborted } from './fake-node-api.ts'
import { bytesOf, collected, samples, someBytes } from './samples.ts'
import { authorization, clientOf, serverOf, token } from './serve.ts'

describe('every method of the node through server and client', () => {
  it.each(Object.entries(samples))('%s arrives with its arguments', async (name, args) => {
    const api = fakeNodeApi()
    const client = await clientOf(api)
    const route = routes[name as keyof NodeApi]
    const body = route.body === 'bytes' ? [bytesOf(someBytes, someBytes)] : []
    const result: unknown = Reflect.apply(client[name as keyof NodeApi], client, [...args, ...body])
    if (route.answer === 'list') {
      expect(await collected(result as ReturnType<NodeApi['log']>)).toHaveLength(1)
    } else if (route.answer === 'events') {
      const events = result as AsyncGenerator<{ seq: number }>
      expect((await events.next()).value).toMatchObject({ seq: 3 })
      await expect(events.next()).rejects.toMatchObject({ code: 'NO_PEER' })
    } else if (route.answer === 'content') {
      const content = await (result as ReturnType<NodeApi['content']>)
      expect(content).toMatchObject({ name: 'cells/ü "1".jpg', size: 10, mediaType: 'image/jpeg' })
      expect(Buffer.concat(await collected(content.read())).toString()).toBe('0123456789')
    } else expect(await result).toEqual({ ok: true })
    const sent = route.body === 'bytes' ? { body: '01234567890123456789' } : {}
    expect(api.calls[0]).toEqual({ method: name, args, ...sent })
  })

  it('optional arguments may be left out', async () => {
    const api = fakeNodeApi()
    const client = await clientOf(api)
    await client.diff('cells', 'v1')
    await client.listReviews('cells')
    await client.listObjects('cells')
    await client.addOwner('cells', 'cd'.repeat(32))
    expect(api.calls.map((call) => call.args)).toEqual([
      ['cells', 'v1', undefined, {}],
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
    const destination = { write: (line: string) => lines.push(line) }
    const server = serverOf(api, { level: 'info', destination })
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

  it.each([
    ['too deep', '['.repeat(1_000_000), 'TOO_LARGE'],
    ['too deep within a field', `{"name":${'['.repeat(200)}${']'.repeat(200)}}`, 'TOO_LARGE'],
    ['deep in a string only', `{"name":"${'['.repeat(2_000)}\\"{"}`, undefined],
    ['no JSON', '{"name":', 'USAGE'],
    ['no object', '[1]', 'USAGE'],
    ['not even a value', 'null', 'USAGE'],
    ['not UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'USAGE'],
    ['a prototype', '{"name":"a","__proto__":{"x":1}}', 'USAGE'],
  ])('a body that is %s', async (_what, payload, code) => {
    const api = fakeNodeApi()
    const headers = { authorization, 'content-type': 'application/json' }
    const url = `${apiPrefix}/datasets`
    const response = await serverOf(api).inject({ method: 'POST', url, headers, payload })
    expect(response.json().code).toBe(code)
    expect(response.statusCode).toBe(
      code === undefined ? 201 : errorCodes[code as ErrorCode].status,
    )
    expect(api.calls).toHaveLength(code === undefined ? 1 : 0)
  })

  it('a body may be as large as its route says', async () => {
    const payload = { annotations: [{ objects: ['a'], schema: 's', text: 'x'.repeat(9 << 20) }] }
    const headers = { authorization }
    const server = serverOf(fakeNodeApi())
    const ask = (url: string, body: object) =>
      server.inject({ method: 'POST', url: apiPrefix + url, headers, payload: body })
    expect((await ask('/datasets/cells/annotations', payload)).statusCode).toBe(201)
    expect((await ask('/datasets/cells/proposals', payload)).json().code).toBe('TOO_LARGE')
    const [annotation] = payload.annotations
    if (annotation !== undefined) annotation.text = 'x'.repeat(routes.annotate.bodyBytesMax ?? 0)
    expect((await ask('/datasets/cells/annotations', payload)).json().code).toBe('TOO_LARGE')
  })

  it('a body that does not arrive is a TIMEOUT, and the connection ends', async () => {
    const server = serverOf(fakeNodeApi(), { patience: { bodyMs: 50, lingerMs: 50 } })
    await server.listen({ host: '127.0.0.1', port: 0 })
    const socket = connect((server.server.address() as AddressInfo).port, '127.0.0.1')
    socket.write(
      `POST ${apiPrefix}/datasets HTTP/1.1\r\nHost: localhost\r\nx-api-key: ${token}\r\n` +
        'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"name":',
    )
    const answer = (await socket.toArray()).join('')
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({ code: 'TIMEOUT' })
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
    const destination = { write: (line: string) => lines.push(line) }
    const server = serverOf(fakeNodeApi(), { level: 'trace', destination })
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
