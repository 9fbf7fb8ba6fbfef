// Makes a home from a backup. Its keys come last: until then it is no home, and after a cut-off the
// same restore begins again.
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import { mapInOrder, throwIfAborted } from '../files/concurrent.ts'
import { onDisk } from '../files/disk-error.ts'
import { freeBytesOf } from '../files/disk-space.ts'
import { makePrivateFolder } from '../folders.ts'
import { type Home, newHomeIn, openHome } from '../home.ts'
import type { AbortOptions } from '../ports.ts'
import { syncDirectory, writePrivateFile } from '../private-file.ts'
import { copyBlocks, listedBlocks, readBlock } from './blocks.ts'
import {
  BLOCK_LIST,
  BLOCKS_FOLDER,
  damaged,
  digestOfFile,
  type ListedFile,
  type Manifest,
  manifestFileOf,
  readManifest,
} from './manifest.ts'

export interface RestoreOptions extends AbortOptions {
  readonly onProgress?: (progress: {
    what: string
    done: number
    total: number
    bytes: number
  }) => void
  /** Bytes that may be written below a folder. @default as the file system says */
  readonly freeBytes?: (directory: string) => Promise<number>
}

export interface Restored {
  readonly manifest: Manifest
  readonly home: Home
  /** Blocks that the backup lists and does not have, or has damaged. */
  readonly damaged: number
}

export interface Checked {
  readonly manifest: Manifest
  /** One sentence each, the first 100. */
  readonly problems: readonly string[]
}

/** There from the beginning of a restore to its end. */
const UNFINISHED = 'restore.partial'
/** What a restore makes; a cut-off one is cleared away by the next. */
const made = /^(log|log\.format|users|blocks|restore\.partial|.*\.tmp)$/
const harmless = /^(config\.yaml|lost\+found|.*\.tmp)$/
const MADE = { recursive: true, mode: 0o700 }
const PROBLEMS_MAX = 100
const AT_ONCE = 4

/**
 * Reads every byte of a backup and compares it with what the manifest says. Throws NOT_FOUND where there
 * is no backup, HOME_FORMAT, HOME_DAMAGED where the manifest itself is damaged, DISK, CANCELLED.
 */
export async function checkBackup(
  directory: string,
  { signal, onProgress }: AbortOptions & Pick<RestoreOptions, 'onProgress'> = {},
): Promise<Checked> {
  const dir = resolve(directory)
  const manifest = await readManifest(dir)
  const problems: string[] = []
  const problem = (text: string) => problems.length < PROBLEMS_MAX && problems.push(text)
  const state = join(dir, manifest.state)
  for (const file of manifest.files) {
    throwIfAborted(signal)
    if (!(await isAsListed(state, file))) problem(`${file.path} is missing or damaged`)
  }
  if (problems.length > 0) return { manifest, problems }
  const sum = { done: 0, bytes: 0 }
  const read = async (cid: CID, stop: AbortSignal) => {
    throwIfAborted(stop)
    return { cid, bytes: await readBlock(join(dir, BLOCKS_FOLDER), cid) }
  }
  const bounds = { count: AT_ONCE, signal }
  for await (const { cid, bytes } of mapInOrder(listedBlocks(state), read, bounds)) {
    sum.done++
    sum.bytes += bytes?.length ?? 0
    if (bytes === undefined) problem(`block ${cid} is missing or damaged`)
    onProgress?.({ ...sum, what: 'checking blocks', total: manifest.blocks.count })
  }
  return { manifest, problems }
}

/**
 * Makes a home at `path`, which must be empty or not there, with the keys of the backup, or with new ones
 * where it has none. Throws NOT_FOUND where there is no backup, HOME_EXISTS, HOME_FORMAT, HOME_DAMAGED
 * where anything but a block is damaged, DISK (before anything is written, where there is no room),
 * CANCELLED.
 */
export async function restoreBackup(
  directory: string,
  path: string,
  options: RestoreOptions = {},
): Promise<Restored> {
  const dir = resolve(directory)
  const manifest = await readManifest(dir)
  const state = join(dir, manifest.state)
  await checkState(state, manifest)
  const home = resolve(path)
  await onDisk(makePrivateFolder(home), home)
  const has = await prepare(home)
  await onDisk(chmod(home, 0o700), home)
  await checkRoom(home, manifest, options)
  await onDisk(writePrivateFile(join(home, UNFINISHED), ''), home)
  for (const file of manifest.files) {
    throwIfAborted(options.signal)
    const isOfHome = !['identity.json', BLOCK_LIST].includes(file.path)
    const isThere = file.path === 'config.yaml' && has.config
    if (isOfHome && !isThere) await restoreFile(state, home, file)
  }
  const blocks = await copyAllBlocks(dir, home, manifest, options)
  await syncFolders(home)
  const opened = await takeKeys(state, home, manifest)
  await onDisk(rm(join(home, UNFINISHED), { force: true }), home)
  return { manifest, home: opened, damaged: blocks.failed }
}

/** Everything but blocks is as listed, and the keys are those that the manifest names. */
async function checkState(state: string, manifest: Manifest): Promise<void> {
  const paths = new Set(manifest.files.map(({ path }) => path))
  const identity = manifest.keys ? ['identity.json'] : []
  for (const needed of ['log/CURRENT', 'log.format', BLOCK_LIST, ...identity]) {
    if (!paths.has(needed)) throw damaged(manifestFileOf(dirname(state)), `it lists no ${needed}`)
  }
  for (const file of manifest.files) {
    if (await isAsListed(state, file)) continue
    throw damaged(join(state, file.path), 'it is missing, or its digest is not as listed')
  }
  if (!manifest.keys) return
  const { publicKey, peerId } = await openHome(state)
  if (publicKey === manifest.publicKey && peerId === manifest.peerId) return
  throw damaged(join(state, 'identity.json'), 'it holds other keys than listed')
}

async function isAsListed(state: string, file: ListedFile): Promise<boolean> {
  const path = join(state, file.path)
  const found = await onDisk(stat(path), path).catch((error: unknown) => {
    const cause = error instanceof GonkError ? error.cause : error
    if (['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? ''))
      return undefined
    throw error
  })
  // What is no file may have no end.
  if (found?.isFile() !== true || found.size !== file.sizeBytes) return false
  return (await digestOfFile(path)).sha256 === file.sha256
}

/** Clears away what a restore that was cut off has left. Throws HOME_EXISTS. */
async function prepare(home: string): Promise<{ config: boolean }> {
  const names = await onDisk(readdir(home), home)
  const isOurs = names.includes(UNFINISHED) && !names.includes('identity.json')
  const known = (name: string) => harmless.test(name) || (isOurs && made.test(name))
  const foreign = names.find((name) => !known(name))
  if (foreign !== undefined) {
    throw new GonkError('HOME_EXISTS', `${home} is not empty: it holds ${foreign}`, {
      hint: 'restore into a new --home',
    })
  }
  for (const name of names) {
    if (!isOurs || !made.test(name) || name === UNFINISHED) continue
    await onDisk(rm(join(home, name), { recursive: true, force: true }), home)
  }
  return { config: names.includes('config.yaml') }
}

/** Whole or not at all, and as listed: it checks what it has written, and not only what it has read. */
async function restoreFile(state: string, home: string, file: ListedFile): Promise<void> {
  const to = join(home, file.path)
  const beside = `${to}.tmp`
  await onDisk(mkdir(dirname(to), MADE), to)
  await onDisk(copyFile(join(state, file.path), beside), to)
  await onDisk(chmod(beside, 0o600), to)
  const { sizeBytes, sha256 } = await digestOfFile(beside, { sync: true })
  if (sizeBytes !== file.sizeBytes || sha256 !== file.sha256) {
    throw damaged(join(state, file.path), 'it cannot be read as listed')
  }
  await onDisk(rename(beside, to), to)
}

async function copyAllBlocks(
  dir: string,
  home: string,
  { state, blocks }: Manifest,
  { signal, onProgress }: RestoreOptions,
) {
  const target = join(home, BLOCKS_FOLDER)
  await onDisk(mkdir(target, MADE), target)
  const sum = { done: 0, bytes: 0 }
  return copyBlocks(listedBlocks(join(dir, state)), join(dir, BLOCKS_FOLDER), target, {
    mayLink: false,
    signal,
    onBlock: (bytes) => {
      sum.done++
      sum.bytes += bytes
      onProgress?.({ ...sum, what: 'restoring blocks', total: blocks.count })
    },
  })
}

async function syncFolders(home: string): Promise<void> {
  for (const entry of await onDisk(readdir(home, { withFileTypes: true }), home)) {
    const folder = join(home, entry.name)
    if (entry.isDirectory() && made.test(entry.name)) await onDisk(syncDirectory(folder), folder)
  }
  await onDisk(syncDirectory(home), home)
}

async function takeKeys(state: string, home: string, { keys }: Manifest): Promise<Home> {
  if (!keys) return newHomeIn(home)
  const name = 'identity.json'
  const text = await onDisk(readFile(join(state, name), 'utf8'), join(state, name))
  await onDisk(writePrivateFile(join(home, name), text), home)
  return openHome(home)
}

/** Throws DISK where what there is to write is more than there is room for. */
async function checkRoom(
  home: string,
  { files, blocks }: Manifest,
  { freeBytes = freeBytesOf }: RestoreOptions,
): Promise<void> {
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, blocks.bytes)
  const free = await freeBytes(home)
  if (bytes <= free) return
  throw new GonkError('DISK', `the home needs ${bytes} bytes, and ${home} has room for ${free}`, {
    hint: 'make room there, or name a --home on another disk',
  })
}
