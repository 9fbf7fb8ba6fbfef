// `review list|accept|reject`.
import type { Command } from 'commander'
import { Option } from 'commander'
import type { ReviewFilter } from '../api/types.ts'
import { GonkError } from '../core/errors.ts'
import { countText, shortKey, table } from './output.ts'
import type { Session } from './session.ts'
import { datasetArgument, examples, task } from './task.ts'

interface DecideOptions {
  readonly all?: boolean
  readonly author?: string
  readonly reason?: string
}

export function addReview(program: Command): void {
  const review = program
    .command('review')
    .description('see what waits for a decision, accept and reject it')
    .addHelpText(
      'after',
      examples([
        'gonk-node review list cells',
        'gonk-node review accept cells bafyrei…',
        'gonk-node review reject cells bafyrei…:0-9 --reason "out of focus"',
      ]),
    )
  review
    .command('list')
    .addArgument(datasetArgument())
    .description('proposals, oldest first')
    .addOption(
      new Option('--status <status>', 'what to show')
        .choices(['pending', 'accepted', 'rejected', 'all'])
        .default('pending'),
    )
    .option('--author <key>', 'only those of this key')
    .action(
      task((session: Session, dataset: string, filter: ReviewFilter) =>
        session.withNode(async (api) => {
          const { status, author } = filter
          const entries = await api.listReviews(dataset, { ...definedOf({ status, author }) })
          session.output.result(entries, () => {
            const rows = entries.map((entry) => [
              entry.event,
              entry.type,
              `${entry.status.pending}/${entry.operations}`,
              shortKey(entry.author),
              entry.at,
              entry.summary,
            ])
            return table(
              ['EVENT', 'TYPE', 'PENDING', 'AUTHOR', 'AT', 'SUMMARY'],
              rows,
              'nothing waits',
            )
          })
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node review list cells --status all --json']))
  addDecision(
    review,
    'accept',
    'sign that proposals are in; fetches and verifies their content first',
  )
  addDecision(review, 'reject', 'sign that proposals are out')
}

function addDecision(review: Command, verdict: 'accept' | 'reject', description: string): void {
  review
    .command(verdict)
    .addArgument(datasetArgument())
    .argument('[event...]', 'EVENT, EVENT:INDEX or EVENT:FROM-TO (from 0, both ends included)')
    .description(description)
    .option('--all', 'everything that waits')
    .option('--author <key>', 'with --all: only what this key proposed')
    .option('--reason <text>', 'becomes part of the signed review')
    .action(
      task((session: Session, dataset: string, items: string[], options: DecideOptions) => {
        const { all = false, author, reason } = options
        if (all === items.length > 0) {
          throw new GonkError('USAGE', 'give either events or --all', {
            hint: `see gonk-node help review ${verdict}`,
          })
        }
        const what = all ? { all: definedOf({ author }) } : { items }
        const request = { verdict, ...what, ...definedOf({ reason }) }
        return session.withNode(async (api) => {
          const result = await api.review(dataset, request, session.running)
          session.output.result(result, () => {
            if (result.decided.length === 0) return 'nothing to decide'
            return [`${verdict}ed ${changesText(result.decided)}`, ...result.decided].join('\n')
          })
        })
      }),
    )
    .addHelpText(
      'after',
      examples([
        `gonk-node review ${verdict} cells bafyrei…`,
        `gonk-node review ${verdict} cells bafyrei…:0-9 --reason "…"`,
        `gonk-node review ${verdict} cells --all --author 9f86d081…`,
      ]),
    )
}

/** `3 changes` of `EVENT:FROM-TO` texts. */
function changesText(decided: readonly string[]): string {
  const counts = decided.map((run) => {
    const [, from, to] = /:(\d+)-(\d+)$/.exec(run) ?? []
    return Number(to) - Number(from) + 1
  })
  return countText(
    counts.reduce((sum, count) => sum + count, 0),
    'change',
  )
}

/** The same object without its undefined fields. */
function definedOf<T extends object>(
  fields: T,
): { [Name in keyof T]: Exclude<T[Name], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [Name in keyof T]: Exclude<T[Name], undefined> }
}
