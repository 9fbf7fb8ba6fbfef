// Whether annotations and schemas among some operations are what they should be, as far as they are
// here.
import { GonkError } from '../../core/errors.ts'
import { type FileValue, type Operation, SCHEMA_MEDIA_TYPE } from '../../core/event.ts'
import type { VersionId } from '../../core/ids.ts'
import type { CheckOptions } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import type { Conformity } from '../../contract/api.ts'
import {
  conformityOf,
  costlyAt,
  documentOf,
  readWhole,
  SCHEMA_BYTES_MAX,
} from '../annotations/conformity.ts'
import type { NodeContext } from '../context.ts'
import { versionText } from '../text.ts'

/** Documents in memory together. */
const DOCUMENT_BYTES_AT_ONCE = 16 << 20
const DOCUMENTS_AT_ONCE = 1_000

/** Whether there is something in it that can be right or wrong: an annotation, or a schema. */
export function isJudged(operation: Operation): boolean {
  if (!('value' in operation)) return false
  const { value } = operation
  return value.type === 'annotation' || value.mediaType === SCHEMA_MEDIA_TYPE
}

/**
 * The conformity of annotations and schemas among some operations, part by part, as far as they are
 * here; documents of a part are in memory together. Throws CANCELLED, and TOO_COSTLY naming the item at
 * which `budget` is used up.
 */
export async function* judge(
  context: Pick<NodeContext, 'files' | 'validator'>,
  replica: Replica,
  operations: Iterable<{ readonly operation: Operation; readonly id: VersionId }>,
  options: CheckOptions = {},
): AsyncGenerator<{ readonly id: VersionId; readonly conformity: Conformity }[]> {
  let part: { id: VersionId; schema: VersionId; document: Uint8Array | undefined }[] = []
  let bytes = 0
  const answersOf = async () => {
    const answers = await conformityOf(context, replica, part, options)
    return part.map(({ id }, i) => ({ id, conformity: answers[i] as Conformity }))
  }
  for (const { operation, id } of operations) {
    if (!isJudged(operation) || !('value' in operation)) continue
    const { value } = operation
    if (value.type === 'file') {
      if (options.budget && options.budget.leftMs <= 0) throw costlyAt(versionText(id))
      yield [{ id, conformity: await schemaConformityOf(context, value, options) }]
      continue
    }
    const document = await documentOf(context, value, options)
    part.push({ id, schema: value.schema, document })
    bytes += document?.length ?? 0
    if (bytes < DOCUMENT_BYTES_AT_ONCE && part.length < DOCUMENTS_AT_ONCE) continue
    yield await answersOf()
    part = []
    bytes = 0
  }
  if (part.length > 0) yield await answersOf()
}

/** Whether a schema can be used at all. */
async function schemaConformityOf(
  { files, validator }: Pick<NodeContext, 'files' | 'validator'>,
  { content }: FileValue,
  options: CheckOptions,
): Promise<Conformity> {
  const bytes = await readWhole(files, content, SCHEMA_BYTES_MAX, options)
  if (bytes === undefined) {
    const text = 'the schema is not on this node'
    return { status: 'unknown', code: 'NOT_HERE', errors: [{ path: '', rule: 'schema', text }] }
  }
  try {
    await validator.checkSchema(bytes, options)
    return { status: 'conforms', errors: [] }
  } catch (error) {
    if (!(error instanceof GonkError)) throw error
    const { code, message, details } = error
    if (code !== 'BAD_SCHEMA' && code !== 'TOO_COSTLY' && code !== 'TOO_LARGE') throw error
    const listed = details?.['errors'] as Conformity['errors'] | undefined
    const errors = listed ?? [{ path: '', rule: '', text: message }]
    return { status: 'invalid', code: code === 'TOO_LARGE' ? 'BAD_SCHEMA' : code, errors }
  }
}
