// The home directory of one node: its keys, its config file, and who has it open. The presence of
// identity.json is what makes a directory a home; it is written last, in one step.
import { createPrivateKey, createPublicKey, randomBytes } from 'node:crypto'
import { chmod, readFile, readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { base58btc } from 'multiformats/bases/base58'
import { GonkError } from './core/errors.ts'
import { makePrivateFolder } from './folders.ts'
import { writePrivateFile } from './private-file.ts'

/** An opened home. The two keys are independent: one signs events, one is the libp2p identity. */
export interface Home {
  /** Absolute path. */
  readonly dir: string
  /** Raw 32-byte Ed25519 seed of the key that signs events. Secret. */
  readonly authorSeed: Uint8Array
  /** Raw 32-byte Ed25519 seed of the libp2p peer id. Secret. */
  readonly peerSeed: Uint8Array
  /** 64 lower-case hex digits: the public half of `authorSeed`. */
  readonly publicKey: string
  /** `12D3Koo…`: the public half of `peerSeed` as libp2p writes it. */
  readonly peerId: string
}

/** How to reach the daemon of a home. Lives in HOME/daemon.json, mode 0600, while it runs. */
export interface DaemonFile {
  readonly pid: number
  /** `http://HOST:PORT`, no slash at the end. */
  readonly url: string
  readonly token: string
}

const FORMAT = 1
const SEED_BYTES = 32
/** A PKCS #8 Ed25519 private key is this and the seed (RFC 8410). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
/** Multihash identity of the protobuf {type: Ed25519, key: 32 bytes} (libp2p's peer-ids). */
const PEER_ID_PREFIX = Buffer.from('002408011220', 'hex')
/** What may lie in a directory before it becomes a home: a mounted config, a cut-off init. */
const harmless = /^(config\.yaml|lost\+found|.*\.tmp)$/

const identityFile = (dir: string) => join(dir, 'identity.json')
const daemonFile = (dir: string) => join(dir, 'daemon.json')
const openerFile = (dir: string) => join(dir, 'opened-by.json')

/** Path of the config file of a home. */
export const configFileOf = (dir: string) => join(dir, 'config.yaml')

/**
 * Makes a home: directory mode 0700, new keys, and `config` (YAML text) unless a config file lies
 * there already. Throws HOME_EXISTS for a home or any other directory that is not empty, DISK.
 */
export async function initHome(path: string, config: string): Promise<Home> {
  const dir = resolve(path)
  return onDisk(dir, async () => {
    await makePrivateFolder(dir)
    const entries = await readdir(dir)
    if (entries.includes('identity.json'))
      throw new GonkError('HOME_EXISTS', `${dir} is a home already`)
    if (entries.includes('restore.partial')) {
      throw new GonkError('HOME_EXISTS', `a restore into ${dir} was cut off`, {
        hint: 'repeat `gonk-node restore`, or choose another --home',
      })
    }
    const foreign = entries.find((name) => !harmless.test(name))
    if (foreign !== undefined) {
      throw new GonkError('HOME_EXISTS', `${dir} is not empty: it holds ${foreign}`)
    }
    await chmod(dir, 0o700)
    if (!entries.includes('config.yaml')) await writePrivateFile(configFileOf(dir), config)
    return newHomeIn(dir)
  })
}

/** Gives a folder new keys, which make it a home. Throws DISK. */
export async function newHomeIn(dir: string): Promise<Home> {
  const seeds = { authorSeed: randomBytes(SEED_BYTES), peerSeed: randomBytes(SEED_BYTES) }
  const identity = {
    format: FORMAT,
    authorSeed: seeds.authorSeed.toString('hex'),
    peerSeed: seeds.peerSeed.toString('hex'),
  }
  await onDisk(dir, () => writePrivateFile(identityFile(dir), jsonText(identity)))
  return homeOf(dir, seeds.authorSeed, seeds.peerSeed)
}

/** Reads a home's keys. Throws HOME_MISSING, HOME_FORMAT, HOME_DAMAGED, DISK. */
export async function openHome(path: string): Promise<Home> {
  const dir = resolve(path)
  const text = await onDisk(dir, () => readOptional(identityFile(dir)))
  if (text === undefined) throw new GonkError('HOME_MISSING', `there is no home at ${dir}`)
  const identity = parseRecord(text)
  const format = identity?.['format']
  if (typeof format === 'number' && format !== FORMAT) {
    throw new GonkError('HOME_FORMAT', `${dir} has format ${format}; this version reads ${FORMAT}`)
  }
  const authorSeed = seedOf(identity?.['authorSeed'])
  const peerSeed = seedOf(identity?.['peerSeed'])
  if (format !== FORMAT || authorSeed === undefined || peerSeed === undefined) {
    throw new GonkError('HOME_DAMAGED', `${identityFile(dir)} cannot be read`, {
      hint: 'put the file back from a copy: without its keys this node cannot sign',
    })
  }
  return homeOf(dir, authorSeed, peerSeed)
}

/** Text of the config file; undefined when there is none. Throws DISK. */
export async function readConfigFile(dir: string): Promise<string | undefined> {
  return onDisk(dir, () => readOptional(configFileOf(dir)))
}

/** Replaces the config file in one step, mode 0600. Throws DISK. */
export async function writeConfigFile(dir: string, text: string): Promise<void> {
  await onDisk(dir, () => writePrivateFile(configFileOf(dir), text))
}

export async function writeDaemonFile(home: Home, daemon: DaemonFile): Promise<void> {
  await onDisk(home.dir, () => writePrivateFile(daemonFile(home.dir), jsonText(daemon)))
}

export async function removeDaemonFile(home: Home): Promise<void> {
  await onDisk(home.dir, () => rm(daemonFile(home.dir), { force: true }))
}

/** What the last daemon of this home wrote. It may be stale: only a daemon that answers is one. */
export async function readDaemonFile(path: string): Promise<DaemonFile | undefined> {
  const dir = resolve(path)
  const text = await onDisk(dir, () => readOptional(daemonFile(dir)))
  const { pid, url, token } = parseRecord(text ?? '') ?? {}
  if (typeof pid !== 'number' || typeof url !== 'string' || typeof token !== 'string')
    return undefined
  return { pid, url, token }
}

/** Notes who has the home open, for the message another process shows when it finds it busy. */
export async function writeOpener(home: Home, command: string): Promise<void> {
  const text = jsonText({ pid: process.pid, command })
  await onDisk(home.dir, () => writePrivateFile(openerFile(home.dir), text))
}

/** `process 123 (gonk-node start)`: who opened the home last, as a person would say it. */
export async function readOpener(path: string): Promise<string> {
  const text = await readOptional(openerFile(resolve(path))).catch(() => undefined)
  const { pid, command } = parseRecord(text ?? '') ?? {}
  return pid === undefined ? 'another process' : `process ${String(pid)} (${String(command)})`
}

function homeOf(dir: string, authorSeed: Uint8Array, peerSeed: Uint8Array): Home {
  const peerId = base58btc.baseEncode(Buffer.concat([PEER_ID_PREFIX, publicKeyOf(peerSeed)]))
  const publicKey = publicKeyOf(authorSeed).toString('hex')
  return Object.freeze({ dir, authorSeed, peerSeed, publicKey, peerId })
}

function publicKeyOf(seed: Uint8Array): Buffer {
  const key = createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, seed]),
    format: 'der',
    type: 'pkcs8',
  })
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
  return spki.subarray(spki.length - SEED_BYTES)
}

function seedOf(value: unknown): Uint8Array | undefined {
  if (typeof value !== 'string' || !/^[0-9a-f]{64}$/.test(value)) return undefined
  return Buffer.from(value, 'hex')
}

function parseRecord(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}

const jsonText = (value: object) => `${JSON.stringify(value, null, 2)}\n`

async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}

/** Runs `work`, giving failures of the file system their code. */
async function onDisk<T>(dir: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof GonkError || codeOf(error) === undefined) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new GonkError('DISK', `cannot use the home ${dir}: ${reason}`, { cause: error })
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
