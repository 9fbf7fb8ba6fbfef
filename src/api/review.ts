// Decisions of this node's key. An acceptance is signed only for content that is here and verified.
import { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import type { Operation, Proposal, ReviewItem, Verdict } from '../core/event.ts'
import { type EventId, textOfEventId, type VersionKey, versionKey } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { objectRowOf } from '../core/objects.ts'
import type { CatalogEntry } from '../log/catalog.ts'
import type { Replica } from '../replica/replica.ts'
import type { NodeContext } from './context.ts'
import { findReviews, parseItems } from './review-queue.ts'
import type { ProgressOptions, ReviewRequest, ReviewResult } from './types.ts'

type Run = readonly [from: number, to: number]

/** Of one review; in memory they take several times that. */
const PROPOSAL_BYTES_AT_ONCE = 16 << 20

/** Operations of one proposal that are to be decided. */
interface Selected {
  readonly proposal: Proposal
  readonly runs: readonly Run[]
}

/**
 * Signs a verdict on the items named, or on all that wait. Fetches and verifies first what it
 * accepts. Throws NOT_OWNER, NOT_FOUND, ALREADY_DECIDED, STALE_BASE, NOT_HERE, BAD_NAME.
 */
export async function review(
  context: NodeContext,
  entry: CatalogEntry,
  request: ReviewRequest,
  options: ProgressOptions = {},
): Promise<ReviewResult> {
  const replica = await context.replicas.get(entry.id)
  if (replica.tenureOf(context.signer.publicKey) === undefined) {
    throw new GonkError('NOT_OWNER', `this node's key ${context.signer.publicKey} is not an owner`)
  }
  if (request.reason !== undefined && Buffer.byteLength(request.reason) > limits.textBytesMax) {
    throw new GonkError('TOO_LARGE', `a reason has at most ${limits.textBytesMax} bytes`)
  }
  const asked = await askedFor(replica, request)
  // What is named must all be open before anything is signed; all that waits may be too much to hold.
  const selected = request.all
    ? select(replica, asked, true)
    : await listOf(select(replica, asked, false))
  const result = { events: [] as string[], decided: [] as string[] }
  for await (const batch of inReviews(selected)) {
    // What was fetched for an acceptance is kept by nothing else until that is signed.
    const event = await context.keeper.gate.shared(async () => {
      if (request.verdict === 'accept') await checkAcceptable(context, replica, batch, options)
      return sign(context, replica, batch, request.verdict, request.reason)
    })
    result.events.push(event)
    for (const { proposal, runs } of batch) {
      const id = textOfEventId(proposal.id)
      for (const [from, to] of runs) result.decided.push(`${id}:${from}-${to}`)
    }
    options.onProgress?.({
      what: `${request.verdict}ing`,
      done: result.decided.length,
      total: asked.length,
      bytes: 0,
    })
  }
  return result
}

/** Accepts whole proposals of this node, whose content is known to be here. */
export async function acceptProposals(
  context: NodeContext,
  replica: Replica,
  proposals: readonly Proposal[],
): Promise<void> {
  const items = proposals.map((proposal) => ({ proposal: proposal.id }))
  await replica.act(context.signer, { kind: 'review', verdict: 'accept', items })
}

async function askedFor(replica: Replica, request: ReviewRequest): Promise<ReviewItem[]> {
  if (request.all) return findReviews(replica, request.all)
  const asked = await parseItems(replica, request.items ?? [])
  if (asked.length > 0) return asked
  throw new GonkError('USAGE', 'no proposal is named', {
    hint: 'name events from `gonk-node review list`, or use --all',
  })
}

async function* select(
  replica: Replica,
  asked: readonly ReviewItem[],
  isAll: boolean,
): AsyncGenerator<Selected> {
  for (const { proposal: id, ranges } of asked) {
    const row = await replica.log.proposal(id)
    const proposal = await replica.proposal(id)
    if (!row || !proposal) throw new GonkError('NOT_FOUND', `no proposal ${textOfEventId(id)}`)
    const open = row.decisions.filter(({ status }) => status === 'pending')
    const whole: Run[] = [[0, row.operations - 1]]
    const runs = (ranges ?? whole).flatMap(([from, to]) =>
      open.map((run): Run => [Math.max(from, run.from), Math.min(to, run.to)]),
    )
    const real = runs.filter(([from, to]) => from <= to)
    if (real.length > 0) yield { proposal, runs: real }
    else if (!isAll) throw new GonkError('ALREADY_DECIDED', `${textOfEventId(id)} is decided`)
  }
}

async function listOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

/** Groups of what one event may hold, and of what may be in memory. */
async function* inReviews(
  selected: AsyncIterable<Selected> | Iterable<Selected>,
): AsyncGenerator<Selected[]> {
  let batch: Selected[] = []
  let ranges = 0
  let bytes = 0
  for await (const { proposal, runs } of selected) {
    for (let i = 0; i < runs.length; i += limits.reviewRangesMax) {
      const part = runs.slice(i, i + limits.reviewRangesMax)
      const isFull = batch.length === limits.reviewItemsMax || bytes >= PROPOSAL_BYTES_AT_ONCE
      if (isFull || ranges + part.length > limits.reviewRangesMax) {
        if (batch.length > 0) yield batch
        batch = []
        ranges = 0
        bytes = 0
      }
      batch.push({ proposal, runs: part })
      ranges += isWhole(proposal, part) ? 0 : part.length
      bytes += proposal.block.length
    }
  }
  if (batch.length > 0) yield batch
}

function isWhole(proposal: Proposal, runs: readonly Run[]): boolean {
  const [only] = runs
  return runs.length === 1 && only?.[0] === 0 && only[1] === proposal.operations.length - 1
}

async function sign(
  context: NodeContext,
  replica: Replica,
  batch: readonly Selected[],
  verdict: Verdict,
  reason: string | undefined,
): Promise<string> {
  const items = batch.map(({ proposal, runs }): ReviewItem =>
    isWhole(proposal, runs) ? { proposal: proposal.id } : { proposal: proposal.id, ranges: runs },
  )
  const body = { kind: 'review' as const, verdict, items, ...(reason !== undefined && { reason }) }
  return textOfEventId((await replica.act(context.signer, body)).id)
}

/** Names are NFC, bases are current, and every block is here. */
async function checkAcceptable(
  context: NodeContext,
  replica: Replica,
  batch: readonly Selected[],
  options: ProgressOptions,
): Promise<void> {
  const accepted = new Set<VersionKey>()
  const wanted = new Map<string, { cid: CID; sizeBytes: number; label: string }>()
  for (const { operation, id } of operationsOf(batch)) {
    accepted.add(versionKey(id))
    if (!('value' in operation)) continue
    const { value } = operation
    if (value.type === 'file' && value.name !== value.name.normalize('NFC')) {
      throw new GonkError('BAD_NAME', `"${value.name}" is not NFC`, {
        hint: 'reject it, and ask its author for a normalised name',
      })
    }
    if (value.content === undefined) continue
    const cid = CID.decode(value.content)
    const label = value.type === 'file' ? value.name : 'an annotation'
    wanted.set(cid.toString(), { cid, sizeBytes: value.sizeBytes, label })
  }
  await checkBases(replica, batch, accepted)
  const missing = await context.keeper.bringHere(replica.id, [...wanted.values()], options)
  if (missing.length === 0) return
  const labels = missing.map((cid) => wanted.get(cid.toString())?.label ?? cid.toString())
  const peers = context.network.peersOf(replica.id)
  const first = labels.slice(0, 3).join(', ')
  const more = labels.length > 3 ? ` and ${labels.length - 3} more` : ''
  const known = peers.length > 0 ? `peers asked: ${peers.join(', ')}` : 'no peer is connected'
  throw new GonkError('NOT_HERE', `content is not here: ${first}${more}; ${known}`, {
    details: { missing: missing.map(String), names: labels, peers },
  })
}

function* operationsOf(batch: readonly Selected[]) {
  for (const { proposal, runs } of batch) {
    for (const [from, to] of runs) {
      for (let index = from; index <= to; index++) {
        const operation = proposal.operations[index] as Operation
        yield { operation, id: { proposal: proposal.id as EventId, index } }
      }
    }
  }
}

/** An update of a version that is no head any more would hide what came after it. */
async function checkBases(
  replica: Replica,
  batch: readonly Selected[],
  accepted: ReadonlySet<VersionKey>,
): Promise<void> {
  for (const { operation, id } of operationsOf(batch)) {
    if (!('base' in operation)) continue
    const [versions] = await replica.log.versions([operation.object])
    const row = objectRowOf(operation.object, versions ?? [])
    const heads = new Set(
      row.heads.map((i) => versionKey((row.versions[i] as { id: typeof id }).id)),
    )
    const isCurrent = operation.base.some(
      (base) => heads.has(versionKey(base)) || accepted.has(versionKey(base)),
    )
    if (isCurrent) continue
    throw new GonkError(
      'STALE_BASE',
      `${textOfEventId(id.proposal)}:${id.index} builds on a version that is not current`,
    )
  }
}
