// The files under paths of this machine, in the order of the names they get in a dataset.
import type { Dirent } from 'node:fs'
import { lstat, readdir, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import mime from 'mime'
import { GonkError } from '../core/errors.ts'
import { compareBytes } from '../core/ids.ts'
import { namePathProblem } from '../core/names.ts'
import type { AbortOptions } from '../ports.ts'
import { throwIfAborted } from './concurrent.ts'
import { diskError } from './disk-error.ts'

/** A file of this machine and the name it gets. */
export interface LocalFile {
  readonly path: string
  readonly name: string
  /** When it was looked at: the file may have changed since. */
  readonly sizeBytes: number
  readonly mediaType: string
}

export interface FolderOptions extends AbortOptions {
  /** Put in front of every name, with a `/` between. */
  readonly prefix?: string
  /** Told of what is passed over: symbolic links, sockets, devices. */
  readonly onSkipped?: (path: string, why: 'symbolic link' | 'special file') => void
}

/** A name and its bytes, which decide the order. */
interface Named {
  readonly name: string
  readonly key: Uint8Array
}

interface Stream {
  head: LocalFile
  key: Uint8Array
  rest: AsyncGenerator<LocalFile>
}

/** Files looked at together, so that a large folder is not read one system call at a time. */
const LOOK_AHEAD = 64

/**
 * All files under `paths`, each once, in byte order of their names. Names are relative to the path
 * given, without the folder's own name; a file given gets its base name. Links inside folders are
 * passed over; a path that is itself a link was named on purpose and is followed.
 * Throws BAD_NAME (with the file), EXISTS when two files get one name, NOT_FOUND, DISK.
 */
export async function* filesUnder(
  paths: readonly string[],
  options: FolderOptions = {},
): AsyncGenerator<LocalFile> {
  const prefix = options.prefix?.replace(/\/+$/, '') ?? ''
  const inFront = prefix === '' ? '' : `${prefix}/`
  const files: LocalFile[] = []
  const folders: AsyncGenerator<LocalFile>[] = []
  for (const given of paths) {
    const found = await look(given)
    if (found.isDirectory()) folders.push(filesIn(await realpath(given), inFront, options))
    else if (found.isFile()) {
      const name = inFront + path.basename(path.resolve(given))
      files.push(localFile(await realpath(given), name, found.size))
    } else options.onSkipped?.(given, 'special file')
  }
  files.sort((a, b) => compareBytes(Buffer.from(a.name), Buffer.from(b.name)))
  let last: LocalFile | undefined
  for await (const file of merge([fromArray(files), ...folders])) {
    throwIfAborted(options.signal)
    if (last?.name === file.name) {
      const details = { name: file.name, paths: [last.path, file.path] }
      const message = `${last.path} and ${file.path} would both be named ${file.name}`
      throw new GonkError('EXISTS', message, { hint: 'add them with different prefixes', details })
    }
    yield file
    last = file
  }
}

async function look(given: string) {
  try {
    return await stat(given)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw diskError(error, given)
    throw new GonkError('NOT_FOUND', `${given}: no such file or folder`, {
      hint: 'check the path',
      details: { path: given },
    })
  }
}

/** Depth first. A folder sorts as its name with `/`, which puts the full names in byte order. */
async function* filesIn(
  folder: string,
  inFront: string,
  options: FolderOptions,
): AsyncGenerator<LocalFile> {
  throwIfAborted(options.signal)
  const entries = (await readFolder(folder)).sort((a, b) => compareBytes(a.key, b.key))
  for (let i = 0; i < entries.length; i += LOOK_AHEAD) {
    const some = entries.slice(i, i + LOOK_AHEAD)
    const sizes = await Promise.all(some.map((entry) => sizeOf(folder, entry)))
    for (const [j, entry] of some.entries()) {
      const full = path.join(folder, entry.name)
      const size = sizes[j]
      if (entry.kind === 'folder') yield* filesIn(full, `${inFront}${entry.name}/`, options)
      else if (size !== undefined) yield localFile(full, inFront + entry.name, size)
      else if (entry.kind === 'file') continue
      else options.onSkipped?.(full, entry.kind)
    }
  }
}

interface Entry extends Named {
  readonly kind: 'file' | 'folder' | 'symbolic link' | 'special file'
}

async function readFolder(folder: string): Promise<Entry[]> {
  let entries: Dirent<Buffer>[]
  try {
    entries = await readdir(folder, { withFileTypes: true, encoding: 'buffer' })
  } catch (error) {
    throw diskError(error, folder)
  }
  return entries.map((entry) => {
    const kind = kindOf(entry)
    const key = kind === 'folder' ? Buffer.concat([entry.name, Buffer.from('/')]) : entry.name
    return { name: decodeName(entry.name, folder), key, kind }
  })
}

function kindOf(entry: Dirent<Buffer>): Entry['kind'] {
  if (entry.isDirectory()) return 'folder'
  if (entry.isFile()) return 'file'
  return entry.isSymbolicLink() ? 'symbolic link' : 'special file'
}

function decodeName(name: Buffer, folder: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(name)
  } catch {
    return badName(path.join(folder, name.toString('latin1')), name.toString('latin1'), 'not UTF-8')
  }
}

/** @returns undefined for what is no file, and for a file that went away meanwhile. */
async function sizeOf(folder: string, entry: Entry): Promise<number | undefined> {
  if (entry.kind !== 'file') return undefined
  const full = path.join(folder, entry.name)
  try {
    return (await lstat(full)).size
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw diskError(error, full)
  }
}

function localFile(file: string, name: string, sizeBytes: number): LocalFile {
  const problem = namePathProblem(name)
  if (problem !== undefined) badName(file, name, problem)
  if (name !== name.normalize('NFC')) badName(file, name, 'not in Unicode normalization form C')
  return { path: file, name, sizeBytes, mediaType: mediaTypeOf(name) }
}

/** By the extension of a name; `application/octet-stream` where that says nothing. */
export function mediaTypeOf(name: string): string {
  // With a folder in front, `mime` asks for a real extension: a file called `json` has none.
  return mime.getType(`/${name}`) ?? 'application/octet-stream'
}

function badName(file: string, name: string, why: string): never {
  throw new GonkError('BAD_NAME', `${file}: ${why}`, {
    hint: 'rename the file, or leave it out',
    details: { path: file, name, why },
  })
}

async function* fromArray(files: readonly LocalFile[]): AsyncGenerator<LocalFile> {
  yield* files
}

/** Several sorted streams as one; `waiting` is kept sorted by what each gives next. */
async function* merge(streams: AsyncGenerator<LocalFile>[]): AsyncGenerator<LocalFile> {
  const waiting: Stream[] = []
  const wait = async (rest: AsyncGenerator<LocalFile>) => {
    const next = await rest.next()
    if (next.done === true) return
    const key = Buffer.from(next.value.name)
    let low = 0
    let high = waiting.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareBytes((waiting[middle] as Stream).key, key) <= 0) low = middle + 1
      else high = middle
    }
    waiting.splice(low, 0, { head: next.value, key, rest })
  }
  for (const stream of streams) await wait(stream)
  for (let first = waiting.shift(); first !== undefined; first = waiting.shift()) {
    yield first.head
    await wait(first.rest)
  }
}
