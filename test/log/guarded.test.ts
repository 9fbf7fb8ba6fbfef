// A database whose disk fails: what was acknowledged is there, and failures have codes.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Database, openDatabase, put, repairDatabase } from '../../src/log/database.ts'
import { guarded } from '../../src/log/guarded.ts'

const ioError = () => Object.assign(new Error('no space left'), { code: 'LEVEL_IO_ERROR' })
const key = (text: string) => Buffer.from(text)

let dir: string
let open: Database[]

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'guarded-'))
  open = []
})

afterEach(async () => {
  for (const db of open) await db.close()
  await rm(dir, { recursive: true, force: true })
})

async function opened(): Promise<Database> {
  const db = await openDatabase(join(dir, 'log'))
  open.push(db)
  return db
}

/** The database, of which each write waits until it is told how it ends. */
function slow(db: Database) {
  const begun: ((outcome: 'written' | 'failed') => void)[] = []
  const level = new Proxy(db, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target)
      if (name === 'batch') {
        return () =>
          new Promise<void>((resolve, reject) => {
            begun.push((outcome) => (outcome === 'written' ? resolve() : reject(ioError())))
          })
      }
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  return { level, begun }
}

describe('a database whose disk fails', () => {
  it('writes nothing behind a write that fails, also where both were under way', async () => {
    const { level, begun } = slow(await opened())
    const db = guarded(level, join(dir, 'log'), 0)
    const first = db.batch([put(key('a'))])
    const second = db.batch([put(key('b'))])
    const outcome = first.catch((error: { code: string }) => error.code)
    await db.get(key('nothing'))
    expect(begun).toHaveLength(1)
    begun[0]?.('failed')
    expect(await outcome).toBe('DISK')
    const secondIs = await Promise.race([second.then(() => 'written'), db.health?.heal()])
    expect(secondIs).toBeUndefined()
    expect(db.health?.openings).toBe(1)
    while (begun.length < 2) await db.get(key('nothing'))
    begun[1]?.('written')
    await second
  })

  it('gives what is read of it a code while it is closed', async () => {
    const db = await opened()
    await db.close()
    const disk = expect.objectContaining({ code: 'DISK' }) as Error
    expect(() => db.iterator()).toThrow(disk)
    expect(() => db.keys()).toThrow(disk)
    expect(() => db.snapshot()).toThrow(disk)
    await expect(db.get(key('a'))).rejects.toThrow(disk)
  })
})

describe('a repair of the database', () => {
  it('leaves alone what somebody has open', async () => {
    const db = await opened()
    await db.batch([put(key('a'))], { sync: true } as object)
    await expect(repairDatabase(join(dir, 'log'))).rejects.toMatchObject({ code: 'HOME_BUSY' })
    await db.batch([put(key('b'))], { sync: true } as object)
    await db.close()
    expect(await (await opened()).hasMany([key('a'), key('b')])).toEqual([true, true])
  })
})
