// `import`: moving in from another system.
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import type { ImportResult } from '../contract/api.ts'
import { pairs, printable } from './output.ts'
import type { Session } from './session.ts'
import { datasetArgument, examples, task } from './task.ts'

export function addImport(program: Command): void {
  program
    .command('import')
    .addArgument(datasetArgument())
    .argument('<path>', "gonk: a dataset's folder, root/datasets/NAME")
    .description('take in the history of another system; again after it was cut off, too')
    .addOption(
      new Option('--format <format>', 'where it comes from')
        .choices(['gonk'])
        .makeOptionMandatory(),
    )
    .action(task(run))
    .addHelpText(
      'after',
      examples([
        'gonk-node dataset create cells                             what it comes into',
        'gonk-node import cells --format gonk ./root/datasets/cells',
        'gonk-node import cells --format gonk ./root    a root with one dataset',
      ]),
    )
}

async function run(
  session: Session,
  dataset: string,
  path: string,
  { format }: { format: 'gonk' },
): Promise<void> {
  await session.withNode(async (api) => {
    const request = { format, path: resolve(path) }
    const result = await api.importFrom(dataset, request, session.running)
    session.output.result(result, () => textOf(result))
    if (!session.output.json)
      for (const text of result.warnings) session.output.note(printable(text))
  })
}

function textOf({ events, counts }: ImportResult): string {
  const shown = Object.entries(counts).map(([name, count]) => [wordsOf(name), count])
  return pairs({ 'events signed': events.length, ...Object.fromEntries(shown) })
}

/** `objectsAccepted` → `objects accepted`. */
const wordsOf = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
