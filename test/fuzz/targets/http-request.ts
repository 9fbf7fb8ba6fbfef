// Requests to the native API as a whole: `METHOD URL`, a line feed, the body.
import { errorCodes } from '../../../src/core/errors.ts'
import { apiPrefix, routes } from '../../../src/contract/routes.ts'
import { buildServer } from '../../../src/http/server.ts'
import { createLogger } from '../../../src/logger.ts'
import type { Me } from '../../../src/contract/api.ts'
import { fakeNodeApi } from '../../http/fake-node-api.ts'
import { hold, type Target, utf8 } from '../target.ts'

const token = `gkd_${'secretToken'.repeat(3)}`
const api = fakeNodeApi()
const me = { publicKey: 'ab'.repeat(32), role: 'admin', name: 'ada' } as unknown as Me
const server = buildServer(
  { api, door: { authenticate: () => me, apiOf: () => api } },
  {
    token,
    hosts: ['localhost'],
    version: '1.2.3',
    logger: createLogger({ level: 'silent' }),
    patience: { lingerMs: 1 },
  },
)

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'] as const

export const target: Target = {
  seeds: () => [
    ...Object.values(routes).map(({ method, path }) => {
      const url = apiPrefix + path.replace(/:\w+/g, 'cells')
      return utf8(`${method} ${url}?limit=2&after=a%20b\n{"name":"a"}`)
    }),
    utf8('GET /docs/\n'),
    utf8('GET /openapi.json\n'),
  ],
  words: [...methods, apiPrefix, '%2F', '%00', '%zz', '..', '//', '?', '&', '=', '#'],
  bytesMax: 1_024,
  isAsync: true,
  check: async (bytes) => {
    const text = Buffer.from(bytes).toString('latin1')
    const [line = '', payload = ''] = text.split(/\n(.*)/s, 2)
    const [asked = '', url = ''] = line.split(/ (.*)/s, 2)
    const method = methods.find((one) => one === asked) ?? 'GET'
    // Only what a client can put on the request line; Node's parser refuses the rest.
    // What `inject` cannot parse, it cannot send.
    if (!/^\/[\x21-\x7e]*$/.test(url) || !URL.canParse(url, 'http://localhost')) return
    const headers = { host: 'localhost', authorization: `Bearer ${token}` }
    const type = { 'content-type': 'application/json' }
    const hasBody = method !== 'GET' && method !== 'HEAD' && payload !== ''
    const response = await server.inject({
      method,
      url,
      headers: hasBody ? { ...headers, ...type } : headers,
      ...(hasBody && { payload: Buffer.from(payload, 'latin1') }),
      signal: AbortSignal.timeout(2_000),
    })
    api.calls.length = 0
    const { statusCode } = response
    hold(statusCode >= 200 && statusCode < 600, `status ${statusCode}`)
    hold(statusCode !== 500, `${method} ${url} answers 500: ${response.payload}`)
    if (statusCode < 400 || method === 'HEAD') return
    const { code, detail, hint } = JSON.parse(response.payload) as Record<string, string>
    hold(Object.hasOwn(errorCodes, code ?? ''), `code ${code}`)
    hold(Boolean(detail) && Boolean(hint), 'an error that says nothing')
  },
}
