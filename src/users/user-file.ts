// What is on disk of a user: one JSON file each, HOME/users/NAME.json.
import { open, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { SCHEME, type Sealed, sealedBytes } from './seal.ts'
import type { Role } from './users.ts'

export interface UserRecord {
  readonly name: string
  readonly role: Role
  readonly publicKey: string
  /** RFC 3339. */
  readonly createdAt: string
  readonly state: 'active' | 'removed'
  /** SHA-256 of the API key, hex. */
  readonly apiKeySha256: string
  /** The Ed25519 seed of the signing key: sealed, or as hex. Secret. */
  readonly seed: Sealed | string
}

/** A file that is no user; `reason` never holds anything of what it says. */
export interface Damage {
  readonly file: string
  readonly reason: string
}

export interface UserFiles {
  readonly records: readonly UserRecord[]
  readonly damage: readonly Damage[]
  /** Paths of what a write left that was cut off. They may hold seeds. */
  readonly strays: readonly string[]
}

export const roles: readonly Role[] = ['reader', 'member', 'admin']

const FORMAT = 1
const FILE_BYTES_MAX = 16 * 1024
const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/

export const isUserName = (text: string) => NAME.test(text)

export const userFileOf = (dir: string, name: string) => join(dir, `${name}.json`)

/** What a seed is sealed for: no file opens under another name or with another key. */
export const sealContextOf = ({ name, publicKey }: Pick<UserRecord, 'name' | 'publicKey'>) =>
  `gonk user\0${name}\0${publicKey}`

export function textOfUser(record: UserRecord): string {
  return `${JSON.stringify({ format: FORMAT, ...record }, null, 2)}\n`
}

/** Reads the directory; one that is not there has no users. Throws what the file system throws. */
export async function readUserFiles(dir: string): Promise<UserFiles> {
  const records: UserRecord[] = []
  const damage: Damage[] = []
  const strays: string[] = []
  for (const entry of (await entriesOf(dir)).toSorted()) {
    const file = join(dir, entry)
    // What file managers leave is nobody's business.
    if (entry.startsWith('.')) continue
    if (/\.json\.\d+\.tmp$/.test(entry)) {
      strays.push(file)
      continue
    }
    const record = await readUser(file)
    if (typeof record === 'string') damage.push({ file, reason: record })
    else records.push(record)
  }
  return { records, damage, strays }
}

async function entriesOf(dir: string): Promise<string[]> {
  try {
    return await readdir(dir)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}

/** @returns why not, where the file is no user. */
async function readUser(file: string): Promise<UserRecord | string> {
  const name = basename(file, '.json')
  if (!file.endsWith('.json') || !isUserName(name)) return 'it is not named as users are'
  try {
    await using handle = await open(file, 'r')
    const stats = await handle.stat()
    if (!stats.isFile()) return 'it is not a file'
    if (stats.size > FILE_BYTES_MAX) return `it has more than ${FILE_BYTES_MAX} bytes`
    return userOf(await handle.readFile('utf8'), name)
  } catch (error) {
    return `it cannot be read (${String(codeOf(error))})`
  }
}

function userOf(text: string, fileName: string): UserRecord | string {
  const value = parseRecord(text)
  if (value === undefined) return 'it is not a JSON object'
  const { format, name, role, publicKey, createdAt, state, apiKeySha256, seed } = value
  if (typeof format === 'number' && format !== FORMAT) {
    return `it has format ${format}; this version reads ${FORMAT}`
  }
  if (name !== fileName) return 'it is of a user of another name'
  const knownRole = roles.find((known) => known === role)
  if (
    format !== FORMAT ||
    knownRole === undefined ||
    !isHex(publicKey, 32) ||
    typeof createdAt !== 'string' ||
    !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(createdAt) ||
    (state !== 'active' && state !== 'removed') ||
    !isHex(apiKeySha256, 32) ||
    !(isHex(seed, 32) || isSealed(seed))
  ) {
    return 'a field is missing or wrong'
  }
  return { name: fileName, role: knownRole, publicKey, createdAt, state, apiKeySha256, seed }
}

function isSealed(value: unknown): value is Sealed {
  if (typeof value !== 'object' || value === null) return false
  const { scheme, salt, nonce, box }: Partial<Record<keyof Sealed, unknown>> = value
  return (
    scheme === SCHEME &&
    isHex(salt, sealedBytes.salt) &&
    isHex(nonce, sealedBytes.nonce) &&
    isHex(box, sealedBytes.box)
  )
}

function isHex(value: unknown, bytes: number): value is string {
  return typeof value === 'string' && value.length === 2 * bytes && /^[0-9a-f]*$/.test(value)
}

/** Drops the parser's error: it quotes the text. */
function parseRecord(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
