// A checkpoint of all that is here and counts, and the root of what a checkpoint covers.
import type { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import type { CheckpointBody } from '../core/event.ts'
import { type EventId, founderTenure, textOfEventId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { areVotes, type CandidateNeeds, coveredBy, type Place, walkFrom } from './candidate.ts'
import type { Delta } from './sealed-feed.ts'

export interface DraftNeeds extends CandidateNeeds {
  /** The root of the whole dataset but for some owner events that nothing follows from. */
  readonly rootWithout: (events: readonly EventId[], heads: readonly EventId[]) => Promise<CID>
}

/**
 * What a checkpoint made now says, at the end of the chain. Everything must be derived. Throws EXISTS when
 * nothing but votes came since the last one, TOO_LARGE, NOT_HERE.
 */
export async function draftCheckpoint(needs: DraftNeeds, place: Place): Promise<CheckpointBody> {
  const { sealed, authority } = needs
  const last = sealed.links.at(-1)
  const { parents } = await authority.frontier(limits.parentsMax, founderTenure(0))
  const { fresh, reached, builtOn } = await walkFrom(needs, parents, place.count)
  if (areVotes(fresh)) {
    const id = last && textOfEventId(last.id as string as EventId)
    throw new GonkError('EXISTS', `nothing came since checkpoint ${id}`, {
      hint: 'a checkpoint settles what was decided since the one before',
    })
  }
  // What is settled stays covered, also where it does not count.
  const lost = (last?.heads ?? []).filter((head) => !reached.has(head))
  const ends = parents.filter((id) => !builtOn.has(id))
  const heads = [...new Set([...ends, ...lost])].sort()
  if (heads.length > limits.parentsMax) {
    throw new GonkError('TOO_LARGE', `the history has more than ${limits.parentsMax} ends`, {
      hint: 'decide something first: that brings them together',
    })
  }
  const body = { height: place.count + 1, heads, ...(last && { previous: last.id }) }
  const all = await coveredBy(needs, { ...body, without: [] }, place)
  const without = all.is === 'incomplete' ? [...all.missing].sort() : []
  const covered = await coveredBy(needs, { ...body, without }, place)
  if (covered.is !== 'complete' || without.length > limits.withoutMax) {
    throw new GonkError(
      'NOT_HERE',
      `${without.length} proposals that owners decided are not here`,
      {
        hint: 'connect to a peer that has them, then repeat',
      },
    )
  }
  const root = await rootOver(needs, covered.delta, heads)
  return { ...body, without, root: root.bytes }
}

/** The root of what a complete checkpoint at the end of the chain covers. Everything must be derived. */
export async function rootOver(
  needs: DraftNeeds,
  delta: Delta,
  heads: readonly EventId[],
): Promise<CID> {
  const { log, sealed } = needs
  const { fresh } = await walkFrom(needs, await log.heads(), sealed.links.length)
  const covered = new Set(delta.owner)
  const beyond = fresh.filter(({ id }) => !covered.has(id))
  const left = await log.proposals([...delta.without])
  const isHeldBack = left.some((row) => row !== undefined)
  // Votes change nothing: without them the state is the one that is here.
  if (isHeldBack || !areVotes(beyond)) return sealed.rootWith(delta)
  const { builtOn } = await walkFrom(needs, heads, sealed.links.length)
  const settled = new Set(sealed.links.at(-1)?.heads)
  const ends = heads.filter((id) => !builtOn.has(id) && (covered.has(id) || settled.has(id)))
  return needs.rootWithout(
    beyond.map(({ id }) => id),
    ends,
  )
}
