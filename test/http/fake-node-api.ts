// A NodeApi that remembers its calls and answers from a script: every method that is not scripted
// answers `{ok: true}`, or one entry where a list is expected.
import { GonkError } from '../../src/core/errors.ts'
import type { NodeApi, ObjectInfo, ProgressOptions } from '../../src/api/types.ts'
import { routes } from '../../src/client/routes.ts'

export interface Call {
  readonly method: string
  readonly args: readonly unknown[]
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
      calls.push({ method, args: args.slice(0, route.args.length) })
      if (scripted !== undefined) return Reflect.apply(scripted, script, args)
      return route.answer === 'list' ? oneEntry() : Promise.resolve({ ok: true })
    }
    return [method, answer] as const
  })
  const api = Object.fromEntries(methods) as Record<keyof NodeApi, never>
  return { ...(api as NodeApi), calls }
}

async function* oneEntry() {
  yield { event: 'e1', kind: 'propose', author: 'ab', at: '2026-01-01T00:00:00Z', summary: 's' }
}

/** Waits until the signal is aborted, then fails as an interrupted operation does. */
export async function untilAborted(options: ProgressOptions | undefined): Promise<never> {
  const { promise, resolve } = Promise.withResolvers<void>()
  options?.signal?.addEventListener('abort', () => resolve())
  await promise
  throw new GonkError('CANCELLED', 'interrupted')
}
