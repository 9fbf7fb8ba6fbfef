// Indexes the history that a home held before there was an index of it, from the events themselves,
// and puts the arrival of owner events into their rows.
import { isRejection } from '../core/errors.ts'
import { decodeEvent } from '../core/event-codec.ts'
import { type EventId, textOfEventId } from '../core/ids.ts'
import type { Write } from '../log/database.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { Crypto, Logger } from '../ports.ts'

export interface HistoryAnewNeeds {
  readonly log: DatasetLog
  readonly crypto: Pick<Crypto, 'sha256'>
  readonly logger: Logger
}

/** `true`: every event is indexed. A number: those that arrived before it are. */
const META = 'history'
/** Of at most 256 KiB each. */
const EVENTS_AT_ONCE = 64

/**
 * Does nothing where the index is whole, and goes on where it was cut off. Nothing else must write
 * meanwhile; what is stored before it succeeds is indexed as ever, so that it may fail and come again.
 * Events that cannot be read are left out.
 */
export async function historyAnew(needs: HistoryAnewNeeds): Promise<void> {
  const { log, logger } = needs
  const progress = (await log.meta<number | true>(META)) ?? 0
  if (progress === true) return
  for (let from = progress; ;) {
    const batch: [arrival: number, id: EventId][] = []
    for await (const each of log.arrivals(from, { limit: EVENTS_AT_ONCE })) batch.push(each)
    const last = batch.at(-1)
    if (last === undefined) break
    if (from === progress) {
      logger.info({ dataset: textOfEventId(log.id) }, 'indexing the history, once')
    }
    const writes = await writesFor(needs, batch)
    from = last[0] + 1
    await log.commit([...writes, log.putMeta(META, from)])
  }
  await log.commit([log.putMeta(META, true)])
}

async function writesFor(
  { log, crypto }: HistoryAnewNeeds,
  batch: readonly (readonly [arrival: number, id: EventId])[],
): Promise<Write[]> {
  const ids = batch.map(([, id]) => id)
  const [blocks, headers, proposals] = await Promise.all([
    log.blocks(ids),
    log.headers(ids),
    log.proposals(ids),
  ])
  return batch.flatMap(([arrival, id], i) => {
    const [block, header, proposal] = [blocks[i], headers[i], proposals[i]]
    const writes = header ? log.putHeader({ ...header, arrival }) : []
    const event = block && decodeEvent(block, crypto.sha256)
    if (event === undefined || isRejection(event) || event.id !== id) return writes
    return [...writes, ...log.history.putEvent(event, arrival, crypto.sha256, proposal?.decisions)]
  })
}
