// `release create|list|show`.
import type { Command } from 'commander'
import type { ReleaseInfo } from '../contract/api.ts'
import { pairs, table } from './output.ts'
import type { Session } from './session.ts'
import { datasetArgument, examples, task } from './task.ts'

export function addRelease(program: Command): void {
  const release = program
    .command('release')
    .description('signed names for roots: create, list, show')
    .addHelpText(
      'after',
      examples([
        'gonk-node release create cells v1 -m "first release"',
        'gonk-node release list cells',
      ]),
    )
  release
    .command('create')
    .addArgument(datasetArgument())
    .argument('<tag>')
    .description('sign a name for the current root; tags never move')
    .option('-m, --message <text>', 'what it is')
    .action(
      task((session: Session, dataset: string, tag: string, options: { message?: string }) =>
        session.withNode(async (api) => {
          const info = await api.createRelease(dataset, tag, options.message)
          session.output.result(info, () => releaseText(info))
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node release create cells v1 -m "first release"']))
  release
    .command('list')
    .addArgument(datasetArgument())
    .description('all releases')
    .action(
      task((session: Session, dataset: string) =>
        session.withNode(async (api) => {
          const releases = await api.listReleases(dataset)
          session.output.result(releases, () => {
            const rows = releases.map((info) => [info.tag, info.root, info.at, checkText(info)])
            return table(['TAG', 'ROOT', 'AT', 'CHECK'], rows, 'no releases')
          })
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node release list cells']))
  release
    .command('show')
    .addArgument(datasetArgument())
    .argument('<tag>')
    .description('one release')
    .action(
      task((session: Session, dataset: string, tag: string) =>
        session.withNode(async (api) => {
          const info = await api.showRelease(dataset, tag)
          session.output.result(info, () => releaseText(info))
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node release show cells v1']))
}

function releaseText(info: ReleaseInfo): string {
  const { tag, root, event, by, at, text } = info
  return pairs({ tag, root, event, by, at, text, check: checkText(info) })
}

const checkText = (info: ReleaseInfo) => (info.shadowed ? `${info.check}, shadowed` : info.check)
