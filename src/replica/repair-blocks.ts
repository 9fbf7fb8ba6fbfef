// Event blocks that are not what their ids say: set aside when they are met, never served, and put back
// when the right bytes come from a peer.
import type { Event } from '../core/event.ts'
import { type EventId, eventIdOfBlock, textOfEventId } from '../core/ids.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import type { Crypto, Logger } from '../ports.ts'
import { Mutex } from './mutex.ts'

export interface DamageNeeds {
  readonly log: DatasetLog
  readonly crypto: Pick<Crypto, 'sha256'>
  readonly logger: Logger
}

/** What is damaged of one dataset. */
export class Damage {
  readonly #needs: DamageNeeds
  readonly #turn = new Mutex()
  readonly #listeners = new Set<() => void>()

  constructor(needs: DamageNeeds) {
    this.#needs = needs
  }

  /** Told when something was set aside. */
  onFound(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Blocks as they may be served: those that are damaged are set aside, and undefined here. */
  async sound(
    ids: readonly EventId[],
    blocks: readonly (Uint8Array | undefined)[],
  ): Promise<(Uint8Array | undefined)[]> {
    const bad = ids.filter((id, i) => blocks[i] !== undefined && !this.#isOf(id, blocks[i]))
    if (bad.length === 0) return [...blocks]
    await this.found(bad)
    return blocks.map((block, i) => (bad.includes(ids[i] as EventId) ? undefined : block))
  }

  /** Looks at events that could not be read, and sets aside those that should be here and are not right. */
  async found(ids: readonly EventId[]): Promise<undefined> {
    await this.#turn.run(() => this.#setAside(ids))
    return undefined
  }

  async #setAside(ids: readonly EventId[]): Promise<void> {
    const { log, logger } = this.#needs
    const [areAside, areKnown] = await Promise.all([log.quarantine.areIn(ids), areListed(log, ids)])
    const blocks = await log.blocks(ids)
    const suspect = ids.filter(
      (id, i) => areAside[i] !== true && areKnown[i] === true && !this.#isOf(id, blocks[i]),
    )
    // What gave way meanwhile is neither here nor damaged.
    const areStill = suspect.length > 0 ? await areListed(log, suspect) : []
    const bad = suspect.filter((_, i) => areStill[i] === true)
    if (bad.length === 0) return
    const writes = bad.flatMap((id) => log.quarantine.set(id, blocks[ids.indexOf(id)]))
    await log.commit(writes, { durable: true })
    const fields = { dataset: textOfEventId(log.id), events: bad.length, first: bad[0] }
    logger.warn(
      { ...fields, code: 'HOME_DAMAGED' },
      'damaged events are set aside; peers are asked',
    )
    for (const tell of this.#listeners) tell()
  }

  #isOf(id: EventId, block: Uint8Array | undefined): boolean {
    return block !== undefined && eventIdOfBlock(block, this.#needs.crypto.sha256) === id
  }
}

/**
 * Puts back what was set aside and is known from its rows: the id says that the bytes are right.
 * @param events that are not here. @returns the ids of those that are again.
 */
export async function putBack(log: DatasetLog, events: readonly Event[]): Promise<Set<EventId>> {
  const areAside = await log.quarantine.areIn(events.map(({ id }) => id))
  const aside = events.filter((_, i) => areAside[i] === true)
  if (aside.length === 0) return new Set()
  const areKnown = await areListed(
    log,
    aside.map(({ id }) => id),
  )
  const back = aside.filter((_, i) => areKnown[i] === true)
  const writes = back.flatMap(({ id, block }) => log.quarantine.putBack(id, block))
  await log.commit(writes, { durable: true })
  return new Set(back.map(({ id }) => id))
}

/** Which events the rows say are here. */
export async function areListed(log: DatasetLog, ids: readonly EventId[]): Promise<boolean[]> {
  const [headers, proposals] = await Promise.all([log.headers(ids), log.proposals(ids)])
  return ids.map((_, i) => headers[i] !== undefined || proposals[i] !== undefined)
}
