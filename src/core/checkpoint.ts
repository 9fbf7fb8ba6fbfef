// Checkpoints: whose votes count, when they suffice, and which of several goes on the chain. What is
// here in full and who lives in which state is given.
import type { CheckpointBody } from './event.ts'
import type { CheckpointId, PublicKey } from './ids.ts'

type Keys = ReadonlySet<PublicKey>

/** More than two thirds of so many voters. */
export function quorumOf(voters: number): number {
  return Math.floor((2 * voters) / 3) + 1
}

/**
 * Whose votes count: keys that live before the checkpoint and stay; where nobody stays, all that live
 * after it. Who is removed or has left in it does not hold it up.
 */
export function votersOf(before: Keys, after: Keys): Keys {
  const staying = [...before].filter((key) => after.has(key))
  return staying.length > 0 ? new Set(staying) : after
}

export interface Tally {
  readonly voters: Keys
  readonly needed: number
  readonly isFinal: boolean
}

/**
 * @param before keys that live in the state of the checkpoint before, at height 0 the founders.
 * @param after keys that live in the state of this one.
 * @param votes keys that voted for it, whatever layer A says of the events that carry the votes.
 */
export function tallyOf(before: Keys, after: Keys, votes: Keys): Tally {
  const voters = votersOf(before, after)
  const needed = quorumOf(voters.size)
  return { voters, needed, isFinal: countIn(voters, votes) >= needed }
}

/**
 * Whether it may be final, by what is cheap to know; false only where it is not.
 * @param stay of `before`, keys that nothing it covers could remove.
 */
export function mayBeFinal(before: Keys, stay: Keys, votes: Keys): boolean {
  // Perhaps all are others afterwards.
  if (stay.size === 0) return true
  // One more voter that voted never makes it worse.
  const voters = new Set([...stay, ...[...before].filter((key) => votes.has(key))])
  return countIn(voters, votes) >= quorumOf(voters.size)
}

export interface Candidate {
  readonly id: CheckpointId
  readonly votes: Keys
}

/** Of several that are final and complete, the one that goes on: most votes by `before`, then id. */
export function bestOf<T extends Candidate>(candidates: Iterable<T>, before: Keys): T | undefined {
  let best: T | undefined
  let most = -1
  for (const candidate of candidates) {
    const votes = countIn(before, candidate.votes)
    if (votes < most || (votes === most && best !== undefined && best.id < candidate.id)) continue
    best = candidate
    most = votes
  }
  return best
}

/**
 * The checkpoints that lead to an anchor, itself included, from height 1 on.
 * @returns undefined while the body of one of them is not known, or where their heights do not fit.
 */
export async function pathTo(
  anchor: CheckpointId,
  bodyOf: (id: CheckpointId) => Promise<CheckpointBody | undefined>,
): Promise<readonly CheckpointId[] | undefined> {
  const path: CheckpointId[] = []
  let height: number | undefined
  for (let id: CheckpointId | undefined = anchor; id !== undefined;) {
    const body: CheckpointBody | undefined = await bodyOf(id)
    if (body === undefined) return undefined
    if (height !== undefined && body.height !== height - 1) return undefined
    height = body.height
    path.push(id)
    id = body.previous
  }
  return path.reverse()
}

function countIn(keys: Keys, votes: Keys): number {
  let count = 0
  for (const key of votes) if (keys.has(key)) count++
  return count
}
