// All versions of one object, whatever became of them, in the order in which they arrived here; and
// versions by the ids people type.
import { eventOfDate } from '../../core/accept-date.ts'
import { GonkError } from '../../core/errors.ts'
import type { Operation, Proposal, Value } from '../../core/event.ts'
import {
  type EventId,
  type ObjectId,
  textOfEventId,
  type VersionId,
  type VersionKey,
  versionKey,
} from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { Decision, ObjectRow, Version } from '../../core/state.ts'
import type { VersionInfo } from '../../contract/api.ts'
import type { Replica } from '../../replica/replica.ts'
import { resolveEvent } from '../resolve.ts'
import { cidText, timeText, versionText } from '../text.ts'
import { touchesOf } from './touches.ts'

/** Proposals of at most 256 KiB. */
const REMEMBERED = 32
/** Proposals that one request may read only to call things by their names. */
const GLANCES = 1_000

/** A proposal with what became of it. */
export interface Read {
  readonly proposal: Proposal
  readonly decisions: readonly Decision[]
  readonly arrival: number
  /** Made on this node. */
  readonly own: boolean
}

/** Proposals as one request needs them: those that are close together are read once. */
export class ProposalReader {
  readonly replica: Replica
  readonly #reads = new Map<EventId, Promise<Read | undefined>>()
  #glances = 0

  constructor(replica: Replica) {
    this.replica = replica
  }

  /** Undefined for what is not here. */
  read(id: EventId): Promise<Read | undefined> {
    const known = this.#reads.get(id)
    if (known) return known
    const read = this.#read(id)
    this.#reads.set(id, read)
    const [oldest] = this.#reads.keys()
    if (this.#reads.size > REMEMBERED && oldest !== undefined) this.#reads.delete(oldest)
    return read
  }

  /** The same, for what is nice to have: undefined once a request has looked at many. */
  async glance(id: EventId): Promise<Read | undefined> {
    if (!this.#reads.has(id) && ++this.#glances > GLANCES) return undefined
    return this.read(id)
  }

  async #read(id: EventId): Promise<Read | undefined> {
    const [proposal, row] = await Promise.all([
      this.replica.proposal(id),
      this.replica.log.proposal(id),
    ])
    if (proposal === undefined || row === undefined) return undefined
    const { decisions, arrival, own } = row
    return { proposal, decisions, arrival, own }
  }
}

/** One operation on an object, with what became of it. */
export interface ProposedVersion {
  readonly id: VersionId
  /**
   * Of creates and updates, see {@link touchesOf}; a deletion has the number of the version it builds
   * on, a purge that of the newest version before it.
   */
  readonly number?: number
  readonly operation: Operation
  readonly proposal: Proposal
  readonly decision: Decision
  readonly own: boolean
  /** It may speak for the object: see {@link touchesOf}. */
  readonly stands: boolean
}

/**
 * Oldest arrival first; the first need not be the creation. Where strangers propose many, only the
 * newest of theirs.
 */
export async function versionsOf(
  reader: ProposalReader,
  object: ObjectId,
): Promise<ProposedVersion[]> {
  const numbers = new Map<VersionKey, number>()
  const versions: ProposedVersion[] = []
  for (const row of await touchesOf(reader.replica, object)) {
    const id = { proposal: row.proposal, index: row.index }
    if (row.number !== undefined) numbers.set(versionKey(id), row.number)
    const read = await reader.read(row.proposal)
    const operation = read?.proposal.operations[row.index]
    if (read === undefined || operation === undefined) continue
    const { proposal, decisions, own } = read
    const [base = id] = 'base' in operation && operation.op === 'delete' ? operation.base : []
    const newest = numbers.size > 0 ? numbers.size - 1 : undefined
    const number = operation.op === 'purge' ? newest : numbers.get(versionKey(base))
    const decision = decisionOn(decisions, row.index)
    const { stands } = row
    versions.push({
      ...{ id, operation, proposal, decision, own, stands },
      ...(number !== undefined && { number }),
    })
  }
  return versions
}

/** Those that may speak for the object. */
export function versionsThatStand(versions: readonly ProposedVersion[]): ProposedVersion[] {
  return versions.filter(({ stands }) => stands)
}

/** How many versions of an object that stand hold something, and which number one of them has. */
export async function countVersions(
  { replica }: ProposalReader,
  object: ObjectId,
  version?: VersionId,
): Promise<{ count: number; number: number | undefined }> {
  const numbered = (await touchesOf(replica, object)).filter((row) => row.number !== undefined)
  const it = numbered.find(
    ({ proposal, index }) => proposal === version?.proposal && index === version.index,
  )
  return { count: numbered.length, number: it?.number }
}

export function decisionOn(decisions: readonly Decision[], index: number): Decision {
  const decision = decisions.find(({ from, to }) => from <= index && index <= to)
  return decision ?? { from: index, to: index, status: 'pending' }
}

export function valueOf(operation: Operation | undefined): Value | undefined {
  return operation && 'value' in operation ? operation.value : undefined
}

/** What an update of the object builds on: all heads, the canonical one first, as far as they fit. */
export function headsOf({ heads, versions }: ObjectRow): VersionId[] {
  return heads.slice(0, limits.basesMax).map((head) => (versions[head] as Version).id)
}

/** @param row the accepted versions of the same object. */
export function versionInfosOf(
  row: ObjectRow,
  versions: readonly ProposedVersion[],
): VersionInfo[] {
  const keyAt = (at: number) => versionKey((row.versions[at] as Version).id)
  const heads = row.heads.map(keyAt)
  const accepted = new Map(row.versions.map((version) => [versionKey(version.id), version]))
  return versions.map(({ id, number, operation, proposal, decision }) => {
    const key = versionKey(id)
    const version = accepted.get(key)
    const decidedBy =
      decision.status === 'rejected' ? decision.by : version && eventOfDate(version.date)
    return {
      version: versionText(id),
      ...(number !== undefined && { number }),
      op: operation.op,
      status: decision.status,
      isHead: heads.includes(key),
      isCurrent: row.current !== undefined && heads[0] === key,
      author: proposal.author,
      at: timeText(proposal.claimedAtMs),
      base: 'base' in operation ? operation.base.map(versionText) : [],
      ...(decidedBy !== undefined && { decidedBy: textOfEventId(decidedBy) }),
      ...partsOf(valueOf(operation)),
      ...(operation.labels && { labels: operation.labels }),
    }
  })
}

function partsOf(value: Value | undefined): Partial<VersionInfo> {
  if (value === undefined) return {}
  const cid = value.content === undefined ? {} : { cid: cidText(value.content) }
  if (value.type === 'annotation') return { size: value.sizeBytes, ...cid }
  const { name, mediaType, sizeBytes, meta } = value
  return { name, mediaType, size: sizeBytes, ...cid, ...(meta !== undefined && { meta }) }
}

/** Of an event id in full: what looks so is never taken for a name. */
const WHOLE_VERSION = /^bafyrei[a-z2-7]{52}:\d{1,9}$/
const VERSION = /^(b[a-z2-7]{6,}):(\d{1,9})$/

export const isWholeVersion = (ref: string): boolean => WHOLE_VERSION.test(ref)
export const isVersion = (ref: string): boolean => VERSION.test(ref)

/** `EVENT:INDEX`, EVENT by unique prefix. Throws NOT_FOUND, AMBIGUOUS. */
export async function resolveVersion(
  reader: ProposalReader,
  ref: string,
): Promise<{ id: VersionId; read: Read; operation: Operation }> {
  const [, event = '', digits] = VERSION.exec(ref) ?? []
  const proposal = await resolveEvent(reader.replica.log, event || ref, ['proposals'])
  const read = await reader.read(proposal)
  const index = Number(digits)
  const operation = read?.proposal.operations[index]
  if (read !== undefined && operation !== undefined) {
    return { id: { proposal, index }, read, operation }
  }
  throw new GonkError('NOT_FOUND', `no version "${ref}" here`)
}
