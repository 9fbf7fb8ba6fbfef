// The Event union: every fact a peer may state. Wire form: event-codec.ts; meaning: authority.ts,
// decisions.ts, objects.ts.
import type {
  CheckpointId,
  DatasetId,
  EventId,
  ObjectId,
  PublicKey,
  TenureId,
  VersionId,
} from './ids.ts'

/** Signed, read by no rule: foreign ids, claimed authors and times. At most 1 KiB. */
export type Labels = Readonly<Record<string, string>>

interface Signed {
  readonly id: EventId
  /** The signed block; `id` is its hash. */
  readonly block: Uint8Array
  /** The key that signed, which is the key whose authority counts. */
  readonly author: PublicKey
  /** The time the author claims, in ms since 1970. For display only. */
  readonly claimedAtMs: number
  readonly labels?: Labels
}

export interface Genesis extends Signed {
  readonly family: 'genesis'
  readonly kind: 'genesis'
  readonly founders: readonly PublicKey[]
  /** Distinct senior keys that must agree to add or remove an owner: 1 to the number of founders. */
  readonly kOwner: number
  /** Distinct keys that must accept an item, until a policy says otherwise: 1 to kOwner. */
  readonly kReview: number
  readonly name?: string
}

export interface Proposal extends Signed {
  readonly family: 'proposal'
  readonly kind: 'propose'
  readonly dataset: DatasetId
  readonly operations: readonly Operation[]
  readonly name?: string
}

/** An event by an owner: the only ones with causality. */
export interface OwnerEvent extends Signed {
  readonly family: 'owner'
  readonly dataset: DatasetId
  /** The kind as written. Kinds this version does not know have body `unknown` and count as nodes only. */
  readonly kind: string
  readonly tenure: TenureId
  /** 1 + the deepest parent; verified. */
  readonly depth: number
  /** Sorted, unique, at least one. */
  readonly parents: readonly EventId[]
  readonly body: OwnerBody
}

export type OwnerBody =
  | {
      readonly kind: 'add'
      readonly key: PublicKey
      readonly proof?: Uint8Array
      readonly name?: string
    }
  | { readonly kind: 'remove'; readonly key: PublicKey }
  | {
      readonly kind: 'review'
      readonly verdict: Verdict
      readonly items: readonly ReviewItem[]
      readonly reason?: string
    }
  | {
      readonly kind: 'release'
      readonly tag: string
      readonly root: Uint8Array
      readonly text?: string
    }
  /** The author agrees to an `add`, `remove` or `policy` in the event's past. */
  | { readonly kind: 'endorse'; readonly operation: EventId }
  /** From here on this many distinct keys must accept an item. */
  | { readonly kind: 'policy'; readonly kReview: number }
  /** A vote for a checkpoint. */
  | { readonly kind: 'cp'; readonly checkpoint: CheckpointBody }
  | { readonly kind: 'unknown' }

/** What the votes for one checkpoint have in common; its id: `checkpointIdOf`. */
export interface CheckpointBody {
  /** 1 + the height of the one before; the first has 1. */
  readonly height: number
  readonly previous?: CheckpointId
  /** Owner events: the checkpoint settles them and all their ancestors. Sorted, unique, 1 to 64. */
  readonly heads: readonly EventId[]
  /** Proposals those name that it does not cover, as nobody had them. Sorted, unique, up to 4,096. */
  readonly without: readonly EventId[]
  /** Root of the snapshot of what it settles. Checked and marked by every node, read by no rule. */
  readonly root: Uint8Array
}

export type Verdict = 'accept' | 'reject'

export interface ReviewItem {
  readonly proposal: EventId
  /** Index ranges, both ends included, ascending and disjoint; absent: the whole proposal. */
  readonly ranges?: readonly (readonly [from: number, to: number])[]
}

export type Event = Genesis | Proposal | OwnerEvent

/** What one version of an object holds. */
export type Value = FileValue | AnnotationValue

export interface FileValue {
  readonly type: 'file'
  readonly name: string
  readonly mediaType: string
  readonly sizeBytes: number
  /** The 36 bytes of the content's CID: CIDv1, raw or dag-pb, sha2-256. */
  readonly content: Uint8Array
  /** JSON text about the file, opaque to the rules. */
  readonly meta?: string
}

export interface AnnotationValue {
  readonly type: 'annotation'
  readonly targets: readonly VersionId[]
  readonly schema: VersionId
  readonly sizeBytes: number
  /** Either the JSON text itself (at most 16 KiB) or the CID of a file that holds it. */
  readonly inline?: Uint8Array
  readonly content?: Uint8Array
}

export type Operation = { readonly labels?: Labels } & (
  | { readonly op: 'create'; readonly value: Value }
  | {
      readonly op: 'update'
      readonly object: ObjectId
      readonly base: readonly VersionId[]
      readonly value: Value
    }
  | { readonly op: 'delete'; readonly object: ObjectId; readonly base: readonly VersionId[] }
  | { readonly op: 'purge'; readonly object: ObjectId }
)

/** Media type of schemas: their names form a space of their own and are not under `files/`. */
export const SCHEMA_MEDIA_TYPE = 'application/schema+json'
