// The folder that a backup goes into: whose it is, what it held, and what is left of backups that were
// cut off.
import { mkdir, open, readdir, realpath, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { GonkError } from '../core/errors.ts'
import { diskError, onDisk } from '../files/disk-error.ts'
import { makePrivateFolder } from '../folders.ts'
import { writePrivateFile } from '../private-file.ts'
import { BLOCKS_FOLDER, findManifest, type Manifest, stateFolder } from './manifest.ts'

/** There while a backup is made, and after one that was cut off. */
const UNFINISHED = 'unfinished.json'
const MADE = { recursive: true, mode: 0o700 }
const harmless = /^(lost\+found|(backup|unfinished)\.json\.\d+\.tmp)$/

export interface Target {
  /** Real path. */
  readonly dir: string
  /** What it held. */
  readonly before: Manifest | undefined
  readonly wasCutOff: boolean
}

/**
 * Claims the folder for a backup of the home, and removes what one that was cut off has left, but not its
 * blocks. Throws USAGE for a folder inside the home, EXISTS for one that holds anything else, DISK,
 * HOME_DAMAGED, HOME_FORMAT.
 */
export async function claimTarget(
  home: { readonly dir: string; readonly publicKey: string },
  directory: string,
): Promise<Target> {
  const path = resolve(directory)
  const homeDir = await onDisk(realpath(home.dir), home.dir)
  if (`${await realParent(path)}${sep}`.startsWith(`${homeDir}${sep}`)) {
    throw new GonkError('USAGE', `${path} is inside the home ${home.dir}`, {
      hint: 'name a folder elsewhere, best on another disk',
    })
  }
  await makeFolder(path)
  const dir = await onDisk(realpath(path), path)
  const before = await findManifest(dir)
  const names = await onDisk(readdir(dir), dir)
  const wasCutOff = names.includes(UNFINISHED)
  const owner = before?.publicKey ?? (wasCutOff ? await claimantOf(dir) : undefined)
  if (owner !== undefined && owner !== home.publicKey) {
    throw new GonkError('EXISTS', `${path} holds a backup of another node, with the key ${owner}`, {
      hint: 'give each node a folder of its own',
    })
  }
  const foreign = names.find((name) => !harmless.test(name))
  if (before === undefined && !wasCutOff && foreign !== undefined) {
    throw new GonkError('EXISTS', `${path} is no backup and not empty: it holds ${foreign}`, {
      hint: 'name a new folder, or one that holds a backup of this node',
    })
  }
  const claim = join(dir, UNFINISHED)
  const text = `${JSON.stringify({ publicKey: home.publicKey })}\n`
  await onDisk(writePrivateFile(claim, text), claim)
  await removeStates(dir, before?.state)
  await onDisk(mkdir(join(dir, BLOCKS_FOLDER), MADE), dir)
  return { dir, before, wasCutOff }
}

async function makeFolder(path: string): Promise<void> {
  try {
    await makePrivateFolder(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EEXIST' && code !== 'ENOTDIR') throw diskError(error, path)
    throw new GonkError('EXISTS', `${path} is not a folder`)
  }
}

/** The real path of what there is of a path, and the rest of it. */
async function realParent(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(await realParent(parent), basename(path))
  }
}

async function claimantOf(dir: string): Promise<string | undefined> {
  const file = join(dir, UNFINISHED)
  await using handle = await onDisk(open(file, 'r'), file)
  try {
    const { publicKey } = JSON.parse(await handle.readFile('utf8')) as { publicKey?: unknown }
    return String(publicKey)
  } catch {
    return undefined
  }
}

/** Removes every state but the one named. */
export async function removeStates(dir: string, but: string | undefined): Promise<void> {
  for (const name of await onDisk(readdir(dir), dir)) {
    const isOld = stateFolder.test(name) && name !== but
    if (!isOld && !/\.json\.\d+\.tmp$/.test(name)) continue
    await onDisk(rm(join(dir, name), { recursive: true, force: true }), dir)
  }
}

/** The backup is complete, and nothing of an older one is left. */
export async function unclaim(dir: string): Promise<void> {
  await onDisk(rm(join(dir, UNFINISHED), { force: true }), dir)
}
