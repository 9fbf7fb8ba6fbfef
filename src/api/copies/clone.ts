// A dataset from its root CID: the history from one peer after the other until the root is
// recomputed, then the files from all of them. What is here already is never fetched again.
import { CID } from 'multiformats/cid'
import { GonkError, isRejection } from '../../core/errors.ts'
import { decodeEvent } from '../../core/event-codec.ts'
import {
  type CheckpointId,
  cidOfEventId,
  type DatasetId,
  type EventId,
  eventIdOfText,
  textOfEventId,
} from '../../core/ids.ts'
import { decodeSnapshot, HEADS_MAX, type Snapshot } from '../../core/snapshot.ts'
import type { CatalogEntry } from '../../log/catalog.ts'
import type { PeerId } from '../../ports.ts'
import { historyOf, recompute } from '../../replica/recompute.ts'
import type { Replica } from '../../replica/replica.ts'
import type { NodeContext } from '../context.ts'
import { forgetDataset } from '../datasets/datasets.ts'
import { anchorTo, parseCheckpoint } from '../datasets/checkpoints.ts'
import { parseReference } from './link.ts'
import type { Live } from '../live.ts'
import { fetchExactly } from './pin.ts'
import type { CloneRequest, CloneResult, ProgressOptions } from '../../contract/api.ts'

/** What the CID given turned out to be. */
interface Target {
  readonly dataset: DatasetId
  /** Of a root; a dataset id has none: the newest state will do. */
  readonly root?: { readonly cid: CID; readonly snapshot: Snapshot }
}

export interface CloneOptions extends ProgressOptions {
  /** Told, and waited for, before anything of the dataset is written. */
  readonly onTarget?: (dataset: DatasetId) => Promise<void>
}

/**
 * Throws BAD_CID, NO_PEER, EXISTS, BAD_ROOT, ANCHOR_NOT_FOUND, NOT_HERE (files that no peer has),
 * CANCELLED. What was fetched stays: the same command goes on where it stopped.
 */
export async function clone(
  context: NodeContext,
  live: Live,
  request: CloneRequest,
  options: CloneOptions = {},
): Promise<CloneResult> {
  const startedMs = context.clock.nowMs()
  const reference = parseReference(request.ref)
  const anchor = request.anchor === undefined ? undefined : parseCheckpoint(request.anchor)
  const addresses = [...new Set([...(request.peers ?? []), ...reference.peers])]
  const peers = await connectAll(context, addresses, options)
  const { target, peer: first } = await findTarget(context, reference.cid, peers, options)
  if (request.pinOnly === true && target.root === undefined) {
    throw new GonkError('USAGE', '--pin-only needs a root, not a dataset', {
      hint: 'give the root CID, such as `gonk-node root` prints',
    })
  }
  await options.onTarget?.(target.dataset)
  const before = context.catalog.get(target.dataset)
  const entry = await enter(context, target, addresses, request)
  const replica = await context.replicas.get(entry.id)
  const order = [first, ...peers.filter((peer) => peer !== first)]
  try {
    await fetchHistory(context, live, replica, target, order, request, options)
  } catch (error) {
    // A root that no history gives is never reached: there is nothing to go on with.
    const isForIt = !before || before.cloning?.root === target.root?.cid.toString()
    if (error instanceof WrongRoot && isForIt) await forgetDataset(context, live, entry)
    throw error
  }
  if (anchor !== undefined) await anchorTo(replica, anchor, request)
  await name(context, entry, replica, request.name)
  const lacking = await context.keeper.fetchLacking(replica, { ...options, peers: order })
  if (lacking > 0) {
    throw new GonkError('NOT_HERE', `${lacking} files could not be had from ${order.join(', ')}`, {
      hint: 'repeat the command with another --peer: it goes on where it stopped',
    })
  }
  const follows = request.pinOnly !== true
  await context.catalog.update(entry.id, {
    cloning: undefined,
    ...(follows && addresses.length > 0 && { peers: addresses }),
  })
  if (follows) await live.follow(entry.id)
  const { root, stateRoot, counts } = await replica.snapshot()
  return {
    id: textOfEventId(entry.id),
    name: context.catalog.get(entry.id)?.name ?? entry.name,
    root: root.toString(),
    stateRoot: stateRoot.toString(),
    objects: counts.objects,
    bytes: counts.bytes,
    seconds: (context.clock.nowMs() - startedMs) / 1000,
  }
}

/** Dials every address, tells of those that fail, and adds the peers that are connected already. */
async function connectAll(
  context: NodeContext,
  addresses: readonly string[],
  options: ProgressOptions,
): Promise<PeerId[]> {
  const failures: GonkError[] = []
  const dialled = await Promise.all(
    addresses.map((address) =>
      context.network.connect(address, options).catch((error: unknown) => {
        const failure = asGonkError(error)
        failures.push(failure)
        context.logger.warn({ address, code: failure.code }, 'peer could not be reached')
        return undefined
      }),
    ),
  )
  const connected = context.network.peers().map(({ peerId }) => peerId)
  const peers = [...new Set([...dialled.filter((peer) => peer !== undefined), ...connected])]
  if (peers.length > 0) return peers
  throw (
    failures[0] ??
    new GonkError('NO_PEER', 'no peer is connected', { hint: 'name one with --peer MULTIADDR' })
  )
}

function asGonkError(error: unknown): GonkError {
  return error instanceof GonkError
    ? error
    : new GonkError('NO_PEER', String((error as Error).message ?? error), { cause: error })
}

/** Asks one peer after the other for the block of the CID, and reads what it is. */
async function findTarget(
  context: NodeContext,
  text: string,
  peers: readonly PeerId[],
  options: ProgressOptions,
): Promise<{ target: Target; peer: PeerId }> {
  const id = eventIdOfText(text) as EventId
  const cid = cidOfEventId(id)
  options.onProgress?.({ what: 'finding root', done: 0, total: 1, bytes: 0 })
  const answers: string[] = []
  for (const peer of peers) {
    try {
      for await (const { bytes } of context.network.blocks(peer, id, [cid], options)) {
        if (bytes === undefined) {
          answers.push(`${peer} does not have it`)
          continue
        }
        return { target: readTarget(context, id, cid, bytes), peer }
      }
    } catch (error) {
      if (options.signal?.aborted || (error as GonkError).code === 'BAD_CID') throw error
      answers.push(`${peer}: ${(error as Error).message}`)
    }
  }
  throw new GonkError('NOT_FOUND', `no peer has ${text}: ${answers.join('; ')}`, {
    hint: 'check the CID, or name another --peer',
  })
}

function readTarget(context: NodeContext, id: EventId, cid: CID, bytes: Uint8Array): Target {
  const snapshot = decodeSnapshot(bytes)
  if (!isRejection(snapshot)) return { dataset: snapshot.dataset, root: { cid, snapshot } }
  const event = decodeEvent(bytes, context.crypto.sha256)
  if (!isRejection(event) && event.family === 'genesis') return { dataset: id }
  throw new GonkError('BAD_CID', `${cid.toString()} is neither a root nor a dataset`)
}

/** Opens the dataset's place in this home, or the one of a clone that was interrupted. */
async function enter(
  context: NodeContext,
  target: Target,
  peers: readonly string[],
  request: CloneRequest,
): Promise<CatalogEntry> {
  const root = target.root?.cid.toString()
  const { anchor } = request
  const cloning = {
    ...(root !== undefined && { root }),
    peers: [...peers],
    ...(anchor !== undefined && { anchor }),
  }
  const pinnedRoot = request.pinOnly === true ? root : undefined
  const known = context.catalog.get(target.dataset)
  if (known && !known.cloning) {
    throw new GonkError('EXISTS', `the dataset is here already, as "${known.name}"`, {
      hint: 'it follows its peers; `gonk-node root` prints where it stands',
    })
  }
  const wanted = request.name ?? known?.name ?? textOfEventId(target.dataset)
  const others = context.catalog.list().filter(({ id }) => id !== target.dataset)
  if (others.some((entry) => entry.name === wanted)) {
    throw new GonkError('EXISTS', `a dataset named "${wanted}" is here already`, {
      hint: 'give another --name',
    })
  }
  if (known) {
    return context.catalog.update(target.dataset, { name: wanted, cloning, pinnedRoot })
  }
  const pinned = pinnedRoot === undefined ? {} : { pinnedRoot }
  return context.catalog.create(target.dataset, { name: wanted, cloning, ...pinned })
}

/** The owner's name for the dataset, unless the user gave one or it is taken. */
async function name(
  context: NodeContext,
  entry: CatalogEntry,
  replica: Replica,
  asked: string | undefined,
): Promise<void> {
  if (asked !== undefined || entry.name !== textOfEventId(entry.id)) return
  const block = await replica.log.block(entry.id)
  const genesis = block && decodeEvent(block, context.crypto.sha256)
  if (!genesis || isRejection(genesis) || genesis.family !== 'genesis' || !genesis.name) return
  const taken = new Set(context.catalog.list().map((other) => other.name))
  let free = genesis.name
  for (let i = 2; taken.has(free); i++) free = `${genesis.name}-${i}`
  await context.catalog.update(entry.id, { name: free })
}

/** Events from one peer after the other, until they give the root asked for. */
async function fetchHistory(
  context: NodeContext,
  live: Live,
  replica: Replica,
  target: Target,
  peers: readonly PeerId[],
  { pinOnly = false, anchor }: CloneRequest,
  options: ProgressOptions,
): Promise<void> {
  const anchored = anchor === undefined ? undefined : parseCheckpoint(anchor)
  const failures: string[] = []
  for (const peer of peers) {
    try {
      if (pinOnly && target.root) {
        await fetchExactly(context, replica, target.root.snapshot.eventsRoot, peer, options)
      } else {
        await live.syncWith(replica, peer, options)
      }
      if (await reachesRoot(context, replica, target, peer, anchored, options)) return
      failures.push(`${peer}: its history does not give the root`)
      context.logger.warn({ peer, code: 'BAD_ROOT' }, 'peer sent a history that gives another root')
    } catch (error) {
      if (error instanceof WrongRoot) {
        context.logger.warn({ peer, code: error.code, what: error.message }, 'the root is wrong')
      }
      if (options.signal?.aborted || error instanceof WrongRoot) throw error
      failures.push(`${peer}: ${(error as Error).message}`)
    }
  }
  throw new GonkError('BAD_ROOT', `no peer gave the whole history: ${failures.join('; ')}`)
}

/** All of the history that the root names is here, and gives another root. */
class WrongRoot extends GonkError {}

/**
 * Recomputes the root: of all that is here, or, where the dataset has moved on, of the past of its
 * heads. Throws WrongRoot when no peer can help.
 */
async function reachesRoot(
  context: NodeContext,
  replica: Replica,
  target: Target,
  peer: PeerId,
  anchor: CheckpointId | undefined,
  options: ProgressOptions,
): Promise<boolean> {
  if (!replica.hasGenesis) return false
  if (target.root === undefined) return true
  options.onProgress?.({ what: 'verifying root', done: 0, total: 1, bytes: 0 })
  const { root } = await replica.snapshot()
  if (root.equals(target.root.cid)) return true
  const { heads } = target.root.snapshot
  const here = await replica.log.headers(heads)
  if (here.includes(undefined)) return false
  const again = (settled: { anchor?: CheckpointId }) =>
    recompute(context, historyOf(replica.log, heads), { signal: options.signal, ...settled })
  const { snapshot, isComplete } = await again({})
  if (snapshot?.root.equals(target.root.cid)) return true
  // Whoever shares it may trust the same checkpoint.
  if (anchor !== undefined && (await again({ anchor })).snapshot?.root.equals(target.root.cid)) {
    return true
  }
  // A block that lists so many heads may leave out some.
  if (snapshot === undefined || !isComplete || heads.length >= HEADS_MAX) return false
  const what = `the events that ${target.root.cid} names give the root ${snapshot.root}`
  throw new WrongRoot('BAD_ROOT', what, {
    hint: `the root, or the peer ${peer} that has its block, is wrong: ask who gave it to you`,
  })
}
