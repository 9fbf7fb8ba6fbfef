// `add`, `rm`, `mv` and `ls`: the objects of a dataset.
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { AddResult, ObjectInfo } from '../api/types.ts'
import { GonkError } from '../core/errors.ts'
import { countText, printable, sizeText, table } from './output.ts'
import type { Session } from './session.ts'
import { examples, positive, task } from './task.ts'

interface AddOptions {
  readonly prefix?: string
  readonly meta?: string
  readonly accept?: boolean
  readonly stream?: boolean
}

export function addObjects(program: Command): void {
  program
    .command('add')
    .argument('<dataset>', 'name, id or unique prefix')
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
    .argument('<dataset>', 'name, id or unique prefix; DATASET@TAG for a release')
    .description('list the objects of a dataset by name')
    .option('--after <name>', 'start behind this name')
    .option('--limit <n>', 'at most this many', positive)
    .action(task(list))
    .addHelpText('after', examples(['gonk-node ls cells', 'gonk-node ls cells --limit 20 --json']))
}

function addRemoveAndRename(program: Command): void {
  program
    .command('rm')
    .argument('<dataset>', 'name, id or unique prefix')
    .argument('<object...>', 'names or unique prefixes of ids')
    .description('propose to delete objects')
    .action(
      task((session: Session, dataset: string, objects: string[]) =>
        session.withNode(async (api) => {
          const result = await api.removeObjects(dataset, objects)
          session.output.result(result, () => proposed(result.events))
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node rm cells images/a.jpg images/b.jpg']))
  program
    .command('mv')
    .argument('<dataset>', 'name, id or unique prefix')
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
        ...(request.prefix === undefined ? {} : { prefix: request.prefix }),
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
  })
}

function addedText(result: AddResult, accepted: boolean): string {
  const bytes = result.objects.reduce((sum, object) => sum + object.size, 0)
  const verb = accepted ? 'added and accepted' : 'proposed'
  const skipped = result.skipped === 0 ? '' : `, ${result.skipped} unchanged or already proposed`
  const what = `${countText(result.objects.length, 'object')} (${sizeText(bytes)})`
  return [`${verb} ${what}${skipped}`, ...result.events].join('\n')
}

async function list(
  session: Session,
  dataset: string,
  options: { after?: string; limit?: number },
): Promise<void> {
  const { output } = session
  await session.withNode(async (api) => {
    let after = options.after
    let left = options.limit ?? Number.POSITIVE_INFINITY
    let written = 0
    // Page by page, so that a million objects need no memory; still one JSON document.
    while (left > 0 && !session.signal.aborted) {
      const limit = Math.min(left, 200)
      const page = await api.listObjects(dataset, {
        limit,
        ...(after === undefined ? {} : { after }),
      })
      for (const object of output.json ? page.objects : []) {
        process.stdout.write(`${written++ === 0 ? '{"objects":[' : ',\n'}${JSON.stringify(object)}`)
      }
      if (!output.json) output.write(objectTable(page.objects))
      left -= page.objects.length
      after = page.next
      if (after === undefined) break
    }
    if (output.json) output.write(written === 0 ? '{"objects":[]}' : ']}')
  })
  if (session.signal.aborted) throw new GonkError('CANCELLED', 'interrupted')
}

function objectTable(objects: readonly ObjectInfo[]): string {
  const rows = objects.map(({ cid, size, status, name }) => [cid, sizeText(size), status, name])
  return table(['CID', 'SIZE', 'STATUS', 'NAME'], rows, '')
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
