// Some nodes in one process: the parts of node.ts that gossip and sync need, told apart by number.
import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Incoming } from '../../src/api/objects/incoming.ts'
import { Live } from '../../src/api/live.ts'
import { Replicas } from '../../src/api/context.ts'
import { type DatasetId, type EventId } from '../../src/core/ids.ts'
import { nodeCrypto, signerOf, systemClock, systemRandom } from '../../src/crypto.ts'
import { openDiskBlocks } from '../../src/files/block-store.ts'
import { DiskSpace } from '../../src/files/disk-space.ts'
import { createFileStore } from '../../src/files/file-store.ts'
import { Catalog } from '../../src/log/catalog.ts'
import { openDatabase } from '../../src/log/database.ts'
import { HeldFiles } from '../../src/log/held-files.ts'
import { NodeBlocks } from '../../src/log/node-blocks.ts'
import { createNetwork } from '../../src/network/libp2p-network.ts'
import { FileKeeper } from '../../src/replica/file-keeper.ts'
import type { Replica } from '../../src/replica/replica.ts'
import { openUsers } from '../../src/users/user-store.ts'
import { openValidator } from '../../src/validation/validator.ts'
import { quiet } from '../dataset.ts'
import { serve, tell } from '../worker.ts'

const PREFETCH_BYTES = 1 << 30

/** An event is applied on one node. Times are of one clock for all processes, in ns. */
export interface Applied {
  readonly event: EventId
  readonly atNs: bigint
}

interface Node {
  readonly address: string
  readonly replica: Replica
  readonly live: Live
  readonly network: Awaited<ReturnType<typeof createNetwork>>
}

const nodes: Node[] = []

async function openNode(dir: string, dataset: DatasetId, genesis: Uint8Array): Promise<Node> {
  await mkdir(dir, { recursive: true })
  const db = await openDatabase(join(dir, 'log'))
  const catalog = await Catalog.open(db)
  const held = new HeldFiles(db)
  const crypto = nodeCrypto()
  const shared = { db, catalog, held, crypto, clock: systemClock, logger: quiet }
  const parts = { ...shared, nodes: new NodeBlocks(db) }
  const replicas = new Replicas(parts)
  const files = createFileStore(await openDiskBlocks(join(dir, 'blocks')))
  const listen = ['/ip4/127.0.0.1/tcp/0']
  const network = await createNetwork({ log: quiet }, { seed: randomBytes(32), listen })
  const keeper = new FileKeeper({ ...shared, files, network }, { prefetchBytesMax: PREFETCH_BYTES })
  const space = new DiskSpace(dir, { reserveBytes: 0 })
  const incoming = new Incoming({ held, clock: systemClock, space }, { storedBytesMax: 0 })
  const users = { clock: systemClock, random: systemRandom, logger: quiet }
  const signer = signerOf(randomBytes(32))
  const live = new Live({
    ...parts,
    me: { name: 'bench', role: 'admin', publicKey: signer.publicKey },
    validator: openValidator(),
    users: await openUsers(join(dir, 'users'), users),
    files,
    network,
    keeper,
    incoming,
    replicas,
    signer,
    random: systemRandom,
    scratch: join(dir, 'tmp'),
  })
  await network.start(live.handlers)
  const entry = await catalog.create(dataset, { name: 'bench' })
  const replica = await replicas.get(entry.id)
  await replica.submit([genesis])
  await live.follow(dataset)
  replica.onStored((events) => {
    const atNs = process.hrtime.bigint()
    for (const { id } of events) tell({ event: id, atNs } satisfies Applied)
  })
  return { address: network.multiaddrs()[0] as string, replica, live, network }
}

const methods = {
  /** @returns the address of each node. */
  async open(
    dir: string,
    count: number,
    dataset: DatasetId,
    genesis: Uint8Array,
  ): Promise<string[]> {
    for (let i = 0; i < count; i++) {
      nodes.push(await openNode(join(dir, `node-${i}`), dataset, genesis))
    }
    return nodes.map(({ address }) => address)
  },

  async dial(node: number, address: string): Promise<void> {
    await nodes[node]?.network.connect(address)
  },

  /** How many subscribers of the dataset each node sees. */
  async subscribers(dataset: DatasetId): Promise<number[]> {
    return nodes.map(({ network }) => network.peersOf(dataset).length)
  },

  /** Stores an event on one node as its own, which announces it. @returns when it began, in ns. */
  async publish(node: number, block: Uint8Array): Promise<bigint> {
    const atNs = process.hrtime.bigint()
    const { refused } = (await nodes[node]?.replica.submit([block], 'own')) ?? { refused: [] }
    if (refused.length > 0) throw new Error(JSON.stringify(refused))
    return atNs
  },
}

export type GossipMethods = typeof methods

serve(methods)
