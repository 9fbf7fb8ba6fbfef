// What people are told of checkpoints. Anybody who was ever added can vote for as many as they like: shown
// are those on the chain, and of the rest what owners voted for, so many of each.
import { quorumOf, votersOf } from '../core/checkpoint.ts'
import type { CheckpointBody } from '../core/event.ts'
import type { CheckpointId, PublicKey } from '../core/ids.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { Authority } from './authority.ts'
import type { Chain } from './chain.ts'
import type { Sealed } from './sealed.ts'

/** A checkpoint that somebody voted for. */
export interface Checkpoint {
  readonly id: CheckpointId
  readonly body: CheckpointBody
  /** Keys of owners that voted for it, of now and of settled states. */
  readonly votes: readonly PublicKey[]
  /**
   * How many keys' votes count, how many of these it needs, and how many it has; all 0 while that is not
   * known.
   */
  readonly voters: number
  readonly needed: number
  readonly have: number
  /**
   * `final`: on the chain. `open`: it may follow. `incomplete`: not all it covers, or what it follows, is
   * here. `passed-over`: the chain went another way, or it cannot follow.
   */
  readonly status: 'final' | 'open' | 'incomplete' | 'passed-over'
  /** Whether its root is what its state gives here. */
  readonly root: 'verified' | 'mismatch' | 'unknown'
}

export interface ListNeeds {
  readonly log: DatasetLog
  readonly sealed: Sealed
  readonly chain: Chain
  readonly authority: Authority
  /** Whether its root is right, as far as that was computed. */
  readonly isRight: (id: CheckpointId) => boolean | undefined
}

/** Shown of one key's, after one checkpoint: who votes as meant votes once, or for what is ahead. */
const SHOWN_OF_KEY = 8
/** Shown of those that follow what is not on the chain. */
const SHOWN_ELSEWHERE = 64

/** By height and id. Work: that of what may follow on the chain, a bounded number of times for each owner. */
export async function listCheckpoints(needs: ListNeeds): Promise<Checkpoint[]> {
  const { sealed, chain } = needs
  const owners = ownersOf(needs)
  const ids = new Set(sealed.links.map(({ id }) => id))
  if (chain.anchor !== undefined) ids.add(chain.anchor)
  for (const id of await votedBy(needs, owners)) ids.add(id)
  const found: Checkpoint[] = []
  for (const id of ids) {
    const checkpoint = await describeCheckpoint(needs, id, owners)
    if (checkpoint !== undefined) found.push(checkpoint)
  }
  return found.sort((a, b) => a.body.height - b.body.height || (a.id < b.id ? -1 : 1))
}

/** Keys that own the dataset now, or did in a state that is settled. */
function ownersOf({ sealed, authority }: ListNeeds): ReadonlySet<PublicKey> {
  const live = authority.tenures.filter((tenure) => tenure.live).map(({ key }) => key)
  return new Set([...authority.founders, ...live, ...sealed.links.flatMap((link) => link.live)])
}

async function votedBy(
  { log, sealed }: ListNeeds,
  owners: ReadonlySet<PublicKey>,
): Promise<Set<CheckpointId>> {
  const links = new Set<CheckpointId | undefined>([undefined, ...sealed.links.map(({ id }) => id)])
  const shown = new Set<CheckpointId>()
  const elsewhere = new Map<CheckpointId, number>()
  let after: CheckpointId | undefined
  let counts = new Map<PublicKey, number>()
  for await (const { id, key, previous } of log.checkpoints.allVotes()) {
    if (!owners.has(key)) continue
    if (!links.has(previous)) {
      elsewhere.set(id, (elsewhere.get(id) ?? 0) + 1)
      continue
    }
    if (previous !== after) counts = new Map()
    after = previous
    const count = (counts.get(key) ?? 0) + 1
    counts.set(key, count)
    if (count <= SHOWN_OF_KEY) shown.add(id)
  }
  const most = [...elsewhere].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
  for (const [id] of most.slice(0, SHOWN_ELSEWHERE)) shown.add(id)
  return shown
}

/** @returns undefined when nobody voted for it. */
export async function describeCheckpoint(
  needs: ListNeeds,
  id: CheckpointId,
  owners = ownersOf(needs),
): Promise<Checkpoint | undefined> {
  const { log, sealed, chain } = needs
  const { links } = sealed
  const body = await log.checkpoints.body(id)
  if (body === undefined) return undefined
  const votes = [...(await log.checkpoints.votesFor(id, body, owners))].sort()
  const isRight = links.find((link) => link.id === id)?.isRight ?? needs.isRight(id)
  const root = isRight === undefined ? 'unknown' : isRight ? 'verified' : 'mismatch'
  const common = { id, body, votes, root } as const
  const unknown = { ...common, voters: 0, needed: 0, have: 0 }
  const counted = (voters: ReadonlySet<PublicKey>) => ({
    voters: voters.size,
    needed: quorumOf(voters.size),
    have: votes.filter((key) => voters.has(key)).length,
  })
  const place = await chain.placeOf(body)
  if (place === undefined) {
    const before = body.previous && (await log.checkpoints.body(body.previous))
    const isPassed = before !== undefined && before.height <= links.length
    return { ...unknown, status: isPassed ? 'passed-over' : 'incomplete' }
  }
  const link = links[place.count]
  if (link?.id === id) {
    return { ...common, ...counted(votersOf(place.live, new Set(link.live))), status: 'final' }
  }
  if (link !== undefined) return { ...unknown, status: 'passed-over' }
  const { covered, tally } = await chain.look(id, body, place)
  if (covered.is !== 'complete') {
    return { ...unknown, status: covered.is === 'incomplete' ? 'incomplete' : 'passed-over' }
  }
  if (tally === undefined) return { ...unknown, status: 'open' }
  return { ...common, ...counted(tally.voters), status: 'open' }
}
