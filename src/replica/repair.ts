// All rows of a dataset made again from its signed events, which are the truth: into tables of their own,
// that take the place of the old ones in one step when they are whole.
import { GonkError, isRejection } from '../core/errors.ts'
import { decodeEvent } from '../core/event-codec.ts'
import type { Event } from '../core/event.ts'
import { type DatasetId, type EventId, hexOf, type PublicKey, textOfEventId } from '../core/ids.ts'
import { throwIfAborted } from '../files/concurrent.ts'
import type { Catalog, CatalogEntry } from '../log/catalog.ts'
import type { Database, Write } from '../log/database.ts'
import { DatasetLog } from '../log/dataset-log.ts'
import { datasetPrefix, homeKey, rangeOf, textOf } from '../log/keys.ts'
import { DOUBTED } from '../log/salvage.ts'
import type { AbortOptions } from '../ports.ts'
import { areListed } from './repair-blocks.ts'
import { Replica, type ReplicaNeeds } from './replica.ts'

export interface RebuildNeeds extends Omit<ReplicaNeeds, 'log' | 'poolBytesMax'> {
  readonly catalog: Catalog
}

export interface RebuildOptions extends AbortOptions {
  /** Keys of this node and its users: what they propose is the node's own. */
  readonly ownKeys?: readonly PublicKey[]
  readonly onProgress?: (progress: {
    what: string
    done: number
    total: number
    bytes: number
  }) => void
}

export interface Rebuilt {
  /** Events the rows are made of. */
  readonly events: number
  /** Events that are damaged, or build on such: in quarantine. */
  readonly setAside: number
}

const LOCAL = /^(answers(\/.*)?|anchor|chainChanged)$/
/**
 * Of what the rows were made by. Goes up when stored events that were nodes and nothing else mean
 * something now.
 */
const RULES_VERSION = 2
/** Kinds that version 1 did not know. */
const KINDS_SINCE = new Set(['endorse', 'policy', 'cp'])
const EVENTS_PER_READ = 64
const HEADERS_PER_READ = 1_000
const SUBMIT_EVENTS = 256
const SUBMIT_BYTES = 2 << 20

/** Whether there is nothing of a dataset but its name. One whose first event is damaged is more. */
export async function isUnborn(log: DatasetLog): Promise<boolean> {
  if ((await log.block(log.id)) !== undefined) return false
  if ((await log.nextNumber('arrivals')) > 0) return false
  if ((await log.meta(DOUBTED)) !== undefined) return false
  for await (const _ of log.quarantine.list()) return false
  return true
}

/**
 * Opens a dataset; where rows of it cannot be read, they are made again first. Throws what
 * {@link rebuild} throws.
 * @param healed datasets for which this was tried: once for each.
 */
export async function openWhole(
  needs: Omit<RebuildNeeds, 'poolBytesMax'> & Pick<ReplicaNeeds, 'poolBytesMax'>,
  { id }: CatalogEntry,
  healed: Set<DatasetId>,
): Promise<Replica> {
  const { catalog, logger } = needs
  const entry = () => catalog.get(id) as CatalogEntry
  const log = catalog.logOf(entry())
  const isDoubted = (await log.meta(DOUBTED)) !== undefined
  if (isDoubted || (await isOutdated(log))) await rebuild(needs, entry())
  try {
    return await Replica.open({ ...needs, log: catalog.logOf(entry()) })
  } catch (error) {
    const isRow = error instanceof TypeError || error instanceof RangeError
    const isDamage = isRow || (error instanceof GonkError && error.code === 'HOME_DAMAGED')
    if (!isDamage || healed.has(id)) throw error
    healed.add(id)
    logger.warn({ dataset: textOfEventId(id), reason: String(error) }, 'rows cannot be read')
    await rebuild(needs, entry())
    return Replica.open({ ...needs, log: catalog.logOf(entry()) })
  }
}

/** Whether an earlier version stored events that it did not know and this one does. */
async function isOutdated(log: DatasetLog): Promise<boolean> {
  if ((await log.meta('rules')) === RULES_VERSION) return false
  let ids: EventId[] = []
  const anySince = async () => {
    const headers = await log.headers(ids.splice(0))
    return headers.some((header) => header && KINDS_SINCE.has(header.kind))
  }
  for await (const { id } of log.byDepth()) {
    if (ids.push(id) === HEADERS_PER_READ && (await anySince())) return true
  }
  if (await anySince()) return true
  // A full disk must not keep a dataset shut: the next start looks again.
  await log.commit([log.putMeta('rules', RULES_VERSION)]).catch(() => {})
  return false
}

/**
 * Nothing else must have the dataset open. What is cut off leaves the dataset as it was. Throws DISK,
 * CANCELLED, and HOME_DAMAGED when the database itself cannot be read.
 */
export async function rebuild(
  needs: RebuildNeeds,
  entry: CatalogEntry,
  options: RebuildOptions = {},
): Promise<Rebuilt> {
  const { db, catalog, logger } = needs
  const dataset = textOfEventId(entry.id)
  logger.warn({ dataset }, 'all rows are made again from the events')
  const before = catalog.logOf(entry)
  const log = new NewLog(db, entry.id, await catalog.reserve())
  await copyLocal(db, before, log)
  const { poolBytesMax: _, ...rest } = needs as RebuildNeeds & Pick<ReplicaNeeds, 'poolBytesMax'>
  const replica = await Replica.open({ ...rest, log })
  const own = new Set([...(await before.history.ownAuthors()), ...(options.ownKeys ?? [])])
  const feed = new Feed(needs, { before, replica, own }, options)
  try {
    await feed.arrivals()
    await feed.strays()
    await feed.orphans()
    await feed.refused()
    if (replica.hasGenesis) await replica.snapshot()
  } finally {
    await replica.close()
  }
  const setAside = await copyQuarantine(before, log)
  await log.commit([log.putMeta('rules', RULES_VERSION)])
  await catalog.moveTo(entry.id, log.ordinal)
  logger.info({ dataset, events: feed.events, setAside }, 'all rows were made again')
  return { events: feed.events, setAside }
}

/** Blocks are of the whole home: what its own rows do not list is new to it. */
class NewLog extends DatasetLog {
  override hasMany(ids: readonly EventId[]): Promise<boolean[]> {
    return areListed(this, ids)
  }
}

/** What is in quarantine and did not get in after all. */
async function copyQuarantine(before: DatasetLog, log: DatasetLog): Promise<number> {
  let count = 0
  for await (const [id, found] of before.quarantine.list()) {
    const [isHere] = await log.hasMany([id])
    if (isHere === true) continue
    await log.commit(log.quarantine.set(id, found))
    count++
  }
  return count
}

/** What no event says: answers that were given, and the checkpoint that the user trusts. */
async function copyLocal(db: Database, before: DatasetLog, log: DatasetLog): Promise<void> {
  const prefix = datasetPrefix('meta', before.ordinal)
  for await (const key of db.keys(rangeOf(prefix))) {
    const name = textOf(key.subarray(prefix.length))
    if (!LOCAL.test(name)) continue
    const row: unknown = await before.meta(name).catch(() => undefined)
    if (row !== undefined) await log.commit([log.putMeta(name, row)])
  }
}

interface FeedParts {
  readonly before: DatasetLog
  readonly replica: Replica
  readonly own: ReadonlySet<string>
}

/** Submits what is stored, in batches bounded in number and bytes. */
class Feed {
  events = 0
  readonly #db: Database
  readonly #needs: RebuildNeeds
  readonly #parts: FeedParts
  readonly #options: RebuildOptions
  readonly #refused = new Set<EventId>()
  #batch: Uint8Array[] = []
  #batchBytes = 0
  #isOwn = false
  #bytes = 0

  constructor(needs: RebuildNeeds, parts: FeedParts, options: RebuildOptions) {
    this.#db = needs.db
    this.#needs = needs
    this.#parts = parts
    this.#options = options
  }

  /** In the order in which they came, so that readers of events find them in it. */
  async arrivals(): Promise<void> {
    let ids: EventId[] = []
    for await (const [, id] of this.#parts.before.arrivals()) {
      ids.push(id)
      if (ids.length < EVENTS_PER_READ) continue
      await this.#take(ids)
      ids = []
    }
    await this.#take(ids)
    await this.#flush()
  }

  /** Blocks of the dataset that no order of arrival lists: it was lost. Parents before children. */
  async strays(): Promise<void> {
    const { replica, before } = this.#parts
    const strays: { depth: number; id: EventId }[] = []
    for await (const [key, block] of this.#db.iterator(rangeOf(homeKey('events')))) {
      throwIfAborted(this.#options.signal)
      const id = hexOf(key.subarray(1)) as EventId
      const [isHere] = await replica.log.hasMany([id])
      if (isHere === true || this.#refused.has(id)) continue
      const event = this.#eventOf(id, block)
      if (event === undefined || datasetOf(event) !== before.id) continue
      const depth =
        event.family === 'owner' ? event.depth : event.family === 'genesis' ? 0 : Infinity
      strays.push({ depth, id })
    }
    strays.sort((a, b) => (a.depth === b.depth ? (a.id < b.id ? -1 : 1) : a.depth - b.depth))
    for (let at = 0; at < strays.length; at += EVENTS_PER_READ) {
      await this.#take(strays.slice(at, at + EVENTS_PER_READ).map(({ id }) => id))
    }
    await this.#flush()
  }

  /** What was set aside before, for what it builds on. */
  async orphans(): Promise<void> {
    for await (const [id, found] of this.#parts.before.quarantine.list()) {
      const event = this.#eventOf(id, found)
      if (event !== undefined) await this.#add(event)
    }
    await this.#flush()
  }

  /** What did not get in may build on what came after it; the rest is set aside. */
  async refused(): Promise<void> {
    for (let before = Infinity; this.#refused.size > 0 && this.#refused.size < before;) {
      before = this.#refused.size
      const again = [...this.#refused]
      this.#refused.clear()
      for (let at = 0; at < again.length; at += EVENTS_PER_READ) {
        await this.#take(again.slice(at, at + EVENTS_PER_READ))
      }
      await this.#flush()
    }
    await this.#setAside([...this.#refused])
  }

  async #take(ids: readonly EventId[]): Promise<void> {
    throwIfAborted(this.#options.signal)
    const blocks = await this.#parts.before.blocks(ids)
    const events = ids.map((id, i) => this.#eventOf(id, blocks[i]))
    await this.#setAside(ids.filter((_, i) => events[i] === undefined))
    for (const event of events) if (event !== undefined) await this.#add(event)
  }

  async #add({ family, author, block }: Event): Promise<void> {
    const isOwn = family === 'proposal' && this.#parts.own.has(author)
    const isFull = this.#batch.length >= SUBMIT_EVENTS || this.#batchBytes >= SUBMIT_BYTES
    if (isFull || isOwn !== this.#isOwn) await this.#flush()
    this.#isOwn = isOwn
    this.#batch.push(block)
    this.#batchBytes += block.length
  }

  async #flush(): Promise<void> {
    const batch = this.#batch
    this.#batch = []
    this.#batchBytes = 0
    if (batch.length === 0) return
    const origin = this.#isOwn ? 'own' : 'peer'
    const { stored, refused } = await this.#parts.replica.submit(batch, origin)
    for (const { event } of refused) this.#refused.add(event)
    this.events += stored.length
    this.#bytes += stored.reduce((sum, { block }) => sum + block.length, 0)
    const [done, bytes] = [this.events, this.#bytes]
    this.#options.onProgress?.({ what: 'reading events', done, total: 0, bytes })
  }

  /** First in the tables that count until the others are whole: a crash must lose none of it. */
  async #setAside(ids: readonly EventId[]): Promise<void> {
    const { before } = this.#parts
    const areAside = await before.quarantine.areIn(ids)
    const fresh = ids.filter((_, i) => areAside[i] !== true)
    if (fresh.length === 0) return
    const blocks = await before.blocks(fresh)
    const writes: Write[] = fresh.flatMap((id, i) => before.quarantine.set(id, blocks[i]))
    await before.commit(writes, { durable: true })
  }

  #eventOf(id: EventId, block: Uint8Array | undefined): Event | undefined {
    const event = block && decodeEvent(block, this.#needs.crypto.sha256)
    return event === undefined || isRejection(event) || event.id !== id ? undefined : event
  }
}

function datasetOf(event: Event): EventId {
  return event.family === 'genesis' ? event.id : event.dataset
}
