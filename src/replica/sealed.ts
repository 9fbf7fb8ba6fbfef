// The sealed twin as the chain of final checkpoints it stands for. Each is fed on top of the one before;
// where that is cut off, or the chain goes another way, the twin is made again from nothing.
import { CID } from 'multiformats/cid'
import type { CheckpointBody } from '../core/event.ts'
import type { CheckpointId, EventId, PublicKey } from '../core/ids.ts'
import type { Tenure } from '../core/state.ts'
import type { Database } from '../log/database.ts'
import { draftOrdinal, sealedOrdinal } from '../log/keys.ts'
import { SealedLog, UNFINISHED } from '../log/sealed-log.ts'
import type { Authority } from './authority.ts'
import { type FrozenSource, neverFrozen } from './frozen-source.ts'
import type { Trees } from './publish.ts'
import { type Delta, feed, type FeedNeeds } from './sealed-feed.ts'
import { SealedSource, type Settled } from './sealed-source.ts'

export interface SealedNeeds extends FeedNeeds {
  readonly db: Database
}

/** A checkpoint of the chain. */
export interface Link {
  readonly id: CheckpointId
  /** What it covers and none before did, arrived in the twin before this. */
  readonly upTo: number
  /** Owner events it covers on which no other that it covers builds. */
  readonly heads: readonly EventId[]
  /** Tenures that live in its state, and their keys. */
  readonly owners: readonly Tenure[]
  readonly live: readonly PublicKey[]
  /** Its root is what its state gives here. */
  readonly isRight: boolean
  /** It is on the chain as it leads to the anchor. */
  readonly isForced: boolean
  /** What its state adds. */
  readonly settled: Settled
}

/** A checkpoint that goes on the chain. */
export interface Next {
  readonly id: CheckpointId
  readonly body: CheckpointBody
  readonly delta: Delta
  readonly isForced: boolean
}

export class Sealed {
  readonly log: SealedLog
  readonly #needs: SealedNeeds
  #links: Link[] = []
  #kReview = 1
  /** It is being written, or was when a process ended: nothing of it counts. */
  #isUnfinished = false
  #source: FrozenSource = neverFrozen

  constructor(needs: SealedNeeds) {
    this.#needs = needs
    const { id, ordinal } = needs.events
    this.log = new SealedLog(needs.db, id, sealedOrdinal(ordinal))
  }

  async load(): Promise<void> {
    this.#links = []
    this.log.opening.reread()
    this.#isUnfinished = (await this.log.meta(UNFINISHED)) !== undefined
    for (let height = 1; !this.#isUnfinished; height++) {
      const link = await this.log.meta<Partial<Link>>(`checkpoint ${height}`)
      if (link === undefined) break
      // Written by an earlier version: it is made anew, as one that was cut off.
      if (link.owners === undefined) this.#isUnfinished = true
      else this.#links.push(link as Link)
    }
    const stored = await this.log.meta<{ kReview?: number }>('authority')
    this.#kReview = stored?.kReview ?? 1
    this.#source = this.sourceOf(this.#links.length)
  }

  /** By height, from 1 on. */
  get links(): readonly Link[] {
    return this.#links
  }

  get isUnfinished(): boolean {
    return this.#isUnfinished
  }

  /** What the whole chain settles. */
  get source(): FrozenSource {
    return this.#source
  }

  /** What its first `count` checkpoints settle; of objects and names only the whole chain can tell. */
  sourceOf(count: number, log = this.log): FrozenSource {
    const links = this.#links.slice(0, count)
    const last = links.at(-1)
    if (last === undefined) return neverFrozen
    const settled: Settled = {
      inForce: links.flatMap((link) => link.settled.inForce),
      ignored: links.flatMap((link) => link.settled.ignored),
    }
    const { rules } = this.#needs
    return new SealedSource({ log, rules, kReview: this.#kReview, settled, upTo: last.upTo })
  }

  /** Which owner events and proposals the first `count` checkpoints cover. */
  async areSealed(ids: readonly EventId[], count: number): Promise<boolean[]> {
    const upTo = this.#links[count - 1]?.upTo ?? 0
    if (upTo === 0) return ids.map(() => false)
    return (await this.log.arrivalsOf(ids)).map((arrival) => (arrival ?? Infinity) < upTo)
  }

  /** Puts one more checkpoint on the chain. Throws HOME_DAMAGED, DISK: then it must be dropped. */
  async seal({ id, body, delta, isForced }: Next): Promise<Link> {
    const { db } = this.#needs
    const snapshot = db.snapshot()
    try {
      const count = this.#links.length
      const before = this.sourceOf(count, this.log.at(snapshot))
      const previous = this.#links.at(-1)
      this.#isUnfinished = true
      await this.log.commit([this.log.putMeta(UNFINISHED, true)])
      const place = { from: previous?.upTo ?? 0, previous: previous?.id }
      const { root, upTo, authority } = await feed(this.#needs, this.log, before, delta, place)
      const owners = authority.tenures.filter(({ live }) => live)
      const link: Link = {
        id,
        upTo,
        heads: await this.log.heads(),
        owners,
        live: [...new Set(owners.map(({ key }) => key))],
        isRight: root.equals(CID.decode(body.root)),
        isForced,
        settled: added(authority, this.#links),
      }
      await this.log.commit([
        this.log.putMeta(`checkpoint ${count + 1}`, link),
        this.log.deleteMeta(UNFINISHED),
      ])
      this.#isUnfinished = false
      this.#links.push(link)
      this.#kReview = authority.thresholds.kReview
      this.#source = this.sourceOf(this.#links.length)
      return link
    } finally {
      await snapshot.close()
    }
  }

  /** The root of what the chain and a further checkpoint cover, without putting it there. */
  async rootWith(delta: Delta): Promise<CID> {
    const { db, events } = this.#needs
    const draft = new SealedLog(db, events.id, draftOrdinal(events.ordinal))
    const last = this.#links.at(-1)
    await draft.clearAll()
    try {
      await this.log.copyTo(draft)
      const place = { from: last?.upTo ?? 0, previous: last?.id }
      return (await feed(this.#needs, draft, this.#source, delta, place)).root
    } finally {
      await draft.clearAll()
    }
  }

  /** Forgets all of it. */
  async drop(): Promise<void> {
    this.#links = []
    this.#source = neverFrozen
    this.#isUnfinished = true
    await this.log.clearAll()
    this.#isUnfinished = false
  }

  /** Of its trees, as they are on disk. */
  async roots(): Promise<CID[]> {
    if (this.#links.length === 0) return []
    const trees = await this.log.meta<Trees>('trees')
    const { state, events, files } = trees ?? {}
    return [state, events, files].flatMap((root) => (root ? [CID.decode(root)] : []))
  }
}

/** What a state says of layer A beyond what was settled before. */
function added(authority: Authority, links: readonly Link[]): Settled {
  const inForce = new Set(links.flatMap((link) => link.settled.inForce.map(String)))
  const ignored = new Set(links.flatMap((link) => link.settled.ignored))
  return {
    inForce: authority.inForce.filter((pair) => !inForce.has(String(pair))),
    ignored: (authority.ignoredLeavings ?? []).filter((id) => !ignored.has(id)),
  }
}
