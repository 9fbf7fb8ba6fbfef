// Content blocks from one folder of blocks into another: only those that are not there yet, each on
// disk before it has its name, so that what has a name is whole.
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CID } from 'multiformats/cid'
import { limits } from '../core/limits.ts'
import { blockFile, cidOfFile } from '../files/block-store.ts'
import { mapInOrder, throwIfAborted } from '../files/concurrent.ts'
import { matches } from '../files/dag.ts'
import { diskError, onDisk } from '../files/disk-error.ts'
import type { AbortOptions } from '../ports.ts'
import { syncDirectory } from '../private-file.ts'
import { BLOCK_LIST, damaged } from './manifest.ts'

/** A block of the source, and whether the target has it. */
export interface FoundBlock {
  readonly cid: CID
  readonly sizeBytes: number
  readonly isThere: boolean
}

export interface BlocksCopied {
  readonly copied: number
  /** Those that are missing at the source, or damaged. */
  readonly failed: number
}

export interface CopyOptions extends AbortOptions {
  /** Hard links where the file system has them: else, and without it, copies that are read and checked. */
  readonly mayLink: boolean
  /** Called for each block that is through. */
  readonly onBlock: (bytes: number) => void
}

const AT_ONCE = 16
const MADE = { recursive: true, mode: 0o700 }
/** The file system has no hard links, or not from there to here. */
const NO_LINKS: readonly unknown[] = ['EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']

/** Which blocks are in `source`, in order; what is not there at all is left out. Throws DISK, CANCELLED. */
export async function* findBlocks(
  cids: AsyncIterable<CID>,
  source: string,
  target: string,
  { signal }: AbortOptions = {},
): AsyncIterable<FoundBlock> {
  const find = async (cid: CID, stop: AbortSignal): Promise<FoundBlock | undefined> => {
    throwIfAborted(stop)
    const file = blockFile(cid)
    const sizeBytes = await sizeOf(join(source, file))
    // A power cut leaves blocks cut down to nothing.
    const isLost = sizeBytes === 0 && !matches(cid, new Uint8Array(0))
    if (sizeBytes === undefined || isLost) return undefined
    // Another size: one of them was damaged, and the source is the one that mends itself.
    return { cid, sizeBytes, isThere: (await sizeOf(join(target, file))) === sizeBytes }
  }
  for await (const found of mapInOrder(cids, find, { count: AT_ONCE, signal })) {
    if (found !== undefined) yield found
  }
}

/** Copies or links blocks. All of them are on disk once it resolves. Throws DISK, CANCELLED. */
export async function copyBlocks(
  cids: AsyncIterable<CID>,
  source: string,
  target: string,
  { mayLink, onBlock, signal }: CopyOptions,
): Promise<BlocksCopied> {
  const folders = new Map<string, Promise<unknown>>()
  let isLinking = mayLink
  const copy = async (cid: CID, stop: AbortSignal): Promise<number | undefined> => {
    throwIfAborted(stop)
    const from = join(source, blockFile(cid))
    const to = join(target, blockFile(cid))
    const folder = dirname(to)
    if (!folders.has(folder)) folders.set(folder, onDisk(mkdir(folder, MADE), folder))
    await folders.get(folder)
    // A link is not read: it takes the place of nothing.
    if (isLinking && (await sizeOf(to)) === undefined) {
      const linked = await linkWhole(from, to)
      if (linked !== 'cannot') return linked
      isLinking = false
    }
    const bytes = await readIfThere(from)
    if (bytes === undefined || !matches(cid, bytes)) return undefined
    await onDisk(writeWhole(to, bytes), to)
    return bytes.length
  }
  const done = { copied: 0, failed: 0 }
  for await (const bytes of mapInOrder(cids, copy, { count: AT_ONCE, signal })) {
    if (bytes === undefined) done.failed++
    else done.copied++
    onBlock(bytes ?? 0)
  }
  for (const folder of [...folders.keys(), target]) await onDisk(syncDirectory(folder), folder)
  return done
}

/** Removes every block that `isNeeded` is false of, and what writes that were cut off have left. */
export async function pruneBlocks(
  directory: string,
  isNeeded: (cid: CID) => Promise<boolean>,
): Promise<void> {
  for (const shard of await onDisk(readdir(directory, { withFileTypes: true }), directory)) {
    if (!shard.isDirectory()) continue
    const folder = join(directory, shard.name)
    for (const name of await onDisk(readdir(folder), folder)) {
      const cid = cidOfFile(name)
      if (cid === undefined ? !name.endsWith('.tmp') : await isNeeded(cid)) continue
      await onDisk(rm(join(folder, name), { force: true }), folder)
    }
  }
}

/** The blocks that a backup, or one that is being made, lists. Throws HOME_DAMAGED, DISK. */
export async function* listedBlocks(state: string): AsyncIterable<CID> {
  const file = join(state, BLOCK_LIST)
  await using list = await onDisk(open(file, 'r'), file)
  for await (const line of list.readLines({ autoClose: false })) yield cidOfLine(line, file)
}

function cidOfLine(line: string, file: string): CID {
  try {
    return CID.parse(line)
  } catch {
    throw damaged(file, 'a line of it names no block')
  }
}

/** What it holds, checked against its name; undefined when it is missing or damaged. Throws DISK. */
export async function readBlock(directory: string, cid: CID): Promise<Uint8Array | undefined> {
  const bytes = await readIfThere(join(directory, blockFile(cid)))
  return bytes !== undefined && matches(cid, bytes) ? bytes : undefined
}

/** @returns its size; undefined where `from` is missing. */
async function linkWhole(from: string, to: string): Promise<number | 'cannot' | undefined> {
  try {
    // Stores of blocks are not synced.
    await using handle = await open(from, 'r')
    await handle.sync()
    await rm(to, { force: true })
    await link(from, to)
    return (await handle.stat()).size
  } catch (error) {
    if (NO_LINKS.includes(codeOf(error))) return 'cannot'
    return absentOrFailed(error, from)
  }
}

async function writeWhole(file: string, bytes: Uint8Array): Promise<void> {
  const beside = `${file}.tmp`
  await using handle = await open(beside, 'w', 0o600)
  await handle.writeFile(bytes)
  await handle.sync()
  await rename(beside, file)
}

async function sizeOf(file: string): Promise<number | undefined> {
  return (await stat(file).catch((error: unknown) => absentOrFailed(error, file)))?.size
}

/** What is no file, or larger than any block, is not read: it may have no end. */
async function readIfThere(file: string): Promise<Uint8Array | undefined> {
  try {
    const found = await stat(file)
    if (!found.isFile() || found.size > limits.blockBytesMax) return undefined
    return await readFile(file)
  } catch (error) {
    return absentOrFailed(error, file)
  }
}

function absentOrFailed(error: unknown, file: string): undefined {
  if (codeOf(error) === 'ENOENT') return undefined
  throw diskError(error, file)
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
