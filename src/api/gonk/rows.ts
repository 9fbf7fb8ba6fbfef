// What follows for the tables when a version's row changes: where it is listed, what it claims.
import type {
  GonkLog,
  GonkOperationRow,
  GonkStatus,
  GonkVersionRow,
  Place,
  ThingKind,
  ThingRow,
} from '../../log/gonk-log.ts'
import type { ProposalRow } from '../../log/rows.ts'
import type { Decision } from '../../core/state.ts'

type Write = ReturnType<GonkLog['putTail']>

/** The marks of a version, as the listings that show it. */
export function statusesOf(row: GonkVersionRow): GonkStatus[] {
  const isDeleted = row.acceptedDeletes > 0
  const statuses: GonkStatus[] = []
  if (row.status === 'accepted' && !isDeleted) statuses.push('accepted')
  if (row.status === 'pending' || row.pendingDeletes > 0) statuses.push('pending')
  if (row.status === 'rejected') statuses.push('rejected')
  if (isDeleted) statuses.push('deleted')
  return statuses
}

/** Content and names count that are accepted or were proposed here: strangers block nobody. */
export function counts(row: GonkVersionRow): boolean {
  return row.own || row.status === 'accepted'
}

/** @param before undefined: the version is new. */
export function versionWrites(
  log: GonkLog,
  thing: Pick<ThingRow, 'kind' | 'name'>,
  place: Place,
  before: GonkVersionRow | undefined,
  after: GonkVersionRow,
): Write[] {
  const writes = [log.putVersion(place, after)]
  const listed = { seq: after.seq, place }
  const was = before === undefined ? [] : statusesOf(before)
  const is = statusesOf(after)
  for (const status of was.filter((status) => !is.includes(status))) {
    writes.push(log.setListed(thing.kind, status, listed, false))
  }
  for (const status of is.filter((status) => !was.includes(status))) {
    writes.push(log.setListed(thing.kind, status, listed, true))
  }
  const didCount = before !== undefined && counts(before)
  if (didCount === counts(after)) return writes
  writes.push(...log.setClaim('version', place.uuid, listed, !didCount))
  if (thing.kind === 'annotation') return writes
  writes.push(...log.setClaim('hash', String(after.body['hash']), listed, !didCount))
  if (thing.name !== undefined && place.version === 0) {
    writes.push(...log.setClaim('name', thing.name, listed, !didCount))
  }
  return writes
}

/**
 * What the status of an operation changes in the versions it is about.
 * @param from undefined: the operation is new.
 */
export async function statusWrites(
  log: GonkLog,
  operation: Omit<GonkOperationRow, 'uuid'>,
  from: GonkOperationRow['status'] | undefined,
  to: GonkOperationRow['status'],
): Promise<Write[]> {
  const [first] = operation.places
  const thing = first && (await log.thing(first.uuid))
  if (first === undefined || thing === undefined) return []
  if (operation.makes) {
    const before = await log.version(first)
    if (before === undefined) return []
    return versionWrites(log, thing, first, before, { ...before, status: to })
  }
  const change = (status: GonkOperationRow['status']) =>
    Number(to === status) - Number(from === status)
  const pending = change('pending')
  const accepted = change('accepted')
  const isWide = operation.isPurge && accepted !== 0
  const writes: Write[] = []
  if (isWide) writes.push(log.putThing(first.uuid, { ...thing, purges: thing.purges + accepted }))
  const isNamed = (version: number) => operation.places.some((place) => place.version === version)
  const touched = isWide ? await allVersions(log, first.uuid) : operation.places
  for (const place of touched) {
    const before = await log.version(place)
    if (before === undefined) continue
    const by = isNamed(place.version) ? pending : 0
    const after = {
      ...before,
      pendingDeletes: before.pendingDeletes + by,
      ownPendingDeletes: before.ownPendingDeletes + (operation.own ? by : 0),
      acceptedDeletes: before.acceptedDeletes + accepted,
    }
    writes.push(...versionWrites(log, thing, place, before, after))
  }
  return writes
}

async function allVersions(log: GonkLog, uuid: string): Promise<Place[]> {
  const places: Place[] = []
  for await (const [version] of log.versionsOf(uuid)) places.push({ uuid, version })
  return places
}

/** `Object` or `Annotation`, as types of events begin. */
export const nounOf = (kind: ThingKind): 'Object' | 'Annotation' =>
  kind === 'annotation' ? 'Annotation' : 'Object'

export function decisionAt({ decisions }: ProposalRow, index: number): Decision | undefined {
  return decisions.find(({ from, to }) => from <= index && index <= to)
}

export const statusAt = (row: ProposalRow, index: number): Decision['status'] =>
  decisionAt(row, index)?.status ?? 'pending'
