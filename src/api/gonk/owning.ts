// Who may review, by the names of this node's users or by keys.
import { GonkError } from '../../core/errors.ts'
import type { PublicKey } from '../../core/ids.ts'
import type { NodeContext } from '../context.ts'
import { broken, type View } from './view.ts'

export async function addOwner(
  context: NodeContext,
  { replica }: View,
  user: string,
): Promise<{ user: string }> {
  const key = keyOf(context, user)
  if (key === undefined) throw new GonkError('USAGE', 'User does not exist.')
  if (replica.tenureOf(key)) throw broken('owner already present')
  requireOwner(context, replica, 'only owners can add owners')
  await replica.act(context.signer, { kind: 'add', key }, async () => {
    if (replica.tenureOf(key)) throw broken('owner already present')
  })
  return { user }
}

export async function removeOwner(
  context: NodeContext,
  { replica }: View,
  user: string,
): Promise<{ user: string }> {
  requireOwner(context, replica, 'only owners may remove owners')
  const key = keyOf(context, user, true)
  const body = { kind: 'remove' as const, key: key ?? ('' as PublicKey) }
  if (key === undefined) throw broken('target key is not an owner')
  await replica.act(context.signer, body, async (own) => {
    const target = replica.tenureOf(key)
    if (target === undefined) throw broken('target key is not an owner')
    const keys = new Set(replica.tenures.filter(({ live }) => live).map((tenure) => tenure.key))
    if (keys.size === 1) throw broken('removing owner would leave the dataset ownerless')
    if (target.key !== own.key && !(await replica.isSenior(own, target))) {
      throw broken('cannot remove a higher ranking owner')
    }
  })
  return { user }
}

function requireOwner({ signer }: NodeContext, replica: View['replica'], text: string): void {
  if (replica.tenureOf(signer.publicKey) === undefined) throw broken(text)
}

/** @param orGone users that were removed, too. */
function keyOf({ users }: NodeContext, user: string, orGone = false): PublicKey | undefined {
  if (/^[0-9a-f]{64}$/.test(user)) return user as PublicKey
  const found = users.find(user)
  if (found === undefined || (found.removed && !orGone)) return undefined
  return found.publicKey as PublicKey
}
