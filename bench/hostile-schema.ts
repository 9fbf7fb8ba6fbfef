// Schemas and documents made to hang whoever checks them: how long until they are refused, how long an
// innocent question asked right behind them waits, and how long this thread is held up meanwhile.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { SchemaValidator } from '../src/ports.ts'
import { openValidator } from '../src/validation/validator.ts'
import { type Bench, memoryOf, seconds } from './harness.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const schema = bytes('{"type":"object","required":["label"]}')
const innocent = bytes('{"label":"car"}')

/** Each with a number in it, so that no round knows the answer of another. */
const hostile: Record<string, (round: number) => [schema: string, document: string]> = {
  'pattern that backtracks': (round) => [
    '{"pattern":"^(a+)+$"}',
    `"${'a'.repeat(60)}${'b'.repeat(round + 1)}"`,
  ],
  'references that double': (round) => {
    const next = (i: number) => `{"$ref":"#/$defs/${i + 1}"}`
    const defs = Array.from({ length: 60 }, (_, i) => `"${i}":{"allOf":[${next(i)},${next(i)}]}`)
    return [`{"title":"${round}","$ref":"#/$defs/0","$defs":{${defs.join()},"60":{}}}`, '1']
  },
  'pattern of 180 KB': (round) => [
    `{"title":"${round}","pattern":"${'\\\\p{L}{1,50}'.repeat(15_000)}"}`,
    '"a"',
  ],
}

export async function run(bench: Bench): Promise<void> {
  const validator = openValidator()
  try {
    await quick(bench, validator)
    for (const [what, make] of Object.entries(hostile)) {
      const refused: number[] = []
      const waited: number[] = []
      const delay = monitorEventLoopDelay({ resolution: 5 })
      delay.enable()
      for (let round = 0; round < bench.rounds; round++) {
        const [text, document] = make(round)
        const bad = validator.check(bytes(text), [bytes(document)])
        const good = validator.check(schema, [innocent])
        const took = [seconds(() => bad), seconds(() => good)]
        refused.push((await took[0]) ?? Number.NaN)
        waited.push((await took[1]) ?? Number.NaN)
      }
      delay.disable()
      const { peakBytes } = await memoryOf(process.pid)
      const note = `this thread held up ${(delay.max / 1e6).toFixed(0)} ms at most`
      bench.report({
        what,
        size: 'refused',
        samples: refused,
        unit: 's',
        goal: { atMost: 2 },
        note,
      })
      bench.report({
        ...{ what, size: 'the next question', samples: waited, unit: 's', goal: { atMost: 3 } },
        peakBytes: [peakBytes],
      })
    }
  } finally {
    await validator.close()
  }
}

/** What honest work costs. */
async function quick(bench: Bench, validator: SchemaValidator): Promise<void> {
  const start = await seconds(() => validator.check(schema, [innocent]))
  bench.report({ what: 'first question', size: 'starts a process', samples: [start], unit: 's' })
  const count = bench.pick(2_000, 20_000)
  const documents = Array.from({ length: count }, () => innocent)
  const samples: number[] = []
  for (let round = 0; round < bench.rounds; round++) {
    samples.push(count / (await seconds(() => validator.check(schema, documents))))
  }
  bench.report({ what: 'documents checked', size: `${count} × 15 B`, samples, unit: '/s' })
}
