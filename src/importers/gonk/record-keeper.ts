// Gonk's log of events in its order, from either of its two record keepers: files or SQLite.
import { join } from 'node:path'
import { setImmediate as breathe } from 'node:timers/promises'
import { GonkError } from '../../core/errors.ts'
import { broken, EVENT_BYTES_MAX, type GonkEvent, parseEvent, UUID } from './events.ts'
import type { GonkFolder } from './folder.ts'

/** All of them are in memory while they are replayed. */
export const EVENTS_MAX = 1_000_000
/** After so many rows, others get a turn: node:sqlite is synchronous. */
const ROWS_AT_ONCE = 256
/** Of `head` and `tail`: a UUID. */
const POINTER_BYTES_MAX = 128

/** Throws BAD_EVENT, TOO_LARGE, DISK. */
export async function* readEvents(folder: GonkFolder): AsyncGenerator<GonkEvent> {
  const seen = new Set<string>()
  const events = (await folder.has('rk.db')) ? eventsOfDatabase(folder) : eventsOfFiles(folder)
  for await (const event of events) {
    if (seen.has(event.uuid)) broken(`the log comes to event ${event.uuid} twice`)
    if (seen.size === EVENTS_MAX) {
      throw new GonkError('TOO_LARGE', `the log has more than ${EVENTS_MAX} events`, {
        hint: 'this version cannot import a longer one',
      })
    }
    seen.add(event.uuid)
    yield event
  }
}

/** A linked list: `head`, then `next` of each. `tail` may lag behind where Gonk was killed. */
async function* eventsOfFiles(folder: GonkFolder): AsyncGenerator<GonkEvent> {
  const tail = await readPointer(folder, 'tail')
  let next: string | null | undefined = await readPointer(folder, 'head')
  let hasTail = tail === undefined
  while (next !== undefined && next !== null) {
    const [a, b, c] = next as unknown as [string, string, string]
    const json = await folder.readText(EVENT_BYTES_MAX, 'rk', 'events', a, b, c, next)
    if (json === undefined) broken(`event ${next} is missing from ${join(folder.dir, 'rk')}`)
    const parsed = parseEvent(json, `event ${next}`)
    if (parsed.event.uuid !== next) broken(`the file of event ${next} holds another event`)
    if (parsed.next === undefined) broken(`event ${next} does not say what follows it`)
    hasTail ||= next === tail
    yield parsed.event
    next = parsed.next
  }
  if (!hasTail) broken(`the events end before ${tail}, which rk/tail names as the last one`)
}

async function readPointer(folder: GonkFolder, name: string): Promise<string | undefined> {
  const text = (await folder.readText(POINTER_BYTES_MAX, 'rk', name))?.trim()
  if (text === undefined || UUID.test(text)) return text
  return broken(`rk/${name} holds no UUID`)
}

/** A table `events` of (id, uuid, event), the event as JSON text, in the order of `id`. */
async function* eventsOfDatabase(folder: GonkFolder): AsyncGenerator<GonkEvent> {
  const path = join(folder.dir, 'rk.db')
  const { DatabaseSync } = await sqlite()
  const database = attempt(path, () => new DatabaseSync(path, { readOnly: true }))
  try {
    checkTable(path, database)
    const select = `SELECT id, uuid, CASE WHEN typeof(event) = 'text'
      THEN substr(event, 1, ${EVENT_BYTES_MAX + 1}) END AS event FROM events ORDER BY id`
    const rows = attempt(path, () => database.prepare(select).iterate())
    for (let count = 1; ; count++) {
      const row = attempt(path, () => rows.next())
      if (row.done === true) return
      const { id, uuid, event: json } = row.value
      const where = `row ${String(id)} of ${path}`
      if (typeof json !== 'string') broken(`${where} holds no JSON text`)
      const { event } = parseEvent(json, where)
      if (event.uuid !== uuid) broken(`${where} holds another event than its uuid says`)
      yield event
      if (count % ROWS_AT_ONCE === 0) await breathe()
    }
  } finally {
    database.close()
  }
}

type Database = InstanceType<Awaited<ReturnType<typeof sqlite>>['DatabaseSync']>

/** A view, a virtual table or a computed column could run anything under the name of a table. */
function checkTable(path: string, database: Database): void {
  attempt(path, () => database.exec('PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON'))
  const tables = attempt(path, () =>
    database
      .prepare("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'events'")
      .all(),
  )
  const isPlain = tables.length === 1 && /^CREATE TABLE\b/i.test(String(tables[0]?.['sql']))
  const columns = isPlain
    ? attempt(path, () => database.prepare('PRAGMA table_xinfo(events)').all())
    : []
  const names = columns.filter(({ hidden }) => hidden === 0).map(({ name }) => name)
  if (['id', 'uuid', 'event'].every((name) => names.includes(name))) return
  broken(`${path} has no table events (id, uuid, event)`)
}

function attempt<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw new GonkError('BAD_EVENT', `${path}: ${(error as Error).message}`, {
      hint: 'stop Gonk and try again, or restore the file from a copy',
      cause: error,
    })
  }
}

/**
 * The platform warns that its SQLite is new, once, where it is first loaded: nothing that whoever
 * moves a dataset needs to read.
 */
async function sqlite() {
  const { emitWarning } = process
  process.emitWarning = (warning: string | Error, ...rest: unknown[]) => {
    if (!String(warning).startsWith('SQLite ')) {
      Reflect.apply(emitWarning, process, [warning, ...rest])
    }
  }
  try {
    return await import('node:sqlite')
  } finally {
    process.emitWarning = emitWarning
  }
}
