// Why a version is in the state: steps that a person can follow and, with the blocks, a program can
// check. Everything said here to be right is checked here, from the bytes of the blocks.
import type { CID } from 'multiformats/cid'
import { GonkError, isRejection } from '../../core/errors.ts'
import { decodeEvent, signatureOf } from '../../core/event-codec.ts'
import type { Event, Genesis, OwnerEvent, Proposal, ReviewItem } from '../../core/event.ts'
import {
  cidOfDigest,
  cidOfEventId,
  type EventId,
  founderIndexOf,
  objectIdOf,
  textOfEventId,
  type VersionId,
  versionKey,
} from '../../core/ids.ts'
import { eventOfDate } from '../../core/accept-date.ts'
import { decodeSnapshot, objectRowOfRecord } from '../../core/snapshot.ts'
import type { Version } from '../../core/state.ts'
import { lookup } from '../../core/trie.ts'
import { sha256 } from '../../crypto.ts'
import type { DatasetLog } from '../../log/dataset-log.ts'
import type { HeaderRow } from '../../log/rows.ts'
import type { Replica } from '../../replica/replica.ts'
import { hasRun } from '../../replica/runs.ts'
import type { Proof } from '../../contract/api.ts'
import type { NodeContext } from '../context.ts'
import { resolveObject } from '../objects/objects.ts'
import { resolveEvent } from '../resolve.ts'
import { acceptsOf } from '../review/approvals.ts'
import { versionText } from '../text.ts'

type Context = Pick<NodeContext, 'nodes' | 'crypto'>
type Step = Proof['steps'][number]

/** Adds between a founder and the reviewer; each owner was added by one of the past. */
const ADDS_MAX = 1_000

/** What is collected while steps are taken. */
class Draft {
  readonly steps: Step[] = []
  readonly #blocks = new Map<string, Uint8Array>()

  step(what: string, ok: boolean, ids: readonly string[]): boolean {
    this.steps.push({ what, ok, ids: [...ids] })
    return ok
  }

  /** Undefined when the bytes are not those of the CID. */
  take(cid: CID, bytes: Uint8Array | undefined): Uint8Array | undefined {
    if (bytes === undefined || !cidOfDigest(sha256(bytes), cid.code).equals(cid)) return undefined
    this.#blocks.set(cid.toString(), bytes)
    return bytes
  }

  done(): Proof {
    const blocks = [...this.#blocks].map(([cid, bytes]) => {
      return { cid, block: Buffer.from(bytes).toString('base64') }
    })
    return { steps: this.steps, blocks }
  }
}

/**
 * @param ref `EVENT:INDEX`, or an object for its current version. Steps after the first that is not
 *   `ok` are left out. Throws NOT_FOUND, AMBIGUOUS.
 */
export async function proof(context: Context, replica: Replica, ref: string): Promise<Proof> {
  const version = await versionOf(replica, ref)
  const draft = new Draft()
  const proposal = await proposalStep(context, replica, draft, version)
  const review = proposal && (await reviewStep(context, replica, draft, version))
  if (proposal === undefined || review === undefined) return draft.done()
  const reviews = [review, ...(await otherSteps(context, replica, draft, version, review))]
  for (const one of reviews) {
    const isAuthorised = await tenureSteps(context, replica, draft, one)
    if (!isAuthorised || !(await standingStep(replica, draft, one))) return draft.done()
  }
  await stateSteps(context, replica, draft, { version, proposal, review })
  return draft.done()
}

async function versionOf(replica: Replica, ref: string): Promise<VersionId> {
  const [, event, index] = /^([^:/]+):(\d{1,9})$/.exec(ref) ?? []
  if (event !== undefined) {
    const proposal = await resolveEvent(replica.log, event, ['proposals'])
    return { proposal, index: Number(index) }
  }
  const row = await resolveObject(replica, ref)
  const [head] = row.heads
  if (head !== undefined) return (row.versions[head] as Version).id
  throw new GonkError('NOT_FOUND', `nothing of "${ref}" is accepted`, {
    hint: 'name a version: EVENT:INDEX',
  })
}

// ---------------------------------------------------------------- events

/** The event with its block taken, when it is what its id and its author's signature say. */
async function signedEvent(
  { crypto }: Context,
  replica: Replica,
  draft: Draft,
  id: EventId,
): Promise<Event | undefined> {
  const block = draft.take(cidOfEventId(id), await replica.log.block(id))
  const event = block && decodeEvent(block, sha256)
  if (event === undefined || isRejection(event)) return undefined
  const dataset = event.family === 'genesis' ? event.id : event.dataset
  const { key, message, signature } = signatureOf(event, sha256)
  const isSigned = await crypto.verify(key, message, signature)
  return isSigned && dataset === replica.id ? event : undefined
}

async function proposalStep(
  context: Context,
  replica: Replica,
  draft: Draft,
  version: VersionId,
): Promise<Proposal | undefined> {
  const { proposal: id, index } = version
  const event = await signedEvent(context, replica, draft, id)
  const isIt = event?.family === 'proposal' && index < event.operations.length
  const by = isIt ? ` signed by ${event.author}` : ''
  draft.step(`operation ${index} of a proposal${by}`, isIt, [textOfEventId(id)])
  return isIt ? event : undefined
}

/** The earliest accept, which dates the version. */
async function reviewStep(
  context: Context,
  replica: Replica,
  draft: Draft,
  { proposal, index }: VersionId,
): Promise<OwnerEvent | undefined> {
  const row = await replica.log.proposal(proposal)
  const decision = row?.decisions.find(({ from, to }) => from <= index && index <= to)
  if (decision?.status !== 'accepted') {
    const status = decision?.status ?? 'not here'
    draft.step(`it is ${status}: no review accepts it`, false, [])
    return undefined
  }
  return acceptStep(context, replica, draft, { proposal, index }, decision.by)
}

/** Where several owners must accept: the reviews of the others. */
async function otherSteps(
  context: Context,
  replica: Replica,
  draft: Draft,
  version: VersionId,
  review: OwnerEvent,
): Promise<OwnerEvent[]> {
  const accepts = await acceptsOf(replica, version)
  if (accepts.length < 2) return []
  const others: OwnerEvent[] = []
  for (const id of accepts.filter((id) => id !== review.id)) {
    const event = await acceptStep(context, replica, draft, version, id)
    if (event !== undefined) others.push(event)
  }
  const authors = new Set([review, ...others].map(({ author }) => author))
  const what = `${authors.size} owners accept it, and ${accepts.length} must`
  draft.step(what, authors.size >= accepts.length, accepts.map(textOfEventId))
  return others
}

async function acceptStep(
  context: Context,
  replica: Replica,
  draft: Draft,
  { proposal, index }: VersionId,
  id: EventId,
): Promise<OwnerEvent | undefined> {
  const event = await signedEvent(context, replica, draft, id)
  const body = event?.family === 'owner' && event.body.kind === 'review' ? event.body : undefined
  const names = (item: ReviewItem) =>
    item.proposal === proposal &&
    (item.ranges === undefined || item.ranges.some(([from, to]) => from <= index && index <= to))
  const isIt = body?.verdict === 'accept' && body.items.some(names)
  const by = isIt ? ` signed by ${event?.author}` : ''
  draft.step(`a review that accepts it${by}`, isIt, [textOfEventId(id)])
  return isIt ? (event as OwnerEvent) : undefined
}

/** From the reviewer back to a founder: each key was added by an owner before it. */
async function tenureSteps(
  context: Context,
  replica: Replica,
  draft: Draft,
  review: OwnerEvent,
): Promise<boolean> {
  let { tenure, author: key, depth } = review
  for (let count = 0; count < ADDS_MAX; count++) {
    const founder = founderIndexOf(tenure)
    if (founder !== undefined) {
      const genesis = await signedEvent(context, replica, draft, replica.id)
      const { founders = [] } = (genesis?.family === 'genesis' ? genesis : {}) as Partial<Genesis>
      const what = `${key} is a founder, by the event the dataset is named after`
      return draft.step(what, founders[founder] === key, [textOfEventId(replica.id)])
    }
    const id = tenure as string as EventId
    const event = await signedEvent(context, replica, draft, id)
    const add = event?.family === 'owner' && event.body.kind === 'add' ? event : undefined
    const isIt = add?.body.kind === 'add' && add.body.key === key && add.depth < depth
    const by = isIt ? ` by ${add.author}` : ''
    if (!draft.step(`${key} was added as an owner${by}`, isIt, [textOfEventId(id)])) return false
    if (!(await endorsedStep(context, replica, draft, add as OwnerEvent))) return false
    ;({ tenure, author: key, depth } = add as OwnerEvent)
  }
  return draft.step(`more than ${ADDS_MAX} owners in a row`, false, [])
}

/** Where several owners must agree: that they did. */
async function endorsedStep(
  context: Context,
  replica: Replica,
  draft: Draft,
  add: OwnerEvent,
): Promise<boolean> {
  const { kOwner } = replica.policy
  if (kOwner === 1) return true
  const agreed = new Set([add.author])
  const ids: EventId[] = []
  for (const { id } of await endorsementsOf(replica.log, add.id)) {
    const event = await signedEvent(context, replica, draft, id)
    const body = event?.family === 'owner' ? event.body : undefined
    if (event === undefined || body?.kind !== 'endorse' || body.operation !== add.id) continue
    agreed.add(event.author)
    ids.push(id)
    if (agreed.size === kOwner) break
  }
  const what = `${agreed.size} owners agree to that, and ${kOwner} must`
  return draft.step(what, agreed.size >= kOwner, [add.id, ...ids].map(textOfEventId))
}

/** Those that count: valid ones, by owners who were there before the addition. */
async function endorsementsOf(log: DatasetLog, add: EventId): Promise<HeaderRow[]> {
  const operations = await log.operations()
  const ordinals = new Map(operations.map(({ id }, ordinal) => [id, ordinal]))
  const ids = operations.filter(({ kind }) => kind === 'endorse').map(({ id }) => id)
  const [rows, voids, header] = await Promise.all([
    log.headers(ids),
    log.areVoid(ids),
    log.header(add),
  ])
  return rows.flatMap((row, i) => {
    if (row?.operation !== add || voids[i] === true || header === undefined) return []
    const since = ordinals.get(row.tenure as string as EventId) ?? -1
    const isSenior = founderIndexOf(row.tenure) !== undefined || hasRun(header.seen, since)
    return isSenior ? [row] : []
  })
}

/** What this node knows of removals: the blocks alone cannot show that something is not there. */
async function standingStep(replica: Replica, draft: Draft, review: OwnerEvent): Promise<boolean> {
  const ids = [review.id]
  for (let { tenure } = review; founderIndexOf(tenure) === undefined;) {
    const id = tenure as string as EventId
    ids.push(id)
    const header = await replica.log.header(id)
    if (header === undefined) break
    tenure = header.tenure
  }
  const areVoid = await replica.log.areVoid(ids)
  const what = 'no removal of an owner that is known here takes that back'
  return draft.step(what, !areVoid.includes(true), ids.map(textOfEventId))
}

// ---------------------------------------------------------------- the state

/** The snapshot, the nodes from its state root down to the object, and what is said there. */
async function stateSteps(
  { nodes }: Context,
  replica: Replica,
  draft: Draft,
  proven: { version: VersionId; proposal: Proposal; review: OwnerEvent },
): Promise<void> {
  const { version, proposal, review } = proven
  const operation = proposal.operations[version.index]
  if (operation === undefined) return
  const object = operation.op === 'create' ? objectIdOf(version, sha256) : operation.object
  // While nothing moves, so that no node goes.
  await replica.whileStill(async ([root]) => {
    const path: string[] = []
    const source = {
      async get(cid: CID) {
        const bytes = draft.take(cid, await nodes.get(cid))
        if (bytes !== undefined && path.at(-1) !== cid.toString()) path.push(cid.toString())
        return bytes
      },
    }
    const block = root && (await source.get(root))
    const snapshot = block && decodeSnapshot(block)
    const isRoot =
      snapshot !== undefined && !isRejection(snapshot) && snapshot.dataset === replica.id
    const what = 'the root names a state of this dataset'
    if (!draft.step(what, isRoot, path.splice(0)) || !isRoot) return
    const found = await versionIn(source, snapshot.stateRoot, object, version)
    const isPlaced = found !== undefined && eventOfDate(found.date) === review.id
    const where = `the state holds the version, accepted by that review, in object ${object}`
    draft.step(where, isPlaced, [...path, versionText(version)])
  })
}

async function versionIn(
  source: Parameters<typeof lookup>[2],
  stateRoot: CID,
  object: ReturnType<typeof objectIdOf>,
  version: VersionId,
): Promise<Version | undefined> {
  try {
    const record = await lookup(stateRoot, object, source)
    if (record === undefined) return undefined
    const row = await objectRowOfRecord(object, record, source)
    return row.versions.find(({ id }) => versionKey(id) === versionKey(version))
  } catch (error) {
    if (error instanceof GonkError && /^(NOT_HERE|BAD_BLOCK)$/.test(error.code)) return undefined
    throw error
  }
}
