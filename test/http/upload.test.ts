import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import type { ByteSource, NodeApi } from '../../src/contract/api.ts'
import { GonkError } from '../../src/core/errors.ts'
import { fakeNodeApi } from './fake-node-api.ts'
import { bytesOf, someBytes } from './samples.ts'
import { authorization, clientOf, listening, serverOf, token } from './serve.ts'

const path = '/api/v1/datasets/cells/objects'
const stored = { cid: 'bafk', size: 0 }

function upload(headers: Record<string, string>, query = 'name=a.bin') {
  const api = fakeNodeApi()
  const request = {
    method: 'POST',
    url: `${path}?${query}`,
    payload: Buffer.from(someBytes),
  } as const
  const answer = serverOf(api).inject({ ...request, headers: { authorization, ...headers } })
  return answer.then((response) => ({ response, call: api.calls[0] }))
}

/** Takes the bytes of `store` as the test says. */
function taking(take: (body: ByteSource) => Promise<unknown>): Partial<NodeApi> {
  return { store: (body) => take(body).then(() => stored) }
}

/** Sends the head of a chunked upload and gives the socket. */
async function startedUpload(url: string) {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  const head = [
    'POST /api/v1/content HTTP/1.1',
    'Host: localhost',
    `Authorization: ${authorization}`,
    'Transfer-Encoding: chunked',
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n5\r\nhello\r\n`)
  await once(socket, 'connect')
  return socket
}

describe('a file that comes in', () => {
  it.each([
    [{}, undefined],
    [{ 'content-type': 'application/octet-stream' }, undefined],
    [{ 'content-type': 'application/x-www-form-urlencoded' }, undefined],
    [{ 'content-type': 'image/PNG' }, 'image/png'],
    [{ 'content-type': 'application/json' }, 'application/json'],
    [{ 'content-type': 'text/plain; charset=utf-8' }, 'text/plain'],
    [{ 'content-type': 'multipart/mixed; boundary=x' }, 'multipart/mixed'],
  ] as [Record<string, string>, string | undefined][])(
    'with the headers %j has the media type %s',
    async (headers, mediaType) => {
      const { response, call } = await upload(headers)
      expect(response.statusCode).toBe(201)
      const request = { name: 'a.bin', ...(mediaType && { mediaType }) }
      expect(call).toEqual({ method: 'upload', args: ['cells', request], body: '0123456789' })
    },
  )

  it.each(['multipart/form-data; boundary=x', 'Multipart/Form-Data'])(
    'as a form (%s) is refused, and how to send the file alone is said',
    async (type) => {
      const { response, call } = await upload({ 'content-type': type })
      expect(response.json()).toMatchObject({ code: 'USAGE', status: 400 })
      expect(response.json<{ hint: string }>().hint).toContain('--data-binary @FILE')
      expect(call).toBeUndefined()
    },
  )

  it('has the media type of the query before that of the header', async () => {
    const { call } = await upload({ 'content-type': 'a/b' }, 'name=a&mediaType=c/d&accept=true')
    expect(call?.args[1]).toEqual({ name: 'a', mediaType: 'c/d', accept: true })
  })

  it.each(['', 'name=', 'name=a&name=b', 'name=a&accept=maybe', 'name=a&colour=red'])(
    'with the query %j is refused before it is read',
    async (query) => {
      const { response, call } = await upload({}, query)
      expect(response.json()).toMatchObject({ code: 'USAGE', status: 400 })
      expect(call).toBeUndefined()
    },
  )

  it('may be empty', async () => {
    const api = fakeNodeApi()
    const request = { method: 'POST', url: '/api/v1/content', headers: { authorization } } as const
    expect((await serverOf(api).inject(request)).statusCode).toBe(201)
    expect(api.calls).toEqual([{ method: 'store', args: [], body: '' }])
  })

  it('is as large as it likes, and comes as fast as it is stored', async () => {
    const chunk = new Uint8Array(256 * 1024)
    const total = 64
    let sent = 0
    let taken = 0
    let ahead = 0
    const client = await clientOf(
      fakeNodeApi(
        taking(async (body) => {
          for await (const part of body) {
            taken += part.length
            ahead = Math.max(ahead, sent * chunk.length - taken)
            // A turn of the loop for each part: whatever could come meanwhile has come.
            await new Promise((resolve) => setImmediate(resolve))
          }
        }),
      ),
    )
    async function* source(): AsyncGenerator<Uint8Array> {
      for (; sent < total; sent++) yield chunk
    }
    expect(await client.store(source())).toEqual(stored)
    expect(taken).toBe(total * chunk.length)
    expect(ahead).toBeLessThan((total * chunk.length) / 2)
  })

  it('that is not taken is not sent', async () => {
    const gate = Promise.withResolvers<void>()
    let sent = 0
    const chunk = new Uint8Array(256 * 1024)
    const client = await clientOf(
      fakeNodeApi(
        taking(async (body) => {
          await gate.promise
          for await (const _part of body);
        }),
      ),
    )
    async function* source(): AsyncGenerator<Uint8Array> {
      for (; sent < 400; sent++) yield chunk
    }
    const answer = client.store(source())
    let before = -1
    const isStill = () => before === (before = sent)
    await expect.poll(isStill, { interval: 200 }).toBe(true)
    expect(sent).toBeLessThan(200)
    gate.resolve()
    await answer
    expect(sent).toBe(400)
  })
})

describe('a file that ends early', () => {
  const outcome = () => {
    const end = Promise.withResolvers<unknown>()
    const api = fakeNodeApi(
      taking(async (body) => {
        try {
          for await (const _part of body);
          end.resolve('whole')
        } catch (error) {
          end.resolve(error)
          throw error
        }
      }),
    )
    return { api, end: end.promise }
  }

  it('is CANCELLED for whoever takes it when the client hangs up', async () => {
    const { api, end } = outcome()
    const socket = await startedUpload(await listening(api))
    socket.destroy()
    expect(await end).toMatchObject({ code: 'CANCELLED' })
  })

  it('is CANCELLED when its length was announced', async () => {
    const { api, end } = outcome()
    const socket = connect(Number(new URL(await listening(api)).port), '127.0.0.1')
    socket.end(
      `POST /api/v1/content HTTP/1.1\r\nHost: localhost\r\nx-api-key: ${token}\r\n` +
        'Content-Length: 100\r\n\r\nhello',
    )
    expect(await end).toMatchObject({ code: 'CANCELLED' })
    socket.destroy()
  })

  it('is TIMEOUT when the client falls silent, however long it took before', async () => {
    const { api, end } = outcome()
    const socket = await startedUpload(await listening(api, { patience: { silenceMs: 1_000 } }))
    socket.on('error', () => undefined)
    for (let i = 0; i < 5; i++) {
      await sleep(300)
      socket.write('5\r\nhello\r\n')
    }
    expect(socket.destroyed).toBe(false)
    expect(await end).toMatchObject({ code: 'TIMEOUT' })
  })

  it('is CANCELLED when the server stops', async () => {
    const { api, end } = outcome()
    const server = serverOf(api)
    const socket = await startedUpload(await server.listen({ host: '127.0.0.1', port: 0 }))
    socket.on('error', () => undefined)
    await expect.poll(() => api.calls.length).toBe(1)
    await server.close()
    expect(await end).toMatchObject({ code: 'CANCELLED' })
    socket.destroy()
  })

  it('fails with what its source failed with', async () => {
    const { api, end } = outcome()
    const client = await clientOf(api)
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield someBytes
      await expect.poll(() => api.calls.length).toBe(1)
      throw new GonkError('DISK', 'cannot read it')
    }
    await expect(client.store(broken())).rejects.toMatchObject({ code: 'DISK' })
    expect(await end).toMatchObject({ code: 'CANCELLED' })
  })

  it('is CANCELLED on a signal', async () => {
    const { api, end } = outcome()
    const client = await clientOf(api)
    const controller = new AbortController()
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield someBytes
      await expect.poll(() => api.calls.length).toBe(1)
      controller.abort()
      yield* bytesOf(someBytes)
      await new Promise(() => undefined)
    }
    const answer = client.store(endless(), { signal: controller.signal })
    await expect(answer).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(await end).toMatchObject({ code: 'CANCELLED' })
  })
})

describe('a file that is refused', () => {
  it('half way is answered while the client still sends', async () => {
    const api = fakeNodeApi(
      taking(async (body) => {
        for await (const _part of body) throw new GonkError('TOO_LARGE', 'that is too much')
      }),
    )
    const client = await clientOf(api)
    async function* much(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 64; i++) yield new Uint8Array(64 * 1024)
    }
    await expect(client.store(much())).rejects.toMatchObject({ code: 'TOO_LARGE' })
  })

  it('for want of a key is answered while the client still sends', async () => {
    const client = createClient({ url: await listening(fakeNodeApi()), apiKey: 'gk_none' })
    async function* much(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 64; i++) yield new Uint8Array(64 * 1024)
    }
    await expect(client.store(much())).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('does not keep a connection that sends for ever', async () => {
    const socket = await startedUpload(
      await listening(fakeNodeApi({ store: () => Promise.reject(new GonkError('DISK', 'full')) })),
    )
    // What is sent to a connection that has been closed is answered by a reset.
    socket.on('error', () => undefined)
    const closed = new Promise((resolve) => socket.once('close', resolve))
    const sending = setInterval(() => socket.write('5\r\nhello\r\n'), 50)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    expect(String(answer)).toMatch(/^HTTP\/1\.1 507 /)
    await closed
    clearInterval(sending)
  })
})
