// `log`, `show`, `diff` and `root`: what happened to a dataset.
import type { Command } from 'commander'
import type { Change, NodeApi } from '../contract/api.ts'
import { GonkError } from '../core/errors.ts'
import { printList } from './json-list.ts'
import { authorText, printable } from './output.ts'
import type { Session } from './session.ts'
import { datasetArgument, examples, positive, task } from './task.ts'

export function addHistory(program: Command): void {
  program
    .command('log')
    .addArgument(datasetArgument())
    .description('events, newest first, one a line')
    .option('--limit <n>', 'at most this many', positive)
    .option('--author <who>', 'only those of this user or key (or its beginning), or of `me`')
    .option('--object <object>', 'only those about this object')
    .action(task(log))
    .addHelpText('after', examples(['gonk-node log cells', 'gonk-node log cells --limit 5 --json']))
  program
    .command('show')
    .addArgument(datasetArgument())
    .argument('<id>', 'of an event, object or version, by unique prefix')
    .description('one event, object or version')
    .action(
      task((session: Session, dataset: string, id: string) =>
        session.withNode(async (api) => {
          const result = await api.show(dataset, id)
          const { stringify } = await import('yaml')
          session.output.result(result, () => stringify(result, { lineWidth: 0 }).trimEnd())
        }),
      ),
    )
    .addHelpText(
      'after',
      examples(['gonk-node show cells bafyrei…', 'gonk-node show cells images/a.jpg']),
    )
  program
    .command('diff')
    .addArgument(datasetArgument())
    .argument('<a>', 'release tag or root CID')
    .argument('[b]', 'release tag or root CID; the current state when left out')
    .description('what changed between two points')
    .action(
      task((session: Session, dataset: string, a: string, b: string | undefined) =>
        session.withNode(async (api) => {
          const pages = changesOf(api, session.signal, dataset, a, b)
          await printList(session, pages, {
            name: 'changes',
            header: '',
            empty: '',
            line: changeLine,
          })
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node diff cells v1 v2', 'gonk-node diff cells v1']))
  program
    .command('root')
    .addArgument(datasetArgument())
    .description('the current root CID: what another node clones')
    .action(
      task((session: Session, dataset: string) =>
        session.withNode(async (api) => {
          const result = await api.root(dataset)
          session.output.result(result, () => result.root)
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node root cells', 'gonk-node root cells --json']))
}

/** A page at a time is in memory. Throws CANCELLED. */
async function* changesOf(
  api: NodeApi,
  signal: AbortSignal,
  dataset: string,
  a: string,
  b: string | undefined,
): AsyncGenerator<readonly Change[]> {
  let after: string | undefined
  do {
    const place = after === undefined ? {} : { after }
    const page = await api.diff(dataset, a, b, { ...place, limit: CHANGES_AT_ONCE }, { signal })
    yield page.changes
    after = page.next
  } while (after !== undefined)
}

const CHANGES_AT_ONCE = 10_000

async function log(
  session: Session,
  dataset: string,
  options: { limit?: number; author?: string; object?: string },
): Promise<void> {
  const { limit, author, object } = options
  const filter = {
    ...(limit === undefined ? {} : { limit }),
    ...(author === undefined ? {} : { author }),
    ...(object === undefined ? {} : { object }),
  }
  await session.withNode(async (api) => {
    for await (const entry of api.log(dataset, filter)) {
      if (session.signal.aborted) throw new GonkError('CANCELLED', 'interrupted')
      session.output.result(entry, () => {
        const { event, at, author: key, user, kind, summary } = entry
        const mark = entry.void === true ? 'void ' : ''
        return printable(`${event}  ${at}  ${authorText(key, user)}  ${mark}${kind}  ${summary}`)
      })
    }
  })
}

const signs = { added: '+', removed: '-', changed: '~' } as const

function changeLine({ change, name }: Change): string {
  return `${signs[change]} ${printable(name)}`
}
