// Annotations made on this node, and one of them in full. Every document is checked against its
// schema before anything is signed.
import { GonkError } from '../../core/errors.ts'
import { type VersionId, versionKey } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type {
  Annotated,
  AnnotateRequest,
  AnnotationDetail,
  Conformity,
  UpdateAnnotationRequest,
} from '../../contract/api.ts'
import { throwIfAborted } from '../../files/concurrent.ts'
import type { AbortOptions } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import { ALONE, type Draft, labelOf, proposeDrafts, withIndex } from './annotation-drafts.ts'
import { type Annotation, AnnotationInfos, resolveAnnotation } from './annotation-info.ts'
import { resolveTarget } from './annotation-targets.ts'
import { conformityOf, DOCUMENT_BYTES_MAX, documentOf } from './conformity.ts'
import type { NodeContext } from '../context.ts'
import { withReasons } from '../review/reasons.ts'
import { isDeprecated, resolveSchema } from './schema-lookup.ts'
import { headsOf, ProposalReader, versionInfosOf, versionsOf } from '../objects/versions.ts'

/**
 * Proposes annotations in signed batches; nothing where one of them is refused. What is accepted
 * already, or was proposed by the same key, word for word, is skipped and counted; with `accept`,
 * what was proposed is accepted instead. Answers each with what stands for it then. Throws
 * NOT_CONFORMING, BAD_SCHEMA, TOO_COSTLY and TOO_LARGE (naming the first culprit, with its `index`),
 * USAGE (not one of `value` and `text`; what is no object), NOT_FOUND, AMBIGUOUS, ALREADY_DECIDED (a
 * rejected object), NOT_HERE (a schema that nobody has), NOT_OWNER (with `accept`), CANCELLED.
 */
export async function annotate(
  context: NodeContext,
  replica: Replica,
  { annotations, accept = false }: AnnotateRequest,
  options: AbortOptions = {},
): Promise<Annotated> {
  const reader = new ProposalReader(replica)
  // Thousands of annotations of few objects by one schema are the rule.
  const targetOf = remembering((ref: string) => resolveTarget(reader, ref))
  const schemaOf = remembering((ref: string) => schemaToUse(reader, ref))
  const draftOf = async (item: AnnotateRequest['annotations'][number], label: string) => {
    const document = documentBytes(item, label)
    if (item.objects.length < 1 || item.objects.length > limits.targetsMax) {
      throw new GonkError('USAGE', `an annotation is of 1 to ${limits.targetsMax} objects`)
    }
    const targets = unique(await Promise.all(item.objects.map(targetOf)))
    return { targets, schema: await schemaOf(item.schema), document, label }
  }
  const drafts: Draft[] = []
  for (const [index, item] of annotations.entries()) {
    throwIfAborted(options.signal)
    try {
      drafts.push(await draftOf(item, labelOf(index, annotations.length)))
    } catch (error) {
      throw withIndex(error, index, annotations.length)
    }
  }
  return proposeDrafts(context, replica, drafts, { ...options, accept })
}

/**
 * Proposes a new version of an annotation, of the same objects. Where nothing of it is accepted, it
 * builds on the newest version that waits. Throws what {@link annotate} throws, and STALE_BASE with
 * `accept` while nothing of it is accepted.
 */
export async function updateAnnotation(
  context: NodeContext,
  replica: Replica,
  ref: string,
  { accept = false, ...request }: UpdateAnnotationRequest,
  options: AbortOptions = {},
): Promise<Annotated> {
  const reader = new ProposalReader(replica)
  const label = ALONE
  const document = documentBytes(request, label)
  const { id, row, shown, value, status } = await resolveAnnotation(reader, ref)
  if (status === 'deleted' || status === 'purged') {
    throw new GonkError('NOT_FOUND', `annotation ${ref} is ${status}`, { hint: 'annotate anew' })
  }
  if (status === 'rejected') {
    throw new GonkError('ALREADY_DECIDED', `annotation ${ref} was rejected`, {
      hint: 'annotate anew',
    })
  }
  if (accept && status === 'pending') {
    throw new GonkError('STALE_BASE', `annotation ${ref} waits for a decision itself`, {
      hint: 'accept it first',
    })
  }
  const schema =
    request.schema === undefined ? value.schema : await schemaToUse(reader, request.schema)
  const base = status === 'accepted' ? headsOf(row) : [shown]
  const { targets } = value
  const draft = { targets, schema, document, label, on: { object: id, base } }
  return proposeDrafts(context, replica, [draft], { ...options, accept })
}

/** Of a schema that is named without a number, only what is in use. */
async function schemaToUse(reader: ProposalReader, ref: string): Promise<VersionId> {
  const { id, row, decision, isExact } = await resolveSchema(reader, ref)
  if (isExact) return id
  const isOver = row.purged || isDeprecated(row, id) || decision === 'rejected'
  if (!isOver) return id
  throw new GonkError('NOT_FOUND', `no version of ${ref} is in use`, {
    hint: `name one by its number, such as ${ref}@0, to use it all the same`,
  })
}

function documentBytes(
  { value, text }: { readonly value?: unknown; readonly text?: string },
  label: string,
): Uint8Array {
  if ((value === undefined) === (text === undefined)) {
    throw new GonkError('USAGE', `${label} needs either value or text`, {
      hint: 'give the document as a JSON value, or as text where its bytes matter',
    })
  }
  if (text?.isWellFormed() === false) {
    throw new GonkError('USAGE', `${label} is not Unicode text`, { hint: 'give JSON text' })
  }
  if (text === undefined) requireSameNumbers(value, label)
  const bytes = Buffer.from(text ?? JSON.stringify(value))
  if (bytes.length <= DOCUMENT_BYTES_MAX) return bytes
  throw new GonkError(
    'TOO_LARGE',
    `${label} has ${bytes.length} bytes; at most ${DOCUMENT_BYTES_MAX} are allowed`,
    { hint: 'keep large data as an object, and annotate with a reference to it' },
  )
}

/**
 * Throws USAGE for a number that would not be signed as it was written: one that has become infinite,
 * or a whole one with more digits than were kept.
 */
function requireSameNumbers(document: unknown, label: string): void {
  const open: unknown[] = [document]
  while (open.length > 0) {
    const value = open.pop()
    if (typeof value === 'number' && !isKept(value)) {
      throw new GonkError('USAGE', `${label} has a number that cannot be kept as it is: ${value}`, {
        hint: 'give the document as text: then every digit is signed as it is',
      })
    }
    if (typeof value !== 'object' || value === null) continue
    for (const one of Array.isArray(value) ? value : Object.values(value)) open.push(one)
  }
}

/** From 10^21 on numbers are written with an exponent, as they came. */
function isKept(value: number): boolean {
  if (!Number.isFinite(value)) return false
  return !Number.isInteger(value) || Number.isSafeInteger(value) || Math.abs(value) >= 1e21
}

function unique(versions: readonly VersionId[]): VersionId[] {
  return [...new Map(versions.map((version) => [versionKey(version), version])).values()]
}

function remembering<T>(find: (ref: string) => Promise<T>): (ref: string) => Promise<T> {
  const known = new Map<string, Promise<T>>()
  return (ref) => {
    const found = known.get(ref) ?? find(ref)
    known.set(ref, found)
    return found
  }
}

/** Throws NOT_FOUND, AMBIGUOUS. Its conformity is computed now, whoever made it. */
export async function showAnnotation(
  context: Pick<NodeContext, 'files' | 'validator'>,
  replica: Replica,
  ref: string,
): Promise<AnnotationDetail> {
  const reader = new ProposalReader(replica)
  const annotation = await resolveAnnotation(reader, ref)
  const { id, row } = annotation
  const document = await documentToShow(context, annotation)
  const { schema } = annotation.value
  const [conformity] = await conformityOf(context, replica, [{ schema, document }])
  const isHere = document !== undefined && document.length <= DOCUMENT_BYTES_MAX
  return {
    ...(await new AnnotationInfos(reader).of(annotation)),
    text: isHere ? new TextDecoder('utf-8', { ignoreBOM: true }).decode(document) : '',
    here: document !== undefined,
    conformity: conformity as Conformity,
    history: await withReasons(replica.log, versionInfosOf(row, await versionsOf(reader, id))),
  }
}

/** What is purged is not shown, even while a copy of it is here. */
async function documentToShow(
  context: Pick<NodeContext, 'files'>,
  { value, status }: Annotation,
): Promise<Uint8Array | undefined> {
  return status === 'purged' ? undefined : documentOf(context, value)
}
