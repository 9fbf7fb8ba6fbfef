// Users of this node.
import type { Role, UserInfo, UserWithKey } from '../contract/api.ts'
import type { UserWithApiKey } from '../users/users.ts'
import type { NodeContext } from './context.ts'

type Needs = Pick<NodeContext, 'users'>

/** Makes a user, a member unless said otherwise. Throws BAD_NAME, EXISTS, LOCKED, DISK. */
export async function addUser(
  { users }: Needs,
  { name, role = 'member' }: { name: string; role?: Role },
): Promise<UserWithKey> {
  return withKey(await users.add(name, role))
}

export async function listUsers({ users }: Needs): Promise<UserInfo[]> {
  return users.list()
}

/** A new API key in place of the old one. Throws NOT_FOUND, NOT_ALLOWED (a removed user), DISK. */
export async function rekeyUser({ users }: Needs, name: string): Promise<UserWithKey> {
  return withKey(await users.rekey(name))
}

/** Disables a user; the signing key stays. Throws NOT_FOUND, DISK. */
export async function removeUser({ users }: Needs, name: string): Promise<UserInfo> {
  return users.remove(name)
}

const withKey = ({ user, apiKey }: UserWithApiKey): UserWithKey => ({ ...user, apiKey })
