// Broken rules, a broken log, a broken disk habit: each a bug that the simulator must find.
import type { EventId } from '../../src/core/ids.ts'
import { versionKey } from '../../src/core/ids.ts'
import { type Rules, rules } from '../../src/core/rules.ts'
import type { AcceptDate, NameClaim } from '../../src/core/state.ts'
import type { Write } from '../../src/log/database.ts'
import { DatasetLog } from '../../src/log/dataset-log.ts'
import { u64 } from '../../src/log/keys.ts'
import type { Subject } from './node.ts'

/** Numbers things in the order in which they are first seen. */
function arrivals(): (key: string) => number {
  const seen = new Map<string, number>()
  return (key) => {
    const number = seen.get(key) ?? seen.size
    seen.set(key, number)
    return number
  }
}

const DEPTH_BYTES = 8

/** The same depth, and then whoever came first. */
function dateByArrival(date: AcceptDate, arrival: number): AcceptDate {
  const changed = Uint8Array.from(date)
  changed.set(u64(arrival), DEPTH_BYTES)
  return changed
}

/** A name is owned by whoever claimed it first here. */
function namesByArrival(): Rules {
  const numberOf = arrivals()
  return {
    ...rules,
    ownersOf: (claims, ...rest) => {
      const dated = claims.map((claim): NameClaim => {
        const date = u64(numberOf(`${claim.object} ${claim.name}`))
        return { ...claim, date: Uint8Array.from([...date, ...claim.date.subarray(DEPTH_BYTES)]) }
      })
      const { owning, shadowed } = rules.ownersOf(dated, ...rest)
      const real = (list: typeof owning) =>
        list.map((claim) => claims[dated.indexOf(claim)] ?? claim)
      return { owning: real(owning), shadowed: real(shadowed) }
    },
  }
}

/** Of two versions accepted at one depth, the one that came first here. */
function tiesByArrival(): Rules {
  const numberOf = arrivals()
  return {
    ...rules,
    objectRowOf: (id, versions, ...rest) => {
      const dated = versions.map((version) => {
        return { ...version, date: dateByArrival(version.date, numberOf(versionKey(version.id))) }
      })
      return rules.objectRowOf(id, dated, ...rest)
    },
  }
}

/** Whoever is an owner when an event comes may write it; nothing is judged anew. */
function authorityByPresentOwners(): Rules {
  const judged = new Map<EventId, boolean>()
  return {
    ...rules,
    authority: (...parameters) => {
      const result = rules.authority(...parameters)
      const live = new Set(result.tenures.filter((tenure) => tenure.live).map(({ id }) => id))
      const [, events] = parameters
      for (const { id, tenure } of events) if (!judged.has(id)) judged.set(id, live.has(tenure))
      const isVoid = events.filter(({ id }) => judged.get(id) === false).map(({ id }) => id)
      return { ...result, voidEvents: new Set(isVoid) }
    },
    admit: (...parameters) => {
      const verdict = rules.admit(...parameters)
      if (verdict !== 'recompute') judged.set(parameters[1].id, verdict === 'valid')
      return verdict
    },
  }
}

/** What is settled moves when something comes late: of owners, of objects, or of names. */
const unsettledVerdicts: Rules = {
  ...rules,
  authority: (founding, events, genesis) => rules.authority(founding, events, genesis),
}
const unsettledHeads: Rules = {
  ...rules,
  objectRowOf: (id, versions) => rules.objectRowOf(id, versions),
}
const unsettledNames: Rules = { ...rules, ownersOf: (claims) => rules.ownersOf(claims) }

/** Says that it is on disk when it is not. */
class UnsyncedLog extends DatasetLog {
  override commit(writes: Write[]): Promise<void> {
    return super.commit(writes)
  }
}

/** What is stored counts as taken into the state: nothing says what is left to do after a crash. */
class ForgetfulLog extends DatasetLog {
  override setDirty(proposal: EventId): Write {
    return super.setDirty(proposal, false)
  }
}

export const planted: Readonly<Record<string, Subject>> = {
  'an order that depends on arrival': { rulesOf: namesByArrival },
  'ties broken by arrival': { rulesOf: tiesByArrival },
  'authority by the owners of the moment': { rulesOf: authorityByPresentOwners },
  'a missing sync before publishing': { logOf: (...parts) => new UnsyncedLog(...parts) },
  'verdicts that are settled and move': { rulesOf: () => unsettledVerdicts },
  'heads that are settled and move': { rulesOf: () => unsettledHeads },
  'names that are settled and move': { rulesOf: () => unsettledNames },
  '"stored" treated as "applied"': { logOf: (...parts) => new ForgetfulLog(...parts) },
}
