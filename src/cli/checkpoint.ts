// `checkpoint create|vote|list|trust`.
import type { Command } from 'commander'
import type { CheckpointInfo, Checkpoints, CheckpointVoted, NodeApi } from '../contract/api.ts'
import { pairs, printable, table } from './output.ts'
import type { Session } from './session.ts'
import { datasetArgument, examples, task } from './task.ts'

const WHICH = 'id of a checkpoint, or a unique prefix'

export function addCheckpoint(program: Command): void {
  const checkpoint = program
    .command('checkpoint')
    .description('settle the history for good, once more than two thirds of the owners vote for it')
    .addHelpText(
      'after',
      examples([
        'gonk-node checkpoint create cells',
        'gonk-node checkpoint list cells',
        'gonk-node checkpoint vote cells bafyrei…',
      ]),
    )
  addList(checkpoint)
  addVotes(checkpoint)
  checkpoint
    .command('trust')
    .addArgument(datasetArgument())
    .argument('<checkpoint>', WHICH)
    .description('make it the anchor of this node: what it settles stands, whoever votes for what')
    .action(
      task((session: Session, dataset: string, id: string) =>
        session.withNode(async (api) => {
          const result = await api.trustCheckpoint(dataset, id)
          session.output.result(result, () => `trusted: ${result.id}`)
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node checkpoint trust cells bafyrei…']))
}

function addList(checkpoint: Command): void {
  checkpoint
    .command('list')
    .addArgument(datasetArgument())
    .description('what is settled, and what waits for votes')
    .action(
      task((session: Session, dataset: string) =>
        session.withNode(async (api) => {
          const result = await api.checkpoints(dataset)
          session.output.result(result, () => listText(result))
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node checkpoint list cells']))
}

function addVotes(checkpoint: Command): void {
  checkpoint
    .command('create')
    .addArgument(datasetArgument())
    .description('propose to settle all that is here now, and vote for it')
    .action(
      task((session: Session, dataset: string) =>
        session.withNode(async (api) => {
          const result = await api.createCheckpoint(dataset)
          session.output.result(result, () => votedText(dataset, result))
          if (!session.output.json) await noteOthers(session, api, dataset, result)
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node checkpoint create cells']))
  checkpoint
    .command('vote')
    .addArgument(datasetArgument())
    .argument('<checkpoint>', WHICH)
    .description('vote for a checkpoint that another owner has proposed')
    .action(
      task((session: Session, dataset: string, id: string) =>
        session.withNode(async (api) => {
          const result = await api.voteCheckpoint(dataset, id)
          session.output.result(result, () => votedText(dataset, result))
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node checkpoint vote cells bafyrei…']))
}

function listText({ checkpoints, alarms }: Checkpoints): string {
  const rows = checkpoints.map((one) => [
    one.height,
    one.id,
    one.anchor ? `${one.status}, trusted` : one.status,
    votesText(one),
    one.check,
    one.root,
  ])
  const warnings = alarms.map(({ what, ids }) => printable(`ALARM: ${what}: ${ids.join(' ')}`))
  const list = table(['HEIGHT', 'CHECKPOINT', 'STATUS', 'VOTES', 'CHECK', 'ROOT'], rows)
  return [list, ...warnings].join('\n')
}

/** `2 of 3`: votes that count, and those that are needed; where that is not known, all there are. */
const votesText = ({ votes, have, needed }: CheckpointInfo): string =>
  needed === 0 ? String(votes.length) : `${have} of ${needed}`

function votedText(dataset: string, { checkpoint }: CheckpointVoted): string {
  const { id, height, status, root, votes, have, needed } = checkpoint
  const said = [pairs({ checkpoint: id, height, root, votes: votesText(checkpoint), status })]
  const idle = needed === 0 ? 0 : votes.length - have
  if (idle > 0) {
    const what = idle === 1 ? '1 more vote does' : `${idle} more votes do`
    said.push(`${what} not count: those vote who own the dataset since the checkpoint before`)
  }
  if (status !== 'final') {
    said.push(`others vote with: gonk-node checkpoint vote ${printable(dataset)} ${id}`)
  }
  return said.join('\n')
}

/** Who proposes another one beside those that wait keeps them all waiting. */
async function noteOthers(
  { output }: Session,
  api: NodeApi,
  dataset: string,
  { checkpoint: { id, height, status } }: CheckpointVoted,
): Promise<void> {
  if (status === 'final') return
  const { checkpoints } = await api.checkpoints(dataset)
  const isOther = (one: CheckpointInfo) =>
    one.status === 'open' && one.height === height && one.id !== id
  const others = checkpoints.filter(isOther)
  if (others.length === 0) return
  const what = others.length === 1 ? 'another waits' : `${others.length} others wait`
  const todo = 'only one becomes final; agree on one, see `gonk-node checkpoint list`'
  output.note(`${what} for votes at height ${height}: ${todo}`)
}
