// Datasets come and go: what a crash or a second command at the same moment may not break.
import { describe, expect, test } from 'vitest'
import { nodeCrypto } from '../../src/crypto.ts'
import { Catalog } from '../../src/log/catalog.ts'
import { checkFormat } from '../../src/log/database.ts'
import { HeldFiles } from '../../src/log/held-files.ts'
import { NodeBlocks } from '../../src/log/node-blocks.ts'
import { Replica } from '../../src/replica/replica.ts'
import { silentLogger, steppingClock } from '../api/make-node.ts'
import { file } from '../makers.ts'
import { type Fault, FaultyDatabase } from '../replica/faulty-database.ts'
import { createOf, F, genesisBy, ownerEventBy, proposalBy, reviewOf } from '../replica/subject.ts'

const genesis = genesisBy(F)
const { id } = genesis
const proposal = proposalBy(F, id, createOf(file('a')))
const review = ownerEventBy(F, id, reviewOf('accept', proposal), [genesis])
const blocks = [genesis, proposal, review].map(({ block }) => block)

async function opened(disk: FaultyDatabase) {
  disk.heal()
  const { db } = disk.open()
  await checkFormat(db)
  const catalog = await Catalog.open(db)
  const take = async () => {
    const entry = catalog.get(id) ?? (await catalog.create(id, { name: 'cells' }))
    const parts = { db, nodes: new NodeBlocks(db), held: new HeldFiles(db) }
    const more = { crypto: nodeCrypto(), clock: steppingClock(), logger: silentLogger }
    const replica = await Replica.open({ ...parts, ...more, log: catalog.logOf(entry) })
    await replica.submit(blocks)
    return replica
  }
  return { db, catalog, take }
}

async function keysIn(disk: FaultyDatabase): Promise<number> {
  let count = 0
  for await (const _ of disk.disk.keys()) count++
  return count
}

describe('a dataset that is forgotten', () => {
  const cases = [1, 2, 3, 4, 10, 25].flatMap((write) =>
    (['refused', 'lost', 'last'] as Fault[]).map((fault) => ({ write, fault })),
  )

  test.each(cases)(
    'can be had again when write $write of it was $fault',
    async ({ write, fault }) => {
      const disk = new FaultyDatabase()
      const first = await opened(disk)
      const { root } = await (await first.take()).snapshot()
      disk.failIn(write, fault)
      await first.catalog.remove(id).catch(() => {})
      const second = await opened(disk)
      const replica = await second.take()
      expect((await replica.snapshot()).root.toString()).toBe(root.toString())
      await second.catalog.remove(id)
      expect((await opened(disk)).catalog.list()).toEqual([])
    },
  )

  test('leaves nothing but nodes, which the collector takes', async () => {
    const disk = new FaultyDatabase()
    const { catalog, take } = await opened(disk)
    const before = await keysIn(disk)
    await take()
    await catalog.remove(id)
    expect(await keysIn(disk)).toBe(before)
  })

  test('is not written again by whatever still goes on with it', async () => {
    const disk = new FaultyDatabase()
    const { catalog, take } = await opened(disk)
    await take()
    await catalog.remove(id)
    await expect(catalog.update(id, { name: 'again' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect((await opened(disk)).catalog.list()).toEqual([])
  })

  test('and had again at once is whole', async () => {
    const disk = new FaultyDatabase()
    const { catalog, take } = await opened(disk)
    await take()
    let isClosed = false
    const removed = catalog.remove(id, async () => {
      await new Promise(setImmediate)
      isClosed = true
    })
    const entry = await catalog.create(id, { name: 'again' })
    expect(isClosed).toBe(true)
    await removed
    expect(catalog.get(id)).toBe(entry)
    expect((await (await take()).snapshot()).counts.events).toBe(3)
  })
})

describe('two commands at the same moment', () => {
  test('do not make the same dataset twice', async () => {
    const { catalog } = await opened(new FaultyDatabase())
    const both = await Promise.allSettled([
      catalog.create(id, { name: 'one' }),
      catalog.create(id, { name: 'two' }),
    ])
    expect(both).toMatchObject([{ status: 'fulfilled' }, { reason: { code: 'EXISTS' } }])
    expect(catalog.list()).toMatchObject([{ name: 'one' }])
  })

  test('do not undo each other', async () => {
    const disk = new FaultyDatabase()
    const { catalog } = await opened(disk)
    await catalog.create(id, { name: 'one', cloning: { peers: [] } })
    await Promise.all([
      catalog.update(id, { cloning: undefined }),
      catalog.update(id, { name: 'two' }),
    ])
    const { catalog: again } = await opened(disk)
    expect(again.get(id)).toEqual({ id, name: 'two', ordinal: 1 })
  })
})
