// The people behind keys: the names this node has for them, and keys by these names.
import { GonkError } from '../core/errors.ts'
import type { PublicKey } from '../core/ids.ts'
import type { NodeContext } from './context.ts'

const isKey = (text: string): boolean => /^[0-9a-f]{64}$/.test(text)

type Needs = Pick<NodeContext, 'users' | 'me'>

/** The node's user with the key, removed ones too, or whoever asks. Not what the key claims. */
export function userOf({ users, me }: Needs, key: string): string | undefined {
  return users.byKey(key)?.name ?? (me.publicKey === key ? me.name : undefined)
}

/** The same entry with the name this node has for its author, where it has one. */
export function withUser<Entry extends { readonly author: string }>(
  context: Needs,
  entry: Entry,
): Entry & { readonly user?: string } {
  const user = userOf(context, entry.author)
  return user === undefined ? entry : { ...entry, user }
}

/** The same of an author alone. */
export function withUserOf<Author extends { readonly key: string }>(
  context: Needs,
  author: Author,
): Author & { readonly user?: string } {
  const user = userOf(context, author.key)
  return user === undefined ? author : { ...author, user }
}

/** The same filter by a key or its beginning, where it names `me` or a user. Throws USAGE. */
export function byAuthor<Filter extends { readonly author?: string | undefined }>(
  { users, me }: Needs,
  filter: Filter,
): Filter {
  const { author } = filter
  if (author === undefined || isKey(author)) return filter
  const key = author === 'me' ? me.publicKey : users.find(author)?.publicKey
  if (key !== undefined) return { ...filter, author: key }
  if (/^[0-9a-f]{0,64}$/.test(author)) return filter
  throw nobody(author)
}

/**
 * The key in full, or that of a user by name. Throws USAGE for neither; NOT_FOUND for a removed
 * user, unless `orGone`.
 */
export function keyOf(
  { users }: Pick<Needs, 'users'>,
  who: string,
  { orGone = false }: { orGone?: boolean } = {},
): PublicKey {
  if (isKey(who)) return who as PublicKey
  const user = users.find(who)
  if (user === undefined) throw nobody(who)
  if (user.removed && !orGone) {
    throw new GonkError('NOT_FOUND', `user ${who} was removed`, {
      hint: 'name another one; see `gonk-node users list`',
    })
  }
  return user.publicKey as PublicKey
}

function nobody(who: string): GonkError {
  return new GonkError('USAGE', `"${who.slice(0, 100)}" is neither a public key nor a user here`, {
    hint: 'a key is 64 lower-case hex digits: see `gonk-node status` there, or `users list` here',
  })
}
