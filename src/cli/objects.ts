// `add`, `rm`, `mv` and `ls`: the objects of a dataset.
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import type { AddResult, NodeApi, ObjectFilter, ObjectInfo, Removed } from '../contract/api.ts'
import { GonkError } from '../core/errors.ts'
import { countText, errorJson, printable, sizeText } from './output.ts'
import type { Session } from './session.ts'
import { datasetArgument, ExitStatus, examples, positive, task } from './task.ts'
import { acceptedText } from './waiting.ts'

const PAGE_OBJECTS = 200
/** What `listReviews` gives at once. */
const ENTRIES_AT_ONCE = 1_000

interface AddOptions {
  readonly prefix?: string
  readonly meta?: string
  readonly accept?: boolean
  readonly stream?: boolean
}

interface ListOptions extends Pick<ObjectFilter, 'status' | 'prefix' | 'after'> {
  readonly limit?: number
  readonly type?: string
}

export function addObjects(program: Command): void {
  program
    .command('add')
    .addArgument(datasetArgument())
    .argument('<path...>', 'files and folders; folders recursively, names kept relative to them')
    .description('propose files and folders')
    .option('--prefix <prefix>', 'put this in front of every name')
    .option('--meta <json>', 'JSON kept with each object')
    .option('--accept', 'also review them: for owners')
    .option('--stream', 'print one JSON object a line as they are added')
    .action(task(add))
    .addHelpText(
      'after',
      examples([
        'gonk-node add cells ./images',
        'gonk-node add cells ./images --accept      owners: propose and accept at once',
        'gonk-node add cells photo.jpg --prefix 2026/may --meta \'{"scanner":"A"}\'',
      ]),
    )
  addRemoveAndRename(program)
  program
    .command('ls')
    .addArgument(datasetArgument())
    .description('list the objects of a dataset: accepted ones by name, others by arrival')
    .addOption(
      new Option('--status <status>', 'those that are').choices([
        'accepted',
        'pending',
        'rejected',
        'deleted',
      ]),
    )
    .option('--prefix <prefix>', 'names that begin with this')
    .option('--type <type>', 'of a media type, or of all that begin so: image/')
    .option('--after <name>', 'start behind this name')
    .option('--limit <n>', 'at most this many', positive)
    .action(task(list))
    .addHelpText(
      'after',
      examples([
        'gonk-node ls cells --limit 20 --json',
        'gonk-node ls cells --prefix images/ --type image/png',
        'gonk-node ls cells --status pending          proposed, and nobody has decided',
      ]),
    )
}

function addRemoveAndRename(program: Command): void {
  program
    .command('rm')
    .addArgument(datasetArgument())
    .argument('<object...>', 'names or unique prefixes of ids')
    .description('propose to delete objects')
    .action(
      task((session: Session, dataset: string, objects: string[]) =>
        session.withNode(async (api) => {
          const result = await api.removeObjects(dataset, objects)
          session.output.result(result, () => removedText(result))
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node rm cells images/a.jpg images/b.jpg']))
  program
    .command('mv')
    .addArgument(datasetArgument())
    .argument('<object>', 'name or unique prefix of an id')
    .argument('<name>', 'the new name')
    .description('propose another name for an object')
    .action(
      task((session: Session, dataset: string, object: string, name: string) =>
        session.withNode(async (api) => {
          const result = await api.renameObject(dataset, object, name)
          session.output.result(result, () => proposed(result.events))
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node mv cells images/a.jpg images/cell-1.jpg']))
}

async function add(
  session: Session,
  dataset: string,
  paths: string[],
  options: AddOptions,
): Promise<void> {
  checkJson(options.meta)
  const { output } = session
  const { stream = false, ...request } = options
  await session.withNode(async (api) => {
    const result = await api.add(
      dataset,
      {
        paths: paths.map((path) => resolve(path)),
        accept: request.accept ?? false,
        ...(request.prefix ? { prefix: request.prefix } : {}),
        ...(request.meta === undefined ? {} : { meta: request.meta }),
      },
      {
        ...session.running,
        ...(stream ? { onObject: (object) => output.write(JSON.stringify(object)) } : {}),
      },
    )
    for (const warning of result.warnings) output.note(printable(warning))
    if (stream) output.clearBar()
    else output.result(result, () => addedText(result, request.accept ?? false))
    // What was proposed before is not accepted by adding it again.
    const isDone = !request.accept || result.objects.length > 0 || result.skipped === 0
    const waiting = isDone ? 0 : (await api.listReviews(dataset)).length
    if (waiting > 0) {
      const todo = `\`gonk-node review list ${dataset}\``
      const more = waiting === ENTRIES_AT_ONCE ? 'at least ' : ''
      output.note(`${more}${countText(waiting, 'proposal')} waiting for a review; see ${todo}`)
    }
  })
}

function addedText(result: AddResult, accepted: boolean): string {
  const bytes = result.objects.reduce((sum, object) => sum + object.size, 0)
  const known = `${countText(result.skipped, 'file')} unchanged or already proposed`
  if (result.objects.length === 0)
    return `nothing new to propose: ${result.skipped === 0 ? 'no files there' : known}`
  const what = `${countText(result.objects.length, 'object')} (${sizeText(bytes)})`
  const done = accepted ? acceptedText(what, result.approvals) : `proposed ${what}`
  const skipped = result.skipped === 0 ? '' : `; ${known}`
  return [`${done}${skipped}`, ...result.events].join('\n')
}

async function list(
  session: Session,
  dataset: string,
  { limit = Number.POSITIVE_INFINITY, type, ...filter }: ListOptions,
): Promise<void> {
  const { output } = session
  const asked = { ...filter, ...(type !== undefined && { mediaType: type }) }
  await session.withNode(async (api) => {
    let written = 0
    try {
      // Page by page, so that a million objects need no memory; still one JSON document.
      for await (const objects of pagesOf(api, session.signal, dataset, asked, limit)) {
        for (const object of objects) {
          const before = written++ === 0 ? ['{"objects":[', listHeader] : [',\n', '']
          if (output.json) process.stdout.write(`${before[0]}${JSON.stringify(object)}`)
          else process.stdout.write(`${before[1]}${listLine(object)}`)
        }
      }
    } catch (error) {
      if (output.json && written > 0 && error instanceof GonkError) {
        output.write(`],"error":${JSON.stringify(errorJson(error))}}`)
        throw new ExitStatus(session.signal.aborted ? 130 : 1)
      }
      throw error
    }
    if (output.json) output.write(written === 0 ? '{"objects":[]}' : ']}')
    else if (written === 0)
      output.note(`no objects; \`gonk-node review list ${dataset}\` shows what waits`)
  })
}

async function* pagesOf(
  api: NodeApi,
  signal: AbortSignal,
  dataset: string,
  filter: ObjectFilter,
  limit: number,
): AsyncGenerator<readonly ObjectInfo[]> {
  let left = limit
  let next: string | undefined
  do {
    const place = next === undefined ? {} : { after: next }
    const page = await api.listObjects(dataset, {
      ...filter,
      ...place,
      limit: Math.min(left, PAGE_OBJECTS),
    })
    if (signal.aborted) throw new GonkError('CANCELLED', 'interrupted')
    yield page.objects
    left -= page.objects.length
    next = page.next
  } while (left > 0 && next !== undefined)
}

/** Columns of fixed width: pages come one by one. */
function listRow(cid: string, size: string, status: string, name: string): string {
  return `${cid.padEnd(59)}  ${size.padStart(8)}  ${status.padEnd(8)}  ${printable(name)}\n`
}

const listHeader = listRow('CID', 'SIZE', 'STATUS', 'NAME')
const listLine = ({ cid, size, status, name }: ObjectInfo) =>
  listRow(cid, sizeText(size), status, name)

export function removedText({ events, skipped }: Removed): string {
  const known = skipped === 0 ? '' : `; ${skipped} proposed already`
  if (events.length === 0) return `nothing to do${known}`
  return [`proposed${known}`, ...events].join('\n')
}

function proposed(events: readonly string[]): string {
  return events.length === 0 ? 'nothing to do' : ['proposed', ...events].join('\n')
}

function checkJson(text: string | undefined): void {
  try {
    if (text !== undefined) JSON.parse(text)
  } catch (error) {
    throw new GonkError(
      'USAGE',
      `--meta is not JSON: ${error instanceof Error ? error.message : ''}`,
    )
  }
}
