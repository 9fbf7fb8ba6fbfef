// The collector: keeps exactly what decisions of owners, and this node's own undecided proposals,
// make it keep, and removes every other block.
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { isRejection } from '../../core/errors.ts'
import { hexOf } from '../../core/ids.ts'
import { decodeSnapshot } from '../../core/snapshot.ts'
import { throwIfAborted } from '../../files/concurrent.ts'
import { isPending } from '../../replica/derive.ts'
import type { Replica } from '../../replica/replica.ts'
import type { NodeContext } from '../context.ts'
import { releaseRoots } from '../datasets/release-files.ts'
import { treeBlocks } from './tree-walk.ts'
import type { ProgressOptions } from '../../contract/api.ts'

/**
 * Removes blocks that nothing needs. Files may not come in meanwhile; reads go on. Throws TIMEOUT where
 * files come in all the time, CANCELLED.
 * @returns blocks and bytes removed.
 */
export async function collect(
  context: NodeContext,
  options: ProgressOptions = {},
): Promise<{ blocks: number; bytes: number }> {
  const sweep = async () => {
    await releaseUnneeded(context, options)
    const files = await sweepFiles(context, options)
    const nodes = await sweepNodes(context)
    return { blocks: files.blocks + nodes.blocks, bytes: files.bytes + nodes.bytes }
  }
  return context.keeper.gate.exclusive(sweep, options)
}

/** Forgets complete files that no dataset names any more. */
async function releaseUnneeded(context: NodeContext, { signal }: ProgressOptions): Promise<void> {
  const { held, keeper } = context
  const isNeeded = await neededFiles(context)
  const prefetched = new Set<string>()
  for await (const file of held.prefetched()) prefetched.add(hexOf(file))
  for await (const file of held.list()) {
    throwIfAborted(signal)
    if (prefetched.has(hexOf(file)) || (await isNeeded(file))) continue
    await keeper.release(CID.decode(file))
  }
}

/**
 * Tells of a file whether a dataset here, or an undecided proposal made here, holds it, or whether it
 * was stored for a proposal to come.
 */
export async function neededFiles(
  context: Pick<NodeContext, 'catalog' | 'replicas' | 'held' | 'clock'>,
): Promise<(file: Uint8Array) => Promise<boolean>> {
  const { catalog, replicas, held, clock } = context
  const logs = catalog.list().map((entry) => catalog.logOf(entry))
  const undecided = new Set((await held.keptAfter(clock.nowMs())).map(hexOf))
  for (const entry of catalog.list()) {
    await addOwnUndecided(await replicas.get(entry.id), undecided)
  }
  return async (file) => {
    if (undecided.has(hexOf(file))) return true
    const accepted = await Promise.all(logs.map((log) => log.contents.isAccepted(file)))
    return accepted.includes(true)
  }
}

async function addOwnUndecided(replica: Replica, contents: Set<string>): Promise<void> {
  for await (const id of replica.log.pending()) {
    const row = await replica.log.proposal(id)
    if (row?.own !== true || !isPending(row)) continue
    const proposal = await replica.proposal(id)
    for (const operation of proposal?.operations ?? []) {
      if ('value' in operation && operation.value.content) {
        contents.add(hexOf(operation.value.content))
      }
    }
  }
}

async function sweepFiles(
  { files, held }: NodeContext,
  options: ProgressOptions,
): Promise<{ blocks: number; bytes: number }> {
  const removed = { blocks: 0, bytes: 0 }
  let done = 0
  for await (const cid of files.list()) {
    throwIfAborted(options.signal)
    options.onProgress?.({ what: 'sweeping', done: ++done, total: 0, bytes: removed.bytes })
    let isKept = false
    for await (const _ of held.filesWith(cid.bytes)) {
      isKept = true
      break
    }
    if (isKept) continue
    removed.bytes += (await files.blocks.get(cid))?.length ?? 0
    removed.blocks++
    await files.blocks.delete(cid)
  }
  return removed
}

/** Keeps what hangs off the newest roots and off releases; the rest can be computed again. */
async function sweepNodes(context: NodeContext): Promise<{ blocks: number; bytes: number }> {
  const { catalog, replicas } = context
  const kept = new Set<string>()
  const all = await Promise.all(catalog.list().map((entry) => replicas.get(entry.id)))
  for (const replica of all) {
    const roots = await replica.whileStill(async (current) => current)
    for (const root of [...roots, ...(await releaseRoots(replica))]) await mark(context, root, kept)
  }
  // Trees may have moved on since, and must not while nodes are removed: a node that one drops and
  // another makes again would be lost.
  return whileAllStill(all, [], async (roots) => {
    for (const root of roots) await mark(context, root, kept)
    return removeUnmarked(context, kept)
  })
}

async function whileAllStill<T>(
  [first, ...rest]: readonly Replica[],
  roots: readonly CID[],
  task: (roots: readonly CID[]) => Promise<T>,
): Promise<T> {
  if (first === undefined) return task(roots)
  return first.whileStill((own) => whileAllStill(rest, [...roots, ...own], task))
}

async function removeUnmarked(
  { nodes }: NodeContext,
  kept: ReadonlySet<string>,
): Promise<{ blocks: number; bytes: number }> {
  const removed = { blocks: 0, bytes: 0 }
  for await (const cid of nodes.list()) {
    if (kept.has(cid.toString())) continue
    const bytes = await nodes.get(cid)
    // Snapshots are tiny, and tell a peer that asks for an old root which history gives it.
    if (bytes && cid.code === dagCbor.code && !isRejection(decodeSnapshot(bytes))) continue
    removed.bytes += bytes?.length ?? 0
    removed.blocks++
    await nodes.delete(cid)
  }
  return removed
}

async function mark({ nodes }: NodeContext, root: CID, kept: Set<string>): Promise<void> {
  for await (const _ of treeBlocks(nodes, root, kept)) continue
}
