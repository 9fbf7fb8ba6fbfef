// A home that an earlier version wrote, with events of which that version knew no more than that they are
// there: once a version knows them, the state is that of a node that always knew them.
import { expect, test } from 'vitest'
import type { DatasetId } from '../../src/core/ids.ts'
import { nodeCrypto } from '../../src/crypto.ts'
import { Catalog } from '../../src/log/catalog.ts'
import { type Database, DATABASE_FORMAT } from '../../src/log/database.ts'
import { HeldFiles } from '../../src/log/held-files.ts'
import {
  datasetPrefix,
  homeKey,
  rangeOf,
  sealedOrdinal,
  type Table,
  tables,
} from '../../src/log/keys.ts'
import { NodeBlocks } from '../../src/log/node-blocks.ts'
import { encodeRow } from '../../src/log/rows.ts'
import { openWhole } from '../../src/replica/repair.ts'
import type { Replica } from '../../src/replica/replica.ts'
import { silentLogger, steppingClock } from '../api/make-node.ts'
import { file } from '../makers.ts'
import { FaultyDatabase } from './faulty-database.ts'
import {
  A,
  createOf,
  F,
  genesisBy,
  ownerEventBy,
  proposalBy,
  reviewOf,
  stranger,
} from './subject.ts'

const genesis = genesisBy(F)

async function opened(db: Database, catalog: Catalog): Promise<Replica> {
  const entry = catalog.get(genesis.id) ?? (await catalog.create(genesis.id, { name: 'cells' }))
  const needs = {
    db,
    catalog,
    nodes: new NodeBlocks(db),
    held: new HeldFiles(db),
    crypto: nodeCrypto(),
    clock: steppingClock(),
    logger: silentLogger,
  }
  return openWhole(needs, entry, new Set<DatasetId>())
}

/** What a version leaves out that does not know votes for checkpoints. */
async function forgetCheckpoints(db: Database, ordinal: number): Promise<void> {
  const gone: Table[] = ['checkpoints', 'votes']
  for (const table of gone) await db.clear(rangeOf(datasetPrefix(table, ordinal)))
  for (const table of Object.keys(tables) as Table[]) {
    await db.clear(rangeOf(datasetPrefix(table, sealedOrdinal(ordinal))))
  }
  const meta = datasetPrefix('meta', ordinal)
  for await (const key of db.keys(rangeOf(meta))) {
    if (/rules|settled|anew|chain/i.test(Buffer.from(key).toString('latin1'))) await db.del(key)
  }
}

test('T51: what an earlier version only kept takes effect once it is known', async () => {
  const { disk: db } = new FaultyDatabase()
  await db.put(homeKey('home'), encodeRow({ format: DATABASE_FORMAT, nextOrdinal: 1 }))
  const catalog = await Catalog.open(db)
  const replica = await opened(db, catalog)
  await replica.submit([genesis.block])
  const known = await replica.propose(stranger, [createOf(file('known'))])
  await replica.act(F, reviewOf('accept', known))
  const add = await replica.act(F, { kind: 'add', key: A.publicKey })
  const checkpoint = await replica.checkpointDraft()
  await replica.act(F, { kind: 'cp', checkpoint })
  expect(await replica.checkpoints()).toMatchObject([{ status: 'final' }])

  // Settled is that F and A own it, so a removal of A that F dates back strikes nothing of what A did before.
  const late = proposalBy(stranger, genesis.id, createOf(file('late')))
  const back = ownerEventBy(F, genesis.id, { kind: 'remove', key: A.publicKey }, [add])
  await replica.submit([late.block, back.block])
  const { root } = await replica.snapshot()
  await replica.close()

  await forgetCheckpoints(db, catalog.get(genesis.id)?.ordinal as number)
  const again = await opened(db, await Catalog.open(db))
  expect(await again.checkpoints()).toMatchObject([{ status: 'final' }])
  expect((await again.snapshot()).root.toString()).toBe(root.toString())
  await again.close()

  // And once is enough.
  const { ordinal } = (await Catalog.open(db)).get(genesis.id) ?? {}
  const third = await opened(db, await Catalog.open(db))
  expect((await Catalog.open(db)).get(genesis.id)?.ordinal).toBe(ordinal)
  await third.close()
})
