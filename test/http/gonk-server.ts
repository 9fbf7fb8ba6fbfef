// The Gonk dialect of a real node on a free port, and a plain HTTP client for it.
import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import type { Role } from '../../src/contract/api.ts'
import type { GonkPluginOptions } from '../../src/http/gonk/plugin.ts'
import { buildGonkServer } from '../../src/http/gonk/server.ts'
import { createLogger } from '../../src/logger.ts'
import { openTestNode, type OpenTestNode } from '../api/open-test-node.ts'

export interface Answer {
  readonly status: number
  // Bodies are JSON of any shape: tests say what they expect of it.
  readonly body: ReturnType<typeof JSON.parse>
  readonly headers: Headers
}

export type Ask = (method: string, path: string, body?: unknown) => Promise<Answer>

export interface GonkServer {
  readonly node: OpenTestNode
  /** `http://127.0.0.1:PORT`. */
  readonly url: string
  /** Makes a user. @returns what asks with the user's key. */
  user(name: string, role?: Role): Promise<Ask & { readonly key: string }>
  close(): Promise<void>
}

export const base64 = (text: string | Uint8Array): string => Buffer.from(text).toString('base64')
export const sha256Hex = (text: string | Uint8Array): string =>
  createHash('sha256').update(text).digest('hex')

type ServeOptions = Partial<Pick<GonkPluginOptions, 'bodyBytesMax' | 'budget'>>

export async function serveGonk(options: ServeOptions = {}): Promise<GonkServer> {
  const node = await openTestNode()
  const server = buildGonkServer({
    door: { authenticate: (key) => node.door.authenticate(key), gonkOf: (me) => node.gonkOf(me) },
    bodyBytesMax: 64 << 20,
    ...options,
    hosts: ['127.0.0.1', 'localhost'],
    logger: createLogger({ level: 'silent' }),
  })
  const url = await server.listen({ host: '127.0.0.1', port: 0 })
  return {
    node,
    url,
    async user(name, role = 'member') {
      const { apiKey } = await node.api.addUser({ name, role })
      const ask: Ask = (method, path, body) => askOf(url, apiKey, method, path, body)
      return Object.assign(ask, { key: apiKey })
    },
    async close() {
      await server.close()
      await node.close()
    },
  }
}

export async function askOf(
  url: string,
  key: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const hasBody = body !== undefined
  const response = await fetch(url + path, {
    method,
    headers: { 'x-api-key': key, ...(hasBody && { 'content-type': 'application/json' }) },
    ...(hasBody && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const parsed: unknown = text === '' ? undefined : JSON.parse(text)
  return { status: response.status, body: parsed, headers: response.headers }
}

/** The parts of a request that makes an object. */
export const anObject = (name: string, content: string, mimetype = 'text/plain') => ({
  name,
  mimetype,
  object: base64(content),
})

export const draft04 = JSON.stringify({
  $schema: 'http://json-schema.org/draft-04/schema#',
  $id: 'https://example.org/birds',
  type: 'object',
  properties: { label: { $ref: '#/definitions/label' } },
  definitions: { label: { type: 'string' } },
  required: ['label'],
})

export const nobody = '00112233-4455-4677-8899-aabbccddeeff'
export const anyUuid = expect.stringMatching(/^[0-9a-f-]{36}$/)

export const validation = (text: string) => refused(500, { ValidationError: text })
export const refused = (status: number, error: unknown) => ({ status, body: { error } })

/** A server with an owner, another member and a reader, and what most tests do with them. */
export async function aWorld(options: ServeOptions = {}) {
  const server = await serveGonk(options)
  const owner = await server.user('owner')
  const other = await server.user('other')
  const reader = await server.user('reader', 'reader')
  let count = 0
  /** The path of a new dataset. */
  const aDataset = async (): Promise<string> => {
    const name = `d-${count++}`
    await ok(owner, 'POST', '/datasets', { name })
    return `/datasets/${name}`
  }
  /** The uuid of the newest event. */
  const lastEvent = async (D: string): Promise<string> => {
    const events = await allOf(owner, `${D}/events`)
    return events.at(-1).uuid
  }
  return {
    ...{ server, owner, other, reader, aDataset, lastEvent },
    accept: async (D: string, uuid?: string) =>
      ok(owner, 'PUT', `${D}/events/${uuid ?? (await lastEvent(D))}/accept`),
    reject: async (D: string) => ok(owner, 'PUT', `${D}/events/${await lastEvent(D)}/reject`),
    async aSchema(D: string, name = 'schema-birds'): Promise<string> {
      const body = { name, schema: base64(draft04) }
      return (await ok(owner, 'POST', `${D}/schemas`, body)).uuid
    },
    async object(D: string, name = 'bird.txt', content = name): Promise<string> {
      return (await ok(owner, 'POST', `${D}/objects`, anObject(name, content))).uuid
    },
  }
}

export type World = Awaited<ReturnType<typeof aWorld>>

/** Bodies of answers that must be 200. */
export async function ok(
  ask: Ask,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer['body']> {
  const answer = await ask(method, path, body)
  expect(answer, JSON.stringify(answer.body)).toMatchObject({ status: 200 })
  return answer.body
}

/** The pages of a listing, by the links between them. */
export async function pagesOf(ask: Ask, path: string): Promise<Answer['body'][]> {
  const pages: unknown[] = []
  for (let next: string | undefined = path; next !== undefined;) {
    const { status, body, headers } = await ask('GET', next)
    expect(status).toBe(200)
    pages.push(body)
    next = /<([^>]+)>; rel="next"/.exec(headers.get('link') ?? '')?.[1]
  }
  return pages
}

export const allOf = async (ask: Ask, path: string): Promise<Answer['body']> =>
  (await pagesOf(ask, path)).flat()

/** The parts of a request that annotates by the schema of {@link aWorld}. */
export const annotating = (objects: unknown, document: unknown = { label: 'wren' }) => ({
  schema: { name: 'schema-birds', version: 0 },
  object_identifiers: objects,
  annotation: base64(JSON.stringify(document)),
})
