// Damage to homes that no process has open, as failing disks do it: from a seed, so that it can be had
// again.
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { hexOf } from '../../src/core/ids.ts'
import { type Database, openDatabase, put } from '../../src/log/database.ts'
import { homeKey, rangeOf } from '../../src/log/keys.ts'
import type { Random } from '../crash/random.ts'

/** Flips bits at random places of a file, all within `windowBytes`. @returns the first place. */
export async function flipBits(
  file: string,
  random: Random,
  { bits = 8, windowBytes = 64 } = {},
): Promise<number> {
  const { size } = await stat(file)
  const at = random.integer(Math.max(1, size - windowBytes))
  const handle = await open(file, 'r+')
  try {
    const bytes = Buffer.alloc(Math.min(windowBytes, size - at))
    await handle.read(bytes, 0, bytes.length, at)
    for (let i = 0; i < bits; i++) {
      const place = random.integer(bytes.length)
      bytes[place] = (bytes[place] as number) ^ (1 << random.integer(8))
    }
    await handle.write(bytes, 0, bytes.length, at)
  } finally {
    await handle.close()
  }
  return at
}

/** Files of a home's database whose names match, the largest first. */
export async function databaseFiles(home: string, pattern: RegExp): Promise<string[]> {
  const names = (await readdir(join(home, 'log'))).filter((name) => pattern.test(name))
  const files = names.map((name) => join(home, 'log', name))
  const sizes = new Map<string, number>()
  for (const file of files) sizes.set(file, (await stat(file)).size)
  return files.sort((a, b) => (sizes.get(b) as number) - (sizes.get(a) as number))
}

/** Blocks of content of a home. */
export async function blockFiles(home: string): Promise<string[]> {
  const entries = await readdir(join(home, 'blocks'), { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.data'))
  return files.map((entry) => join(entry.parentPath, entry.name)).sort()
}

/** Opens the database of a home that no process has open. */
export async function inDatabase<T>(home: string, work: (db: Database) => Promise<T>): Promise<T> {
  const db = await openDatabase(join(home, 'log'))
  try {
    return await work(db)
  } finally {
    await db.close()
  }
}

/** Changes one byte in each of the event blocks that `pick` takes. @returns their ids in hex. */
export async function damageEvents(
  home: string,
  pick: (block: Uint8Array, index: number) => boolean,
): Promise<string[]> {
  return inDatabase(home, async (db) => {
    const damaged: string[] = []
    let index = 0
    for (const [key, block] of await db.iterator(rangeOf(homeKey('events'))).all()) {
      if (!pick(block, index++)) continue
      const bytes = Uint8Array.from(block)
      const middle = bytes.length >> 1
      bytes[middle] = (bytes[middle] as number) ^ 1
      await db.batch([put(key, bytes)])
      damaged.push(hexOf(key.subarray(1)))
    }
    return damaged
  })
}
