// Annotations with their documents into signed proposals: checked against their schemas first, and
// each proposed once.
import { CID } from 'multiformats/cid'
import { GonkError } from '../../core/errors.ts'
import type { AnnotationValue, Operation, Proposal, ReviewItem } from '../../core/event.ts'
import { compareVersions, type EventId, textOfEventId, type VersionId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { objectRowOf } from '../../core/objects.ts'
import { objectOf } from '../../core/touched.ts'
import type { Annotated, AnnotationInfo } from '../../contract/api.ts'
import { sha256 } from '../../crypto.ts'
import { throwIfAborted } from '../../files/concurrent.ts'
import type { AbortOptions } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import { runsUnion } from '../../replica/runs.ts'
import { type Annotation, AnnotationInfos, justProposed } from './annotation-info.ts'
import { textOfAnnotation, twinsOf } from './annotation-twins.ts'
import { checksOfRequest, requireConforming } from './conformity.ts'
import type { NodeContext } from '../context.ts'
import { proposeAll } from '../objects/proposing.ts'
import { decideItems } from '../review/review.ts'
import { allOf, type Standing, standingOf } from '../review/signed.ts'
import { ProposalReader } from '../objects/versions.ts'

export const ALONE = 'the annotation'

/** An annotation with its document, before any of it is stored. */
export interface Draft {
  readonly targets: readonly VersionId[]
  readonly schema: VersionId
  readonly document: Uint8Array
  /** How errors call it. */
  readonly label: string
  /** Of an update. */
  readonly on?: Pick<Extract<Operation, { op: 'update' }>, 'object' | 'base'>
}

interface ProposeOptions extends AbortOptions {
  readonly accept: boolean
}

/**
 * Proposes those that are not here already, all or none; with `accept` it also accepts them, and
 * then those that are here and wait. Throws NOT_CONFORMING, BAD_SCHEMA, TOO_COSTLY, NOT_HERE, NOT_OWNER,
 * CANCELLED.
 */
export async function proposeDrafts(
  context: NodeContext,
  replica: Replica,
  drafts: readonly Draft[],
  options: ProposeOptions,
): Promise<Annotated> {
  // What was stored and not proposed has nothing that keeps it.
  const { proposals, places } = await context.keeper.gate.shared(() =>
    proposeNew(context, replica, drafts, options),
  )
  const made = proposals.flatMap((proposal) => madeBy(proposal, options.accept))
  const stands = places.map((place) => (typeof place === 'number' ? made[place] : place))
  const waiting = new Set(stands.filter((one) => options.accept && one?.status === 'pending'))
  if (waiting.size > 0) {
    const items = itemsOf([...waiting].flatMap((one) => one?.shown ?? []))
    await decideItems(context, replica, { verdict: 'accept', items }, options)
  }
  const accepted = [...allOf(proposals), ...[...waiting].flatMap((one) => one?.shown ?? [])]
  const standing = options.accept ? await standingOf(context, replica, accepted) : undefined
  const { approvals } = standing ?? {}
  return {
    events: proposals.map(({ id }) => textOfEventId(id)),
    annotations: await infosOf(replica, stands, standing),
    skipped: drafts.length - made.length - waiting.size,
    ...(approvals && { approvals }),
  }
}

/** What of the drafts is not here already; of each, the number of its operation, or its twin. */
async function proposeNew(
  context: NodeContext,
  replica: Replica,
  drafts: readonly Draft[],
  { accept, signal }: ProposeOptions,
): Promise<{ proposals: Proposal[]; places: (number | Annotation)[] }> {
  await requireDraftsConform(context, replica, drafts, { signal })
  const values: [text: string, value: AnnotationValue, on: Draft['on']][] = []
  for (const draft of drafts) {
    throwIfAborted(signal)
    const value = await valueOfDraft(context, draft)
    values.push([textOfAnnotation(value), value, draft.on])
  }
  const created = values.flatMap(([text, value, on]) => (on ? [] : [[text, value] as const]))
  const author = context.signer.publicKey
  const twins = await twinsOf(new ProposalReader(replica), author, new Map(created))
  const operations: Operation[] = []
  const places: (number | Annotation)[] = []
  const proposed = new Map<string, number>()
  for (const [text, value, on] of values) {
    const known = on ? undefined : (twins.get(text) ?? proposed.get(text))
    places.push(known ?? operations.length)
    if (known !== undefined) continue
    if (on === undefined) proposed.set(text, operations.length)
    operations.push(on ? { op: 'update', ...on, value } : { op: 'create', value })
  }
  const contents = operations.flatMap((operation) => contentOf(operation))
  return { proposals: await proposeAll(context, replica, operations, { contents, accept }), places }
}

async function requireDraftsConform(
  context: NodeContext,
  replica: Replica,
  drafts: readonly Draft[],
  { signal }: AbortOptions,
): Promise<void> {
  const budget = checksOfRequest()
  try {
    await requireConforming(context, replica, drafts, { bring: true, budget, signal })
  } catch (error) {
    const { index, item } = (error instanceof GonkError && error.details) || {}
    const culprit = drafts.findIndex(({ label }, i) => i === index || label === item)
    throw culprit < 0 ? error : withIndex(error, culprit, drafts.length)
  }
}

function madeBy(proposal: Proposal, accepted: boolean): (Annotation | undefined)[] {
  return [...proposal.operations.keys()].map((index) => {
    const row = objectRowOf(objectOf(proposal, index, sha256), [])
    return justProposed(proposal, index, accepted ? 'accepted' : 'pending', row)
  })
}

function itemsOf(versions: readonly VersionId[]): ReviewItem[] {
  const indexes = new Map<EventId, number[]>()
  for (const { proposal, index } of versions) {
    const known = indexes.get(proposal)
    if (known) known.push(index)
    else indexes.set(proposal, [index])
  }
  return [...indexes].map(([proposal, some]) => {
    return { proposal, ranges: runsUnion(some.map((index) => [[index, index]])) }
  })
}

/** In the order given; each proposal is read once. */
async function infosOf(
  replica: Replica,
  annotations: readonly (Annotation | undefined)[],
  standing: Standing | undefined,
): Promise<AnnotationInfo[]> {
  const infos = new AnnotationInfos(new ProposalReader(replica))
  const found = new Map<Annotation, AnnotationInfo>()
  const all = [...new Set(annotations)].filter((one) => one !== undefined)
  for (const one of all.toSorted((a, b) => compareVersions(a.shown, b.shown))) {
    const status = standing?.statusOf(one.shown) ?? one.status
    found.set(one, await infos.of({ ...one, status }))
  }
  return annotations.flatMap((one) => (one && found.get(one)) ?? [])
}

async function valueOfDraft(
  { files }: Pick<NodeContext, 'files'>,
  { targets, schema, document }: Draft,
): Promise<AnnotationValue> {
  const sizeBytes = document.length
  const value = { type: 'annotation' as const, targets, schema, sizeBytes }
  if (sizeBytes <= limits.inlineBytesMax) return { ...value, inline: document }
  const { cid } = await files.put([document])
  return { ...value, content: cid.bytes }
}

function contentOf(operation: Operation): CID[] {
  const content = 'value' in operation ? operation.value.content : undefined
  return content === undefined ? [] : [CID.decode(content)]
}

/** How errors call one of `count` annotations. */
export const labelOf = (index: number, count: number): string =>
  count === 1 ? ALONE : `annotations[${index}]`

/** The same error, which also says which of `count` annotations it is about. */
export function withIndex(error: unknown, index: number, count: number): unknown {
  if (!(error instanceof GonkError)) return error
  const { code, hint, details } = error
  const label = labelOf(index, count)
  const rest = error.message.startsWith(`${label} `) ? error.message.slice(label.length) : undefined
  const text = rest === undefined ? error.message : `${ALONE}${rest}`
  const message = count === 1 ? error.message : `${label}: ${text}`
  return new GonkError(code, message, { hint, details: { ...details, index }, cause: error })
}
