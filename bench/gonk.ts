// The Gonk dialect of a daemon over HTTP: objects of 20 kB made, accepted and listed by a few clients at
// once on connections that stay open, against what one core verifies in the same rounds.
import { createPublicKey, generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { type DialectDaemon, startDialect } from './daemons.ts'
import { type Bench, ratioOf, seconds } from './harness.ts'

const CLIENTS = 8
const OBJECT_BYTES = 20_000
const VERIFY_MS = 300
/** What Gonk itself did in a second, on a machine where one core verified so many signatures. */
const yardstick = { create: 55, accept: 45, verifies: 13_700 }
const GOAL = { atLeast: 20 }

export async function run(bench: Bench): Promise<void> {
  const daemon = await startDialect(join(bench.dir, 'home'))
  const client = new Client(daemon)
  const objects = bench.pick(300, 2_000)
  const samples = { create: [], accept: [], list: [], verify: [] } as Record<string, number[]>
  try {
    await client.ask('POST', '/datasets', { name: 'bench' })
    for (let round = 0; round < bench.rounds; round++) {
      const bodies = [...Array(objects).keys()].map((n) => bodyOf(round, n))
      const create = seconds(() =>
        atOnce(bodies, (body) => client.ask('POST', '/datasets/bench/objects', body)),
      )
      samples['create']?.push(objects / (await create))
      const uuids = await client.pendingEvents()
      const accept = seconds(() =>
        atOnce(uuids, (uuid) => client.ask('PUT', `/datasets/bench/events/${uuid}/accept`)),
      )
      samples['accept']?.push(uuids.length / (await accept))
      const pages = [...Array(objects).keys()]
      const page = () => client.ask('GET', '/datasets/bench/objects/accepted')
      samples['list']?.push(objects / (await seconds(() => atOnce(pages, page))))
      samples['verify']?.push(verifyRate())
    }
    report(bench, objects, samples, (await daemon.memory()).peakBytes)
  } finally {
    client.close()
    await daemon.stop()
  }
}

function report(
  bench: Bench,
  objects: number,
  samples: Record<string, number[]>,
  peakBytes: number,
): void {
  const verifies = samples['verify'] ?? []
  const size = `${objects} × ${OBJECT_BYTES} B, ${CLIENTS} clients`
  for (const what of ['create', 'accept', 'list'] as const) {
    bench.report({
      what: `gonk dialect: ${what}`,
      size: what === 'list' ? 'a page of 25' : size,
      samples: samples[what] ?? [],
      unit: 'requests/s',
      ratio: ratioOf(samples[what] ?? [], gonkOf(what, verifies), 'Gonk, by Ed25519 verify', GOAL),
      ...(what === 'create' && { peakBytes: [peakBytes] }),
    })
  }
}

/** What Gonk would do on this machine. For lists there is no figure: the better one of the others. */
function gonkOf(what: 'create' | 'accept' | 'list', verifies: readonly number[]): number[] {
  const { create, accept } = yardstick
  const rate = { create, accept, list: create }[what]
  return verifies.map((count) => (count * rate) / yardstick.verifies)
}

const bodyOf = (round: number, n: number) => ({
  name: `${round}/${n}.bin`,
  mimetype: 'application/octet-stream',
  object: randomBytes(OBJECT_BYTES).toString('base64'),
})

/** Each client takes the next one when it has its answer. */
async function atOnce<T>(all: readonly T[], work: (one: T) => Promise<unknown>): Promise<void> {
  const rest = all[Symbol.iterator]()
  const clients = Array.from({ length: CLIENTS }, async () => {
    for (const one of rest) await work(one)
  })
  await Promise.all(clients)
}

class Client {
  readonly #daemon: DialectDaemon
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CLIENTS })
  #after = ''

  constructor(daemon: DialectDaemon) {
    this.#daemon = daemon
  }

  async ask(method: string, path: string, body?: unknown): Promise<unknown> {
    const { gonk, apiKey } = this.#daemon
    const sent = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const headers = {
      'x-api-key': apiKey,
      ...(sent && { 'content-type': 'application/json', 'content-length': sent.length }),
    }
    const asked = request(gonk + path, { method, headers, agent: this.#agent }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece))
      response.on('error', reject).on('end', () => {
        if (response.statusCode === 200) resolve(JSON.parse(text))
        else reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`))
      })
    })
    asked.on('error', reject).end(sent)
    return promise
  }

  /** Events that came since the last call and can be accepted. */
  async pendingEvents(): Promise<string[]> {
    const uuids: string[] = []
    for (;;) {
      const query = this.#after === '' ? '' : `?after=${this.#after}`
      const page = await this.ask('GET', `/datasets/bench/events${query}`)
      const events = page as { uuid: string; type: string }[]
      if (events.length === 0) return uuids
      this.#after = events.at(-1)?.uuid ?? ''
      for (const { uuid, type } of events) if (type === 'ObjectCreateEvent') uuids.push(uuid)
    }
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** Signatures that one thread verifies in a second. */
function verifyRate(): number {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const key = createPublicKey(publicKey.export({ format: 'pem', type: 'spki' }))
  const message = randomBytes(300)
  const signature = sign(null, message, privateKey)
  let count = 0
  const startMs = performance.now()
  while (performance.now() - startMs < VERIFY_MS) {
    if (!verify(null, message, key, signature)) throw new Error('a signature is not valid')
    count++
  }
  return (count * 1000) / (performance.now() - startMs)
}
