// One simulated node: a process with a replica, its sync and its gossip, put together as src/api/live.ts
// does it, on a disk and a network that fail. It remembers what it promised.
import type { Event } from '../../src/core/event.ts'
import type { Genesis } from '../../src/core/event.ts'
import type { DatasetId, EventId } from '../../src/core/ids.ts'
import type { Rules } from '../../src/core/rules.ts'
import type { Database } from '../../src/log/database.ts'
import { DatasetLog } from '../../src/log/dataset-log.ts'
import { HeldFiles } from '../../src/log/held-files.ts'
import { NodeBlocks } from '../../src/log/node-blocks.ts'
import type { Logger, PeerId, Signer } from '../../src/ports.ts'
import { encodeGossip, gossipOf } from '../../src/replica/gossip-messages.ts'
import type { Keep } from '../../src/replica/keep.ts'
import { Replica } from '../../src/replica/replica.ts'
import { SyncLoop } from '../../src/replica/sync-loop.ts'
import { createSyncServer, type SyncSource } from '../../src/replica/sync-server.ts'
import { syncSourceOf } from '../../src/replica/sync-source.ts'
import type { Choices } from '../reference/generator.ts'
import { FULL, type Process, SimulatedDisk } from './disk.ts'
import { cheapCrypto } from './keys.ts'
import type { Endpoint, SimulatedNetwork } from './network.ts'
import type { Rows } from './rows.ts'

/** What is simulated: the code of src, or a broken form of it that must be found out. */
export interface Subject {
  readonly rulesOf?: (node: number) => Rules
  readonly keep?: Keep
  readonly logOf?: (db: Database, dataset: DatasetId, ordinal: number) => DatasetLog
}

/** Told of what must not be; ends the run. */
export type Fail = (kind: string, what: string) => void

export interface NodeNeeds {
  readonly index: number
  readonly network: SimulatedNetwork
  readonly choices: Choices
  readonly genesis: Genesis
  readonly signer: Signer
  readonly poolBytesMax: number
  readonly subject: Subject
  readonly fail: Fail
  readonly onStored: (events: readonly Event[]) => void
  /** Told when its process has ended, however it did. */
  readonly onDown: (node: SimulatedNode) => void
}

interface Running extends Process {
  replica?: Replica
  loop?: SyncLoop
  source?: SyncSource
  endpoint?: Endpoint
}

/** An older copy of a disk, and what it must hold. */
interface Backup {
  readonly rows: Rows
  readonly promised: ReadonlySet<EventId>
}

const ORDINAL = 1

/** Warnings that tell the truth about the rogues of a run. */
const ALARMS = /two histories|checkpoint list/

export class SimulatedNode {
  readonly index: number
  readonly peerId: PeerId
  readonly signer: Signer
  readonly disk: SimulatedDisk
  readonly dataset: DatasetId
  /** How much its clock is ahead. */
  skewMs = 0
  backup: Backup | undefined
  poolBytesMax: number
  readonly #needs: NodeNeeds
  #process: Running = { isAlive: false }
  /** Of all its processes: what a dead one waited for keeps all of its run in memory. */
  readonly #loops: SyncLoop[] = []
  /** Own events that somebody was told are stored: they must outlive every crash. */
  #promised = new Set<EventId>()

  constructor(needs: NodeNeeds) {
    this.#needs = needs
    this.index = needs.index
    this.peerId = `node-${needs.index}`
    this.signer = needs.signer
    this.dataset = needs.genesis.id
    this.poolBytesMax = needs.poolBytesMax
    this.disk = new SimulatedDisk(needs.network.scheduler, needs.choices)
    this.disk.onEnd = () => this.crash()
  }

  get isUp(): boolean {
    return this.#process.isAlive
  }

  /** Undefined until it is open. */
  get replica(): Replica | undefined {
    return this.#process.isAlive ? this.#process.replica : undefined
  }

  get endpoint(): Endpoint | undefined {
    return this.#process.isAlive ? this.#process.endpoint : undefined
  }

  start(): void {
    if (this.isUp) return
    const process: Running = { isAlive: true }
    this.#process = process
    this.#boot(process).catch((error: unknown) => {
      // A disk without space: the daemon does not start, and is started again.
      if (String(error).includes(FULL)) this.crash()
      else this.#needs.fail('cannot-start', `${this.peerId}: ${String(error)}`)
    })
  }

  /** The machine stops: what was not safe on disk may be gone. @returns lost writes. */
  crash(): number {
    this.#end()
    return this.disk.crash()
  }

  /** The process is killed, the machine stays: what was written is there. */
  kill(): void {
    this.#end()
  }

  /** The run is over, and with it all that waits. */
  release(): void {
    this.kill()
    for (const loop of this.#loops) loop.stop().catch(() => {})
  }

  copyDisk(): void {
    this.backup = { rows: this.disk.rows.copy(), promised: new Set(this.#promised) }
  }

  /** Somebody copies an old backup back: what came later is forgotten, promised or not. */
  restoreDisk(): void {
    if (this.backup === undefined) return
    this.crash()
    this.disk.restore(this.backup.rows)
    this.#promised = new Set(this.backup.promised)
  }

  promise(event: EventId): void {
    this.#promised.add(event)
  }

  #end(): void {
    if (!this.#process.isAlive) return
    this.#process.isAlive = false
    this.#needs.network.detach(this.peerId)
    this.#needs.onDown(this)
  }

  async #boot(process: Running): Promise<void> {
    const { subject, network, genesis, choices } = this.#needs
    const db = this.disk.open(process)
    const logOf = subject.logOf ?? ((...parts) => new DatasetLog(...parts))
    const nodes = new NodeBlocks(db)
    const clock = network.scheduler.clock(
      () => this.skewMs,
      () => process.isAlive,
    )
    const log = logOf(db, this.dataset, ORDINAL)
    const logger = this.#logger()
    const replica = await Replica.open({
      db,
      log,
      nodes,
      held: new HeldFiles(db),
      crypto: cheapCrypto,
      clock,
      logger,
      poolBytesMax: this.poolBytesMax,
      ...(subject.rulesOf && { rules: subject.rulesOf(this.index) }),
      ...(subject.keep && { keep: subject.keep }),
    })
    await this.#checkPromises(replica)
    const source = syncSourceOf(replica, nodes, cheapCrypto.sha256)
    const answer = createSyncServer({
      source: (dataset) => (dataset === this.dataset ? source : undefined),
      heard: (peer, _, roots) => process.loop?.peerHello(peer, roots),
    })
    const endpoint = network.attach(this.peerId, this.dataset, process, {
      request: answer,
      gossip: async (peer, _, body) => (await process.loop?.gossip(peer, body)) ?? 'ignore',
      peerSeen: (peer) => process.loop?.peerSeen(peer),
      peerLost: (peer) => process.loop?.peerLost(peer),
    })
    const random = { bytes: (count: number) => randomBytes(choices, count) }
    const loop = new SyncLoop({
      dataset: this.dataset,
      network: endpoint,
      clock,
      random,
      source,
      sha256: cheapCrypto.sha256,
      logger,
      submit: async (blocks) => {
        const { stored, missingParents, refused } = await replica.submit(blocks)
        return { stored: stored.length, missingParents, refused }
      },
    })
    replica.onStored((events, origin) => {
      this.#needs.onStored(events)
      if (origin !== 'own') return
      for (const event of events) {
        this.#promised.add(event.id)
        void endpoint.publish(this.dataset, encodeGossip(gossipOf(event)))
      }
    })
    Object.assign(process, { replica, loop, endpoint, source })
    this.#loops.push(loop)
    loop.start()
    for (const { peerId } of endpoint.peers()) loop.peerSeen(peerId)
    if (this.index === 0 && !replica.hasGenesis) await replica.submit([genesis.block], 'own')
  }

  /** What was acknowledged, or told to others, is there after any crash. */
  async #checkPromises({ log }: Replica): Promise<void> {
    const promised = [...this.#promised]
    const held = await log.hasMany(promised)
    const lost = promised.filter((_, i) => held[i] !== true)
    if (lost.length > 0) {
      this.#needs.fail('lost', `${this.peerId} has lost ${lost.length} events it vouched for`)
    }
  }

  #logger(): Logger {
    const complain = (fields: object, message: string) => {
      const text = `${message} ${JSON.stringify(fields)}`
      if (!text.includes(FULL)) this.#needs.fail('complaint', `${this.peerId}: ${text}`)
    }
    // Warnings of peers at fault are for peers that are; whoever is honest must not be called so.
    const warn = (fields: object, message: string) => {
      const isOfPeer = 'peer' in fields && !String(fields.peer).startsWith('node-')
      if (!isOfPeer && !ALARMS.test(message)) complain(fields, message)
    }
    return { debug: () => {}, info: () => {}, warn, error: complain }
  }
}

function randomBytes(choices: Choices, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, () => choices.below(256))
}
