// The users of one home: files in HOME/users, held in memory. Only the process that has the home
// open may use it.
import { chmod, mkdir, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { GonkError } from '../core/errors.ts'
import { signerOf } from '../crypto.ts'
import type { Clock, Logger, Random, Signer } from '../ports.ts'
import { syncDirectory, writePrivateFile } from '../private-file.ts'
import { digestOfApiKey, newApiKey } from './api-key.ts'
import { type Sealer, sealerOf } from './seal.ts'
import type { UserRecord } from './user-file.ts'
import {
  isUserName,
  readUserFiles,
  roles,
  sealContextOf,
  textOfUser,
  userFileOf,
} from './user-file.ts'
import type { Role, UserInfo, Users, UserWithApiKey } from './users.ts'

export interface UsersNeeds {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Seals the signing keys, also those that are on disk in plain. */
  readonly passphrase?: string | undefined
}

interface User {
  readonly record: UserRecord
  /** Absent while the key is sealed. */
  readonly signer?: Signer
}

const SEED_BYTES = 32

/**
 * Opens HOME/users. A file that cannot be read, or is of no user, is logged and left alone; a
 * passphrase that opens nothing leaves the users locked. Throws DISK.
 */
export async function openUsers(dir: string, needs: UsersNeeds): Promise<Users> {
  const { passphrase, random } = needs
  const sealer = passphrase === undefined ? undefined : sealerOf(passphrase, random)
  const store = new UserStore(dir, needs, sealer)
  await onDisk(dir, () => store.open())
  return store
}

/** Whether a passphrase would be of use. Changes nothing; the home may be in use. Throws DISK. */
export async function hasSealedUsers(dir: string): Promise<boolean> {
  const { records } = await onDisk(dir, () => readUserFiles(dir))
  return records.some(isSealed)
}

class UserStore implements Users {
  readonly #dir: string
  readonly #needs: UsersNeeds
  readonly #sealer: Sealer | undefined
  /** By name in small letters: two names that differ in capitals only would be mistaken. */
  readonly #users = new Map<string, User>()
  readonly #damage = new Map<string, string>()
  readonly #byKey = new Map<string, User>()
  readonly #byDigest = new Map<string, User>()
  /** Changes happen one at a time. */
  #queue: Promise<unknown> = Promise.resolve()

  constructor(dir: string, needs: UsersNeeds, sealer: Sealer | undefined) {
    this.#dir = dir
    this.#needs = needs
    this.#sealer = sealer
  }

  async open(): Promise<void> {
    const { records, damage, strays } = await readUserFiles(this.#dir)
    for (const { file, reason } of damage) this.#noteDamage(file, reason)
    for (const stray of strays) await rm(stray, { force: true })
    if (records.length > 0) await chmod(this.#dir, 0o700)
    for (const record of records) {
      const user = await this.#unsealed(record)
      const reason = user === undefined ? 'its key does not fit' : this.#clashOf(user)
      if (user === undefined || reason !== undefined) {
        this.#noteDamage(userFileOf(this.#dir, record.name), reason ?? '')
      } else this.#keep(user)
    }
    this.#warnOfLocked()
    await this.#sealPlain()
  }

  list(): UserInfo[] {
    return [...this.#users.values()].map(infoOf).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  find(name: string): UserInfo | undefined {
    const user = this.#users.get(name.toLowerCase())
    return user?.record.name === name ? infoOf(user) : undefined
  }

  byKey(publicKey: string): UserInfo | undefined {
    const user = this.#byKey.get(publicKey)
    return user && infoOf(user)
  }

  add(name: string, role: Role): Promise<UserWithApiKey> {
    return this.#change(async () => {
      checkNew(name, role)
      const damaged = this.#damage.get(name.toLowerCase())
      if (damaged !== undefined) throw damageError(damaged)
      const known = this.#users.get(name.toLowerCase())
      if (known !== undefined) {
        const { name: taken, state } = known.record
        const removed = state === 'removed' ? ', who was removed' : ''
        throw new GonkError('EXISTS', `there is a user ${taken} already${removed}`, {
          hint: 'choose another name; no name is given to two keys',
        })
      }
      if (this.#isClosed()) throw this.#lockedError(`cannot make a signing key for ${name}`)
      const { random, clock } = this.#needs
      const seed = random.bytes(SEED_BYTES)
      const signer = signerOf(seed)
      const { publicKey } = signer
      const context = sealContextOf({ name, publicKey })
      const { apiKey, apiKeySha256 } = freshApiKey(random)
      const user = await this.#write({
        signer,
        record: {
          ...{ name, role, publicKey, state: 'active', apiKeySha256 },
          createdAt: new Date(clock.nowMs()).toISOString(),
          seed: (await this.#sealer?.seal(seed, context)) ?? hexOf(seed),
        },
      })
      return { user: infoOf(user), apiKey }
    })
  }

  rekey(name: string): Promise<UserWithApiKey> {
    return this.#change(async () => {
      const { record, ...rest } = this.#active(name)
      const { apiKey, apiKeySha256 } = freshApiKey(this.#needs.random)
      const user = await this.#write({ ...rest, record: { ...record, apiKeySha256 } })
      return { user: infoOf(user), apiKey }
    })
  }

  remove(name: string): Promise<UserInfo> {
    return this.#change(async () => {
      const user = this.#get(name)
      if (user.record.state === 'removed') return infoOf(user)
      return infoOf(await this.#write({ ...user, record: { ...user.record, state: 'removed' } }))
    })
  }

  authenticate(apiKey: string): UserInfo | undefined {
    // A look-up by digest takes a time that says nothing about the keys that are stored.
    const user = this.#byDigest.get(digestOfApiKey(apiKey) ?? '')
    return user && infoOf(user)
  }

  signerOf(name: string): Signer {
    const { signer } = this.#active(name)
    if (signer === undefined) throw this.#lockedError(`cannot sign for ${name}`)
    return signer
  }

  #change<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(() => onDisk(this.#dir, work))
    this.#queue = result.catch(() => {})
    return result
  }

  /** On disk first, then true. */
  async #write(user: User): Promise<User> {
    if ((await mkdir(this.#dir, { recursive: true, mode: 0o700 })) !== undefined) {
      await syncDirectory(dirname(this.#dir))
    }
    await writePrivateFile(userFileOf(this.#dir, user.record.name), textOfUser(user.record))
    this.#keep(user)
    return user
  }

  #keep(user: User): void {
    const { name, publicKey, apiKeySha256, state } = user.record
    const before = this.#users.get(name.toLowerCase())
    if (before !== undefined) this.#byDigest.delete(before.record.apiKeySha256)
    this.#users.set(name.toLowerCase(), user)
    this.#byKey.set(publicKey, user)
    if (state === 'active') this.#byDigest.set(apiKeySha256, user)
  }

  /** @returns undefined when the seed is not that of the public key. */
  async #unsealed(record: UserRecord): Promise<User | undefined> {
    const seed =
      typeof record.seed === 'string'
        ? Buffer.from(record.seed, 'hex')
        : await this.#sealer?.open(record.seed, sealContextOf(record))
    if (seed === undefined) return { record }
    const signer = signerOf(seed)
    return signer.publicKey === record.publicKey ? { record, signer } : undefined
  }

  /** Copies made by hand: one name, key or API key is one user's. */
  #clashOf({ record }: User): string | undefined {
    const same =
      this.#users.get(record.name.toLowerCase()) ??
      this.#byKey.get(record.publicKey) ??
      this.#byDigest.get(record.apiKeySha256)
    return same && `it says what is said of ${same.record.name} already`
  }

  /** After a change of mind about passphrases: what is in plain gets sealed, user by user. */
  async #sealPlain(): Promise<void> {
    if (this.#sealer === undefined || this.#isClosed()) return
    const plain = [...this.#users.values()].filter(({ record }) => !isSealed(record))
    for (const user of plain) {
      const bytes = Buffer.from(String(user.record.seed), 'hex')
      const seed = await this.#sealer.seal(bytes, sealContextOf(user.record))
      await this.#write({ ...user, record: { ...user.record, seed } })
    }
    if (plain.length === 0) return
    this.#needs.logger.info({ count: plain.length }, 'sealed the signing keys of users')
  }

  /**
   * True when keys are sealed and none could be opened. Sealing more of them with a passphrase that
   * nothing bears out would part the home in two.
   */
  #isClosed(): boolean {
    const sealed = [...this.#users.values()].filter(({ record }) => isSealed(record))
    return sealed.length > 0 && sealed.every(({ signer }) => signer === undefined)
  }

  #get(name: string): User {
    const user = this.#users.get(name.toLowerCase())
    if (user?.record.name === name) return user
    const damaged = this.#damage.get(name.toLowerCase())
    if (damaged !== undefined) throw damageError(damaged)
    throw new GonkError('NOT_FOUND', `there is no user ${printable(name)}`, {
      hint: 'see `gonk-node users list`',
    })
  }

  #active(name: string): User {
    const user = this.#get(name)
    if (user.record.state === 'active') return user
    throw new GonkError('NOT_ALLOWED', `the user ${name} was removed`, {
      hint: 'add a user of another name',
    })
  }

  #lockedError(what: string): GonkError {
    return this.#needs.passphrase === undefined
      ? new GonkError('LOCKED', `${what}: signing keys are sealed, and no passphrase was given`)
      : new GonkError('LOCKED', `${what}: the passphrase given does not open the sealed keys`, {
          hint: 'correct the file that GONK_PASSPHRASE_FILE names, then start the node again',
        })
  }

  #noteDamage(file: string, reason: string): void {
    const problem = `${file} cannot be used: ${reason}`
    const name = /([^/\\]*)\.json$/.exec(file)?.[1]
    if (name !== undefined && isUserName(name)) this.#damage.set(name.toLowerCase(), problem)
    this.#needs.logger.error({ code: 'HOME_DAMAGED', file, reason }, 'a user file cannot be used')
  }

  #warnOfLocked(): void {
    const users = this.list().flatMap(({ name, locked }) => (locked ? [name] : []))
    if (users.length === 0) return
    const why = this.#needs.passphrase === undefined ? 'no passphrase' : 'the wrong passphrase'
    this.#needs.logger.warn({ code: 'LOCKED', users }, `users cannot sign: ${why} was given`)
  }
}

const isSealed = ({ seed }: UserRecord) => typeof seed !== 'string'

function infoOf({ record, signer }: User): UserInfo {
  const { name, role, publicKey, createdAt, state } = record
  return {
    ...{ name, role, publicKey, createdAt },
    removed: state === 'removed',
    locked: signer === undefined,
  }
}

function freshApiKey(random: Random): { apiKey: string; apiKeySha256: string } {
  const apiKey = newApiKey(random)
  return { apiKey, apiKeySha256: digestOfApiKey(apiKey) as string }
}

function checkNew(name: string, role: Role): void {
  if (!isUserName(name)) {
    throw new GonkError('BAD_NAME', `${JSON.stringify(printable(name))} is not a user name`, {
      hint: 'use 1 to 64 of A-Z a-z 0-9 . _ -, the first of them not . or -',
    })
  }
  if (roles.includes(role)) return
  throw new GonkError('USAGE', `there is no role ${printable(String(role))}`, {
    hint: `give one of ${roles.join(', ')}`,
  })
}

function damageError(problem: string): GonkError {
  return new GonkError('HOME_DAMAGED', problem, {
    hint: 'put the file back from a copy, or move it away and add a user of another name',
  })
}

const printable = (text: string) => text.slice(0, 100).replaceAll(/\p{C}/gu, '\u{fffd}')

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

/** Gives failures of the file system their code. */
async function onDisk<T>(dir: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Error) || !('syscall' in error)) throw error
    throw new GonkError('DISK', `cannot use ${dir}: ${error.message}`, { cause: error })
  }
}
