// The rows of a dataset as Gonk would tell it.
import type { EventId, ObjectId, VersionId } from '../core/ids.ts'
import type { Decision } from '../core/state.ts'

export const KINDS = ['object', 'schema', 'annotation'] as const
export const STATUSES = ['accepted', 'pending', 'rejected', 'deleted'] as const

/** An object of ours as Gonk sees it. */
export type ThingKind = (typeof KINDS)[number]
/** A version may have none, or several. */
export type GonkStatus = (typeof STATUSES)[number]

/** One version of a thing. */
export interface Place {
  readonly uuid: string
  readonly version: number
}

export interface GonkTail {
  /** Arrival number of the first event that is not, or not wholly, told. */
  readonly arrival: number
  /** Of the next event. */
  readonly seq: number
  /** Hex, of the last event. */
  readonly integrity?: string
  /** At least as many rows are parked. */
  readonly parked?: number
  /** What the pool had lost, in bytes, when the telling began. */
  readonly since?: number
  /** What was told before is being dropped. */
  readonly isAnew?: boolean
}

export interface GonkEventRow {
  readonly event: Readonly<Record<string, unknown>>
  /** The operation it is, or reviews. */
  readonly operation?: VersionId
}

export interface ThingRow {
  readonly object: ObjectId
  readonly kind: ThingKind
  /** Seq of its first event. */
  readonly seq: number
  /** How many there are, in any status. */
  readonly versions: number
  /** Of a schema. */
  readonly name?: string
  /** What an annotation is of: those that were known when it came. */
  readonly targets?: readonly Place[]
  /** Accepted purges. */
  readonly purges: number
}

export interface GonkVersionRow {
  readonly id: VersionId
  readonly seq: number
  /** The object or annotation as its event tells it. */
  readonly body: Readonly<Record<string, unknown>>
  /** Made on this node. */
  readonly own: boolean
  readonly status: Decision['status']
  readonly pendingDeletes: number
  readonly ownPendingDeletes: number
  readonly acceptedDeletes: number
  /** The version of ours that carries it on. */
  readonly standIn?: VersionId
}

export interface GonkOperationRow {
  readonly uuid: string
  readonly type: string
  /** The versions it is about: the one it makes, or those it removes. */
  readonly places: readonly Place[]
  readonly makes: boolean
  readonly isPurge: boolean
  readonly own: boolean
  readonly status: Decision['status']
  /** Of the last review that was told. */
  readonly verdict?: string
}

export interface Listed {
  readonly seq: number
  readonly place: Place
}

/** An operation or a review that waits for what it is about. */
export type Parked =
  | { readonly operation: VersionId }
  | { readonly review: EventId; readonly item: number; readonly arrival: number }

/** `version`: of a thing by its uuid. */
export type Claim = 'hash' | 'name' | 'any name' | 'version'
