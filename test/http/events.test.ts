import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import type { EventEntry, EventRequest, NodeApi, Notice } from '../../src/contract/api.ts'
import { GonkError } from '../../src/core/errors.ts'
import { openEvents } from '../../src/http/event-stream.ts'
import { fakeNodeApi, untilAborted } from './fake-node-api.ts'
import { authorization, clientOf, listening, serverOf, token } from './serve.ts'

const form = { name: 'event', id: 'cursor', resume: 'after' }

afterEach(() => {
  vi.useRealTimers()
})

const entry = (seq: number): EventEntry => ({
  dataset: 'd',
  seq,
  cursor: `c${seq}`,
  event: `e${seq}`,
  kind: 'propose',
  author: 'ab',
  at: '2026-01-01T00:00:00Z',
  body: { line: 'a\nb\u2028' },
})

/** A log that grows: followers get what is stored after their cursor, then what is appended. */
function growingLog(count: number) {
  const log = Array.from({ length: count }, (_, seq) => entry(seq))
  let grown = Promise.withResolvers<void>()
  let followers = 0
  async function* followEvents({ after }: EventRequest = {}, options?: { signal?: AbortSignal }) {
    followers++
    try {
      let next = after === undefined ? 0 : Number(after.slice(1)) + 1
      for (;;) {
        for (; next < log.length; next++) yield log[next] as EventEntry
        await Promise.race([grown.promise, untilAborted(options)])
      }
    } finally {
      followers--
    }
  }
  const append = () => {
    log.push(entry(log.length))
    grown.resolve()
    grown = Promise.withResolvers()
  }
  const api = fakeNodeApi({ followEvents: followEvents as NodeApi['followEvents'] })
  return { api, append, followers: () => followers }
}

async function take<T>(events: AsyncIterator<T>, count: number): Promise<T[]> {
  const taken: T[] = []
  while (taken.length < count) taken.push((await events.next()).value as T)
  return taken
}

describe('following events', () => {
  it('gives what is stored, then what arrives, without a gap, and goes on where it was', async () => {
    const log = growingLog(5)
    const client = await clientOf(log.api)
    const events = client.followEvents({ after: 'c1' })[Symbol.asyncIterator]()
    expect(await take(events, 3)).toEqual([entry(2), entry(3), entry(4)])
    log.append()
    log.append()
    expect((await take(events, 2)).map(({ seq }) => seq)).toEqual([5, 6])
    await events.return?.()
    await expect.poll(log.followers).toBe(0)
    log.append()
    const again = client.followEvents({ after: 'c6' })[Symbol.asyncIterator]()
    expect((await take(again, 1)).map(({ seq }) => seq)).toEqual([7])
    await again.return?.()
  })

  it('is a stream of server-sent events that Last-Event-ID resumes', async () => {
    const log = growingLog(3)
    const url = `${await listening(log.api)}/api/v1/events?follow=1&after=c0`
    const controller = new AbortController()
    const headers = { authorization, 'last-event-id': 'c1' }
    const response = await fetch(url, { headers, signal: controller.signal })
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/)
    expect(response.headers.get('cache-control')).toBe('no-store')
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    while (!text.includes('data:')) text += (await reader?.read())?.value ?? ''
    expect(text).toBe(`:\n\nid: c2\nevent: event\ndata: ${JSON.stringify(entry(2))}\n\n`)
    controller.abort()
  })

  it('without follow=1 is one page', async () => {
    const api = fakeNodeApi({ events: async () => ({ events: [entry(1)] }) })
    const ask = (query: string) =>
      serverOf(api).inject({ url: `/api/v1/events${query}`, headers: { authorization } })
    expect((await ask('?limit=3&after=')).json()).toEqual({ events: [entry(1)] })
    expect(api.calls).toEqual([{ method: 'events', args: [{ limit: 3, after: '' }] }])
    expect((await ask('?follow=0')).json()).toMatchObject({ code: 'USAGE' })
    expect((await ask('?follow=1&limit=3')).json()).toMatchObject({ code: 'USAGE' })
  })

  it('ends with NO_PEER when the server stops, and stops the node', async () => {
    const log = growingLog(1)
    const server = serverOf(log.api)
    const url = await server.listen({ host: '127.0.0.1', port: 0 })
    const events = createClient({ url, token }).followEvents()[Symbol.asyncIterator]()
    await take(events, 1)
    await Promise.all([
      server.close(),
      expect(events.next()).rejects.toMatchObject({
        code: expect.stringMatching(/^(NO_PEER|CANCELLED)$/) as string,
      }),
    ])
    expect(log.followers()).toBe(0)
  })

  it('ends on a signal with CANCELLED', async () => {
    const log = growingLog(1)
    const controller = new AbortController()
    const { signal } = controller
    const client = await clientOf(log.api)
    const events = client.followEvents({}, { signal })[Symbol.asyncIterator]()
    await take(events, 1)
    controller.abort()
    await expect(events.next()).rejects.toMatchObject({ code: 'CANCELLED' })
    await expect.poll(log.followers).toBe(0)
  })

  it('passes on a failure at the start and one in the middle', async () => {
    async function* failing(request?: EventRequest): AsyncGenerator<EventEntry> {
      if (request?.dataset === 'middle') yield entry(0)
      throw new GonkError('NOT_FOUND', 'there is no such dataset')
    }
    const api = fakeNodeApi({ followEvents: failing })
    const query = 'follow=1&dataset=none'
    const url = `/api/v1/events?${query}`
    const answer = await serverOf(api).inject({ url, headers: { authorization } })
    expect(answer.json()).toMatchObject({ code: 'NOT_FOUND', status: 404 })
    const client = await clientOf(api)
    const middle = client.followEvents({ dataset: 'middle' })[Symbol.asyncIterator]()
    await take(middle, 1)
    await expect(middle.next()).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('notices', () => {
  const notice: Notice = { seq: 7, dataset: 'd', kind: 'proposal', ids: ['e1'] }

  it('are changes with their number, for the datasets that were asked for', async () => {
    const api = fakeNodeApi({
      async *stream() {
        yield notice
      },
    })
    const ask = (query: string, id?: string) =>
      serverOf(api).inject({
        url: `/api/v1/stream${query}`,
        headers: { authorization, ...(id !== undefined && { 'last-event-id': id }) },
      })
    const frame = `:\n\nid: 7\nevent: change\ndata: ${JSON.stringify(notice)}\n\n`
    expect((await ask('?datasets=a&datasets=b')).body).toBe(frame)
    expect((await ask('?datasets=a&since=3', '6')).body).toBe(frame)
    expect(api.calls.map(({ args }) => args[0])).toEqual([
      { datasets: ['a', 'b'] },
      { datasets: ['a'], since: 6 },
    ])
    expect((await ask('', 'x')).json()).toMatchObject({ code: 'USAGE', status: 400 })
  })
})

describe('a stream of events', () => {
  const options = {
    form,
    isKnown: () => true,
    drop: () => undefined,
    problemOf: (error: unknown) => ({ code: String(error) }),
  }
  async function* silence(): AsyncGenerator<never> {
    yield* []
    await new Promise(() => undefined)
  }

  it('is kept open by comments while nothing happens', async () => {
    const frames = await openEvents(silence(), { ...options, heartbeatMs: 5 })
    expect(await take(frames, 3)).toEqual([':\n\n', ':\n\n', ':\n\n'])
    void frames.return(undefined)
  })

  it('ends for a key that is not known any more', async () => {
    let isKnown = true
    const frames = await openEvents(silence(), {
      ...options,
      heartbeatMs: 5,
      isKnown: () => isKnown,
    })
    await take(frames, 2)
    isKnown = false
    const rest: string[] = []
    for await (const frame of frames) rest.push(frame)
    expect(rest.at(-1)).toMatch(/^event: error\ndata: .*withdrawn/)
  })

  it('drops a reader that takes nothing, and asks for no more meanwhile', async () => {
    let made = 0
    async function* many(): AsyncGenerator<EventEntry> {
      for (;;) yield entry(made++)
    }
    const dropped = Promise.withResolvers<void>()
    const drop = () => dropped.resolve()
    const frames = await openEvents(many(), { ...options, drop, slowMs: 20 })
    await take(frames, 2)
    await dropped.promise
    expect(made).toBeLessThanOrEqual(2)
    await frames.return(undefined)
  })

  it('waits for a slow socket instead of piling up', async () => {
    let made = 0
    const big = { ...entry(0), body: { text: 'x'.repeat(100_000) } }
    async function* many(_request?: EventRequest, call?: { signal?: AbortSignal }) {
      for (; call?.signal?.aborted !== true; made++) yield big
    }
    const api = fakeNodeApi({ followEvents: many as NodeApi['followEvents'] })
    const url = `${await listening(api)}/api/v1/events?follow=1`
    const request = httpRequest(url, { headers: { authorization } }).end()
    const [response] = await once(request, 'response')
    response.pause()
    let before = -1
    await expect.poll(() => before === (before = made), { interval: 200 }).toBe(true)
    expect(made).toBeLessThan(500)
    request.destroy()
  })
})
