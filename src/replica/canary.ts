// Compares what follows from the events with what peers say follows from the same: a difference means
// that somebody's rules, or somebody's disk, are not what they should be.
import type { DatasetId } from '../core/ids.ts'
import { hexOf, textOfEventId } from '../core/ids.ts'
import { sameBytes } from '../core/reconcile.ts'
import type { Clock, Logger, PeerId } from '../ports.ts'
import type { Have } from './gossip-messages.ts'
import type { Roots } from './sync-messages.ts'
import type { SyncSource } from './sync-server.ts'

/** A state, and the root of the owner set that it follows from. */
export interface DerivedState {
  readonly owner: Uint8Array
  /** CID bytes of the state tree. */
  readonly state: Uint8Array
  /** CID bytes of the checkpoint it follows under, if there is one. */
  readonly checkpoint?: Uint8Array
}

const NONE = new Uint8Array(0)

/** Same events, another state. Both are CID bytes of state trees. */
export interface RootAlarm {
  readonly peer: PeerId
  readonly ours: Uint8Array
  readonly theirs: Uint8Array
}

export interface CanaryNeeds {
  readonly dataset: DatasetId
  readonly clock: Pick<Clock, 'nowMs'>
  readonly logger: Logger
  readonly source: Pick<SyncSource, 'sets'>
  readonly state?: () => Promise<DerivedState>
}

/** A set that grew by more since its state was told last is let come to rest first. */
const GROWTH_MAX = 1_000
/** Peers that differ; the one that began first is forgotten first. */
const ALARMS_MAX = 256
/** Between two lines about one peer, which may say anything. */
const LOG_EVERY_MS = 60_000

export class Canary {
  readonly #needs: CanaryNeeds
  readonly #alarms = new Map<PeerId, RootAlarm>()
  readonly #loggedAtMs = new Map<PeerId, number>()
  /** Events of the set whose state was told last. */
  #toldCount = 0
  /** The set when peers were told last. */
  #lastRoot = ''
  #isChecking = false

  constructor(needs: CanaryNeeds) {
    this.#needs = needs
  }

  get alarms(): readonly RootAlarm[] {
    return [...this.#alarms.values()]
  }

  /** What to tell peers beside these roots; nothing while too much is coming in for that. */
  async told({ owner }: Roots): Promise<Pick<Have, 'state' | 'checkpoint'>> {
    const root = hexOf(owner.root)
    const isAtRest = this.#lastRoot === root
    this.#lastRoot = root
    const growth = owner.count - this.#toldCount
    if (owner.count === 0 || (growth > GROWTH_MAX && !isAtRest)) return {}
    const derived = await this.#stateOf(owner.root)
    if (derived === undefined) return {}
    this.#toldCount = owner.count
    const { state, checkpoint } = derived
    return { state, ...(checkpoint && { checkpoint }) }
  }

  /** A peer tells what it holds and what follows from it. Never throws. */
  async heard(peer: PeerId, { roots, state, checkpoint = NONE }: Have): Promise<void> {
    // One at a time: whoever says much of this is not asked to wait, but left out.
    if (state === undefined || this.#isChecking) return
    this.#isChecking = true
    try {
      const { owner } = await this.#needs.source.sets()
      if (!sameBytes(owner.root, roots.owner.root)) return
      const ours = await this.#stateOf(roots.owner.root)
      // Whoever was told to trust another checkpoint may well come to another state.
      if (ours === undefined || !sameBytes(ours.checkpoint ?? NONE, checkpoint)) return
      if (sameBytes(ours.state, state)) this.#alarms.delete(peer)
      else this.#raise({ peer, ours: ours.state, theirs: state })
    } catch (error) {
      this.#needs.logger.debug({ peer, reason: String(error) }, 'states were not compared')
    } finally {
      this.#isChecking = false
    }
  }

  /** Undefined: of other events than these. */
  async #stateOf(owner: Uint8Array): Promise<DerivedState | undefined> {
    const derived = await this.#needs.state?.()
    return derived && sameBytes(derived.owner, owner) ? derived : undefined
  }

  #raise(alarm: RootAlarm): void {
    const { peer, ours, theirs } = alarm
    this.#alarms.delete(peer)
    this.#alarms.set(peer, alarm)
    for (const old of this.#alarms.keys()) {
      if (this.#alarms.size <= ALARMS_MAX) break
      this.#alarms.delete(old)
      this.#loggedAtMs.delete(old)
    }
    const { clock, logger, dataset } = this.#needs
    const nowMs = clock.nowMs()
    if (nowMs - (this.#loggedAtMs.get(peer) ?? -Infinity) < LOG_EVERY_MS) return
    this.#loggedAtMs.set(peer, nowMs)
    logger.error(
      {
        code: 'ROOT_DIFFERS',
        peer,
        dataset: textOfEventId(dataset),
        ours: hexOf(ours),
        theirs: hexOf(theirs),
      },
      'a peer says that another state follows from the same events: run `verify`, here and there',
    )
  }
}
