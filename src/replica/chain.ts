// The chain of final checkpoints: which one goes on, and whether those on it still belong there. Every
// answer follows from the events held and the anchor; what is kept in memory saves asking again.
import { bestOf, mayBeFinal, pathTo, type Tally, tallyOf } from '../core/checkpoint.ts'
import { checkpointIdOf } from '../core/checkpoint-id.ts'
import type { CheckpointBody, Event } from '../core/event.ts'
import type { CheckpointId, EventId, PublicKey } from '../core/ids.ts'
import type { Authority } from './authority.ts'
import {
  type CandidateNeeds,
  type Covered,
  coveredBy,
  liveAfter,
  type Place,
  stayingIn,
} from './candidate.ts'
import type { Link, Next } from './sealed.ts'

export type ChainNeeds = Omit<CandidateNeeds, 'authority'> & {
  readonly authority: () => Authority
}

/** A checkpoint at its place, as far as it is known here. */
export interface Looked {
  readonly covered: Covered
  /** Of a complete one. */
  readonly tally?: Tally
}

const META = 'anchor'

export class Chain {
  readonly #needs: ChainNeeds
  #anchor: CheckpointId | undefined
  #path: readonly CheckpointId[] = []
  /**
   * Final and complete, by place, and who of those that lived before voted for them: so they stay while the
   * chain before them does.
   */
  readonly #final = new Map<number, Map<CheckpointId, ReadonlySet<PublicKey>>>()
  /** Complete, votes or not: of those that lead to the anchor. */
  readonly #complete = new Set<CheckpointId>()
  /** What is not here, and the checkpoints that wait for it; and for how much each of these waits. */
  readonly #missing = new Map<EventId, CheckpointId[]>()
  readonly #waiting = new Map<CheckpointId, number>()
  /** Keys that live in the state of a complete one: dear to find out, and never another. */
  readonly #live = new Map<CheckpointId, ReadonlySet<PublicKey>>()
  /** To be looked at: their votes, or what they cover, have changed. */
  readonly #due = new Set<CheckpointId>()
  /** Nothing was looked at yet. */
  #isNew = true

  constructor(needs: ChainNeeds) {
    this.#needs = needs
  }

  async load(): Promise<void> {
    this.#anchor = await this.#needs.log.meta<CheckpointId>(META)
    this.forget()
  }

  get anchor(): CheckpointId | undefined {
    return this.#anchor
  }

  async setAnchor(id: CheckpointId | undefined): Promise<void> {
    const { log } = this.#needs
    await log.commit([id === undefined ? log.deleteMeta(META) : log.putMeta(META, id)], {
      durable: true,
    })
    this.#anchor = id
    this.forget()
  }

  /** Everything is looked at again: what leads to a checkpoint is another chain. */
  forget(): void {
    this.#final.clear()
    this.#complete.clear()
    this.#missing.clear()
    this.#waiting.clear()
    this.#live.clear()
    this.#due.clear()
    this.#path = []
    this.#isNew = true
  }

  /** Events that are on disk now. */
  note(stored: readonly Event[]): void {
    const { sha256 } = this.#needs
    for (const event of stored) {
      if (event.family === 'owner' && event.body.kind === 'cp') {
        this.#due.add(checkpointIdOf(event.dataset, event.body.checkpoint, sha256))
      }
      for (const id of this.#missing.get(event.id) ?? []) {
        const left = (this.#waiting.get(id) ?? 0) - 1
        this.#waiting.set(id, left)
        if (left === 0) this.#due.add(id)
      }
      this.#missing.delete(event.id)
    }
  }

  #waitFor(id: CheckpointId, missing: Iterable<EventId>): void {
    // What it was found to wait for before, and is not here yet, it waits for still.
    if ((this.#waiting.get(id) ?? 0) > 0) return
    let count = 0
    for (const event of missing) {
      const waiting = this.#missing.get(event)
      if (waiting === undefined) this.#missing.set(event, [id])
      else waiting.push(id)
      count++
    }
    this.#waiting.set(id, count)
  }

  /** Whether it may have to go on, or another way. */
  get isDue(): boolean {
    return this.#isNew || this.#due.size > 0
  }

  /**
   * Looks at what is due. @returns the first place at which the chain must be another, and what is there
   * instead; undefined when it is as it must be.
   */
  async next(): Promise<{ count: number; next: Next | undefined } | undefined> {
    const { links } = this.#needs.sealed
    if (this.#isNew) await this.#lookAtAll()
    for (const id of this.#due) await this.#consider(id)
    this.#due.clear()
    for (let count = 0; count <= links.length; count++) {
      const id = this.#choose(count)
      if (id === links[count]?.id) continue
      return { count, next: id && (await this.#nextOf(id, count)) }
    }
    return undefined
  }

  /** Further ones may follow what was put there last. */
  async grown(): Promise<void> {
    const { log, sealed } = this.#needs
    for (const id of await log.checkpoints.after(sealed.links.at(-1)?.id)) this.#due.add(id)
  }

  async #lookAtAll(): Promise<void> {
    const { log, sealed } = this.#needs
    const { links } = sealed
    await this.#findPath()
    for (let count = 0; count <= links.length; count++) {
      const link = links[count]
      const ids = await log.checkpoints.after(links[count - 1]?.id)
      // One that is on the chain is there by its votes, which do not go away.
      for (const id of ids) {
        if (id === link?.id && !link.isForced) await this.#setFinal(count, id, links[count - 1])
        else await this.#consider(id)
      }
    }
    this.#isNew = false
  }

  async #findPath(): Promise<void> {
    const { log } = this.#needs
    if (this.#anchor === undefined || this.#path.length > 0) return
    this.#path = (await pathTo(this.#anchor, (id) => log.checkpoints.body(id))) ?? []
    // They need no votes: which of them are complete was not asked before.
    for (const id of this.#path) this.#due.add(id)
  }

  /** Finds out whether it is final and complete, when its votes could suffice. */
  async #consider(id: CheckpointId): Promise<void> {
    const { log, sealed } = this.#needs
    await this.#findPath()
    const body = await log.checkpoints.body(id)
    const place = body && (await this.placeOf(body))
    if (body === undefined || place === undefined) return
    const isForced = this.#path[place.count] === id
    const previous = sealed.links[place.count - 1]
    const link = sealed.links[place.count]
    if (isForced && link?.id === id) {
      this.#complete.add(id)
      // It needs no votes, but with enough of them it makes a fork of another that is final.
      const live = new Set(link.live)
      const votes = await log.checkpoints.votesFor(id, body, new Set([...place.live, ...live]))
      if (tallyOf(place.live, live, votes).isFinal) {
        await this.#setFinal(place.count, id, previous)
      }
      return
    }
    // A vote more takes nothing away.
    if (!isForced && this.#final.get(place.count)?.has(id) === true) {
      await this.#setFinal(place.count, id, previous)
      return
    }
    const areHere = await log.headers(body.heads)
    const missing = body.heads.find((_, i) => areHere[i] === undefined)
    if (missing !== undefined) {
      // Of what nobody may ever have, one is enough to wait for.
      this.#waitFor(id, [missing])
      return
    }
    if (!isForced && !(await this.#mayBeFinal(id, body, place))) return
    const { covered, tally } = await this.look(id, body, place)
    if (covered.is === 'incomplete') this.#waitFor(id, covered.missing)
    if (covered.is !== 'complete') return
    if (isForced) this.#complete.add(id)
    if (tally?.isFinal === true) await this.#setFinal(place.count, id, previous)
  }

  async #setFinal(count: number, id: CheckpointId, previous: Link | undefined): Promise<void> {
    const { log } = this.#needs
    const before = previous?.live ?? this.#needs.authority().founders
    const final = this.#final.get(count) ?? new Map<CheckpointId, ReadonlySet<PublicKey>>()
    const votes = await log.checkpoints.votesFor(
      id,
      { ...(previous && { previous: previous.id }) },
      before,
    )
    this.#final.set(count, final.set(id, votes))
  }

  /** Cheap, and false only where it is not. */
  async #mayBeFinal(id: CheckpointId, body: CheckpointBody, place: Place): Promise<boolean> {
    const votes = await this.#needs.log.checkpoints.votesFor(id, body, place.live)
    return mayBeFinal(place.live, await stayingIn(this.candidateNeeds, body.heads, place), votes)
  }

  /** All that can be said of a checkpoint at its place. Work: that of what it covers. */
  async look(id: CheckpointId, body: CheckpointBody, place: Place): Promise<Looked> {
    const { log } = this.#needs
    const covered = await coveredBy(this.candidateNeeds, body, place)
    if (covered.is !== 'complete') return { covered }
    const live = this.#live.get(id) ?? (await liveAfter(this.candidateNeeds, body, place))
    this.#live.set(id, live)
    const votes = await log.checkpoints.votesFor(id, body, new Set([...place.live, ...live]))
    return { covered, tally: tallyOf(place.live, live, votes) }
  }

  get candidateNeeds(): CandidateNeeds {
    return { ...this.#needs, authority: this.#needs.authority() }
  }

  /** Where on the chain it could follow; undefined where what it follows is not on it. */
  async placeOf({ previous }: Pick<CheckpointBody, 'previous'>): Promise<Place | undefined> {
    const { log, sealed } = this.#needs
    if (previous === undefined) {
      const { tenures, founders } = this.#needs.authority()
      const owners = tenures.filter(({ founderIndex }) => founderIndex !== undefined)
      return { count: 0, body: undefined, owners, live: new Set(founders) }
    }
    const index = sealed.links.findIndex((link) => link.id === previous)
    const link = sealed.links[index]
    if (link === undefined) return undefined
    const body = await log.checkpoints.body(previous)
    return { count: index + 1, body, owners: link.owners, live: new Set(link.live) }
  }

  /** What belongs at a place. Towards the anchor there is one way: it waits there until it can go on. */
  #choose(count: number): CheckpointId | undefined {
    const forced = this.#path[count]
    if (forced !== undefined) return this.#complete.has(forced) ? forced : undefined
    const final = this.#final.get(count)
    if (final === undefined) return undefined
    const { links } = this.#needs.sealed
    const before = links[count - 1]?.live ?? this.#needs.authority().founders
    const candidates = [...final].map(([id, votes]) => ({ id, votes }))
    return bestOf(candidates, new Set(before))?.id
  }

  async #nextOf(id: CheckpointId, count: number): Promise<Next> {
    const { log } = this.#needs
    const body = (await log.checkpoints.body(id)) as CheckpointBody
    const place = (await this.placeOf(body)) as Place
    const covered = await coveredBy(this.candidateNeeds, body, place)
    if (covered.is !== 'complete') throw new Error(`checkpoint ${id} was complete`)
    const isForced = this.#path[count] === id
    return { id, body, delta: covered.delta, isForced }
  }

  /** Places where several are final, whichever is on the chain, and the smallest ids of each. */
  forks(max: number): Map<number, CheckpointId[]> {
    const forks = new Map<number, CheckpointId[]>()
    for (const [count, final] of this.#final) {
      if (final.size > 1) forks.set(count, [...final.keys()].sort().slice(0, max))
    }
    return forks
  }
}
