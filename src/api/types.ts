// What a node can do, as every door sees it: requests and results in the JSON shapes of the command
// line. Ids are text (CIDs, hex for objects and keys); sizes are bytes; times RFC 3339 UTC; durations
// are seconds. Every method throws GonkError.
import type { AbortOptions } from '../ports.ts'

export interface ProgressOptions extends AbortOptions {
  /** Called often; `total` is 0 while it is unknown. */
  readonly onProgress?: (progress: Progress) => void
}

export interface Progress {
  /** What is being done, in one or two words: `adding`, `fetching events`, `fetching files`… */
  readonly what: string
  readonly done: number
  readonly total: number
  readonly bytes: number
}

export interface Counts {
  readonly events: number
  readonly proposals: number
  readonly objects: number
  readonly versions: number
  readonly annotations: number
  /** Files under `files/` and their bytes. */
  readonly files: number
  readonly bytes: number
  readonly pending: number
}

export interface DatasetInfo {
  readonly id: string
  readonly name: string
  readonly root: string
  readonly stateRoot: string
  readonly counts: Counts
  readonly role: 'owner' | 'contributor'
  /** `--pin-only`: serves exactly this root and does not follow. */
  readonly pinned: boolean
  readonly peers: number
  readonly sync: { readonly state: 'idle' | 'syncing' | 'offline'; readonly missingFiles: number }
}

export interface ObjectInfo {
  readonly id: string
  /** `EVENT:INDEX` of the version. */
  readonly version: string
  readonly name: string
  readonly mediaType: string
  readonly size: number
  readonly cid: string
  readonly status: 'pending' | 'accepted' | 'rejected' | 'deleted' | 'purged' | 'shadowed'
  /** The object that was first to hold the same content. */
  readonly duplicateOf?: string
}

export interface AddRequest {
  /** Absolute paths on the node's machine. */
  readonly paths: readonly string[]
  readonly prefix?: string
  /** JSON text kept with each object. */
  readonly meta?: string
  readonly accept?: boolean
}

export interface AddResult {
  readonly events: readonly string[]
  readonly objects: readonly ObjectInfo[]
  /** Unchanged or already pending content. */
  readonly skipped: number
  /** One line each: symlinks, special files. */
  readonly warnings: readonly string[]
}

export interface ReviewEntry {
  readonly event: string
  /** `create`, `update`, `delete`, `purge`, or `mixed`. */
  readonly type: string
  readonly author: string
  readonly summary: string
  /** The time the author claims. */
  readonly at: string
  readonly operations: number
  readonly status: {
    readonly pending: number
    readonly accepted: number
    readonly rejected: number
  }
}

export interface ReviewFilter {
  /** @default 'pending' */
  readonly status?: 'pending' | 'accepted' | 'rejected' | 'all'
  readonly author?: string
}

export interface ReviewRequest {
  readonly verdict: 'accept' | 'reject'
  /** `EVENT`, `EVENT:INDEX` or `EVENT:FROM-TO`; EVENT may be a unique prefix. */
  readonly items?: readonly string[]
  /** Everything pending that passes the filter. */
  readonly all?: ReviewFilter
  readonly reason?: string
}

export interface ReviewResult {
  readonly events: readonly string[]
  /** `EVENT:FROM-TO` of each decided run. */
  readonly decided: readonly string[]
}

export interface OwnerInfo {
  readonly key: string
  readonly rank: number
  readonly since: string
  readonly name?: string
  /** False while the key has signed nothing in this dataset. */
  readonly confirmed: boolean
}

export interface LogEntry {
  readonly event: string
  readonly kind: string
  readonly author: string
  readonly at: string
  readonly summary: string
  /** Present and true when an owner's removal struck the event. */
  readonly void?: boolean
}

export interface ReleaseInfo {
  readonly tag: string
  readonly root: string
  readonly event: string
  readonly by: string
  readonly at: string
  readonly text?: string
  /** `checking` until this node has recomputed the root. */
  readonly check: 'ok' | 'mismatch' | 'checking'
  readonly shadowed: boolean
}

export interface RootInfo {
  readonly root: string
  readonly stateRoot: string
  readonly heads: readonly string[]
}

export interface CloneRequest {
  /** Root CID, dataset id or gonk:// link. */
  readonly ref: string
  readonly peers?: readonly string[]
  readonly name?: string
  readonly pinOnly?: boolean
}

export interface CloneResult {
  readonly id: string
  readonly name: string
  readonly root: string
  readonly stateRoot: string
  readonly objects: number
  readonly bytes: number
  readonly seconds: number
}

export interface VerifyResult {
  readonly ok: boolean
  readonly events: number
  readonly blocks: number
  readonly bytes: number
  readonly problems: readonly string[]
}

export interface PeerSummary {
  readonly peerId: string
  readonly multiaddrs: readonly string[]
  readonly direction: string
  readonly datasets: readonly string[]
}

export interface NodeStatus {
  readonly peerId: string
  readonly publicKey: string
  readonly multiaddrs: readonly string[]
  readonly peers: number
  readonly daemon: boolean
  readonly version: string
  readonly datasets: readonly DatasetInfo[]
}

export interface Change {
  readonly name: string
  readonly change: 'added' | 'removed' | 'changed'
  readonly before?: string
  readonly after?: string
}

/** `dataset` arguments are a name, an id, or a unique prefix; `NAME@TAG` where a release is allowed. */
export interface NodeApi {
  status(): Promise<NodeStatus>
  peers(): Promise<{ running: boolean; peers: PeerSummary[] }>
  connect(multiaddr: string, options?: AbortOptions): Promise<{ peerId: string }>

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
  /** `objects`: names or id prefixes. */
  removeObjects(dataset: string, objects: readonly string[]): Promise<{ events: string[] }>
  renameObject(dataset: string, object: string, name: string): Promise<{ events: string[] }>
  /** Objects by name order, 200 a page; `after` is the last name of the page before. */
  listObjects(
    dataset: string,
    page?: { after?: string; limit?: number },
  ): Promise<{ objects: ObjectInfo[]; next?: string }>

  listReviews(dataset: string, filter?: ReviewFilter): Promise<ReviewEntry[]>
  review(dataset: string, request: ReviewRequest, options?: ProgressOptions): Promise<ReviewResult>

  owners(dataset: string): Promise<{ owners: OwnerInfo[] }>
  addOwner(
    dataset: string,
    key: string,
    name?: string,
  ): Promise<{ event: string; owners: OwnerInfo[] }>
  removeOwner(dataset: string, key: string): Promise<{ event: string; owners: OwnerInfo[] }>

  log(
    dataset: string,
    filter?: { limit?: number; author?: string; object?: string },
  ): AsyncIterable<LogEntry>
  /** An event, object or version by unique prefix. */
  show(dataset: string, id: string): Promise<Record<string, unknown>>
  /** `a` and `b` are release tags or root CIDs this node knows; `b` defaults to the current state. */
  diff(dataset: string, a: string, b?: string): Promise<{ changes: Change[] }>

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
  verify(dataset: string, options?: ProgressOptions): Promise<VerifyResult>
  gc(options?: ProgressOptions): Promise<{ blocks: number; bytes: number }>
}
