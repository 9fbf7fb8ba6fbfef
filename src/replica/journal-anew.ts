// Lists everything a replica holds in its journals again, so that its trees are built from nothing.
import { bytesOfHex, type EventId } from '../core/ids.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { StateJournalEntry } from './derive.ts'
import { type EventJournalEntry, noTrees } from './publish.ts'
import { inGroups } from '../files/concurrent.ts'

/** The number after the last entry of each journal. */
export interface JournalNumbers {
  readonly event: number
  readonly state: number
}

/** Present from the first write to the last: what is cut off in between begins again. */
const META = 'rebuilding'
const ENTRIES_AT_ONCE = 1_000

export async function isRebuilding(log: DatasetLog): Promise<boolean> {
  return (await log.meta(META)) !== undefined
}

/** Drops the trees and journals all events, objects and names, a bounded number at a time. */
export async function journalAnew(log: DatasetLog): Promise<JournalNumbers> {
  await log.commit([log.putMeta(META, true)])
  await log.clear(['owned', 'eventJournal', 'stateJournal'])
  const event = await journal(log, 'eventJournal', 0, eventEntries(log))
  const afterObjects = await journal(log, 'stateJournal', 0, objectEntries(log))
  const state = await journal(log, 'stateJournal', afterObjects, nameEntries(log))
  await log.commit([log.putMeta('trees', noTrees), log.deleteMeta(META)])
  return { event, state }
}

async function journal(
  log: DatasetLog,
  table: 'eventJournal' | 'stateJournal',
  from: number,
  entries: AsyncIterable<EventJournalEntry | StateJournalEntry>,
): Promise<number> {
  let number = from
  for await (const entry of entries) await log.commit([log.appendJournal(table, number++, entry)])
  return number
}

async function* eventEntries(log: DatasetLog): AsyncGenerator<EventJournalEntry> {
  const none = { owner: [], proposals: 0, poolIn: [], poolOut: [] }
  for await (const batch of inGroups(log.byDepth(), ENTRIES_AT_ONCE)) {
    yield { ...none, owner: batch.map(({ id }) => bytesOfHex(id)) }
  }
  for await (const batch of inGroups(log.allProposals(), ENTRIES_AT_ONCE)) {
    const idsOf = (isNamed: boolean): EventId[] =>
      batch.filter(([, { named }]) => named === isNamed).map(([id]) => id)
    const owner = idsOf(true).map(bytesOfHex)
    yield { ...none, owner, proposals: owner.length, poolIn: idsOf(false).map(bytesOfHex) }
  }
}

async function* objectEntries(log: DatasetLog): AsyncGenerator<StateJournalEntry> {
  for await (const batch of inGroups(log.objectTable.all(), ENTRIES_AT_ONCE)) {
    yield { objects: batch.map(([id]) => bytesOfHex(id)), names: [] }
  }
}

async function* nameEntries(log: DatasetLog): AsyncGenerator<StateJournalEntry> {
  for (const space of ['file', 'schema'] as const) {
    for await (const batch of inGroups(log.names.claims(space), ENTRIES_AT_ONCE)) {
      const names = [...new Set(batch.map(({ name }) => name))]
      yield { objects: [], names: names.map((name) => [space, name]) }
    }
  }
}
