// What a node can do, as every door sees it, on behalf of one key. Shapes: the files beside this one.
// Every method throws GonkError.
import type { AbortOptions } from '../ports.ts'
import type {
  ChangePage,
  DiffPage,
  CloneResult,
  DatasetInfo,
  EventEntry,
  EventPage,
  ImportResult,
  LogEntry,
  Notice,
  Proof,
  ReleaseInfo,
  RootInfo,
  RepairResult,
  VerifyResult,
} from './dataset-shapes.ts'
import type {
  BackupResult,
  Me,
  NodeStatus,
  PeerSummary,
  Progress,
  Role,
  SyncState,
  UserInfo,
  UserWithKey,
} from './node-shapes.ts'
import type {
  AddRequest,
  AddResult,
  AddSchemaRequest,
  Annotated,
  AnnotateRequest,
  AnnotationDetail,
  AnnotationFilter,
  AnnotationPage,
  CommonSchema,
  ImportRequest,
  ObjectDetail,
  ObjectFilter,
  ObjectInfo,
  ObjectPage,
  Proposed,
  ProposeRequest,
  Removed,
  SchemaAdded,
  SchemaDetail,
  SchemaInfo,
  StoredContent,
  Submitted,
  UpdateAnnotationRequest,
  UploadRequest,
} from './object-shapes.ts'
import type {
  CheckpointInfo,
  Checkpoints,
  CheckpointVoted,
  Endorsed,
  Owners,
  OwnersChanged,
  PolicyChanged,
  PolicyInfo,
} from './owner-shapes.ts'
import type {
  CheckResult,
  CountRequest,
  Decided,
  DecideRequest,
  DecisionRequest,
  ProposalFilter,
  ProposalPage,
  QueueCounts,
  QueuePage,
  QueueRequest,
  ReviewEntry,
  ReviewListFilter,
  ReviewRequest,
  ReviewResult,
  Selection,
  SelectionRequest,
} from './review-shapes.ts'

export type * from './dataset-shapes.ts'
export type * from './node-shapes.ts'
export type * from './object-shapes.ts'
export type * from './owner-shapes.ts'
export type * from './review-shapes.ts'

export interface ProgressOptions extends AbortOptions {
  /** Called often; `total` is 0 while it is unknown. */
  readonly onProgress?: (progress: Progress) => void
}

/** The bytes of one version of an object. */
export interface Content {
  readonly name: string
  readonly mediaType: string
  readonly size: number
  readonly cid: string
  /** From `offset` on, `length` bytes or all the rest. Throws NOT_HERE when blocks are missing. */
  read(
    range?: { offset?: number; length?: number },
    options?: AbortOptions,
  ): AsyncIterable<Uint8Array>
}

/** Bytes that come in, pulled as they are stored. */
export type ByteSource = AsyncIterable<Uint8Array>

export interface BackupRequest {
  /** Absolute path on the machine of the node: new, empty, or with an older backup of this node. */
  readonly directory: string
  /** With signing keys and users. @default true */
  readonly keys?: boolean
}

export interface CloneRequest {
  /** Root CID, dataset id or gonk:// link. */
  readonly ref: string
  readonly peers?: readonly string[]
  readonly name?: string
  readonly pinOnly?: boolean
  /** A checkpoint to trust: the dataset must contain it. */
  readonly anchor?: string
}

/**
 * `dataset` arguments are a name, an id, or a unique prefix; `NAME@TAG` where a release is allowed.
 * Ids of events, objects and annotations may be unique prefixes, too.
 */
export interface NodeApi {
  me(): Promise<Me>
  status(): Promise<NodeStatus>
  sync(): Promise<SyncState[]>
  peers(): Promise<{ running: boolean; peers: PeerSummary[] }>
  connect(multiaddr: string, options?: AbortOptions): Promise<{ peerId: string }>

  /** Throws BAD_NAME, EXISTS. */
  addUser(request: { name: string; role?: Role }): Promise<UserWithKey>
  listUsers(): Promise<UserInfo[]>
  /** A new API key; the old one stops at once. */
  rekeyUser(name: string): Promise<UserWithKey>
  /** Disables the user. Its signing key stays, so that the history keeps its name. */
  removeUser(name: string): Promise<UserInfo>

  createDataset(request: {
    name: string
    founders?: readonly string[]
    threshold?: number
  }): Promise<DatasetInfo>
  listDatasets(): Promise<DatasetInfo[]>
  showDataset(dataset: string): Promise<DatasetInfo>
  forgetDataset(dataset: string): Promise<{ id: string }>

  add(
    dataset: string,
    request: AddRequest,
    options?: ProgressOptions & { onObject?: (object: ObjectInfo) => void },
  ): Promise<AddResult>
  /** Proposes one file whose bytes come in. One that ends early leaves nothing behind. */
  upload(
    dataset: string,
    request: UploadRequest,
    body: ByteSource,
    options?: AbortOptions,
  ): Promise<AddResult>
  /** Stores bytes for a proposal to come; they are kept for a day. */
  store(body: ByteSource, options?: AbortOptions): Promise<StoredContent>
  propose(dataset: string, request: ProposeRequest): Promise<Proposed>
  /** Events signed elsewhere, as base64 of their blocks. */
  submit(dataset: string, events: readonly string[], options?: AbortOptions): Promise<Submitted>
  /** `objects`: names or id prefixes, of annotations and schemas too. */
  removeObjects(dataset: string, objects: readonly string[]): Promise<Removed>
  renameObject(dataset: string, object: string, name: string): Promise<{ events: string[] }>
  /** By name order, 200 a page. */
  listObjects(dataset: string, filter?: ObjectFilter, options?: AbortOptions): Promise<ObjectPage>
  showObject(dataset: string, object: string): Promise<ObjectDetail>
  /** @param version `EVENT:INDEX`, of any status; the current one by default. */
  content(dataset: string, object: string, version?: string): Promise<Content>
  /** What was said of one object, annotation or schema: proposals and reviews, oldest first. */
  history(dataset: string, object: string): Promise<LogEntry[]>

  /** Throws BAD_SCHEMA, TOO_LARGE, TOO_COSTLY, BAD_NAME. */
  addSchema(dataset: string, request: AddSchemaRequest): Promise<SchemaAdded>
  listSchemas(dataset: string): Promise<SchemaInfo[]>
  /** @param schema `NAME` (its newest accepted version, else its newest) or `NAME@NUMBER`. */
  showSchema(dataset: string, schema: string): Promise<SchemaDetail>
  /** Proposes that one version be used no more. */
  deprecateSchema(dataset: string, schema: string): Promise<Removed>
  /** The schemas that come with gonk-node. */
  commonSchemas(): Promise<CommonSchema[]>

  /** Throws NOT_CONFORMING, TOO_COSTLY, TOO_LARGE, NOT_FOUND, NOT_HERE (the schema). */
  annotate(dataset: string, request: AnnotateRequest, options?: AbortOptions): Promise<Annotated>
  updateAnnotation(
    dataset: string,
    annotation: string,
    request: UpdateAnnotationRequest,
    options?: AbortOptions,
  ): Promise<Annotated>
  listAnnotations(
    dataset: string,
    filter?: AnnotationFilter,
    options?: AbortOptions,
  ): Promise<AnnotationPage>
  showAnnotation(dataset: string, annotation: string): Promise<AnnotationDetail>

  /** At most 1,000; `after`: `event` of the last one that is known. */
  listReviews(
    dataset: string,
    filter?: ReviewListFilter,
    options?: AbortOptions,
  ): Promise<ReviewEntry[]>
  review(dataset: string, request: ReviewRequest, options?: ProgressOptions): Promise<ReviewResult>
  listProposals(dataset: string, filter?: ProposalFilter): Promise<ProposalPage>
  queue(dataset: string, request?: QueueRequest, options?: AbortOptions): Promise<QueuePage>
  queueCounts(dataset: string, request?: CountRequest, options?: AbortOptions): Promise<QueueCounts>
  select(dataset: string, request: SelectionRequest, options?: AbortOptions): Promise<Selection>
  /** What {@link decide} would do; signs nothing. */
  checkDecisions(
    dataset: string,
    request: DecisionRequest,
    options?: AbortOptions,
  ): Promise<CheckResult>
  /** Signs what can be decided and says of every item what became of it. */
  decide(dataset: string, request: DecideRequest, options?: AbortOptions): Promise<Decided>

  owners(dataset: string): Promise<Owners>
  /**
   * Where several owners must agree, what is signed waits for them, here and below.
   * @param key or the name of a user of this node.
   */
  addOwner(dataset: string, key: string, name?: string): Promise<OwnersChanged>
  removeOwner(dataset: string, key: string): Promise<OwnersChanged>
  /** @param event an addition, a removal or a policy that waits. */
  endorse(dataset: string, event: string): Promise<Endorsed>
  policy(dataset: string): Promise<PolicyInfo>
  /** @param reviews owners that must accept a change from now on. */
  setPolicy(dataset: string, reviews: number): Promise<PolicyChanged>

  checkpoints(dataset: string): Promise<Checkpoints>
  /** Proposes to settle all that is here, and votes for it. Throws NOT_OWNER, ALREADY_VOTED. */
  createCheckpoint(dataset: string): Promise<CheckpointVoted>
  /** @param checkpoint its id or a unique prefix, here and below. */
  voteCheckpoint(dataset: string, checkpoint: string): Promise<CheckpointVoted>
  /** Makes it the anchor of this node. Throws ANCHOR_NOT_FOUND. */
  trustCheckpoint(dataset: string, checkpoint: string): Promise<CheckpointInfo>

  log(
    dataset: string,
    filter?: { limit?: number; author?: string; object?: string },
  ): AsyncIterable<LogEntry>
  /** An event, object or version by unique prefix. */
  show(dataset: string, id: string): Promise<Record<string, unknown>>
  /**
   * `a` and `b` are release tags or root CIDs this node knows; `b` defaults to the current state. 1,000
   * changes a page, in no certain order; what changes later moves no page.
   */
  diff(
    dataset: string,
    a: string,
    b?: string,
    page?: DiffPage,
    options?: AbortOptions,
  ): Promise<ChangePage>
  /** Whole events in the order of their arrival, of one dataset or of all. */
  events(request?: EventRequest & { limit?: number }): Promise<EventPage>
  /** What is stored after `after`, then what arrives: nothing is left out, nothing comes twice. */
  followEvents(request?: EventRequest, options?: AbortOptions): AsyncIterable<EventEntry>
  /** Notices from now on, or after `since` as far as they are remembered (else one `reset`). */
  stream(
    request?: { since?: number; datasets?: readonly string[] },
    options?: AbortOptions,
  ): AsyncIterable<Notice>
  /** @param version `EVENT:INDEX`, or an object for its current one. */
  proof(dataset: string, version: string): Promise<Proof>

  root(dataset: string): Promise<RootInfo>
  createRelease(dataset: string, tag: string, text?: string): Promise<ReleaseInfo>
  listReleases(dataset: string): Promise<ReleaseInfo[]>
  showRelease(dataset: string, tag: string): Promise<ReleaseInfo>

  share(dataset: string): Promise<{ link: string; root: string }>
  clone(request: CloneRequest, options?: ProgressOptions): Promise<CloneResult>
  checkout(
    dataset: string,
    directory: string,
    options?: ProgressOptions,
  ): Promise<{ files: number; bytes: number }>
  importFrom(
    dataset: string,
    request: ImportRequest,
    options?: ProgressOptions,
  ): Promise<ImportResult>
  verify(dataset: string, options?: ProgressOptions): Promise<VerifyResult>
  /** Makes everything that follows from the events again, and fetches what is damaged. Throws DISK. */
  repair(dataset: string, options?: ProgressOptions): Promise<RepairResult>
  gc(options?: ProgressOptions): Promise<{ blocks: number; bytes: number }>
  /** Of the whole home, at one moment. Throws EXISTS, USAGE, DISK, TOO_MANY. */
  backup(request: BackupRequest, options?: ProgressOptions): Promise<BackupResult>
}

export interface EventRequest {
  /** @default all datasets */
  readonly dataset?: string
  /** `cursor` of the last event that is known. */
  readonly after?: string
  /** With the signed blocks. */
  readonly blocks?: boolean
}

/** How doors get at a node: whose an API key is, and what its owner can do. */
export interface NodeDoor {
  /** Undefined for keys that are nobody's, or no longer anybody's. */
  authenticate(apiKey: string): Me | undefined
  /** The node on behalf of a user: signs with that user's key. */
  apiOf(me: Me): NodeApi
}
