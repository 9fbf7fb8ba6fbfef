// `dataset create|list|show|forget`.
import type { Command } from 'commander'
import { GonkError } from '../core/errors.ts'
import { pairs, sizeText } from './output.ts'
import type { Session } from './session.ts'
import { datasetTable } from './status.ts'
import { datasetArgument, examples, positive, publicKeys, task } from './task.ts'

export function addDataset(program: Command): void {
  const dataset = program
    .command('dataset')
    .description('make, list, show and forget datasets')
    .addHelpText(
      'after',
      examples([
        'gonk-node dataset create cells',
        'gonk-node dataset list',
        'gonk-node dataset show cells',
        'gonk-node dataset forget cells',
      ]),
    )
  addCreate(dataset)
  addRest(dataset)
}

function addCreate(dataset: Command): void {
  dataset
    .command('create')
    .argument('<name>')
    .description('make a dataset, with the key of this node as its first owner')
    .option(
      '--founder <key>',
      'public key of another first owner; may be repeated. A checkpoint needs the votes of more ' +
        'than two thirds of the owners: of three, all',
      publicKeys,
    )
    .option('--threshold <k>', 'owners that must agree to any change (default: 1)', positive)
    .action(
      task(
        (session: Session, name: string, options: { founder?: string[]; threshold?: number }) => {
          const { founder: founders = [], threshold = 1 } = options
          if (threshold > 1 + founders.length) {
            throw new GonkError(
              'USAGE',
              `${threshold} of ${1 + founders.length} owners cannot agree`,
              {
                hint: 'give a --threshold of at most the number of owners',
              },
            )
          }
          return session.withNode(async (api) => {
            const info = await api.createDataset({ name, founders, threshold })
            session.output.result(info, () =>
              pairs({ name: info.name, id: info.id, root: info.root }),
            )
          })
        },
      ),
    )
    .addHelpText(
      'after',
      examples([
        'gonk-node dataset create cells',
        'gonk-node dataset create cells --founder 9f86d081884c7d65…',
        'gonk-node dataset create cells --founder 9f86d081884c7d65… --threshold 2',
      ]),
    )
}

function addRest(dataset: Command): void {
  dataset
    .command('list')
    .description('all datasets of this node')
    .action(
      task((session: Session) =>
        session.withNode(async (api) => {
          const datasets = await api.listDatasets()
          session.output.result(datasets, () => datasetTable(datasets))
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node dataset list --json']))
  dataset
    .command('show')
    .addArgument(datasetArgument())
    .description('one dataset')
    .action(
      task((session: Session, ref: string) =>
        session.withNode(async (api) => {
          const info = await api.showDataset(ref)
          session.output.result(info, () =>
            pairs({
              name: info.name,
              id: info.id,
              root: info.root,
              'state root': info.stateRoot,
              role: info.role,
              files: `${info.counts.files} (${sizeText(info.counts.bytes)})`,
              objects: `${info.counts.objects} in ${info.counts.versions} versions`,
              events: info.counts.events,
              pending: info.counts.pending,
              peers: info.peers,
              sync: info.pinned ? 'pinned at this root' : info.sync.state,
              'missing files': info.sync.missingFiles,
              'to accept a change': ownersText(info.policy?.kReview),
              'to change owners': ownersText(info.policy?.kOwner),
              'settled by':
                info.checkpoint && `checkpoint ${info.checkpoint.height}, ${info.checkpoint.id}`,
              'two histories': info.forks?.map(({ key }) => `of ${key}`).join('; '),
              alarms: info.alarms.map(({ what }) => what).join('; ') || undefined,
            }),
          )
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node dataset show cells']))
  dataset
    .command('forget')
    .addArgument(datasetArgument())
    .description('remove the replica from this node; peers keep theirs, `gc` frees the disk')
    .action(
      task((session: Session, ref: string) =>
        session.withNode(async (api) => {
          const result = await api.forgetDataset(ref)
          session.output.result(result, () => `forgot ${result.id}`)
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node dataset forget cells && gonk-node gc']))
}

/** Nothing where any owner will do. */
const ownersText = (keys = 1) => (keys === 1 ? undefined : `${keys} owners`)
