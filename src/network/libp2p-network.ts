// The Network port on libp2p: life cycle, connections and who is told of them. The protocols
// themselves are in rpc.ts, block-server.ts, block-client.ts and gossip.ts.
import type { Connection, IdentifyResult, Libp2p, Stream } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import type { DatasetId } from '../core/ids.ts'
import type { AbortOptions, Logger, Network, NetworkHandlers, PeerId, PeerInfo } from '../ports.ts'
import { parseAddress, peerOf } from './address.ts'
import { type FetchedBlock, fetchBlocks } from './block-client.ts'
import { serveBlocks } from './block-server.ts'
import { conductDefaults, PeerConduct } from './conduct.ts'
import { startDeadline } from './deadline.ts'
import { Directory, directoryDefaults } from './directory.ts'
import { abortError, openConnection, peerError, ProtocolFault, unreachable } from './failures.ts'
import { createGate } from './gate.ts'
import { Gossip, topicOf } from './gossip.ts'
import { GossipStreams } from './gossip-streams.ts'
import { createHost, type Host, type HostServices } from './host.ts'
import { followNewest } from './liveness.ts'
import { NamedPeers, redialDefaults } from './named-peers.ts'
import { networkLimits, type NetworkLimits, type NetworkOptions } from './options.ts'
import { RpcClient, serveRequests } from './rpc.ts'
import { BLOCKS_PROTOCOL, SYNC_PROTOCOL, syncVersions, versionMismatch } from './versions.ts'

/** A network that is not started: nothing listens or dials before `start`. */
export async function createNetwork(
  needs: { log: Logger },
  options: NetworkOptions,
): Promise<Libp2pNetwork> {
  const network: { current?: Libp2pNetwork } = {}
  const conduct = new PeerConduct(
    { log: needs.log, onBan: (peer) => network.current?.disconnect(peer) },
    { ...conductDefaults, ...options.conduct },
  )
  const host = await createHost({
    seed: options.seed,
    listen: options.listen ?? [],
    connectionsMax: options.connectionsMax ?? 256,
    ...(options.silenceMs !== undefined && { silenceMs: options.silenceMs }),
    gater: createGate({
      isBanned: (peer) => conduct.isBanned(peer),
      allow: options.allow,
      mayDial: options.mayDial ?? (() => true),
      isNamed: (address) => network.current?.isNamedAddress(address) ?? false,
    }),
    wantsTopic: (topic) => network.current?.datasetOf(topic) !== undefined,
    score: (peer) => network.current?.score(peer) ?? 0,
    delayMs: (peer, bytes) => conduct.gossipDelayMs(peer, bytes),
    onFault: (peer, what) => conduct.fault(peer, 'TOO_LARGE', what),
  })
  network.current = new Libp2pNetwork({ log: needs.log, host, conduct }, options)
  return network.current
}

export class Libp2pNetwork implements Network {
  readonly peerId: PeerId
  readonly #host: Host
  readonly #log: Logger
  readonly #conduct: PeerConduct
  readonly #options: NetworkOptions
  readonly #limits: NetworkLimits
  readonly #rpc: RpcClient
  readonly #named: NamedPeers
  readonly #directory: Directory
  readonly #stopped = new AbortController()
  /** Joined datasets by topic. */
  readonly #datasets = new Map<string, DatasetId>()
  /** Addresses being dialled because the user gave them just now. */
  readonly #dialling = new Set<string>()
  /** Connected peers the handlers were told of: identify repeats itself. */
  readonly #met = new Set<PeerId>()
  #handlers: NetworkHandlers | undefined
  #gossip: Gossip | undefined
  #streams: GossipStreams | undefined
  #stopFollowing: (() => void) | undefined

  constructor(
    { host, log, conduct }: { host: Host; log: Logger; conduct: PeerConduct },
    options: NetworkOptions,
  ) {
    this.peerId = host.peerId.toString()
    this.#host = host
    this.#log = log
    this.#conduct = conduct
    this.#options = options
    this.#limits = { ...networkLimits, ...options.limits }
    const connectionTo = (peer: PeerId): Connection => this.#connectionTo(peer)
    this.#rpc = new RpcClient({ connectionTo, conduct }, this.#limits)
    this.#named = new NamedPeers(
      {
        dial: (address) => this.#dial(parseAddress(address)),
        isConnected: (peer) => this.#connectionsOf(peer).length > 0,
        log,
      },
      { ...redialDefaults, ...options.redial },
    )
    this.#directory = new Directory({ host, log }, { ...directoryDefaults, ...options.directory })
  }

  /** The node underneath, for Bitswap. */
  get libp2p(): Libp2p<HostServices> {
    return this.#host
  }

  /** @throws BAD_ADDRESS when it cannot listen where it should */
  async start(handlers: NetworkHandlers): Promise<void> {
    this.#handlers = handlers
    await this.#serve(handlers)
    this.#host.addEventListener('peer:identify', this.#onIdentify)
    this.#host.addEventListener('peer:disconnect', this.#onDisconnect)
    this.#stopFollowing = followNewest(this.#host, (peer) => this.#met.delete(peer))
    try {
      await this.#host.start()
    } catch (error) {
      await this.#host.stop()
      throw new GonkError('BAD_ADDRESS', `cannot listen on ${this.#options.listen?.join(', ')}`, {
        cause: error,
      })
    }
    const { pubsub } = this.#host.services
    this.#gossip = new Gossip({
      ...{ pubsub, handlers, conduct: this.#conduct, log: this.#log },
      datasetOf: (topic) => this.datasetOf(topic),
      isNamed: (peer) => this.isNamed(peer),
    })
    this.#streams = new GossipStreams(this.#host)
    for (const dataset of this.#datasets.values()) this.#joinNow(dataset)
    for (const address of this.#options.peers ?? []) this.#named.add(address)
  }

  async stop(): Promise<void> {
    if (this.#stopped.signal.aborted) return
    this.#stopped.abort(new Error('the node stops'))
    this.#named.stop()
    this.#directory.stop()
    this.#gossip?.close()
    this.#streams?.stop()
    this.#rpc.close()
    this.#host.removeEventListener('peer:identify', this.#onIdentify)
    this.#host.removeEventListener('peer:disconnect', this.#onDisconnect)
    this.#stopFollowing?.()
    await this.#host.stop()
  }

  multiaddrs(): string[] {
    return this.#host.getMultiaddrs().map(String)
  }

  peers(): PeerInfo[] {
    const subscribers = [...this.#datasets.values()].map(
      (dataset) => [dataset, new Set(this.#gossip?.subscribers(dataset))] as const,
    )
    return this.#host.getPeers().map((id) => {
      const peerId = id.toString()
      const connections = this.#connectionsOf(peerId)
      return {
        peerId,
        multiaddrs: connections.map(({ remoteAddr }) => remoteAddr.toString()),
        direction: connections[0]?.direction ?? 'outbound',
        datasets: subscribers.filter(([, peers]) => peers.has(peerId)).map(([dataset]) => dataset),
      }
    })
  }

  isNamed(peer: PeerId): boolean {
    return this.#named.hasPeer(peer)
  }

  /** An address the user gives lifts a ban of the peer behind it. */
  async connect(multiaddr: string, { signal }: AbortOptions = {}): Promise<PeerId> {
    const address = parseAddress(multiaddr)
    const named = address.toString()
    const wanted = peerOf(address)
    if (wanted === this.peerId) throw new GonkError('BAD_ADDRESS', 'this is the node itself')
    if (wanted !== undefined) this.#conduct.lift(wanted)
    const peer = await this.#dial(address, signal)
    this.#named.add(named, peer)
    return peer
  }

  join(dataset: DatasetId): void {
    const topic = topicOf(dataset)
    if (this.#datasets.has(topic)) return
    this.#datasets.set(topic, dataset)
    if (this.#gossip !== undefined) this.#joinNow(dataset)
  }

  leave(dataset: DatasetId): void {
    if (!this.#datasets.delete(topicOf(dataset))) return
    this.#gossip?.leave(dataset)
    this.#directory.withdraw(dataset)
  }

  peersOf(dataset: DatasetId): PeerId[] {
    if (!this.#datasets.has(topicOf(dataset))) return []
    const subscribers = this.#gossip?.subscribers(dataset) ?? []
    return subscribers.filter((peer) => this.#connectionsOf(peer).length > 0)
  }

  async discover(dataset: DatasetId, { signal }: AbortOptions = {}): Promise<void> {
    const dials: Promise<unknown>[] = []
    for await (const { id, multiaddrs } of this.#directory.find(dataset, signal)) {
      if (this.#connectionsOf(id.toString()).length > 0) continue
      const dial = this.#host.peerStore
        .merge(id, { multiaddrs })
        .then(() => this.#openTo(id, signal))
        .catch((error: unknown) => {
          this.#log.debug({ peer: id.toString(), error: String(error) }, 'provider not reached')
        })
      dials.push(dial)
    }
    await Promise.all(dials)
  }

  async publish(dataset: DatasetId, body: Uint8Array): Promise<void> {
    await this.#gossip?.publish(dataset, body)
  }

  async request(peer: PeerId, body: Uint8Array, options?: AbortOptions): Promise<Uint8Array> {
    try {
      return await this.#rpc.request(peer, body, options)
    } catch (error) {
      throw await this.#explain(error, peer)
    }
  }

  async *blocks(
    peer: PeerId,
    dataset: DatasetId,
    cids: Iterable<CID> | AsyncIterable<CID>,
    { signal }: AbortOptions = {},
  ): AsyncGenerator<FetchedBlock> {
    try {
      const stream = await this.#openBlocks(peer, signal)
      yield* fetchBlocks(stream, dataset, cids, this.#limits, signal ? { signal } : {})
    } catch (error) {
      // Streams that our own stop cuts off are nobody's failure.
      const isFault = error instanceof ProtocolFault && !this.#stopped.signal.aborted
      if (isFault) this.#conduct.fault(peer, error.code, error.message, error.weight)
      throw await this.#explain(peerError(error, peer, signal), peer)
    }
  }

  ban(peer: PeerId, reason: string): void {
    this.#conduct.ban(peer, reason)
  }

  /** What gossipsub thinks of a peer: below zero it passes nothing on, below -80 it hears nothing. */
  score(peer: PeerId): number {
    return this.#conduct.score(peer) + (this.#streams?.score(peer) ?? 0)
  }

  // -------------------------------------------------------------- for the parts of this folder

  datasetOf(topic: string): DatasetId | undefined {
    return this.#datasets.get(topic)
  }

  isNamedAddress(address: string): boolean {
    return this.#dialling.has(address) || this.#named.has(address)
  }

  disconnect(peer: PeerId): void {
    for (const connection of this.#connectionsOf(peer)) connection.abort(new Error('banned'))
  }

  async #serve(handlers: NetworkHandlers): Promise<void> {
    const conduct = this.#conduct
    const stopped = this.#stopped.signal
    await this.#host.handle(
      SYNC_PROTOCOL,
      (stream, connection) =>
        this.#guard(stream, connection, (peer) =>
          serveRequests(stream, peer, { handlers, conduct, stopped }, this.#limits),
        ),
      // Twice what a client opens: streams that end here may still be open there.
      {
        maxInboundStreams: this.#limits.streamsMax * 2,
        maxOutboundStreams: this.#limits.streamsMax * 2,
      },
    )
    await this.#host.handle(
      BLOCKS_PROTOCOL,
      (stream, connection) =>
        this.#guard(stream, connection, (peer) =>
          serveBlocks(stream, peer, { handlers, conduct, stopped }, this.#limits),
        ),
      { maxInboundStreams: this.#limits.blockStreamsMax, maxOutboundStreams: 32 },
    )
  }

  /** Runs one inbound stream; whatever goes wrong ends that stream and nothing else. */
  async #guard(
    stream: Stream,
    { remotePeer }: Connection,
    run: (peer: PeerId) => Promise<void>,
  ): Promise<void> {
    const peer = remotePeer.toString()
    try {
      await run(peer)
    } catch (error) {
      if (this.#stopped.signal.aborted) {
        // Streams that our own stop cuts off are nobody's failure.
      } else if (error instanceof ProtocolFault) {
        this.#conduct.fault(peer, error.code, error.message, error.weight)
      } else if (error instanceof GonkError) {
        this.#conduct.note(peer, error.code, error.message)
      } else if (stream.status === 'open') {
        this.#conduct.note(peer, peerError(error, peer).code, String(error))
      }
      stream.abort(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #joinNow(dataset: DatasetId): void {
    this.#gossip?.join(dataset)
    if (this.#options.listen !== undefined && this.#options.listen.length > 0) {
      this.#directory.announce(dataset)
    }
  }

  readonly #onIdentify = ({ detail }: CustomEvent<IdentifyResult>): void => {
    const peer = detail.peerId.toString()
    this.#directory.peersChanged()
    const versions = syncVersions(detail.protocols)
    if (versions.length > 0 && !versions.includes(SYNC_PROTOCOL)) {
      const { code, message } = versionMismatch(peer, detail.protocols)
      this.#conduct.note(peer, code, message)
      return
    }
    if (this.#met.has(peer) || this.#connectionsOf(peer).length === 0) return
    this.#met.add(peer)
    this.#handlers?.peerSeen(peer, undefined)
  }

  readonly #onDisconnect = ({ detail }: CustomEvent<{ toString(): string }>): void => {
    const peer = detail.toString()
    this.#met.delete(peer)
    this.#rpc.forget(peer)
    this.#named.lost(peer)
    this.#handlers?.peerLost(peer)
  }

  async #dial(address: Multiaddr, signal?: AbortSignal): Promise<PeerId> {
    const named = address.toString()
    this.#dialling.add(named)
    try {
      const connection = await this.#openTo(address, signal)
      return connection.remotePeer.toString()
    } finally {
      this.#dialling.delete(named)
    }
  }

  /** @throws NO_PEER, TIMEOUT, CANCELLED */
  async #openTo(target: Parameters<Host['dial']>[0], signal?: AbortSignal): Promise<Connection> {
    const limitMs = this.#options.dialTimeoutMs ?? 10_000
    const deadline = startDeadline(limitMs, signal)
    try {
      return await this.#host.dial(target, { signal: deadline.signal })
    } catch (error) {
      if (deadline.expired) throw new GonkError('TIMEOUT', `no answer from ${target}`)
      if (signal?.aborted === true) throw abortError(signal)
      throw unreachable(String(target), error)
    } finally {
      deadline.clear()
    }
  }

  #connectionsOf(peer: PeerId): Connection[] {
    return this.#host
      .getConnections()
      .filter(({ remotePeer, status }) => status === 'open' && remotePeer.toString() === peer)
  }

  #connectionTo(peer: PeerId): Connection {
    return openConnection(this.#connectionsOf(peer), peer)
  }

  async #openBlocks(peer: PeerId, signal?: AbortSignal): Promise<Stream> {
    const deadline = startDeadline(this.#limits.requestTimeoutMs, signal)
    try {
      return await this.#connectionTo(peer).newStream(BLOCKS_PROTOCOL, { signal: deadline.signal })
    } finally {
      deadline.clear()
    }
  }

  /** Tells a peer of another version from one that failed. */
  async #explain(error: unknown, peer: PeerId): Promise<unknown> {
    const cause = error instanceof GonkError ? error.cause : error
    if (!(cause instanceof Error) || cause.name !== 'UnsupportedProtocolError') return error
    const id = this.#host.getPeers().find((known) => known.toString() === peer)
    if (id === undefined) return error
    const { protocols } = await this.#host.peerStore.get(id)
    return versionMismatch(peer, protocols)
  }
}
