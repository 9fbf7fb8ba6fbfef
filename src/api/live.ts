// What a running node does by itself: answers peers, follows its datasets, fetches their files.
import type { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import { cidBytesOf, type DatasetId, type EventId, hexOf, textOfEventId } from '../core/ids.ts'
import type { NetworkHandlers, PeerId } from '../ports.ts'
import { Mutex } from '../replica/mutex.ts'
import type { RootAlarm } from '../replica/canary.ts'
import { OwnNews } from '../replica/own-news.ts'
import type { Source } from '../replica/pool.ts'
import { RepairLoop } from '../replica/repair-loop.ts'
import type { Replica } from '../replica/replica.ts'
import { SyncLoop } from '../replica/sync-loop.ts'
import { createSyncServer, type SyncSource } from '../replica/sync-server.ts'
import type { SessionEnd, Submitted } from '../replica/sync-session.ts'
import { syncSourceOf } from '../replica/sync-source.ts'
import type { NodeContext } from './context.ts'
import { auditReleases } from './datasets/releases.ts'
import { Notices } from './history/stream.ts'
import type { ProgressOptions } from '../contract/api.ts'

/** A dataset that peers may ask about. */
interface Shared {
  readonly replica: Replica
  readonly source: SyncSource
  readonly repairs: RepairLoop
  /** Absent for a pinned root, which asks for nothing. */
  readonly loop?: SyncLoop
}

const DISCOVER_EVERY_MS = 60_000
const DISCOVER_TIMEOUT_MS = 20_000
/** A session that ended so has brought all the peer has. */
const COMPLETE: readonly SessionEnd[] = ['equal', 'ahead', 'settled', 'over-quota']

export class Live {
  readonly handlers: NetworkHandlers
  /** Of what changes, for whoever watches. */
  readonly notices: Notices
  readonly #context: NodeContext
  readonly #shared = new Map<DatasetId, Shared>()
  readonly #stopped = new AbortController()
  readonly #audits = new Mutex()
  readonly #tasks = new Set<Promise<unknown>>()

  constructor(context: NodeContext) {
    this.#context = context
    this.notices = new Notices(context)
    const answer = createSyncServer({
      source: (dataset) => this.#shared.get(dataset)?.source,
      heard: (peer, dataset, roots) => this.#shared.get(dataset)?.loop?.peerHello(peer, roots),
    })
    this.handlers = {
      request: answer,
      block: (_, __, cid) => this.#block(cid),
      gossip: async (peer, dataset, body) =>
        (await this.#shared.get(dataset)?.loop?.gossip(peer, body)) ?? 'ignore',
      peerSeen: (peer, dataset) => this.#peerSeen(peer, dataset),
      gossipMissed: (peer, dataset) => this.#shared.get(dataset)?.loop?.peerSeen(peer),
      peerLost: (peer) => {
        this.notices.peer(peer)
        for (const { loop } of this.#shared.values()) loop?.peerLost(peer)
      },
    }
  }

  /** Shares a dataset with peers and, unless it is pinned, follows it. */
  async follow(id: DatasetId): Promise<void> {
    if (this.#shared.has(id)) return
    const { catalog, network, crypto, clock, nodes, replicas, logger } = this.#context
    const replica = await replicas.get(id)
    // Meanwhile another call may have come first, or the dataset be forgotten.
    if (this.#shared.has(id) || catalog.get(id) === undefined) return
    const source = syncSourceOf(replica, nodes, crypto.sha256)
    const repairs = new RepairLoop({ replica, network, crypto, logger })
    if (catalog.get(id)?.pinnedRoot !== undefined) {
      this.#shared.set(id, { replica, source, repairs })
      network.join(id)
      return
    }
    const loop = this.#loopOf(replica, source)
    this.#shared.set(id, { replica, source, repairs, loop })
    const news = new OwnNews({
      clock,
      publish: (body) => this.#background(network.publish(id, body)),
      announce: (delayMs) => loop.announce(delayMs),
    })
    replica.onStored((events, origin) => {
      if (origin === 'own') news.tell(events)
      this.#keep(replica)
      if (events.some(({ kind }) => kind === 'release')) this.#audit(replica)
    })
    network.join(id)
    loop.start()
    for (const { peerId } of network.peers()) loop.peerSeen(peerId)
    this.#keep(replica)
    this.#audit(replica)
    this.#background(this.#discover(replica))
  }

  #loopOf(replica: Replica, source: SyncSource): SyncLoop {
    const { network, clock, random, crypto, logger } = this.#context
    return new SyncLoop({
      dataset: replica.id,
      network,
      clock,
      random,
      source,
      sha256: crypto.sha256,
      logger,
      submit: (blocks, peer, isNews = false) => {
        const isNamed = network.isNamed(peer)
        return this.#submit(replica, blocks, { peer, isNews, isNamed })
      },
      hasRoom: (peer) => replica.hasRoomFor({ peer, isNamed: network.isNamed(peer) }),
      state: async () => {
        const { eventsRoot, stateRoot, checkpoint } = await replica.snapshot()
        const state = { owner: eventsRoot.multihash.digest, state: stateRoot.bytes }
        return {
          ...state,
          ...(checkpoint && { checkpoint: cidBytesOf(checkpoint as string as EventId) }),
        }
      },
    })
  }

  async #submit(
    replica: Replica,
    blocks: readonly Uint8Array[],
    source: Source,
  ): Promise<Submitted> {
    const { stored, missingParents, refused } = await replica.submit(blocks, source)
    const { peer } = source
    for (const { refused: code, what, event } of refused) {
      const fields = { peer, dataset: textOfEventId(replica.id), event, code, what }
      // Whoever judges the peer for it writes the line that counts.
      this.#context.logger.debug(fields, 'event refused')
    }
    return { stored: stored.length, missingParents, refused }
  }

  /** Fetches what is lacking, and for owners what waits for them. */
  #keep(replica: Replica): void {
    const { keeper, signer, users } = this.#context
    // Whoever reviews here, as the node or as one of its users, wants to see what waits.
    const isOwner = (key: string) => replica.tenureOf(key) !== undefined
    const keys = [signer.publicKey, ...users.list().map(({ publicKey }) => publicKey)]
    keeper.poke(replica, keys.some(isOwner))
  }

  /** Checks, one dataset after the other, that releases name the roots of their pasts. */
  #audit(replica: Replica): void {
    const { signal } = this.#stopped
    this.#background(
      this.#audits.run(async () => {
        if (!signal.aborted) await auditReleases(this.#context, replica, { signal })
      }),
    )
  }

  async unfollow(id: DatasetId): Promise<void> {
    const shared = this.#shared.get(id)
    this.#shared.delete(id)
    this.#context.network.leave(id)
    await Promise.all([shared?.loop?.stop(), shared?.repairs.stop()])
  }

  isSyncing(id: DatasetId): boolean {
    return this.#shared.get(id)?.loop?.isSyncing ?? false
  }

  /** Peers of a dataset that hold the same events and say that another state follows from them. */
  rootAlarms(id: DatasetId): readonly RootAlarm[] {
    return this.#shared.get(id)?.loop?.alarms ?? []
  }

  /** Follows all datasets of the home. @returns those whose clone was interrupted. */
  async followAll(): Promise<DatasetId[]> {
    const interrupted: DatasetId[] = []
    for (const entry of this.#context.catalog.list()) {
      if (entry.cloning) interrupted.push(entry.id)
      else await this.follow(entry.id).catch((error: unknown) => this.#unreadable(entry.id, error))
    }
    return interrupted
  }

  /** What is wrong with one dataset must not keep the others shut. */
  #unreadable(id: DatasetId, error: unknown): void {
    const code = error instanceof GonkError ? error.code : 'INTERNAL'
    const fields = { dataset: textOfEventId(id), code, reason: String(error) }
    this.#context.logger.error(fields, 'a dataset cannot be read; the others go on')
  }

  /** One session with one peer, until it has nothing more. Throws PEER_FAILED, CANCELLED. */
  async syncWith(replica: Replica, peer: PeerId, options: ProgressOptions = {}): Promise<void> {
    const { nodes, crypto } = this.#context
    const shared = this.#shared.get(replica.id)
    const source = shared?.source ?? syncSourceOf(replica, nodes, crypto.sha256)
    const loop = shared?.loop ?? this.#loopOf(replica, source)
    const progress = { done: 0, bytes: 0 }
    const stopListening = replica.onStored((events) => {
      progress.done += events.length
      progress.bytes += events.reduce((sum, event) => sum + event.block.length, 0)
      options.onProgress?.({ what: 'fetching events', total: 0, ...progress })
    })
    const aborted = Promise.withResolvers<never>()
    const onAbort = () => aborted.reject(new GonkError('CANCELLED', 'stopped'))
    options.signal?.addEventListener('abort', onAbort)
    try {
      options.signal?.throwIfAborted()
      loop.start()
      const result = await Promise.race([loop.sync(peer), aborted.promise])
      if (!COMPLETE.includes(result.end)) throw new GonkError('PEER_FAILED', result.what)
    } finally {
      options.signal?.removeEventListener('abort', onAbort)
      stopListening()
      if (loop !== shared?.loop) await loop.stop()
    }
  }

  #peerSeen(peer: PeerId, dataset: DatasetId | undefined): void {
    this.notices.peer(peer, dataset)
    for (const [id, { loop, repairs, replica }] of this.#shared) {
      if (dataset !== undefined && dataset !== id) continue
      repairs.poke()
      loop?.peerSeen(peer)
      if (loop) this.#keep(replica)
    }
  }

  /** Blocks for a gonk-node: history and trees, and the files this node keeps for any dataset. */
  async #block(cid: CID): Promise<Uint8Array | undefined> {
    const { nodes, held, files } = this.#context
    const node = await nodes.get(cid)
    if (node) return node
    for await (const _ of held.filesWith(cid.bytes)) return files.blocks.get(cid)
    return undefined
  }

  /** Whether a block is under a root of a dataset that is shared: what stock IPFS peers may have. */
  async isShared(cid: CID): Promise<boolean> {
    const { catalog, nodes, held } = this.#context
    if ((await nodes.node(cid)) !== undefined) return true
    const logs = catalog.list().map((entry) => catalog.logOf(entry))
    const event = hexOf(cid.multihash.digest) as EventId
    for (const log of logs) {
      const [header, proposal] = await Promise.all([log.header(event), log.proposal(event)])
      if (header || proposal?.named === true) return true
    }
    for await (const file of held.filesWith(cid.bytes)) {
      for (const log of logs) if (await log.contents.isAccepted(file)) return true
    }
    return false
  }

  async #discover(replica: Replica): Promise<void> {
    const { id } = replica
    const { network, clock } = this.#context
    const { signal } = this.#stopped
    while (!signal.aborted && this.#shared.get(id)?.replica === replica) {
      if (network.peersOf(id).length === 0) {
        const timeout = AbortSignal.any([signal, AbortSignal.timeout(DISCOVER_TIMEOUT_MS)])
        await network.discover(id, { signal: timeout }).catch(() => {})
      }
      await clock.sleep(DISCOVER_EVERY_MS, { signal }).catch(() => {})
    }
  }

  #background(task: Promise<unknown>): void {
    const quiet = task.catch((error: unknown) => {
      this.#context.logger.debug({ reason: String(error) }, 'background task failed')
    })
    this.#tasks.add(quiet)
    void quiet.finally(() => this.#tasks.delete(quiet))
  }

  async close(): Promise<void> {
    this.#stopped.abort()
    const shared = [...this.#shared.values()]
    await Promise.all(shared.flatMap(({ loop, repairs }) => [loop?.stop(), repairs.stop()]))
    await Promise.allSettled([...this.#tasks])
  }
}
