// What a home is after its process was stopped at a bad moment.
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import type { DatasetInfo } from '../../src/contract/api.ts'
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

it('a daemon does not wait for a connection on which nobody asks anything', async () => {
  const a = (await aWorld()).node('A')
  await a.start()
  const { hostname, port } = new URL(a.daemon.ready.url)
  const socket = connect(Number(port), hostname)
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  await a.api.status()
  const startedMs = Date.now()
  expect(await a.daemon.stop()).toBe(0)
  expect(Date.now() - startedMs).toBeLessThan(20_000)
})
