// The operations that pass a filter, proposal by proposal in the order of their arrival here: what the
// pages of the queue, its counts and frozen selections are made of.
import { GonkError } from '../../core/errors.ts'
import { type Operation, type Proposal, SCHEMA_MEDIA_TYPE } from '../../core/event.ts'
import type { EventId, PublicKey, VersionKey } from '../../core/ids.ts'
import { versionKey } from '../../core/ids.ts'
import type { Decision } from '../../core/state.ts'
import { throwIfAborted } from '../../files/concurrent.ts'
import type { DatasetLog } from '../../log/dataset-log.ts'
import type { OperationKind, OperationStatus } from '../../log/history-index.ts'
import type { ProposalRow } from '../../log/rows.ts'
import type { Replica } from '../../replica/replica.ts'
import type { ItemKind, QueueFilter } from '../../contract/api.ts'
import { lastFileOf, rowOf } from '../objects/objects.ts'
import { readProposals } from '../resolve.ts'
import { inGroups } from '../../files/concurrent.ts'

export const itemKinds = ['object', 'schema', 'annotation', 'removal'] as const

/** Where a walk goes on: an operation by the arrival of its proposal. */
export interface Place {
  readonly arrival: number
  readonly index: number
}

/** A proposal that was looked at, and what of it passes the filter: maybe nothing. */
export interface Looked {
  readonly id: EventId
  readonly row: ProposalRow
  /** Runs of operations, ascending, each with its decision. */
  readonly matches: readonly Decision[]
  /** Of all its operations, where that is known without reading the event. */
  readonly kind: ItemKind | undefined
  /** Where the event had to be read. */
  readonly proposal: Proposal | undefined
}

export interface WalkRequest {
  readonly filter: QueueFilter
  /** Of whoever asks: the author of what is `mine`, and of what is by `me`. */
  readonly publicKey: PublicKey
  /** Proposals that arrived as this number or later are left out. */
  readonly asOf: number
  readonly from?: Place
  /** Whether to read events that the filter does not need, by {@link Looked.kind}. */
  readonly events?: (kind: ItemKind | undefined) => boolean
  readonly signal?: AbortSignal | undefined
}

const ROWS_PER_READ = 200
/** Blocks of at most 256 KiB. */
const PROPOSALS_PER_READ = 16
/** Versions of schemas of one name. */
const SCHEMA_VERSIONS_MAX = 1_000

/** How many events had arrived: what a walk that begins now may see. */
export function arrivalsUntilNow(replica: Replica): Promise<number> {
  return replica.log.nextNumber('arrivals')
}

/** Throws USAGE for an author that is no key, CANCELLED. Each proposal comes at most once. */
export async function* walk(replica: Replica, request: WalkRequest): AsyncIterable<Looked> {
  const { log } = replica
  const { filter, from = { arrival: 0, index: 0 } } = request
  const author = authorOf(filter.author ?? '', request.publicKey)
  const matcher = await matcherOf(replica, filter)
  const status = filter.status ?? 'pending'
  let atOnce = 1
  for await (const candidates of inGroups(sourceOf(log, request, from), ROWS_PER_READ)) {
    const rows = await log.proposals(candidates.map(({ id }) => id))
    const known = candidates.flatMap((candidate, i) => {
      const row = rows[i]
      if (row === undefined) return []
      const isOne = row.operations === 1 && status !== 'mine'
      return [{ id: candidate.id, kind: candidate.kind ?? (isOne ? filter.kind : undefined), row }]
    })
    for (let i = 0; i < known.length; i += atOnce) {
      throwIfAborted(request.signal)
      // A page may be full after the first one.
      atOnce = Math.min(2 * atOnce, PROPOSALS_PER_READ)
      const some = known.slice(i, i + atOnce)
      const isRead = some.map(
        ({ row, kind }) =>
          row.author.startsWith(author) &&
          (matcher.needsEvent(kind) || request.events?.(kind) === true),
      )
      const wanted = some.filter((_, k) => isRead[k] === true)
      const proposals = await readProposals(
        log,
        wanted.map(({ id }) => id),
      )
      for (const [k, { id, row, kind }] of some.entries()) {
        const proposal = isRead[k] === true ? proposals.shift() : undefined
        const isLost = isRead[k] === true && proposal === undefined
        const start = row.arrival === from.arrival ? from.index : 0
        const isBy = row.author.startsWith(author) && !isLost
        const passing = isBy ? decisionsFrom(row, status, start) : []
        yield { id, row, kind, proposal, matches: await matcher.matches(passing, proposal, kind) }
      }
    }
  }
}

/** `me`, a public key, or the beginning of one. */
export function authorOf(author: string, publicKey: PublicKey): string {
  if (author === 'me') return publicKey
  if (/^[0-9a-f]{0,64}$/.test(author)) return author
  throw new GonkError('USAGE', `"${author}" is not a public key`, {
    hint: 'a key is 64 lower-case hex digits',
  })
}

function decisionsFrom(
  { decisions }: ProposalRow,
  status: NonNullable<QueueFilter['status']>,
  start: number,
): Decision[] {
  return decisions
    .filter((decision) => status === 'mine' || decision.status === status)
    .filter(({ to }) => to >= start)
    .map((decision) => ({ ...decision, from: Math.max(decision.from, start) }))
}

// ---------------------------------------------------------------- where to look

interface Candidate {
  readonly id: EventId
  readonly kind: ItemKind | undefined
}

/** Proposals by arrival that may have something that passes. */
async function* sourceOf(
  log: DatasetLog,
  { filter, publicKey, asOf }: WalkRequest,
  { arrival: from }: Place,
): AsyncIterable<Candidate> {
  if (filter.status === 'mine') {
    for await (const [arrival, id] of log.history.authoredBy(publicKey, { from })) {
      if (arrival >= asOf) return
      yield { id, kind: undefined }
    }
    return
  }
  const kinds = filter.kind === undefined ? itemKinds : [filter.kind]
  for await (const [arrival, candidate] of merged(log, kinds, filter.status ?? 'pending', from)) {
    if (arrival >= asOf) return
    yield candidate
  }
}

/** By arrival, each once; `kind` where all that has the status is of that kind. */
async function* merged(
  log: DatasetLog,
  kinds: readonly OperationKind[],
  status: OperationStatus,
  from: number,
): AsyncIterable<[arrival: number, candidate: Candidate]> {
  const walks = kinds.map((kind) => ({
    kind,
    rows: log.history.byStatus(kind, status, { from })[Symbol.asyncIterator](),
  }))
  try {
    const heads = await Promise.all(walks.map(({ rows }) => rows.next()))
    for (;;) {
      const open = heads.flatMap(({ done, value }, i) => (done === true ? [] : [{ i, value }]))
      if (open.length === 0) return
      const arrival = Math.min(...open.map(({ value }) => value[0]))
      const first = open.filter(({ value }) => value[0] === arrival)
      const [one] = first as [(typeof first)[number]]
      const isAlone = first.length === 1 && kinds.length === itemKinds.length
      const kind = isAlone ? (walks[one.i] as { kind: ItemKind }).kind : undefined
      yield [arrival, { id: one.value[1], kind }]
      for (const { i } of first) {
        heads[i] = await (walks[i] as (typeof walks)[number]).rows.next()
      }
    }
  } finally {
    await Promise.all(walks.map(({ rows }) => rows.return?.()))
  }
}

// ---------------------------------------------------------------- what passes

interface Matcher {
  /** Whether the operations themselves must be seen. */
  needsEvent(kind: ItemKind | undefined): boolean
  matches(
    decisions: readonly Decision[],
    proposal: Proposal | undefined,
    kind: ItemKind | undefined,
  ): Promise<Decision[]>
}

async function matcherOf(replica: Replica, filter: QueueFilter): Promise<Matcher> {
  const { kind, schema, prefix } = filter
  const schemas = schema === undefined ? undefined : await versionsOfSchema(replica, schema)
  const needsEvent = (known: ItemKind | undefined) =>
    schema !== undefined || prefix !== undefined || (kind !== undefined && known === undefined)
  const passes = async (operation: Operation): Promise<boolean> => {
    if (kind !== undefined && kindOf(operation) !== kind) return false
    if (schemas !== undefined && !isOfSchema(operation, schema, schemas)) return false
    if (prefix === undefined) return true
    return (await nameOf(replica, operation))?.startsWith(prefix) ?? false
  }
  return {
    needsEvent,
    async matches(decisions, proposal, known) {
      if (!needsEvent(known)) {
        return kind === undefined || kind === known ? [...decisions] : []
      }
      const found: Decision[] = []
      for (const decision of decisions) {
        for (let index = decision.from; index <= decision.to; index++) {
          if (proposal === undefined) return found
          if (!(await passes(proposal.operations[index] as Operation))) continue
          const last = found.at(-1)
          const joins = last?.to === index - 1 && last.from >= decision.from
          if (joins) found[found.length - 1] = { ...last, to: index }
          else found.push({ ...decision, from: index, to: index })
        }
      }
      return found
    },
  }
}

/** By its own value, not by the object it is an operation on. */
export function kindOf(operation: Operation): ItemKind {
  if (!('value' in operation)) return 'removal'
  const { value } = operation
  if (value.type === 'annotation') return 'annotation'
  return value.mediaType === SCHEMA_MEDIA_TYPE ? 'schema' : 'object'
}

/** Annotations by the schema, and versions of the schema itself. */
function isOfSchema(
  operation: Operation,
  name: string | undefined,
  versions: ReadonlySet<VersionKey>,
): boolean {
  if (!('value' in operation)) return false
  const { value } = operation
  if (value.type === 'annotation') return versions.has(versionKey(value.schema))
  return value.mediaType === SCHEMA_MEDIA_TYPE && value.name === name
}

/** Of a file; of what is removed, the file it was. */
async function nameOf(replica: Replica, operation: Operation): Promise<string | undefined> {
  if ('value' in operation) {
    return operation.value.type === 'file' ? operation.value.name : undefined
  }
  return lastFileOf(await rowOf(replica.log, operation.object))?.name
}

/** All versions, whatever became of them, of schemas that claim a name or are proposed under it. */
async function versionsOfSchema({ log }: Replica, name: string): Promise<Set<VersionKey>> {
  const versions = new Set<VersionKey>()
  for (const { object } of await log.names.claimsOn('schema', name)) {
    const options = { limit: SCHEMA_VERSIONS_MAX }
    for await (const { proposal, index } of log.history.operationsOf(object, options)) {
      versions.add(versionKey({ proposal, index }))
    }
  }
  const pending = log.history.byStatus('schema', 'pending', { limit: SCHEMA_VERSIONS_MAX })
  for await (const ids of inGroups(pending, PROPOSALS_PER_READ)) {
    const proposals = await readProposals(
      log,
      ids.map(([, id]) => id),
    )
    for (const proposal of proposals) {
      for (const [index, operation] of (proposal?.operations ?? []).entries()) {
        const isNamed = kindOf(operation) === 'schema' && isOfSchema(operation, name, versions)
        if (isNamed) versions.add(versionKey({ proposal: (proposal as Proposal).id, index }))
      }
    }
  }
  return versions
}
