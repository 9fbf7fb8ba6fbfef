// A dataset as Gonk would tell it: one line of small events in the order of arrival, and what
// follows from them, by key. All of it can be dropped and made again from the log.
import type { Event } from '../core/event.ts'
import { type EventId, hexOf, type ObjectId, type VersionId } from '../core/ids.ts'
import { del, put, type Write } from './database.ts'
import { Gathered, type Rows } from './gathered.ts'
import {
  concat,
  type DatasetKey,
  endOf,
  hex,
  numberOfU64,
  rangeOf,
  u32,
  u64,
  utf8,
} from './keys.ts'
import {
  type Claim,
  type GonkEventRow,
  type GonkOperationRow,
  type GonkStatus,
  type GonkTail,
  type GonkVersionRow,
  KINDS,
  type Listed,
  type Parked,
  type Place,
  STATUSES,
  type ThingKind,
  type ThingRow,
} from './gonk-rows.ts'
import { decodeRow, encodeRow } from './rows.ts'

export type * from './gonk-rows.ts'

/** What each key begins with; never reuse a letter. */
const spaces = {
  /** '' → tail. */
  tail: 't',
  /** seq → event. */
  events: 'e',
  /** uuid of an event → seq. */
  seqs: 'u',
  /** uuid → thing. */
  things: 'T',
  /** object id → uuid. */
  objects: 'o',
  /** kind ‖ seq of its first event → uuid. */
  order: 'k',
  /** uuid ‖ version → version. */
  versions: 'v',
  /** version id → operation. */
  operations: 'p',
  /** version id that is not shown → the version it stands in for. */
  standIns: 's',
  /** uuid ‖ version ‖ seq: the events about it. */
  links: 'l',
  /** kind ‖ status ‖ seq → the version. */
  listed: 'L',
  /** what is claimed ‖ 0 ‖ seq → the version. */
  claims: 'c',
  /** what is claimed ‖ 0: somebody claims it, or did. */
  claimed: 'C',
  /** what is waited for ‖ number → what waits. */
  parked: 'w',
  /** uuid ‖ version ‖ seq → uuid of an annotation of it. */
  annotated: 'a',
  /** CID → sha2-256 of the content. */
  digests: 'd',
  /** review event id: was struck when last seen. */
  voids: 'x',
  /** review event id → how many keys had to accept when last seen, where the genesis does not say. */
  required: 'r',
} as const

type Space = keyof typeof spaces

interface WalkOptions {
  /** Only keys after prefix ‖ this. */
  readonly after?: Uint8Array
  readonly reverse?: boolean
  readonly limit?: number
}

const SEPARATOR = Uint8Array.of(0)
const DROPPED_AT_ONCE = 1_000
const letters = Object.fromEntries(
  Object.entries(spaces).map(([space, letter]) => [space, Buffer.from(letter)]),
) as unknown as Record<Space, Uint8Array>

export class GonkLog {
  readonly #rows: Rows
  readonly #datasetKey: DatasetKey

  constructor(rows: Rows, key: DatasetKey) {
    this.#rows = rows
    this.#datasetKey = key
  }

  /** The same log for its one writer, who sees what it has written before others do. */
  gather(): { readonly log: GonkLog; readonly flush: () => Promise<void> } {
    const rows = new Gathered(this.#rows)
    return { log: new GonkLog(rows, this.#datasetKey), flush: () => rows.flush() }
  }

  async commit(writes: Write[]): Promise<void> {
    if (writes.length > 0) await this.#rows.batch(writes)
  }

  // ---- the line of events

  async tail(): Promise<GonkTail> {
    return (await this.#get<GonkTail>('tail')) ?? { arrival: 0, seq: 0 }
  }

  /** Drops all that was told; what was found out about contents stays. Goes on where it was cut off. */
  async beginAnew(since: number): Promise<void> {
    const begun: GonkTail = { arrival: 0, seq: 0, since }
    await this.commit([this.putTail({ ...begun, isAnew: true })])
    for (const space of Object.keys(spaces) as Space[]) {
      if (space === 'digests' || space === 'tail') continue
      let writes: Write[] = []
      const prefix = this.#key(space)
      for await (const [rest] of this.#walk(prefix)) {
        writes.push(del(concat(prefix, rest)))
        if (writes.length < DROPPED_AT_ONCE) continue
        await this.commit(writes)
        writes = []
      }
      await this.commit(writes)
    }
    await this.commit([this.putTail(begun)])
  }

  putTail(tail: GonkTail): Write {
    return put(this.#key('tail'), encodeRow(tail))
  }

  event(seq: number): Promise<GonkEventRow | undefined> {
    return this.#get('events', u64(seq))
  }

  /** In their order, from `seq` on. */
  async *events(from: number, limit: number): AsyncIterable<GonkEventRow> {
    const { lt } = rangeOf(this.#key('events'))
    const gte = this.#key('events', u64(from))
    for await (const [, value] of this.#rows.iterator({ gte, lt, limit })) yield decodeRow(value)
  }

  /** Of an event by its uuid. */
  seqOf(uuid: string): Promise<number | undefined> {
    return this.#get('seqs', bytesOfUuid(uuid))
  }

  putEvent(seq: number, uuid: string, row: GonkEventRow): Write[] {
    return [
      put(this.#key('events', u64(seq)), encodeRow(row)),
      put(this.#key('seqs', bytesOfUuid(uuid)), encodeRow(seq)),
    ]
  }

  putLink({ uuid, version }: Place, seq: number): Write {
    return put(this.#key('links', bytesOfUuid(uuid), u64(version), u64(seq)))
  }

  /** Seqs of the events about a version. */
  async links({ uuid, version }: Place): Promise<number[]> {
    const seqs: number[] = []
    const prefix = this.#key('links', bytesOfUuid(uuid), u64(version))
    for await (const [rest] of this.#walk(prefix)) seqs.push(numberOfU64(rest))
    return seqs
  }

  // ---- things and their versions

  thing(uuid: string): Promise<ThingRow | undefined> {
    return this.#get('things', bytesOfUuid(uuid))
  }

  uuidOf(object: ObjectId): Promise<string | undefined> {
    return this.#get('objects', hex(object))
  }

  putThing(uuid: string, row: ThingRow): Write {
    return put(this.#key('things', bytesOfUuid(uuid)), encodeRow(row))
  }

  /** What makes a new thing known by its object, and listed. */
  putNewThing(uuid: string, { object, kind, seq }: ThingRow): Write[] {
    return [
      put(this.#key('objects', hex(object)), encodeRow(uuid)),
      put(this.#key('order', codeOf(KINDS, kind), u64(seq)), encodeRow(uuid)),
    ]
  }

  /** Uuids of a kind by first appearance, after the thing whose first event `after` is. */
  async things(kind: ThingKind, options: { after?: number; limit?: number } = {}) {
    const prefix = this.#key('order', codeOf(KINDS, kind))
    const uuids: string[] = []
    for await (const [, value] of this.#walk(prefix, afterSeq(options))) {
      uuids.push(decodeRow<string>(value))
    }
    return uuids
  }

  version({ uuid, version }: Place): Promise<GonkVersionRow | undefined> {
    return this.#get('versions', bytesOfUuid(uuid), u64(version))
  }

  /** Newest first. */
  async *versionsOf(uuid: string): AsyncIterable<[version: number, row: GonkVersionRow]> {
    const prefix = this.#key('versions', bytesOfUuid(uuid))
    for await (const [rest, value] of this.#walk(prefix, { reverse: true })) {
      yield [numberOfU64(rest), decodeRow<GonkVersionRow>(value)]
    }
  }

  putVersion({ uuid, version }: Place, row: GonkVersionRow): Write {
    return put(this.#key('versions', bytesOfUuid(uuid), u64(version)), encodeRow(row))
  }

  operation(id: VersionId): Promise<GonkOperationRow | undefined> {
    return this.#get('operations', bytesOfVersion(id))
  }

  putOperation(id: VersionId, row: GonkOperationRow): Write {
    return put(this.#key('operations', bytesOfVersion(id)), encodeRow(row))
  }

  standIn(id: VersionId): Promise<Place | undefined> {
    return this.#get('standIns', bytesOfVersion(id))
  }

  putStandIn(id: VersionId, place: Place): Write {
    return put(this.#key('standIns', bytesOfVersion(id)), encodeRow(place))
  }

  putAnnotated({ uuid, version }: Place, seq: number, annotation: string): Write {
    const key = this.#key('annotated', bytesOfUuid(uuid), u64(version), u64(seq))
    return put(key, encodeRow(annotation))
  }

  /** Uuids of the annotations of a version, oldest first. */
  async annotationsOf({ uuid, version }: Place): Promise<string[]> {
    const prefix = this.#key('annotated', bytesOfUuid(uuid), u64(version))
    const uuids: string[] = []
    for await (const [, value] of this.#walk(prefix)) uuids.push(decodeRow<string>(value))
    return uuids
  }

  // ---- by status, by content, by name

  setListed(kind: ThingKind, status: GonkStatus, { seq, place }: Listed, isListed: boolean): Write {
    const key = this.#key('listed', codeOf(KINDS, kind), codeOf(STATUSES, status), u64(seq))
    return isListed ? put(key, encodeRow(place)) : del(key)
  }

  /** Versions of a kind with a status, in the order of their making. */
  async listed(
    kind: ThingKind,
    status: GonkStatus,
    options: { after?: number; limit?: number } = {},
  ): Promise<Listed[]> {
    const prefix = this.#key('listed', codeOf(KINDS, kind), codeOf(STATUSES, status))
    const found: Listed[] = []
    for await (const [rest, value] of this.#walk(prefix, afterSeq(options))) {
      found.push({ seq: numberOfU64(rest), place: decodeRow<Place>(value) })
    }
    return found
  }

  setClaim(claim: Claim, text: string, { seq, place }: Listed, isClaimed: boolean): Write[] {
    const key = concat(this.#claimKey('claims', claim, text), u64(seq))
    if (!isClaimed) return [del(key)]
    return [put(key, encodeRow(place)), put(this.#claimKey('claimed', claim, text))]
  }

  /** Versions that hold a content, have a name, or count among those of a thing; oldest first. */
  async *claims(
    claim: Claim,
    text: string,
    options: { reverse?: boolean } = {},
  ): AsyncIterable<Place> {
    // Mostly nobody: to find that out by walking costs several times as much.
    if (this.#rows.get(this.#claimKey('claimed', claim, text)) === undefined) return
    for await (const [, value] of this.#walk(this.#claimKey('claims', claim, text), options)) {
      yield decodeRow<Place>(value)
    }
  }

  #claimKey(space: 'claims' | 'claimed', claim: Claim, text: string): Uint8Array {
    return this.#key(space, utf8(claim), SEPARATOR, utf8(text), SEPARATOR)
  }

  // ---- what waits, and what was found out

  /** @param number orders what waits for one id. */
  park(awaited: string, number: number, what: Parked): Write {
    const tie = 'operation' in what ? u32(what.operation.index) : u32(what.item)
    return put(this.#key('parked', hex(awaited), u64(number), tie), encodeRow(what))
  }

  /**
   * What waits for an object, a version or a proposal now, oldest first, and how to end that. Strangers
   * decide how much that is.
   */
  async *parked(awaited: string): AsyncIterable<{ what: Parked; end: Write }> {
    const prefix = this.#key('parked', hex(awaited))
    for await (const [rest, value] of this.#walk(prefix)) {
      if (rest.length !== 12) continue
      yield { what: decodeRow<Parked>(value), end: del(concat(prefix, rest)) }
    }
  }

  digest(content: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#get('digests', content)
  }

  putDigest(content: Uint8Array, digest: Uint8Array): Write {
    return put(this.#key('digests', content), encodeRow(digest))
  }

  async voids(): Promise<Set<EventId>> {
    const voids = new Set<EventId>()
    for await (const [rest] of this.#walk(this.#key('voids'))) voids.add(hexOf(rest) as EventId)
    return voids
  }

  async required(): Promise<Map<EventId, number>> {
    const required = new Map<EventId, number>()
    for await (const [rest, value] of this.#walk(this.#key('required'))) {
      required.set(hexOf(rest) as EventId, decodeRow<number>(value))
    }
    return required
  }

  setRequired(id: EventId, requires: number | undefined): Write {
    const key = this.#key('required', hex(id))
    return requires === undefined ? del(key) : put(key, encodeRow(requires))
  }

  setVoid(id: Event['id'], isVoid: boolean): Write {
    const key = this.#key('voids', hex(id))
    return isVoid ? put(key) : del(key)
  }

  // ---- keys

  #key(space: Space, ...rest: Uint8Array[]): Uint8Array {
    return this.#datasetKey('gonk', letters[space], ...rest)
  }

  async #get<T>(space: Space, ...rest: Uint8Array[]): Promise<T | undefined> {
    const bytes = this.#rows.get(this.#key(space, ...rest))
    return bytes && decodeRow<T>(bytes)
  }

  async *#walk(
    prefix: Uint8Array,
    { after, reverse = false, limit = -1 }: WalkOptions = {},
  ): AsyncIterable<[rest: Uint8Array, value: Uint8Array]> {
    const lower = after === undefined ? { gte: prefix } : { gt: concat(prefix, after) }
    const range = { ...lower, lt: endOf(prefix), reverse, limit }
    for await (const [key, value] of this.#rows.iterator(range)) {
      yield [key.subarray(prefix.length), value]
    }
  }
}

function afterSeq({ after, limit }: { after?: number; limit?: number }): WalkOptions {
  return {
    ...(after !== undefined && { after: u64(after) }),
    ...(limit !== undefined && { limit }),
  }
}

const bytesOfUuid = (uuid: string): Uint8Array => hex(uuid.replaceAll('-', ''))

const bytesOfVersion = ({ proposal, index }: VersionId): Uint8Array =>
  concat(hex(proposal), u32(index))

const codeOf = <T>(list: readonly T[], value: T): Uint8Array => Uint8Array.of(list.indexOf(value))
