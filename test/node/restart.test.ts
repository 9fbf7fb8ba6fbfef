// What a home is after its process was stopped at a bad moment.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { DatasetInfo } from '../../src/api/types.ts'
import type { DatasetId } from '../../src/core/ids.ts'
import { Catalog } from '../../src/log/catalog.ts'
import { openDatabase } from '../../src/log/database.ts'
import { aWorld } from './daemon.ts'

it('a dataset whose making was cut off leaves nothing behind, not even its name', async () => {
  const a = (await aWorld()).node('A')
  await a.json('init')
  const db = await openDatabase(join(a.home, 'log'))
  const catalog = await Catalog.open(db)
  await catalog.create('ab'.repeat(32) as DatasetId, { name: 'cells' })
  await db.close()
  const { id } = await a.json<DatasetInfo>('dataset', 'create', 'cells')
  expect(await a.json('dataset', 'list')).toMatchObject([{ id, name: 'cells' }])
})
