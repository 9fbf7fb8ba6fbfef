// A node in memory without a network, and datasets with signed events made through its replicas.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MemoryLevel } from 'memory-level'
import { CID } from 'multiformats/cid'
import { Replicas } from '../../src/api/context.ts'
import { Incoming } from '../../src/api/objects/incoming.ts'
import { isRejection } from '../../src/core/errors.ts'
import { decodeEvent, type Draft } from '../../src/core/event-codec.ts'
import type { Event, FileValue, Operation, OwnerEvent, Proposal } from '../../src/core/event.ts'
import { type EventId, founderTenure } from '../../src/core/ids.ts'
import { nodeCrypto, sha256, signerOf, systemRandom } from '../../src/crypto.ts'
import { memoryBlocks } from '../../src/files/blocks.ts'
import { DiskSpace } from '../../src/files/disk-space.ts'
import { createFileStore } from '../../src/files/file-store.ts'
import { Catalog, type CatalogEntry } from '../../src/log/catalog.ts'
import { checkFormat, type Database } from '../../src/log/database.ts'
import { HeldFiles } from '../../src/log/held-files.ts'
import { NodeBlocks } from '../../src/log/node-blocks.ts'
import type { Clock, Logger, Signer } from '../../src/ports.ts'
import { type Replica, signDraft } from '../../src/replica/replica.ts'
import { openUsers } from '../../src/users/user-store.ts'

/** The same key for the same name. */
export function signerNamed(name: string): Signer {
  return signerOf(sha256(new TextEncoder().encode(`key of ${name}`)))
}

/** Starts at 2026-01-01 and moves a second at every look. */
export function steppingClock(): Clock {
  let now = Date.UTC(2026, 0, 1)
  return { nowMs: () => (now += 1_000), sleep: async () => {} }
}

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} }

export interface TestDataset {
  readonly entry: CatalogEntry
  readonly replica: Replica
  /** Stores the text and gives the value that names it. */
  file(name: string, text?: string, mediaType?: string): Promise<FileValue>
  create(by: Signer, ...values: FileValue[]): Promise<Proposal>
  propose(by: Signer, ...operations: Operation[]): Promise<Proposal>
  accept(by: Signer, ...proposals: (Proposal | EventId)[]): Promise<OwnerEvent>
  reject(by: Signer, ...proposals: (Proposal | EventId)[]): Promise<OwnerEvent>
  /** Creates and accepts in one go. */
  add(by: Signer, ...values: FileValue[]): Promise<Proposal>
  release(by: Signer, tag: string, root?: CID): Promise<OwnerEvent>
  /** Signs an owner event that cites just these parents, and submits it as from a peer. */
  forge(by: Signer, draft: ForgedDraft): Promise<OwnerEvent>
}

export type ForgedDraft = Pick<Extract<Draft, { family: 'owner' }>, 'body'> & {
  readonly parents: readonly Event[]
  readonly founder: number
}

/** What read-side functions need of a node; `close` removes the directory of temporary databases. */
export async function makeNode(options: { clock?: Clock } = {}) {
  const db: Database = new MemoryLevel({ keyEncoding: 'view', valueEncoding: 'view' })
  await checkFormat(db)
  const scratch = await mkdtemp(join(tmpdir(), 'gonk-test-'))
  const catalog = await Catalog.open(db)
  const clock = options.clock ?? steppingClock()
  const users = { clock, random: systemRandom, logger: silentLogger }
  const held = new HeldFiles(db)
  const space = new DiskSpace(scratch, { reserveBytes: 0 })
  const parts = {
    db,
    catalog,
    nodes: new NodeBlocks(db),
    held,
    incoming: new Incoming({ held, clock, space }, { storedBytesMax: 1024 ** 3 }),
    files: createFileStore(memoryBlocks()),
    crypto: nodeCrypto(),
    users: await openUsers(join(scratch, 'users'), users),
    clock,
    logger: silentLogger,
    scratch,
  }
  const replicas = new Replicas(parts)
  return {
    ...parts,
    replicas,
    /** A dataset of these founders; the first one signs the genesis. */
    async createDataset(
      name: string,
      founders: readonly Signer[],
      { kOwner = 1, kReview = 1 } = {},
    ): Promise<TestDataset> {
      const [first] = founders as [Signer]
      const draft: Draft = {
        family: 'genesis',
        founders: founders.map((founder) => founder.publicKey),
        kOwner,
        kReview,
        nonce: new Uint8Array(16),
        name,
        claimedAtMs: parts.clock.nowMs(),
      }
      const block = signDraft(draft, first, sha256)
      const genesis = decoded(block)
      const entry = await catalog.create(genesis.id, { name })
      const replica = await replicas.get(entry.id)
      await replica.submit([block], 'own')
      return datasetOf(parts, entry, replica)
    },
    async close() {
      await replicas.closeAll()
      await db.close()
      await rm(scratch, { recursive: true, force: true })
    },
  }
}

export type TestNode = Awaited<ReturnType<typeof makeNode>>

function decoded(block: Uint8Array): Event {
  const event = decodeEvent(block, sha256)
  if (isRejection(event)) throw new Error(`refused: ${event.what}`)
  return event
}

const idOf = (proposal: Proposal | EventId): EventId =>
  typeof proposal === 'string' ? proposal : proposal.id

function datasetOf(
  parts: Pick<TestNode, 'files' | 'clock' | 'held'>,
  entry: CatalogEntry,
  replica: Replica,
): TestDataset {
  const review =
    (verdict: 'accept' | 'reject') =>
    async (by: Signer, ...proposals: (Proposal | EventId)[]) => {
      const items = proposals.map((proposal) => ({ proposal: idOf(proposal) }))
      return (await replica.act(by, { kind: 'review', verdict, items })) as OwnerEvent
    }
  const dataset: TestDataset = {
    entry,
    replica,
    async file(name, text = name, mediaType = 'text/plain') {
      const stored = await parts.files.put([new TextEncoder().encode(text)])
      const { cid, sizeBytes } = stored
      await parts.held.write(parts.held.holdOf(cid.bytes, []))
      return { type: 'file', name, mediaType, sizeBytes, content: cid.bytes }
    },
    propose: (by, ...operations) => replica.propose(by, operations),
    create: (by, ...values) =>
      dataset.propose(by, ...values.map((value): Operation => ({ op: 'create', value }))),
    accept: review('accept'),
    reject: review('reject'),
    async add(by, ...values) {
      const proposal = await dataset.create(by, ...values)
      await dataset.accept(by, proposal)
      return proposal
    },
    async release(by, tag, root) {
      const current = root ?? (await replica.snapshot()).root
      const body = { kind: 'release' as const, tag, root: current.bytes }
      return (await replica.act(by, body)) as OwnerEvent
    },
    async forge(by, { body, parents, founder }) {
      const depths = parents.map((parent) => (parent.family === 'owner' ? parent.depth : 0))
      const draft: Draft = {
        family: 'owner',
        dataset: replica.id,
        tenure: founderTenure(founder),
        depth: 1 + Math.max(...depths),
        parents: parents.map((parent) => parent.id).sort(),
        body,
        claimedAtMs: parts.clock.nowMs(),
      }
      const block = signDraft(draft, by, sha256)
      const { refused, missingParents } = await replica.submit([block])
      if (refused.length + missingParents.length > 0) throw new Error('the event was refused')
      return decoded(block) as OwnerEvent
    },
  }
  return dataset
}
