import { describe, expect, it } from 'vitest'
import { apiPrefix } from '../../src/contract/routes.ts'
import { fakeNodeApi } from './fake-node-api.ts'
import { authorization, serverOf } from './serve.ts'

describe('the answer to a mistake', () => {
  it.each([
    ['users', { name: 'a', role: 'boss' }, 'role must be one of reader, member, admin'],
    ['datasets', {}, 'name is missing'],
    ['datasets', { name: 'a', founders: ['xyz'] }, /^founders\/0 .*64 lower-case hex digits/],
    ['datasets/d/annotations', { annotations: [{ objects: ['a'] }] }, /^annotations\/0\/schema is/],
    [
      'datasets/d/schemas',
      { name: 'boxes', document: '' },
      /^name is wrong: .* begins with `schema-`/,
    ],
  ])('%s says of %j what would do', async (path, payload, detail) => {
    const url = `${apiPrefix}/${path}`
    const headers = { authorization }
    const response = await serverOf(fakeNodeApi()).inject({ method: 'POST', url, headers, payload })
    const expected = detail instanceof RegExp ? expect.stringMatching(detail) : detail
    expect(response.json()).toMatchObject({ code: 'USAGE', detail: expected as string })
  })

  it('a request that no route takes is told where the routes are', async () => {
    for (const url of [`${apiPrefix}/datset`, '/nope']) {
      const response = await serverOf(fakeNodeApi()).inject({ url, headers: { authorization } })
      expect(response.json()).toMatchObject({
        code: 'NOT_FOUND',
        hint: expect.stringContaining('/docs') as string,
      })
    }
  })

  it('with a key that is not known says where keys come from', async () => {
    const url = `${apiPrefix}/status`
    const headers = { authorization: 'Bearer gk_0123' }
    const response = await serverOf(fakeNodeApi()).inject({ url, headers })
    expect(response.statusCode).toBe(401)
    expect(response.json<{ hint: string }>().hint).toContain('users rekey')
  })
})
