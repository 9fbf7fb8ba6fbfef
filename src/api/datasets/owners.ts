// Changes of who may approve.
import { GonkError } from '../../core/errors.ts'
import { type PublicKey, textOfEventId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { Tenure } from '../../core/state.ts'
import type { CatalogEntry } from '../../log/catalog.ts'
import type { NodeContext } from '../context.ts'
import type { Replica } from '../../replica/replica.ts'
import type { OwnersChanged } from '../../contract/api.ts'
import { keyOf } from '../people.ts'
import { ownersOf, requireNew } from './endorsements.ts'

export function parseKey(key: string): PublicKey {
  if (!/^[0-9a-f]{64}$/.test(key)) {
    throw new GonkError('USAGE', `"${key}" is not a public key`, {
      hint: 'a key is 64 lower-case hex digits; `gonk-node status` prints your own',
    })
  }
  return key as PublicKey
}

/**
 * Signs the addition of an owner, a key or a user of this node: in force when enough owners agree.
 * Throws USAGE, NOT_FOUND, NOT_OWNER, EXISTS, ALREADY_APPROVED, TOO_LARGE.
 */
export async function addOwner(
  context: NodeContext,
  entry: CatalogEntry,
  who: string,
  name?: string,
): Promise<OwnersChanged> {
  const key = keyOf(context, who)
  if (name !== undefined && Buffer.byteLength(name) > limits.textBytesMax) {
    throw new GonkError('TOO_LARGE', `a display name has at most ${limits.textBytesMax} bytes`)
  }
  const replica = await context.replicas.get(entry.id)
  const body = { kind: 'add' as const, key, ...(name !== undefined && { name }) }
  const event = await replica.act(context.signer, body, async (own) => {
    if (replica.tenureOf(key)) {
      throw new GonkError('EXISTS', `${who} is an owner already`, {
        hint: 'see `gonk-node owner list`',
      })
    }
    await requireNew(replica, own, { kind: 'add', key })
  })
  return { event: textOfEventId(event.id), ...(await ownersOf(context, replica)) }
}

/**
 * Signs the removal of a junior owner, a key or a user of this node, or this key's own leaving, which
 * needs nobody's agreement. Throws USAGE, NOT_FOUND, NOT_OWNER, NOT_ALLOWED, LAST_OWNER, EXISTS,
 * ALREADY_APPROVED.
 */
export async function removeOwner(
  context: NodeContext,
  entry: CatalogEntry,
  who: string,
): Promise<OwnersChanged> {
  const key = keyOf(context, who, { orGone: true })
  const replica = await context.replicas.get(entry.id)
  const event = await replica.act(context.signer, { kind: 'remove', key }, async (own) => {
    const target = replica.tenureOf(key)
    if (target === undefined) throw new GonkError('NOT_FOUND', `${who} is not an owner`)
    if (target.key === own.key) {
      if (replica.tenures.filter((tenure) => tenure.live).length > 1) return
      throw new GonkError('LAST_OWNER', 'a dataset cannot be left without an owner')
    }
    if (!(await replica.isSenior(own, target))) {
      throw new GonkError('NOT_ALLOWED', `${who} is not junior to the key of ${context.me.name}`)
    }
    await requireEnoughSeniors(replica, target, who)
    await requireNew(replica, own, { kind: 'remove', key })
  })
  return { event: textOfEventId(event.id), ...(await ownersOf(context, replica)) }
}

async function requireEnoughSeniors(replica: Replica, target: Tenure, who: string): Promise<void> {
  const { kOwner } = replica.policy
  if (kOwner === 1) return
  const seniors = new Set<PublicKey>()
  for (const tenure of replica.tenures) {
    if (tenure.live && (await replica.isSenior(tenure, target))) seniors.add(tenure.key)
  }
  if (seniors.size >= kOwner) return
  const some = seniors.size === 1 ? 'only one is' : `only ${seniors.size} are`
  throw new GonkError('NOT_ALLOWED', `${kOwner} owners senior to ${who} must agree; ${some}`, {
    hint: 'such an owner can only leave, with `gonk-node owner remove` and its own key',
  })
}
