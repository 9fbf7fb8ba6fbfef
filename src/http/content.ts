// The bytes of a file as an answer: ranges, entity tags, and no trust in what the bytes are.
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Content } from '../contract/api.ts'
import { GonkError } from '../core/errors.ts'
import { type ByteRange, hasTag, rangeOf } from './conditional.ts'

/** Content comes from strangers: a browser saves it and runs nothing of it. */
const guards = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; sandbox",
  'cross-origin-resource-policy': 'same-origin',
  vary: 'authorization, x-api-key',
}
const WEEK_S = 7 * 24 * 3_600

/**
 * Sends `content`, or the part of it that was asked for; blocks are read as the socket drains. A
 * failure after the first bytes ends the connection, so that nobody takes a part for the whole.
 * `isFixed`: the address names these bytes for ever. Throws BAD_RANGE, NOT_HERE.
 */
export async function sendContent(
  content: Content,
  request: FastifyRequest,
  reply: FastifyReply,
  options: { readonly isFixed: boolean; readonly signal: AbortSignal },
): Promise<FastifyReply> {
  const tag = `"${content.cid}"`
  const cached = options.isFixed ? `max-age=${WEEK_S}, immutable` : 'no-cache'
  const lasting = { etag: tag, 'cache-control': `private, ${cached}`, vary: guards.vary }
  if (hasTag(request.headers['if-none-match'], tag)) return reply.code(304).headers(lasting).send()
  const range = askedRange(request, content, tag)
  if (range === 'none') {
    reply.header('content-range', `bytes */${content.size}`)
    throw new GonkError('BAD_RANGE', `the file has ${content.size} bytes`)
  }
  const bytes =
    request.method === 'HEAD'
      ? undefined
      : await startedBytes(content.read(range ?? {}, { signal: options.signal }))
  reply.headers({
    ...lasting,
    ...guards,
    'accept-ranges': 'bytes',
    'content-length': range?.length ?? content.size,
    'content-type': safeMediaType(content.mediaType),
    'content-disposition': dispositionOf(content.name),
    'x-object-name': encodeURIComponent(content.name.toWellFormed()),
  })
  if (range !== undefined) {
    const last = range.offset + range.length - 1
    reply.code(206).header('content-range', `bytes ${range.offset}-${last}/${content.size}`)
  }
  return reply.send(bytes && Readable.from(bytes, { objectMode: false }))
}

function askedRange(
  { method, headers }: FastifyRequest,
  { size }: Content,
  tag: string,
): ByteRange | 'none' | undefined {
  // If-Range asks for a part of what it names; of anything else it wants the whole.
  const condition = headers['if-range']
  if (method !== 'GET' || (condition !== undefined && condition !== tag)) return undefined
  return rangeOf(headers.range, size)
}

/** Waits for the first bytes, so that what cannot be read at all is still answered as an error. */
async function startedBytes(bytes: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const iterator = bytes[Symbol.asyncIterator]()
  const first = await iterator.next()
  async function* all(): AsyncGenerator<Uint8Array> {
    try {
      for (let next = first; next.done !== true; next = await iterator.next()) yield next.value
    } finally {
      await iterator.return?.()
    }
  }
  return all()
}

/** A media type fit for a header; what only looks like one becomes plain bytes. */
function safeMediaType(mediaType: string): string {
  const isOne = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:;[\x20-\x7e]*)?$/.test(mediaType)
  return isOne ? mediaType : 'application/octet-stream'
}

/** As RFC 6266 has it: the last segment of the name, once in ASCII and once in full. */
function dispositionOf(name: string): string {
  const base = name.slice(name.lastIndexOf('/') + 1)
  const plain = base.replaceAll(/[^\x20-\x7e]|["\\%]/g, '_')
  const full = encodeURIComponent(base.toWellFormed()).replaceAll(
    /['()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16)}`,
  )
  return `attachment; filename="${plain}"; filename*=UTF-8''${full}`
}
