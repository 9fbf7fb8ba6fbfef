// Proposals made of files of this machine; deletions, and new names.
import { GonkError } from '../../core/errors.ts'
import type { Operation } from '../../core/event.ts'
import { textOfEventId, type VersionId } from '../../core/ids.ts'
import type { ObjectRow } from '../../core/state.ts'
import { filesUnder } from '../../files/folder.ts'
import { ingest } from '../../files/ingest.ts'
import type { CID } from 'multiformats/cid'
import type { CatalogEntry } from '../../log/catalog.ts'
import type { Replica } from '../../replica/replica.ts'
import { changeFor, checkMeta, checkName, fileNamed, ownPending, pendingKey } from './changes.ts'
import type { NodeContext } from '../context.ts'
import { resolveAnyObject } from './object-detail.ts'
import { proposedInfo } from './objects.ts'
import { type Deletion, proposeDeletions } from './deletions.ts'
import { Batch, proposeAll, requireOwner } from './proposing.ts'
import type {
  AddRequest,
  AddResult,
  Approvals,
  ObjectInfo,
  ProgressOptions,
  Removed,
} from '../../contract/api.ts'
import { headsOf, ProposalReader } from './versions.ts'
import { allOf, furthestOf, pending as undecided, standingOf } from '../review/signed.ts'
import { acceptWaiting, isSame } from './waiting.ts'

export interface AddOptions extends ProgressOptions {
  readonly onObject?: (object: ObjectInfo) => void
}

/**
 * Stores files and proposes them in signed batches. Files that are here already, under the same
 * name and with the same bytes, are skipped, also when this node has proposed them already; with
 * `accept`, what the same key has proposed is accepted.
 * Throws NOT_OWNER (with `accept`), NOT_FOUND, BAD_NAME, DISK, CANCELLED.
 */
export async function add(
  context: NodeContext,
  entry: CatalogEntry,
  request: AddRequest,
  options: AddOptions = {},
): Promise<AddResult> {
  // Until they are proposed, nothing keeps the blocks of files from the collector.
  return context.keeper.gate.shared(() => addFiles(context, entry, request, options))
}

async function addFiles(
  context: NodeContext,
  entry: CatalogEntry,
  request: AddRequest,
  options: AddOptions,
): Promise<AddResult> {
  const replica = await context.replicas.get(entry.id)
  const { accept = false, meta } = request
  if (accept) requireOwner(context, replica)
  checkMeta(meta)
  const warnings: string[] = []
  const local = filesUnder(request.paths, {
    ...(request.prefix !== undefined && { prefix: request.prefix }),
    onSkipped: (path, why) => warnings.push(`${path}: ${why}, skipped`),
    signal: options.signal,
  })
  const pending = await ownPending(replica, accept ? context.signer.publicKey : undefined)
  const reader = new ProposalReader(replica)
  const waiting: VersionId[] = []
  const taken = new Set<string>()
  const result = { events: [] as string[], objects: [] as ObjectInfo[], skipped: 0, warnings }
  const tell = (info: ObjectInfo) => {
    if (options.onObject) options.onObject(info)
    else result.objects.push(info)
  }
  let batch = new Batch()
  let contents: CID[] = []
  const lacking: { approvals?: Approvals }[] = []
  const flush = async () => {
    const proposals = await proposeAll(context, replica, batch.operations, { contents, accept })
    const made = allOf(proposals)
    const standing = accept ? await standingOf(context, replica, made) : undecided
    lacking.push(standing)
    for (const proposal of proposals) {
      result.events.push(textOfEventId(proposal.id))
      for (const index of proposal.operations.keys()) {
        tell(proposedInfo(proposal, index, standing.statusOf({ proposal: proposal.id, index })))
      }
    }
    batch = new Batch()
    contents = []
  }
  let files = 0
  let bytes = 0
  for await (const file of ingest(local, context.files, { signal: options.signal })) {
    files++
    bytes += file.sizeBytes
    options.onProgress?.({ what: 'adding', done: files, total: 0, bytes })
    const wanted = { name: file.name, content: file.cid.bytes, sizeBytes: file.sizeBytes, meta }
    const key = pendingKey(wanted)
    const known = pending.get(key)
    const isTaken = taken.has(key) || (known !== undefined && !accept)
    const operation = isTaken ? undefined : await changeFor(replica, wanted)
    if (operation === undefined) {
      result.skipped++
      continue
    }
    taken.add(key)
    if (known !== undefined && (await isSame(reader, known, operation))) {
      waiting.push(known)
      continue
    }
    if (!batch.add(operation)) {
      await flush()
      batch.add(operation)
    }
    contents.push(file.cid)
  }
  await flush()
  const { events, objects, ...standing } = await acceptWaiting(context, reader, waiting)
  result.events.push(...events)
  for (const info of objects) tell(info)
  return { ...result, ...furthestOf([...lacking, standing]) }
}

/** Proposes the deletion of objects, by name or id prefix. Throws NOT_FOUND, AMBIGUOUS. */
export async function removeObjects(
  context: NodeContext,
  entry: CatalogEntry,
  refs: readonly string[],
): Promise<Removed> {
  const replica = await context.replicas.get(entry.id)
  const deletions: Deletion[] = []
  for (const ref of refs) {
    const row = await liveObject(replica, ref)
    deletions.push({ op: 'delete', object: row.id, base: headsOf(row) })
  }
  return proposeDeletions(context, replica, deletions)
}

/** Throws NOT_FOUND, AMBIGUOUS. */
export async function liveObject(replica: Replica, ref: string): Promise<ObjectRow> {
  const row = await resolveAnyObject(replica, ref)
  if (row.current !== undefined) return row
  if (row.versions.length > 0) {
    throw new GonkError('NOT_FOUND', `${ref} is deleted already`, {
      hint: 'there is nothing left to change; propose it anew to have it again',
    })
  }
  throw new GonkError('NOT_FOUND', `${ref} was never accepted`, {
    hint: 'there is nothing to change yet; an owner can turn it down with `review reject`',
  })
}

/** Proposes a new name for an object. Throws BAD_NAME, EXISTS, NOT_FOUND. */
export async function renameObject(
  context: NodeContext,
  entry: CatalogEntry,
  ref: string,
  name: string,
): Promise<{ events: string[] }> {
  const replica = await context.replicas.get(entry.id)
  checkName(name)
  const row = await liveObject(replica, ref)
  if (row.current?.type !== 'file') throw new GonkError('USAGE', `${ref} is not a file`)
  if (await fileNamed(replica, name)) {
    throw new GonkError('EXISTS', `another object is named "${name}"`)
  }
  const value = { ...row.current, name }
  const operation: Operation = { op: 'update', object: row.id, base: headsOf(row), value }
  const proposal = await replica.propose(context.signer, [operation])
  return { events: [textOfEventId(proposal.id)] }
}
