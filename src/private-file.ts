// Small files that only their owner may read, replaced in one step.
import { open, rename } from 'node:fs/promises'
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

/** Makes the names in a directory as durable as the files they name. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
