// Folders made one by one.
import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * A folder, and those above it that are not there, all of the mode. Throws what the file system throws. Not
 * `recursive`: where no folder can be made, Node then tries for ever (/proc), or says ENOENT for EROFS.
 */
export async function makeFolder(path: string, mode = 0o777): Promise<void> {
  try {
    await makeOne(path, mode)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error
    await makeFolder(dirname(path), mode)
    await makeOne(path, mode)
  }
}

/** One that is there is fine. */
async function makeOne(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    if (!(await stat(path)).isDirectory()) throw error
  }
}

/** A folder that only its owner may look into. */
export const makePrivateFolder = (path: string): Promise<void> => makeFolder(path, 0o700)
