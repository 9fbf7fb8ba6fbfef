// Content blocks on disk, one file a block. Every read is hashed: what a power cut or a failing disk
// did to a block makes it absent, so that it is fetched again, and never wrong.
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { FsBlockstore } from 'blockstore-fs'
import type { ShardingStrategy } from 'blockstore-fs/sharding'
import { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import type { ListedBlocks } from './blocks.ts'
import { throwIfAborted } from './concurrent.ts'
import { blockKey, isSha256, matches } from './dag.ts'
import { diskError, onDisk } from './disk-error.ts'

export interface DiskBlocks extends ListedBlocks {
  /** Waits for writes under way. */
  close(): Promise<void>
}

const EXTENSION = '.data'

/** 1,024 folders named by the two characters before a CID's last, as Kubo's flatfs has them. */
const layout: ShardingStrategy = {
  extension: EXTENSION,
  encode(cid) {
    const text = blockKey(cid)
    return { dir: text.slice(-3, -1), file: text + EXTENSION }
  },
  decode(file) {
    return CID.parse(path.basename(file, EXTENSION))
  },
}

/**
 * Opens (and makes, when missing) the store. Not synced: blocks survive the end of the process but
 * not always a power cut, after which those lost read as absent. Failures of the disk throw DISK.
 */
export async function openDiskBlocks(directory: string): Promise<DiskBlocks> {
  const store = new FsBlockstore(directory, { shardingStrategy: layout })
  await onDisk(store.open(), directory)
  const locks = new Map<string, Promise<unknown>>()

  const fileOf = (cid: CID) => {
    const { dir, file } = layout.encode(cid)
    return path.join(directory, dir, file)
  }

  /** One change at a time of each block: steno's temporary name is fixed per file. */
  const exclusive = (cid: CID, change: () => Promise<void>): Promise<void> => {
    const key = blockKey(cid)
    const mine = locks.get(key)?.then(change, change) ?? change()
    locks.set(key, mine)
    const done = () => {
      if (locks.get(key) === mine) locks.delete(key)
    }
    mine.then(done, done)
    return mine
  }

  /** Only in {@link exclusive}, so that a block being repaired is never taken for the damaged one. */
  const isGood = async (cid: CID) => {
    const bytes = await readIfThere(fileOf(cid))
    return bytes !== undefined && matches(cid, bytes)
  }

  const isTemporaryOfNobody = (name: string) =>
    name.startsWith('.') && name.endsWith('.tmp') && !locks.has(path.basename(name.slice(1, -4), EXTENSION))

  return {
    async get(cid, { signal } = {}) {
      throwIfAborted(signal)
      const bytes = await readIfThere(fileOf(cid))
      if (bytes === undefined || matches(cid, bytes)) return bytes
      await exclusive(cid, async () => {
        if (!(await isGood(cid))) await onDisk(store.delete(cid), directory)
      })
      return undefined
    },

    /** Looks, but does not read: only a block cut down to nothing, as power cuts do, is noticed. */
    async has(cid) {
      const size = await sizeIfThere(fileOf(cid))
      return size !== undefined && (size > 0 || matches(cid, new Uint8Array(0)))
    },

    put(cid, bytes) {
      if (!isSha256(cid)) {
        return Promise.reject(new GonkError('BAD_CID', `only sha2-256 blocks are kept, not ${cid}`))
      }
      return exclusive(cid, async () => {
        if (await isGood(cid)) return
        await onDisk(store.put(cid, bytes), directory)
      })
    },

    delete: (cid) => exclusive(cid, () => onDisk(store.delete(cid), directory)),

    /** Removes on its way what writes cut short by a crash have left. */
    async *list({ signal } = {}) {
      for (const shard of await onDisk(readdir(directory, { withFileTypes: true }), directory)) {
        if (!shard.isDirectory()) continue
        const folder = path.join(directory, shard.name)
        for (const name of await onDisk(readdir(folder), folder)) {
          throwIfAborted(signal)
          if (isTemporaryOfNobody(name)) await onDisk(rm(path.join(folder, name), { force: true }), folder)
          const cid = cidOfFile(name)
          if (cid !== undefined) yield cid
        }
      }
    },

    async close() {
      await Promise.allSettled(locks.values())
    },
  }
}

function cidOfFile(name: string): CID | undefined {
  if (!name.endsWith(EXTENSION)) return undefined
  try {
    return layout.decode(name)
  } catch {
    return undefined
  }
}

async function readIfThere(file: string): Promise<Uint8Array | undefined> {
  try {
    const { buffer, byteOffset, byteLength } = await readFile(file)
    return new Uint8Array(buffer, byteOffset, byteLength)
  } catch (error) {
    return absentOrFailed(error, file)
  }
}

async function sizeIfThere(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size
  } catch (error) {
    return absentOrFailed(error, file)
  }
}

/** Only a file that is not there is an absent block: a disk that fails must not look like one. */
function absentOrFailed(error: unknown, file: string): undefined {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
  throw diskError(error, file)
}
