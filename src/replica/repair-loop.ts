// Gets back the events of one dataset that are set aside: from peers those that are damaged, from what
// was set aside those whose parents have come. Looks when there is a reason to, and never in a circle.
import { type EventId, eventIdOfBlock, textOfEventId } from '../core/ids.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
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
const IDS_PER_READ = 1_000

/** What is set aside of a dataset. */
export interface Aside {
  readonly damaged: readonly EventId[]
  /** Whole, and what they build on is not here. */
  readonly orphans: readonly EventId[]
  /** Events that orphans build on; undefined: not known, for nobody has tried yet to put them back. */
  readonly lacking?: ReadonlySet<EventId>
}

const NOTHING: Aside = { damaged: [], orphans: [], lacking: new Set() }

export class RepairLoop {
  readonly #needs: RepairLoopNeeds
  readonly #stopped = new AbortController()
  readonly #undo: (() => void)[]
  #running: Promise<void> | undefined
  #isPoked = false
  /** As of the last look; to look costs as much as there is. */
  #aside = NOTHING
  #isOutdated = true

  constructor(needs: RepairLoopNeeds) {
    this.#needs = needs
    const { replica } = needs
    this.#undo = [
      replica.damage.onFound(() => {
        this.#isOutdated = true
        this.poke()
      }),
      replica.onStored((events) => {
        const { lacking } = this.#aside
        if (events.some(({ id }) => lacking?.has(id))) this.poke()
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
    const { signal } = this.#stopped
    try {
      while (this.#isPoked && !signal.aborted) {
        this.#isPoked = false
        if (this.#isOutdated) {
          this.#isOutdated = false
          this.#aside = await asideOf(this.#needs)
        }
        this.#aside = await mend(this.#needs, this.#aside, network.peersOf(replica.id), signal)
      }
    } catch (error) {
      this.#isOutdated = true
      if (signal.aborted) return
      const fields = { dataset: textOfEventId(replica.id), reason: String(error) }
      logger.warn(fields, 'damaged events could not be put back yet')
    }
  }
}

/** Asks these peers for what is damaged, and puts back what can be. @returns what is still set aside. */
export async function mend(
  needs: RepairLoopNeeds,
  { damaged, orphans, lacking }: Aside,
  peers: readonly PeerId[],
  signal?: AbortSignal,
): Promise<Aside> {
  const { replica, logger } = needs
  const { log } = replica
  const dataset = textOfEventId(replica.id)
  if (damaged.length + orphans.length === 0) return NOTHING
  let left = damaged
  for (const peer of peers) {
    if (left.length === 0 || signal?.aborted) break
    await askPeer(needs, peer, left, signal).catch((error: unknown) => {
      logger.debug({ peer, dataset, reason: String(error) }, 'peer gave no damaged events back')
    })
    left = await notHere(log, left)
  }
  // To try costs a signature each: not in vain.
  const isTime = lacking === undefined || (await log.hasMany([...lacking])).includes(true)
  const rest = isTime ? await submitAll(replica, orphans) : { orphans, lacking }
  if (left.length < damaged.length) {
    await replica.settled()
    logger.info({ dataset, events: damaged.length - left.length }, 'damaged events are whole again')
  }
  if (left.length > 0 && peers.length > 0) {
    const todo = 'no peer has events that are damaged here: `gonk-node repair` goes on without them'
    logger.warn({ dataset, events: left.length, code: 'HOME_DAMAGED' }, todo)
  }
  return { damaged: left, ...rest }
}

/** One look at all that is set aside; forgets what is here again. */
export async function asideOf({
  replica: { log },
  crypto,
}: Pick<RepairLoopNeeds, 'replica' | 'crypto'>): Promise<Aside> {
  const damaged: EventId[] = []
  const orphans: EventId[] = []
  for await (const [id, found] of log.quarantine.list()) {
    if (eventIdOfBlock(found, crypto.sha256) === id) orphans.push(id)
    else damaged.push(id)
  }
  return { damaged: await notHere(log, damaged), orphans: await notHere(log, orphans) }
}

/** Those that are not here; of the others, forgets what was set aside. */
async function notHere(log: DatasetLog, ids: readonly EventId[]): Promise<EventId[]> {
  const left: EventId[] = []
  for (let at = 0; at < ids.length; at += IDS_PER_READ) {
    const some = ids.slice(at, at + IDS_PER_READ)
    const areHere = await log.hasMany(some)
    left.push(...some.filter((_, i) => areHere[i] !== true))
    const here = some.filter((_, i) => areHere[i] === true)
    await log.commit(here.map((id) => log.quarantine.drop(id)))
  }
  return left
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
  orphans: readonly EventId[],
): Promise<Pick<Aside, 'orphans' | 'lacking'>> {
  const { log } = replica
  let left = orphans
  let lacking = new Set<EventId>()
  for (let before = Infinity; left.length > 0 && left.length < before;) {
    before = left.length
    lacking = new Set()
    for (let at = 0; at < left.length; at += IDS_PER_REQUEST) {
      const found = await log.quarantine.found(left.slice(at, at + IDS_PER_REQUEST))
      const { missingParents } = await replica.submit(found)
      for (const id of missingParents) lacking.add(id)
    }
    left = await notHere(log, left)
  }
  for (const id of left) lacking.delete(id)
  return { orphans: left, lacking }
}
