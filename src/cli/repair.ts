// `repair`.
import type { Command } from 'commander'
import type { RepairResult } from '../contract/api.ts'
import { GonkError } from '../core/errors.ts'
import { countText, pairs } from './output.ts'
import type { Session } from './session.ts'
import { datasetArgument, examples, ExitStatus, task } from './task.ts'

interface Repaired extends RepairResult {
  readonly name: string
}

export function addRepair(program: Command): void {
  const dataset = datasetArgument()
  dataset.required = false
  program
    .command('repair')
    .addArgument(dataset)
    .description(
      'make everything that follows from the events again, and fetch what is damaged from peers; ' +
        'exit status 1 when something is still missing',
    )
    .action(task(repair))
    .addHelpText(
      'after',
      examples([
        'gonk-node repair cells',
        'gonk-node repair           all datasets, and a database that cannot be opened',
      ]),
    )
}

async function repair(session: Session, dataset: string | undefined): Promise<void> {
  const repaired = await repairAll(session, dataset).catch(async (error: unknown) => {
    if (dataset !== undefined || !(error instanceof GonkError)) throw error
    if (error.code !== 'HOME_DAMAGED') throw error
    session.output.note(`${error.message}: what can be read of it is put together again`)
    const { repairHome } = await import('../node.ts')
    for (const name of (await repairHome(await session.openHome())).found) {
      session.output.note(`the dataset ${name} was found again`)
    }
    return repairAll(session, undefined)
  })
  session.output.result(repaired, () => repaired.map(textOf).join('\n\n'))
  const isWhole = repaired.every(
    ({ missingEvents, missingFiles }) => missingEvents + missingFiles === 0,
  )
  if (!isWhole) throw new ExitStatus(1)
}

function repairAll(session: Session, dataset: string | undefined): Promise<Repaired[]> {
  return session.withNode(async (api) => {
    const { datasets } = await api.status()
    const names = dataset === undefined ? datasets.map(({ name }) => name) : [dataset]
    const repaired: Repaired[] = []
    for (const name of names) {
      repaired.push({ name, ...(await api.repair(name, session.running)) })
    }
    return repaired
  })
}

function textOf({ name, root, events, missingEvents, missingFiles }: Repaired): string {
  return pairs({
    name,
    root,
    events: countText(events, 'event'),
    ...(missingEvents > 0 && { 'missing events': `${missingEvents}: connect to a peer` }),
    ...(missingFiles > 0 && { 'missing files': `${missingFiles}: connect to a peer` }),
  })
}
