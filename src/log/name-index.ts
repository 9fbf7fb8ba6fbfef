// Names of one dataset: who claims them, and who owns them in the snapshot.
import { compareClaims } from '../core/claims.ts'
import { hexOf, type ObjectId } from '../core/ids.ts'
import type { NameClaim } from '../core/state.ts'
import { type Database, del, put, type Write } from './database.ts'
import {
  concat,
  DATASET_PREFIX_BYTES,
  type DatasetKey,
  endOf,
  hex,
  type Range,
  rangeOf,
  textOf,
  utf8,
} from './keys.ts'
import { decodeRow, encodeRow } from './rows.ts'

const ZERO = Uint8Array.of(0)
const SPACES = ['file', 'schema'] as const

/** Who owns a name in the snapshot. */
export interface OwnedName {
  readonly object: ObjectId
  readonly content: Uint8Array
  readonly sizeBytes: number
}

function ownedOf(bytes: Uint8Array): OwnedName {
  const [object, content, sizeBytes] = decodeRow<[Uint8Array, Uint8Array, number]>(bytes)
  return { object: hexOf(object) as ObjectId, content, sizeBytes }
}

function claimsOf(space: NameClaim['space'], name: string, bytes: Uint8Array): NameClaim[] {
  return decodeRow<[Uint8Array, Uint8Array][]>(bytes).map(([date, object]) => ({
    space,
    name,
    date,
    object: hexOf(object) as ObjectId,
  }))
}

export class NameIndex {
  readonly #db: Database
  readonly #key: DatasetKey

  constructor(db: Database, key: DatasetKey) {
    this.#db = db
    this.#key = key
  }

  /** Claims on each of the names, earliest first, but before them one that is settled. */
  async claimsOnMany(
    names: readonly { space: NameClaim['space']; name: string }[],
  ): Promise<NameClaim[][]> {
    const rows = await this.#db.getMany(names.map(({ space, name }) => this.#nameKey(space, name)))
    return rows.map((bytes, i) => {
      const { space, name } = names[i] as { space: NameClaim['space']; name: string }
      return bytes === undefined ? [] : claimsOf(space, name, bytes)
    })
  }

  /** Claims on exactly this name, in the same order: if one of them owns it, the first. */
  async claimsOn(space: NameClaim['space'], name: string): Promise<NameClaim[]> {
    const [claims] = await this.claimsOnMany([{ space, name }])
    return claims ?? []
  }

  /** All claims on names below `name/`. */
  claimsUnder(space: NameClaim['space'], name: string): AsyncIterable<NameClaim> {
    return this.#claims(space, rangeOf(this.#nameKey(space, `${name}/`)))
  }

  /** All claims of a space in name order, after `name`. */
  claims(space: NameClaim['space'], after?: string): AsyncIterable<NameClaim> {
    const { gte, lt } = rangeOf(this.#nameKey(space, ''))
    if (after === undefined) return this.#claims(space, { gte, lt })
    return this.#claims(space, { gte: concat(this.#nameKey(space, after), ZERO), lt })
  }

  /** @param settled the object that owns the name for good, if it still claims it: it comes first. */
  putClaims(
    space: NameClaim['space'],
    name: string,
    claims: readonly NameClaim[],
    settled?: ObjectId,
  ): Write {
    const key = this.#nameKey(space, name)
    if (claims.length === 0) return del(key)
    const isLater = ({ object }: NameClaim) => Number(object !== settled)
    const sorted = claims.toSorted((a, b) => isLater(a) - isLater(b) || compareClaims(a, b))
    return put(key, encodeRow(sorted.map(({ date, object }) => [date, hex(object)])))
  }

  #nameKey(space: NameClaim['space'], name: string): Uint8Array {
    return this.#key('names', Uint8Array.of(SPACES.indexOf(space)), name)
  }

  async *#claims(space: NameClaim['space'], range: Range): AsyncIterable<NameClaim> {
    for await (const [key, value] of this.#db.iterator(range)) {
      yield* claimsOf(space, textOf(key.subarray(DATASET_PREFIX_BYTES + 1)), value)
    }
  }

  /** How many file names below each of the directories are claimed. */
  async claimedBelow(directories: readonly string[]): Promise<number[]> {
    const rows = await this.#db.getMany(directories.map((path) => this.#key('directories', path)))
    return rows.map((bytes) => (bytes === undefined ? 0 : decodeRow<number>(bytes)))
  }

  putClaimedBelow(directory: string, count: number): Write {
    const key = this.#key('directories', directory)
    return count === 0 ? del(key) : put(key, encodeRow(count))
  }

  async owned(names: readonly { space: NameClaim['space']; name: string }[]) {
    const keys = names.map(({ space, name }) => this.#ownedKey(space, name))
    return (await this.#db.getMany(keys)).map((bytes) => bytes && ownedOf(bytes))
  }

  /** Names with their owners, in name order, from `after` (excluded). */
  async *allOwned(space: NameClaim['space'], after?: string): AsyncIterable<[string, OwnedName]> {
    const prefix = this.#key('owned', Uint8Array.of(SPACES.indexOf(space)))
    const lower = after === undefined ? { gte: prefix } : { gt: concat(prefix, utf8(after)) }
    for await (const [key, value] of this.#db.iterator({ ...lower, lt: endOf(prefix) })) {
      yield [textOf(key.subarray(prefix.length)), ownedOf(value)]
    }
  }

  setOwned(space: NameClaim['space'], name: string, owned: OwnedName | undefined): Write {
    const key = this.#ownedKey(space, name)
    return owned
      ? put(key, encodeRow([hex(owned.object), owned.content, owned.sizeBytes]))
      : del(key)
  }

  #ownedKey(space: NameClaim['space'], name: string): Uint8Array {
    return this.#key('owned', Uint8Array.of(SPACES.indexOf(space)), name)
  }
}
