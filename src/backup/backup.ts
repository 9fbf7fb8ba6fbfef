// Makes a backup of a home, also while its node runs, and makes an older backup newer. The folder is
// a backup from the moment its manifest is there, and the older one until the newer one is complete.
import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import { throwIfAborted } from '../files/concurrent.ts'
import { onDisk } from '../files/disk-error.ts'
import { freeBytesOf } from '../files/disk-space.ts'
import type { Database } from '../log/database.ts'
import { blocksHeld, copyRows, isBlockHeld, type Snapshot } from '../log/row-copy.ts'
import type { AbortOptions } from '../ports.ts'
import { syncDirectory, writePrivateFile } from '../private-file.ts'
import { copyBlocks, findBlocks, listedBlocks, pruneBlocks } from './blocks.ts'
import {
  type BackedUpDataset,
  BLOCK_LIST,
  BLOCKS_FOLDER,
  digestOfFile,
  findManifest,
  type ListedFile,
  type Manifest,
  writeManifest,
} from './manifest.ts'
import { claimTarget, removeStates, type Target, unclaim } from './target.ts'

/** A home at one moment. Its blocks must not go while the backup is made. */
export interface BackupNeeds {
  readonly home: { readonly dir: string; readonly peerId: string; readonly publicKey: string }
  readonly db: Database
  readonly snapshot: Snapshot
  /** When the snapshot was taken, in ms since 1970. */
  readonly atMs: number
  readonly datasets: readonly BackedUpDataset[]
  /** Of the program. */
  readonly version: string
}

export interface BackupOptions extends AbortOptions {
  /** With the signing keys and the users. */
  readonly keys: boolean
  readonly onProgress?: (progress: {
    what: string
    done: number
    total: number
    bytes: number
  }) => void
  /** Bytes that may be written below a folder. @default as the file system says */
  readonly freeBytes?: (directory: string) => Promise<number>
}

export interface BackupMade {
  readonly manifest: Manifest
  /** Blocks that an older backup in the folder did not have. */
  readonly added: number
}

/** Whatever else lies there is no user. */
const userFile = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\.json$/

/**
 * Copies the home into `directory`. Throws EXISTS for a folder that holds anything but a backup of
 * this home, USAGE for one inside the home, DISK (before a row or a block is copied, where there is no
 * room), HOME_DAMAGED and HOME_FORMAT for a backup that cannot be read, CANCELLED.
 */
export async function makeBackup(
  needs: BackupNeeds,
  directory: string,
  options: BackupOptions,
): Promise<BackupMade> {
  const target = await claimTarget(needs.home, directory)
  const state = join(target.dir, `state-${randomBytes(8).toString('hex')}`)
  try {
    await onDisk(mkdir(state, { mode: 0o700 }), state)
    const found = await listBlocks(needs, target.dir, state, options)
    const linkable = await isOneDevice(needs.home.dir, target.dir)
    await checkRoom(needs, target.dir, linkable ? 0 : found.newBytes, options)
    const { rows } = await copyRows(needs.db, needs.snapshot, join(state, 'log'), (sofar) => {
      throwIfAborted(options.signal)
      options.onProgress?.({ ...progress('copying rows', sofar.rows), bytes: sofar.bytes })
    })
    const blocks = await addBlocks(needs, target.dir, state, found, linkable, options)
    await copySmallFiles(needs.home.dir, state, options.keys)
    const { peerId, publicKey } = needs.home
    const manifest: Manifest = {
      ...{ format: 1, at: new Date(needs.atMs).toISOString(), version: needs.version },
      ...{ peerId, publicKey, keys: options.keys, datasets: needs.datasets, rows },
      ...{ state: basename(state), files: await filesOf(state), blocks },
    }
    for (const folder of await foldersOf(state)) await onDisk(syncDirectory(folder), folder)
    await onDisk(syncDirectory(target.dir), target.dir)
    throwIfAborted(options.signal)
    await writeManifest(target.dir, manifest)
    await tidy(needs, target, manifest, found)
    return { manifest, added: found.newCount }
  } catch (error) {
    const current = await findManifest(target.dir).catch(() => undefined)
    if (current?.state !== basename(state)) await rm(state, { recursive: true, force: true })
    throw error
  }
}

// ---------------------------------------------------------------- blocks

interface Found {
  readonly count: number
  readonly bytes: number
  readonly missing: number
  readonly newCount: number
  readonly newBytes: number
}

/** Writes the list of the blocks that are needed and there. */
async function listBlocks(
  { home, db, snapshot }: BackupNeeds,
  dir: string,
  state: string,
  { signal, onProgress }: BackupOptions,
): Promise<Found> {
  const sum = { count: 0, bytes: 0, missing: 0, newCount: 0, newBytes: 0 }
  let wanted = 0
  async function* counted() {
    for await (const cid of blocksHeld(db, snapshot)) {
      wanted++
      yield cid
    }
  }
  const [source, target] = [join(home.dir, BLOCKS_FOLDER), join(dir, BLOCKS_FOLDER)]
  const file = join(state, BLOCK_LIST)
  await using list = await onDisk(open(file, 'wx', 0o600), file)
  let lines: string[] = []
  const flush = () => onDisk(list.appendFile(lines.splice(0).join('')), file)
  for await (const block of findBlocks(counted(), source, target, { signal })) {
    lines.push(`${block.cid}\n`)
    sum.count++
    sum.bytes += block.sizeBytes
    if (!block.isThere) {
      sum.newCount++
      sum.newBytes += block.sizeBytes
    }
    if (lines.length < 1_000) continue
    await flush()
    onProgress?.({ ...progress('looking for blocks', sum.count), bytes: sum.bytes })
  }
  await flush()
  return { ...sum, missing: wanted - sum.count }
}

/** Copies those that the folder does not have. */
async function addBlocks(
  { home }: BackupNeeds,
  dir: string,
  state: string,
  found: Found,
  mayLink: boolean,
  { signal, onProgress }: BackupOptions,
): Promise<Manifest['blocks']> {
  const [source, target] = [join(home.dir, BLOCKS_FOLDER), join(dir, BLOCKS_FOLDER)]
  async function* lacking() {
    if (found.newCount === 0) return
    for await (const block of findBlocks(listedBlocks(state), source, target, { signal })) {
      if (!block.isThere) yield block.cid
    }
  }
  const sum = { done: 0, bytes: 0 }
  const { failed } = await copyBlocks(lacking(), source, target, {
    mayLink,
    signal,
    onBlock: (bytes) => {
      sum.done++
      sum.bytes += bytes
      onProgress?.({ ...sum, what: 'copying blocks', total: found.newCount })
    },
  })
  const { count, bytes, missing } = found
  return { count, bytes, missing: missing + failed }
}

// ---------------------------------------------------------------- the rest

async function copySmallFiles(home: string, state: string, keys: boolean): Promise<void> {
  await copyIfThere(join(home, 'config.yaml'), join(state, 'config.yaml'))
  if (!keys) return
  const users = join(state, 'users')
  await onDisk(mkdir(users, { mode: 0o700 }), users)
  for (const name of await namesIn(join(home, 'users'))) {
    if (userFile.test(name)) await copyIfThere(join(home, 'users', name), join(users, name))
  }
  await copyIfThere(join(home, 'identity.json'), join(state, 'identity.json'))
}

/** Files of a home are replaced in one step: what is read of one is whole. */
async function copyIfThere(from: string, to: string): Promise<void> {
  try {
    await using file = await open(from, 'r')
    await onDisk(writePrivateFile(to, await file.readFile('utf8')), to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw await failed(error, from)
  }
}

async function namesIn(dir: string): Promise<string[]> {
  return readdir(dir).catch(async (error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw await failed(error, dir)
  })
}

const failed = (error: unknown, file: string): Promise<unknown> =>
  onDisk(Promise.reject(error as Error), file).catch((disk: unknown) => disk)

/** Every file of the new state, and its digest; they are on disk once it resolves. */
async function filesOf(state: string): Promise<ListedFile[]> {
  const files: ListedFile[] = []
  for (const folder of await foldersOf(state)) {
    const below = folder === state ? '' : `${basename(folder)}/`
    for (const entry of await onDisk(readdir(folder, { withFileTypes: true }), folder)) {
      // LevelDB's lock, and what it says of its own work.
      if (!entry.isFile() || (below === 'log/' && /^(LOCK|LOG.*)$/.test(entry.name))) continue
      const path = `${below}${entry.name}`
      files.push({ path, ...(await digestOfFile(join(state, path), { sync: true })) })
    }
  }
  return files
}

async function foldersOf(state: string): Promise<string[]> {
  const entries = await onDisk(readdir(state, { withFileTypes: true }), state)
  const below = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(state, name))
  return [...below, state]
}

/** Removes the older state, and blocks that only it needed. */
async function tidy(
  { db, snapshot }: BackupNeeds,
  { dir, before, wasCutOff }: Target,
  { state }: Manifest,
  { count, newCount }: Found,
): Promise<void> {
  await removeStates(dir, state)
  if (wasCutOff || (before !== undefined && before.blocks.count !== count - newCount)) {
    const isNeeded = (cid: CID) => isBlockHeld(db, snapshot, cid)
    await pruneBlocks(join(dir, BLOCKS_FOLDER), isNeeded)
  }
  await unclaim(dir)
}

/** Throws DISK where what there is to write is more than there is room for. */
async function checkRoom(
  { home }: BackupNeeds,
  dir: string,
  newBytes: number,
  { freeBytes = freeBytesOf }: BackupOptions,
): Promise<void> {
  const log = join(home.dir, 'log')
  let bytes = newBytes
  for (const name of await namesIn(log)) {
    bytes += (await stat(join(log, name)).catch(() => undefined))?.size ?? 0
  }
  const free = await freeBytes(dir)
  if (bytes <= free) return
  throw new GonkError('DISK', `the backup needs ${bytes} bytes, and ${dir} has room for ${free}`, {
    hint: 'make room there, or name a folder on another disk',
  })
}

async function isOneDevice(a: string, b: string): Promise<boolean> {
  const [left, right] = await Promise.all([onDisk(stat(a), a), onDisk(stat(b), b)])
  return left.dev === right.dev
}

const progress = (what: string, done: number) => ({ what, done, total: 0 })
