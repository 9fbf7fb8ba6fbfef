// Schemas and documents: `schema NUL document`. In the worker process of the validator a check that takes
// too long ends with the worker; here it is ended in the same way, so that the fuzzer goes on.
import { Script } from 'node:vm'
import { compile } from '../../../src/validation/compile.ts'
import type { Limits } from '../../../src/validation/messages.ts'
import type { Conformance } from '../../../src/ports.ts'
import { hold, type Target, utf8 } from '../target.ts'

const limits: Limits = {
  schemaBytesMax: 4_096,
  schemaDepthMax: 64,
  documentBytesMax: 4_096,
  documentDepthMax: 512,
}
const STEP_MS_MAX = 500
const CODES = ['NOT_CONFORMING', 'BAD_SCHEMA', 'TOO_COSTLY']

const drafts = [
  'http://json-schema.org/draft-04/schema#',
  'http://json-schema.org/draft-06/schema#',
  'http://json-schema.org/draft-07/schema#',
  'https://json-schema.org/draft/2019-09/schema',
  'https://json-schema.org/draft/2020-12/schema',
]
const samples: readonly (readonly [unknown, unknown])[] = [
  [true, 1],
  [{ type: 'object', properties: { x: { type: 'number' } }, required: ['x'] }, { x: 1 }],
  [{ $ref: '#/$defs/a', $defs: { a: { enum: ['a', 'b'] } } }, 'a'],
  [{ anyOf: [{ type: 'string', pattern: '^a+$' }, { minimum: 3 }] }, 'aaa'],
  [{ items: { multipleOf: 0.5 }, uniqueItems: true, maxItems: 3 }, [1, 1.5]],
  [{ patternProperties: { '^x': false }, additionalProperties: { const: null } }, { y: null }],
  [{ if: { type: 'integer' }, then: { maximum: 9 }, else: { minLength: 2 } }, 12],
  [{ $dynamicRef: '#n', $defs: { n: { $dynamicAnchor: 'n', not: {} } } }, 1],
  [{ $id: 'http://a/b', definitions: { c: { $id: 'c', type: 'null' } }, $ref: 'c' }, null],
  [{ unevaluatedProperties: false, dependentSchemas: { a: { required: ['b'] } } }, { a: 1 }],
  [{ nullable: true, type: 'string', format: 'date' }, null],
  [{ prefixItems: [{}, { type: 'array' }], contains: { const: 1 }, minContains: 2 }, [1, [], 1]],
  ...drafts.map(($schema) => [{ $schema, type: 'object', minProperties: 1 }, {}] as const),
]

interface Work {
  run(): Conformance
}
const globals = globalThis as { fuzzedCheck?: Work }
const script = new Script('fuzzedCheck.run()')

/** What the check answers; undefined where it is ended. */
function inTime(run: () => Conformance): Conformance | undefined {
  globals.fuzzedCheck = { run }
  try {
    return script.runInThisContext({ timeout: STEP_MS_MAX }) as Conformance
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return undefined
    throw error
  }
}

export const target: Target = {
  seeds: () => samples.map((pair) => utf8(pair.map((value) => JSON.stringify(value)).join('\0'))),
  words: [
    ...['"$ref":', '"$defs":', '"properties":', '"allOf":[', '"anyOf":[', '"not":', '"items":'],
    ...['"pattern":"(a+)+$"', '"#"', '"#/$defs/a"', '"$id":', '"$anchor":', '"$dynamicRef":', '{}'],
    ...[
      '"__proto__":',
      '"constructor":',
      '"nullable":',
      '"$async":',
      '"const":',
      '"enum":[',
      '1e9',
    ],
    ...drafts.map((uri) => `"$schema":"${uri}"`),
  ],
  bytesMax: 1_024,
  costs: 10,
  check: (bytes) => {
    const at = bytes.indexOf(0)
    const schema = at < 0 ? bytes : bytes.subarray(0, at)
    const document = at < 0 ? new Uint8Array(0) : bytes.subarray(at + 1)
    const answer = inTime(() => compile(schema, limits).check(document))
    if (answer === undefined || answer.conforms) return
    hold(CODES.includes(answer.code), answer.code)
    hold(answer.errors.length >= 1 && answer.errors.length <= 10, 'errors')
    for (const { path, rule, text } of answer.errors) {
      const line = `${path} ${rule} ${text}`
      hold(line.length <= 1_000 && !/[\x00-\x1f\x7f-\x9f]/.test(line), 'an error in one line')
    }
  },
}
