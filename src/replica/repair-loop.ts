// Gets back the events of one dataset that are set aside: from peers those that are damaged, from what
// was set aside those whose parents have come. Looks when there is a reason to, and never in a circle.
import { type EventId, eventIdOfBlock, textOfEventId } from '../core/ids.ts'
import type { Crypto, Logger, Network, PeerId } from '../ports.ts'
import type { Replica } from './replica.ts'
import { fetchEvents } from './sync-client.ts'

export interface RepairLoopNeeds {
  readonly replica: Replica
  readonly network: Pick<Network, 'request' | 'peersOf'>
  readonly crypto: Pick<Crypto, 'sha256'>
  readonly logger: Logger
}

const IDS_PER_REQUEST = 64
const REQUEST_TIMEOUT_MS = 30_000
const SUBMIT_BYTES = 2 << 20

export class RepairLoop {
  readonly #needs: RepairLoopNeeds
  readonly #stopped = new AbortController()
  readonly #undo: (() => void)[]
  #running: Promise<void> | undefined
  #isPoked = false
  /** What is set aside and not damaged, as of the last look. */
  #orphans = 0

  constructor(needs: RepairLoopNeeds) {
    this.#needs = needs
    const { replica } = needs
    this.#undo = [
      replica.damage.onFound(() => this.poke()),
      replica.onStored(() => {
        if (this.#orphans > 0) this.poke()
      }),
    ]
    this.poke()
  }

  /** Something is damaged, or somebody came who may have what is. Returns at once. */
  poke(): void {
    this.#isPoked = true
    if (this.#stopped.signal.aborted) return
    this.#running ??= this.#run().finally(() => (this.#running = undefined))
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    for (const undo of this.#undo) undo()
    await this.#running
  }

  async #run(): Promise<void> {
    const { replica, logger, network } = this.#needs
    try {
      while (this.#isPoked && !this.#stopped.signal.aborted) {
        this.#isPoked = false
        await mend(this.#needs, network.peersOf(replica.id), this.#stopped.signal)
        this.#orphans = (await asideOf(this.#needs)).orphans.size
      }
    } catch (error) {
      if (this.#stopped.signal.aborted) return
      const fields = { dataset: textOfEventId(replica.id), reason: String(error) }
      logger.warn(fields, 'damaged events could not be put back yet')
    }
  }
}

/**
 * One look at all that is set aside, asking these peers.
 * @returns how many events are still missing.
 */
export async function mend(
  needs: RepairLoopNeeds,
  peers: readonly PeerId[],
  signal?: AbortSignal,
): Promise<number> {
  const { replica, logger } = needs
  const dataset = textOfEventId(replica.id)
  let { damaged } = await asideOf(needs)
  const before = damaged.length
  for (const peer of peers) {
    if (damaged.length === 0 || signal?.aborted) break
    await askPeer(needs, peer, damaged, signal).catch((error: unknown) => {
      logger.debug({ peer, dataset, reason: String(error) }, 'peer gave no damaged events back')
    })
    damaged = (await asideOf(needs)).damaged
  }
  const { orphans } = await asideOf(needs)
  if (orphans.size > 0) await submitAll(replica, orphans)
  if (before === 0 && orphans.size === 0) return 0
  const left = damaged.length
  if (left < before) {
    await replica.settled()
    logger.info({ dataset, events: before - left }, 'damaged events are whole again')
  }
  if (left > 0 && peers.length > 0) {
    const todo = 'no peer has events that are damaged here: `gonk-node repair` goes on without them'
    logger.warn({ dataset, events: left, code: 'HOME_DAMAGED' }, todo)
  }
  return left
}

/** What is set aside; forgets what is here again. */
async function asideOf({
  replica: { log },
  crypto,
}: RepairLoopNeeds): Promise<{ damaged: EventId[]; orphans: Map<EventId, Uint8Array> }> {
  const damaged: EventId[] = []
  const orphans = new Map<EventId, Uint8Array>()
  for await (const [id, found] of log.quarantine.list()) {
    const [isHere] = await log.hasMany([id])
    if (isHere === true) await log.commit([log.quarantine.drop(id)])
    else if (eventIdOfBlock(found, crypto.sha256) === id) orphans.set(id, found)
    else damaged.push(id)
  }
  return { damaged, orphans }
}

async function askPeer(
  { replica, network, crypto }: RepairLoopNeeds,
  peer: PeerId,
  ids: readonly EventId[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const ask = (body: Uint8Array) => {
    const timeout = AbortSignal.timeout(REQUEST_TIMEOUT_MS)
    return network.request(peer, body, {
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    })
  }
  const needs = { dataset: replica.id, sha256: crypto.sha256, ask }
  const open = new Set(ids)
  while (open.size > 0) {
    const asked = [...open].slice(0, IDS_PER_REQUEST)
    const blocks = await fetchEvents(needs, asked)
    // A page holds what fits: what did not is asked for again, what the peer has not is not.
    const got = blocks.map((block) => eventIdOfBlock(block, crypto.sha256))
    for (const id of got.length === 0 ? asked : got) open.delete(id)
    if (blocks.length > 0) await replica.submit(blocks)
  }
}

/** Parents may be among them: as long as some get in, the rest is tried again. */
async function submitAll(
  replica: Replica,
  events: ReadonlyMap<EventId, Uint8Array>,
): Promise<void> {
  let left = [...events]
  for (let before = Infinity; left.length > 0 && left.length < before;) {
    before = left.length
    for (let at = 0; at < left.length;) {
      const blocks: Uint8Array[] = []
      for (let bytes = 0; at < left.length && bytes < SUBMIT_BYTES; at++) {
        const [, block] = left[at] as [EventId, Uint8Array]
        blocks.push(block)
        bytes += block.length
      }
      await replica.submit(blocks)
    }
    const areHere = await replica.log.hasMany(left.map(([id]) => id))
    left = left.filter((_, i) => areHere[i] !== true)
  }
}
