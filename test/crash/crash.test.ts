// `kill -9` at random moments while files are added, events are followed, datasets are cloned and users
// work over HTTP.
// What was acknowledged is there after a plain start, and the nodes end up with one root.
// GONK_CRASH_ROUNDS: how many (default 50). GONK_SEED: the seed of an earlier run.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import type { NodeApi } from '../../src/contract/api.ts'
import { type TestNode, until, World } from '../node/daemon.ts'
import { bytesOf, digestsOf, writeFiles } from '../node/folders.ts'
import { type Random, randomFrom } from './random.ts'

const rounds = Number(process.env['GONK_CRASH_ROUNDS'] ?? 50)
const seed = Number(process.env['GONK_SEED'] ?? Date.now() % 1_000_000)
/** Then new homes are made, so that a round stays short. */
const ROUNDS_PER_WORLD = 12
const KILL_WITHIN_MS = { add: 1_200, follow: 1_200, clone: 600, serve: 1_200 } as const
const SYNC_WITHIN_MS = 30_000

const kinds = ['add', 'follow', 'clone', 'serve'] as const
type Kind = (typeof kinds)[number]

interface Round {
  readonly kind: Kind
  killedAfterMs: number
  acknowledged: number
  readyMs: number
  equalMs: number
}

it(`loses nothing in ${rounds} crashes`, { timeout: rounds * 60_000 }, async () => {
  process.stdout.write(`GONK_SEED=${seed} GONK_CRASH_ROUNDS=${rounds}\n`)
  const random = randomFrom(seed)
  const done: Round[] = []
  while (done.length < rounds) {
    const crashes = await Crashes.create(random)
    try {
      for (let i = 0; i < ROUNDS_PER_WORLD && done.length < rounds; i++) {
        const round = await crashes.round(kinds[done.length % kinds.length] as Kind)
        done.push(round)
        process.stdout.write(`${done.length}/${rounds} ${lineOf(round)}\n`)
      }
    } finally {
      await crashes.close()
    }
  }
  process.stdout.write(`${kinds.map((kind) => summaryOf(kind, done)).join('\n')}\n`)
})

const lineOf = ({ kind, killedAfterMs, acknowledged, readyMs, equalMs }: Round) =>
  `${kind}: killed after ${killedAfterMs} ms, ${acknowledged} events acknowledged, ` +
  `ready in ${readyMs} ms, equal in ${equalMs} ms`

function summaryOf(kind: Kind, rounds: readonly Round[]): string {
  const mine = rounds.filter((round) => round.kind === kind)
  const events = mine.reduce((sum, { acknowledged }) => sum + acknowledged, 0)
  const slowest = (name: 'readyMs' | 'equalMs') => Math.max(0, ...mine.map((round) => round[name]))
  return (
    `${kind}: ${mine.length} crashes, ${events} events acknowledged, none lost; ` +
    `slowest start ${slowest('readyMs')} ms, slowest agreement ${slowest('equalMs')} ms`
  )
}

/** An owner A, a contributor B that follows it, and newcomers that clone. */
class Crashes {
  readonly #random: Random
  readonly #world: World
  readonly #a: TestNode
  readonly #b: TestNode
  /** Files by name, of everything accepted and acknowledged. */
  readonly #accepted: Record<string, Uint8Array> = {}
  /** The same of what B proposed. */
  readonly #proposed: Record<string, Uint8Array> = {}
  /** Events that a node said it has stored. */
  readonly #acknowledged = new Map<TestNode, Set<string>>()
  /** API keys by user of A. */
  readonly #keys = new Map<string, string>()
  #batches = 0

  private constructor(random: Random, world: World) {
    this.#random = random
    this.#world = world
    this.#a = world.node('A')
    this.#b = world.node('B')
  }

  static async create(random: Random): Promise<Crashes> {
    const crashes = new Crashes(random, await World.create())
    const [a, b] = [crashes.#a, crashes.#b]
    await Promise.all([a.start(), b.start()])
    const { root } = await a.api.createDataset({ name: 'cells' })
    await b.api.clone({ ref: root, peers: [a.address] })
    await a.api.addSchema('cells', { name: 'schema-any', document: '{}', accept: true })
    await crashes.#addBatch(a, true)
    return crashes
  }

  close(): Promise<void> {
    return this.#world.close()
  }

  async round(kind: Kind): Promise<Round> {
    const round = { kind, killedAfterMs: 0, acknowledged: 0, readyMs: 0, equalMs: 0 }
    const before = this.#countAcknowledged()
    const run = { add: this.#add, follow: this.#follow, clone: this.#clone, serve: this.#serve }[
      kind
    ]
    await run.call(this, round)
    round.acknowledged = this.#countAcknowledged() - before
    await this.#check(this.#a)
    return round
  }

  /** A dies while it adds. */
  async #add(round: Round): Promise<void> {
    await this.#killWhile(round, this.#a, () => this.#addBatch(this.#a, true))
    await this.#startAgain(round, this.#a, this.#b)
    await this.#agree(round, this.#b)
  }

  /** B dies while it follows what A adds, and proposes something itself. */
  async #follow(round: Round): Promise<void> {
    const adding = { goesOn: true }
    const atA = (async () => {
      while (adding.goesOn) await this.#addBatch(this.#a, true)
    })()
    await this.#killWhile(round, this.#b, () => this.#addBatch(this.#b, false))
    adding.goesOn = false
    await atA
    await this.#startAgain(round, this.#b, this.#a)
    await this.#agree(round, this.#b)
    await this.#acceptAll()
    await this.#agree(round, this.#b)
  }

  /** A newcomer dies while it clones. */
  async #clone(round: Round): Promise<void> {
    const c = this.#world.node('C')
    await c.start()
    const request = { ref: (await this.#a.api.root('cells')).root, peers: [this.#a.address] }
    await this.#killWhile(round, c, async () => {
      await c.api.clone(request)
      await until('never', () => c.daemon.hasEnded)
    })
    await this.#startAgain(round, c)
    // Killed before it had entered the dataset, it knows of none.
    if ((await c.api.listDatasets()).length === 0) await c.api.clone(request)
    await this.#agree(round, c)
    expect(await c.api.verify('cells')).toMatchObject({ ok: true, problems: [] })
    await c.daemon.kill()
    await rm(c.home, { recursive: true })
  }

  /** A dies while users of it upload and annotate, and it decides on that. */
  async #serve(round: Round): Promise<void> {
    await this.#killWhile(round, this.#a, () => this.#serveUser())
    await this.#startAgain(round, this.#a, this.#b)
    for (const [name, apiKey] of this.#keys) {
      const api = createClient({ url: this.#a.daemon.ready.url, apiKey })
      expect(await api.me()).toMatchObject({ name, role: 'member' })
    }
    await this.#agree(round, this.#b)
  }

  // -------------------------------------------------------------- parts of a round

  /** Does `work` again and again, and kills the node at some moment. */
  async #killWhile(round: Round, node: TestNode, work: () => Promise<void>): Promise<void> {
    round.killedAfterMs = 1 + this.#random.integer(KILL_WITHIN_MS[round.kind])
    const { daemon } = node
    const working = (async () => {
      while (!daemon.hasEnded) await work()
    })().catch((error: unknown) => {
      if (!daemon.child.killed) throw error
    })
    await pause(round.killedAfterMs)
    await daemon.kill()
    await working
  }

  async #startAgain(round: Round, node: TestNode, ...peers: TestNode[]): Promise<void> {
    const startedMs = Date.now()
    await node.start(peers.flatMap((peer) => ['--peer', peer.address]))
    round.readyMs = Date.now() - startedMs
    expect(node.daemon.complaints()).toEqual([])
  }

  async #agree(round: Round, node: TestNode): Promise<void> {
    const startedMs = Date.now()
    const state = async ({ api }: TestNode) => (await api.root('cells')).root
    await until(
      `${node.name} has the root of A`,
      async () => {
        if ((await state(node)) !== (await state(this.#a))) return false
        return (await node.api.showDataset('cells')).sync.missingFiles === 0
      },
      SYNC_WITHIN_MS,
    )
    round.equalMs += Date.now() - startedMs
  }

  /** A few files, most of them small, added by name in one go. */
  async #addBatch(node: TestNode, accept: boolean): Promise<void> {
    const batch = `${node.name}-${this.#batches++}`
    const files: Record<string, Uint8Array> = {}
    for (let i = 0; i < 1 + this.#random.integer(6); i++) {
      const isLarge = this.#random.integer(12) === 0
      const size = this.#random.integer(isLarge ? 3_000_000 : 20_000)
      files[`${batch}/${i}`] = bytesOf(`${seed} ${batch} ${i}`, size)
    }
    const dir = await writeFiles(join(this.#world.dir, 'files', batch), files)
    const { events } = await node.api.add('cells', { paths: [dir], accept })
    this.#acknowledge(node, events)
    Object.assign(accept ? this.#accepted : this.#proposed, files)
  }

  /** All that one new user does: each step is acknowledged before the next one. */
  async #serveUser(): Promise<void> {
    const { api, daemon } = this.#a
    const name = `user-${this.#batches++}`
    const { apiKey } = await api.addUser({ name })
    this.#keys.set(name, apiKey)
    const user = createClient({ url: daemon.ready.url, apiKey })
    const bytes = bytesOf(`${seed} ${name}`, this.#random.integer(300_000))
    const uploaded = await user.upload('cells', { name }, once(bytes))
    this.#acknowledge(this.#a, uploaded.events)
    const objects = uploaded.objects.map(({ version }) => version)
    const item = { objects, schema: 'schema-any', value: { name } }
    const annotated = await user.annotate('cells', { annotations: [item] })
    this.#acknowledge(this.#a, annotated.events)
    const items = [...uploaded.events, ...annotated.events].map((event) => ({ item: `${event}:0` }))
    const decided = await api.decide('cells', { decisions: [{ verdict: 'accept', items }] })
    this.#acknowledge(this.#a, decided.events)
    this.#accepted[name] = bytes
  }

  /** What B proposed and A has: A fetches it from B, whatever B lived through. */
  async #acceptAll(): Promise<void> {
    const proposed = this.#acknowledged.get(this.#b) ?? new Set()
    await until('A has every proposal of B', async () => {
      const ids = await eventsOf(this.#a.api)
      return [...proposed].every((id) => ids.has(id))
    })
    const { events } = await this.#a.api.review('cells', { verdict: 'accept', all: {} })
    this.#acknowledge(this.#a, events)
    Object.assign(this.#accepted, this.#proposed)
  }

  #acknowledge(node: TestNode, events: readonly string[]): void {
    const known = this.#acknowledged.get(node) ?? new Set()
    this.#acknowledged.set(node, known)
    for (const id of events) known.add(id)
  }

  #countAcknowledged(): number {
    return [...this.#acknowledged.values()].reduce((sum, { size }) => sum + size, 0)
  }

  /** Everything acknowledged is in the logs and on the disks of both. */
  async #check(a: TestNode): Promise<void> {
    for (const node of [a, this.#b]) {
      const ids = await eventsOf(node.api)
      const lost = [...(this.#acknowledged.get(node) ?? [])].filter((id) => !ids.has(id))
      expect(lost).toEqual([])
      expect(await node.api.verify('cells')).toMatchObject({ ok: true, problems: [] })
    }
    const out = join(this.#world.dir, 'out')
    await a.api.checkout('cells', out)
    const found = await digestsOf(out)
    const dir = await writeFiles(join(this.#world.dir, 'expected'), this.#accepted)
    expect(found).toMatchObject(await digestsOf(dir))
    await rm(out, { recursive: true })
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

async function eventsOf(api: NodeApi): Promise<Set<string>> {
  const ids = new Set<string>()
  for await (const { event } of api.log('cells')) ids.add(event)
  return ids
}
