// Files of a dataset into a folder. Nothing that is there already is ever changed, and nothing is
// written outside the folder.
import { randomUUID } from 'node:crypto'
import { lstat, mkdir, open, readdir, realpath, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import type { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import { namePathProblem } from '../core/names.ts'
import { makeFolder } from '../folders.ts'
import type { AbortOptions, FileStore } from '../ports.ts'
import { mapInOrder, throwIfAborted } from './concurrent.ts'
import { diskError, onDisk } from './disk-error.ts'

export interface CheckoutEntry {
  readonly name: string
  readonly cid: CID
  /** When given, a file of another size is refused. */
  readonly sizeBytes?: number
}

export interface CheckoutProgress {
  readonly files: number
  readonly bytes: number
}

export interface CheckoutOptions extends AbortOptions {
  /** After every file, with totals so far. */
  readonly onProgress?: (progress: CheckoutProgress) => void
}

const FILES_AT_ONCE = 6
/** Where files are written until they are whole. Left by a crash, cleared by the next run. */
const PART_FOLDER = /^\.gonk-checkout-[0-9a-f-]{36}$/

/**
 * Writes every entry to `directory`, which is made when missing. As `git checkout` does with files
 * it does not know: a file already there with the same bytes is kept (so that a stopped checkout
 * can be repeated), one with other bytes stops it with EXISTS, and other files are left alone.
 * Each file appears whole or not at all.
 * Throws NOT_HERE, BAD_NAME, EXISTS, BAD_BLOCK, DISK, CANCELLED.
 */
export async function checkout(
  entries: AsyncIterable<CheckoutEntry> | Iterable<CheckoutEntry>,
  store: FileStore,
  directory: string,
  { onProgress, signal }: CheckoutOptions = {},
): Promise<CheckoutProgress> {
  const root = await openDirectory(directory)
  const parts = path.join(root, `.gonk-checkout-${randomUUID()}`)
  const folders = folderMaker(root)
  let files = 0
  let bytes = 0
  try {
    await onDisk(mkdir(parts), parts)
    const places = { store, root, parts, folders }
    const write = (entry: CheckoutEntry, stop: AbortSignal) => writeEntry(entry, places, stop)
    for await (const size of mapInOrder(entries, write, { count: FILES_AT_ONCE, signal })) {
      files += 1
      bytes += size
      onProgress?.({ files, bytes })
    }
    return { files, bytes }
  } finally {
    await rm(parts, { recursive: true, force: true })
  }
}

/** @returns the real path, so that later no part below it may be a link. */
async function openDirectory(directory: string): Promise<string> {
  try {
    await makeFolder(directory)
    const root = await realpath(directory)
    for (const name of await readdir(root)) {
      if (PART_FOLDER.test(name)) await rm(path.join(root, name), { recursive: true, force: true })
    }
    return root
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST')
      throw inTheWay(directory, 'not a folder')
    throw diskError(error, directory)
  }
}

type FolderMaker = (folder: string) => Promise<void>

/** Makes folders below `root` one by one, so that none of them is a link to elsewhere. */
function folderMaker(root: string): FolderMaker {
  const made = new Map<string, Promise<void>>([[root, Promise.resolve()]])
  const make: FolderMaker = (folder) => {
    let making = made.get(folder)
    if (making === undefined) {
      making = make(path.dirname(folder)).then(() => makeBelow(folder))
      made.set(folder, making)
      making.catch(() => undefined)
    }
    return making
  }
  return make
}

async function makeBelow(folder: string): Promise<void> {
  try {
    await mkdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw diskError(error, folder)
    const there = await onDisk(lstat(folder), folder)
    if (!there.isDirectory()) throw inTheWay(folder, 'not a folder')
  }
}

interface Places {
  readonly store: FileStore
  readonly root: string
  readonly parts: string
  readonly folders: FolderMaker
}

/** @returns the size of the file in bytes. */
async function writeEntry(
  entry: CheckoutEntry,
  { store, root, parts, folders }: Places,
  signal: AbortSignal,
): Promise<number> {
  throwIfAborted(signal)
  const problem = namePathProblem(entry.name)
  const target = path.join(root, ...entry.name.split('/'))
  if (problem !== undefined || !target.startsWith(root + path.sep)) {
    const details = { name: entry.name }
    throw new GonkError('BAD_NAME', `${entry.name}: ${problem ?? 'outside the folder'}`, {
      details,
    })
  }
  await folders(path.dirname(target))
  const there = await lstatIfThere(target)
  if (there !== undefined) {
    if (!there.isFile()) throw inTheWay(target, 'not a file')
    if (await holds(target, there.size, entry, store, signal)) return there.size
    throw inTheWay(target, 'other content')
  }
  const part = path.join(parts, randomUUID())
  const size = await writeFile(part, store.read(entry.cid, { signal }), entry)
  await onDisk(rename(part, target), target)
  return size
}

async function writeFile(
  part: string,
  pieces: AsyncIterable<Uint8Array>,
  entry: CheckoutEntry,
): Promise<number> {
  const handle = await onDisk(open(part, 'wx'), part)
  let size = 0
  try {
    for await (const piece of pieces) {
      size += piece.length
      if (size > (entry.sizeBytes ?? Infinity)) break
      await onDisk(handle.writeFile(piece), part)
    }
  } finally {
    await handle.close()
  }
  if (size !== (entry.sizeBytes ?? size)) {
    throw new GonkError('BAD_BLOCK', `${entry.name}: its content is not ${entry.sizeBytes} bytes`, {
      hint: 'the dataset states a wrong size for it',
      details: { name: entry.name, cid: entry.cid.toString() },
    })
  }
  return size
}

/** Whether the file at `target` has exactly the entry's bytes. */
async function holds(
  target: string,
  sizeBytes: number,
  entry: CheckoutEntry,
  store: FileStore,
  signal: AbortSignal,
): Promise<boolean> {
  if (sizeBytes !== (entry.sizeBytes ?? sizeBytes)) return false
  const handle = await onDisk(open(target, 'r'), target)
  try {
    let position = 0
    for await (const piece of store.read(entry.cid, { signal })) {
      const there = Buffer.alloc(piece.length)
      const { bytesRead } = await onDisk(handle.read(there, 0, piece.length, position), target)
      if (bytesRead !== piece.length || !there.equals(piece)) return false
      position += piece.length
    }
    return position === sizeBytes
  } finally {
    await handle.close()
  }
}

async function lstatIfThere(file: string) {
  try {
    return await lstat(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw diskError(error, file)
  }
}

function inTheWay(file: string, what: string): GonkError {
  return new GonkError('EXISTS', `${file} is in the way: ${what}`, {
    hint: 'move it away, or check out into another folder',
    details: { path: file },
  })
}
