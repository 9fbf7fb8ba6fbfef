// What is refused whatever a schema means, and what an answer says.
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { openValidator } from '../../src/validation/validator.ts'
import { answerTo, bytes, verdict } from './questions.ts'

const validator = openValidator()
afterAll(() => validator.close())

const checkSchema = (schema: Uint8Array | string) => validator.checkSchema(bytes2(schema))
const bytes2 = (value: Uint8Array | string) => (typeof value === 'string' ? bytes(value) : value)
const nested = (depth: number) => `${'{"not":'.repeat(depth - 1)}{}${'}'.repeat(depth - 1)}`
const lists = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`

describe('a schema', () => {
  it('has at most 256 KiB', async () => {
    const ofSize = (size: number) => `{"title":"${'a'.repeat(size - 12)}"}`
    expect(await checkSchema(ofSize(256 * 1024))).toEqual({ draft: '2020-12' })
    await expect(checkSchema(ofSize(256 * 1024 + 1))).rejects.toMatchObject({ code: 'TOO_LARGE' })
    const [answer] = await validator.check(bytes(ofSize(256 * 1024 + 1)), [bytes('1')])
    expect(answer).toMatchObject({ code: 'BAD_SCHEMA', errors: [{ rule: 'size' }] })
  })

  it('is nested at most 64 levels deep, brackets in strings aside', async () => {
    expect(await checkSchema(nested(64))).toEqual({ draft: '2020-12' })
    await expect(checkSchema(nested(65))).rejects.toMatchObject({ code: 'BAD_SCHEMA' })
    await expect(checkSchema('['.repeat(200_000))).rejects.toMatchObject({ code: 'BAD_SCHEMA' })
    expect(await checkSchema(`{"title":"\\"${'['.repeat(100)}"}`)).toEqual({ draft: '2020-12' })
  })

  it.each([
    ['JSON that ends early', '{'],
    ['nothing', ''],
    ['a list', '[1,2]'],
    ['a number', '12'],
    ['null', 'null'],
    ['bytes that are no UTF-8', new Uint8Array([0x22, 0xc3, 0x28, 0x22])],
    ['a byte order mark', '\ufeff{}'],
    ['the name __proto__', '{"properties":{"__proto__":{"type":"string"}}}'],
  ])('is not %s', async (_, schema) => {
    await expect(checkSchema(schema)).rejects.toMatchObject({ code: 'BAD_SCHEMA' })
  })
})

describe('a document', () => {
  const only = async (document: Uint8Array | string, schema: unknown = {}) =>
    (await validator.check(bytes(schema), [bytes2(document)]))[0]

  it('has at most 8 MiB', async () => {
    const ofSize = (size: number) => `"${'a'.repeat(size - 2)}"`
    expect(await only(ofSize(8 * 1024 * 1024))).toEqual({ conforms: true })
    expect(await only(ofSize(8 * 1024 * 1024 + 1))).toMatchObject({
      code: 'NOT_CONFORMING',
      errors: [{ rule: 'size' }],
    })
  })

  it('is nested at most 512 levels deep', async () => {
    expect(await only(lists(512), { items: { $ref: '#' } })).toEqual({ conforms: true })
    expect(await only(lists(513))).toMatchObject({ errors: [{ rule: 'depth' }] })
  })

  it('is JSON in UTF-8', async () => {
    expect(await only('not json at all')).toMatchObject({ errors: [{ rule: 'json' }] })
    expect(await only(new Uint8Array([0x22, 0xff, 0x22]))).toMatchObject({
      code: 'NOT_CONFORMING',
      errors: [{ rule: 'utf-8' }],
    })
  })

  it('has only what is written in it, not what every object has', async () => {
    expect(await only('{}', { required: ['constructor'] })).toMatchObject({ conforms: false })
    expect(await only('{}', { properties: { toString: { type: 'string' } } })).toEqual({
      conforms: true,
    })
    const closed = { additionalProperties: false }
    expect(await only('{"__proto__":{"a":1}}', closed)).toMatchObject({ conforms: false })
    const unlike = '[{"toString":1},{"valueOf":2}]'
    expect(await only(unlike, { uniqueItems: true })).toMatchObject({ conforms: false })
  })
})

describe('an answer', () => {
  it('names the place, the rule and the property', async () => {
    const schema = { properties: { a: { additionalProperties: false } } }
    expect(await answerTo(validator, schema, { a: { wrong: 1 } })).toEqual({
      conforms: false,
      code: 'NOT_CONFORMING',
      errors: [
        {
          path: '/a',
          rule: 'additionalProperties',
          text: 'must NOT have additional properties, such as "wrong"',
        },
      ],
    })
  })

  it('has few errors, with short texts in which nothing moves a cursor', async () => {
    const name = `\u001b[2J\u202e\n${'é'.repeat(1_000)}`
    const schema = { anyOf: Array.from({ length: 50 }, () => ({ required: [name] })) }
    const answer = await answerTo(validator, schema, { [name]: { [name]: 1 } })
    expect(verdict(answer)).toBe(true)
    const wrong = await answerTo(validator, { additionalProperties: schema }, { [name]: {} })
    const { errors } = wrong as Extract<typeof wrong, { conforms: false }>
    expect(errors).toHaveLength(10)
    for (const { path, rule, text } of errors) {
      for (const part of [path, rule, text]) {
        expect(part.length).toBeLessThanOrEqual(300)
        expect(part).not.toMatch(/[\p{Cc}\p{Cf}]/u)
      }
    }
  })

  it('comes in the order of the documents, many or none', async () => {
    const documents = Array.from({ length: 1_000 }, (_, i) => bytes(i % 3 === 0 ? '"a"' : '1'))
    const answers = await validator.check(bytes({ type: 'string' }), documents)
    expect(answers.map(({ conforms }) => conforms)).toEqual(documents.map((_, i) => i % 3 === 0))
    expect(await validator.check(bytes({}), [])).toEqual([])
  })

  it('leaves the bytes it was asked about to their owner', async () => {
    const pool = Buffer.from('xx{"type":"string"}"a"xx')
    const [answer] = await validator.check(pool.subarray(2, 19), [pool.subarray(19, 22)])
    expect(answer).toEqual({ conforms: true })
    expect(pool.toString()).toBe('xx{"type":"string"}"a"xx')
  })

  it('agrees with a rule written by hand', async () => {
    const schema = bytes({
      type: 'object',
      required: ['name', 'box'],
      additionalProperties: false,
      properties: {
        name: { type: 'string', minLength: 1, maxLength: 3 },
        box: { type: 'array', minItems: 4, maxItems: 4, items: { type: 'number', minimum: 0 } },
        score: { type: 'number', maximum: 1 },
      },
    })
    const value = fc.oneof(
      fc.string({ maxLength: 5, unit: 'grapheme' }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.array(fc.double({ min: -1, max: 9, noNaN: true }), { minLength: 3, maxLength: 5 }),
      fc.constant(null),
    )
    const likely = fc.record(
      {
        name: fc.string({ maxLength: 4, unit: 'binary' }),
        box: fc.array(fc.integer({ min: -1, max: 40 }), { minLength: 3, maxLength: 5 }),
        score: fc.double({ min: 0, max: 1.2, noNaN: true }),
        other: value,
      },
      { requiredKeys: [] },
    )
    const close = fc.record({
      name: fc.string({ minLength: 1, maxLength: 3, unit: 'binary' }),
      box: fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 4, maxLength: 4 }),
    })
    const documents = fc.array(fc.oneof(likely, close, value, fc.dictionary(fc.string(), value)))
    let seen = { yes: 0, no: 0 }
    await fc.assert(
      fc.asyncProperty(documents, async (values) => {
        const texts = values.map((document) => bytes(JSON.stringify(document)))
        const answers = await validator.check(schema, texts)
        const expected = values.map(obeys)
        seen = expected.reduce(
          ({ yes, no }, is) => ({ yes: yes + Number(is), no: no + Number(!is) }),
          seen,
        )
        expect(answers.map(({ conforms }) => conforms)).toEqual(expected)
      }),
      { numRuns: 200 },
    )
    expect(Math.min(seen.yes, seen.no)).toBeGreaterThan(20)
  })
})

/** The schema of the test above, by hand. */
function obeys(document: unknown): boolean {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return false
  const { name, box, score, ...rest } = document as Record<string, unknown>
  if (Object.keys(rest).length > 0) return false
  const isName = typeof name === 'string' && name !== '' && [...name].length <= 3
  const isBox = Array.isArray(box) && box.length === 4 && box.every((n) => Number(n) >= 0)
  return isName && isBox && (score === undefined || (typeof score === 'number' && score <= 1))
}
