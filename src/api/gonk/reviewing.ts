// Decisions of one event at a time, as Gonk knows them. An accepted update whose base is not
// accepted would change nothing in ours: then one that builds on what is current carries it on.
import { GonkError } from '../../core/errors.ts'
import type { Operation, Verdict } from '../../core/event.ts'
import { compareVersions, type VersionId } from '../../core/ids.ts'
import type { ObjectRow, Version } from '../../core/state.ts'
import type { Replica } from '../../replica/replica.ts'
import type { NodeContext } from '../context.ts'
import { proposeAll } from '../objects/proposing.ts'
import { obstaclesTo, refusalOf } from '../review/acceptable.ts'
import { approvalsOfAll } from '../review/approvals.ts'
import { versionText } from '../text.ts'
import { asMismatch } from './changing.ts'
import { statusAt } from './rows.ts'
import { broken, type View } from './view.ts'

/** @param uuid of the event. Throws what Gonk's rules say, NOT_HERE, LOCKED. */
export async function review(
  context: NodeContext,
  view: View,
  uuid: string,
  verdict: Verdict,
): Promise<{ uuid: string }> {
  await view.alone([`review ${uuid}`], async () => {
    const { id, operation } = await openOperation(view, uuid)
    if (view.replica.tenureOf(context.signer.publicKey) === undefined) {
      throw broken('review event from non-owner')
    }
    if (verdict === 'accept') await requireNew(context, view, id)
    await sign(context, view.replica, id, verdict)
    const [place] = operation.places
    if (verdict === 'accept' && operation.makes && place && place.version > 0) {
      await view.alone([place.uuid], () => carryOn(context, view, id))
    }
  })
  return { uuid }
}

async function openOperation(view: View, uuid: string) {
  const { log } = view
  let seq = await log.seqOf(uuid)
  if (seq === undefined) {
    await view.catchUp()
    seq = await log.seqOf(uuid)
  }
  const row = seq === undefined ? undefined : await log.event(seq)
  if (row === undefined) throw broken('no events with event UUID found')
  const id = row.operation
  const operation = id && (await log.operation(id))
  if (id === undefined || operation === undefined) {
    throw broken('review on non object or annotation event')
  }
  if (await isDecided(view, id)) throw broken('event already reviewed')
  return { id, operation }
}

/**
 * Asked of what is told from: a review of a moment ago may not be told yet, and one that was told may
 * be struck.
 */
async function isDecided({ replica }: View, { proposal, index }: VersionId): Promise<boolean> {
  const row = await replica.log.proposal(proposal)
  return row !== undefined && statusAt(row, index) !== 'pending'
}

/** Where several owners must accept, each does so once, and till then the event is pending. */
async function requireNew(context: NodeContext, { replica }: View, id: VersionId): Promise<void> {
  const [known] = await approvalsOfAll(replica, [id], context.signer.publicKey)
  if (known?.isMine === true) throw broken('event already reviewed')
}

/**
 * Without a check behind the lock of the replica: reviews at one time share one write to the disk.
 */
async function sign(
  context: NodeContext,
  replica: Replica,
  { proposal: of, index }: VersionId,
  verdict: Verdict,
): Promise<void> {
  const proposal = await replica.proposal(of)
  if (proposal === undefined) throw new GonkError('NOT_HERE', 'the proposal is damaged or gone')
  const isWhole = proposal.operations.length === 1
  const item = isWhole ? { proposal: of } : { proposal: of, ranges: [[index, index] as const] }
  const body = { kind: 'review' as const, verdict, items: [item] }
  if (verdict === 'reject') return void (await replica.act(context.signer, body))
  const batch = [{ proposal, runs: [[index, index] as const] }]
  // What was fetched for an acceptance is kept by nothing else until that is signed.
  await context.keeper.gate.shared(async () => {
    const options = { allowStale: true, firstOnly: true }
    const obstacles = await obstaclesTo(context, replica, batch, options)
    if (obstacles.size > 0) return asMismatch(refusalOf(context, replica, obstacles, batch))
    return replica.act(context.signer, body)
  })
}

async function carryOn(context: NodeContext, { replica }: View, id: VersionId): Promise<void> {
  const said = await replica.log.proposal(id.proposal)
  if (said === undefined || statusAt(said, id.index) !== 'accepted') return
  const operation = (await replica.proposal(id.proposal))?.operations[id.index]
  if (operation?.op !== 'update') return
  const [row] = await replica.log.objectRows([operation.object])
  if (row === undefined || row.purged || row.heads.length === 0 || isActive(row, id)) return
  const base = row.heads.map((head) => (row.versions[head] as Version).id)
  const { object, value } = operation
  const labels = { 'gonk.of': versionText(id) }
  const standIn: Operation = { op: 'update', object, base, value, labels }
  await proposeAll(context, replica, [standIn], { accept: true })
}

function isActive({ active, versions }: ObjectRow, id: VersionId): boolean {
  return active.some((i) => compareVersions((versions[i] as Version).id, id) === 0)
}
