// A call of a method of NodeApi and its answer, by the kinds of answer the route table knows.
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Content } from '../../contract/api.ts'
import { argsOf, type Route } from '../../contract/routes.ts'
import type { Asker } from '../auth.ts'
import { bytesOf, mediaTypeOf, type Patience, refuseForm } from '../body.ts'
import { hasTag, tagOf } from '../conditional.ts'
import { sendContent } from '../content.ts'
import { gonkErrorOf, hungUp, logFailure, problemFor } from '../errors.ts'
import { eventStreamType, openEvents } from '../event-stream.ts'
import { linesType, listLines, operationLines, startedLines } from '../lines.ts'
import type { Streams } from './streams.ts'

/** What all answers of one server share. */
export interface Answering {
  /** Aborted when the server stops. */
  readonly stopping: AbortSignal
  readonly streams: Streams
  readonly patience: Patience
}

export interface Called {
  readonly route: Route
  readonly asker: Asker
  /** The method, on behalf of whoever asks. */
  call(...args: unknown[]): unknown
}

type Fields = Record<string, unknown>

/** Calls the method with the fields of a request that was checked, and sends what it gives. */
export async function answer(
  called: Called,
  answering: Answering,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { route, call } = called
  const fields = fieldsOf(route, request)
  const args = argsOf(route, fields)
  const until = () => AbortSignal.any([answering.stopping, hungUp(reply)])
  if (route.body === 'bytes') {
    const signal = until()
    const { silenceMs } = answering.patience
    return sendValue(
      await call(...args, bytesOf(request.raw, { signal, silenceMs }), { signal }),
      called,
      reply,
    )
  }
  switch (route.answer) {
    case 'value': {
      const value = await (route.abortable ? call(...args, { signal: until() }) : call(...args))
      return sendValue(value, called, reply, request)
    }
    case 'content': {
      const content = (await call(...args)) as Content
      const isFixed = fields['version'] !== undefined
      return sendContent(content, request, reply, { isFixed, signal: until() })
    }
    case 'events':
      return sendEvents(called, answering, request, reply)
    case 'list':
      return sendLines(listLines(call(...args) as AsyncIterable<unknown>), request, reply)
    case 'operation':
      return sendLines(
        operationLines(async (options) => call(...args, options), until()),
        request,
        reply,
      )
  }
}

/** With a tag on what is read, so that whoever has it already gets it only once. */
function sendValue(
  value: unknown,
  { route }: Called,
  reply: FastifyReply,
  request?: FastifyRequest,
): FastifyReply {
  const body = JSON.stringify(value ?? null)
  reply.code(route.status ?? 200).header('cache-control', 'private, no-cache')
  if (request !== undefined && route.method === 'GET') {
    const tag = tagOf(body)
    reply.header('etag', tag)
    if (hasTag(request.headers['if-none-match'], tag)) return reply.code(304).send()
  }
  return reply.type('application/json; charset=utf-8').send(body)
}

async function sendLines(
  lines: AsyncGenerator<string>,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const started = await startedLines(lines, (error) => ({ error: failed(error, request) }))
  return reply.type(linesType).send(Readable.from(started))
}

async function sendEvents(
  { route, asker, call }: Called,
  { stopping, streams }: Answering,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { sse } = route
  if (sse === undefined) throw new Error(`${route.path} does not say what its events are`)
  const close = streams.open(asker.id)
  reply.raw.once('close', close)
  try {
    const signal = AbortSignal.any([stopping, hungUp(reply)])
    const args = argsOf(route, fieldsOf(route, request))
    const frames = await openEvents(call(...args, { signal }) as AsyncIterable<unknown>, {
      form: sse,
      isKnown: () => asker.isKnown(),
      drop: () => reply.raw.destroy(),
      problemOf: (error) => failed(error, request),
    })
    // Proxies that gather answers would keep events back.
    reply.headers({ 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
    return reply.type(eventStreamType).send(Readable.from(frames))
  } catch (error) {
    close()
    throw error
  }
}

/** The problem document of a failure in the middle of an answer, which is logged. */
function failed(error: unknown, request: FastifyRequest) {
  const gonkError = gonkErrorOf(error)
  logFailure(gonkError, request)
  return problemFor(gonkError, request)
}

function fieldsOf(route: Route, { query, body, params, headers }: FastifyRequest): Fields {
  if (route.body !== 'bytes') return { ...asFields(query), ...asFields(body), ...asFields(params) }
  refuseForm(headers['content-type'])
  const mediaType = 'mediaType' in route.fields && mediaTypeOf(headers['content-type'])
  return { ...(mediaType && { mediaType }), ...asFields(query), ...asFields(params) }
}

function asFields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {}
}
