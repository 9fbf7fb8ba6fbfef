// What is settled, read from the sealed twin of a dataset's tables.
import { type FrozenPrefix, nothingFrozen } from '../core/frozen.ts'
import type { EventId, ObjectId, TenureId } from '../core/ids.ts'
import type { Rules } from '../core/rules.ts'
import type { NameClaim, Version } from '../core/state.ts'
import { rowOfStored, type StoredObject } from '../log/object-table.ts'
import type { SealedLog } from '../log/sealed-log.ts'
import type { FrozenObjects, FrozenSource } from './frozen-source.ts'

/** What layer A says of a settled state beyond its verdicts. */
export interface Settled {
  /** Removals and leavings in force, with the tenure they are on. */
  readonly inForce: readonly (readonly [EventId, TenureId])[]
  /** Leavings that it ignores so that somebody stays. */
  readonly ignored: readonly EventId[]
}

export interface SealedSourceNeeds {
  readonly log: SealedLog
  readonly rules: Rules
  /** Of the genesis. */
  readonly kReview: number
  readonly settled: Settled
  /** Only what was sealed before this arrival. @default all of it */
  readonly upTo?: number
}

const IDS_PER_READ = 1_000

export class SealedSource implements FrozenSource {
  readonly #needs: SealedSourceNeeds
  readonly #inForce: ReadonlySet<string>

  constructor(needs: SealedSourceNeeds) {
    this.#needs = needs
    this.#inForce = new Set(needs.settled.inForce.map(([event, tenure]) => `${event} ${tenure}`))
  }

  async ofEvents(ids: readonly EventId[]): Promise<FrozenPrefix> {
    const { log, kReview, settled, upTo = Infinity } = this.#needs
    const sealed = new Map<EventId, { isValid: boolean; requires: number }>()
    for (let from = 0; from < ids.length; from += IDS_PER_READ) {
      const some = ids.slice(from, from + IDS_PER_READ)
      const [rows, voids, requirements] = await Promise.all([
        log.headers(some),
        log.areVoid(some),
        log.requirements.of(some),
      ])
      some.forEach((id, i) => {
        if ((rows[i]?.arrival ?? Infinity) >= upTo) return
        sealed.set(id, { isValid: voids[i] !== true, requires: requirements[i] ?? kReview })
      })
    }
    return {
      ...nothingFrozen,
      verdictOf: (event) => sealed.get(event)?.isValid,
      requirementOf: (review) => sealed.get(review)?.requires,
      isInForce: (event, tenure) => this.#inForce.has(`${event} ${tenure}`),
      ignoredLeavings: settled.ignored,
    }
  }

  async ofObjects(ids: readonly ObjectId[]): Promise<FrozenObjects> {
    const { log, rules } = this.#needs
    const stored = await log.objectTable.stored(ids)
    const rows = ids.map((id, i) => rowOfStored(id, stored[i] as StoredObject, rules.objectRowOf))
    const heads = new Map(
      rows.flatMap(({ id, versions, heads: [canonical] }) =>
        canonical === undefined ? [] : [[id, (versions[canonical] as Version).id] as const],
      ),
    )
    return {
      frozen: { ...nothingFrozen, headOf: (object) => heads.get(object) },
      claims: rows.flatMap(({ claim }) => (claim === undefined ? [] : [claim])),
    }
  }

  async ofNames(names: readonly Pick<NameClaim, 'space' | 'name'>[]): Promise<FrozenPrefix> {
    const owned = await this.#needs.log.names.owned(names)
    const owners = new Map(
      names.map(({ space, name }, i) => [`${space}:${name}`, owned[i]?.object]),
    )
    return { ...nothingFrozen, ownerOfName: (space, name) => owners.get(`${space}:${name}`) }
  }
}
