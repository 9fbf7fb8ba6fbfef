// `owner list|add|remove`.
import type { Command } from 'commander'
import type { OwnerInfo } from '../contract/api.ts'
import { table } from './output.ts'
import type { Session } from './session.ts'
import { datasetArgument, examples, task } from './task.ts'

const WHO = 'user of this node, or public key: 64 hex digits'

export function addOwner(program: Command): void {
  const owner = program
    .command('owner')
    .description('the keys that may approve: list, add, remove')
    .addHelpText('after', examples(['gonk-node owner list cells', 'gonk-node owner add cells KEY']))
  owner
    .command('list')
    .addArgument(datasetArgument())
    .description('owners in the order of their rank')
    .action(
      task((session: Session, dataset: string) =>
        session.withNode(async (api) => {
          const result = await api.owners(dataset)
          session.output.result(result, () => ownerTable(result.owners))
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node owner list cells']))
  owner
    .command('add')
    .addArgument(datasetArgument())
    .argument('<key>', `${WHO}, as \`gonk-node status\` prints there`)
    .description('make a key an owner')
    .option('--name <name>', 'how the new owner is called')
    .action(
      task((session: Session, dataset: string, key: string, options: { name?: string }) =>
        session.withNode(async (api) => {
          const result = await api.addOwner(dataset, key, options.name)
          session.output.result(result, () => ownerTable(result.owners))
        }),
      ),
    )
    .addHelpText(
      'after',
      examples([
        'gonk-node owner add cells 9f86d081884c7d65… --name Ada',
        'gonk-node owner add cells ada                     a user of this node',
      ]),
    )
  owner
    .command('remove')
    .addArgument(datasetArgument())
    .argument('<key>', WHO)
    .description('remove an owner of lower rank, or leave')
    .action(
      task((session: Session, dataset: string, key: string) =>
        session.withNode(async (api) => {
          const result = await api.removeOwner(dataset, key)
          session.output.result(result, () => ownerTable(result.owners))
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node owner remove cells 9f86d081884c7d65…']))
}

/** Names in brackets are this node's own, and nobody else knows them. */
function ownerTable(owners: readonly OwnerInfo[]): string {
  const rows = owners.map((owner) => [
    owner.rank,
    owner.key,
    owner.name ?? (owner.user === undefined ? '' : `(${owner.user})`),
    owner.since,
    owner.confirmed ? '' : 'unconfirmed: has signed nothing yet',
  ])
  return table(['RANK', 'KEY', 'NAME', 'SINCE', ''], rows)
}
