// Annotations page by page: of an object, by a schema, or by status, in the order of their arrival.
import { GonkError } from '../../core/errors.ts'
import { type ObjectId, type VersionId, versionKey } from '../../core/ids.ts'
import { objectOf } from '../../core/touched.ts'
import type { AnnotationFilter, AnnotationInfo, AnnotationPage } from '../../contract/api.ts'
import { sha256 } from '../../crypto.ts'
import { throwIfAborted } from '../../files/concurrent.ts'
import type { OperationStatus } from '../../log/history-index.ts'
import type { AbortOptions } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import { type Annotation, AnnotationInfos, annotationsOf } from './annotation-info.ts'
import { resolveAnnotated } from './annotation-targets.ts'
import { resolveSchema } from './schema-lookup.ts'
import { decisionOn, ProposalReader, valueOf, versionsOf } from '../objects/versions.ts'
import { inGroups } from '../../files/concurrent.ts'

const PAGE_DEFAULT = 200
const PAGE_MAX = 1_000
/** A page ends early, and says where to go on, after a look at so many that do not belong on it. */
const LOOKED_AT_MAX = 5_000
const ROWS_AT_ONCE = 200

/**
 * Where an annotation stands: the ordinal of the version it is listed under (0 where it is listed
 * by status), and the operation that made the version which stands for it.
 */
interface Place {
  readonly list: number
  readonly arrival: number
  readonly index: number
}

interface Candidate {
  readonly place: Place
  readonly object: ObjectId
  /** The operation at this place. */
  readonly version: VersionId
}

type Status = AnnotationInfo['status']

/**
 * `object`: of any of its versions; `schema`: by any version of NAME, or by exactly one. Both show
 * what is accepted or waits, unless `status` says otherwise. Without them, those of one status
 * (accepted). One that gets a new version while pages are read may come twice. A page may be short,
 * even empty, and have a `next`. Throws USAGE (a cursor that is none), NOT_FOUND, AMBIGUOUS.
 */
export async function listAnnotations(
  replica: Replica,
  filter: AnnotationFilter = {},
  { signal }: AbortOptions = {},
): Promise<AnnotationPage> {
  const limit = Math.max(1, Math.min(filter.limit ?? PAGE_DEFAULT, PAGE_MAX))
  const reader = new ProposalReader(replica)
  const after = filter.after === undefined ? undefined : placeOf(filter.after)
  const { candidates, belongs, listedUnder } = await planOf(reader, filter, after)
  // Anybody may propose any number of versions of one annotation: each look at it reads them all.
  const places = new Map<ObjectId, string>()
  const found: Annotation[] = []
  let last: Place | undefined
  let looked = 0
  let isMore = false
  for await (const batch of inGroups(candidates, Math.min(ROWS_AT_ONCE, limit + 1))) {
    throwIfAborted(signal)
    const ids = batch.flatMap(({ object, version }) =>
      (places.get(object) ?? versionKey(version)) === versionKey(version) ? [object] : [],
    )
    const annotations = await annotationsById(reader, ids)
    for (const [id, annotation] of annotations) {
      const under = annotation && listedUnder(annotation)
      places.set(id, under ? versionKey(under) : '')
    }
    for (const candidate of batch) {
      isMore = found.length === limit || looked >= LOOKED_AT_MAX
      if (isMore) break
      looked++
      last = candidate.place
      const annotation = annotations.get(candidate.object)
      if (annotation && belongs(annotation, candidate)) found.push(annotation)
    }
    if (isMore) break
  }
  const infos = new AnnotationInfos(reader)
  const annotations: AnnotationInfo[] = []
  for (const annotation of found) {
    throwIfAborted(signal)
    annotations.push(await infos.of(annotation))
  }
  return { annotations, ...(isMore && last && { next: cursorOf(last) }) }
}

async function annotationsById(reader: ProposalReader, ids: readonly ObjectId[]) {
  const unique = [...new Set(ids)]
  const annotations = await annotationsOf(reader, unique)
  return new Map(unique.map((id, i) => [id, annotations[i]]))
}

interface Plan {
  readonly candidates: AsyncIterable<Candidate>
  /** The version at whose places alone an annotation may belong. */
  readonly listedUnder: (annotation: Annotation) => VersionId | undefined
  /** Each annotation belongs to one place at most. */
  readonly belongs: (annotation: Annotation, candidate: Candidate) => boolean
}

async function planOf(
  reader: ProposalReader,
  filter: AnnotationFilter,
  after: Place | undefined,
): Promise<Plan> {
  const { object, schema, status } = filter
  const isWanted = (actual: Status) =>
    status === undefined ? actual === 'accepted' || actual === 'pending' : actual === status
  const schemas = schema === undefined ? undefined : await versionsBySchema(reader, schema)
  if (object === undefined && schemas === undefined) {
    return planByStatus(reader, status ?? 'accepted', after)
  }
  const targets = object === undefined ? undefined : await versionsOfObject(reader, object)
  const lists = (targets ?? schemas) as readonly VersionId[]
  const ordinals = new Map(lists.map((id, i) => [versionKey(id), i]))
  const bySchema = schemas && new Set(schemas.map(versionKey))
  const belongs = ({ shown, value, status }: Annotation, { place, version }: Candidate) => {
    if (!isWanted(status) || !isSame(shown, version)) return false
    if (bySchema?.has(versionKey(value.schema)) === false) return false
    const on = targets === undefined ? [value.schema] : value.targets
    const [first] = on.flatMap((id) => ordinals.get(versionKey(id)) ?? []).sort((a, b) => a - b)
    return first === place.list
  }
  const candidates = rowsOf(reader, lists, targets !== undefined, after)
  return { candidates, belongs, listedUnder: ({ shown }) => shown }
}

const isSame = (a: VersionId, b: VersionId) => versionKey(a) === versionKey(b)

async function versionsOfObject(reader: ProposalReader, ref: string): Promise<VersionId[]> {
  const object = await resolveAnnotated(reader, ref)
  return (await versionsOf(reader, object)).flatMap(({ id, operation }) =>
    'value' in operation ? [id] : [],
  )
}

async function versionsBySchema(reader: ProposalReader, ref: string): Promise<VersionId[]> {
  const { object, id, isExact } = await resolveSchema(reader, ref)
  if (isExact) return [id]
  return (await versionsOf(reader, object)).flatMap(({ id, operation }) =>
    'value' in operation ? [id] : [],
  )
}

async function* rowsOf(
  { replica }: ProposalReader,
  lists: readonly VersionId[],
  isTargets: boolean,
  after: Place | undefined,
): AsyncIterable<Candidate> {
  const { history } = replica.log
  for (let list = after?.list ?? 0; list < lists.length; list++) {
    const version = lists[list] as VersionId
    const options = after?.list === list ? { after } : {}
    const rows = isTargets
      ? history.annotationsOf(version, options)
      : history.annotationsBySchema(version, options)
    for await (const { arrival, object, version } of rows) {
      yield { place: { list, arrival, index: version.index }, object, version }
    }
  }
}

function planByStatus(
  reader: ProposalReader,
  status: 'accepted' | 'pending' | 'rejected' | 'deleted',
  after: Place | undefined,
): Plan {
  if (status === 'deleted') {
    // Found by the deletion that is its canonical head.
    const listedUnder = ({ row }: Annotation) => row.versions[row.heads[0] ?? -1]?.id
    return {
      candidates: operationsByStatus(reader, 'removal', 'accepted', after),
      listedUnder,
      belongs: (annotation, { version }) => {
        const head = listedUnder(annotation)
        return annotation.status === 'deleted' && head !== undefined && isSame(head, version)
      },
    }
  }
  return {
    candidates: operationsByStatus(reader, 'annotation', status, after),
    listedUnder: ({ shown }) => shown,
    belongs: (annotation, { version }) =>
      annotation.status === status && isSame(annotation.shown, version),
  }
}

async function* operationsByStatus(
  reader: ProposalReader,
  kind: 'annotation' | 'removal',
  status: OperationStatus,
  after: Place | undefined,
): AsyncIterable<Candidate> {
  const from = after?.arrival ?? 0
  for await (const [arrival, proposal] of reader.replica.log.history.byStatus(kind, status, {
    from,
  })) {
    const read = await reader.read(proposal)
    if (read === undefined) continue
    for (const [index, operation] of read.proposal.operations.entries()) {
      if (arrival === after?.arrival && index <= after.index) continue
      const isAnnotation = valueOf(operation)?.type === 'annotation'
      if (kind === 'removal' ? operation.op !== 'delete' : !isAnnotation) continue
      if (decisionOn(read.decisions, index).status !== status) continue
      const place = { list: 0, arrival, index }
      const object = objectOf(read.proposal, index, sha256)
      yield { place, object, version: { proposal, index } }
    }
  }
}

const cursorOf = ({ list, arrival, index }: Place): string => `${list}.${arrival}.${index}`

function placeOf(cursor: string): Place {
  const [, list, arrival, index] = /^(\d{1,6})\.(\d{1,15})\.(\d{1,6})$/.exec(cursor) ?? []
  if (list === undefined) {
    throw new GonkError('USAGE', `"${cursor.slice(0, 100)}" is not a place in this list`, {
      hint: 'give what `next` of the page before says',
    })
  }
  return { list: Number(list), arrival: Number(arrival), index: Number(index) }
}
