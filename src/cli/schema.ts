// `schema add|list|show|deprecate|common`.
import type { Command } from 'commander'
import type { NodeApi, SchemaAdded, SchemaDetail, SchemaInfo } from '../contract/api.ts'
import { GonkError } from '../core/errors.ts'
import { readText } from './input.ts'
import { removedText } from './objects.ts'
import { countText, pairs, printableText, shortKey, sizeText, table } from './output.ts'
import type { Session } from './session.ts'
import { datasetArgument, examples, task } from './task.ts'
import { acceptedText } from './waiting.ts'

const SCHEMA_BYTES_MAX = 256 * 1024
const PREFIX = 'schema-'
const WHICH = 'NAME (its current version), NAME@NUMBER or EVENT:INDEX'

interface AddOptions {
  readonly common?: string
  readonly accept?: boolean
}

export function addSchemas(program: Command): void {
  const schema = program
    .command('schema')
    .description('what annotations must conform to: JSON Schemas, added, listed and shown')
    .addHelpText(
      'after',
      examples([
        'gonk-node schema add cells schema-boxes boxes.json --accept',
        'gonk-node schema add cells --common boxes --accept',
        'gonk-node schema list cells',
      ]),
    )
  schema
    .command('add')
    .addArgument(datasetArgument())
    .argument('[name]', 'begins with schema-; a name that exists gets a new version')
    .argument('[file]', 'JSON Schema, draft 04, 06, 07, 2019-09 or 2020-12; - for standard input')
    .description('propose a JSON Schema')
    .option('--common <name>', 'one of those that come with gonk-node, in place of a file')
    .option('--accept', 'also review it: for owners')
    .action(task(add))
    .addHelpText(
      'after',
      examples([
        'gonk-node schema add cells schema-boxes boxes.json',
        'gonk-node schema add cells schema-boxes - < boxes.json',
        'gonk-node schema add cells --common boxes --accept      under its own name',
      ]),
    )
  schema
    .command('list')
    .addArgument(datasetArgument())
    .description('all schemas, each with its current version')
    .action(
      task((session: Session, dataset: string) =>
        session.withNode(async (api) => {
          const schemas = await api.listSchemas(dataset)
          session.output.result(schemas, () => listText(schemas))
        }),
      ),
    )
    .addHelpText(
      'after',
      examples(['gonk-node schema list cells', 'gonk-node schema list cells --json']),
    )
  addShowAndDeprecate(schema)
  addCommon(schema)
}

function addShowAndDeprecate(schema: Command): void {
  schema
    .command('show')
    .addArgument(datasetArgument())
    .argument('<schema>', WHICH)
    .description('one schema with its versions and its document')
    .option('--document', 'print the document and nothing else')
    .action(
      task((session: Session, dataset: string, ref: string, options: { document?: boolean }) =>
        session.withNode(async (api) => {
          const detail = await api.showSchema(dataset, ref)
          const { output } = session
          if (options.document === true && !output.json) output.document(detail.document)
          else output.result(detail, () => detailText(detail))
        }),
      ),
    )
    .addHelpText(
      'after',
      examples([
        'gonk-node schema show cells schema-boxes',
        'gonk-node schema show cells schema-boxes@0 --document > boxes.json',
      ]),
    )
  schema
    .command('deprecate')
    .addArgument(datasetArgument())
    .argument('<schema>', WHICH)
    .description('propose that one version be used no more')
    .action(
      task((session: Session, dataset: string, ref: string) =>
        session.withNode(async (api) => {
          const result = await api.deprecateSchema(dataset, ref)
          session.output.result(result, () => removedText(result))
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node schema deprecate cells schema-boxes@0']))
}

function addCommon(schema: Command): void {
  schema
    .command('common')
    .argument('[name]', 'such as boxes')
    .description('the schemas that come with gonk-node, or the document of one')
    .option('--example', 'print an example that conforms instead')
    .action(
      task(async (session: Session, name: string | undefined, options: { example?: boolean }) => {
        const { output } = session
        if (name === undefined) {
          const all = await allCommon()
          const rows = all.map(({ name, title }) => [name.slice(PREFIX.length), title])
          output.result(all, () => table(['NAME', 'TITLE'], rows))
          return
        }
        const common = await commonNamed(name)
        const text = options.example === true ? common.example : common.document
        output.result(common, () => text.trimEnd())
      }),
    )
    .addHelpText(
      'after',
      examples([
        'gonk-node schema common',
        'gonk-node schema common boxes > boxes.json',
        'gonk-node schema common boxes --example',
      ]),
    )
}

async function add(
  session: Session,
  dataset: string,
  name: string | undefined,
  file: string | undefined,
  { common, accept = false }: AddOptions,
): Promise<void> {
  const request = await requested(name, file, common)
  await session.withNode(async (api: NodeApi) => {
    const result = await api.addSchema(dataset, { ...request, ...(accept && { accept }) })
    session.output.result(result, () => addedText(result, accept))
  })
}

async function requested(
  name: string | undefined,
  file: string | undefined,
  common: string | undefined,
): Promise<{ name: string; document: string }> {
  const isWhole = common === undefined ? file !== undefined : file === undefined
  if (!isWhole) {
    throw new GonkError('USAGE', 'give either a name and a file, or --common', {
      hint: 'see `gonk-node help schema add`',
    })
  }
  if (name !== undefined && !name.startsWith(PREFIX)) {
    throw new GonkError('BAD_NAME', `"${name}": the name of a schema begins with ${PREFIX}`, {
      hint: `call it ${PREFIX}${name}`,
    })
  }
  if (common === undefined) {
    return { name: name as string, document: await readText(file as string, SCHEMA_BYTES_MAX) }
  }
  const { name: own, document } = await commonNamed(common)
  return { name: name ?? own, document }
}

/** The same that `commonSchemas` of the API says; it needs no home. */
async function allCommon() {
  const { commonSchemas } = await import('../schemas/common.ts')
  return commonSchemas.map(({ schema, ...others }) => ({ ...others, document: schema }))
}

async function commonNamed(name: string) {
  const all = await allCommon()
  const found = all.find((schema) => schema.name === name || schema.name === PREFIX + name)
  if (found) return found
  throw new GonkError('NOT_FOUND', `no schema ${name} comes with gonk-node`, {
    hint: 'see `gonk-node schema common`',
  })
}

function addedText({ event, schema, approvals }: SchemaAdded, accepted: boolean): string {
  const name = nameText(schema)
  return `${accepted ? acceptedText(name, approvals) : `proposed ${name}`}\n${event}`
}

/** Versions by those who have no say have no number. */
function nameText({ name, number }: Pick<SchemaInfo, 'name' | 'number'>): string {
  return number === undefined ? name : `${name}@${number}`
}

function listText(schemas: readonly SchemaInfo[]): string {
  const rows = schemas.map((schema) => [
    nameText(schema),
    schema.status,
    countText(schema.versions, 'version'),
    sizeText(schema.size),
    schema.version,
  ])
  return table(['NAME', 'STATUS', 'OF', 'SIZE', 'VERSION'], rows, 'no schemas')
}

function detailText({ history, document, ...schema }: SchemaDetail): string {
  const head = pairs({
    name: nameText(schema),
    version: schema.version,
    status: schema.status,
    size: sizeText(schema.size),
    cid: schema.cid,
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
  return [head, versions, printableText(document)].join('\n\n')
}
