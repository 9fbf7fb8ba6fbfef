// A checkpoint of all that is here and counts, and the root of what a checkpoint covers.
import type { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import type { CheckpointBody } from '../core/event.ts'
import { type EventId, founderTenure, textOfEventId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import {
  areVotes,
  type CandidateNeeds,
  coveredBy,
  notHere,
  type Place,
  type Walked,
  walkFrom,
} from './candidate.ts'
import { namedBy } from './read-ahead.ts'
import type { Delta } from './sealed-feed.ts'
import { eventOf } from './verdicts.ts'

const HEADERS_PER_READ = 1_000

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
  const heads = checked([...new Set([...ends, ...lost])].sort())
  const whole = await bodyOf(needs, place, heads)
  if (whole.body.without.length <= limits.withoutMax) return withRoot(needs, whole)
  // Somebody decided about more than a checkpoint may leave out: it takes several.
  const part = await headsOfPart(needs, fresh, last?.heads ?? [])
  return withRoot(needs, await bodyOf(needs, place, checked(part)))
}

type Unrooted = Omit<CheckpointBody, 'root'>

function checked(heads: readonly EventId[]): readonly EventId[] {
  if (heads.length <= limits.parentsMax) return heads
  throw new GonkError('TOO_LARGE', `the history has more than ${limits.parentsMax} ends`, {
    hint: 'decide something first: that brings them together',
  })
}

/** What is not here is left out. */
async function bodyOf(
  needs: CandidateNeeds,
  place: Place,
  heads: readonly EventId[],
): Promise<{ body: Unrooted; delta: Delta }> {
  const last = needs.sealed.links.at(-1)
  const body = { height: place.count + 1, heads, ...(last && { previous: last.id }) }
  const all = await coveredBy(needs, { ...body, without: [] }, place)
  const without = all.is === 'incomplete' ? [...all.missing].sort() : []
  const covered = await coveredBy(needs, { ...body, without }, place)
  if (covered.is === 'complete') return { body: { ...body, without }, delta: covered.delta }
  throw new GonkError('NOT_HERE', 'events that a checkpoint would settle are not here', {
    hint: 'connect to a peer that has them, then repeat',
  })
}

async function withRoot(
  needs: DraftNeeds,
  { body, delta }: { body: Unrooted; delta: Delta },
): Promise<CheckpointBody> {
  return { ...body, root: (await rootOver(needs, delta, body.heads)).bytes }
}

/**
 * Ends of the longest first part of what is new, parents first, that names no more proposals that are not
 * here than one checkpoint may leave out.
 */
async function headsOfPart(
  needs: CandidateNeeds,
  fresh: Walked['fresh'],
  settled: readonly EventId[],
): Promise<EventId[]> {
  const { log } = needs
  const part: EventId[] = []
  const missing = new Set<EventId>()
  for (const { id, kind } of fresh) {
    const event = kind === 'review' ? await eventOf(needs, id) : undefined
    const named = event?.family === 'owner' ? namedBy(event) : []
    for (const proposal of await notHere(log, named)) missing.add(proposal)
    if (missing.size > limits.withoutMax) break
    part.push(id)
  }
  const builtOn = new Set<EventId>()
  for (let from = 0; from < part.length; from += HEADERS_PER_READ) {
    const rows = await log.headers(part.slice(from, from + HEADERS_PER_READ))
    for (const row of rows) for (const parent of row?.parents ?? []) builtOn.add(parent)
  }
  return [...new Set([...part, ...settled])].filter((id) => !builtOn.has(id)).sort()
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
  const open = [...delta.without, ...(await sealed.log.wanted(-1))]
  const left = await log.proposals(open.filter((id) => !delta.proposals.has(id)))
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
