// The interfaces the world must satisfy. A port exists where the simulator must control what happens,
// or where two real implementations exist. All are async, take `signal` last and throw GonkError.
import type { CID } from 'multiformats/cid'
import type { DatasetId, PublicKey } from './core/ids.ts'

export interface AbortOptions {
  readonly signal?: AbortSignal | undefined
}

/** Blocks by CID. Bytes returned always match the CID: a damaged block reads as absent. */
export interface Blocks {
  get(cid: CID, options?: AbortOptions): Promise<Uint8Array | undefined>
  has(cid: CID): Promise<boolean>
  /** `bytes` must match `cid` (the caller has checked). Visible to `get` once resolved. Idempotent. */
  put(cid: CID, bytes: Uint8Array): Promise<void>
  delete(cid: CID): Promise<void>
}

export interface StoredFile {
  readonly cid: CID
  readonly sizeBytes: number
}

/** The bytes of files: UnixFS DAGs over {@link Blocks}, `unixfs-v1-2025` import settings. */
export interface FileStore {
  readonly blocks: Blocks
  /** Streams `source` in; constant memory. Everything is stored when it resolves. */
  put(
    source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options?: AbortOptions,
  ): Promise<StoredFile>
  /** Bytes of a file from blocks held here; throws NOT_HERE when one is missing. */
  read(
    cid: CID,
    options?: AbortOptions & { offset?: number; lengthBytes?: number },
  ): AsyncIterable<Uint8Array>
  /**
   * Walks the file's DAG over blocks held here: yields every block, root first, each once.
   * A missing block is yielded with `bytes` undefined and not descended into.
   */
  walk(cid: CID, options?: AbortOptions): AsyncIterable<{ cid: CID; bytes: Uint8Array | undefined }>
  /** Every block on disk, in any order, for the collector. */
  list(options?: AbortOptions): AsyncIterable<CID>
}

export type PeerId = string

export interface PeerInfo {
  readonly peerId: PeerId
  readonly multiaddrs: readonly string[]
  readonly direction: 'inbound' | 'outbound'
  /** Datasets this peer is subscribed to, of those we joined. */
  readonly datasets: readonly DatasetId[]
}

/**
 * What a topic validator decides: pass it on, drop it, drop it and read the sender more slowly, or drop
 * it and hold it against the sender.
 */
export type GossipVerdict = 'accept' | 'ignore' | 'surplus' | 'reject'

/** What this node answers to peers. Implementations must bound their own work. */
export interface NetworkHandlers {
  /** One request and its answer, both within the limits of the protocol. A throw resets the stream. */
  request(peer: PeerId, body: Uint8Array, signal: AbortSignal): Promise<Uint8Array>
  /** The block, or undefined when it is not here or not for this peer. */
  block(peer: PeerId, dataset: DatasetId, cid: CID): Promise<Uint8Array | undefined>
  gossip(peer: PeerId, dataset: DatasetId, body: Uint8Array): Promise<GossipVerdict>
  /** A peer connected, or subscribed to a dataset we joined. */
  peerSeen(peer: PeerId, dataset: DatasetId | undefined): void
  /** Gossip of the peer was dropped unread, a moment ago: what it told of is to be fetched. */
  gossipMissed(peer: PeerId, dataset: DatasetId): void
  /** A peer is gone. */
  peerLost(peer: PeerId): void
}

/** The peers. Only what the user named is dialled, and peers of a dataset found through those. */
export interface Network {
  readonly peerId: PeerId
  start(handlers: NetworkHandlers): Promise<void>
  stop(): Promise<void>
  multiaddrs(): string[]
  peers(): PeerInfo[]
  /** Whether it is connected by an address that the user gave. */
  isNamed(peer: PeerId): boolean
  /** Dials and keeps the connection. Throws BAD_ADDRESS, NO_PEER, TIMEOUT. */
  connect(multiaddr: string, options?: AbortOptions): Promise<PeerId>
  /** Subscribes to the dataset's topic and, when `provide`, announces it in the DHT. */
  join(dataset: DatasetId): void
  leave(dataset: DatasetId): void
  /** Peers known to be subscribed to the dataset and connected. */
  peersOf(dataset: DatasetId): PeerId[]
  /** Looks for more peers of the dataset (kad-dht) and dials them. Best effort. */
  discover(dataset: DatasetId, options?: AbortOptions): Promise<void>
  /** Best effort, no delivery guarantee. */
  publish(dataset: DatasetId, body: Uint8Array): Promise<void>
  /** Throws PEER_FAILED, TIMEOUT; a peer of another protocol version gives PEER_FAILED with the versions. */
  request(peer: PeerId, body: Uint8Array, options?: AbortOptions): Promise<Uint8Array>
  /**
   * One stream of blocks from one peer, in the order asked. Pull-driven: at most a window of bytes
   * is outstanding, and CIDs are taken from `cids` only as the window allows. Each block is verified
   * against its CID (BAD_BLOCK ends the stream); `bytes` undefined: the peer does not have it.
   */
  blocks(
    peer: PeerId,
    dataset: DatasetId,
    cids: Iterable<CID> | AsyncIterable<CID>,
    options?: AbortOptions,
  ): AsyncIterable<{ cid: CID; bytes: Uint8Array | undefined }>
  /** Closes the connection and refuses the peer for a while. */
  ban(peer: PeerId, reason: string): void
}

export interface Signer {
  readonly publicKey: PublicKey
  sign(message: Uint8Array): Uint8Array
}

export interface Clock {
  nowMs(): number
  sleep(ms: number, options?: AbortOptions): Promise<void>
}

export interface Random {
  bytes(count: number): Uint8Array
}

export interface Crypto {
  sha256(bytes: Uint8Array): Uint8Array
  /** The pinned rule of core/signature.ts, off the main thread where that helps. */
  verify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean>
}

/** The drafts of JSON Schema that schemas may be written in. */
export type SchemaDraft = '04' | '06' | '07' | '2019-09' | '2020-12'

/** One reason why a document does not conform: `path` is a JSON Pointer, `rule` the keyword. */
export interface SchemaError {
  readonly path: string
  readonly rule: string
  readonly text: string
}

/** `code` says what was wrong: the document, the schema, or that an answer would cost too much. */
export type Conformance =
  | { readonly conforms: true }
  | {
      readonly conforms: false
      readonly code: 'NOT_CONFORMING' | 'BAD_SCHEMA' | 'TOO_COSTLY'
      /** A few of them. */
      readonly errors: readonly SchemaError[]
    }

/** How long several checks may take together, in ms of work: each takes from it. */
export interface CheckBudget {
  leftMs: number
}

export interface CheckOptions extends AbortOptions {
  readonly budget?: CheckBudget | undefined
}

/**
 * JSON Schema, beside the reducer: asked where a proposal is made and before an acceptance is
 * signed. Schemas and documents are hostile: whatever they cost is bounded, and others are served
 * meanwhile.
 */
export interface SchemaValidator {
  /** Throws BAD_SCHEMA, TOO_LARGE, TOO_COSTLY. */
  checkSchema(schema: Uint8Array, options?: CheckOptions): Promise<{ draft: SchemaDraft }>
  /**
   * Each document (UTF-8 JSON text) against one schema, in order. Never throws for what they say, but
   * TOO_COSTLY once the budget is used up: `details.index` of the first document without an answer.
   */
  check(
    schema: Uint8Array,
    documents: readonly Uint8Array[],
    options?: CheckOptions,
  ): Promise<readonly Conformance[]>
  close(): Promise<void>
}

/** pino's shape, and nothing more of it. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
