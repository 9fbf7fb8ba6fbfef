// Finality of one dataset: puts checkpoints on the chain as they become final, and keeps the rows of the
// dataset as what is settled makes them. Runs behind the replica's lock.
import { CID } from 'multiformats/cid'
import { checkpointIdOf } from '../core/checkpoint-id.ts'
import { bestOf } from '../core/checkpoint.ts'
import { GonkError } from '../core/errors.ts'
import type { CheckpointBody, Event } from '../core/event.ts'
import { type CheckpointId, type EventId, type PublicKey, textOfEventId } from '../core/ids.ts'
import type { Authority } from './authority.ts'
import type { Place } from './candidate.ts'
import { Chain } from './chain.ts'
import { draftCheckpoint, type DraftNeeds, rootOver } from './checkpoint-draft.ts'
import {
  type Checkpoint,
  describeCheckpoint,
  listCheckpoints,
  type ListNeeds,
} from './checkpoint-list.ts'
import { Draft } from './draft.ts'
import type { Fresh } from './fresh.ts'
import type { FrozenSource } from './frozen-source.ts'
import { openProposals } from './open-part.ts'
import { Sealed, type SealedNeeds } from './sealed.ts'
import { applyVerdicts } from './verdicts.ts'

export interface FinalityNeeds extends SealedNeeds {
  readonly authority: () => Authority
}

/**
 * `forked`: several are final in one place. `root-mismatch`: a final one names another root than its
 * state gives here. `chain-changed`: what was settled is not any more; `ids`: before, and instead.
 */
export interface Alarm {
  readonly kind: 'forked' | 'root-mismatch' | 'chain-changed'
  readonly ids: readonly CheckpointId[]
}

/** Under which checkpoint the rows stand. Absent: there never was one. */
const STANDS = 'settled'
/** Present from when the chain gives way until the rows stand under another: under which is not known. */
const UNSURE = 'unsettled'
/** Present while objects are looked at again, as what is settled is another. */
const ANEW = 'anew'
const CHANGED = 'chainChanged'
const WRITES_PER_BATCH = 1_000
/** Named in an alarm. */
const FORKS_SHOWN = 16

export class Finality {
  readonly #needs: FinalityNeeds
  readonly #sealed: Sealed
  readonly #chain: Chain
  readonly #listeners = new Set<(alarm: Alarm) => void>()
  readonly #told = new Set<string>()
  #changed: Alarm | undefined
  #stands: CheckpointId | undefined
  #isUnsure = false
  #isAnew = false
  /** Whether roots are right that were computed here before anything was final. */
  readonly #rights = new Map<CheckpointId, boolean>()

  constructor(needs: FinalityNeeds) {
    this.#needs = needs
    this.#sealed = new Sealed(needs)
    const { events: log, rules, crypto, authority } = needs
    this.#chain = new Chain({ log, sealed: this.#sealed, rules, sha256: crypto.sha256, authority })
  }

  async load(): Promise<void> {
    const { events: log } = this.#needs
    await this.#sealed.load()
    await this.#chain.load()
    this.#stands = await log.meta<CheckpointId>(STANDS)
    this.#isUnsure = (await log.meta(UNSURE)) !== undefined
    this.#isAnew = (await log.meta(ANEW)) !== undefined
    this.#changed = await log.meta<Alarm>(CHANGED)
  }

  /** What is settled now. */
  readonly frozen: FrozenSource = {
    ofEvents: (ids) => this.#sealed.source.ofEvents(ids),
    ofObjects: (ids) => this.#sealed.source.ofObjects(ids),
    ofNames: (names) => this.#sealed.source.ofNames(names),
  }

  get sealed(): Sealed {
    return this.#sealed
  }

  get chain(): Chain {
    return this.#chain
  }

  /** The newest checkpoint of the chain. */
  get newest(): CheckpointId | undefined {
    return this.#sealed.links.at(-1)?.id
  }

  /** Objects must be looked at again when proposals are derived, until {@link looked}. */
  get isAnew(): boolean {
    return this.#isAnew
  }

  note(stored: readonly Event[]): void {
    this.#chain.note(stored)
  }

  // ---------------------------------------------------------------- going on

  /** Brings the chain, and what rows it bears on, up to date. @returns whether anything changed. */
  async advance(fresh: Fresh): Promise<boolean> {
    const { events: log } = this.#needs
    if (this.#sealed.isUnfinished) await this.#drop()
    const wereRowsRight = this.#areRowsRight
    if (!this.#chain.isDue && wereRowsRight) return false
    const before = this.#stands
    let open: ReadonlySet<EventId> | undefined
    for (;;) {
      const step = await this.#chain.next()
      if (step === undefined) break
      if (step.count < this.#sealed.links.length) {
        await this.#drop()
        open = undefined
        continue
      }
      if (step.next === undefined) throw new Error('a chain grows by a checkpoint')
      await this.#sealed.seal(step.next)
      await this.#chain.grown()
      // Later checkpoints settle what is open after the first new one: all of it is looked at once.
      const isFirst = open === undefined && wereRowsRight && !this.#isUnsure
      if (isFirst) open = await openProposals({ ...this.#needs, log, sealed: this.#sealed })
    }
    await this.#tell(before)
    if (this.#areRowsRight) return false
    await this.#refreeze(fresh, open)
    return true
  }

  get #areRowsRight(): boolean {
    return !this.#isUnsure && this.#stands === this.newest
  }

  async #drop(): Promise<void> {
    const { events: log } = this.#needs
    this.#isUnsure = true
    await log.commit([log.putMeta(UNSURE, true)])
    await this.#sealed.drop()
    this.#chain.forget()
  }

  /**
   * Judges owner events by what is settled now, and marks the proposals whose objects that may concern.
   * @param open all that can; undefined: any.
   */
  async #refreeze(fresh: Fresh, open: ReadonlySet<EventId> | undefined): Promise<void> {
    const { events: log, crypto } = this.#needs
    const authority = this.#needs.authority()
    const writes = []
    for await (const id of open ?? allProposals(log)) {
      writes.push(log.setDirty(id, true))
      if (writes.length >= WRITES_PER_BATCH) await log.commit(writes.splice(0))
    }
    const draft = new Draft()
    authority.reconsider()
    await applyVerdicts({ log, authority, sha256: crypto.sha256 }, draft)
    for (const id of draft.dirty) draft.writes.push(log.setDirty(id, true))
    const id = this.newest
    draft.writes.push(id === undefined ? log.deleteMeta(STANDS) : log.putMeta(STANDS, id))
    draft.writes.push(log.deleteMeta(UNSURE), log.putMeta(ANEW, true))
    await log.commit([...writes, ...draft.writes])
    authority.committed()
    this.#stands = id
    this.#isUnsure = false
    this.#isAnew = true
    fresh.dirty = undefined
  }

  /** All proposals are derived. */
  async looked(): Promise<void> {
    const { events: log } = this.#needs
    if (!this.#isAnew) return
    await log.commit([log.deleteMeta(ANEW)])
    this.#isAnew = false
  }

  // ---------------------------------------------------------------- alarms

  onAlarm(listener: (alarm: Alarm) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  get alarms(): Alarm[] {
    return [...this.#alarms().values()]
  }

  /** By what makes two of them the same: who has one final sibling can have any number. */
  #alarms(): Map<string, Alarm> {
    const { links } = this.#sealed
    const alarms = new Map<string, Alarm>()
    for (const [count, ids] of this.#chain.forks(FORKS_SHOWN)) {
      alarms.set(`forked after ${links[count - 1]?.id}`, { kind: 'forked', ids })
    }
    for (const { id, isRight } of links) {
      if (!isRight) alarms.set(`root of ${id}`, { kind: 'root-mismatch', ids: [id] })
    }
    if (this.#changed) alarms.set(`changed ${this.#changed.ids.join()}`, this.#changed)
    return alarms
  }

  async #tell(before: CheckpointId | undefined): Promise<void> {
    const { events: log, logger } = this.#needs
    const { newest } = this
    if (before !== undefined && !this.#sealed.links.some(({ id }) => id === before)) {
      const instead = newest === undefined ? [] : [newest]
      this.#changed = { kind: 'chain-changed', ids: [before, ...instead] }
      await log.commit([log.putMeta(CHANGED, this.#changed)])
    }
    for (const [text, alarm] of this.#alarms()) {
      if (this.#told.has(text)) continue
      this.#told.add(text)
      const checkpoints = alarm.ids.map((id) => textOfEventId(id as string as EventId))
      const fields = { dataset: textOfEventId(log.id), alarm: alarm.kind, checkpoints }
      logger.warn(fields, 'checkpoints: see `gonk-node checkpoint list`')
      for (const tell of this.#listeners) tell(alarm)
    }
  }

  // ---------------------------------------------------------------- what is asked of it

  /** See {@link listCheckpoints}. */
  list(): Promise<Checkpoint[]> {
    return listCheckpoints(this.#listNeeds)
  }

  /** See {@link describeCheckpoint}. */
  describe(id: CheckpointId): Promise<Checkpoint | undefined> {
    return describeCheckpoint(this.#listNeeds, id)
  }

  get #listNeeds(): ListNeeds {
    const { events: log, authority } = this.#needs
    const isRight = (id: CheckpointId) => this.#rights.get(id)
    return { log, sealed: this.#sealed, chain: this.#chain, authority: authority(), isRight }
  }

  /**
   * A key votes once after each checkpoint, unless the other one is ahead of its own: or owners who all
   * propose at the same moment could never agree. Throws ALREADY_VOTED.
   */
  async checkVote(key: PublicKey, body: CheckpointBody): Promise<void> {
    const { events: log, crypto } = this.#needs
    const asked = checkpointIdOf(log.id, body, crypto.sha256)
    const place = await this.#chain.placeOf(body)
    const before = place?.live ?? new Set<PublicKey>()
    const votesFor = (id: CheckpointId) => log.checkpoints.votesFor(id, body, before)
    for await (const { id, key: voter } of log.checkpoints.votesAfter(body.previous)) {
      if (voter !== key || id === asked) continue
      const mine = { id, votes: await votesFor(id) }
      const other = { id: asked, votes: await votesFor(asked) }
      if (place && bestOf([mine, other], before) === other) continue
      const text = textOfEventId(id as string as EventId)
      throw new GonkError('ALREADY_VOTED', `this key has voted for checkpoint ${text}`, {
        hint: 'that one has as many votes or more; when the other is ahead, repeat to vote for it instead',
      })
    }
  }

  /** A checkpoint of all that is here, at the end of the chain. See {@link draftCheckpoint}. */
  async draft(rootWithout: DraftNeeds['rootWithout']): Promise<CheckpointBody> {
    const previous = this.newest
    const place = (await this.#chain.placeOf({ ...(previous && { previous }) })) as Place
    return draftCheckpoint({ ...this.#chain.candidateNeeds, rootWithout }, place)
  }

  /**
   * Whether the root that a checkpoint names is what its state gives: of one on the chain, or one that may
   * be the next. Undefined for others. Everything must be derived.
   */
  async isRight(
    id: CheckpointId,
    rootWithout: DraftNeeds['rootWithout'],
  ): Promise<boolean | undefined> {
    const { links } = this.#sealed
    const known = links.find((link) => link.id === id)?.isRight ?? this.#rights.get(id)
    const body = await this.#needs.events.checkpoints.body(id)
    const place = body && (await this.#chain.placeOf(body))
    if (known !== undefined || place?.count !== links.length) return known
    const { covered } = await this.#chain.look(id, body as CheckpointBody, place)
    if (covered.is !== 'complete') return undefined
    const needs = { ...this.#chain.candidateNeeds, rootWithout }
    const { root, heads } = body as CheckpointBody
    const isRight = (await rootOver(needs, covered.delta, heads)).equals(CID.decode(root))
    this.#rights.set(id, isRight)
    return isRight
  }

  /** The release that owns each tag for good. */
  async tagOwners(): Promise<ReadonlyMap<string, EventId>> {
    const { links, log } = this.#sealed
    const owners = new Map<string, EventId>()
    if (links.length === 0) return owners
    const claims = await log.releases()
    const ids = claims.map(({ event }) => event)
    const [voids, arrivals] = await Promise.all([log.areVoid(ids), log.arrivalsOf(ids)])
    const heights = arrivals.map((arrival = 0) => links.findIndex(({ upTo }) => arrival < upTo))
    // The first checkpoint that knows the tag settles who has it: then the earliest.
    const byHeight = claims
      .map((claim, i) => ({ ...claim, isVoid: voids[i] === true, height: heights[i] as number }))
      .filter(({ isVoid }) => !isVoid)
      .sort((a, b) => a.height - b.height)
    for (const { tag, event } of byHeight) if (!owners.has(tag)) owners.set(tag, event)
    return owners
  }

  /** Roots of the trees of what is settled. */
  async treeRoots(): Promise<CID[]> {
    return this.#sealed.roots()
  }
}

async function* allProposals(log: FinalityNeeds['events']): AsyncGenerator<EventId> {
  for await (const [id, row] of log.allProposals()) if (row.named) yield id
}
