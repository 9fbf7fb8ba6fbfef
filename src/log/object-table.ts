// Objects of one dataset: their accepted versions, and the head that a checkpoint keeps in place.
import { type FrozenPrefix, nothingFrozen } from '../core/frozen.ts'
import { hexOf, type ObjectId, type VersionId } from '../core/ids.ts'
import { objectRowOf } from '../core/objects.ts'
import type { ObjectRow, Version } from '../core/state.ts'
import { type Database, del, put, type Write } from './database.ts'
import { concat, DATASET_PREFIX_BYTES, type DatasetKey, endOf, hex } from './keys.ts'
import { decodeVersions, encodeVersions } from './rows.ts'

/** What is kept of an object; all else follows from it, see {@link rowOfStored}. */
export interface StoredObject {
  readonly versions: readonly Version[]
  /** Its canonical head, where the versions alone would give another one. */
  readonly head?: VersionId
}

/** By the rules given: those of the protocol unless a test says otherwise. */
export function rowOfStored(
  id: ObjectId,
  { versions, head }: StoredObject,
  rule: typeof objectRowOf = objectRowOf,
): ObjectRow {
  return rule(id, versions, head === undefined ? nothingFrozen : keeping(head))
}

/** As far as one object asks. */
function keeping(head: VersionId): FrozenPrefix {
  return { ...nothingFrozen, headOf: () => head }
}

export class ObjectTable {
  readonly #db: Database
  readonly #key: DatasetKey

  constructor(db: Database, key: DatasetKey) {
    this.#db = db
    this.#key = key
  }

  async stored(ids: readonly ObjectId[]): Promise<StoredObject[]> {
    const rows = await this.#db.getMany(ids.map((id) => this.#key('objects', hex(id))))
    return rows.map((bytes) => (bytes === undefined ? { versions: [] } : decodeVersions(bytes)))
  }

  /** Without versions where nothing of the object is accepted. */
  async rows(ids: readonly ObjectId[]): Promise<ObjectRow[]> {
    return (await this.stored(ids)).map((stored, i) => rowOfStored(ids[i] as ObjectId, stored))
  }

  /** By id, after `after`. */
  async *all(after?: ObjectId): AsyncIterable<[ObjectId, StoredObject]> {
    const prefix = this.#key('objects')
    const lower = after === undefined ? { gte: prefix } : { gt: concat(prefix, hex(after)) }
    for await (const [key, value] of this.#db.iterator({ ...lower, lt: endOf(prefix) })) {
      yield [hexOf(key.subarray(DATASET_PREFIX_BYTES)) as ObjectId, decodeVersions(value)]
    }
  }

  put(id: ObjectId, { versions, head }: StoredObject): Write {
    const key = this.#key('objects', hex(id))
    return versions.length === 0 ? del(key) : put(key, encodeVersions(versions, head))
  }
}
