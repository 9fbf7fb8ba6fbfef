// Work for a client that has gone ends.
import { describe, expect, it } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import type { NodeApi, ProgressOptions } from '../../src/contract/api.ts'
import { routes } from '../../src/contract/routes.ts'
import { GonkError } from '../../src/core/errors.ts'
import { fakeNodeApi } from './fake-node-api.ts'
import { samples } from './samples.ts'
import { listening, token } from './serve.ts'

/** What a large dataset, or a long list of things, makes long. */
const long = [
  'annotate',
  'checkDecisions',
  'decide',
  'diff',
  'listAnnotations',
  'listObjects',
  'listReviews',
  'queue',
  'queueCounts',
  'select',
  'submit',
  'updateAnnotation',
  'review',
  'verify',
  'repair',
] as const satisfies readonly (keyof NodeApi)[]

describe('when the client hangs up', () => {
  it.each(long)('%s ends', async (name) => {
    const began = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<string>()
    const method = async (...args: unknown[]) => {
      const { signal } = args[routes[name].args.length] as ProgressOptions
      signal?.addEventListener('abort', () => ended.resolve('aborted'))
      began.resolve()
      await ended.promise
      throw new GonkError('CANCELLED', 'stopped')
    }
    const url = await listening(fakeNodeApi({ [name]: method }))
    const gone = new AbortController()
    const client = createClient({ url, token, signal: gone.signal })
    const answer = Promise.resolve(Reflect.apply(client[name], client, [...samples[name]]))
    const outcome = answer.catch((error: GonkError) => error.code)
    await began.promise
    gone.abort()
    expect(await outcome).toBe('CANCELLED')
    expect(await ended.promise).toBe('aborted')
  })
})
