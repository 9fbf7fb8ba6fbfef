// Self-forks: two events of one tenure, neither in the past of the other. A restored backup, one key on
// two machines, or an owner who tells different people different things. It is noted and shown, and no
// rule reads it.
import {
  type DatasetId,
  type EventId,
  type PublicKey,
  type TenureId,
  textOfEventId,
} from '../core/ids.ts'
import type { Write } from '../log/database.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { HeaderRow } from '../log/rows.ts'
import type { Fork, TenureTips } from '../log/self-fork-table.ts'
import type { Logger } from '../ports.ts'

export interface SelfFork extends Fork {
  /** Of the tenure. */
  readonly key: PublicKey
}

type LookUp = (ids: readonly EventId[]) => Promise<(HeaderRow | undefined)[]>

/** Rows that are read for one event: what is found only further down counts as seen. */
const WALK_MAX = 2_000
/** Of one tenure: as many histories are told apart, and as many forks noted. */
const TIPS_MAX = 16
const FORKS_MAX = 16

/**
 * Notes new owner events, given so that parents come first.
 * @param lookUp finds rows that are stored and those of the batch.
 * @returns the forks that are new, and what is to be written with the batch.
 */
export async function noteSelfForks(
  log: DatasetLog,
  headers: Iterable<HeaderRow>,
  lookUp: LookUp,
): Promise<{ forks: SelfFork[]; writes: Write[] }> {
  const fresh = [...headers].filter(({ kind }) => kind !== 'genesis')
  const tenures = [...new Set(fresh.map(({ tenure }) => tenure))]
  const stored = await log.selfForks.tipsOf(tenures)
  const noted = new Map<TenureId, TenureTips>(
    tenures.map((tenure, i) => [tenure, stored[i] as TenureTips]),
  )
  const forks: SelfFork[] = []
  for (const header of fresh) {
    const { id, depth, tenure, author } = header
    const before = noted.get(tenure) as TenureTips
    const seen = await tipsInPast(header, before, lookUp)
    const beside = before.tips.filter((tip) => !seen.has(tip.id))
    // What continues one of its histories is no new fork.
    const [other] = seen.size === 0 && before.forks < FORKS_MAX ? beside : []
    if (other !== undefined) {
      const events = [id, other.id].sort() as [EventId, EventId]
      forks.push({ tenure, key: author, events })
    }
    const tips = [...beside, { id, depth }].sort((a, b) => b.depth - a.depth).slice(0, TIPS_MAX)
    noted.set(tenure, { tips, forks: before.forks + (other === undefined ? 0 : 1) })
  }
  const writes = [...noted].map(([tenure, tips]) => log.selfForks.putTips(tenure, tips))
  return { forks, writes: [...writes, ...forks.map((fork) => log.selfForks.putFork(fork))] }
}

/** Which of its tenure's newest events an event has seen. */
async function tipsInPast(
  { depth, parents }: HeaderRow,
  { tips }: TenureTips,
  lookUp: LookUp,
): Promise<ReadonlySet<EventId>> {
  const ids = new Set(tips.map(({ id }) => id))
  const open = new Map(tips.filter((tip) => tip.depth < depth).map((tip) => [tip.id, tip.depth]))
  const seen = new Set<EventId>()
  const visited = new Set<EventId>()
  let next: readonly EventId[] = parents
  while (open.size > 0 && next.length > 0) {
    const unread = [...new Set(next)].filter((id) => !visited.has(id))
    for (const id of unread) {
      visited.add(id)
      if (open.delete(id)) seen.add(id)
    }
    if (open.size === 0) break
    if (visited.size > WALK_MAX) return new Set([...seen, ...open.keys()])
    const floor = Math.min(...open.values())
    // Below one of them is no other: none has seen another.
    const rows = await lookUp(unread.filter((id) => !ids.has(id)))
    next = rows.flatMap((row) => (row && row.depth > floor ? row.parents : []))
  }
  return seen
}

/** Logs one line for each. */
export function tellOfSelfForks(logger: Logger, id: DatasetId) {
  return (forks: readonly SelfFork[]): void => {
    for (const { key, events } of forks) {
      const fields = { dataset: textOfEventId(id), key, events: events.map(textOfEventId) }
      logger.warn(fields, 'one key has written two histories: a restored backup, or two machines')
    }
  }
}

/** All that are known, each with two events that prove it. */
export async function selfForksOf(log: DatasetLog): Promise<SelfFork[]> {
  const forks = await log.selfForks.all()
  const rows = await log.headers(forks.map(({ events }) => events[0]))
  return forks.flatMap((fork, i) => {
    const key = rows[i]?.author
    return key === undefined ? [] : [{ ...fork, key }]
  })
}
