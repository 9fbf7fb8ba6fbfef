// Proposals made on this node: new files, new versions, deletions, new names.
import { GonkError } from '../core/errors.ts'
import type { Operation, Proposal } from '../core/event.ts'
import { hexOf, objectIdOf, textOfEventId, type VersionId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { namePathProblem } from '../core/names.ts'
import { objectRowOf } from '../core/objects.ts'
import type { ObjectRow } from '../core/state.ts'
import { filesUnder } from '../files/folder.ts'
import { ingest, type IngestedFile } from '../files/ingest.ts'
import type { CatalogEntry } from '../log/catalog.ts'
import type { Replica } from '../replica/replica.ts'
import type { NodeContext } from './context.ts'
import { resolveObject } from './objects.ts'
import { acceptProposals } from './review.ts'
import type { AddRequest, AddResult, ObjectInfo, ProgressOptions } from './types.ts'

/** Below the event limit by a margin for the envelope and the last operation. */
const PROPOSAL_BYTES = limits.eventBytesMax - 16 * 1024
const OPERATIONS_PER_PROPOSAL = 1_000

export interface AddOptions extends ProgressOptions {
  readonly onObject?: (object: ObjectInfo) => void
}

/**
 * Stores files and proposes them in signed batches. Files that are here already, under the same
 * name and with the same bytes, are skipped, also when this node has proposed them already.
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
  if (request.accept === true) requireOwner(context, replica)
  checkMeta(request.meta)
  const warnings: string[] = []
  const local = filesUnder(request.paths, {
    ...(request.prefix !== undefined && { prefix: request.prefix }),
    onSkipped: (path, why) => warnings.push(`${path}: ${why}, skipped`),
    signal: options.signal,
  })
  const pending = await ownPending(context, replica)
  const result = { events: [] as string[], objects: [] as ObjectInfo[], skipped: 0, warnings }
  const batch = new Batch()
  let files = 0
  let bytes = 0
  const flush = async () => {
    if (batch.size === 0) return
    const { operations, files } = batch.take()
    const proposal = await proposeFiles(context, replica, operations, files)
    if (request.accept === true) await acceptProposals(context, replica, [proposal])
    result.events.push(textOfEventId(proposal.id))
    const status = request.accept === true ? 'accepted' : 'pending'
    for (const info of infosOf(context, proposal, files, status)) {
      if (options.onObject) options.onObject(info)
      else result.objects.push(info)
    }
  }
  for await (const file of ingest(local, context.files, { signal: options.signal })) {
    files++
    bytes += file.sizeBytes
    options.onProgress?.({ what: 'adding', done: files, total: 0, bytes })
    const operation = await operationFor(replica, file, request.meta, pending)
    if (operation === undefined) {
      result.skipped++
      continue
    }
    if (!batch.hasRoomFor(operation)) await flush()
    batch.push(operation, file)
  }
  await flush()
  return result
}

class Batch {
  #operations: Operation[] = []
  #files: IngestedFile[] = []
  #bytes = 0

  get size(): number {
    return this.#operations.length
  }

  hasRoomFor(operation: Operation): boolean {
    const bytes = this.#bytes + sizeOf(operation)
    return this.size < OPERATIONS_PER_PROPOSAL && bytes <= PROPOSAL_BYTES
  }

  push(operation: Operation, file: IngestedFile): void {
    this.#operations.push(operation)
    this.#files.push(file)
    this.#bytes += sizeOf(operation)
  }

  take() {
    const taken = { operations: this.#operations, files: this.#files }
    this.#operations = []
    this.#files = []
    this.#bytes = 0
    return taken
  }
}

/** At least the bytes of its encoding. */
function sizeOf(operation: Operation): number {
  const value =
    'value' in operation && operation.value.type === 'file' ? operation.value : undefined
  const text = value
    ? value.name.length * 3 + value.mediaType.length + (value.meta ?? '').length * 3
    : 0
  const bases = 'base' in operation ? operation.base.length * 48 : 0
  return 160 + text + bases
}

function requireOwner(context: NodeContext, replica: Replica): void {
  if (replica.tenureOf(context.signer.publicKey)) return
  throw new GonkError('NOT_OWNER', `this node's key ${context.signer.publicKey} is not an owner`)
}

function checkMeta(meta: string | undefined): void {
  if (meta === undefined) return
  if (Buffer.byteLength(meta) > limits.metaBytesMax) {
    throw new GonkError('TOO_LARGE', `--meta is larger than ${limits.metaBytesMax} bytes`)
  }
  try {
    JSON.parse(meta)
  } catch (cause) {
    throw new GonkError('USAGE', '--meta is not JSON', { cause })
  }
}

/** Name and content of what this node has proposed and nobody has decided. */
async function ownPending(context: NodeContext, replica: Replica): Promise<Set<string>> {
  const pending = new Set<string>()
  for await (const id of replica.log.pending()) {
    const row = await replica.log.proposal(id)
    if (row?.own !== true) continue
    const proposal = await replica.proposal(id)
    for (const { from, to } of row.decisions.filter(({ status }) => status === 'pending')) {
      for (const operation of proposal?.operations.slice(from, to + 1) ?? []) {
        if (!('value' in operation) || operation.value.type !== 'file') continue
        pending.add(pendingKey(operation.value.name, operation.value.content))
      }
    }
  }
  return pending
}

const pendingKey = (name: string, content: Uint8Array): string => `${hexOf(content)} ${name}`

/** @returns undefined when there is nothing to propose. */
async function operationFor(
  replica: Replica,
  file: IngestedFile,
  meta: string | undefined,
  pending: Set<string>,
): Promise<Operation | undefined> {
  const { name, mediaType, sizeBytes, cid } = file
  const content = cid.bytes
  if (pending.has(pendingKey(name, content))) return undefined
  const value = {
    type: 'file' as const,
    name,
    mediaType,
    sizeBytes,
    content,
    ...(meta !== undefined && { meta }),
  }
  const existing = await objectNamed(replica, name)
  pending.add(pendingKey(name, content))
  if (existing === undefined) return { op: 'create', value }
  const { current } = existing
  const isSame = current?.type === 'file' && hexOf(current.content) === hexOf(content)
  if (isSame && (meta === undefined || current.meta === meta)) return undefined
  return { op: 'update', object: existing.id, base: headsOf(existing), value }
}

async function objectNamed(replica: Replica, name: string): Promise<ObjectRow | undefined> {
  const [claim] = await replica.log.names.claimsOn('file', name)
  return claim && rowOf(replica, claim.object)
}

async function rowOf(replica: Replica, id: ObjectRow['id']): Promise<ObjectRow> {
  const [versions] = await replica.log.versions([id])
  return objectRowOf(id, versions ?? [])
}

function headsOf(row: ObjectRow): VersionId[] {
  return row.heads.map((head) => (row.versions[head] as ObjectRow['versions'][number]).id)
}

/** The rows that keep the files go first: the synced event after them makes both durable. */
async function proposeFiles(
  context: NodeContext,
  replica: Replica,
  operations: readonly Operation[],
  files: readonly IngestedFile[],
): Promise<Proposal> {
  await context.keeper.hold(files.map((file) => file.cid))
  return replica.propose(context.signer, operations)
}

function infosOf(
  context: NodeContext,
  proposal: Proposal,
  files: readonly IngestedFile[],
  status: ObjectInfo['status'],
): ObjectInfo[] {
  const event = textOfEventId(proposal.id)
  return proposal.operations.map((operation, index) => {
    const file = files[index] as IngestedFile
    const id = { proposal: proposal.id, index }
    return {
      id: 'object' in operation ? operation.object : objectIdOf(id, context.crypto.sha256),
      version: `${event}:${index}`,
      name: file.name,
      mediaType: file.mediaType,
      size: file.sizeBytes,
      cid: file.cid.toString(),
      status,
    }
  })
}

/** Proposes the deletion of objects, by name or id prefix. */
export async function removeObjects(
  context: NodeContext,
  entry: CatalogEntry,
  refs: readonly string[],
): Promise<{ events: string[] }> {
  const replica = await context.replicas.get(entry.id)
  const operations: Operation[] = []
  for (const ref of refs) {
    const row = await liveObject(replica, ref)
    operations.push({ op: 'delete', object: row.id, base: headsOf(row) })
  }
  const events: string[] = []
  for (let i = 0; i < operations.length; i += OPERATIONS_PER_PROPOSAL) {
    const chunk = operations.slice(i, i + OPERATIONS_PER_PROPOSAL)
    events.push(textOfEventId((await replica.propose(context.signer, chunk)).id))
  }
  return { events }
}

async function liveObject(replica: Replica, ref: string): Promise<ObjectRow> {
  const row = await resolveObject(replica, ref)
  if (row.current !== undefined) return row
  throw new GonkError('NOT_FOUND', `object ${ref} is deleted`)
}

/** Proposes a new name for an object. Throws BAD_NAME, EXISTS, NOT_FOUND. */
export async function renameObject(
  context: NodeContext,
  entry: CatalogEntry,
  ref: string,
  name: string,
): Promise<{ events: string[] }> {
  const replica = await context.replicas.get(entry.id)
  const problem = namePathProblem(name) ?? (name === name.normalize('NFC') ? undefined : 'not NFC')
  if (problem !== undefined) throw new GonkError('BAD_NAME', `"${name}": ${problem}`)
  const row = await liveObject(replica, ref)
  if (row.current?.type !== 'file') throw new GonkError('USAGE', `${ref} is not a file`)
  if (await objectNamed(replica, name)) {
    throw new GonkError('EXISTS', `another object is named "${name}"`)
  }
  const value = { ...row.current, name }
  const operation: Operation = { op: 'update', object: row.id, base: headsOf(row), value }
  const proposal = await replica.propose(context.signer, [operation])
  return { events: [textOfEventId(proposal.id)] }
}
