// Requests made to hang or to burst a daemon: how long until they are refused, and how long others
// wait for their answers meanwhile.
import { join } from 'node:path'
import { readDaemonFile } from '../src/home.ts'
import {
  askedMeanwhile,
  CHUNKED,
  gonkHalves,
  type Halves,
  hostileSchemas,
  lengthOf,
  nativeHalves,
  sendHuge,
} from '../test/node/hostile-requests.ts'
import { type DialectDaemon, startDialect } from './daemons.ts'
import { type Bench, seconds } from './harness.ts'

const DATASET = 'cells'
const OBJECT = 'bird.txt'
const SCHEMA = 'schema-label'

export async function run(bench: Bench): Promise<void> {
  const home = join(bench.dir, 'home')
  const daemon = await startDialect(home)
  const { url = '' } = (await readDaemonFile(home)) ?? {}
  try {
    await prepare(daemon)
    const others = innocent(daemon, url)
    for (const [what, attack] of Object.entries(await attacks(daemon, url))) {
      await measure(bench, { what, daemon, attack, others })
    }
  } finally {
    await daemon.stop()
  }
}

/** Resolves when it was refused; throws where it was not. */
type Attack = (round: number) => Promise<void>

interface Measured {
  readonly what: string
  readonly daemon: DialectDaemon
  readonly attack: Attack
  readonly others: ReturnType<typeof innocent>
}

async function measure(bench: Bench, { what, daemon, attack, others }: Measured): Promise<void> {
  const refused: number[] = []
  const waits: Record<string, number[]> = { look: [], list: [], annotate: [] }
  for (let round = 0; round < bench.rounds; round++) {
    const work = seconds(() => attack(round))
    const { value, waited } = await askedMeanwhile(work, others)
    refused.push(value)
    for (const [name, seconds] of Object.entries(waited)) waits[name]?.push(...seconds)
  }
  const { peakBytes } = await daemon.memory()
  const goal = { atMost: 5 }
  bench.report({
    ...{ what, size: 'refused', samples: refused, unit: 's', goal, peakBytes: [peakBytes] },
  })
  for (const [name, samples] of Object.entries(waits)) {
    const ms = samples.map((value) => value * 1_000)
    const size = `meanwhile others ${name}`
    // Whoever has a schema checked waits for the step that is under way.
    const atMost = name === 'annotate' ? 3_000 : 1_000
    bench.report({ what, size, samples: ms, unit: 'ms', goal: { atMost } })
  }
}

async function prepare({ api }: DialectDaemon): Promise<void> {
  await api.createDataset({ name: DATASET })
  const document = '{"type":"object","required":["label"]}'
  await api.addSchema(DATASET, { name: SCHEMA, document, accept: true })
  const body = async function* () {
    yield Buffer.from('a bird')
  }
  await api.upload(DATASET, { name: OBJECT, accept: true }, body())
}

/** What others do at the same time: they look, list and annotate. */
function innocent({ api, gonk, apiKey }: DialectDaemon, url: string) {
  let count = 0
  const look = async (path: string) => {
    const response = await fetch(path, { headers: { 'x-api-key': apiKey } })
    if (!response.ok) throw new Error(`${path} gave ${response.status}`)
    await response.text()
  }
  const item = () => ({ objects: [OBJECT], schema: SCHEMA, value: { label: count++ } })
  return {
    look: () => look(`${url}/healthz`),
    list: async () => {
      await look(`${url}/api/v1/datasets`)
      await look(`${gonk}/datasets/${DATASET}/objects`)
    },
    annotate: () => api.annotate(DATASET, { annotations: [item()] }),
  }
}

async function attacks(daemon: DialectDaemon, url: string): Promise<Record<string, Attack>> {
  const { api, gonk, apiKey } = daemon
  const found: Record<string, Attack> = {}
  for (const { what, schema, document } of hostileSchemas) {
    found[what] = async (round) => {
      const name = `schema-${what.replaceAll(' ', '-')}-${round}`
      const item = { objects: [OBJECT], schema: name, text: document }
      await refusal(async () => {
        await api.addSchema(DATASET, { name, document: schema(name) })
        await api.annotate(DATASET, { annotations: [item] })
      })
    }
  }
  const response = await fetch(`${gonk}/datasets/${DATASET}/objects/accepted`, {
    headers: { 'x-api-key': apiKey },
  })
  const object_identifiers = (await response.json()) as object[]
  const ofGonk = { schema: { name: SCHEMA, version: 0 }, object_identifiers }
  const doors = {
    API: nativeHalves(url, DATASET, { objects: [OBJECT], schema: SCHEMA }),
    dialect: gonkHalves(gonk, DATASET, ofGonk),
  }
  for (const [door, halves] of Object.entries(doors)) {
    found[`50 MB to the ${door}`] = () => huge(halves, apiKey, lengthOf(halves))
    found[`50 MB to the ${door}, chunked`] = () => huge(halves, apiKey, CHUNKED)
  }
  return found
}

async function huge(halves: Halves, apiKey: string, length: Record<string, string>): Promise<void> {
  const { status, body } = await sendHuge(halves, apiKey, length)
  if (status !== 413) throw new Error(`answered with ${status}: ${JSON.stringify(body)}`)
}

async function refusal(work: () => Promise<void>): Promise<void> {
  const refused = await work().then(
    () => false,
    ({ code }: { code?: string }) => code === 'TOO_COSTLY' || code === 'BAD_SCHEMA',
  )
  if (!refused) throw new Error('it was not refused')
}
