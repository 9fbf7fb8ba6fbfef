// What is proposed through the dialect: each change one proposal of one operation, signed with the
// user's key, checked and signed while nobody else writes here.
import type { CID } from 'multiformats/cid'
import { GonkError } from '../../core/errors.ts'
import {
  type AnnotationValue,
  type FileValue,
  type Labels,
  type Operation,
  SCHEMA_MEDIA_TYPE,
  type Value,
} from '../../core/event.ts'
import { hexOf, objectIdOf, type VersionId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { GonkVersionRow } from '../../log/gonk-log.ts'
import type { StoredFile } from '../../ports.ts'
import { requireConforming } from '../annotations/conformity.ts'
import type { NodeContext } from '../context.ts'
import { proposeAll } from '../objects/proposing.ts'
import {
  baseOf,
  checkChanged,
  checkDeletable,
  checkObject,
  checkSchema,
  checkSchemaName,
  checkTargets,
  checkUnique,
  latestOf,
} from './rules.ts'
import type { AnnotationRequest, Identifier, ObjectRequest } from './types.ts'
import { uuidOfObject } from './uuids.ts'
import { broken, type Found, type FoundVersion, type View } from './view.ts'
import { digestOf } from './words.ts'

/** Of an annotation, decoded. */
const ANNOTATION_BYTES_MAX = 8 * 1024 * 1024

const NONCE_BYTES = 8

/** Codec of content that is one block: its digest is that of the bytes. */
const RAW = 0x55

/** A value, with what is to be said of it. */
interface Shown {
  readonly value: Value
  readonly labels?: Labels
}

/** Content that is stored and named by nothing yet. */
interface Content extends StoredFile {
  /** Hex of its sha2-256, and what stands for that where it is not known: see words.ts. */
  readonly hashes: readonly [hash: string, ...others: string[]]
}

export async function createObject(
  context: NodeContext,
  view: View,
  { name, mimetype, object }: ObjectRequest,
): Promise<Identifier> {
  const kept = checkObject(name, mimetype)
  return withContent(context, view, object, [], async (content) => {
    await checkUnique(view, content.hashes)
    return propose(context, view, { op: 'create', ...shownFile(kept, mimetype, content) }, content)
  })
}

export async function updateObject(
  context: NodeContext,
  view: View,
  found: Found,
  { name, mimetype, object }: ObjectRequest,
): Promise<Identifier> {
  const kept = checkObject(name, mimetype)
  return withContent(context, view, object, [found.uuid], (content) =>
    update(context, view, found, shownFile(kept, mimetype, content), content),
  )
}

export async function createSchema(
  context: NodeContext,
  view: View,
  name: string,
  schema: Uint8Array,
): Promise<Identifier> {
  const kept = checkObject(name, SCHEMA_MEDIA_TYPE)
  await checkSchema(context, schema)
  return withContent(context, view, schema, [kept], async (content) => {
    await checkSchemaName(view, kept)
    await checkUnique(view, content.hashes)
    const value = fileOf(kept, SCHEMA_MEDIA_TYPE, content)
    return propose(context, view, { op: 'create', value }, content)
  })
}

export async function updateSchema(
  context: NodeContext,
  view: View,
  found: Found,
  schema: Uint8Array,
): Promise<Identifier> {
  await checkSchema(context, schema)
  const name = found.thing.name as string
  return withContent(context, view, schema, [found.uuid], (content) =>
    update(context, view, found, { value: fileOf(name, SCHEMA_MEDIA_TYPE, content) }, content),
  )
}

async function update(
  context: NodeContext,
  view: View,
  found: Found,
  said: Shown,
  content: Content,
): Promise<Identifier> {
  await checkUnique(view, content.hashes, found.uuid)
  checkChanged(await latestOf(view, found), content.hashes)
  return propose(context, view, await updateOf(view, found, said), content)
}

async function updateOf(view: View, found: Found, said: Shown): Promise<Operation> {
  const base = idOf(await baseOf(view, found))
  return { op: 'update', object: found.thing.object, base: [base], ...said }
}

/** @param schema the version that it is made by. */
export async function createAnnotation(
  context: NodeContext,
  view: View,
  schema: FoundVersion,
  { annotation, objects }: AnnotationRequest & { readonly objects: readonly Identifier[] },
): Promise<Identifier> {
  await checkAnnotation(context, view, schema, annotation)
  return withBody(context, view, annotation, [], async (body, content) => {
    const targets = (await checkTargets(view, objects)).map((row) => row.id)
    const value = { type: 'annotation' as const, targets, schema: schema.row.id, ...body }
    // Gonk allows the same annotation any number of times: no two of them are the same event.
    const labels = { 'gonk.nonce': hexOf(context.random.bytes(NONCE_BYTES)) }
    return propose(context, view, { op: 'create', value, labels }, content)
  })
}

export async function updateAnnotation(
  context: NodeContext,
  view: View,
  found: Found,
  schema: FoundVersion,
  annotation: Uint8Array,
): Promise<Identifier> {
  await checkAnnotation(context, view, schema, annotation)
  const targets = await targetsOf(view, found)
  return withBody(context, view, annotation, [found.uuid], async (body, content) => {
    const value = { type: 'annotation' as const, targets, schema: schema.row.id, ...body }
    return propose(context, view, await updateOf(view, found, { value }), content)
  })
}

/** An update keeps the objects that the annotation was made of. */
async function targetsOf({ log, replica }: View, { uuid }: Found): Promise<readonly VersionId[]> {
  const first = await log.version({ uuid, version: 0 })
  const proposal = first && (await replica.proposal(first.id.proposal))
  const operation = proposal?.operations[first?.id.index ?? 0]
  const value = operation && 'value' in operation ? operation.value : undefined
  if (value?.type === 'annotation') return value.targets
  throw new GonkError('NOT_HERE', 'the proposal that made the annotation is not here')
}

/** Proposes that a version be deleted, or a schema's be used no more. */
export async function removeVersion(
  context: NodeContext,
  view: View,
  { place, thing }: FoundVersion,
): Promise<Identifier> {
  return view.alone([place.uuid], async () => {
    const row = (await view.log.version(place)) as GonkVersionRow
    checkDeletable(row, thing.kind === 'annotation' ? 'annotation' : 'object')
    await propose(context, view, { op: 'delete', object: thing.object, base: [idOf(row)] })
    return { uuid: place.uuid, version: place.version }
  })
}

/** The version of ours that carries it on. */
const idOf = ({ standIn, id }: GonkVersionRow): VersionId => standIn ?? id

async function checkAnnotation(
  context: NodeContext,
  { replica }: View,
  { row }: FoundVersion,
  annotation: Uint8Array,
): Promise<void> {
  if (annotation.length > ANNOTATION_BYTES_MAX) {
    throw new GonkError('TOO_LARGE', `an annotation has at most ${ANNOTATION_BYTES_MAX} bytes`)
  }
  const item = { schema: row.id, document: annotation }
  await requireConforming(context, replica, [item]).catch(asMismatch)
}

/** Whatever is wrong with an annotation or its schema has one text. */
export function asMismatch(error: unknown): never {
  const isMismatch =
    error instanceof GonkError && /^(NOT_CONFORMING|BAD_SCHEMA|TOO_COSTLY)$/.test(error.code)
  throw isMismatch ? broken('annotation does not match schema') : error
}

/** Small bodies go into the event itself. */
function withBody(
  context: NodeContext,
  view: View,
  annotation: Uint8Array,
  things: readonly string[],
  task: (
    body: Pick<AnnotationValue, 'sizeBytes' | 'inline' | 'content'>,
    content?: Content,
  ) => Promise<Identifier>,
): Promise<Identifier> {
  const sizeBytes = annotation.length
  if (sizeBytes <= limits.inlineBytesMax) {
    return view.alone(things, () => task({ sizeBytes, inline: annotation }))
  }
  return withContent(context, view, annotation, things, (content) =>
    task({ sizeBytes, content: content.cid.bytes }, content),
  )
}

/**
 * Until they are proposed, nothing keeps the blocks of a file from the collector.
 * @param things that the task has in hand beside the content.
 */
function withContent<T>(
  context: NodeContext,
  view: View,
  bytes: Uint8Array,
  things: readonly string[],
  task: (content: Content) => Promise<T>,
): Promise<T> {
  return context.keeper.gate.shared(async () => {
    const stored = await context.files.put([bytes])
    const hashes = await hashesOf(context, view, stored, bytes)
    return view.alone([hashes[0], ...things], async () => {
      // What is checked are also the changes that had these things in hand before.
      await view.catchUp()
      return task({ ...stored, hashes })
    })
  })
}

async function hashesOf(
  { crypto }: NodeContext,
  { log }: View,
  { cid }: StoredFile,
  bytes: Uint8Array,
): Promise<Content['hashes']> {
  const ofCid = digestOf(cid.bytes)
  if (cid.code === RAW) return [ofCid]
  const digest = crypto.sha256(bytes)
  await log.commit([log.putDigest(cid.bytes, digest)])
  return [hexOf(digest), ofCid]
}

/**
 * Here the media type makes a schema, there the name: what is none is stored under another type. Other
 * nodes learn the hash of what they do not read.
 */
function shownFile(name: string, mimetype: string, content: Content): Shown {
  const isOther = mimetype === SCHEMA_MEDIA_TYPE
  const value = fileOf(name, isOther ? 'application/json' : mimetype, content)
  const labels = {
    ...(isOther && { 'gonk.format': mimetype }),
    ...(content.cid.code !== RAW && { sha256: content.hashes[0] }),
  }
  return Object.keys(labels).length > 0 ? { value, labels } : { value }
}

function fileOf(name: string, mediaType: string, { cid, sizeBytes }: StoredFile): FileValue {
  return { type: 'file', name, mediaType, sizeBytes, content: cid.bytes }
}

/** @returns the version it makes; of a deletion, one that goes. */
async function propose(
  context: NodeContext,
  view: View,
  operation: Operation,
  content?: Content,
): Promise<Identifier> {
  const contents = content === undefined ? [] : await toHold(context, content)
  const [proposal] = await proposeAll(context, view.replica, [operation], { contents })
  const id = { proposal: proposal?.id ?? ('' as VersionId['proposal']), index: 0 }
  // What is new is called what it will be told as: nobody waits for that.
  const isNew = operation.op === 'create'
  if (isNew) return { uuid: uuidOfObject(objectIdOf(id, context.crypto.sha256)), version: 0 }
  await view.catchUp()
  const [place] = (await view.log.operation(id))?.places ?? []
  if (place === undefined) throw new GonkError('INTERNAL', 'a proposal was signed and is not told')
  return { uuid: place.uuid, version: place.version }
}

/**
 * Keeps content that is one block: there is nothing to find out about it.
 * @returns what is still to be kept.
 */
async function toHold({ held }: NodeContext, { cid }: Content): Promise<CID[]> {
  if (cid.code !== RAW) return [cid]
  await held.write(held.holdOf(cid.bytes, []))
  return []
}
