// `owner list|add|remove|endorse`.
import type { Command } from 'commander'
import type { OwnerInfo, Owners, OwnersChanged } from '../contract/api.ts'
import { table } from './output.ts'
import type { Session } from './session.ts'
import { datasetArgument, examples, task } from './task.ts'
import { signedText, waitingText } from './waiting.ts'

const WHO = 'user of this node, or public key: 64 hex digits'

export function addOwner(program: Command): void {
  const owner = program
    .command('owner')
    .description('the keys that may approve: list, add, remove, endorse')
    .addHelpText(
      'after',
      examples([
        'gonk-node owner list cells',
        'gonk-node owner add cells KEY',
        'gonk-node owner endorse cells bafyrei…',
      ]),
    )
  addList(owner)
  addChanges(owner)
  addEndorse(owner)
}

function addList(owner: Command): void {
  owner
    .command('list')
    .addArgument(datasetArgument())
    .description('owners in the order of their rank, and what waits for more of them')
    .action(
      task((session: Session, dataset: string) =>
        session.withNode(async (api) => {
          const result = await api.owners(dataset)
          session.output.result(result, () => ownersText(dataset, result))
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node owner list cells']))
}

function addChanges(owner: Command): void {
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
          session.output.result(result, () => changedText(dataset, result))
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
          session.output.result(result, () => changedText(dataset, result))
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node owner remove cells 9f86d081884c7d65…']))
}

function addEndorse(owner: Command): void {
  owner
    .command('endorse')
    .addArgument(datasetArgument())
    .argument('<event>', 'what waits, as `gonk-node owner list` names it')
    .description('agree to a change of owners or of the policy that another owner has signed')
    .action(
      task((session: Session, dataset: string, event: string) =>
        session.withNode(async (api) => {
          const result = await api.endorse(dataset, event)
          session.output.result(result, () => {
            const said = signedText(dataset, result.operation, result.waiting)
            return `${said}\n${ownersText(dataset, result)}`
          })
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node owner endorse cells bafyrei…']))
}

function changedText(dataset: string, result: OwnersChanged): string {
  const isWaiting = result.waiting.some(({ event }) => event === result.event)
  const said = isWaiting ? [signedText(dataset, result.event, result.waiting)] : []
  return [...said, ownersText(dataset, result)].join('\n')
}

function ownersText(dataset: string, { owners, waiting, forks }: Owners): string {
  return [ownerTable(owners), ...waitingText(dataset, waiting), ...forksText(forks)].join('\n')
}

/** Events of one key that know nothing of each other. */
function forksText(forks: Owners['forks'] = []): string[] {
  return forks.map(
    ({ key, events }) =>
      `two histories of ${key}: a restored backup, or one key on two machines; both count, ` +
      `but let only one node run with that key\n  ${events.join('\n  ')}`,
  )
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
