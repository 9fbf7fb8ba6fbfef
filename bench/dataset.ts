// Signed events made without a node, and replicas on a database of their own that take them in.
import { createPrivateKey, sign } from 'node:crypto'
import { join } from 'node:path'
import { isRejection } from '../src/core/errors.ts'
import { decodeEvent, type Draft } from '../src/core/event-codec.ts'
import type { Operation } from '../src/core/event.ts'
import {
  cidOfDigest,
  type DatasetId,
  type EventId,
  eventIdOfBlock,
  founderTenure,
} from '../src/core/ids.ts'
import { nodeCrypto, sha256, signerOf, systemClock } from '../src/crypto.ts'
import { Catalog } from '../src/log/catalog.ts'
import { openDatabase } from '../src/log/database.ts'
import { HeldFiles } from '../src/log/held-files.ts'
import { NodeBlocks } from '../src/log/node-blocks.ts'
import type { Logger, Signer } from '../src/ports.ts'
import { Replica, signDraft } from '../src/replica/replica.ts'

export const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {} }
const RAW = 0x55
/** DER header of RFC 8410 before a seed. */
const PRIVATE_KEY_HEADER = Buffer.from('302e020100300506032b657004220420', 'hex')
const FILE_BYTES = 20_000

/** The same signatures as a node's own signer makes, forty times as fast. */
function fastSignerOf(seed: Uint8Array): Signer {
  const der = Buffer.concat([PRIVATE_KEY_HEADER, seed])
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  const { publicKey } = signerOf(seed)
  return { publicKey, sign: (message) => new Uint8Array(sign(null, message, key)) }
}

/** The history of one owner: every proposal is accepted by the event after it. */
export class Author {
  readonly genesis: Uint8Array
  readonly dataset: DatasetId
  readonly #signer: Signer
  #parent: EventId
  #depth = 0
  #made = 0

  constructor(seed: Uint8Array) {
    this.#signer = fastSignerOf(seed)
    const founders = [this.#signer.publicKey]
    this.genesis = this.#sign({
      family: 'genesis',
      founders,
      kOwner: 1,
      kReview: 1,
      nonce: new Uint8Array(16),
      name: 'bench',
      claimedAtMs: 1,
    })
    this.dataset = eventIdOfBlock(this.genesis, sha256)
    this.#parent = this.dataset
  }

  /** A proposal of `operations` new files and its acceptance, `pairs` times. */
  accepted(pairs: number, operations = 1): Uint8Array[] {
    return Array.from({ length: pairs }, () => {
      const proposal = this.proposal(operations)
      return [proposal, this.#acceptance(eventIdOfBlock(proposal, sha256))]
    }).flat()
  }

  proposal(operations: number): Uint8Array {
    const list = Array.from({ length: operations }, (): Operation => this.#create(this.#made++))
    return this.#sign({
      family: 'proposal',
      dataset: this.dataset,
      operations: list,
      claimedAtMs: this.#made,
    })
  }

  #acceptance(proposal: EventId): Uint8Array {
    const block = this.#sign({
      family: 'owner',
      dataset: this.dataset,
      tenure: founderTenure(0),
      depth: ++this.#depth,
      parents: [this.#parent],
      body: { kind: 'review', verdict: 'accept', items: [{ proposal }] },
      claimedAtMs: this.#made,
    })
    this.#parent = eventIdOfBlock(block, sha256)
    return block
  }

  #create(number: number): Operation {
    const name = `images/cell-${String(number).padStart(7, '0')}.jpg`
    const content = cidOfDigest(sha256(Buffer.from(`content ${number}`)), RAW).bytes
    const value = { type: 'file' as const, name, mediaType: 'image/jpeg', sizeBytes: FILE_BYTES }
    return { op: 'create', value: { ...value, content } }
  }

  #sign(draft: Draft): Uint8Array {
    return signDraft(draft, this.#signer, sha256)
  }
}

/** The contents a proposal names; none for other events. */
export function contentsOf(block: Uint8Array): Uint8Array[] {
  const event = decodeEvent(block, sha256)
  if (isRejection(event) || event.family !== 'proposal') return []
  return event.operations.flatMap((operation) =>
    'value' in operation && operation.value.content ? [operation.value.content] : [],
  )
}

export interface OpenReplica {
  readonly replica: Replica
  readonly nodes: NodeBlocks
  readonly held: HeldFiles
  close(): Promise<void>
}

/** Opens the dataset in the database of a home, or makes its place there. */
export async function openReplica(home: string, dataset: DatasetId): Promise<OpenReplica> {
  const db = await openDatabase(join(home, 'log'))
  const catalog = await Catalog.open(db)
  const entry = catalog.get(dataset) ?? (await catalog.create(dataset, { name: 'bench' }))
  const nodes = new NodeBlocks(db)
  const held = new HeldFiles(db)
  const shared = { db, nodes, held, crypto: nodeCrypto(), clock: systemClock, logger: quiet }
  const replica = await Replica.open({ ...shared, log: catalog.logOf(entry) })
  const close = async () => {
    await replica.close()
    await db.close()
  }
  return { replica, nodes, held, close }
}

/** As many events as sync submits at once. */
const EVENTS_PER_SUBMIT = 256
const BYTES_PER_SUBMIT = 4 << 20

/** Submits all, in pages as sync has them; throws when one is refused. */
export async function submitAll(replica: Replica, blocks: readonly Uint8Array[]): Promise<void> {
  let page: Uint8Array[] = []
  let bytes = 0
  const flush = async () => {
    const { refused } = await replica.submit(page)
    const [first] = refused
    if (first) throw new Error(`refused: ${first.refused}: ${first.what}`)
    page = []
    bytes = 0
  }
  for (const block of blocks) {
    page.push(block)
    bytes += block.length
    if (page.length >= EVENTS_PER_SUBMIT || bytes >= BYTES_PER_SUBMIT) await flush()
  }
  if (page.length > 0) await flush()
}
