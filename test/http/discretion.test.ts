// What the system says of a failure is for those who run the node.
import { describe, expect, it } from 'vitest'
import type { NodeApi, NodeDoor, Role } from '../../src/contract/api.ts'
import { GonkError } from '../../src/core/errors.ts'
import { fakeNodeApi } from './fake-node-api.ts'
import { authorization, serverOf } from './serve.ts'

const secret = '/home/ada/.gonk'
const failures = {
  DISK: () => new GonkError('DISK', `${secret}: ENOSPC`, { details: { file: secret } }),
  INTERNAL: () => new RangeError(`boom in ${secret}`),
}

function answersTo(failure: () => Error, level = 'silent') {
  const lines: string[] = []
  async function* late(): AsyncGenerator<never> {
    yield await Promise.reject<never>(failure())
  }
  const script: Partial<NodeApi> = {
    root: () => Promise.reject(failure()),
    verify: async (_dataset, options) => {
      options?.onProgress?.({ what: 'verifying', done: 1, total: 0, bytes: 0 })
      // The first line of the answer is on its way by then.
      await new Promise((resolve) => setImmediate(resolve))
      throw failure()
    },
    followEvents: late,
  }
  const api = fakeNodeApi(script)
  const door: NodeDoor = {
    authenticate: (key) => ({ name: key, role: key as Role, publicKey: key }),
    apiOf: () => api,
  }
  const destination = { write: (line: string) => void lines.push(line) }
  const server = serverOf(api, { door, level, destination })
  const ask = async (key: string, method: 'GET' | 'POST', path: string) => {
    const headers = { authorization: key === 'daemon' ? authorization : `Bearer ${key}` }
    return (await server.inject({ method, url: `/api/v1${path}`, headers })).body
  }
  return { ask, lines }
}

describe.each(Object.entries(failures))('%s', (code, failure) => {
  it.each([
    ['GET', '/datasets/cells/root'],
    ['POST', '/datasets/cells/verify'],
    ['GET', '/events?follow=1'],
  ] as const)('of %s %s says where only to admins', async (method, path) => {
    const { ask } = answersTo(failure)
    const isForAll = method === 'GET'
    for (const key of ['admin', 'daemon']) {
      const body = await ask(key, method, path)
      expect(body).toContain(`"code":"${code}"`)
      expect(body).toContain(secret)
    }
    for (const key of isForAll ? ['member', 'reader'] : ['member']) {
      const body = await ask(key, method, path)
      expect(body).toContain(`"code":"${code}"`)
      expect(body).toMatch(/"hint":"[^"]+operator/)
      expect(body).not.toContain(secret)
    }
  })

  it('is in the log as it is', async () => {
    const { ask, lines } = answersTo(failure, 'warn')
    await ask('reader', 'GET', '/datasets/cells/root')
    expect(lines.join('')).toContain(secret)
  })
})
