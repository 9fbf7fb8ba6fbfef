// What the Gonk dialect can do, on behalf of one user, and the JSON it speaks. Failures are
// GonkErrors: NOT_ALLOWED is a rule that is broken, NOT_FOUND and USAGE say exactly what Gonk says.
import type { Value } from '../../core/event.ts'
import type { GonkStatus } from '../../log/gonk-log.ts'
import type { AbortOptions } from '../../ports.ts'

export type { GonkStatus } from '../../log/gonk-log.ts'

export interface Identifier {
  /** Version 4, lower case. */
  readonly uuid: string
  readonly version: number
}

export interface GonkObject extends Identifier {
  readonly name: string
  /** Media type. */
  readonly format: string
  /** Bytes. */
  readonly size: number
  readonly hash_type: 1
  /** Hex of the content's sha2-256. */
  readonly hash: string
}

export interface GonkAnnotation extends Identifier {
  readonly schema: Identifier
  readonly size: number
  readonly hash_type: 1
  readonly hash: string
}

interface EventHead {
  readonly uuid: string
  /** `YYYY-MM-DDTHH:MM:SS.ffffffZ`, without the fraction where it is 0. */
  readonly timestamp: string
  readonly author: string
}

/** What an event says, by its type. */
export type EventBody =
  | { readonly type: 'ObjectCreateEvent'; readonly action: 1; readonly object: GonkObject }
  | { readonly type: 'ObjectUpdateEvent'; readonly action: 2; readonly object: GonkObject }
  | {
      readonly type: 'ObjectDeleteEvent'
      readonly action: 4
      readonly object_identifier: Identifier
    }
  | {
      readonly type: 'AnnotationCreateEvent'
      readonly action: 1
      readonly object_identifiers: readonly Identifier[]
      readonly annotation: GonkAnnotation
    }
  | {
      readonly type: 'AnnotationUpdateEvent'
      readonly action: 2
      readonly annotation: GonkAnnotation
    }
  | {
      readonly type: 'AnnotationDeleteEvent'
      readonly action: 4
      readonly annotation_identifier: Identifier
    }
  | {
      readonly type: 'ReviewAcceptEvent'
      readonly decision: 1
      readonly event_uuid: string
    }
  | {
      readonly type: 'ReviewRejectEvent'
      readonly decision: 2
      readonly event_uuid: string
    }
  | { readonly type: 'OwnerAddEvent'; readonly owner: string; readonly owner_action: 1 }
  | { readonly type: 'OwnerRemoveEvent'; readonly owner: string; readonly owner_action: 2 }

export type UnchainedEvent = EventHead & EventBody
/** `integrity`: hex, see integrity.ts. */
export type GonkEvent = UnchainedEvent & { readonly integrity: string }

export interface EventMention {
  readonly uuid: string
  readonly type: string
  /** Null for reviews. */
  readonly review: 'PENDING' | 'ACCEPTED' | 'REJECTED' | null
}

/** A thing and how many versions it has, in any status. */
export interface Summary {
  readonly uuid: string
  readonly versions: number
}

export interface SchemaSummary extends Summary {
  readonly name: string
}

/** 25 a page; `next`: where the next one begins, absent at the end. */
export interface Page<T> {
  readonly items: readonly T[]
  readonly next?: Cursor
}

/** `version` only where versions are listed; without it, after the first version of `after`. */
export interface Cursor {
  readonly after: string
  readonly version?: number
}

export interface ObjectRequest {
  readonly name: string
  readonly mimetype: string
  readonly object: Uint8Array
}

export interface AnnotationRequest {
  readonly schema: SchemaReference
  readonly annotation: Uint8Array
}

export interface SchemaReference {
  readonly name: string
  readonly version: number
}

export interface VersionDetails {
  /** What {@link GonkApi.bytes} reads. */
  readonly value: Value
  /** At most as many bytes. */
  readonly sizeBytes: number
  readonly events: readonly EventMention[]
}

/**
 * `dataset`: its exact name; NOT_FOUND `Dataset not found.` where there is none. TIMEOUT while the events
 * of a large one are told for the first time.
 */
export interface GonkApi {
  createDataset(name: string): Promise<{ dataset: string }>
  listDatasets(): Promise<string[]>

  owners(dataset: string): Promise<string[]>
  /** `user`: a user of this node, or a public key as 64 hex digits. */
  addOwner(dataset: string, user: string): Promise<{ user: string }>
  removeOwner(dataset: string, user: string): Promise<{ user: string }>

  createSchema(dataset: string, name: string, schema: Uint8Array): Promise<SchemaSummary>
  updateSchema(dataset: string, name: string, schema: Uint8Array): Promise<SchemaSummary>
  listSchemas(dataset: string): Promise<SchemaSummary[]>
  showSchema(dataset: string, name: string): Promise<SchemaSummary>
  schemasWith(
    dataset: string,
    status: GonkStatus,
    cursor?: Cursor,
  ): Promise<Page<Identifier & { name: string }>>
  showSchemaVersion(
    dataset: string,
    schema: SchemaReference,
  ): Promise<VersionDetails & { schema: GonkObject }>
  deprecateSchema(dataset: string, schema: SchemaReference): Promise<Identifier & { name: string }>

  createObject(dataset: string, request: ObjectRequest): Promise<Identifier>
  updateObject(dataset: string, uuid: string, request: ObjectRequest): Promise<Identifier>
  showObject(
    dataset: string,
    object: Identifier,
  ): Promise<VersionDetails & { object: GonkObject; annotations: readonly Summary[] }>

  createAnnotation(
    dataset: string,
    request: AnnotationRequest & { readonly objects: readonly Identifier[] },
  ): Promise<Identifier>
  updateAnnotation(dataset: string, uuid: string, request: AnnotationRequest): Promise<Identifier>
  showAnnotation(
    dataset: string,
    annotation: Identifier,
  ): Promise<VersionDetails & { annotation: GonkAnnotation; objects: readonly Identifier[] }>

  /**
   * The bytes of a version: at once, or piece by piece where there are many, known to be here.
   * Throws NOT_HERE, BAD_BLOCK, TOO_LARGE (more than 64 MiB, or than 1,024 pieces), CANCELLED.
   */
  bytes(value: Value, options: AbortOptions): Promise<Uint8Array | AsyncIterable<Uint8Array>>

  /** By first appearance. */
  list(dataset: string, kind: 'object' | 'annotation', after?: string): Promise<Page<Summary>>
  summary(dataset: string, kind: 'object' | 'annotation', uuid: string): Promise<Summary>
  /** Versions with a status, in the order of their making. */
  listWith(
    dataset: string,
    kind: 'object' | 'annotation',
    status: GonkStatus,
    cursor?: Cursor,
  ): Promise<Page<Identifier>>
  /** Proposes that one version be deleted. */
  remove(dataset: string, kind: 'object' | 'annotation', version: Identifier): Promise<Identifier>

  events(dataset: string, after?: string): Promise<Page<GonkEvent>>
  /** @param event uuid of the event that is accepted or rejected. */
  review(dataset: string, event: string, verdict: 'accept' | 'reject'): Promise<{ uuid: string }>
}
