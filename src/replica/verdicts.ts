// Writes what layer A decides: verdicts and requirements that changed, and what they make dirty.
import { decodeEvent } from '../core/event-codec.ts'
import type { Event } from '../core/event.ts'
import type { EventId, Sha256 } from '../core/ids.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { Authority } from './authority.ts'
import type { Draft } from './draft.ts'

export interface VerdictNeeds {
  readonly log: DatasetLog
  readonly authority: Authority
  readonly sha256: Sha256
}

/** For the new events of the draft, and for old ones. */
export async function applyVerdicts(needs: VerdictNeeds, draft: Draft): Promise<void> {
  const { log, authority } = needs
  const { verdicts, requirements } = await authority.changes([...draft.headers.values()])
  for (const { id, isVoid } of verdicts) {
    draft.writes.push(log.setVoid(id, isVoid))
  }
  for (const { id, requires } of requirements) {
    draft.writes.push(log.requirements.set(id, requires))
  }
  for (const { id } of [...verdicts, ...requirements]) {
    const event =
      draft.stored.find((candidate) => candidate.id === id) ?? (await eventOf(needs, id))
    if (event?.family !== 'owner' || event.body.kind !== 'review') continue
    for (const item of event.body.items) draft.dirty.add(item.proposal)
  }
  const summary = authority.summary()
  if (summary) draft.writes.push(log.putMeta('authority', summary))
}

/** @returns undefined when it is not here, or cannot be read. */
export async function eventOf(
  needs: Pick<VerdictNeeds, 'log' | 'sha256'>,
  id: EventId,
): Promise<Event | undefined> {
  const block = await needs.log.block(id)
  if (block === undefined) return undefined
  const event = decodeEvent(block, needs.sha256)
  return 'refused' in event ? undefined : event
}
