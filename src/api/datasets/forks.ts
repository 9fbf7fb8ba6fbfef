// Owners with two histories, as people see them.
import { textOfEventId } from '../../core/ids.ts'
import type { DatasetLog } from '../../log/dataset-log.ts'
import { selfForksOf } from '../../replica/self-forks.ts'
import type { SelfFork } from '../../contract/api.ts'

/** `forks` where there are any, else nothing. */
export async function forksIn(log: DatasetLog): Promise<{ forks?: SelfFork[] }> {
  const forks = await selfForksOf(log)
  if (forks.length === 0) return {}
  return { forks: forks.map(({ key, events }) => ({ key, events: events.map(textOfEventId) })) }
}
