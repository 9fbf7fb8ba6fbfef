// The bytes of a file over HTTP: what they are first, then any part of them.
import type { Content } from '../contract/api.ts'
import type { AbortOptions } from '../ports.ts'
import { GonkError } from '../core/errors.ts'
import { type Ask, type Connection, reading, send } from './request.ts'

/** Throws what the node says; `read` throws NOT_HERE when other bytes have taken their place. */
export async function contentOf(client: Connection, ask: Ask): Promise<Content> {
  const { headers } = await head(client, ask)
  const tag = headers.get('etag') ?? ''
  return {
    name: decodeURIComponent(headers.get('x-object-name') ?? ''),
    mediaType: headers.get('content-type') ?? '',
    size: Number(headers.get('content-length')),
    cid: tag.replaceAll('"', ''),
    read: (range = {}, options = {}) => bytesOf(client, { ask, tag, range }, options),
  }
}

/** An answer to HEAD has no body that could say what went wrong: then it is asked for again. */
async function head(client: Connection, ask: Ask): Promise<Response> {
  try {
    return await send(client, { ...ask, method: 'HEAD' })
  } catch (error) {
    if (!(error instanceof GonkError) || error.code !== 'INTERNAL') throw error
    const response = await send(client, { ...ask, headers: { range: 'bytes=0-0' } })
    await response.body?.cancel()
    throw error
  }
}

interface Part {
  readonly ask: Ask
  readonly tag: string
  readonly range: { readonly offset?: number; readonly length?: number }
}

async function* bytesOf(
  client: Connection,
  { ask, tag, range: { offset = 0, length } }: Part,
  options: AbortOptions,
): AsyncGenerator<Uint8Array> {
  if (length === 0) return
  const { signal: mine } = options
  const signal = mine && client.signal ? AbortSignal.any([mine, client.signal]) : mine
  const connection = { ...client, signal: signal ?? client.signal }
  const isPart = offset > 0 || length !== undefined
  const last = length === undefined ? '' : offset + length - 1
  const headers = isPart ? { range: `bytes=${offset}-${last}`, 'if-range': tag } : {}
  const response = await send(connection, { ...ask, headers })
  const body = response.body ?? new ReadableStream<Uint8Array>()
  if (response.headers.get('etag') !== tag) {
    await body.cancel()
    throw new GonkError('NOT_HERE', 'the object has other content by now', {
      hint: 'ask for the object again, or for the version you mean',
    })
  }
  const reader = body.getReader()
  try {
    for (;;) {
      const next = await reading(connection.signal, () => reader.read())
      if (next.done) return
      yield next.value
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}
