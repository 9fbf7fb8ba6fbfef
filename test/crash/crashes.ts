// An owner A, a contributor B that follows it, and newcomers that clone: what each of them does while it
// is killed, and what must be there afterwards.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import type { NodeApi } from '../../src/contract/api.ts'
import { type TestNode, until, World } from '../node/daemon.ts'
import { bytesOf, digestsOf, writeFiles } from '../node/folders.ts'
import type { Random } from './random.ts'

export const kinds = [
  'start',
  'add',
  'review',
  'follow',
  'clone',
  'gc',
  'release',
  'backup',
  'serve',
] as const
export type Kind = (typeof kinds)[number]

export interface Kill {
  readonly kind: Kind
  readonly killedAfterMs: number
  /** Events that were acknowledged before it. */
  readonly acknowledged: number
  /** Of them, those that are gone. */
  readonly lost: readonly string[]
  readonly readyMs: number
}

/** Times of life from which the moment is drawn; a third of the kills come in the first tenth. */
const KILL_WITHIN_MS = {
  start: 900,
  add: 700,
  review: 700,
  follow: 700,
  clone: 700,
  gc: 500,
  release: 500,
  backup: 500,
  serve: 700,
} as const
const SYNC_WITHIN_MS = 60_000

export class Crashes {
  readonly #random: Random
  readonly #world: World
  readonly #a: TestNode
  readonly #b: TestNode
  /** Files by name, of everything accepted and acknowledged. */
  readonly #accepted: Record<string, Uint8Array> = {}
  /** Events that a node said it has stored; those not looked for since. */
  #fresh = new Map<TestNode, string[]>()
  /** All of them. */
  readonly #acknowledged = new Map<TestNode, Set<string>>()
  /** API keys by user of A. */
  readonly #keys = new Map<string, string>()
  #count = 0

  private constructor(random: Random, world: World) {
    this.#random = random
    this.#world = world
    this.#a = world.node('A')
    this.#b = world.node('B')
  }

  static async create(random: Random, program: string): Promise<Crashes> {
    const crashes = new Crashes(random, await World.create(program))
    const [a, b] = [crashes.#a, crashes.#b]
    await Promise.all([a.start(), b.start()])
    const { root } = await a.api.createDataset({ name: 'cells' })
    await b.api.clone({ ref: root, peers: [a.address] })
    await a.api.addSchema('cells', { name: 'schema-any', document: '{}', accept: true })
    await crashes.#add()
    return crashes
  }

  close(): Promise<void> {
    return this.#world.close()
  }

  /** How both nodes are, and what they wrote last: for whoever looks into a failure. */
  describe(): string {
    return [this.#a, this.#b]
      .map(({ name, daemon }) => {
        const { exitCode, signalCode } = daemon.child
        const end = daemon.hasEnded ? `ended: ${exitCode ?? signalCode}` : 'running'
        return `${name} ${end}\n${daemon.written().slice(-4_000)}`
      })
      .join('\n')
  }

  /** Kills a node while it is at something, starts it again, and looks for what it acknowledged. */
  async kill(kind: Kind): Promise<Kill> {
    const within = KILL_WITHIN_MS[kind]
    const killedAfterMs = this.#random.integer(this.#random.integer(3) > 0 ? within : within / 10)
    const before = this.#countAcknowledged()
    const node = await this.#run(kind, killedAfterMs)
    const acknowledged = this.#countAcknowledged() - before
    const startedMs = Date.now()
    if (node.daemon.hasEnded) await node.start(['--peer', this.#peerOf(node).address])
    const readyMs = Date.now() - startedMs
    expect(node.daemon.complaints()).toEqual([])
    if (kind === 'clone') await this.#endClone(node)
    const lost = kind === 'clone' ? [] : await this.#lostBy(node)
    return { kind, killedAfterMs, acknowledged, lost, readyMs }
  }

  /** @returns the node that was killed. */
  async #run(kind: Kind, afterMs: number): Promise<TestNode> {
    const a = this.#a
    switch (kind) {
      case 'start': {
        await a.daemon.kill()
        await a.startAndKill(afterMs, ['--peer', this.#b.address])
        return a
      }
      case 'clone': {
        const c = this.#world.node(`C${this.#count++}`)
        await c.start()
        const request = { ref: (await a.api.root('cells')).root, peers: [a.address] }
        await this.#killWhile(c, afterMs, async () => {
          await c.api.clone(request)
          await until('never', () => c.daemon.hasEnded)
        })
        return c
      }
      case 'follow': {
        const adding = this.#whileAlive(this.#b, () => this.#add())
        await this.#killWhile(this.#b, afterMs, () => this.#propose(this.#b))
        await adding
        return this.#b
      }
      default: {
        const work = {
          add: () => this.#add(),
          review: () => this.#review(),
          gc: () => this.#collect(),
          release: () => this.#release(),
          backup: () => this.#backup(),
          serve: () => this.#serveUser(),
        }[kind]
        await this.#killWhile(a, afterMs, work)
        return a
      }
    }
  }

  #peerOf(node: TestNode): TestNode {
    return node === this.#a ? this.#b : this.#a
  }

  /** Does `work` again and again, and kills the node at some moment. */
  async #killWhile(node: TestNode, afterMs: number, work: () => Promise<void>): Promise<void> {
    const working = this.#whileAlive(node, work)
    await pause(afterMs)
    await node.daemon.kill()
    await working
  }

  async #whileAlive({ daemon }: TestNode, work: () => Promise<void>): Promise<void> {
    try {
      while (!daemon.hasEnded) await work()
    } catch (error) {
      if (!daemon.child.killed) throw error
    }
  }

  // -------------------------------------------------------------- what goes on when it is killed

  async #add(): Promise<void> {
    const files = this.#files('A')
    const dir = await this.#write(files)
    const { events } = await this.#a.api.add('cells', { paths: [dir], accept: true })
    this.#acknowledge(this.#a, events)
    Object.assign(this.#accepted, files)
  }

  async #propose(node: TestNode): Promise<void> {
    const dir = await this.#write(this.#files(node.name))
    const { events } = await node.api.add('cells', { paths: [dir] })
    this.#acknowledge(node, events)
  }

  /** Also what B proposed and A has, which comes from B. */
  async #review(): Promise<void> {
    await this.#propose(this.#a)
    const verdict = this.#random.integer(4) === 0 ? 'reject' : 'accept'
    const { events } = await this.#a.api.review('cells', { verdict, all: {} }).catch(notHere)
    this.#acknowledge(this.#a, events)
  }

  /** Something is proposed and turned down, so that there is something to collect. */
  async #collect(): Promise<void> {
    await this.#propose(this.#a)
    const { events } = await this.#a.api.review('cells', { verdict: 'reject', all: {} })
    this.#acknowledge(this.#a, events)
    await this.#a.api.gc()
  }

  async #release(): Promise<void> {
    const tag = `v${this.#count++}`
    const { event } = await this.#a.api.createRelease('cells', tag)
    this.#acknowledge(this.#a, [event])
  }

  /** Into one folder, which each makes newer. */
  async #backup(): Promise<void> {
    await this.#a.api.backup({ directory: this.#backupDir, keys: true })
    this.#acknowledge(this.#a, [])
  }

  get #backupDir(): string {
    return join(this.#world.dir, 'backup')
  }

  /** All that one new user does: each step is acknowledged before the next one. */
  async #serveUser(): Promise<void> {
    const { api, daemon } = this.#a
    const name = `user-${this.#count++}`
    const { apiKey } = await api.addUser({ name })
    this.#keys.set(name, apiKey)
    const user = createClient({ url: daemon.ready.url, apiKey })
    const bytes = bytesOf(name, this.#random.integer(300_000))
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

  /** A few files, most of them small. */
  #files(prefix: string): Record<string, Uint8Array> {
    const batch = `${prefix}-${this.#count++}`
    const files: Record<string, Uint8Array> = {}
    for (let i = 0; i < 1 + this.#random.integer(4); i++) {
      const isLarge = this.#random.integer(12) === 0
      files[`${batch}/${i}`] = bytesOf(
        `${batch} ${i}`,
        this.#random.integer(isLarge ? 2_000_000 : 20_000),
      )
    }
    return files
  }

  #write(files: Record<string, Uint8Array>): Promise<string> {
    return writeFiles(join(this.#world.dir, 'files', String(this.#count++)), files)
  }

  #acknowledge(node: TestNode, events: readonly string[]): void {
    const known = this.#acknowledged.get(node) ?? new Set()
    this.#acknowledged.set(node, known)
    for (const id of events) known.add(id)
    this.#fresh.set(node, [...(this.#fresh.get(node) ?? []), ...events])
  }

  #countAcknowledged(): number {
    return [...this.#acknowledged.values()].reduce((sum, { size }) => sum + size, 0)
  }

  // -------------------------------------------------------------- what must be there

  /** Those not looked for before. */
  async #lostBy(node: TestNode): Promise<string[]> {
    const ids = this.#fresh.get(node) ?? []
    this.#fresh.delete(node)
    const found = await Promise.all(
      ids.map((id) =>
        node.api.show('cells', id).then(
          () => true,
          () => false,
        ),
      ),
    )
    return ids.filter((_, i) => found[i] !== true)
  }

  /** A newcomer that was killed goes on, or begins again when it had not entered the dataset. */
  async #endClone(c: TestNode): Promise<void> {
    const { root } = await this.#a.api.root('cells')
    if ((await c.api.listDatasets()).length === 0) {
      await c.api.clone({ ref: root, peers: [this.#a.address] })
    }
    await this.#agree(c)
    expect(await c.api.verify('cells')).toMatchObject({ ok: true, problems: [] })
    await c.daemon.kill()
    await rm(c.home, { recursive: true })
  }

  async #agree(node: TestNode): Promise<void> {
    const state = async ({ api }: TestNode) => (await api.root('cells')).root
    await until(
      `${node.name} has the root of A`,
      async () => {
        if ((await state(node)) !== (await state(this.#a))) return false
        return (await node.api.showDataset('cells')).sync.missingFiles === 0
      },
      SYNC_WITHIN_MS,
    )
  }

  /** Everything that was ever acknowledged is in the logs and on the disks, and nothing is wrong with it. */
  async check(): Promise<void> {
    await this.#agree(this.#b)
    for (const node of [this.#a, this.#b]) {
      const ids = await eventsOf(node.api)
      expect([...(this.#acknowledged.get(node) ?? [])].filter((id) => !ids.has(id))).toEqual([])
      expect(await node.api.verify('cells')).toMatchObject({ ok: true, problems: [] })
    }
    for (const [name, apiKey] of this.#keys) {
      const api = createClient({ url: this.#a.daemon.ready.url, apiKey })
      expect(await api.me()).toMatchObject({ name, role: 'member' })
    }
    const out = join(this.#world.dir, 'out')
    await this.#a.api.checkout('cells', out)
    const dir = await writeFiles(join(this.#world.dir, 'expected'), this.#accepted)
    expect(await digestsOf(out)).toMatchObject(await digestsOf(dir))
    await rm(out, { recursive: true })
    await this.#checkBackup()
  }

  /** Whatever kills left of it, the next backup makes it good. */
  async #checkBackup(): Promise<void> {
    await this.#backup()
    const check = await this.#world.node('restored').run('restore', this.#backupDir, '--check')
    expect(check.status, check.stdout + check.stderr).toBe(0)
  }
}

/** What B proposed and has not sent yet cannot be accepted: nothing is signed then. */
function notHere(error: unknown): { events: string[] } {
  if ((error as { code?: string }).code === 'NOT_HERE') return { events: [] }
  throw error
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

async function eventsOf(api: NodeApi): Promise<Set<string>> {
  const ids = new Set<string>()
  for await (const { event } of api.log('cells')) ids.add(event)
  return ids
}
