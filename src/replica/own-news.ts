// What a node tells of its own new events: all of them at once, but of more proposals than peers look at one
// by one only that there is something to fetch. What peers take in vain, they read ever later.
import type { Event } from '../core/event.ts'
import type { Clock } from '../ports.ts'
import { encodeGossip, gossipOf } from './gossip-messages.ts'
import { NEWS_OF_ONE } from './news-budget.ts'
import { Rate } from './rate.ts'

export interface OwnNewsNeeds {
  readonly clock: Pick<Clock, 'nowMs'>
  readonly publish: (body: Uint8Array) => void
  /** Tells what is held here, after so long, once for several calls. */
  readonly announce: (delayMs: number) => void
}

const TOGETHER_AFTER_MS = 500

export class OwnNews {
  readonly #needs: OwnNewsNeeds
  readonly #rate = new Rate(NEWS_OF_ONE)

  constructor(needs: OwnNewsNeeds) {
    this.#needs = needs
  }

  tell(events: readonly Event[]): void {
    const { clock, publish, announce } = this.#needs
    for (const event of events) {
      const isOneOfMany = event.family === 'proposal' && !this.#rate.take(clock.nowMs())
      if (isOneOfMany) announce(TOGETHER_AFTER_MS)
      else publish(encodeGossip(gossipOf(event)))
    }
  }
}
