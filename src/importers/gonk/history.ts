// What a Gonk log comes to: its operations, which of them build on which, and their reviews.
import {
  broken,
  type GonkAnnotation,
  type GonkEvent,
  type GonkIdentifier,
  type GonkObject,
} from './events.ts'

export type GonkKind = 'object' | 'schema' | 'annotation'

type ReviewEvent = Extract<GonkEvent, { event_uuid: string }>
type OwnerEvent = Extract<GonkEvent, { owner: string }>
export type ProposingEvent = Exclude<GonkEvent, ReviewEvent | OwnerEvent>

interface OperationBase {
  readonly kind: GonkKind
  readonly event: ProposingEvent
  /** UUID of the object or annotation. */
  readonly uuid: string
  readonly version: number
  /** The one review it has, if any. */
  review?: ReviewEvent
}

/** A create or an update: it makes a version. */
export interface GonkVersion extends OperationBase {
  readonly op: 'create' | 'update'
  readonly blob: GonkObject | GonkAnnotation
  /** The version before it, of whatever status; undefined for a create. */
  readonly previous: GonkVersion | undefined
  /** The create; itself, for a create. */
  readonly first: GonkVersion
  /** Of an annotation. */
  readonly targets: readonly GonkVersion[]
  readonly schema: GonkVersion | undefined
}

export interface GonkDeletion extends OperationBase {
  readonly op: 'delete'
  readonly of: GonkVersion
}

export type GonkOperation = GonkVersion | GonkDeletion

/** One event of the log in its place. */
export type GonkStep =
  | { readonly operation: GonkOperation }
  | { readonly review: ReviewEvent; readonly of: GonkOperation }

export interface GonkHistory {
  readonly events: number
  readonly steps: readonly GonkStep[]
  /** By rank, as the log leaves them. */
  readonly owners: readonly string[]
}

export const isAccepted = ({ review }: GonkOperation): boolean =>
  review?.type === 'ReviewAcceptEvent'
export const isRejected = ({ review }: GonkOperation): boolean =>
  review?.type === 'ReviewRejectEvent'

/** Throws BAD_EVENT for an event that does not follow from those before it. */
export async function readHistory(events: AsyncIterable<GonkEvent>): Promise<GonkHistory> {
  const history = new HistoryReader()
  let count = 0
  for await (const event of events) history.read(event, `event ${count++} (${event.uuid})`)
  return { events: count, steps: history.steps, owners: [...history.owners] }
}

class HistoryReader {
  readonly steps: GonkStep[] = []
  readonly owners = new Set<string>()
  /** Versions of each UUID, by number. */
  readonly #objects = new Map<string, GonkVersion[]>()
  readonly #annotations = new Map<string, GonkVersion[]>()
  readonly #operations = new Map<string, GonkOperation>()

  read(event: GonkEvent, where: string): void {
    switch (event.type) {
      case 'ObjectCreateEvent':
      case 'ObjectUpdateEvent': {
        const kind = event.object.name.startsWith('schema-') ? 'schema' : 'object'
        this.#addVersion(this.#objects, where, { event, kind, blob: event.object })
        break
      }
      case 'AnnotationCreateEvent':
      case 'AnnotationUpdateEvent':
        this.#addVersion(this.#annotations, where, {
          event,
          kind: 'annotation',
          blob: event.annotation,
        })
        break
      case 'ObjectDeleteEvent':
        this.#delete(event, versionIn(this.#objects, event.object_identifier, where))
        break
      case 'AnnotationDeleteEvent':
        this.#delete(event, versionIn(this.#annotations, event.annotation_identifier, where))
        break
      case 'ReviewAcceptEvent':
      case 'ReviewRejectEvent':
        this.#review(event, where)
        break
      case 'OwnerAddEvent':
        this.owners.add(event.owner)
        break
      case 'OwnerRemoveEvent':
        this.owners.delete(event.owner)
    }
  }

  #addVersion(
    all: Map<string, GonkVersion[]>,
    where: string,
    { event, kind, blob }: Pick<GonkVersion, 'event' | 'kind' | 'blob'>,
  ): void {
    const { uuid, version } = blob
    const versions = all.get(uuid) ?? []
    const isCreate = 'action' in event && event.action === 1
    if (isCreate !== (versions.length === 0)) {
      const what = isCreate
        ? `creates ${uuid}, which is there`
        : `updates ${uuid}, which is not there`
      broken(`${where} ${what}`)
    }
    if (version !== versions.length) {
      broken(`${where} makes version ${version} of ${uuid}, which has ${versions.length}`)
    }
    const [first] = versions
    if (first !== undefined && first.kind !== kind) broken(`${where} makes a ${kind} of ${uuid}`)
    const made: Omit<GonkVersion, 'first'> = {
      ...{ kind, event, uuid, version, blob },
      op: isCreate ? 'create' : 'update',
      previous: versions.at(-1),
      targets: first?.targets ?? this.#targetsOf(event, where),
      schema: 'schema' in blob ? this.#schemaOf(blob.schema, where) : undefined,
    }
    const whole = Object.assign(made, { first: first ?? (made as GonkVersion) })
    versions.push(whole)
    all.set(uuid, versions)
    this.#push(whole)
  }

  /** Each once: Gonk does not mind one that is named twice. */
  #targetsOf(event: ProposingEvent, where: string): GonkVersion[] {
    if (event.type !== 'AnnotationCreateEvent') return []
    const targets = event.object_identifiers.map((id) => versionIn(this.#objects, id, where))
    return [...new Set(targets)]
  }

  #schemaOf(id: GonkIdentifier, where: string): GonkVersion {
    const schema = versionIn(this.#objects, id, where)
    return schema.kind === 'schema' ? schema : broken(`${where} is by ${id.uuid}, no schema`)
  }

  #delete(event: ProposingEvent, of: GonkVersion): void {
    const { kind, uuid, version } = of
    this.#push({ op: 'delete', kind, event, uuid, version, of })
  }

  #push(operation: GonkOperation): void {
    this.#operations.set(operation.event.uuid, operation)
    this.steps.push({ operation })
  }

  #review(review: ReviewEvent, where: string): void {
    const of = this.#operations.get(review.event_uuid)
    if (of === undefined)
      return broken(`${where} reviews ${review.event_uuid}, which is no proposal`)
    if (of.review !== undefined) broken(`${where} reviews ${review.event_uuid} a second time`)
    of.review = review
    this.steps.push({ review, of })
  }
}

function versionIn(
  all: ReadonlyMap<string, readonly GonkVersion[]>,
  { uuid, version }: GonkIdentifier,
  where: string,
): GonkVersion {
  return all.get(uuid)?.[version] ?? broken(`${where} names ${uuid}:${version}, which is not there`)
}
