// Content of undecided proposals by others, fetched ahead for an owner who will review them. What
// strangers name must not fill the disk: it is counted before it is fetched, and the oldest goes.
import { CID } from 'multiformats/cid'
import { GonkError } from '../core/errors.ts'
import type { DatasetId } from '../core/ids.ts'
import type { HeldFiles } from '../log/held-files.ts'
import { blockKey, isRaw, linksOf } from '../files/dag.ts'
import type { Blocks, FileStore } from '../ports.ts'
import { isPending } from './derive.ts'
import type { Gate } from './gate.ts'
import type { Replica } from './replica.ts'

export interface PrefetchNeeds {
  readonly files: FileStore
  readonly held: HeldFiles
  readonly gate: Gate
  readonly hasPeers: (dataset: DatasetId) => boolean
  readonly fetch: (
    dataset: DatasetId,
    wanted: readonly PrefetchedFile[],
    signal: AbortSignal,
  ) => Promise<unknown>
  /** Tells of a file whether something else than the wish to have it early keeps it here. */
  readonly neededFiles: () => Promise<(file: Uint8Array) => Promise<boolean>>
}

export interface PrefetchedFile {
  readonly cid: CID
  readonly sizeBytes: number
}

/** What a file costs beside its bytes. */
const FILE_COST_BYTES = 4_096
const META = 'prefetchedUpTo'

/** Goes through the proposals that arrived since the last time, as long as there are peers and room. */
export async function prefetch(
  needs: PrefetchNeeds,
  replica: Replica,
  bytesMax: number,
  signal: AbortSignal,
): Promise<void> {
  if (!needs.hasPeers(replica.id)) return
  const { log } = replica
  const from = (await log.meta<number>(META)) ?? 0
  let upTo = from
  for await (const id of log.pending({ from })) {
    if (!needs.hasPeers(replica.id)) break
    const row = await log.proposal(id)
    if (row === undefined) continue
    if (!row.own && isPending(row)) {
      const wanted = (await replica.proposal(id))?.operations.flatMap((operation) =>
        'value' in operation && operation.value.content
          ? [{ cid: CID.decode(operation.value.content), sizeBytes: operation.value.sizeBytes }]
          : [],
      )
      if (!(await prefetchFiles(needs, replica.id, wanted ?? [], bytesMax, signal))) break
    }
    upTo = Math.max(upTo, row.arrival + 1)
  }
  if (upTo !== from) await log.commit([log.putMeta(META, upTo)])
}

/** @returns false when there is no room now, and may be later. */
async function prefetchFiles(
  needs: PrefetchNeeds,
  dataset: DatasetId,
  wanted: readonly PrefetchedFile[],
  bytesMax: number,
  signal: AbortSignal,
): Promise<boolean> {
  const isHeld = await needs.held.areHeld(wanted.map(({ cid }) => cid.bytes))
  const fitting: PrefetchedFile[] = []
  let costBytes = 0
  wanted.forEach((file, i) => {
    const cost = file.sizeBytes + FILE_COST_BYTES
    if (isHeld[i] === true || costBytes + cost > bytesMax) return
    fitting.push(file)
    costBytes += cost
  })
  if (fitting.length === 0) return true
  if (!(await makeRoom(needs, costBytes, bytesMax))) return false
  await needs.gate.shared(async () => {
    // Counted first, and also when it never comes as a whole: parts of it take room as well.
    await needs.held.addPrefetched(
      fitting.map(({ cid, sizeBytes }) => ({
        file: cid.bytes,
        sizeBytes: sizeBytes + FILE_COST_BYTES,
      })),
    )
    await needs.fetch(dataset, fitting, signal)
  })
  return true
}

/** Removes what was prefetched longest ago. Not while files come in: they may share blocks with it. */
async function makeRoom(needs: PrefetchNeeds, bytes: number, bytesMax: number): Promise<boolean> {
  const { held, gate } = needs
  const oldest = await held.oldestPrefetched(bytes, bytesMax)
  if (oldest.length === 0) return true
  return gate.tryExclusive(async () => {
    const isNeeded = await needs.neededFiles()
    for (const { file } of oldest) if (!(await isNeeded(file))) await discard(needs, file)
    await held.forgetPrefetched(oldest)
  })
}

/** Removes the blocks of a file that belong to no other file that is kept. */
async function discard({ files, held }: PrefetchNeeds, file: Uint8Array): Promise<void> {
  const blocks = await blocksUnder(files.blocks, CID.decode(file))
  await held.release(
    file,
    blocks.map((block) => block.bytes),
  )
  for (const block of blocks) {
    let isShared = false
    for await (const _ of held.filesWith(block.bytes)) {
      isShared = true
      break
    }
    if (!isShared) await files.blocks.delete(block)
  }
}

/** The root and all below it that the inner nodes which are here name. */
async function blocksUnder(blocks: Blocks, file: CID): Promise<CID[]> {
  const found = new Map([[blockKey(file), file]])
  for (const cid of found.values()) {
    const bytes = isRaw(cid) ? undefined : await blocks.get(cid)
    if (bytes === undefined) continue
    try {
      for (const link of linksOf(cid, bytes)) found.set(blockKey(link), link)
    } catch (error) {
      if (!(error instanceof GonkError) || error.code !== 'BAD_BLOCK') throw error
    }
  }
  return [...found.values()]
}
