// Every fuzz target in small: its seeds as they are, and some thousand inputs made of them at random.
// `npm run fuzz` does the same with many more, guided by coverage.
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { compile } from '../../src/validation/compile.ts'
import { openValidator } from '../../src/validation/validator.ts'
import { bytesMaxOf, type Target, tryInput } from './target.ts'

const RUNS = 2_000
const folder = join(import.meta.dirname, 'targets')
const names = readdirSync(folder).map((file) => basename(file, '.ts'))
const targetOf = async (name: string) =>
  ((await import(`./targets/${name}.ts`)) as { target: Target }).target

interface Change {
  readonly at: number
  readonly drop: number
  readonly put: Uint8Array
}

const changes: fc.Arbitrary<readonly Change[]> = fc.array(
  fc.record({ at: fc.nat(), drop: fc.nat(8), put: fc.uint8Array({ maxLength: 8 }) }),
  { maxLength: 6 },
)

function changed(seed: Uint8Array, all: readonly Change[]): Uint8Array {
  let bytes = seed
  for (const { at, drop, put } of all) {
    const place = at % (bytes.length + 1)
    bytes = Buffer.concat([bytes.subarray(0, place), put, bytes.subarray(place + drop)])
  }
  return bytes
}

function inputsOf(target: Target): fc.Arbitrary<Uint8Array> {
  const small = target.seeds().filter(({ length }) => length <= bytesMaxOf(target))
  const words = (target.words ?? []).map((word) => Uint8Array.from(Buffer.from(word)))
  const put = fc.constantFrom(new Uint8Array(0), ...words)
  const made = fc.tuple(fc.constantFrom(...small), changes, put, fc.nat())
  return fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
    {
      weight: 9,
      arbitrary: made.map(([seed, all, word, at]) =>
        changed(changed(seed, all), [{ at, drop: 0, put: word }]),
      ),
    },
  )
}

describe.each(names)('%s', (name) => {
  it('holds for what is right, and for what has been refused before', async () => {
    const target = await targetOf(name)
    for (const seed of target.seeds()) await tryInput(target, seed)
  })

  it('holds for whatever comes', async () => {
    const target = await targetOf(name)
    await fc.assert(
      fc.asyncProperty(inputsOf(target), async (bytes) => tryInput(target, bytes)),
      { numRuns: RUNS / (target.costs ?? 1) },
    )
  })
})

describe('the validator in its own process', () => {
  const limits = {
    schemaBytesMax: 4_096,
    schemaDepthMax: 64,
    documentBytesMax: 4_096,
    documentDepthMax: 512,
  }
  const validator = openValidator({ ...limits, stepMsMax: 500 })
  afterAll(() => validator.close())

  it('answers as the code in it does, and never later than it may', async () => {
    const target = await targetOf('json-schema')
    await fc.assert(
      fc.asyncProperty(inputsOf(target), async (bytes) => {
        const at = Math.max(0, bytes.indexOf(0))
        const [schema, document] = [bytes.subarray(0, at), bytes.subarray(at + 1)]
        const [answer] = await validator.check(schema, [document])
        const isCostly = answer?.conforms === false && answer.code === 'TOO_COSTLY'
        if (!isCostly) expect(answer).toEqual(compile(schema, limits).check(document))
      }),
      { numRuns: 200 },
    )
  })
})

it('a target that does not hold is found out', async () => {
  const broken: Target = {
    seeds: () => [new Uint8Array(8)],
    check: (bytes) => {
      if (bytes[0] === 7) throw new Error('seven')
    },
  }
  const property = fc.asyncProperty(inputsOf(broken), async (bytes) => tryInput(broken, bytes))
  const { failed } = await fc.check(property, { numRuns: 20_000, seed: 1 })
  expect(failed).toBe(true)
})
