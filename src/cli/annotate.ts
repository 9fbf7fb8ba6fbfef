// `annotate`: one annotation from a file, or many from lines of JSON.
import type { Command } from 'commander'
import type {
  AnnotateRequest,
  Annotated,
  AnnotationInfo,
  Approvals,
  NodeApi,
} from '../contract/api.ts'
import { GonkError } from '../core/errors.ts'
import { type Line, linesOf, readText } from './input.ts'
import { printList } from './json-list.ts'
import { countText } from './output.ts'
import type { Session } from './session.ts'
import { collect, datasetArgument, examples, task } from './task.ts'
import { acceptedText } from './waiting.ts'

type Item = AnnotateRequest['annotations'][number]

const MiB = 1024 * 1024
const DOCUMENT_BYTES_MAX = 8 * MiB
/** What one request takes of a batch; a longer line goes alone. */
const GROUP_ITEMS_MAX = 1_000
const GROUP_BYTES_MAX = 4 * MiB
const LINE_BYTES_MAX = 16 * MiB

interface Options {
  readonly schema?: string
  readonly also?: readonly string[]
  readonly batch?: string
  readonly accept?: boolean
}

export function addAnnotate(program: Command): void {
  program
    .command('annotate')
    .addArgument(datasetArgument())
    .argument('[object]', 'name, id or EVENT:INDEX of what is annotated')
    .argument('[file]', 'the annotation, JSON; - for standard input')
    .description('propose annotations, each checked against its schema first')
    .option('--schema <schema>', 'NAME, NAME@NUMBER or EVENT:INDEX')
    .option('--also <object>', 'annotate this object too, with the same; may be repeated', collect)
    .option('--batch <file>', 'many: one {"object","schema","value"} a line; - for standard input')
    .option('--accept', 'also review them: for owners')
    .action(task(annotate))
    .addHelpText(
      'after',
      [
        examples([
          'gonk-node annotate cells a.jpg --schema schema-boxes boxes.json',
          'gonk-node annotate cells a.jpg --schema schema-boxes@0 - < boxes.json',
          'gonk-node annotate cells left.jpg --also right.jpg --schema schema-pair pair.json',
          'gonk-node annotate cells --batch all.jsonl --accept',
        ]),
        '\nLines of a batch: "object" (or "objects", a list), "schema" (or --schema for all), and',
        '"value" (or "text": JSON text that is kept byte by byte). They are proposed in groups of up',
        'to 1,000, each whole or not at all; what is accepted or proposed already is skipped.',
      ].join('\n'),
    )
}

async function annotate(
  session: Session,
  dataset: string,
  object: string | undefined,
  file: string | undefined,
  options: Options,
): Promise<void> {
  const { schema, also = [], batch, accept = false } = options
  const isOne = object !== undefined && file !== undefined && schema !== undefined
  const isMany = batch !== undefined && object === undefined && also.length === 0
  if (isMany) return annotateMany(session, dataset, batch, { schema, accept })
  if (!isOne || batch !== undefined) {
    throw new GonkError('USAGE', 'give either an object, --schema and a file, or --batch', {
      hint: 'see `gonk-node help annotate`',
    })
  }
  const item = {
    objects: [object, ...also],
    schema,
    text: await readText(file, DOCUMENT_BYTES_MAX),
  }
  await session.withNode(async (api) => {
    const result = await api.annotate(dataset, { annotations: [item], ...(accept && { accept }) })
    session.output.result(result, () => annotatedText(result, accept))
  })
}

export function annotatedText(
  { events, annotations, skipped, approvals }: Annotated,
  accepted: boolean,
): string {
  const sum = { proposed: annotations.length - skipped, skipped, approvals }
  return [doneText(sum, accepted), ...events].join('\n')
}

type Done = Pick<Sum, 'proposed' | 'skipped' | 'approvals'>

function doneText({ proposed: count, skipped, approvals }: Done, accepted: boolean): string {
  const known = `${countText(skipped, 'annotation')} already there or proposed`
  if (count === 0) return `nothing new to propose: ${skipped === 0 ? 'no lines there' : known}`
  const what = countText(count, 'annotation')
  const done = accepted ? acceptedText(what, approvals) : `proposed ${what}`
  return skipped === 0 ? done : `${done}; ${known}`
}

/** Of all groups so far. */
interface Sum {
  readonly events: string[]
  proposed: number
  skipped: number
  /** Of a group that others must accept, too. */
  approvals: Approvals | undefined
}

interface ManyOptions {
  readonly schema: string | undefined
  readonly accept: boolean
}

async function annotateMany(
  session: Session,
  dataset: string,
  batch: string,
  options: ManyOptions,
): Promise<void> {
  const { output } = session
  await session.withNode(async (api) => {
    const sum: Sum = { events: [], proposed: 0, skipped: 0, approvals: undefined }
    const pages = annotatedPages(session, api, { dataset, batch, ...options }, sum)
    if (output.json) {
      const form = { name: 'annotations', header: '', empty: '', line: () => '' }
      const more = () => ({ events: sum.events, skipped: sum.skipped })
      await printList(session, pages, { ...form, more })
      return
    }
    for await (const _ of pages);
    output.clearBar()
    const what = doneText(sum, options.accept)
    output.write([what, ...sum.events].join('\n'))
  })
}

/** What became of each group of lines; earlier groups stay when a later one fails. */
async function* annotatedPages(
  session: Session,
  api: NodeApi,
  { dataset, batch, schema, accept }: ManyOptions & { dataset: string; batch: string },
  sum: Sum,
): AsyncIterable<readonly AnnotationInfo[]> {
  let done = 0
  let bytes = 0
  for await (const group of groupsOf(linesOf(batch, LINE_BYTES_MAX))) {
    const stays = soFar(sum.proposed)
    if (session.signal.aborted) throw interrupted(stays)
    const annotations: Item[] = []
    for (const line of group) annotations.push(itemOf(line, schema, stays))
    const result = await api
      .annotate(dataset, { annotations, ...(accept && { accept }) })
      .catch((error: unknown) => Promise.reject(onLine(error, group, stays)))
    sum.events.push(...result.events)
    sum.proposed += result.annotations.length - result.skipped
    sum.skipped += result.skipped
    sum.approvals ??= result.approvals
    done += group.length
    bytes += group.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    session.output.onProgress({ what: 'annotating', done, total: 0, bytes })
    yield result.annotations
  }
}

async function* groupsOf(lines: AsyncIterable<Line>): AsyncIterable<Line[]> {
  let group: Line[] = []
  let bytes = 0
  for await (const line of lines) {
    const isFull = group.length === GROUP_ITEMS_MAX || bytes + line.sizeBytes > GROUP_BYTES_MAX
    if (isFull && group.length > 0) {
      yield group
      group = []
      bytes = 0
    }
    group.push(line)
    bytes += line.sizeBytes
  }
  if (group.length > 0) yield group
}

function itemOf({ number, text }: Line, schema: string | undefined, stays: string): Item {
  const refuse = (what: string, cause?: unknown) =>
    new GonkError('USAGE', `line ${number} ${what}${stays}`, {
      hint: 'a line is {"object": …, "schema": …, "value": …}',
      cause,
    })
  const line = parsed(text, refuse)
  if (typeof line !== 'object' || line === null) throw refuse('is not a JSON object')
  const { object, objects = [object], schema: own = schema, value, text: document } = line
  if (!isTexts(objects)) throw refuse('needs "object" or "objects": what it is about')
  if (typeof own !== 'string') throw refuse('needs "schema", or give --schema for all lines')
  if (document !== undefined && typeof document !== 'string')
    throw refuse('has a "text" that is none')
  if ((value === undefined) === (document === undefined)) throw refuse('needs "value" or "text"')
  const held = document === undefined ? { value } : { text: document }
  return { objects, schema: own, ...held }
}

function parsed(text: string, refuse: (what: string, cause?: unknown) => GonkError) {
  try {
    return JSON.parse(text) as Record<string, unknown> | null
  } catch (cause) {
    throw refuse('is not JSON', cause)
  }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string')
}

/** The same error, which says which line of the file it is about. */
function onLine(error: unknown, group: readonly Line[], stays: string): unknown {
  if (!(error instanceof GonkError)) return error
  const { code, hint, details, message } = error
  const index = Number(details?.['index'] ?? Number.NaN)
  const line = group[index]
  const where = line === undefined ? '' : `line ${line.number}: `
  const label = `annotations[${index}]`
  const rest = message.startsWith(`${label}: `) ? message.slice(label.length + 2) : message
  const text = line === undefined ? rest : rest.replaceAll(label, `line ${line.number}`)
  return new GonkError(code, `${where}${text}${stays}`, {
    hint,
    details: { ...details },
    cause: error,
  })
}

function soFar(proposed: number): string {
  if (proposed === 0) return ''
  const what = countText(proposed, 'annotation')
  return `; ${what} of earlier lines stay proposed, and are skipped when the file is given again`
}

function interrupted(stays: string): GonkError {
  return new GonkError('CANCELLED', `interrupted${stays}`, { hint: 'repeat the command' })
}
