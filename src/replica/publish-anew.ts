// The state tree and `files/` from the rows alone: what a clone or a rebuild ends with. Each node is
// written once, where taking in the journal part by part would write most of them in every part.
import { buildDirectory, type DirectoryFile } from '../files/directory-build.ts'
import type { NameClaim } from '../core/state.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import { NodeWriter } from './node-writer.ts'
import { type Name, ownershipOf } from './ownership.ts'
import type { PublishNeeds, Trees } from './publish.ts'
import { updateState } from './state-tree.ts'

const NAMES_PER_PART = 2_000

/**
 * Takes in all rows there are, whatever the journal lists, and clears it. The roots come last: what is
 * cut off before begins again.
 */
export async function publishAnew(needs: PublishNeeds, trees: Trees): Promise<Trees> {
  const { log, partMax = NAMES_PER_PART } = needs
  await log.clear(['owned'])
  let fileCount = 0
  let fileBytes = 0n
  for await (const names of claimedNames(log, partMax)) {
    const owned = await ownershipOf(needs, names)
    fileCount += owned.fileCount
    fileBytes += owned.fileBytes
    await log.commit(owned.writes)
  }
  const writer = new NodeWriter(needs)
  const files = await buildDirectory(ownedFiles(log), writer)
  const state = await updateState(needs, writer, undefined, log.objectTable.all())
  const roots = { state: state.bytes, files: files.bytes }
  const current = { ...trees, ...roots, fileCount, fileBytes: String(fileBytes) }
  await log.commit([log.putMeta('trees', current)])
  // What is left of it after a crash is taken in once more, and changes nothing.
  await log.clear(['stateJournal'])
  return current
}

/** All names that are claimed, each once, in parts. */
async function* claimedNames(log: DatasetLog, partMax: number): AsyncGenerator<Name[]> {
  let part: Name[] = []
  for (const space of ['file', 'schema'] as const satisfies NameClaim['space'][]) {
    let last: string | undefined
    for await (const { name } of log.names.claims(space)) {
      if (name === last) continue
      last = name
      part.push({ space, name })
      if (part.length < partMax) continue
      yield part
      part = []
    }
  }
  if (part.length > 0) yield part
}

async function* ownedFiles(log: DatasetLog): AsyncGenerator<DirectoryFile> {
  for await (const [path, { content, sizeBytes }] of log.names.allOwned('file')) {
    yield { path, content, sizeBytes }
  }
}
