// Damaged homes of real nodes: what is damaged is noticed, set aside and never served, and comes from peers
// again; other datasets go on. GONK_SEED: the seed of an earlier run; GONK_FLIPS: homes to damage at random.
import { cp, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { RepairResult } from '../../src/contract/api.ts'
import { datasetPrefix, rangeOf, type Table } from '../../src/log/keys.ts'
import { put } from '../../src/log/database.ts'
import { randomFrom } from '../crash/random.ts'
import { type TestNode, until, World } from '../node/daemon.ts'
import { manyFiles, writeFiles } from '../node/folders.ts'
import { blockFiles, damageEvents, databaseFiles, flipBits, inDatabase } from './damage.ts'

const seed = Number(process.env['GONK_SEED'] ?? Date.now() % 1_000_000)
const flips = Number(process.env['GONK_FLIPS'] ?? 2)
const random = randomFrom(seed)

let world: World
let a: TestNode
/** A home that follows A's datasets, with a proposal of its own in one; stopped. Copies are damaged. */
let sound: TestNode
const roots: Record<string, string> = {}
let copies = 0

beforeAll(async () => {
  process.stdout.write(`GONK_SEED=${seed} GONK_FLIPS=${flips}\n`)
  world = await World.create()
  a = world.node('A')
  sound = world.node('sound')
  await Promise.all([a.start(), sound.start()])
  for (const name of ['cells', 'other']) {
    await a.api.createDataset({ name })
    for (let i = 0; i < 6; i++) {
      const dir = await writeFiles(
        join(world.dir, name, String(i)),
        manyFiles(`${name}${i}`, 4, 900),
      )
      await a.api.add(name, { paths: [dir], accept: true })
    }
    const large = await writeFiles(
      join(world.dir, name, 'large'),
      manyFiles(`big-${name}`, 1, 2_500_000),
    )
    await a.api.add(name, { paths: [large], accept: true })
    const { root } = await a.api.root(name)
    await sound.api.clone({ ref: root, peers: [a.address] })
    roots[name] = root
  }
  const own = await writeFiles(join(world.dir, 'own'), { mine: 'proposed by B' })
  const { events } = await sound.api.add('cells', { paths: [own] })
  await until('A has the proposal', async () => await a.api.show('cells', events[0] as string))
  await sound.daemon.stop()
}, 60_000)

afterAll(() => world.close())

/** A home like the sound one, and damaged. */
async function damaged(damage: (home: string) => Promise<unknown>): Promise<TestNode> {
  const node = world.node(`copy-${copies++}`)
  await cp(sound.home, node.home, { recursive: true })
  await damage(node.home)
  onTestFinished(() => node.end())
  return node
}

const startWithPeer = (node: TestNode) => node.start(['--peer', a.address])

async function expectWhole(node: TestNode, ...names: string[]): Promise<void> {
  for (const name of names) {
    expect(await node.api.verify(name), name).toMatchObject({ ok: true, problems: [] })
    expect((await node.api.root(name)).root).toBe(roots[name])
  }
}

/** Fetching goes on in the background. */
async function untilWhole(node: TestNode, ref: string, name = ref): Promise<void> {
  await until(`${name} is whole`, async () => (await node.api.verify(ref)).ok)
  await until(`${name} is as it was`, async () => (await node.api.root(ref)).root === roots[name])
}

describe('T48: event blocks that were damaged', { timeout: 60_000 }, () => {
  it('are noticed by verify, set aside, and fetched from a peer by their ids', async () => {
    const b = await damaged((home) => damageEvents(home, (_, index) => index % 3 === 0))
    await startWithPeer(b)
    const { ok, problems } = await b.api.verify('cells')
    expect(ok).toBe(false)
    expect(problems.join()).toContain('is missing or damaged')
    await untilWhole(b, 'cells')
    await b.api.verify('other')
    await untilWhole(b, 'other')
    expect(b.daemon.written()).toContain('damaged events are set aside')
    expect(b.daemon.written()).toContain('damaged events are whole again')
  })

  it('are not served to others, who get them elsewhere', async () => {
    const b = await damaged((home) => damageEvents(home, () => true))
    await b.start()
    const c = world.node('C')
    await c.start()
    onTestFinished(() => c.daemon.kill())
    // B alone has nothing that is right.
    const request = { ref: roots['cells'] as string, peers: [b.address] }
    await expect(c.api.clone(request)).rejects.toMatchObject({ name: 'GonkError' })
    await c.api.clone({ ...request, peers: [b.address, a.address] })
    await expectWhole(c, 'cells')
  })

  it('come back while the daemon is stopped, by repair', async () => {
    const b = await damaged((home) => damageEvents(home, (_, index) => index % 2 === 0))
    const [cells, other] = await b.json<(RepairResult & { name: string })[]>('repair')
    expect(cells).toMatchObject({ name: 'cells', missingEvents: 0, root: roots['cells'] })
    expect(other).toMatchObject({ name: 'other', missingEvents: 0, root: roots['other'] })
    await b.start()
    await expectWhole(b, 'cells', 'other')
    const pending = await b.api.listProposals('cells', { status: 'pending' })
    expect(pending.proposals).toHaveLength(1)
  })

  it('are kept out while no peer is there, and said to be missing', async () => {
    const b = await damaged((home) => damageEvents(home, (_, index) => index === 5))
    const catalog = await a.daemon.stop()
    expect(catalog).toBe(0)
    const { status, stdout } = await b.run('repair')
    await a.start()
    expect(status).toBe(1)
    const results = JSON.parse(stdout) as RepairResult[]
    expect(results.reduce((sum, { missingEvents }) => sum + missingEvents, 0)).toBe(1)
    await startWithPeer(b)
    await untilWhole(b, 'cells')
    await untilWhole(b, 'other')
  })
})

describe('T48: what follows from events and was damaged', { timeout: 60_000 }, () => {
  /** Moves the first row of each table to another key. */
  const moveRows = (tables: readonly Table[]) => (home: string) =>
    inDatabase(home, async (db) => {
      for (const table of tables) {
        const range = rangeOf(datasetPrefix(table, 1))
        const [row] = await db.iterator({ ...range, limit: 1 }).all()
        const [key, value] = row as [Uint8Array, Uint8Array]
        const other = Uint8Array.from(key)
        other[other.length - 1] = (other.at(-1) as number) ^ 1
        await db.batch([put(other, value), { type: 'del', key }])
      }
    })

  it('is noticed by verify, table by table, and made again by repair', async () => {
    const tables: Table[] = ['reviews', 'objects', 'names', 'owned', 'contents', 'accepted']
    const b = await damaged(moveRows(tables))
    await startWithPeer(b)
    const { problems } = await b.api.verify('cells')
    for (const table of tables) expect(problems.join('\n')).toContain(` of ${table} are not`)
    await expectWhole(b, 'other')
    expect(await b.api.repair('cells')).toMatchObject({ missingEvents: 0, root: roots['cells'] })
    await expectWhole(b, 'cells')
  })

  it('is noticed in rows that others follow from', async () => {
    const b = await damaged(moveRows(['headers']))
    await startWithPeer(b)
    const { ok } = await b.api.verify('cells').catch(() => ({ ok: false }))
    expect(ok).toBe(false)
    expect(await b.api.repair('cells')).toMatchObject({ missingEvents: 0, root: roots['cells'] })
    await expectWhole(b, 'cells')
  })

  it('is made again at the start where it cannot even be read', async () => {
    const row = Buffer.concat([datasetPrefix('meta', 1), Buffer.from('authority')])
    const b = await damaged((home) =>
      inDatabase(home, (db) => db.batch([put(row, Buffer.from('no row'))])),
    )
    await startWithPeer(b)
    await expectWhole(b, 'cells', 'other')
    expect(b.daemon.written()).toContain('all rows were made again')
  })
})

describe('T48: content that was damaged', { timeout: 60_000 }, () => {
  it('is named by verify and fetched again in the background', async () => {
    const b = await damaged(async (home) => {
      for (const file of (await blockFiles(home)).filter((_, i) => i % 2 === 0)) {
        await flipBits(file, random)
      }
    })
    await startWithPeer(b)
    const { ok, problems } = await b.api.verify('cells')
    expect(ok).toBe(false)
    expect(problems.every((line) => line.includes('is missing or damaged'))).toBe(true)
    await untilWhole(b, 'cells')
  })
})

describe('T48: a database that LevelDB cannot open', { timeout: 60_000 }, () => {
  it('is put together again by repair, and the message says so', async () => {
    const b = await damaged(async (home) => {
      for (const file of await databaseFiles(home, /^MANIFEST/)) await writeFile(file, 'garbage')
      await truncate(join(home, 'log', 'CURRENT'))
    })
    const { status, stdout, stderr } = await b.run('status')
    expect(status).toBe(1)
    expect(stdout + stderr).toContain('gonk-node repair')
    await b.json('repair')
    await startWithPeer(b)
    await expectWhole(b, 'cells', 'other')
  })
})

describe('T48: bits flipped anywhere in the files of the database', { timeout: 60_000 }, () => {
  it.each(Array.from({ length: flips }, (_, i) => i))('are made good: home %i', async (i) => {
    let where = ''
    const b = await damaged(async (home) => {
      const files = await databaseFiles(home, /\.(ldb|log)$|^MANIFEST|^CURRENT$/)
      // The largest first: that is where most of it is.
      const file = files[i % 2 === 0 ? 0 : random.integer(files.length)] as string
      where = `${file} at ${await flipBits(file, random, { bits: 30, windowBytes: 2_000 })}`
    })
    process.stdout.write(`home ${i}: ${where}\n`)
    const { status, stdout, stderr } = await b.run('repair')
    expect(status, stdout + stderr).toBe(0)
    await startWithPeer(b)
    for (const [name, root] of Object.entries(roots)) {
      // The writes that were lost may be those that named it, or that ended its clone, or all of it.
      const cloned = await b.api.clone({ ref: root, peers: [a.address], name }).catch(() => {})
      const { id } = cloned ?? (await a.api.showDataset(name))
      await untilWhole(b, id, name)
    }
  })
})
