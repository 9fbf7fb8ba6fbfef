// How many owners must agree to what.
import { GonkError } from '../../core/errors.ts'
import { textOfEventId } from '../../core/ids.ts'
import type { Replica } from '../../replica/replica.ts'
import type { PolicyChanged, PolicyInfo } from '../../contract/api.ts'
import type { NodeContext } from '../context.ts'
import { requireNew, waitingOf } from './endorsements.ts'

export async function showPolicy(replica: Replica): Promise<PolicyInfo> {
  const { kOwner, kReview } = replica.policy
  const live = replica.tenures.filter((tenure) => tenure.live)
  const waiting = (await waitingOf(replica)).filter(({ kind }) => kind === 'policy')
  return { kOwner, kReview, owners: new Set(live.map(({ key }) => key)).size, waiting }
}

/**
 * Signs how many owners must accept a change from now on: in force when enough owners agree.
 * Throws USAGE, NOT_OWNER, EXISTS (it is so, or waits already), ALREADY_APPROVED.
 */
export async function setPolicy(
  context: NodeContext,
  replica: Replica,
  reviews: number,
): Promise<PolicyChanged> {
  const { kOwner } = replica.policy
  if (reviews < 1 || reviews > kOwner) {
    const what = `between 1 and ${kOwner} owners can be asked to accept a change`
    throw new GonkError('USAGE', what, {
      hint: `the --threshold the dataset was made with, ${kOwner}, is the most`,
    })
  }
  const body = { kind: 'policy' as const, kReview: reviews }
  const event = await replica.act(context.signer, body, async (own) => {
    await requireNew(replica, own, body)
    const { kReview } = replica.policy
    if (kReview !== reviews) return
    const who = reviews === 1 ? '1 owner' : `${reviews} owners`
    throw new GonkError('EXISTS', `${who} must accept a change already`, {
      hint: 'see `gonk-node policy show`',
    })
  })
  return { event: textOfEventId(event.id), ...(await showPolicy(replica)) }
}
