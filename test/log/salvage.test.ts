// What is put back after a loss takes the place of nothing that is still to go.
import { expect, test } from 'vitest'
import { nodeCrypto } from '../../src/crypto.ts'
import { Catalog } from '../../src/log/catalog.ts'
import { checkFormat, del, put } from '../../src/log/database.ts'
import { datasetKeys, hex, homeKey } from '../../src/log/keys.ts'
import { decodeRow, encodeRow } from '../../src/log/rows.ts'
import { DOUBTED, restoreCatalog } from '../../src/log/salvage.ts'
import { FaultyDatabase } from '../replica/faulty-database.ts'
import { F, genesisBy } from '../replica/subject.ts'

const { sha256 } = nodeCrypto()
const genesis = genesisBy(F)

test.each([true, false])(
  'a dataset that is found again is still doubted at the next start (home row lost: %s)',
  async (isLost) => {
    const { db } = new FaultyDatabase().open()
    await checkFormat(db)
    const catalog = await Catalog.open(db)
    const { ordinal } = await catalog.create(genesis.id, { name: 'cells' })
    const rows = catalog.logOf(catalog.list()[0]!)
    await db.batch(rows.putEvent(genesis, 0, sha256))
    // As a repair leaves it that was cut off, and then the catalog is lost.
    await catalog.reserve()
    await db.batch([del(homeKey('datasets', hex(genesis.id)))])
    if (isLost) await db.batch([del(homeKey('home'))])
    await restoreCatalog(db, sha256)
    const again = await Catalog.open(db)
    const [found] = again.list()
    expect(found?.id).toBe(genesis.id)
    expect(found?.ordinal).toBeGreaterThan(ordinal)
    expect(await again.logOf(found!).meta(DOUBTED)).toBe(true)
  },
)

test('what is being forgotten does not come back', async () => {
  const { db } = new FaultyDatabase().open()
  await checkFormat(db)
  const catalog = await Catalog.open(db)
  const entry = await catalog.create(genesis.id, { name: 'cells' })
  await db.batch(catalog.logOf(entry).putEvent(genesis, 0, sha256))
  const cutOff = async () => Promise.reject(new Error('the process has ended'))
  await catalog.remove(genesis.id, cutOff).catch(() => {})
  expect(await restoreCatalog(db, sha256)).toEqual({ found: [] })
  await Catalog.open(db)
  expect(await restoreCatalog(db, sha256)).toEqual({ found: [] })
})

test('a home of another format is left as it is', async () => {
  const { db } = new FaultyDatabase().open()
  const row = encodeRow({ format: 99, nextOrdinal: 7 })
  await db.batch([put(homeKey('home'), row), put(datasetKeys(3)('arrivals', 'x'))])
  await expect(restoreCatalog(db, sha256)).rejects.toMatchObject({ code: 'HOME_FORMAT' })
  expect(decodeRow((await db.get(homeKey('home')))!)).toEqual({ format: 99, nextOrdinal: 7 })
})
