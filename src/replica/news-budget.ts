// How many proposals a node looks at that peers tell of without being asked. To verify them costs more
// than to make them; what is left out here comes when sets are compared, as far as there is room.
import type { PeerId } from '../ports.ts'
import type { Forwarder } from './pool-shares.ts'
import { Rate } from './rate.ts'

/**
 * Of one peer, and of all that nobody named, whose ids are free. One by one they cost several times what
 * they cost together.
 */
export const NEWS_OF_ONE = { perSecond: 20, burst: 100 }
const ALL = { perSecond: 50, burst: 200 }
/** Peers remembered; the one longest silent is forgotten first. */
const PEERS_MAX = 1_024

export class NewsBudget {
  readonly #all = new Rate(ALL)
  readonly #peers = new Map<PeerId, Rate>()

  take({ peer, isNamed }: Forwarder, nowMs: number): boolean {
    const rate = this.#peers.get(peer) ?? new Rate(NEWS_OF_ONE)
    this.#peers.delete(peer)
    this.#peers.set(peer, rate)
    const [longestSilent] = this.#peers.keys()
    if (this.#peers.size > PEERS_MAX) this.#peers.delete(longestSilent as PeerId)
    return rate.take(nowMs) && (isNamed === true || this.#all.take(nowMs))
  }
}
