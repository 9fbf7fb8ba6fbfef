// A NodeApi that remembers its calls and answers from a script: every method that is not scripted
// answers `{ok: true}`, one entry where a list is expected, ten bytes where a file is.
import { GonkError } from '../../src/core/errors.ts'
import type { Content, NodeApi, ObjectInfo, ProgressOptions } from '../../src/contract/api.ts'
import { type Route, routes } from '../../src/contract/routes.ts'
import { bytesOf, collected, someBytes } from './samples.ts'

export interface Call {
  readonly method: string
  readonly args: readonly unknown[]
  /** What came as a file. */
  readonly body?: string
}

export interface FakeNodeApi extends NodeApi {
  readonly calls: Call[]
}

export const anObject: ObjectInfo = {
  id: 'ab'.repeat(32),
  version: `${'cd'.repeat(32)}:0`,
  name: 'cells/a.jpg',
  mediaType: 'image/jpeg',
  size: 20_000,
  cid: 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy',
  status: 'accepted',
}

export function fakeNodeApi(script: Partial<NodeApi> = {}): FakeNodeApi {
  const calls: Call[] = []
  const methods = Object.entries(routes).map(([method, route]) => {
    const scripted = script[method as keyof NodeApi]
    const answer = (...args: unknown[]): unknown => {
      const call = { method, args: args.slice(0, route.args.length) }
      if (scripted !== undefined) {
        calls.push(call)
        return Reflect.apply(scripted, script, args)
      }
      if (route.body === 'bytes') return taken(call, args[route.args.length])
      calls.push(call)
      return answerOf(route)
    }
    return [method, answer] as const
  })
  const api = Object.fromEntries(methods) as Record<keyof NodeApi, never>
  return { ...(api as NodeApi), calls }

  async function taken(call: Call, body: unknown): Promise<unknown> {
    const chunks = await collected(body as AsyncIterable<Uint8Array>)
    calls.push({ ...call, body: Buffer.concat(chunks).toString() })
    return { ok: true }
  }
}

function answerOf({ answer }: Route): unknown {
  if (answer === 'list') return oneEntry()
  if (answer === 'events') return oneEvent()
  return Promise.resolve(answer === 'content' ? contentOf(someBytes) : { ok: true })
}

/** Bytes as the content of an object; `read` gives them three at a time. */
export function contentOf(bytes: Uint8Array, overrides: Partial<Content> = {}): Content {
  return {
    name: 'cells/ü "1".jpg',
    mediaType: 'image/jpeg',
    size: bytes.length,
    cid: anObject.cid,
    read: ({ offset = 0, length = bytes.length } = {}) => {
      const part = bytes.subarray(offset, offset + length)
      const count = Math.ceil(part.length / 3)
      const chunks = Array.from({ length: count }, (_, i) => part.subarray(i * 3, i * 3 + 3))
      return bytesOf(...chunks)
    },
    ...overrides,
  }
}

async function* oneEntry() {
  yield { event: 'e1', kind: 'propose', author: 'ab', at: '2026-01-01T00:00:00Z', summary: 's' }
}

async function* oneEvent() {
  yield { seq: 3, cursor: 'c3', kind: 'propose', dataset: 'd' }
}

/** Waits until the signal is aborted, then fails as an interrupted operation does. */
export async function untilAborted(
  options: Pick<ProgressOptions, 'signal'> | undefined,
): Promise<never> {
  const { promise, resolve } = Promise.withResolvers<void>()
  options?.signal?.addEventListener('abort', () => resolve())
  await promise
  throw new GonkError('CANCELLED', 'interrupted')
}
