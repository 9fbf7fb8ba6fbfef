// Who may review, by the names of this node's users or by keys.
import { GonkError } from '../../core/errors.ts'
import { type PublicKey, textOfEventId } from '../../core/ids.ts'
import type { NodeContext } from '../context.ts'
import { endorse } from '../datasets/endorsements.ts'
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
  if (await agreed(context, replica, { kind: 'add', key })) return { user }
  await replica.act(context.signer, { kind: 'add', key }, async () => {
    if (replica.tenureOf(key)) throw broken('owner already present')
  })
  return { user }
}

/**
 * Gonk has no word for agreeing: who asks for what another owner has signed, and what waits, agrees.
 * @returns whether that was so.
 */
async function agreed(
  context: NodeContext,
  replica: View['replica'],
  { kind, key }: { readonly kind: 'add' | 'remove'; readonly key: PublicKey },
): Promise<boolean> {
  const waiting = await replica.operationsWaiting()
  const found = waiting.filter((operation) => operation.kind === kind && operation.key === key)
  if (found.some(({ endorsedBy }) => endorsedBy.includes(context.signer.publicKey))) {
    throw broken('waiting for other owners to ask for the same')
  }
  const [operation] = found
  if (operation === undefined) return false
  await endorse(context, replica, textOfEventId(operation.event))
  return true
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
  if (await agreed(context, replica, { kind: 'remove', key })) return { user }
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
