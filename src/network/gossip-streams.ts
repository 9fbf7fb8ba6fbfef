// Outbound gossip streams: a peer that reads slowly gets less, and a stream that ended is opened again.
// gossipsub itself ends a stream that holds too much, and opens one only to a peer that connects.
import type { GossipSub } from '@libp2p/gossipsub'
import type { Connection, Stream } from '@libp2p/interface'
import type { PeerId } from '../ports.ts'
import type { Host } from './host.ts'

/** A peer for which more waits here is behind: it gets what this node itself says, and nothing else. */
const BEHIND_BYTES = 1024 * 1024
/** Below the gossip threshold, above the one for publishing. */
const BEHIND_SCORE = -20
const HEARTBEAT = 'gossipsub:heartbeat'

export class GossipStreams {
  readonly #host: Host
  readonly #pubsub: GossipSub
  #behind = new Set<PeerId>()
  /** Peers without a stream at the last heartbeat: one may be on its way. */
  #without = new Set<PeerId>()

  constructor(host: Host) {
    this.#host = host
    this.#pubsub = host.services.pubsub
    this.#pubsub.addEventListener(HEARTBEAT, this.#look)
  }

  stop(): void {
    this.#pubsub.removeEventListener(HEARTBEAT, this.#look)
  }

  /** What is added to gossipsub's score of a peer, which leaves it out of what is passed on. */
  score(peer: PeerId): number {
    return this.#behind.has(peer) ? BEHIND_SCORE : 0
  }

  readonly #look = (): void => {
    const streams = new Map<PeerId, Stream>()
    const connections = new Map<PeerId, Connection>()
    for (const connection of this.#host.getConnections()) {
      if (connection.status !== 'open') continue
      const peer = connection.remotePeer.toString()
      connections.set(peer, connection)
      const stream = connection.streams.find((one) => this.#isOutbound(one))
      if (stream !== undefined) streams.set(peer, stream)
    }
    const behind = [...streams].filter(([, stream]) => stream.writeBufferLength > BEHIND_BYTES)
    this.#behind = new Set(behind.map(([peer]) => peer))
    const without = this.#pubsub.getPeers().flatMap((id) => {
      const peer = id.toString()
      return streams.has(peer) ? [] : [peer]
    })
    for (const peer of without) {
      const connection = connections.get(peer)
      if (connection !== undefined && this.#without.has(peer)) this.#openAgain(connection)
    }
    this.#without = new Set(without)
  }

  #isOutbound({ protocol, direction, status }: Stream): boolean {
    return (
      direction === 'outbound' && status === 'open' && this.#pubsub.protocols.includes(protocol)
    )
  }

  /** Whoever waits for peers of a protocol is told of them whenever they identify. */
  #openAgain(connection: Connection): void {
    // It fails only where the connection ends as well.
    this.#host.services.identify.identify(connection).catch(() => undefined)
  }
}
