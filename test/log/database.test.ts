// What LevelDB would begin anew over, and this does not.
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openDatabase, repairDatabase } from '../../src/log/database.ts'

let dir = ''
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gonk-database-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

test('a database that lost its beginning is not begun anew, and repair finds what is left', async () => {
  const path = join(dir, 'log')
  const [key, value] = [Uint8Array.of(1), Uint8Array.of(2)]
  const db = await openDatabase(path)
  await db.put(key, value)
  await db.close()
  // What is in the log of the first time is a table from now on.
  await (await openDatabase(path)).close()
  expect((await readdir(path)).some((name) => name.endsWith('.ldb'))).toBe(true)

  await rm(join(path, 'CURRENT'))
  await rm(`${path}.format`)
  await expect(openDatabase(path)).rejects.toMatchObject({ code: 'HOME_DAMAGED' })
  await repairDatabase(path)
  const again = await openDatabase(path)
  expect(await again.get(key)).toEqual(Buffer.from(value))
  await again.close()
})
