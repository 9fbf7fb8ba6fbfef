// One operation of a proposal as Gonk's event: a version of an object, schema or annotation that
// comes, or versions that are to go.
import type { Operation, Proposal, Value } from '../../core/event.ts'
import { SCHEMA_MEDIA_TYPE } from '../../core/event.ts'
import { eventIdOfText, objectIdOf, type VersionId } from '../../core/ids.ts'
import { objectOf } from '../../core/touched.ts'
import type { GonkOperationRow, GonkVersionRow, Place, ThingRow } from '../../log/gonk-log.ts'
import type { ProposalRow } from '../../log/rows.ts'
import type { Telling, Write } from './line.ts'
import { nounOf, statusAt, statusWrites, versionWrites } from './rows.ts'
import type { EventBody, GonkAnnotation, GonkObject, Identifier } from './types.ts'
import { awaitedVersion, uuidOfEvent, uuidOfObject } from './uuids.ts'
import { hashOf, type Words, wordsOf } from './words.ts'

/** An operation at hand, with all that tells what it is. */
interface Said {
  readonly proposal: Proposal
  readonly row: ProposalRow
  readonly id: VersionId
  readonly operation: Operation
  readonly words: Words
}

/**
 * Tells an operation unless it was told. One on an object or a version that is not known waits for
 * it.
 * @returns what may wait for this one, now that it is told.
 */
export async function tellOperation(
  telling: Telling,
  proposal: Proposal,
  row: ProposalRow,
  index: number,
): Promise<string[]> {
  const id = { proposal: proposal.id, index }
  const operation = proposal.operations[index] as Operation
  const object = objectOf(proposal, index, telling.crypto.sha256)
  const waiting = operation.op === 'create' ? [awaitedVersion(id), object] : [awaitedVersion(id)]
  if ((await telling.log.operation(id)) !== undefined) return waiting
  const words = wordsOf(telling, telling.replica, proposal, operation.labels, row.own)
  const said: Said = { proposal, row, id, operation, words }
  if (await isStandIn(telling, said)) return []
  const isTold =
    'value' in operation
      ? await tellVersion(telling, said, operation.value)
      : await tellRemoval(telling, said, operation)
  return isTold ? waiting : []
}

/** An update that the dialect itself made to carry on a version is not told of. */
async function isStandIn(telling: Telling, said: Said): Promise<boolean> {
  const { log } = telling
  const { words, id } = said
  const [, event = '', index] = /^([^:]+):(\d{1,4})$/.exec(words.standsFor ?? '') ?? []
  const proposal = eventIdOfText(event)
  if (proposal === undefined) return false
  const carried = { proposal, index: Number(index) }
  const original = await log.operation(carried)
  if (original === undefined) await park(telling, awaitedVersion(carried), said)
  if (original === undefined) return true
  const place = original.makes ? original.places[0] : undefined
  const row = place && (await log.version(place))
  if (place === undefined || row === undefined) return false
  await log.commit([log.putStandIn(id, place), log.putVersion(place, { ...row, standIn: id })])
  return true
}

// ---- versions

/** @returns false where it waits, or cannot be told. */
async function tellVersion(telling: Telling, said: Said, value: Value): Promise<boolean> {
  const { log, line } = telling
  const { operation, id, proposal } = said
  const object = objectOf(proposal, id.index, telling.crypto.sha256)
  const known = await log.uuidOf(object)
  const uuid = known ?? (operation.op === 'create' ? await newUuid(telling, said) : undefined)
  if (uuid === undefined) return park(telling, object, said)
  const before = known === undefined ? undefined : await log.thing(uuid)
  // A stranger's update of a file by an annotation, or the reverse: Gonk has no word for it.
  if (before && (before.kind === 'annotation') !== (value.type === 'annotation')) return false
  const { seq } = line
  const thing: ThingRow = before ?? {
    ...{ object, seq, versions: 0, purges: 0 },
    ...(await newThing(telling, value)),
  }
  const place = { uuid, version: thing.versions }
  const body = await bodyOf(telling, said, value, place)
  const verb = place.version === 0 ? 'Create' : 'Update'
  const row = {
    type: `${nounOf(thing.kind)}${verb}Event`,
    places: [place],
    makes: true,
    isPurge: false,
    ...standOf(said),
  }
  const version: GonkVersionRow = {
    ...{ id, seq, body: { ...body }, own: row.own, status: row.status },
    ...{ pendingDeletes: 0, ownPendingDeletes: 0, acceptedDeletes: thing.purges },
  }
  const writes = [
    log.putThing(uuid, { ...thing, versions: thing.versions + 1 }),
    ...versionWrites(log, thing, place, undefined, version),
    ...(place.version === 0 ? firstWrites(telling, uuid, thing) : []),
  ]
  await emit(telling, said, row, madeBody(thing, verb, body), writes)
  return true
}

function firstWrites({ log }: Telling, uuid: string, thing: ThingRow): Write[] {
  const { seq, name, targets = [] } = thing
  const listed = { seq, place: { uuid, version: 0 } }
  return [
    ...log.putNewThing(uuid, thing),
    ...targets.map((target) => log.putAnnotated(target, seq, uuid)),
    ...(name === undefined ? [] : log.setClaim('any name', name, listed, true)),
  ]
}

/** That of the label, unless it is taken. */
async function newUuid({ log, crypto }: Telling, { proposal, id, words }: Said): Promise<string> {
  const own = uuidOfObject(objectOf(proposal, id.index, crypto.sha256))
  if (words.thing === undefined) return own
  return (await log.thing(words.thing)) === undefined ? words.thing : own
}

async function newThing(
  telling: Telling,
  value: Value,
): Promise<Pick<ThingRow, 'kind' | 'name' | 'targets'>> {
  if (value.type === 'annotation') {
    const places = await Promise.all(value.targets.map((target) => placeOf(telling, target)))
    return { kind: 'annotation', targets: places.filter((place) => place !== undefined) }
  }
  const { mediaType, name } = value
  const isSchema = mediaType === SCHEMA_MEDIA_TYPE && name.startsWith('schema-')
  return isSchema ? { kind: 'schema', name } : { kind: 'object' }
}

async function placeOf({ log }: Telling, id: VersionId): Promise<Place | undefined> {
  const row = await log.operation(id)
  return row?.makes === true ? row.places[0] : log.standIn(id)
}

async function bodyOf(
  telling: Telling,
  { words }: Said,
  value: Value,
  place: Place,
): Promise<GonkObject | GonkAnnotation> {
  const hash = await hashOf(telling, value, words)
  const content = { size: value.sizeBytes, hash_type: 1 as const, hash }
  if (value.type === 'file') {
    const { name = value.name, format = value.mediaType } = words
    return { ...place, name, format, ...content }
  }
  const known = await placeOf(telling, value.schema)
  const object = objectIdOf(value.schema, telling.crypto.sha256)
  const schema: Identifier = known ?? { uuid: uuidOfObject(object), version: 0 }
  return { ...place, schema, ...content }
}

function madeBody(
  { targets = [] }: ThingRow,
  verb: 'Create' | 'Update',
  body: GonkObject | GonkAnnotation,
): EventBody {
  if ('schema' in body) {
    if (verb === 'Update') return { type: 'AnnotationUpdateEvent', action: 2, annotation: body }
    const of = { object_identifiers: targets }
    return { type: 'AnnotationCreateEvent', action: 1, ...of, annotation: body }
  }
  return verb === 'Create'
    ? { type: 'ObjectCreateEvent', action: 1, object: body }
    : { type: 'ObjectUpdateEvent', action: 2, object: body }
}

// ---- removals

async function tellRemoval(
  telling: Telling,
  said: Said,
  operation: Extract<Operation, { op: 'delete' | 'purge' }>,
): Promise<boolean> {
  const { log } = telling
  const uuid = await log.uuidOf(operation.object)
  const thing = uuid === undefined ? undefined : await log.thing(uuid)
  if (uuid === undefined || thing === undefined) return park(telling, operation.object, said)
  // Gonk deletes versions: of a purge it is told that the newest goes, and all are marked.
  const places =
    operation.op === 'delete'
      ? await namedPlaces(telling, uuid, operation.base)
      : [{ uuid, version: thing.versions - 1 }]
  const [first] = places
  if (first === undefined) {
    const [base] = operation.op === 'delete' ? operation.base : []
    if (base !== undefined) await park(telling, awaitedVersion(base), said)
    return false
  }
  const noun = nounOf(thing.kind)
  const row = {
    type: `${noun}DeleteEvent`,
    places,
    makes: false,
    isPurge: operation.op === 'purge',
    ...standOf(said),
  }
  const body: EventBody =
    noun === 'Object'
      ? { type: 'ObjectDeleteEvent', action: 4, object_identifier: first }
      : { type: 'AnnotationDeleteEvent', action: 4, annotation_identifier: first }
  await emit(telling, said, row, body, await statusWrites(log, row, undefined, row.status))
  return true
}

/** The versions of a thing that are among these, each once. */
async function namedPlaces(
  telling: Telling,
  uuid: string,
  bases: readonly VersionId[],
): Promise<Place[]> {
  const versions = new Set<number>()
  for (const base of bases) {
    const place = await placeOf(telling, base)
    if (place?.uuid === uuid) versions.add(place.version)
  }
  return [...versions].map((version) => ({ uuid, version }))
}

// ----

function standOf({ row, id }: Said): Pick<GonkOperationRow, 'own' | 'status'> {
  return { own: row.own, status: statusAt(row, id.index) }
}

/** @returns false: it is not told. */
async function park({ log, line }: Telling, awaited: string, { id, row }: Said): Promise<false> {
  await line.park(log.park(awaited, row.arrival, { operation: id }))
  return false
}

async function emit(
  { log, line }: Telling,
  { proposal, id, words }: Said,
  row: Omit<GonkOperationRow, 'uuid'>,
  body: EventBody,
  writes: readonly Write[],
): Promise<void> {
  const isFree = words.event !== undefined && (await log.seqOf(words.event)) === undefined
  const uuid = isFree ? (words.event as string) : uuidOfEvent(proposal.id, id.index)
  const operation = log.putOperation(id, { ...row, uuid })
  const { places } = row
  await line.emit({ uuid, words, body, places, operation: id, writes: [...writes, operation] })
}
