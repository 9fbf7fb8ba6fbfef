// The open part of a dataset: what no final checkpoint covers, and what that bears on.
import type { EventId } from '../core/ids.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { Crypto } from '../ports.ts'
import { walkFrom } from './candidate.ts'
import { namedBy } from './read-ahead.ts'
import type { Sealed } from './sealed.ts'
import { eventOf } from './verdicts.ts'

export interface OpenNeeds {
  readonly log: DatasetLog
  readonly sealed: Sealed
  readonly crypto: Pick<Crypto, 'sha256'>
}

/**
 * Proposals that may be decided otherwise than in the settled state: those that open reviews name, and
 * those that are named and left out. Work: that of the open part.
 */
export async function openProposals(needs: OpenNeeds): Promise<Set<EventId>> {
  const { log, sealed, crypto } = needs
  const open = new Set(await sealed.log.wanted(-1))
  const { fresh } = await walkFrom(needs, await log.heads(), sealed.links.length)
  for (const { id, kind } of fresh) {
    const event = kind === 'review' ? await eventOf({ log, sha256: crypto.sha256 }, id) : undefined
    if (event?.family === 'owner') for (const proposal of namedBy(event)) open.add(proposal)
  }
  return open
}
