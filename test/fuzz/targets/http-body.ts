// JSON bodies of the native API: limits, then the shape of the route that the first byte names.
import { routes } from '../../../src/contract/routes.ts'
import { checkerOf, hasJsonBody, partsOf } from '../../../src/http/api/validate.ts'
import { parseJson } from '../../../src/http/body.ts'
import { allowing, hold, holdSame, type Target, utf8 } from '../target.ts'

const checkers = Object.values(routes)
  .filter(hasJsonBody)
  .map((route) => checkerOf(partsOf(route).body, 'body'))

const samples = [
  '{"name":"cells","founders":[],"threshold":1}',
  '{"operations":[{"op":"create","name":"a","content":"bafk"}]}',
  '{"verdict":"accept","items":["a:0"],"reason":"x"}',
  '{"annotations":[{"objects":["a"],"schema":"s","value":{"x":[1,2.5e3,null,true]}}]}',
  `${'['.repeat(128)}1${']'.repeat(128)}`,
  `${'['.repeat(129)}`,
  '"\\ud800\\u0000\\"[[["',
  '{"__proto__":{"a":1},"constructor":{"prototype":1}}',
  '',
]

export const target: Target = {
  seeds: () => samples.map((text, i) => Uint8Array.of(i, ...utf8(text))),
  words: [
    ...Object.values(routes).flatMap(({ fields }) => Object.keys(fields).map((f) => `"${f}":`)),
    ...['{', '}', '[', ']', ',', '\\u', '"', 'null', 'true', '1e999', '\ufeff', '"__proto__":'],
  ],
  check: (bytes) => {
    const body = Buffer.from(bytes.subarray(1))
    const value = allowing(['USAGE', 'TOO_LARGE'], () => ({ json: parseJson(body) }))
    const expected = plainly(body)
    if (value === undefined) {
      hold(expected === undefined || depthOf(expected.json) > 128, 'JSON within limits is refused')
      return
    }
    holdSame(value.json, expected?.json, 'a body read plainly')
    hold(depthOf(value.json) <= 128, 'a body nested too deep')
    if (typeof value.json !== 'object' || value.json === null) return
    const check = checkers[(bytes[0] ?? 0) % checkers.length]
    allowing(['USAGE'], () => check?.(value.json as Record<string, unknown>))
  },
}

function plainly(body: Uint8Array): { json: unknown } | undefined {
  if (body.length === 0) return { json: {} }
  try {
    return { json: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) as unknown }
  } catch {
    return undefined
  }
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}
