// `policy show|set`.
import type { Command } from 'commander'
import type { PolicyInfo } from '../contract/api.ts'
import { pairs } from './output.ts'
import type { Session } from './session.ts'
import { datasetArgument, examples, positive, task } from './task.ts'
import { waitingText } from './waiting.ts'

export function addPolicy(program: Command): void {
  const policy = program
    .command('policy')
    .description('how many owners must agree: show, set')
    .addHelpText(
      'after',
      examples(['gonk-node policy show cells', 'gonk-node policy set cells --reviews 2']),
    )
  policy
    .command('show')
    .addArgument(datasetArgument())
    .description('how many owners must agree to what')
    .action(
      task((session: Session, dataset: string) =>
        session.withNode(async (api) => {
          const result = await api.policy(dataset)
          session.output.result(result, () => policyText(dataset, result))
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node policy show cells']))
  policy
    .command('set')
    .addArgument(datasetArgument())
    .description('change how many owners must accept a change, from now on')
    .requiredOption('--reviews <n>', 'owners that must accept', positive)
    .action(
      task((session: Session, dataset: string, { reviews }: { reviews: number }) =>
        session.withNode(async (api) => {
          const result = await api.setPolicy(dataset, reviews)
          session.output.result(result, () => policyText(dataset, result))
        }),
      ),
    )
    .addHelpText(
      'after',
      examples([
        'gonk-node policy set cells --reviews 2',
        'gonk-node policy set cells --reviews 1 && gonk-node owner list cells    what waits',
      ]),
    )
}

function policyText(dataset: string, { kOwner, kReview, owners, waiting }: PolicyInfo): string {
  const said = pairs({
    'to accept a change': countOf(kReview),
    'to change owners or policy': countOf(kOwner),
    owners,
  })
  return [said, ...waitingText(dataset, waiting)].join('\n')
}

const countOf = (keys: number) => (keys === 1 ? 'any owner' : `${keys} owners`)
