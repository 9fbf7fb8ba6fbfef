// `review list|accept|reject`.
import type { Command } from 'commander'
import { Option } from 'commander'
import type {
  Approvals,
  NodeApi,
  ProposalEntry,
  QueueItem,
  ReviewEntry,
  ReviewFilter,
  ReviewResult,
} from '../contract/api.ts'
import { GonkError } from '../core/errors.ts'
import { authorText, countText, shortKey, table } from './output.ts'
import type { Session } from './session.ts'
import { datasetArgument, examples, positive, task } from './task.ts'
import { approvalsText } from './waiting.ts'

interface DecideOptions {
  readonly all?: boolean
  readonly author?: string
  readonly reason?: string
}

interface ListOptions {
  readonly status?: NonNullable<ReviewFilter['status']>
  readonly author?: string
  readonly items?: boolean
  readonly limit?: number
}

const ITEMS_SHOWN = 1_000
/** What `listReviews` gives at once. */
const ENTRIES_AT_ONCE = 1_000

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
    .option('--author <who>', 'only those of this user or key (or its beginning), or of `me`')
    .option(
      '--items',
      'one line for each change, EVENT:INDEX, with what stands in its way or why it was rejected',
    )
    .option('--limit <n>', `with --items: at most this many (default: ${ITEMS_SHOWN})`, positive)
    .action(task(list))
    .addHelpText(
      'after',
      examples([
        'gonk-node review list cells --status all --json',
        'gonk-node review list cells --items --author me --status rejected    mine, and why not',
      ]),
    )
  addDecision(
    review,
    'accept',
    'sign that proposals are in; fetches and verifies their content first',
  )
  addDecision(review, 'reject', 'sign that proposals are out')
}

async function list(session: Session, dataset: string, options: ListOptions): Promise<void> {
  const { status, author, items = false, limit } = options
  if (!items && limit !== undefined) {
    throw new GonkError('USAGE', '--limit goes with --items', {
      hint: 'see gonk-node help review list',
    })
  }
  if (items) return listItems(session, dataset, options)
  await session.withNode(async (api) => {
    const entries: ReviewEntry[] = []
    let page: readonly ReviewEntry[]
    do {
      const filter = definedOf({ status, author, after: entries.at(-1)?.event })
      page = await api.listReviews(dataset, filter, { signal: session.signal })
      entries.push(...page)
    } while (page.length === ENTRIES_AT_ONCE)
    const reasons = await reasonsOf(session, api, dataset, definedOf({ status, author }))
    const told = entries.map((entry) => ({ ...entry, ...reasons.get(entry.event) }))
    session.output.result(told, () => {
      const rows = told.map((entry) => [
        entry.event,
        entry.type,
        `${entry.status.pending}/${entry.operations}`,
        authorText(entry.author, entry.user),
        entry.at,
        entry.summary,
        noteOf(entry),
      ])
      const header = ['EVENT', 'TYPE', 'PENDING', 'AUTHOR', 'AT', 'SUMMARY', 'NOTE']
      return table(header, rows, 'nothing waits')
    })
  })
}

type Reasons = Pick<ProposalEntry, 'reasons'>

/** Of what was decided, by event; nothing for what waits. */
async function reasonsOf(
  session: Session,
  api: NodeApi,
  dataset: string,
  filter: ReviewFilter,
): Promise<Map<string, Reasons>> {
  const found = new Map<string, Reasons>()
  if (filter.status === 'pending') return found
  let after: string | undefined
  do {
    const page = await api.listProposals(dataset, { ...filter, ...definedOf({ after }) })
    if (session.signal.aborted) throw new GonkError('CANCELLED', 'interrupted')
    for (const { event, reasons } of page.proposals) {
      if (reasons.length > 0) found.set(event, { reasons })
    }
    after = page.next
  } while (after !== undefined)
  return found
}

function noteOf({ invalid, approvals, reasons = [] }: ReviewEntry & Partial<Reasons>): string {
  const notes = [
    ...approvalNotes(approvals),
    ...reasons.map(({ verdict, reason }) => `${verdict}ed: ${reason}`),
  ]
  if (invalid !== undefined) notes.unshift(`${invalid} of it: does not conform`)
  return notes.join('; ')
}

/** Nothing where one owner is enough. */
function approvalNotes(approvals: Approvals | undefined): string[] {
  if (approvals === undefined || approvals.needed === 1) return []
  return [`${approvalsText(approvals)} approvals`]
}

async function listItems(
  session: Session,
  dataset: string,
  { status, author, limit = ITEMS_SHOWN }: ListOptions,
): Promise<void> {
  if (status === 'all') {
    throw new GonkError('USAGE', '--items lists one status', {
      hint: 'add --status pending, accepted or rejected',
    })
  }
  await session.withNode(async (api) => {
    const items: QueueItem[] = []
    let after: string | undefined
    do {
      const page = await api.queue(dataset, definedOf({ status, author, after }))
      items.push(...page.items)
      after = page.next
    } while (after !== undefined && items.length < limit)
    const shown = items.slice(0, limit)
    session.output.result(shown, () =>
      table(['ITEM', 'CHANGE', 'AUTHOR', 'NAME', 'NOTE'], shown.map(rowOf), 'nothing waits'),
    )
    if (after !== undefined || items.length > limit) {
      session.output.note(`there is more; see it with --limit ${limit * 10}`)
    }
  })
}

function rowOf(item: QueueItem): string[] {
  const { kind, op, author, after, before, objects, status, why = '', decidedBy, reason } = item
  const about = objects?.map(({ name, version }) => name ?? version).join(', ')
  const because = reason === undefined ? '' : `: ${reason}`
  const note = status === 'pending' ? whyText(item, why) : `${status} by ${decidedBy}${because}`
  const change = kind === 'removal' ? op : `${op} ${kind}`
  const by = authorText(author.key, author.user)
  return [item.item, change, by, after?.name ?? before?.name ?? about ?? '', note]
}

/** What stands in the way, and what is to be known before a decision. */
function whyText(item: QueueItem, why: string): string {
  const { wouldConflict, duplicateOf, validity, approvals } = item
  const notes = [
    ...(why.startsWith('ALREADY_APPROVED') ? [] : approvalNotes(approvals)),
    validity.status === 'invalid' ? 'does not conform' : '',
    why,
    wouldConflict ? 'its name belongs to another object' : '',
    duplicateOf === undefined ? '' : `same content as ${shortKey(duplicateOf)}`,
  ]
  return notes.filter((note) => note !== '').join('; ')
}

function addDecision(review: Command, verdict: 'accept' | 'reject', description: string): void {
  review
    .command(verdict)
    .addArgument(datasetArgument())
    .argument('[event...]', 'EVENT, EVENT:INDEX or EVENT:FROM-TO (from 0, both ends included)')
    .description(description)
    .option('--all', 'everything that waits')
    .option('--author <who>', 'with --all: only what this user or key, or `me`, proposed')
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
          session.output.result(result, () => decidedText(verdict, result))
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

function decidedText(verdict: string, { decided, waiting = [] }: ReviewResult): string {
  if (decided.length + waiting.length === 0) return 'nothing to decide'
  const lines = decided.length > 0 ? [`${verdict}ed ${changesText(decided)}`, ...decided] : []
  if (waiting.length === 0) return lines.join('\n')
  const items = waiting.map(({ item }) => item)
  const rest = waiting.map(
    ({ item, approvals }) => `${item}  ${approvalsText(approvals)} approvals`,
  )
  return [...lines, `approved ${changesText(items)}, for more owners to accept`, ...rest].join('\n')
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
