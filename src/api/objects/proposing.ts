// Operations into signed proposals: the one way in which every part of the API proposes.
import type { CID } from 'multiformats/cid'
import { GonkError } from '../../core/errors.ts'
import type { Labels, Operation, Proposal } from '../../core/event.ts'
import { limits } from '../../core/limits.ts'
import type { AbortOptions } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import type { NodeContext } from '../context.ts'
import { acceptProposals } from '../review/review.ts'

export interface ProposeOptions extends AbortOptions {
  /** Files that the operations name, all of whose blocks are here. */
  readonly contents?: readonly CID[]
  /** Also sign an acceptance: for owners. */
  readonly accept?: boolean
  /** Of each proposal. */
  readonly labels?: Record<string, string>
}

/** Below the event limit by a margin for the envelope and the last operation. */
const PROPOSAL_BYTES = limits.eventBytesMax - 16 * 1024
const OPERATIONS_PER_PROPOSAL = 1_000

/**
 * Signs proposals of these operations, as few as hold them, in their order; with `accept` also accepts
 * them. Call it inside `keeper.gate.shared` when content was just stored: until it is proposed nothing
 * else keeps it. Throws NOT_OWNER (before anything is signed), BAD_EVENT, LOCKED, CANCELLED.
 */
export async function proposeAll(
  context: NodeContext,
  replica: Replica,
  operations: readonly Operation[],
  { contents = [], accept = false, labels, signal }: ProposeOptions = {},
): Promise<Proposal[]> {
  if (accept) requireOwner(context, replica)
  // The rows that keep the files go first: the synced event after them makes both durable.
  await context.keeper.hold(contents)
  const proposals: Proposal[] = []
  for (const batch of batchesOf(operations)) {
    if (signal?.aborted === true)
      throw new GonkError('CANCELLED', 'stopped before all was proposed')
    proposals.push(await replica.propose(context.signer, batch, labels && { labels }))
  }
  for (let i = 0; accept && i < proposals.length; i += limits.reviewItemsMax) {
    await acceptProposals(context, replica, proposals.slice(i, i + limits.reviewItemsMax))
  }
  return proposals
}

/** Throws NOT_OWNER unless whoever asks may accept. */
export function requireOwner({ signer, me }: NodeContext, replica: Replica): void {
  if (replica.tenureOf(signer.publicKey)) return
  throw new GonkError('NOT_OWNER', `the key of ${me.name}, ${signer.publicKey}, is not an owner`)
}

function* batchesOf(operations: readonly Operation[]): Generator<readonly Operation[]> {
  let batch = new Batch()
  for (const operation of operations) {
    if (batch.add(operation)) continue
    yield batch.operations
    batch = new Batch()
    batch.add(operation)
  }
  if (batch.operations.length > 0) yield batch.operations
}

/** Operations that fit into one proposal. */
export class Batch {
  readonly operations: Operation[] = []
  #bytes = 0

  /** @returns false when there is no room for it; the first one always goes in. */
  add(operation: Operation): boolean {
    const count = this.operations.length
    const bytes = this.#bytes + sizeOf(operation)
    const isFull = count === OPERATIONS_PER_PROPOSAL || bytes > PROPOSAL_BYTES
    if (isFull && count > 0) return false
    this.operations.push(operation)
    this.#bytes = bytes
    return true
  }
}

/** At least the bytes of its encoding. */
function sizeOf(operation: Operation): number {
  const bases = 'base' in operation ? operation.base.length * 48 : 0
  return 160 + bases + valueBytes(operation) + labelBytes(operation.labels)
}

function valueBytes(operation: Operation): number {
  if (!('value' in operation)) return 0
  const { value } = operation
  if (value.type === 'annotation') return value.targets.length * 48 + (value.inline?.length ?? 0)
  return value.name.length * 3 + value.mediaType.length + (value.meta ?? '').length * 3
}

function labelBytes(labels: Labels = {}): number {
  const texts = Object.entries(labels).flat()
  return texts.reduce((sum, text) => sum + 3 + text.length * 3, 0)
}
