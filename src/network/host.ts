// The libp2p node: TCP, noise, yamux, identify, ping, a private kad-dht and gossipsub. Every limit is
// written out here, because the libraries' defaults suit other networks.
import { createHash } from 'node:crypto'
import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { gossipsub, type GossipSub } from '@libp2p/gossipsub'
import { identify, identifyPush, type Identify, type IdentifyPush } from '@libp2p/identify'
import type {
  ComponentLogger,
  ConnectionGater,
  Libp2p,
  Logger,
  PrivateKey,
} from '@libp2p/interface'
import { kadDHT, passthroughMapper, type KadDHT } from '@libp2p/kad-dht'
import { ping, type Ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { GRAYLIST } from './conduct.ts'
import { type FramesOptions, withFrames } from './gossip-frames.ts'
import { endWhenSilent, pingEveryMs, SILENCE_MS } from './liveness.ts'
import { KAD_PROTOCOL } from './versions.ts'

const KiB = 1024
const MiB = 1024 * KiB
const HOUR_MS = 3_600_000

export type HostServices = {
  identify: Identify
  identifyPush: IdentifyPush
  ping: Ping
  dht: KadDHT
  pubsub: GossipSub
}

export type Host = Libp2p<HostServices>

export interface HostOptions {
  /** 32 bytes; the Ed25519 key whose public half is the peer id. */
  readonly seed: Uint8Array
  /** Multiaddrs to listen on. Empty: the node only dials. */
  readonly listen: readonly string[]
  readonly connectionsMax: number
  readonly gater: ConnectionGater
  /** Whether a gossip message may enter this node's caches; false drops it unread. */
  readonly wantsTopic: (topic: string) => boolean
  /** Added to gossipsub's score of a peer: zero or less. */
  readonly score: (peer: string) => number
  /** A peer said more at once than it may. */
  readonly onFault?: (peer: string, what: string) => void
  /** For how long not to read a peer's gossip after so many bytes of it, in ms. */
  readonly delayMs?: (peer: string, bytes: number) => number
  /** A connection on which nothing comes for so long is ended. @default 30,000 */
  readonly silenceMs?: number
}

/** The node's libp2p, not started: nothing is opened before `start()`. */
export async function createHost(options: HostOptions): Promise<Host> {
  const silenceMs = options.silenceMs ?? SILENCE_MS
  const muxer = yamux({ ...muxerOptions, keepAliveInterval: pingEveryMs(silenceMs) })
  const privateKey: PrivateKey = await generateKeyPairFromSeed('Ed25519', options.seed)
  return createLibp2p<HostServices>({
    start: false,
    privateKey,
    logger: silentLogger,
    nodeInfo: { userAgent: 'gonk-node' },
    addresses: { listen: [...options.listen] },
    transports: [tcp({ dialOpts: { noDelay: true }, listenOpts: { noDelay: true } })],
    connectionEncrypters: [noise()],
    streamMuxers: [endWhenSilent(muxer, silenceMs)],
    connectionGater: options.gater,
    connectionManager: {
      maxConnections: options.connectionsMax,
      maxParallelDials: 32,
      maxDialQueueLength: 500,
      maxPeerAddrsToDial: 16,
      dialTimeout: 10_000,
      // Peers behind one address (NAT, containers, tests) are many and honest.
      inboundConnectionThreshold: Infinity,
      maxIncomingPendingConnections: 256,
      // Only our own loop redials, and it does not give up.
      reconnectRetries: 0,
    },
    // One late ping is no reason to cut a transfer; liveness.ts says what is.
    connectionMonitor: { abortConnectionOnPingFailure: false },
    // Provider records are useless once the addresses of the provider have expired.
    peerStore: { maxAddressAge: 48 * HOUR_MS, maxPeerAge: 72 * HOUR_MS },
    services: {
      identify: identify({ maxMessageSize: 64 * KiB, timeout: 10_000 }),
      identifyPush: identifyPush({ maxMessageSize: 64 * KiB, timeout: 10_000 }),
      ping: ping(),
      dht: kadDHT({
        protocol: KAD_PROTOCOL,
        clientMode: options.listen.length === 0,
        peerInfoMapper: passthroughMapper,
        allowQueryWithZeroPeers: true,
        maxInboundStreams: 32,
        maxOutboundStreams: 64,
      }),
      pubsub: (components: Parameters<ReturnType<typeof gossipsub>>[0]) =>
        gossipsub(gossipOptions(options))(withFrames(components, framesOf(options))),
    },
  })
}

/**
 * A stream starts with 256 KiB, as every yamux does, and may grow to 4 MiB; what a paused reader can
 * still be sent fits its read buffer.
 */
const muxerOptions = {
  maxInboundStreams: 128,
  maxOutboundStreams: 256,
  streamOptions: {
    initialStreamWindowSize: 256 * KiB,
    maxStreamWindowSize: 4 * MiB,
    maxReadBufferLength: 8 * MiB,
    maxWriteBufferLength: 16 * MiB,
  },
}

/** A message of gossipsub: many of ours together. */
const RPC_BYTES_MAX = 4 * MiB
/** For how long gossipsub remembers the id of each message, whoever sends how many. */
const SEEN_MS = 30_000

function framesOf({ onFault, delayMs = () => 0 }: HostOptions): FramesOptions {
  const onTooLong = (peer: string, bytes: number): void =>
    onFault?.(peer, `a message of gossip of ${bytes} bytes`)
  return { bytesMax: RPC_BYTES_MAX, onTooLong, delayMs }
}

function gossipOptions({ wantsTopic, score }: HostOptions): Parameters<typeof gossipsub>[0] {
  return {
    // Events carry their author's signature: the same event from two publishers is one message.
    globalSignaturePolicy: 'StrictNoSign',
    msgIdFn: (message) => createHash('sha256').update(message.data).digest(),
    dataTransform: {
      inboundTransform: (topic, data) => {
        if (!wantsTopic(topic)) throw new Error('not a topic of this node')
        return data
      },
      outboundTransform: (_topic, data) => data,
    },
    allowPublishToZeroTopicPeers: true,
    // What comes again later is known to the handler, and not passed on.
    seenTTL: SEEN_MS,
    ignoreDuplicatePublishError: true,
    fallbackToFloodsub: false,
    emitSelf: false,
    floodPublish: true,
    doPX: false,
    runOnLimitedConnection: false,
    maxInboundStreams: 2,
    maxOutboundStreams: 2,
    maxInboundDataLength: RPC_BYTES_MAX,
    maxOutboundBufferSize: 8 * MiB,
    // About 15,000 topics of one peer; more are ignored.
    maxTopicBytesPerPeer: 16 * MiB,
    decodeRpcLimits: {
      maxSubscriptions: 16_384,
      maxMessages: 1_024,
      maxIhaveMessageIDs: 5_000,
      maxIwantMessageIDs: 5_000,
      maxIdontwantMessageIDs: 512,
      maxControlMessages: 16_384,
      maxPeerInfos: 16,
    },
    // Faults count in one place (conduct.ts), not per topic: quiet topics must not cost honest peers.
    scoreParams: {
      topics: {},
      IPColocationFactorWeight: 0,
      // Promises that a slow peer breaks would shut it out from what this node says itself.
      behaviourPenaltyWeight: 0,
      appSpecificScore: score,
      appSpecificWeight: 1,
    },
    scoreThresholds: {
      gossipThreshold: -10,
      publishThreshold: -50,
      graylistThreshold: GRAYLIST,
      acceptPXThreshold: 100,
      opportunisticGraftThreshold: 5,
    },
  }
}

function silence(): void {}

const silentLog: Logger = Object.assign(silence.bind(undefined), {
  enabled: false,
  error: silence,
  trace: silence,
  newScope: (): Logger => silentLog,
})

/** libp2p's own debug lines are for its authors; ours are written where something is decided. */
const silentLogger: ComponentLogger = { forComponent: () => silentLog }
