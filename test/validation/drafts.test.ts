// What each draft of JSON Schema means here, and how it is chosen.
import { afterAll, describe, expect, it } from 'vitest'
import { compile } from '../../src/validation/compile.ts'
import type { SchemaDraft } from '../../src/ports.ts'
import { openValidator } from '../../src/validation/validator.ts'
import { answerTo, bytes, draftUris, verdict } from './questions.ts'

const validator = openValidator()
afterAll(() => validator.close())

const drafts = Object.entries(draftUris) as [SchemaDraft, string][]
const draftOf = async (schema: unknown) => (await validator.checkSchema(bytes(schema))).draft
const ask = async (schema: unknown, document: unknown) =>
  verdict(await answerTo(validator, schema, document))

describe('the draft', () => {
  it.each(drafts)(
    'is %s where $schema is its address, with or without an empty #',
    async (name, uri) => {
      expect(await draftOf({ $schema: uri })).toBe(name)
      expect(await draftOf({ $schema: `${uri}#` })).toBe(name)
    },
  )

  it.each([
    ['there is no $schema', {}],
    ['nobody knows it', { $schema: 'https://example.com/mine' }],
    ['the scheme is another one', { $schema: 'https://json-schema.org/draft-04/schema#' }],
    ['it names a part', { $schema: `${draftUris['07']}#/definitions` }],
    ['it is a name every object has', { $schema: 'constructor' }],
    ['the schema is true', true],
  ])('is 2020-12 where %s', async (_, schema) => {
    expect(await draftOf(schema)).toBe('2020-12')
  })

  it('may not be draft-03, and says which may', async () => {
    const schema = { $schema: 'http://json-schema.org/draft-03/schema#' }
    await expect(draftOf(schema)).rejects.toMatchObject({
      code: 'BAD_SCHEMA',
      message: expect.stringMatching(/draft-03.*04.*2020-12/),
    })
  })
})

describe('a reference that leads nowhere', () => {
  const limits = {
    schemaBytesMax: 1_000,
    schemaDepthMax: 64,
    documentBytesMax: 1_000,
    documentDepthMax: 64,
  }

  it.each(drafts)('is said to in %s, in this process and in the other', async (_, uri) => {
    const schema = { $schema: uri, properties: { a: { $ref: '#/elsewhere' } } }
    const code = 'BAD_SCHEMA'
    const errors = [expect.objectContaining({ text: expect.stringContaining('not in it') })]
    expect(compile(bytes(schema), limits).answer).toMatchObject({ code, errors })
    expect(await answerTo(validator, schema, {})).toMatchObject({ code, errors })
  })
})

describe('in draft-04', () => {
  const in04 = (schema: object) => ({ $schema: `${draftUris['04']}#`, ...schema })

  it('exclusiveMinimum is true or false', async () => {
    const schema = in04({ minimum: 3, exclusiveMinimum: true })
    expect(await ask(schema, 3)).toBe('NOT_CONFORMING')
    expect(await ask(schema, 4)).toBe(true)
    expect(await ask(in04({ exclusiveMinimum: 3 }), 4)).toBe('BAD_SCHEMA')
  })

  it('const, contains, propertyNames, if and boolean schemas do not exist', async () => {
    expect(await ask(in04({ const: 1 }), 2)).toBe(true)
    expect(await ask(in04({ contains: { type: 'string' } }), [1])).toBe(true)
    expect(await ask(in04({ propertyNames: { maxLength: 1 } }), { abc: 1 })).toBe(true)
    expect(await ask(in04({ if: {}, then: { type: 'null' } }), 1)).toBe(true)
    expect(await ask(in04({ properties: { a: true } }), {})).toBe('BAD_SCHEMA')
  })

  it('required names at least one property', async () => {
    expect(await ask(in04({ required: [] }), {})).toBe('BAD_SCHEMA')
  })

  it('$id means nothing and id does', async () => {
    const definitions = { name: { type: 'string' } }
    const schema = in04({ $id: 'example', definitions, $ref: '#/definitions/name' })
    expect(await ask(schema, 'a')).toBe(true)
    expect(await ask(schema, 1)).toBe('NOT_CONFORMING')
    const named = in04({
      id: 'http://example.com/a',
      definitions: { b: { id: 'b', type: 'string' } },
      properties: { b: { $ref: 'http://example.com/b' } },
    })
    expect(await ask(named, { b: 1 })).toBe('NOT_CONFORMING')
  })

  it('true is no integer and not equal to 1', async () => {
    expect(await ask(in04({ type: 'integer' }), true)).toBe('NOT_CONFORMING')
    expect(await ask(in04({ enum: [1] }), true)).toBe('NOT_CONFORMING')
  })
})

describe('keywords', () => {
  it.each(drafts)('of %s are checked against its meta-schema', async (_, uri) => {
    expect(await ask({ $schema: uri, type: 12 }, 1)).toBe('BAD_SCHEMA')
    expect(await ask({ $schema: uri, properties: { a: { minLength: -1 } } }, 1)).toBe('BAD_SCHEMA')
  })

  it('that allow few values say which', async () => {
    const textsOf = async (schema: object) => {
      const answer = await answerTo(validator, schema, 1)
      return answer.conforms ? [] : answer.errors.map(({ text }) => text)
    }
    expect(await textsOf({ enum: ['ok', 'bad', null] })).toEqual([
      'must be one of "ok", "bad", null',
    ])
    expect(await textsOf({ const: { a: 1 } })).toEqual(['must be {"a":1}'])
    const [many = ''] = await textsOf({ enum: Array.from({ length: 500 }, (_, i) => `value ${i}`) })
    expect(many).toMatch(/^must be one of "value 0", .*, …$/)
    const [long = ''] = await textsOf({ enum: ['x'.repeat(10_000)] })
    expect(long.length).toBeLessThanOrEqual(300)
  })

  it.each(drafts)('that %s does not know mean nothing', async (_, uri) => {
    const unknown = { 'x-mine': { type: 12 }, constructor: 1, nullable: false, $async: true }
    expect(await ask({ $schema: uri, type: 'string', ...unknown }, 'a')).toBe(true)
    expect(await ask({ $schema: uri, type: 'string', ...unknown }, 1)).toBe('NOT_CONFORMING')
    expect(await ask({ $schema: uri, type: 'string', nullable: true }, null)).toBe('NOT_CONFORMING')
    expect(
      await ask({ $schema: uri, properties: { $async: { type: 'null' } } }, { $async: 1 }),
    ).toBe('NOT_CONFORMING')
  })

  it.each(drafts)('format asserts nothing in %s', async (_, uri) => {
    expect(await ask({ $schema: uri, format: 'date-time' }, 'yesterday')).toBe(true)
  })

  it('belong to their drafts: if, dependencies, unevaluatedProperties, prefixItems', async () => {
    const truth = async (schema: object, document: unknown) => {
      const answers = drafts.map(([, $schema]) => ask({ $schema, ...schema }, document))
      return (await Promise.all(answers)).map((answer) => answer === true)
    }
    expect(await truth({ if: { type: 'number' }, then: { type: 'null' } }, 1)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ])
    expect(await truth({ dependencies: { a: ['b'] } }, { a: 1 })).toEqual([
      false,
      false,
      false,
      true,
      true,
    ])
    expect(await truth({ unevaluatedProperties: false }, { a: 1 })).toEqual([
      true,
      true,
      true,
      false,
      false,
    ])
    expect(await truth({ prefixItems: [{ type: 'null' }] }, [1])).toEqual([
      true,
      true,
      true,
      true,
      false,
    ])
  })

  it('beside $ref have a meaning from 2019-09 on', async () => {
    const schema = { $ref: '#/definitions/any', type: 'string', definitions: { any: {} } }
    const answers = drafts.map(([, $schema]) => ask({ $schema, ...schema }, 1))
    expect(await Promise.all(answers)).toEqual([
      true,
      true,
      true,
      'NOT_CONFORMING',
      'NOT_CONFORMING',
    ])
  })

  it('take patterns with escapes that Unicode patterns do not have', async () => {
    expect(await ask({ pattern: '^\\d+\\-\\d+$' }, '12-13')).toBe(true)
    expect(await ask({ pattern: '^.$' }, '😀')).toBe(true)
    expect(await ask({ pattern: '(' }, 'a')).toBe('BAD_SCHEMA')
  })
})

describe('references', () => {
  it.each(drafts)('of %s reach the meta-schemas of all drafts', async (_, uri) => {
    for (const [, other] of drafts) {
      const schema = { $schema: uri, $ref: `${other}#` }
      expect(await ask(schema, { type: 'string' })).toBe(true)
      expect(await ask(schema, { type: 12 })).toBe('NOT_CONFORMING')
    }
  })

  it.each([
    'https://example.com/schema.json',
    'file:///etc/passwd',
    'other.json#/definitions/a',
    '#/definitions/missing',
    '#missing',
    '#/constructor',
    '#/__proto__',
    'constructor',
    '__proto__',
  ])('to %s are refused by name', async (ref) => {
    const schema = bytes({ definitions: { b: {} }, properties: { a: { $ref: ref } } })
    await expect(validator.checkSchema(schema)).rejects.toMatchObject({
      code: 'BAD_SCHEMA',
      message: expect.stringContaining(`"${ref}"`),
    })
  })

  it('may go round in a schema that describes a tree', async () => {
    const tree = { type: 'array', items: { $ref: '#' } }
    expect(await ask(tree, [[], [[], []]])).toBe(true)
    expect(await ask(tree, [[], [[], [1]]])).toBe('NOT_CONFORMING')
  })

  it('of two schemas with the same $id do not meet', async () => {
    const $id = 'https://example.com/one'
    expect(await ask({ $id, $ref: '#/$defs/a', $defs: { a: { type: 'string' } } }, 1)).toBe(
      'NOT_CONFORMING',
    )
    expect(await ask({ $id, $ref: '#/$defs/a', $defs: { a: { type: 'number' } } }, 1)).toBe(true)
  })
})
