// Checks a whole dataset again: every signature, hash and rule by computing the state anew from the
// events, then every block of the trees, of `files/` and of accepted content.
import { CID } from 'multiformats/cid'
import { GonkError, isRejection } from '../../core/errors.ts'
import { decodeEvent, signatureOf } from '../../core/event-codec.ts'
import { type EventId, hexOf, textOfEventId } from '../../core/ids.ts'
import { entriesOf, type NodeSource } from '../../core/trie.ts'
import { throwIfAborted } from '../../files/concurrent.ts'
import { directoryChanges } from '../../files/directory-diff.ts'
import type { CatalogEntry } from '../../log/catalog.ts'
import type { Database } from '../../log/database.ts'
import type { NodeBlocks } from '../../log/node-blocks.ts'
import type { FileStore } from '../../ports.ts'
import {
  historyOf,
  type Recomputed,
  type RecomputeNeeds,
  withRecomputed,
} from '../../replica/recompute.ts'
import { differingRows, type Rows } from '../../replica/repair-rows.ts'
import type { Replica, Snapshot } from '../../replica/replica.ts'
import type { Replicas } from '../context.ts'
import { auditReleases } from '../datasets/releases.ts'
import { cidText, versionText } from '../text.ts'
import type { BrokenContent } from './repair-files.ts'
import type { ProgressOptions, VerifyResult } from '../../contract/api.ts'

export interface VerifyNeeds extends RecomputeNeeds {
  readonly replicas: Pick<Replicas, 'get'>
  readonly nodes: NodeBlocks
  readonly files: FileStore
  readonly db: Database
  /** Sees to it that content which is not whole is fetched again. @default it is only named */
  readonly refetch?: (replica: Replica, broken: readonly BrokenContent[]) => Promise<void>
}

const PROBLEMS_MAX = 1_000
const EVENTS_PER_READ = 32
/** The state may move while it is verified; then what is compared is compared again. */
const ATTEMPTS = 3

/** Under way: each reads everything there is. */
const verified = new WeakSet<Replica>()

/** What was counted and found so far. */
class Tally {
  events = 0
  blocks = 0
  bytes = 0
  readonly problems: string[] = []
  #more = 0

  problem(line: string): void {
    if (this.problems.length < PROBLEMS_MAX) this.problems.push(line)
    else this.#more++
  }

  block(bytes: Uint8Array): void {
    this.blocks++
    this.bytes += bytes.length
  }

  result(): VerifyResult {
    const { events, blocks, bytes, problems } = this
    const more = this.#more > 0 ? [`and ${this.#more} more problems`] : []
    return { ok: problems.length === 0, events, blocks, bytes, problems: [...problems, ...more] }
  }
}

/**
 * Never changes what the dataset says; a tree node that was lost is put back. `problems` has one line
 * each, at most 1,000, saying what is wrong and what to do. Throws NOT_FOUND, DISK, CANCELLED, and
 * TOO_MANY while the dataset is verified for somebody else.
 */
export async function verify(
  needs: VerifyNeeds,
  entry: CatalogEntry,
  options: ProgressOptions = {},
): Promise<VerifyResult> {
  const replica = await needs.replicas.get(entry.id)
  if (verified.has(replica)) {
    throw new GonkError('TOO_MANY', `${entry.name} is being verified already`, {
      hint: 'wait until that has ended',
    })
  }
  verified.add(replica)
  try {
    return await verifyAll(needs, entry, replica, options)
  } finally {
    verified.delete(replica)
  }
}

async function verifyAll(
  needs: VerifyNeeds,
  entry: CatalogEntry,
  replica: Replica,
  options: ProgressOptions,
): Promise<VerifyResult> {
  let tally = new Tally()
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    tally = new Tally()
    const published = await replica.snapshot()
    const isSame = await verifyState(needs, replica, published, tally, options)
    if (isSame || (await replica.snapshot()).root.equals(published.root)) break
  }
  await verifyPin(replica, entry, tally)
  await verifyPool(needs, replica, tally, options)
  await verifyContent(needs, replica, tally, options)
  await auditReleases(needs, replica, options)
  return tally.result()
}

// ---------------------------------------------------------------- events, roots and trees

/** @returns whether the roots published are those the events give. */
async function verifyState(
  needs: VerifyNeeds,
  replica: Replica,
  published: Snapshot,
  tally: Tally,
  { onProgress, signal }: ProgressOptions,
): Promise<boolean> {
  const total = published.counts.events
  const history = historyOf(replica.log, published.heads)
  return withRecomputed(
    needs,
    history,
    async (recomputed, rebuilt, rows) => {
      tally.events += recomputed.events
      tally.bytes += recomputed.bytes
      reportEvents(recomputed, tally)
      await replica.damage.found(recomputed.missing)
      const isSame = reportRoots(published, recomputed, tally)
      if (isSame) await verifyRows({ db: needs.db, log: replica.log }, rows, tally, signal)
      await verifyTrees(needs.nodes, rebuilt, replica, published, tally, signal)
      return isSame
    },
    {
      signal,
      anchor: replica.anchor,
      onProgress: (progress) => onProgress?.({ ...progress, total }),
    },
  )
}

function reportEvents({ refused, missing }: Recomputed, tally: Tally): void {
  for (const id of missing) {
    const what = `event ${textOfEventId(id)} is missing or damaged`
    tally.problem(`${what}: clone the dataset again from a peer`)
  }
  for (const { event, refused: reason, what } of refused) {
    const line = `event ${textOfEventId(event)} is refused (${reason}: ${what})`
    tally.problem(`${line}: clone the dataset again from a peer`)
  }
}

function reportRoots(published: Snapshot, { snapshot }: Recomputed, tally: Tally): boolean {
  if (snapshot?.root.equals(published.root)) return true
  for (const name of ['root', 'stateRoot', 'eventsRoot', 'files'] as const) {
    const computed = snapshot?.[name]
    if (computed?.equals(published[name])) continue
    const what = `${name} is published as ${published[name]}, its events give ${computed ?? 'none'}`
    tally.problem(`${what}: clone the dataset again from a peer`)
  }
  return false
}

async function verifyRows(
  here: Rows,
  again: Rows,
  tally: Tally,
  signal: AbortSignal | undefined,
): Promise<void> {
  const before = await here.log.nextNumber('arrivals')
  const found = await differingRows(here, again, signal)
  // What was stored meanwhile differs, too.
  if ((await here.log.nextNumber('arrivals')) !== before) return
  for (const { table, rows } of found) {
    tally.problem(`${rows} rows of ${table} are not what the events give: run \`gonk-node repair\``)
  }
}

async function verifyTrees(
  nodes: NodeBlocks,
  rebuilt: NodeBlocks,
  replica: Replica,
  published: Snapshot,
  tally: Tally,
  signal: AbortSignal | undefined,
): Promise<void> {
  const sourceOf = (tree: string): NodeSource => ({
    async get(cid) {
      throwIfAborted(signal)
      const bytes = await nodes.get(cid)
      if (bytes !== undefined) {
        tally.block(bytes)
        return bytes
      }
      const again = await rebuilt.get(cid)
      if (again === undefined) return undefined
      await nodes.put(cid, again)
      tally.problem(`${tree}: block ${cid} was missing or damaged and is put back: verify again`)
      return again
    },
  })
  const { root, stateRoot, eventsRoot, files } = published
  await sourceOf('snapshot').get(root)
  await walked('state tree', tally, entriesOf(stateRoot, sourceOf('state tree')))
  await walked('events tree', tally, entriesOf(eventsRoot, sourceOf('events tree')))
  const isFile = async (path: string) => {
    const [owned] = await replica.log.names.owned([{ space: 'file', name: path }])
    return owned !== undefined
  }
  const directory = { ...sourceOf('files/'), isFile }
  await walked('files/', tally, directoryChanges(undefined, files, directory))
}

/** Reads a tree to its end: its source counts. */
async function walked(tree: string, tally: Tally, entries: AsyncIterable<unknown>): Promise<void> {
  try {
    for await (const _ of entries);
  } catch (error) {
    if (!(error instanceof GonkError) || !['NOT_HERE', 'BAD_BLOCK'].includes(error.code))
      throw error
    tally.problem(`${tree}: ${error.message}: clone the dataset again from a peer`)
  }
}

async function verifyPin(replica: Replica, entry: CatalogEntry, tally: Tally): Promise<void> {
  if (entry.pinnedRoot === undefined) return
  const { root } = await replica.snapshot()
  if (root.toString() === entry.pinnedRoot) return
  tally.problem(`the state here is ${root}, not the root that is pinned: clone it again`)
}

// ---------------------------------------------------------------- proposals no owner has named

async function verifyPool(
  needs: VerifyNeeds,
  replica: Replica,
  tally: Tally,
  { signal }: ProgressOptions,
): Promise<void> {
  let batch: EventId[] = []
  for await (const [id, row] of replica.log.allProposals()) {
    if (!row.named) batch.push(id)
    if (batch.length < EVENTS_PER_READ) continue
    await verifyProposals(needs, replica, batch, tally)
    throwIfAborted(signal)
    batch = []
  }
  await verifyProposals(needs, replica, batch, tally)
}

async function verifyProposals(
  { crypto }: VerifyNeeds,
  replica: Replica,
  ids: readonly EventId[],
  tally: Tally,
): Promise<void> {
  const blocks = await replica.log.blocks(ids)
  const verdicts = await Promise.all(
    ids.map(async (id, i) => {
      const block = blocks[i]
      const event = block && decodeEvent(block, crypto.sha256)
      if (event === undefined || isRejection(event) || event.id !== id) return false
      const { key, message, signature } = signatureOf(event, crypto.sha256)
      return crypto.verify(key, message, signature)
    }),
  )
  for (const [i, id] of ids.entries()) {
    if (verdicts[i] === true) {
      tally.events++
      tally.bytes += blocks[i]?.length ?? 0
    } else if ((await replica.log.proposal(id)) !== undefined) {
      // Of one that had to give way meanwhile there is no row either.
      await replica.damage.found([id])
      const what = `pending proposal ${textOfEventId(id)} is missing or damaged`
      tally.problem(`${what}: clone the dataset again from a peer`)
    }
  }
}

// ---------------------------------------------------------------- content

/** Reads every block of all accepted content, each file once. */
async function verifyContent(
  { files, refetch }: VerifyNeeds,
  replica: Replica,
  tally: Tally,
  { onProgress, signal }: ProgressOptions,
): Promise<void> {
  const broken = new Map<string, string>()
  let brokenMore = 0
  let last = ''
  let done = 0
  for await (const content of replica.log.contents.allAccepted()) {
    const key = hexOf(content)
    if (key === last) continue
    last = key
    const problem = await fileProblem(files, CID.decode(content), tally, signal)
    if (problem !== undefined && broken.size < PROBLEMS_MAX) broken.set(key, problem)
    else if (problem !== undefined) brokenMore++
    onProgress?.({ what: 'verifying files', done: ++done, total: 0, bytes: tally.bytes })
  }
  const lacking = await reportFiles(replica, broken, tally)
  await refetch?.(replica, lacking)
  if (brokenMore > 0) tally.problem(`${brokenMore} more files have missing or damaged blocks`)
}

async function fileProblem(
  files: FileStore,
  cid: CID,
  tally: Tally,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  let missing = 0
  let first: CID | undefined
  try {
    for await (const block of files.walk(cid, { signal })) {
      if (block.bytes !== undefined) {
        tally.block(block.bytes)
        continue
      }
      missing++
      first ??= block.cid
    }
  } catch (error) {
    if (!(error instanceof GonkError) || error.code !== 'BAD_BLOCK') throw error
    return `${error.message}: it is not a file as accepted`
  }
  if (first === undefined) return undefined
  const which = first.equals(cid) ? 'the content' : `block ${first}`
  const more = missing > 1 ? ` and ${missing - 1} more` : ''
  return `${which}${more} is missing or damaged: connect to a peer that has it`
}

/** Names the files of broken content by one pass over the objects, which only happens when there is any. */
async function reportFiles(
  { log }: Replica,
  broken: ReadonlyMap<string, string>,
  tally: Tally,
): Promise<BrokenContent[]> {
  if (broken.size === 0) return []
  const named = new Map<string, BrokenContent>()
  for await (const [, { versions }] of log.objectTable.all()) {
    for (const { id, value } of versions) {
      const key = value?.content && hexOf(value.content)
      const problem = key && broken.get(key)
      if (!value?.content || !key || problem === undefined || named.has(key)) continue
      named.set(key, { content: value.content, sizeBytes: value.sizeBytes })
      const name = value.type === 'file' ? value.name : 'annotation'
      tally.problem(`${name} (${versionText(id)}, ${cidText(value.content)}): ${problem}`)
    }
  }
  return [...named.values()]
}
