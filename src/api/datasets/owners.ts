// Changes of who may approve.
import { GonkError } from '../../core/errors.ts'
import { type PublicKey, textOfEventId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { CatalogEntry } from '../../log/catalog.ts'
import type { NodeContext } from '../context.ts'
import { listOwners } from './owners-list.ts'
import type { OwnerInfo } from '../../contract/api.ts'
import { keyOf } from '../people.ts'

export function parseKey(key: string): PublicKey {
  if (!/^[0-9a-f]{64}$/.test(key)) {
    throw new GonkError('USAGE', `"${key}" is not a public key`, {
      hint: 'a key is 64 lower-case hex digits; `gonk-node status` prints your own',
    })
  }
  return key as PublicKey
}

/**
 * Signs the addition of an owner, a key or a user of this node. Throws USAGE, NOT_FOUND, NOT_OWNER,
 * EXISTS, TOO_LARGE.
 */
export async function addOwner(
  context: NodeContext,
  entry: CatalogEntry,
  who: string,
  name?: string,
): Promise<{ event: string; owners: OwnerInfo[] }> {
  const key = keyOf(context, who)
  if (name !== undefined && Buffer.byteLength(name) > limits.textBytesMax) {
    throw new GonkError('TOO_LARGE', `a display name has at most ${limits.textBytesMax} bytes`)
  }
  const replica = await context.replicas.get(entry.id)
  const body = { kind: 'add' as const, key, ...(name !== undefined && { name }) }
  const event = await replica.act(context.signer, body, async () => {
    if (replica.tenureOf(key)) throw new GonkError('EXISTS', `${who} is an owner already`)
  })
  return { event: textOfEventId(event.id), owners: await listOwners(context, replica) }
}

/**
 * Signs the removal of a junior owner, a key or a user of this node, or this key's own leaving.
 * Throws USAGE, NOT_FOUND, NOT_OWNER, NOT_ALLOWED, LAST_OWNER.
 */
export async function removeOwner(
  context: NodeContext,
  entry: CatalogEntry,
  who: string,
): Promise<{ event: string; owners: OwnerInfo[] }> {
  const key = keyOf(context, who, { orGone: true })
  const replica = await context.replicas.get(entry.id)
  const event = await replica.act(context.signer, { kind: 'remove', key }, async (own) => {
    const target = replica.tenureOf(key)
    if (target === undefined) throw new GonkError('NOT_FOUND', `${who} is not an owner`)
    if (target.key === own.key) {
      if (replica.tenures.filter((tenure) => tenure.live).length > 1) return
      throw new GonkError('LAST_OWNER', 'a dataset cannot be left without an owner')
    }
    if (await replica.isSenior(own, target)) return
    throw new GonkError('NOT_ALLOWED', `${who} is not junior to the key of ${context.me.name}`)
  })
  return { event: textOfEventId(event.id), owners: await listOwners(context, replica) }
}
