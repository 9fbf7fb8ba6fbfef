// Lists everything a replica holds in its journals again, so that its trees are built from nothing.
import { bytesOfHex, type EventId } from '../core/ids.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { StateJournalEntry } from './derive.ts'
import { type EventJournalEntry, noTrees } from './publish.ts'

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

async function* batches<T>(items: AsyncIterable<T>): AsyncGenerator<T[]> {
  let batch: T[] = []
  for await (const item of items) {
    batch.push(item)
    if (batch.length < ENTRIES_AT_ONCE) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

async function* eventEntries(log: DatasetLog): AsyncGenerator<EventJournalEntry> {
  const none = { owner: [], proposals: 0, poolIn: [], poolOut: [] }
  for await (const batch of batches(log.byDepth())) {
    yield { ...none, owner: batch.map(({ id }) => bytesOfHex(id)) }
  }
  for await (const batch of batches(log.allProposals())) {
    const idsOf = (isNamed: boolean): EventId[] =>
      batch.filter(([, { named }]) => named === isNamed).map(([id]) => id)
    const owner = idsOf(true).map(bytesOfHex)
    yield { ...none, owner, proposals: owner.length, poolIn: idsOf(false).map(bytesOfHex) }
  }
}

async function* objectEntries(log: DatasetLog): AsyncGenerator<StateJournalEntry> {
  for await (const batch of batches(log.objects())) {
    yield { objects: batch.map(([id]) => bytesOfHex(id)), names: [] }
  }
}

async function* nameEntries(log: DatasetLog): AsyncGenerator<StateJournalEntry> {
  for (const space of ['file', 'schema'] as const) {
    for await (const batch of batches(log.names.claims(space))) {
      const names = [...new Set(batch.map(({ name }) => name))]
      yield { objects: [], names: names.map((name) => [space, name]) }
    }
  }
}
