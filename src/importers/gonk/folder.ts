// A Gonk dataset folder on disk: where it is, and its files, read without following links.
import { constants } from 'node:fs'
import { type FileHandle, lstat, open, readdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { GonkError } from '../../core/errors.ts'

/** A pipe in place of a file must not hold the node up. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Files below one directory. Paths are given as parts, none of which may leave it. */
export class GonkFolder {
  /** Absolute path, no link in it. */
  readonly dir: string
  /** Directories that are known to be directories and no links. */
  readonly #known = new Set<string>()

  private constructor(dir: string) {
    this.dir = dir
  }

  /**
   * @param path the folder of a dataset (`root/datasets/NAME`), or a `root` with a single dataset.
   * Throws NOT_FOUND, AMBIGUOUS, DISK.
   */
  static async find(path: string): Promise<GonkFolder> {
    const given = new GonkFolder(await realpath(path).catch((error) => unreadable(error, path)))
    if (await given.#isDataset()) return given
    const datasets = new GonkFolder(join(given.dir, 'datasets'))
    const names = (await datasets.#kind()) === 'directory' ? await readdir(datasets.dir) : []
    const found: GonkFolder[] = []
    for (const name of names) {
      const folder = new GonkFolder(join(datasets.dir, name))
      if ((await folder.#kind()) === 'directory' && (await folder.#isDataset())) found.push(folder)
    }
    const [only] = found
    if (only !== undefined && found.length === 1) return only
    if (only !== undefined) {
      const all = found.slice(0, 5).map(({ dir }) => dir)
      throw new GonkError('AMBIGUOUS', `${path} holds ${found.length} datasets`, {
        hint: `name one, such as ${all.join(' or ')}`,
      })
    }
    throw new GonkError('NOT_FOUND', `${path} is no Gonk dataset: it has neither rk nor rk.db`, {
      hint: 'give the folder root/datasets/NAME of a Gonk server',
    })
  }

  async #isDataset(): Promise<boolean> {
    return (await this.has('rk.db')) || (await this.#kind('rk')) === 'directory'
  }

  async #kind(...parts: string[]): Promise<'file' | 'directory' | undefined> {
    const found = await lstat(join(this.dir, ...parts)).catch(() => undefined)
    if (found?.isDirectory()) return 'directory'
    return found?.isFile() ? 'file' : undefined
  }

  async has(name: string): Promise<boolean> {
    return (await this.#kind(name)) === 'file'
  }

  /** @returns undefined when it is not there. Throws DISK, also for what is no plain file. */
  async open(...parts: string[]): Promise<FileHandle | undefined> {
    const path = join(this.dir, ...parts)
    if (!(await this.#hasDirectories(parts.slice(0, -1)))) return undefined
    let handle: FileHandle
    try {
      handle = await open(path, READ_FLAGS)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      return unreadable(error, path)
    }
    if ((await handle.stat()).isFile()) return handle
    await handle.close()
    return unreadable(new Error('it is no plain file'), path)
  }

  async #hasDirectories(parts: readonly string[]): Promise<boolean> {
    for (let count = 1; count <= parts.length; count++) {
      const path = join(this.dir, ...parts.slice(0, count))
      if (this.#known.has(path)) continue
      if ((await this.#kind(...parts.slice(0, count))) !== 'directory') return false
      this.#known.add(path)
    }
    return true
  }

  /** A small text file. @returns undefined when it is not there. Throws TOO_LARGE, DISK. */
  async readText(bytesMax: number, ...parts: string[]): Promise<string | undefined> {
    const handle = await this.open(...parts)
    if (handle === undefined) return undefined
    const path = join(this.dir, ...parts)
    try {
      const { size } = await handle.stat()
      if (size > bytesMax) {
        throw new GonkError('TOO_LARGE', `${path} has ${size} bytes, more than ${bytesMax}`, {
          hint: 'it was not written by Gonk: restore it from a copy',
        })
      }
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(bytesMax), 0, bytesMax, 0)
      return buffer.toString('utf8', 0, bytesRead)
    } finally {
      await handle.close()
    }
  }
}

function unreadable(error: unknown, path: string): never {
  const { code, message } = error as NodeJS.ErrnoException
  // A path with a NUL is none, to the platform.
  if (/^(ENOENT|ENOTDIR|ENAMETOOLONG|ERR_INVALID_ARG_VALUE)$/.test(code ?? '')) {
    throw new GonkError('NOT_FOUND', `${path}: no such folder`, { hint: 'check the path' })
  }
  const what = code === 'ELOOP' ? 'it is a symbolic link' : message
  throw new GonkError('DISK', `${path} cannot be read: ${what}`, {
    hint: 'check the folder and its permissions',
    cause: error,
  })
}
