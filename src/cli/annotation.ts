// `annotation list|show|update`.
import { type Command, Option } from 'commander'
import type { AnnotationDetail, AnnotationFilter, AnnotationInfo } from '../contract/api.ts'
import { annotatedText } from './annotate.ts'
import { readText } from './input.ts'
import { pagesOf, printList } from './json-list.ts'
import { pairs, printable, printableText, shortKey, sizeText, table } from './output.ts'
import type { Session } from './session.ts'
import { datasetArgument, examples, positive, task } from './task.ts'

const DOCUMENT_BYTES_MAX = 8 * 1024 * 1024
const ID = 'id (by unique prefix) or EVENT:INDEX'

type ListOptions = Pick<AnnotationFilter, 'object' | 'schema' | 'status' | 'limit'>

export function addAnnotations(program: Command): void {
  const annotation = program
    .command('annotation')
    .description('list, show and change annotations')
    .addHelpText(
      'after',
      examples([
        'gonk-node annotation list cells --object a.jpg',
        'gonk-node annotation show cells 3f2a',
        'gonk-node rm cells 3f2a                         proposes to delete it',
      ]),
    )
  annotation
    .command('list')
    .addArgument(datasetArgument())
    .description('annotations: accepted ones, or those of an object or by a schema')
    .option('--object <object>', 'of this object: name, id or EVENT:INDEX')
    .option('--schema <schema>', 'by this schema: NAME, NAME@NUMBER or EVENT:INDEX')
    .addOption(
      new Option('--status <status>', 'only these').choices([
        ...['accepted', 'pending', 'rejected', 'deleted'],
      ]),
    )
    .option('--limit <n>', 'at most this many', positive)
    .action(task(list))
    .addHelpText(
      'after',
      examples([
        'gonk-node annotation list cells',
        'gonk-node annotation list cells --object a.jpg --json',
        'gonk-node annotation list cells --schema schema-boxes --status pending',
      ]),
    )
  addShowAndUpdate(annotation)
}

function addShowAndUpdate(annotation: Command): void {
  annotation
    .command('show')
    .addArgument(datasetArgument())
    .argument('<annotation>', ID)
    .description('one annotation with its document, and whether it conforms to its schema')
    .option('--document', 'print the document and nothing else')
    .action(
      task((session: Session, dataset: string, ref: string, options: { document?: boolean }) =>
        session.withNode(async (api) => {
          const detail = await api.showAnnotation(dataset, ref)
          const { output } = session
          if (options.document === true && !output.json) output.document(detail.text)
          else output.result(detail, () => detailText(detail))
        }),
      ),
    )
    .addHelpText(
      'after',
      examples([
        'gonk-node annotation show cells 3f2a',
        'gonk-node annotation show cells 3f2a --document > boxes.json',
      ]),
    )
  annotation
    .command('update')
    .addArgument(datasetArgument())
    .argument('<annotation>', ID)
    .argument('<file>', 'what it shall say, JSON; - for standard input')
    .description('propose a new version of an annotation')
    .option('--schema <schema>', 'another schema than before')
    .option('--accept', 'also review it: for owners')
    .action(task(update))
    .addHelpText('after', examples(['gonk-node annotation update cells 3f2a boxes.json']))
}

async function update(
  session: Session,
  dataset: string,
  ref: string,
  file: string,
  { schema, accept = false }: { schema?: string; accept?: boolean },
): Promise<void> {
  const text = await readText(file, DOCUMENT_BYTES_MAX)
  const more = { ...(schema !== undefined && { schema }), ...(accept && { accept }) }
  await session.withNode(async (api) => {
    const result = await api.updateAnnotation(dataset, ref, { text, ...more })
    session.output.result(result, () => annotatedText(result, accept))
  })
}

async function list(
  session: Session,
  dataset: string,
  { limit = Number.POSITIVE_INFINITY, object, schema, status }: ListOptions,
): Promise<void> {
  const filter = {
    ...(object !== undefined && { object }),
    ...(schema !== undefined && { schema }),
    ...(status !== undefined && { status }),
  }
  await session.withNode(async (api) => {
    const pages = pagesOf(session.signal, limit, async (page) => {
      const { annotations, next } = await api.listAnnotations(dataset, { ...filter, ...page })
      return { items: annotations, next }
    })
    await printList<AnnotationInfo>(session, pages, {
      name: 'annotations',
      header: row('ID', 'STATUS', 'SCHEMA', 'OBJECTS'),
      empty: 'no annotations; with --status pending it lists those that wait',
      line: (info) => row(info.id, info.status, schemaText(info), objectsText(info)),
    })
  })
}

/** Columns of fixed width: pages come one by one. */
function row(id: string, status: string, schema: string, objects: string): string {
  return `${id.padEnd(64)}  ${status.padEnd(8)}  ${schema.padEnd(24)}  ${objects}`
}

function schemaText({ schema: { name, number, version } }: AnnotationInfo): string {
  if (name === undefined) return version
  return printable(number === undefined ? name : `${name}@${number}`)
}

function objectsText({ objects }: AnnotationInfo): string {
  return printable(objects.map(({ name, object, version }) => name ?? object ?? version).join(', '))
}

function detailText({ history, text, here, conformity, ...info }: AnnotationDetail): string {
  const [error] = conformity.errors
  const reason =
    error === undefined ? '' : `: ${error.path && `${error.path} `}${error.text} (${error.rule})`
  const head = pairs({
    id: info.id,
    version: info.version,
    status: info.status,
    objects: objectsText(info),
    schema: schemaText(info),
    conforms: (conformity.status === 'conforms' ? 'yes' : conformity.status) + reason,
    size: sizeText(info.size),
    author: info.author,
    at: info.at,
  })
  const rows = history.map((version) => [
    version.number ?? '',
    version.op,
    version.status,
    shortKey(version.author),
    version.at,
    version.version,
    version.reason ?? '',
  ])
  const header = ['NUMBER', 'OP', 'STATUS', 'AUTHOR', 'AT', 'VERSION', 'REASON']
  const versions = table(header, rows)
  const document = here ? printableText(text) : '(the document is not on this node)'
  return [head, versions, document].join('\n\n')
}
