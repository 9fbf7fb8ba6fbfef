// Small files that only their owner may read, replaced in one step, and folders for them.
import { mkdir, open, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Whole or not at all, also after a power cut, and on disk once resolved: written beside as
 * `PATH.PID.tmp`, synced, renamed. Mode 0600. Throws what the file system throws.
 */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  const beside = `${path}.${process.pid}.tmp`
  const file = await open(beside, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(beside, path)
  await syncDirectory(dirname(path))
}

/**
 * A folder of mode 0700, and those above it that are not there. Throws what the file system throws. Not
 * `recursive`: on a file system that will have no folders, such as /proc, Node then tries for ever.
 */
export async function makePrivateFolder(path: string): Promise<void> {
  const make = () => mkdir(path, { mode: 0o700 })
  try {
    await make()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return requireFolder(path, error)
    if (code !== 'ENOENT' || dirname(path) === path) throw error
    await makePrivateFolder(dirname(path))
    await make()
  }
}

async function requireFolder(path: string, cause: unknown): Promise<void> {
  if (!(await stat(path)).isDirectory()) throw cause
}

/** Makes the names in a directory as durable as the files they name. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
