// Content blocks on disk, one file a block. Every read is hashed: what a power cut or a failing
// disk did to a block makes it absent, so that it is fetched again, and never wrong.
import { existsSync } from 'node:fs'
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { FsBlockstore } from 'blockstore-fs'
import type { ShardingStrategy } from 'blockstore-fs/sharding'
import { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import type { AbortOptions } from '../ports.ts'
import type { ListedBlocks } from './blocks.ts'
import { throwIfAborted } from './concurrent.ts'
import { blockKey, isSha256, matches } from './dag.ts'
import { diskError, onDisk } from './disk-error.ts'

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
  return new DiskBlocks(directory, store)
}

/** Made by {@link openDiskBlocks}. */
export class DiskBlocks implements ListedBlocks {
  readonly #directory: string
  readonly #store: FsBlockstore
  /** The last change under way of each block. */
  readonly #changes = new Map<string, Promise<void>>()

  constructor(directory: string, store: FsBlockstore) {
    this.#directory = directory
    this.#store = store
  }

  async get(cid: CID, { signal }: AbortOptions = {}): Promise<Uint8Array | undefined> {
    throwIfAborted(signal)
    const bytes = await readIfThere(this.#fileOf(cid))
    if (bytes === undefined || matches(cid, bytes)) return bytes
    await this.#change(cid, async () => {
      if (!(await this.#isGood(cid))) await onDisk(this.#store.delete(cid), this.#directory)
    })
    return undefined
  }

  /** Looks, but does not read: only a block cut down to nothing, as power cuts do, is noticed. */
  async has(cid: CID): Promise<boolean> {
    const size = await sizeIfThere(this.#fileOf(cid))
    return size !== undefined && (size > 0 || matches(cid, new Uint8Array(0)))
  }

  async put(cid: CID, bytes: Uint8Array): Promise<void> {
    if (!isSha256(cid)) throw new GonkError('BAD_CID', `only sha2-256 blocks are kept, not ${cid}`)
    await this.#change(cid, async () => {
      if (await this.#isGood(cid)) return
      await onDisk(this.#store.put(cid, bytes), this.#directory)
    })
  }

  delete(cid: CID): Promise<void> {
    return this.#change(cid, () => onDisk(this.#store.delete(cid), this.#directory))
  }

  /** Removes on its way what writes cut short by a crash have left. */
  async *list({ signal }: AbortOptions = {}): AsyncGenerator<CID> {
    const directory = this.#directory
    for (const shard of await onDisk(readdir(directory, { withFileTypes: true }), directory)) {
      if (!shard.isDirectory()) continue
      const folder = path.join(directory, shard.name)
      for (const name of await onDisk(readdir(folder), folder)) {
        throwIfAborted(signal)
        const file = path.join(folder, name)
        if (this.#isLeftover(name)) await onDisk(rm(file, { force: true }), file)
        const cid = cidOfFile(name)
        if (cid !== undefined) yield cid
      }
    }
  }

  /** Waits for changes under way. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#changes.values())
  }

  #fileOf(cid: CID): string {
    return path.join(this.#directory, blockFile(cid))
  }

  /** One change at a time of each block: the temporary name of a write is fixed per block. */
  #change(cid: CID, change: () => Promise<void>): Promise<void> {
    const key = blockKey(cid)
    const mine = this.#changes.get(key)?.then(change, change) ?? change()
    this.#changes.set(key, mine)
    const done = () => {
      if (this.#changes.get(key) === mine) this.#changes.delete(key)
    }
    mine.then(done, done)
    return mine
  }

  /** Only in a change: a block being repaired must not be taken for the damaged one. */
  async #isGood(cid: CID): Promise<boolean> {
    const file = this.#fileOf(cid)
    // Most blocks that come in are new: that is known at once, and much sooner than by a read.
    if (!existsSync(file)) return false
    const bytes = await readIfThere(file)
    return bytes !== undefined && matches(cid, bytes)
  }

  /** `.CID.data.tmp` of no write under way. */
  #isLeftover(name: string): boolean {
    const isTemporary = name.startsWith('.') && name.endsWith(`${EXTENSION}.tmp`)
    return isTemporary && !this.#changes.has(name.slice(1, -`${EXTENSION}.tmp`.length))
  }
}

/** Where the file of a block is, below the folder of a store. */
export function blockFile(cid: CID): string {
  const { dir, file } = layout.encode(cid)
  return path.join(dir, file)
}

/** The block that a file of a store holds, by its name; undefined for files of other kinds. */
export function cidOfFile(name: string): CID | undefined {
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
