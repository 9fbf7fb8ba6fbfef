// Checkpoints: what is settled for good, what waits for votes, and what this node was told to trust.
import { CID } from 'multiformats/cid'
import { GonkError } from '../../core/errors.ts'
import { checkpointIdOf } from '../../core/checkpoint-id.ts'
import { type CheckpointId, type EventId, eventIdOfText, textOfEventId } from '../../core/ids.ts'
import type { Checkpoint, Replica } from '../../replica/replica.ts'
import type {
  Alarm,
  CheckpointInfo,
  CheckpointRef,
  Checkpoints,
  CheckpointVoted,
  CloneRequest,
} from '../../contract/api.ts'
import type { NodeContext } from '../context.ts'
import { onlyOne } from '../resolve.ts'

/** A checkpoint is called by the CID of its block, as an event is. */
export const textOfCheckpoint = (id: CheckpointId): string => textOfEventId(id as string as EventId)

export async function listCheckpoints(replica: Replica): Promise<Checkpoints> {
  const known = await replica.checkpoints()
  return { checkpoints: known.map((one) => infoOf(replica, one)), alarms: alarmsOf(replica) }
}

function infoOf(replica: Replica, checkpoint: Checkpoint): CheckpointInfo {
  const { id, body, status, root, votes, voters, needed, have } = checkpoint
  return {
    id: textOfCheckpoint(id),
    height: body.height,
    status,
    anchor: replica.anchor === id,
    ...(body.previous !== undefined && { previous: textOfCheckpoint(body.previous) }),
    heads: body.heads.map(textOfEventId),
    without: body.without.map(textOfEventId),
    root: CID.decode(body.root).toString(),
    check: root,
    votes: [...votes],
    voters,
    needed,
    have,
  }
}

/** The newest final checkpoint, and what is wrong, for who looks at the dataset as a whole. */
export async function settledOf(
  replica: Replica,
): Promise<{ checkpoint?: CheckpointRef; alarms: Alarm[] }> {
  const alarms = alarmsOf(replica)
  const id = replica.settledBy
  const body = id && (await replica.log.checkpoints.body(id))
  if (id === undefined || body === undefined) return { alarms }
  return { checkpoint: { id: textOfCheckpoint(id), height: body.height }, alarms }
}

/**
 * Proposes to settle all that is here now, and votes for it. Throws NOT_OWNER, ALREADY_VOTED, EXISTS
 * (nothing came since the last one).
 */
export async function createCheckpoint(
  context: NodeContext,
  replica: Replica,
): Promise<CheckpointVoted> {
  const checkpoint = await replica.checkpointDraft()
  const event = await replica.act(context.signer, { kind: 'cp', checkpoint })
  const id = checkpointIdOf(replica.id, checkpoint, context.crypto.sha256)
  const voted = await replica.checkpoint(id)
  if (voted === undefined) throw new GonkError('INTERNAL', 'the vote for a checkpoint is lost')
  return { event: textOfEventId(event.id), checkpoint: infoOf(replica, voted) }
}

/**
 * Votes for a checkpoint. Throws NOT_OWNER, NOT_FOUND, AMBIGUOUS, ALREADY_VOTED, EXISTS (another was
 * chosen), NOT_HERE (what it covers is not all here), BAD_ROOT (it gives another root here).
 */
export async function voteCheckpoint(
  context: NodeContext,
  replica: Replica,
  ref: string,
): Promise<CheckpointVoted> {
  const found = await resolveCheckpoint(replica, ref)
  const { id, body: checkpoint, votes, status } = found
  const name = textOfCheckpoint(id)
  if (status === 'incomplete') {
    throw new GonkError('NOT_HERE', `not all that checkpoint ${name} covers is here`, {
      hint: 'connect to a peer that has it, then repeat',
    })
  }
  if (status === 'passed-over') {
    throw new GonkError('EXISTS', `another checkpoint was chosen in place of ${name}`, {
      hint: 'see `gonk-node checkpoint list`; make a new one with `checkpoint create`',
    })
  }
  if ((await replica.isCheckpointRight(id)) === false) {
    throw new GonkError('BAD_ROOT', `checkpoint ${name} names another root than the one here`, {
      hint: 'do not vote for it: whoever made it is wrong, or runs another program',
    })
  }
  const event = await replica.act(context.signer, { kind: 'cp', checkpoint }, async (own) => {
    if (!votes.includes(own.key)) return
    throw new GonkError('ALREADY_VOTED', `you have voted for checkpoint ${name} already`)
  })
  const voted = (await replica.checkpoint(id)) ?? found
  return { event: textOfEventId(event.id), checkpoint: infoOf(replica, voted) }
}

/** Makes a checkpoint the anchor of this node. Throws ANCHOR_NOT_FOUND, AMBIGUOUS. */
export async function trustCheckpoint(replica: Replica, ref: string): Promise<CheckpointInfo> {
  const { id } = await resolveCheckpoint(replica, ref, 'ANCHOR_NOT_FOUND')
  await replica.setAnchor(id)
  return infoOf(replica, await resolveCheckpoint(replica, textOfCheckpoint(id), 'ANCHOR_NOT_FOUND'))
}

/** Throws BAD_CID. */
export function parseCheckpoint(text: string): CheckpointId {
  const id = eventIdOfText(text)
  if (id !== undefined) return id as string as CheckpointId
  throw new GonkError('BAD_CID', `"${text.slice(0, 100)}" is not the id of a checkpoint`, {
    hint: 'give it in full, as `gonk-node checkpoint list` prints it',
  })
}

/**
 * Trusts a checkpoint that a clone was asked to contain; a root that is kept as it is must settle it
 * already. Throws ANCHOR_NOT_FOUND.
 */
export async function anchorTo(
  replica: Replica,
  anchor: CheckpointId,
  { pinOnly = false }: Pick<CloneRequest, 'pinOnly'>,
): Promise<void> {
  const find = () => replica.checkpoint(anchor)
  if (!pinOnly && (await find()) !== undefined) await replica.setAnchor(anchor)
  if ((await find())?.status === 'final') return
  const what = `the dataset does not contain the checkpoint ${textOfCheckpoint(anchor)}`
  throw new GonkError('ANCHOR_NOT_FOUND', what, {
    hint:
      'ask who gave it to you; the same command with another --peer or --anchor goes on, ' +
      '`gonk-node dataset forget` gives it up',
  })
}

async function resolveCheckpoint(
  replica: Replica,
  ref: string,
  code: 'NOT_FOUND' | 'ANCHOR_NOT_FOUND' = 'NOT_FOUND',
): Promise<Checkpoint> {
  const whole = eventIdOfText(ref)
  const exact = whole && (await replica.checkpoint(whole as string as CheckpointId))
  if (exact) return exact
  const all = await replica.checkpoints()
  const found = all.filter(({ id }) => ref !== '' && textOfCheckpoint(id).startsWith(ref))
  if (found.length > 0) return onlyOne(found, ref, 'checkpoint', ({ id }) => textOfCheckpoint(id))
  throw new GonkError(code, `no checkpoint "${ref.slice(0, 100)}" here`, {
    hint: 'see `gonk-node checkpoint list`',
  })
}

const alarmTexts: Readonly<Record<Replica['alarms'][number]['kind'], string>> = {
  forked: 'owners have made several checkpoints final in one place: this node follows the first',
  'root-mismatch': 'a checkpoint names another root than the one that this node has computed',
  'chain-changed': 'what the first of these had settled is no longer so: the other took its place',
}

function alarmsOf({ alarms }: Replica): Alarm[] {
  return alarms.map(({ kind, ids }) => {
    return { kind, what: alarmTexts[kind], ids: ids.map(textOfCheckpoint) }
  })
}
