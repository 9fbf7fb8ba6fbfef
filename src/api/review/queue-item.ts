// One operation with all that a person needs in order to decide on it. What a page needs is looked up
// together.
import { pathPrefixesOf } from '../../core/claims.ts'
import {
  type AnnotationValue,
  type Operation,
  SCHEMA_MEDIA_TYPE,
  type Value,
} from '../../core/event.ts'
import {
  type EventId,
  type ObjectId,
  objectIdOf,
  type PublicKey,
  textOfEventId,
  type VersionId,
  type VersionKey,
  versionKey,
} from '../../core/ids.ts'
import type { Decision, NameClaim, ObjectRow, Version } from '../../core/state.ts'
import { sha256 } from '../../crypto.ts'
import type { Replica } from '../../replica/replica.ts'
import type { Conformity, QueueItem } from '../../contract/api.ts'
import { isStale, nameProblemOf, obstacleOf, STALE } from './acceptable.ts'
import { approvalsOfAll, type ApprovalRun, approvalsText } from './approvals.ts'
import type { NodeContext } from '../context.ts'
import { isJudged, judge } from './judge.ts'
import { kindOf } from './queue-walk.ts'
import { type Known, versionsReferredTo } from './referred.ts'
import { readEvents } from '../resolve.ts'
import { cidText, timeText, versionText } from '../text.ts'

export interface FoundOperation {
  readonly id: VersionId
  /** Operations of its proposal. */
  readonly of: number
  readonly operation: Operation
  readonly author: PublicKey
  /** As the author calls itself. */
  readonly authorName?: string
  readonly claimedAtMs: number
  readonly decision: Decision
}

type Context = Pick<NodeContext, 'files' | 'held' | 'validator' | 'signer'>
type ItemSide = NonNullable<QueueItem['after']>

/** Longer documents are fetched by who wants to see them. */
const TEXT_BYTES_MAX = 4 * 1024
/** What conforms is found out within this, or is unknown on this page. */
const JUDGING_MS = 500
const SCHEMA_JUDGING_MS = 250

/** @param found of at most a page. */
export async function queueItems(
  context: Context,
  replica: Replica,
  found: readonly FoundOperation[],
): Promise<QueueItem[]> {
  const objects = found.map(({ operation, id }) =>
    operation.op === 'create' ? objectIdOf(id, sha256) : operation.object,
  )
  const [rows, versions, conformities] = await Promise.all([
    rowsOf(replica, objects),
    versionsReferredTo(
      replica,
      found.map(({ operation }) => operation),
    ),
    conformitiesOf(context, replica, found),
  ])
  const { publicKey } = context.signer
  const ids = found.map(({ id }) => id)
  const [approved, here, conflicts, originals, owners] = await Promise.all([
    approvalsOfAll(replica, ids, publicKey),
    areHere(context, found),
    conflictsOf(replica, found, objects, rows),
    originalsOf(replica, found, objects),
    ownersAmong(replica, found),
  ])
  const isReviewer = replica.tenureOf(publicKey) !== undefined
  return found.map((one, i): QueueItem => {
    const row = rows[i] as ObjectRow
    const duplicateOf = originals[i]
    const validity = conformities.get(versionKey(one.id)) ?? noJudgement(one.operation)
    const facts = { here: here[i] === true, stale: isWaitingStale(one, row), validity }
    const { approvals } = approved[i] ?? {}
    const obstacle = whyNot(one, facts, isReviewer) ?? whyNotAgain(approved[i])
    return {
      ...partsOf(one, objects[i] as ObjectId, row),
      ...sidesOf(one, row, versions),
      ...facts,
      wouldConflict: conflicts[i] === true,
      author: authorOf(one, owners),
      ...(duplicateOf !== undefined && { duplicateOf }),
      ...(approvals && { approvals }),
      canAccept: obstacle === undefined,
      ...(obstacle !== undefined && { why: obstacle }),
    }
  })
}

/** What the operation says of itself. */
function partsOf(
  { id, of, operation, claimedAtMs, decision }: FoundOperation,
  object: ObjectId,
  row: ObjectRow,
) {
  const [head] = row.heads
  return {
    item: versionText(id),
    proposal: textOfEventId(id.proposal),
    index: id.index,
    of,
    kind: kindOf(operation),
    op: operation.op,
    status: decision.status,
    object,
    base: 'base' in operation ? operation.base.map(versionText) : [],
    ...(head !== undefined && { head: versionText((row.versions[head] as Version).id) }),
    claimedAt: timeText(claimedAtMs),
    ...(decision.status !== 'pending' && { decidedBy: textOfEventId(decision.by) }),
  }
}

/** Of what is decided it is not asked any more. */
function isWaitingStale({ operation, decision }: FoundOperation, row: ObjectRow): boolean {
  return decision.status === 'pending' && isStale(row, operation)
}

/** A code and a reason. */
function whyNot(
  { operation, decision }: FoundOperation,
  { here, stale, validity }: { here: boolean; stale: boolean; validity: Conformity },
  isReviewer: boolean,
): string | undefined {
  if (decision.status !== 'pending') return `ALREADY_DECIDED: it is ${decision.status}`
  if (!isReviewer) return 'NOT_OWNER: only an owner of the dataset decides'
  const name = 'value' in operation ? nameProblemOf(operation.value) : undefined
  if (name !== undefined) return `BAD_NAME: it ${name}`
  if (stale) return `STALE_BASE: it ${STALE}`
  if (!here) return 'NOT_HERE: its content is not on this node'
  const obstacle = validity.status === 'invalid' ? obstacleOf(validity) : undefined
  return obstacle && `${obstacle.code}: it ${obstacle.what}`
}

function whyNotAgain(approved: ApprovalRun | undefined): string | undefined {
  if (approved?.isMine !== true) return undefined
  return `ALREADY_APPROVED: you have accepted it; ${approvalsText(approved.approvals)}`
}

function authorOf(
  { author, authorName }: FoundOperation,
  owners: ReadonlyMap<PublicKey, string | undefined>,
): QueueItem['author'] {
  // What the owner who added a key calls it counts more than what the key calls itself.
  const name = owners.get(author) ?? authorName
  return { key: author, ...(name !== undefined && { name }), isOwner: owners.has(author) }
}

// ---------------------------------------------------------------- before and after

/** What it replaces, what it makes, and what it is about. */
function sidesOf(
  { id, operation }: FoundOperation,
  row: ObjectRow,
  versions: ReadonlyMap<VersionKey, Known>,
): Pick<QueueItem, 'before' | 'after' | 'objects' | 'schema'> {
  const [head] = row.heads
  const current = head === undefined ? undefined : row.versions[head]?.id
  const base = 'base' in operation ? operation.base[0] : undefined
  const replaced = operation.op === 'create' ? undefined : (base ?? current)
  const value = 'value' in operation ? operation.value : undefined
  const said = value ?? (replaced && versions.get(versionKey(replaced))?.value)
  return {
    ...(replaced && { before: sideOf(replaced, versions.get(versionKey(replaced))?.value) }),
    ...(value && { after: sideOf(id, value) }),
    ...(said?.type === 'annotation' && aboutOf(said, versions)),
  }
}

function sideOf(id: VersionId, value: Value | undefined): ItemSide {
  const version = versionText(id)
  if (value === undefined) return { version }
  const { content, sizeBytes: size } = value
  const cid = content && { cid: cidText(content) }
  if (value.type === 'file') {
    return { version, name: value.name, mediaType: value.mediaType, size, ...cid }
  }
  const { inline } = value
  const isShort = inline !== undefined && inline.length <= TEXT_BYTES_MAX
  return { version, size, ...cid, ...(isShort && { text: new TextDecoder().decode(inline) }) }
}

function aboutOf({ targets, schema }: AnnotationValue, versions: ReadonlyMap<VersionKey, Known>) {
  const known = versions.get(versionKey(schema))
  return {
    objects: targets.map((target) => {
      const { object, value } = versions.get(versionKey(target)) ?? {}
      const name = value?.type === 'file' ? value.name : undefined
      return {
        version: versionText(target),
        ...(object !== undefined && { object }),
        ...(name !== undefined && { name }),
      }
    }),
    schema: {
      version: versionText(schema),
      ...(known?.value?.type === 'file' && { name: known.value.name }),
      ...(known && { status: known.isAccepted ? 'accepted' : 'pending' }),
    },
  }
}

// ---------------------------------------------------------------- looked up for all of a page

async function rowsOf(replica: Replica, objects: readonly ObjectId[]): Promise<ObjectRow[]> {
  return replica.log.objectRows(objects)
}

const contentOf = ({ operation }: FoundOperation): Uint8Array | undefined =>
  'value' in operation ? operation.value.content : undefined

async function areHere({ held }: Context, found: readonly FoundOperation[]): Promise<boolean[]> {
  const contents = found.flatMap((one) => contentOf(one) ?? [])
  const areHeld = await held.areHeld(contents)
  return found.map((one) => contentOf(one) === undefined || areHeld.shift() === true)
}

async function originalsOf(
  { log }: Replica,
  found: readonly FoundOperation[],
  objects: readonly ObjectId[],
): Promise<(ObjectId | undefined)[]> {
  return Promise.all(
    found.map(async (one, i) => {
      const content = contentOf(one)
      const original = content && (await log.contents.originalOf(content))
      return original === objects[i] ? undefined : original
    }),
  )
}

/**
 * Whether an accepted object claims the name of another, a directory on the way to it, or something
 * below it. A claim that is itself shadowed counts: this is a warning before anything is signed.
 */
async function conflictsOf(
  { log }: Replica,
  found: readonly FoundOperation[],
  objects: readonly ObjectId[],
  rows: readonly ObjectRow[],
): Promise<boolean[]> {
  const wanted: { i: number; space: NameClaim['space']; name: string }[] = []
  const files: { i: number; name: string }[] = []
  for (const [i, { operation }] of found.entries()) {
    if (!('value' in operation) || operation.value.type !== 'file') continue
    const { name, mediaType } = operation.value
    const space = mediaType === SCHEMA_MEDIA_TYPE ? 'schema' : 'file'
    for (const path of [name, ...pathPrefixesOf(space, name)]) wanted.push({ i, space, name: path })
    if (space === 'file') files.push({ i, name })
  }
  const claims = await log.names.claimsOnMany(wanted)
  const below = await log.names.claimedBelow(files.map(({ name }) => name))
  const conflicts = found.map(() => false)
  for (const [k, { i }] of wanted.entries()) {
    if (claims[k]?.some(({ object }) => object !== objects[i])) conflicts[i] = true
  }
  for (const [k, { i, name }] of files.entries()) {
    const isOwnBelow = rows[i]?.claim?.name.startsWith(`${name}/`) === true
    if ((below[k] ?? 0) > (isOwnBelow ? 1 : 0)) conflicts[i] = true
  }
  return conflicts
}

/** The owners among the authors, with the names given by those who added them. */
async function ownersAmong(
  { log, tenures }: Replica,
  found: readonly FoundOperation[],
): Promise<Map<PublicKey, string | undefined>> {
  const authors = new Set(found.map(({ author }) => author))
  const live = tenures.filter(({ live, key }) => live && authors.has(key))
  const added = live.filter(({ founderIndex }) => founderIndex === undefined)
  const events = await readEvents(
    log,
    added.map(({ id }) => id as string as EventId),
  )
  const owners = new Map<PublicKey, string | undefined>(live.map(({ key }) => [key, undefined]))
  for (const event of events) {
    if (event?.family !== 'owner' || event.body.kind !== 'add') continue
    owners.set(event.body.key, owners.get(event.body.key) ?? event.body.name)
  }
  return owners
}

/** As far as they are here and can be had in a short time; one costly schema does not take all of it. */
async function conformitiesOf(
  context: Context,
  replica: Replica,
  found: readonly FoundOperation[],
): Promise<Map<VersionKey, Conformity>> {
  const known = new Map<VersionKey, Conformity>()
  const end = AbortSignal.timeout(JUDGING_MS)
  for (const some of groupsBySchema(found.filter(({ operation }) => isJudged(operation)))) {
    if (end.aborted) break
    const signal = AbortSignal.any([end, AbortSignal.timeout(SCHEMA_JUDGING_MS)])
    try {
      for await (const part of judge(context, replica, some, { signal })) {
        for (const { id, conformity } of part) known.set(versionKey(id), conformity)
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }
  return known
}

function groupsBySchema(judged: readonly FoundOperation[]): Iterable<FoundOperation[]> {
  const groups = new Map<VersionKey, FoundOperation[]>()
  for (const one of judged) {
    const { operation, id } = one
    const value = 'value' in operation ? operation.value : undefined
    const key = versionKey(value?.type === 'annotation' ? value.schema : id)
    const group = groups.get(key)
    if (group) group.push(one)
    else groups.set(key, [one])
  }
  return groups.values()
}

/** Files and removals have nothing to conform to; of the rest it is not known yet. */
function noJudgement(operation: Operation): Conformity {
  if (!isJudged(operation)) return { status: 'conforms', errors: [] }
  const text = 'it could not be checked in time: ask again'
  return { status: 'unknown', code: 'TIMEOUT', errors: [{ path: '', rule: '', text }] }
}
