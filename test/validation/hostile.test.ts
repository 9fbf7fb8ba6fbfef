// Schemas and documents made to hang or to burst whoever checks them: each ends in an answer, and
// others are answered meanwhile.
import { execFile, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { openValidator } from '../../src/validation/validator.ts'
import { bytes, verdict } from './questions.ts'

const STEP_MS = 300
const validator = openValidator({ stepMsMax: STEP_MS })
afterAll(() => validator.close())

const list = (count: number, item: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => item(i)).join(',')
const quoted = (value: string) => `"${value}"`
const slowPattern = { pattern: '^(a+)+$' }
const slow = quoted(`${'a'.repeat(60)}b`)

/** Turns of this thread's event loop while `work` is under way. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let turns = 0
  const timer = setInterval(() => turns++, 10)
  await work.finally(() => clearInterval(timer))
  return turns
}

describe('others are answered, and this thread is free, while somebody asks about', () => {
  const doubling = list(60, (i) => {
    const next = `{"$ref":"#/$defs/d${i + 1}"}`
    return `"d${i}":{"allOf":[${next},${next}]}`
  })
  it.each([
    ['a pattern that backtracks', JSON.stringify(slowPattern), slow],
    ['references that double', `{"$ref":"#/$defs/d0","$defs":{${doubling},"d60":{}}}`, '1'],
    ['many objects to be unique', '{"uniqueItems":true}', `[${list(40_000, (i) => `{"a":${i}}`)}]`],
    ['many branches', `{"anyOf":[${list(20_000, () => '{"not":{}}')}]}`, '1'],
    ['many properties', `{"properties":{${list(11_000, (i) => `"${i}":{"type":"null"}`)}}}`, '{}'],
    [
      'a pattern V8 cannot stop compiling',
      `{"pattern":"${'\\\\p{L}{1,50}'.repeat(15_000)}"}`,
      '"a"',
    ],
  ])('%s', async (_, schema, document) => {
    const hostile = validator.check(bytes(schema), [bytes(document)])
    const innocent = validator.check(bytes({ type: 'string' }), [bytes('"a"'), bytes('1')])
    const turns = await turnsDuring(Promise.all([hostile, innocent]))
    expect((await hostile).map(verdict)).toEqual(['TOO_COSTLY'])
    expect((await innocent).map(verdict)).toEqual([true, 'NOT_CONFORMING'])
    expect(turns).toBeGreaterThan(5)
  })
})

describe('an answer is given at once', () => {
  it.each([
    ['a schema that is its own part', '{"$ref":"#"}', '1', 'TOO_COSTLY'],
    ['one that is all of itself', '{"allOf":[{"$ref":"#"}]}', '1', 'TOO_COSTLY'],
    ['a dynamic one', '{"$dynamicAnchor":"a","allOf":[{"$dynamicRef":"#a"}]}', '1', 'TOO_COSTLY'],
    ['too many groups in a pattern', `{"pattern":"${'(a)?'.repeat(60_000)}"}`, '""', 'BAD_SCHEMA'],
    [
      'a pattern too deep',
      `{"pattern":"${'('.repeat(9e4)}${')'.repeat(9e4)}"}`,
      '""',
      'BAD_SCHEMA',
    ],
    ['a long enum', `{"enum":[${list(30_000, String)}]}`, '"a"', 'NOT_CONFORMING'],
    ['a document of brackets', '{}', '['.repeat(4e6), 'NOT_CONFORMING'],
    ['one level too many', `${'{"not":'.repeat(64)}{}${'}'.repeat(64)}`, '1', 'BAD_SCHEMA'],
  ])('%s', async (_, schema, document, expected) => {
    expect((await validator.check(bytes(schema), [bytes(document)])).map(verdict)).toEqual([
      expected,
    ])
  })

  it('the second time somebody asks about what was too costly', async () => {
    const patient = openValidator({ stepMsMax: 1_500 })
    try {
      const ask = () => patient.check(bytes(slowPattern), [bytes('"a"'), bytes(slow)])
      const first = await ask()
      const startMs = performance.now()
      expect(await ask()).toEqual(first)
      expect(first.map(verdict)).toEqual([true, 'TOO_COSTLY'])
      expect(performance.now() - startMs).toBeLessThan(1_400)
    } finally {
      await patient.close()
    }
  })

  it('and a costly schema is remembered as well', async () => {
    const schema = bytes(`{"anyOf":[${list(19_000, () => '{"not":{}}')}]}`)
    await expect(validator.checkSchema(schema)).rejects.toMatchObject({ code: 'TOO_COSTLY' })
    const turns = await turnsDuring(
      expect(validator.checkSchema(schema)).rejects.toMatchObject({ code: 'TOO_COSTLY' }),
    )
    expect(turns).toBeLessThan(STEP_MS / 10)
  })
})

it('the slow documents of a batch are told from the others', async () => {
  const isSlow = (i: number) => [0, 150, 399].includes(i)
  const documents = Array.from({ length: 400 }, (_, i) =>
    bytes(isSlow(i) ? quoted(`${'a'.repeat(60)}b${i}`) : i % 2 === 0 ? '"aa"' : '"b"'),
  )
  const answers = await validator.check(bytes(slowPattern), documents)
  const expected = documents.map((_, i) =>
    isSlow(i) ? 'TOO_COSTLY' : i % 2 === 0 ? true : 'NOT_CONFORMING',
  )
  expect(answers.map(verdict)).toEqual(expected)
})

it('a batch of slow documents does not keep others waiting until its end', async () => {
  const documents = Array.from({ length: 6 }, (_, i) => bytes(quoted(`${'a'.repeat(60)}c${i}`)))
  let isOver = false
  const hostile = validator.check(bytes(slowPattern), documents).finally(() => (isOver = true))
  expect((await validator.check(bytes({}), [bytes('1')])).map(verdict)).toEqual([true])
  expect(isOver).toBe(false)
  expect((await hostile).map(verdict)).toEqual(documents.map(() => 'TOO_COSTLY'))
})

it('memory runs out where documents are checked, and nowhere else', async () => {
  const small = openValidator({ heapMiBMax: 48 })
  try {
    const document = bytes(`[${'{},'.repeat(2_000_000)}{}]`)
    const documents = [bytes('[]'), document, bytes('[]')]
    const answers = await small.check(bytes({ type: 'array' }), documents)
    expect(answers.map(verdict)).toEqual([true, 'TOO_COSTLY', true])
    expect((await small.check(bytes({}), [bytes('1')])).map(verdict)).toEqual([true])
  } finally {
    await small.close()
  }
})

describe('a question', () => {
  it('can be taken back while it waits and while it is worked on', async () => {
    const stop = new AbortController()
    const { signal } = stop
    const schema = bytes({ ...slowPattern, title: 'taken back' })
    const questions = [1, 2].map(() => validator.check(schema, [bytes(slow)], { signal }))
    const settled = Promise.allSettled(questions)
    stop.abort()
    const rejected = { status: 'rejected', reason: { code: 'CANCELLED' } }
    expect(await settled).toMatchObject([rejected, rejected])
    await expect(validator.checkSchema(schema, { signal })).rejects.toMatchObject({
      code: 'CANCELLED',
    })
    expect((await validator.check(bytes({}), [bytes('1')])).map(verdict)).toEqual([true])
  })

  it('ends when the validator is closed, and later ones are refused', async () => {
    const closing = openValidator()
    const question = closing.check(bytes(slowPattern), [bytes(slow)])
    const refused = expect(question).rejects.toMatchObject({ code: 'CANCELLED' })
    await closing.close()
    await refused
    await expect(closing.checkSchema(bytes({}))).rejects.toMatchObject({ code: 'CANCELLED' })
    await closing.close()
  })
})

describe('a program', () => {
  const source = new URL('../../src/validation/validator.ts', import.meta.url)
  const program = (options: object, then: string) => `
    import { openValidator } from ${JSON.stringify(source)}
    const bytes = (text) => new TextEncoder().encode(text)
    const validator = openValidator(${JSON.stringify(options)})
    const answers = validator.check(bytes(${JSON.stringify(JSON.stringify(slowPattern))}), [bytes(${JSON.stringify(slow)})])
    ${then}`

  it('ends without closing its validator, and says nothing that is not its own', async () => {
    const script = program({ stepMsMax: 100 }, 'process.stdout.write((await answers)[0].code)')
    const args = ['--input-type=module', '-e', script]
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args)
    expect({ stdout, stderr }).toEqual({ stdout: 'TOO_COSTLY', stderr: '' })
  })

  it.runIf(process.platform === 'linux')('that is killed leaves no process at work', async () => {
    const script = program({ stepMsMax: 60_000 }, 'await answers')
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script])
    const errors = text(parent.stderr)
    const childrenOf = async () =>
      (await readFile(`/proc/${parent.pid}/task/${parent.pid}/children`, 'utf8')).trim()
    const child = await vi.waitFor(
      async () => {
        const pid = Number(await childrenOf())
        // The pattern is at work when the process has used time that loading does not take.
        const stat = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? []
        expect(Number(stat[11])).toBeGreaterThan(150)
        return pid
      },
      { timeout: 30_000, interval: 50 },
    )
    parent.kill('SIGKILL')
    await vi.waitFor(() => expect(() => process.kill(child, 0)).toThrow('ESRCH'), 10_000)
    expect(await errors).toBe('')
  })
})
