import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { GonkError } from '../../src/core/errors.ts'
import { rangeOf } from '../../src/http/conditional.ts'
import { contentOf, fakeNodeApi, anObject } from './fake-node-api.ts'
import { bytesOf, collected, someBytes } from './samples.ts'
import { authorization, clientOf, listening, serverOf } from './serve.ts'

const path = '/api/v1/datasets/cells/objects/a.jpg/content'
const tag = `"${anObject.cid}"`

function ask(headers: Record<string, string> = {}, method: 'GET' | 'HEAD' = 'GET', size?: number) {
  const api = fakeNodeApi({
    content: async () => contentOf(size === undefined ? someBytes : new Uint8Array(size)),
  })
  return serverOf(api).inject({ method, url: path, headers: { authorization, ...headers } })
}

describe('the bytes of an object', () => {
  it('come with all that a client must know of them', async () => {
    const { statusCode, body, headers } = await ask()
    expect([statusCode, body]).toEqual([200, '0123456789'])
    expect(headers).toMatchObject({
      etag: tag,
      'accept-ranges': 'bytes',
      'content-length': '10',
      'content-type': 'image/jpeg',
      'content-disposition': `attachment; filename="_ _1_.jpg"; filename*=UTF-8''%C3%BC%20%221%22.jpg`,
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
      'cache-control': 'private, no-cache',
    })
    expect(headers['transfer-encoding']).toBeUndefined()
  })

  it('HEAD says the same without them, and reads nothing', async () => {
    let reads = 0
    const api = fakeNodeApi({
      content: async () =>
        contentOf(someBytes, {
          read: () => {
            reads++
            return bytesOf()
          },
        }),
    })
    const request = { url: path, headers: { authorization, range: 'bytes=1-2' } }
    const answer = await serverOf(api).inject({ ...request, method: 'HEAD' })
    expect([answer.statusCode, answer.body, reads]).toEqual([200, '', 0])
    expect(answer.headers).toMatchObject({ 'content-length': '10', etag: tag })
  })

  it('of a fixed version may be kept', async () => {
    const url = `${path}?version=e1:0`
    const answer = await serverOf(fakeNodeApi()).inject({ url, headers: { authorization } })
    expect(answer.headers['cache-control']).toMatch(/immutable/)
  })

  it.each([
    ['bytes=0-0', 206, '0', '0-0'],
    ['bytes=2-5', 206, '2345', '2-5'],
    ['bytes=7-', 206, '789', '7-9'],
    ['bytes=7-99999999999999999999', 206, '789', '7-9'],
    ['bytes=-3', 206, '789', '7-9'],
    ['bytes=-99', 206, '0123456789', '0-9'],
    ['bytes=10-', 416, undefined, '*'],
    ['bytes=99999999999999999999-', 416, undefined, '*'],
    ['bytes=-0', 416, undefined, '*'],
    ['bytes=5-2', 200, '0123456789', undefined],
    ['bytes=0-1,4-5', 200, '0123456789', undefined],
    ['bytes=a-b', 200, '0123456789', undefined],
    ['bytes=-', 200, '0123456789', undefined],
    ['items=0-1', 200, '0123456789', undefined],
  ])('Range: %s is answered with %i', async (range, status, bytes, contentRange) => {
    const { statusCode, body, headers, json } = await ask({ range })
    expect(statusCode).toBe(status)
    expect(headers['content-range']).toBe(contentRange && `bytes ${contentRange}/10`)
    if (bytes === undefined) expect(json()).toMatchObject({ code: 'BAD_RANGE', status: 416 })
    else expect([body, headers['content-length']]).toEqual([bytes, String(bytes.length)])
  })

  it('of an empty file are there, but no range of them', async () => {
    expect((await ask({}, 'GET', 0)).statusCode).toBe(200)
    expect((await ask({ range: 'bytes=0-' }, 'GET', 0)).statusCode).toBe(416)
  })

  it.each([
    [{ 'if-none-match': tag }, 304, ''],
    [{ 'if-none-match': `"x", W/${tag}` }, 304, ''],
    [{ 'if-none-match': '*' }, 304, ''],
    [{ 'if-none-match': tag, range: 'bytes=0-1' }, 304, ''],
    [{ 'if-none-match': '"x"' }, 200, '0123456789'],
    [{ 'if-range': tag, range: 'bytes=0-1' }, 206, '01'],
    [{ 'if-range': '"x"', range: 'bytes=0-1' }, 200, '0123456789'],
    [{ 'if-range': `W/${tag}`, range: 'bytes=0-1' }, 200, '0123456789'],
    [{ 'if-range': 'Wed, 21 Oct 2026 07:28:00 GMT', range: 'bytes=0-1' }, 200, '0123456789'],
  ])('%j is answered with %i', async (headers, status, body) => {
    const answer = await ask(headers)
    expect([answer.statusCode, answer.body]).toEqual([status, body])
    expect(answer.headers['etag']).toBe(tag)
  })

  it('keep what strangers say of them out of the headers', async () => {
    const name = 'a/b\r\nset-cookie: x=1\u{1f600}"\\.html'
    const api = fakeNodeApi({
      content: async () => contentOf(someBytes, { name, mediaType: 'text/html\r\nx: y' }),
    })
    const answer = await serverOf(api).inject({ url: path, headers: { authorization } })
    expect(answer.statusCode).toBe(200)
    expect(answer.headers['content-type']).toBe('application/octet-stream')
    expect(answer.headers['set-cookie']).toBeUndefined()
    expect(answer.headers['content-disposition']).toMatch(/^attachment; filename="[^"\\\r\n]*";/)
  })

  it('that cannot be read at all are an error, not a broken file', async () => {
    async function* nothing(): AsyncGenerator<Uint8Array> {
      yield* []
      throw new GonkError('NOT_HERE', 'blocks are missing')
    }
    const api = fakeNodeApi({ content: async () => contentOf(someBytes, { read: nothing }) })
    const answer = await serverOf(api).inject({ url: path, headers: { authorization } })
    expect(answer.json()).toMatchObject({ code: 'NOT_HERE', status: 409 })
    expect(answer.headers['etag']).toBeUndefined()
    const client = await clientOf(api)
    const content = await client.content('cells', 'a.jpg')
    await expect(collected(content.read())).rejects.toMatchObject({ code: 'NOT_HERE' })
  })

  it('that end half way end the connection', async () => {
    async function* half(): AsyncGenerator<Uint8Array> {
      yield someBytes.subarray(0, 5)
      throw new GonkError('NOT_HERE', 'a block is missing')
    }
    const client = await clientOf(
      fakeNodeApi({ content: async () => contentOf(someBytes, { read: half }) }),
    )
    const content = await client.content('cells', 'a.jpg')
    await expect(collected(content.read())).rejects.toMatchObject({ code: 'NO_PEER' })
  })

  it('are read as the client takes them', async () => {
    let read = 0
    let isReturned = false
    const chunk = new Uint8Array(64 * 1024)
    const size = 1_000 * chunk.length
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (; read < size; read += chunk.length) yield chunk
      } finally {
        isReturned = true
      }
    }
    const api = fakeNodeApi({ content: async () => contentOf(chunk, { size, read: endless }) })
    const controller = new AbortController()
    const headers = { authorization }
    const url = (await listening(api)) + path
    const response = await fetch(url, { headers, signal: controller.signal })
    await response.body?.getReader().read()
    // It stops when the buffers of both sides are full.
    let before = -1
    await expect
      .poll(() => [before, (before = read)].every((count, _, [first]) => count === first), {
        interval: 200,
      })
      .toBe(true)
    expect(read).toBeLessThan(size / 2)
    controller.abort()
    await expect.poll(() => isReturned).toBe(true)
  })
})

describe('content through the client', () => {
  it('is read in any parts', async () => {
    const client = await clientOf(fakeNodeApi({ content: async () => contentOf(someBytes) }))
    const content = await client.content('cells', 'a.jpg')
    expect(content).toMatchObject({ size: 10, cid: anObject.cid, mediaType: 'image/jpeg' })
    const read = async (range?: { offset?: number; length?: number }) =>
      Buffer.concat(await collected(content.read(range))).toString()
    expect(await read()).toBe('0123456789')
    expect(await read({ offset: 3 })).toBe('3456789')
    expect(await read({ offset: 3, length: 2 })).toBe('34')
    expect(await read({ length: 2 })).toBe('01')
    expect(await read({ length: 0 })).toBe('')
  })

  it('says what is wrong, although HEAD cannot', async () => {
    const failure = new GonkError('NOT_FOUND', 'there is no a.jpg', { hint: 'look again' })
    const client = await clientOf(fakeNodeApi({ content: () => Promise.reject(failure) }))
    const answer = client.content('cells', 'a.jpg')
    await expect(answer).rejects.toMatchObject({ code: 'NOT_FOUND', message: 'there is no a.jpg' })
  })

  it('is refused when the object holds something else by now', async () => {
    let cid = anObject.cid
    const client = await clientOf(
      fakeNodeApi({ content: async () => contentOf(someBytes, { cid }) }),
    )
    const content = await client.content('cells', 'a.jpg')
    cid = 'bafkother'
    await expect(collected(content.read({ offset: 1 }))).rejects.toMatchObject({ code: 'NOT_HERE' })
    await expect(collected(content.read())).rejects.toMatchObject({ code: 'NOT_HERE' })
  })
})

describe('tags of documents', () => {
  it('spare the client what it has', async () => {
    let version = 1
    const api = fakeNodeApi({
      root: async () => ({ root: `r${version}`, stateRoot: '', heads: [] }),
    })
    const server = serverOf(api)
    const root = (headers: Record<string, string>) =>
      server.inject({
        url: '/api/v1/datasets/cells/root',
        headers: { authorization, ...headers },
      })
    const first = await root({})
    const etag = String(first.headers['etag'])
    expect(etag).toMatch(/^"[\w-]{22}"$/)
    expect(await root({ 'if-none-match': etag })).toMatchObject({ statusCode: 304, body: '' })
    version = 2
    const second = await root({ 'if-none-match': etag })
    expect(second.statusCode).toBe(200)
    expect(second.headers['etag']).not.toBe(etag)
  })
})

it('a range never reaches outside of the file', () => {
  const digits = fc.oneof(fc.nat(30).map(String), fc.constantFrom('', '99999999999999999999999'))
  const header = fc.tuple(digits, digits).map(([a, b]) => `bytes=${a}-${b}`)
  fc.assert(
    fc.property(header, fc.nat(20), (text, size) => {
      const range = rangeOf(text, size)
      if (range === undefined || range === 'none') return
      expect(range.offset).toBeGreaterThanOrEqual(0)
      expect(range.length).toBeGreaterThan(0)
      expect(range.offset + range.length).toBeLessThanOrEqual(size)
    }),
  )
})
