// A directory for users, and what their store needs, with a log that can be read.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { systemClock, systemRandom } from '../../src/crypto.ts'
import { createLogger } from '../../src/logger.ts'
import { openUsers } from '../../src/users/user-store.ts'
import type { Users } from '../../src/users/users.ts'

export interface UsersHome {
  /** HOME/users, which is not there yet. */
  readonly dir: string
  /** Every line logged so far. */
  readonly log: string[]
  /** Opens them as a start of the node does. */
  open(passphrase?: string): Promise<Users>
}

/** Goes with the test. */
export async function makeUsersHome(): Promise<UsersHome> {
  const home = await mkdtemp(join(tmpdir(), 'gonk-users-'))
  onTestFinished(() => rm(home, { recursive: true, force: true }))
  const dir = join(home, 'users')
  const log: string[] = []
  const destination = { write: (line: string) => void log.push(line) }
  const logger = createLogger({ level: 'trace', destination })
  const needs = { clock: systemClock, random: systemRandom, logger }
  return { dir, log, open: (passphrase) => openUsers(dir, { ...needs, passphrase }) }
}
