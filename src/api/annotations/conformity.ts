// Whether annotations conform to their schemas: asked where one is proposed, before an acceptance
// is signed, and wherever one is shown. Nothing is remembered but compiled schemas, by their bytes.
import { CID } from 'multiformats/cid'
import { type ErrorCode, errorCodes, GonkError } from '../../core/errors.ts'
import { type AnnotationValue, type FileValue, SCHEMA_MEDIA_TYPE } from '../../core/event.ts'
import { type VersionId, versionKey } from '../../core/ids.ts'
import type { Conformity } from '../../contract/api.ts'
import type { AbortOptions, CheckBudget, CheckOptions } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import type { NodeContext } from '../context.ts'
import { versionText } from '../text.ts'

/** What an annotation may have, wherever its bytes are. */
export const DOCUMENT_BYTES_MAX = 8 * 1024 * 1024
export const SCHEMA_BYTES_MAX = 256 * 1024
/**
 * Of a document or schema. Whoever makes a file decides how small its pieces are, each of which costs a
 * read: a few blocks can name the same byte millions of times.
 */
const PIECES_MAX = 1_024

/** What the checks of one request may take. */
const REQUEST_CHECKS_MS = 60_000

/** A new one for each request. */
export function checksOfRequest(): CheckBudget {
  return { leftMs: REQUEST_CHECKS_MS }
}

export interface ConformityItem {
  readonly schema: VersionId
  /** Of the annotation, where it has an id. */
  readonly id?: VersionId
  /** UTF-8 JSON text; undefined: not here. */
  readonly document: Uint8Array | undefined
  /** How errors call it. @default its id, or `annotation INDEX` */
  readonly label?: string
}

type Needs = Pick<NodeContext, 'files' | 'validator'>

/** The bytes of a schema, or why there are none. */
type Schema = { readonly bytes: Uint8Array } | { readonly answer: Conformity }

/**
 * Says of each item whether it conforms, in order. Reads what is here and fetches nothing:
 * `unknown` (code NOT_HERE) where the schema or the document is not. `invalid` (BAD_SCHEMA) where
 * what it names is no schema, which no later event can change. Throws CANCELLED, TOO_COSTLY naming the
 * item at which `budget` is used up, and nothing for what they say.
 */
export async function conformityOf(
  context: Needs,
  replica: Replica,
  items: readonly ConformityItem[],
  options: CheckOptions = {},
): Promise<Conformity[]> {
  const answers = new Array<Conformity>(items.length)
  for (const indexes of groupsOf(items)) {
    const [first] = indexes as [number]
    const { schema: id } = items[first] as ConformityItem
    const schema = await readSchema(context, replica, id, options)
    const documents: { index: number; bytes: Uint8Array }[] = []
    for (const index of indexes) {
      const { document } = items[index] as ConformityItem
      if ('answer' in schema) answers[index] = schema.answer
      else if (document === undefined) answers[index] = notHere('document')
      else documents.push({ index, bytes: document })
    }
    if ('answer' in schema || documents.length === 0) continue
    const bytes = documents.map((document) => document.bytes)
    const checked = await context.validator.check(schema.bytes, bytes, options).catch((error) => {
      const index = documents[Number(culpritOf(error))]?.index
      throw index === undefined ? error : costlyAt(nameOf(items, index))
    })
    for (const [i, conformance] of checked.entries()) {
      const { index } = documents[i] as { index: number }
      answers[index] = conformance.conforms
        ? { status: 'conforms', errors: [] }
        : { status: 'invalid', code: conformance.code, errors: [...conformance.errors] }
    }
  }
  return answers
}

/** Of what a validator throws once a budget is used up. */
function culpritOf(error: unknown): unknown {
  return error instanceof GonkError && error.code === 'TOO_COSTLY' ? error.details?.['index'] : NaN
}

function nameOf(items: readonly ConformityItem[], index: number): string {
  const { label, id } = items[index] as ConformityItem
  return label ?? (id === undefined ? `annotation ${index}` : versionText(id))
}

/** All that a request may take is used up when it comes to `item`. */
export function costlyAt(item: string): GonkError {
  const what = `the checks of this request take more than ${REQUEST_CHECKS_MS / 1_000} s`
  return new GonkError('TOO_COSTLY', `${what}; they came as far as ${item}`, {
    hint: 'send less at once, or simplify the schemas',
    details: { item },
  })
}

/** Indexes of the items, by schema. */
function groupsOf(items: readonly ConformityItem[]): Iterable<number[]> {
  const groups = new Map<string, number[]>()
  for (const [i, { schema }] of items.entries()) {
    const key = versionKey(schema)
    const group = groups.get(key)
    if (group) group.push(i)
    else groups.set(key, [i])
  }
  return groups.values()
}

/**
 * Throws for the first item that does not conform NOT_CONFORMING, BAD_SCHEMA or TOO_COSTLY, and
 * NOT_HERE where that cannot be known; `details`: `{index, schema, errors}`.
 * @param options `bring`: fetch the schemas that are not here from peers first; call it inside
 *   `keeper.gate.shared` then.
 */
export async function requireConforming(
  context: Needs & Pick<NodeContext, 'keeper'>,
  replica: Replica,
  items: readonly ConformityItem[],
  { bring = false, ...options }: CheckOptions & { bring?: boolean } = {},
): Promise<void> {
  if (bring) await bringSchemas(context, replica, items, options)
  const answers = await conformityOf(context, replica, items, options)
  const index = answers.findIndex(({ status }) => status !== 'conforms')
  if (index < 0) return
  const { code = 'NOT_CONFORMING', errors } = answers[index] as Conformity
  const { schema } = items[index] as ConformityItem
  const [error] = errors
  const known = code in errorCodes ? (code as ErrorCode) : 'NOT_CONFORMING'
  const verdict = known === 'NOT_CONFORMING' ? 'does not conform' : 'cannot be checked'
  const place = error?.path ? ` at ${error.path}` : ''
  const rule = error?.rule === 'json' ? '' : ` (${error?.rule})`
  const reason = error === undefined ? '' : `: ${error.text}${rule}`
  throw new GonkError(known, `${nameOf(items, index)} ${verdict}${place}${reason}`, {
    details: { index, schema: versionText(schema), errors },
  })
}

async function bringSchemas(
  context: Pick<NodeContext, 'keeper'>,
  replica: Replica,
  items: readonly ConformityItem[],
  options: AbortOptions,
): Promise<void> {
  const wanted = new Map<string, { cid: CID; sizeBytes: number }>()
  for (const [first] of groupsOf(items)) {
    const value = await schemaValueOf(replica, (items[first as number] as ConformityItem).schema)
    if ('answer' in value || value.sizeBytes > SCHEMA_BYTES_MAX) continue
    const cid = CID.decode(value.content)
    wanted.set(cid.toString(), { cid, sizeBytes: value.sizeBytes })
  }
  if (wanted.size > 0) await context.keeper.bringHere(replica.id, [...wanted.values()], options)
}

async function readSchema(
  { files }: Needs,
  replica: Replica,
  id: VersionId,
  options: AbortOptions,
): Promise<Schema> {
  const value = await schemaValueOf(replica, id)
  if ('answer' in value) return value
  const { content, sizeBytes } = value
  if (sizeBytes > SCHEMA_BYTES_MAX) {
    const text = `has ${sizeBytes} bytes; at most ${SCHEMA_BYTES_MAX} are allowed`
    return { answer: badSchema('size', `the schema ${text}`) }
  }
  const bytes = await readWhole(files, content, SCHEMA_BYTES_MAX, options)
  return bytes === undefined ? { answer: notHere('schema') } : { bytes }
}

/** The file that a version of a schema is. */
export async function schemaValueOf(
  replica: Replica,
  { proposal, index }: VersionId,
): Promise<FileValue | { readonly answer: Conformity }> {
  const found = await replica.proposal(proposal)
  // It may yet arrive.
  if (found === undefined) return { answer: notHere('schema') }
  const operation = found.operations[index]
  const value = operation && 'value' in operation ? operation.value : undefined
  if (value?.type === 'file' && value.mediaType === SCHEMA_MEDIA_TYPE) return value
  return { answer: badSchema('schema', 'what it names as its schema is none') }
}

/**
 * The JSON text of an annotation as far as it is here; one that is too large by one byte too many.
 */
export async function documentOf(
  { files }: Pick<NodeContext, 'files'>,
  { inline, content }: AnnotationValue,
  options: AbortOptions = {},
): Promise<Uint8Array | undefined> {
  if (inline !== undefined || content === undefined) return inline
  return readWhole(files, content, DOCUMENT_BYTES_MAX, options)
}

/**
 * At most `max` + 1 bytes of a file; undefined when blocks are missing or make no file, and when it is in
 * more than 1,024 pieces. Throws CANCELLED.
 */
export async function readWhole(
  files: NodeContext['files'],
  content: Uint8Array,
  max: number,
  options: AbortOptions = {},
): Promise<Uint8Array | undefined> {
  const pieces: Uint8Array[] = []
  try {
    const range = { ...options, lengthBytes: max + 1 }
    for await (const piece of files.read(CID.decode(content), range)) {
      if (pieces.push(piece) > PIECES_MAX) return undefined
    }
  } catch (error) {
    const isAbsent = error instanceof GonkError && /^(NOT_HERE|BAD_BLOCK)$/.test(error.code)
    if (!isAbsent) throw error
    return undefined
  }
  return pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces)
}

function notHere(what: 'schema' | 'document'): Conformity {
  const text = `the ${what} is not on this node`
  return { status: 'unknown', code: 'NOT_HERE', errors: [{ path: '', rule: what, text }] }
}

function badSchema(rule: string, text: string): Conformity {
  return { status: 'invalid', code: 'BAD_SCHEMA', errors: [{ path: '', rule, text }] }
}
