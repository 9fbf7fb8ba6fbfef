// Gossip: one topic per dataset. What arrives is checked for size and rate here and judged by the
// handler before it travels on; nobody is promised delivery.
import {
  type GossipSub,
  type Message,
  type SubscriptionChangeData,
  TopicValidatorResult,
} from '@libp2p/gossipsub'
import type { PeerId as Libp2pPeerId } from '@libp2p/interface'
import { GonkError } from '../core/errors.ts'
import { type DatasetId, textOfEventId } from '../core/ids.ts'
import type { Logger, NetworkHandlers, PeerId } from '../ports.ts'
import type { PeerConduct } from './conduct.ts'
import { TOPIC_PREFIX } from './versions.ts'

/** A gossip message; what is larger is fetched by its CID. */
export const GOSSIP_BYTES_MAX = 64 * 1024
/** Messages of one peer being judged at a time, and their bytes; more are dropped. */
const JUDGED_MAX = 1_024
const JUDGED_BYTES_MAX = 4 * 1024 * 1024
/** After dropping a message, so long until sets are compared, which brings what was in it. */
const COMPARE_AFTER_MS = 1_000

export interface GossipNeeds {
  readonly pubsub: GossipSub
  readonly conduct: PeerConduct
  readonly log: Logger
  readonly handlers: Pick<NetworkHandlers, 'gossip' | 'peerSeen' | 'gossipMissed'>
  /** The user gave its address: it is never slowed down. */
  readonly isNamed: (peer: PeerId) => boolean
  readonly datasetOf: (topic: string) => DatasetId | undefined
}

export function topicOf(dataset: DatasetId): string {
  return TOPIC_PREFIX + textOfEventId(dataset)
}

export class Gossip {
  readonly #needs: GossipNeeds
  readonly #judging = new Map<PeerId, { count: number; bytes: number }>()
  /** Peers a message of which was dropped. */
  readonly #missed = new Map<string, NodeJS.Timeout>()

  constructor(needs: GossipNeeds) {
    this.#needs = needs
    needs.pubsub.addEventListener('subscription-change', this.#onSubscriptions)
  }

  /** Subscribes, and tells of every peer already known to be subscribed. */
  join(dataset: DatasetId): void {
    const { pubsub, handlers } = this.#needs
    const topic = topicOf(dataset)
    pubsub.topicValidators.set(topic, (peer, message) => this.#judge(peer, dataset, message))
    pubsub.subscribe(topic)
    for (const peer of pubsub.getSubscribers(topic)) handlers.peerSeen(peer.toString(), dataset)
  }

  leave(dataset: DatasetId): void {
    const topic = topicOf(dataset)
    this.#needs.pubsub.unsubscribe(topic)
    this.#needs.pubsub.topicValidators.delete(topic)
  }

  subscribers(dataset: DatasetId): PeerId[] {
    return this.#needs.pubsub.getSubscribers(topicOf(dataset)).map(String)
  }

  /** @throws TOO_LARGE */
  async publish(dataset: DatasetId, body: Uint8Array): Promise<void> {
    if (body.length > GOSSIP_BYTES_MAX) {
      throw new GonkError('TOO_LARGE', `a gossip message of ${body.length} bytes`)
    }
    const { pubsub, log } = this.#needs
    try {
      await pubsub.publish(topicOf(dataset), body)
    } catch (error) {
      log.debug({ dataset, error: String(error) }, 'gossip not sent')
    }
  }

  close(): void {
    this.#needs.pubsub.removeEventListener('subscription-change', this.#onSubscriptions)
    for (const timer of this.#missed.values()) clearTimeout(timer)
    this.#missed.clear()
  }

  readonly #onSubscriptions = (event: CustomEvent<SubscriptionChangeData>): void => {
    const { peerId, subscriptions } = event.detail
    for (const { topic, subscribe } of subscriptions) {
      const dataset = subscribe ? this.#needs.datasetOf(topic) : undefined
      if (dataset !== undefined) this.#needs.handlers.peerSeen(peerId.toString(), dataset)
    }
  }

  async #judge(
    from: Libp2pPeerId,
    dataset: DatasetId,
    { data }: Message,
  ): Promise<TopicValidatorResult> {
    const { conduct, handlers, isNamed, log } = this.#needs
    const peer = from.toString()
    if (conduct.isIgnored(peer)) return TopicValidatorResult.Ignore
    if (data.length > GOSSIP_BYTES_MAX) {
      conduct.fault(peer, 'TOO_LARGE', `a gossip message of ${data.length} bytes`)
      return TopicValidatorResult.Reject
    }
    const judging = this.#judging.get(peer) ?? { count: 0, bytes: 0 }
    const isFull = judging.count >= JUDGED_MAX || judging.bytes + data.length > JUDGED_BYTES_MAX
    if (isFull || !conduct.admitsGossip(peer, data.length)) {
      conduct.note(peer, 'TOO_LARGE', 'more gossip than this node takes from one peer')
      this.#compareLater(peer, dataset)
      return TopicValidatorResult.Ignore
    }
    judging.count++
    judging.bytes += data.length
    this.#judging.set(peer, judging)
    try {
      const verdict = await handlers.gossip(peer, dataset, data)
      if (verdict === 'reject') conduct.fault(peer, 'BAD_EVENT', 'gossip that breaks the protocol')
      if (verdict === 'surplus' && !isNamed(peer)) conduct.gossipInVain(peer)
      return results[verdict]
    } catch (error) {
      log.error({ peer, dataset, error: String(error) }, 'gossip could not be judged')
      return TopicValidatorResult.Ignore
    } finally {
      judging.count--
      judging.bytes -= data.length
      if (judging.count === 0) this.#judging.delete(peer)
    }
  }

  /** The same message by another peer is known to gossipsub by now, and not judged again. */
  #compareLater(peer: PeerId, dataset: DatasetId): void {
    const key = `${peer} ${dataset}`
    if (this.#missed.has(key)) return
    const compare = (): void => {
      this.#missed.delete(key)
      this.#needs.handlers.gossipMissed(peer, dataset)
    }
    this.#missed.set(key, setTimeout(compare, COMPARE_AFTER_MS).unref())
  }
}

const results = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  surplus: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
} as const
