// The users of a node as its doors see them: who they are, what they may do, how they sign.
import type { Signer } from '../ports.ts'

/** `reader` reads; `member` also proposes, and reviews where its key is an owner; `admin` may all. */
export type Role = 'reader' | 'member' | 'admin'

export interface UserInfo {
  readonly name: string
  readonly role: Role
  /** 64 lower-case hex digits of the key this user's events are signed with. */
  readonly publicKey: string
  /** RFC 3339, UTC. */
  readonly createdAt: string
  /** May do nothing any more. The key is kept, so that what it signed keeps its name. */
  readonly removed: boolean
  /** The signing key is sealed, and no passphrase was given that opens it. */
  readonly locked: boolean
}

/** A user with the API key that was just made: the only time it can be seen. */
export interface UserWithApiKey {
  readonly user: UserInfo
  /** `gk_` and 32 of A-Za-z0-9. Secret. */
  readonly apiKey: string
}

/**
 * Changes are on disk when they resolve. An unknown name is NOT_FOUND, one whose file cannot be
 * read HOME_DAMAGED; whatever writes may throw DISK.
 */
export interface Users {
  /** All users by name, removed ones too. */
  list(): UserInfo[]
  find(name: string): UserInfo | undefined
  byKey(publicKey: string): UserInfo | undefined
  /**
   * Makes a user with new keys. Throws BAD_NAME; EXISTS for a name that was ever used, in capitals
   * or not; LOCKED where the key would have to be sealed with a passphrase that is not here.
   */
  add(name: string, role: Role): Promise<UserWithApiKey>
  /** A new API key; the one before stops. Throws NOT_ALLOWED for a removed user. */
  rekey(name: string): Promise<UserWithApiKey>
  /** Disables the user for good; doing it again changes nothing. */
  remove(name: string): Promise<UserInfo>
  /** Who this API key belongs to; undefined for a wrong one and for that of a removed user. */
  authenticate(apiKey: string): UserInfo | undefined
  /** Throws NOT_ALLOWED for a removed user, LOCKED while the key is sealed. */
  signerOf(name: string): Signer
}
