// What is signed and waits until more owners agree: additions, removals, policies; and agreeing to it.
import { GonkError } from '../../core/errors.ts'
import { type EventId, type PublicKey, type TenureId, textOfEventId } from '../../core/ids.ts'
import type { Tenure } from '../../core/state.ts'
import type { OwnerOperation, Replica } from '../../replica/replica.ts'
import type { Endorsed, Owners, WaitingOperation } from '../../contract/api.ts'
import type { NodeContext } from '../context.ts'
import { readEvents, resolveEvent } from '../resolve.ts'
import { timeText } from '../text.ts'
import { forksIn } from './forks.ts'
import { listOwners } from './owners-list.ts'

/** In the order of their depth. */
export async function waitingOf(replica: Replica): Promise<WaitingOperation[]> {
  const operations = await replica.operationsWaiting()
  const ids = operations.map(({ event }) => event)
  const events = await readEvents(replica.log, ids)
  return operations.map((operation, i): WaitingOperation => {
    const { event, kind, key, kReview, by, endorsedBy, needed } = operation
    const signed = events[i]
    const body = signed?.family === 'owner' && signed.body.kind === 'add' ? signed.body : undefined
    return {
      event: textOfEventId(event),
      kind,
      ...(key !== undefined && { key }),
      ...(body?.name !== undefined && { name: body.name }),
      ...(kReview !== undefined && { reviews: kReview }),
      by,
      at: timeText(signed?.claimedAtMs ?? 0),
      endorsedBy: [...endorsedBy],
      approvals: { have: endorsedBy.length, needed },
    }
  })
}

/** Owners by rank, and what waits for more of them. */
export async function ownersOf(
  context: Pick<NodeContext, 'users' | 'me'>,
  replica: Replica,
): Promise<Owners> {
  const [owners, waiting, forks] = await Promise.all([
    listOwners(context, replica),
    waitingOf(replica),
    forksIn(replica.log),
  ])
  return { owners, waiting, ...forks }
}

/**
 * Refuses to sign what waits already in another event: who agrees endorses that. Whose agreement there
 * would not count, as who became an owner after it, may sign it anew. Throws EXISTS, ALREADY_APPROVED.
 */
export async function requireNew(
  replica: Replica,
  own: Tenure,
  { kind, ...of }: { kind: OwnerOperation['kind']; key?: PublicKey; kReview?: number },
): Promise<void> {
  const isIt = (one: OwnerOperation) =>
    one.kind === kind && one.key === of.key && one.kReview === of.kReview
  const found = (await replica.operationsWaiting()).filter(isIt)
  const mine = found.find(({ endorsedBy }) => endorsedBy.includes(own.key))
  if (mine) throw agreedAlready(mine)
  const isOpen = await Promise.all(found.map((one) => counts(replica, own, one)))
  const other = found.find((_, i) => isOpen[i])
  if (other === undefined) return
  const { event, endorsedBy, needed } = other
  const what = `it is signed already and waits: ${endorsedBy.length} of ${needed} owners agree`
  throw new GonkError('EXISTS', what, {
    hint: `agree to it: \`gonk-node owner endorse DATASET ${textOfEventId(event)}\``,
    details: { event: textOfEventId(event) },
  })
}

function agreedAlready({ event, endorsedBy, needed }: OwnerOperation): GonkError {
  const have = endorsedBy.length
  const more = needed - have
  const what = `you have agreed to ${textOfEventId(event)} already; ${have} of ${needed}`
  const who = more === 1 ? 'another owner runs' : `${more} other owners run`
  return new GonkError('ALREADY_APPROVED', `${what}, ${more} more must agree`, {
    hint: `${who} \`gonk-node owner endorse\`; \`gonk-node owner list\` names them`,
    details: { approvals: { have, needed } },
  })
}

/**
 * Signs an endorsement of what waits. Throws NOT_OWNER, NOT_FOUND, AMBIGUOUS, EXISTS (it is in force),
 * ALREADY_APPROVED, and NOT_ALLOWED for an owner whose agreement would not count.
 * @param ref id of the event, or a unique prefix.
 */
export async function endorse(
  context: NodeContext,
  replica: Replica,
  ref: string,
): Promise<Endorsed> {
  const id = await resolveEvent(replica.log, ref)
  const event = await replica.act(
    context.signer,
    { kind: 'endorse', operation: id },
    async (own) => {
      const operation = (await replica.operationsWaiting()).find(({ event }) => event === id)
      if (operation === undefined) throw await notWaiting(replica, id)
      if (operation.endorsedBy.includes(own.key)) throw agreedAlready(operation)
      if (await counts(replica, own, operation)) return
      throw wouldNotCount(context.me.name, operation)
    },
  )
  return {
    event: textOfEventId(event.id),
    operation: textOfEventId(id),
    ...(await ownersOf(context, replica)),
  }
}

function wouldNotCount(who: string, { kind }: OwnerOperation): GonkError {
  if (kind === 'remove') {
    const what = `the key of ${who} is not senior to the owner that this removes`
    return new GonkError('NOT_ALLOWED', what, {
      hint: 'only those who are can agree; `gonk-node owner list` ranks them',
    })
  }
  const what = `the key of ${who} was no owner yet when this was signed, so its agreement would not count`
  const anew = kind === 'add' ? 'owner add' : 'policy set'
  return new GonkError('NOT_ALLOWED', what, {
    hint: `sign it anew with \`gonk-node ${anew}\`, for others to agree to`,
  })
}

/** Whether the endorser is senior to whom it is about; of a policy, an owner already in its past. */
async function counts(replica: Replica, own: Tenure, operation: OwnerOperation): Promise<boolean> {
  const { event, kind, key } = operation
  if (kind !== 'remove') return isBefore(replica, own, event)
  const targets = replica.tenures.filter((tenure) => tenure.live && tenure.key === key)
  for (const target of targets) if (await replica.isSenior(own, target)) return true
  return false
}

/** As seniority is asked of tenures: of one that began with the event. */
function isBefore(replica: Replica, own: Tenure, event: EventId): Promise<boolean> {
  const id = event as string as TenureId
  return replica.isSenior(own, { id, key: own.key, addDepth: 0, exists: false, live: false })
}

async function notWaiting(replica: Replica, id: EventId): Promise<GonkError> {
  const [event] = await readEvents(replica.log, [id])
  const kind = event?.kind ?? ''
  if (!['add', 'remove', 'policy'].includes(kind)) {
    const accept = '`gonk-node review accept` decides on proposals'
    return new GonkError('USAGE', `${textOfEventId(id)} is nothing that owners endorse`, {
      hint: kind === 'propose' ? accept : 'see what waits for them: `gonk-node owner list`',
    })
  }
  const [isVoid] = await replica.log.areVoid([id])
  const what = isVoid ? 'was struck: its author was removed' : 'is in force already'
  return new GonkError('EXISTS', `${textOfEventId(id)} ${what}`, {
    hint: 'see what waits for endorsement: `gonk-node owner list`',
  })
}
