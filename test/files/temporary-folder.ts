// A folder of its own for a test.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

export async function temporaryFolder(): Promise<{ path: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'gonk-test-'))
  return { path: folder, remove: () => rm(folder, { recursive: true, force: true }) }
}
