// Content whose blocks are missing or damaged although it was complete here once: from then on it is
// lacking, as what was never fetched, and comes from peers like that.
import { CID } from 'multiformats/cid'
import { GonkError } from '../../core/errors.ts'
import { hexOf } from '../../core/ids.ts'
import { throwIfAborted } from '../../files/concurrent.ts'
import type { FileStore } from '../../ports.ts'
import type { FileKeeper } from '../../replica/file-keeper.ts'
import type { Replica } from '../../replica/replica.ts'
import type { ProgressOptions } from '../../contract/api.ts'

export interface BrokenContent {
  readonly content: Uint8Array
  /** As accepted: a hint. */
  readonly sizeBytes: number
}

interface Needs {
  readonly keeper: Pick<FileKeeper, 'release'>
  readonly files: Pick<FileStore, 'walk'>
}

/** Marks content as lacking. What is here of it stays, unless the collector comes first. */
export async function lackAgain(
  { keeper }: Pick<Needs, 'keeper'>,
  { log }: Replica,
  broken: readonly BrokenContent[],
): Promise<void> {
  for (const { content, sizeBytes } of broken) {
    // In this order: what is lacking and held counts as here.
    await keeper.release(CID.decode(content))
    await log.commit([log.contents.setLacking(content, sizeBytes)])
  }
}

/** For `verify`: what it finds broken is fetched again in the background. */
export function withRefetch<Context extends { readonly keeper: FileKeeper }>(context: Context) {
  const refetch = async (replica: Replica, broken: readonly BrokenContent[]) => {
    if (broken.length === 0) return
    await lackAgain(context, replica, broken)
    context.keeper.poke(replica, false)
  }
  return { ...context, refetch }
}

/** Reads all accepted content, and marks what is not whole as lacking. @returns how many files that is. */
export async function lackBroken(
  needs: Needs,
  replica: Replica,
  { onProgress, signal }: ProgressOptions = {},
): Promise<number> {
  const broken = new Set<string>()
  let last = ''
  let done = 0
  for await (const content of replica.log.contents.allAccepted()) {
    const key = hexOf(content)
    if (key === last) continue
    last = key
    if (!(await isWhole(needs, CID.decode(content), signal))) broken.add(key)
    onProgress?.({ what: 'reading files', done: ++done, total: 0, bytes: 0 })
  }
  if (broken.size === 0) return 0
  for await (const [, { versions }] of replica.log.objectTable.all()) {
    for (const { value } of versions) {
      if (!value?.content || !broken.delete(hexOf(value.content))) continue
      const { content, sizeBytes } = value
      await lackAgain(needs, replica, [{ content, sizeBytes }])
    }
  }
  return replica.log.contents.countLacking()
}

/** What is no file as accepted is not to be had anywhere. */
async function isWhole(
  { files }: Pick<Needs, 'files'>,
  cid: CID,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  throwIfAborted(signal)
  try {
    for await (const { bytes } of files.walk(cid, { signal })) if (bytes === undefined) return false
  } catch (error) {
    if (!(error instanceof GonkError) || error.code !== 'BAD_BLOCK') throw error
  }
  return true
}
