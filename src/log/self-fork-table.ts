// Tenures with two histories: the newest events of each tenure, and two events of each fork as its proof.
import { bytesOfHex, type EventId, hexOf, type TenureId } from '../core/ids.ts'
import { type Database, put, type Write } from './database.ts'
import { DATASET_PREFIX_BYTES, type DatasetKey, hex, rangeOf, textOf } from './keys.ts'
import { decodeRow, encodeRow } from './rows.ts'

export interface Tip {
  readonly id: EventId
  readonly depth: number
}

export interface TenureTips {
  /** Its events that are in the past of none of its others, as far as that is kept. */
  readonly tips: readonly Tip[]
  /** How many forks of it were noted. */
  readonly forks: number
}

/** Two events of one tenure, neither in the past of the other. */
export interface Fork {
  readonly tenure: TenureId
  /** By id. */
  readonly events: readonly [EventId, EventId]
}

type TipsWire = [tips: [id: Uint8Array, depth: number][], forks: number]

const ID_BYTES = 32

export class SelfForkTable {
  readonly #db: Database
  readonly #key: DatasetKey

  constructor(db: Database, key: DatasetKey) {
    this.#db = db
    this.#key = key
  }

  /** In the order of the tenures; one that has written nothing has none. */
  async tipsOf(tenures: readonly TenureId[]): Promise<TenureTips[]> {
    const rows = await this.#db.getMany(tenures.map((tenure) => this.#key('tips', tenure)))
    return rows.map((bytes) => {
      if (bytes === undefined) return { tips: [], forks: 0 }
      const [tips, forks] = decodeRow<TipsWire>(bytes)
      return { tips: tips.map(([id, depth]) => ({ id: hexOf(id) as EventId, depth })), forks }
    })
  }

  putTips(tenure: TenureId, { tips, forks }: TenureTips): Write {
    const wire: TipsWire = [tips.map(({ id, depth }) => [bytesOfHex(id), depth]), forks]
    return put(this.#key('tips', tenure), encodeRow(wire))
  }

  putFork({ tenure, events: [a, b] }: Fork): Write {
    return put(this.#key('selfForks', tenure, hex(a), hex(b)))
  }

  /** All that were noted, by tenure. */
  async all(): Promise<Fork[]> {
    const forks: Fork[] = []
    for await (const key of this.#db.keys(rangeOf(this.#key('selfForks')))) {
      const rest = key.subarray(DATASET_PREFIX_BYTES)
      const ids = rest.subarray(rest.length - 2 * ID_BYTES)
      forks.push({
        tenure: textOf(rest.subarray(0, rest.length - ids.length)) as TenureId,
        events: [
          hexOf(ids.subarray(0, ID_BYTES)) as EventId,
          hexOf(ids.subarray(ID_BYTES)) as EventId,
        ],
      })
    }
    return forks
  }
}
