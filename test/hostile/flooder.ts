// Peers that flood a dataset with proposals of free keys, each signed as it should be: by gossip, and
// in a set of their own for whoever asks.
import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { type DatasetId, type EventId, hexOf, type PublicKey } from '../../src/core/ids.ts'
import { eventIdOfBlock } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import type { Libp2pNetwork } from '../../src/network/libp2p-network.ts'
import type { Signer } from '../../src/ports.ts'
import { encodeGossip } from '../../src/replica/gossip-messages.ts'
import { createSyncServer } from '../../src/replica/sync-server.ts'
import { aPeer } from '../node/bad-peer.ts'
import { until } from '../node/daemon.ts'
import { file } from '../makers.ts'
import { MemorySet } from '../replica/sync-world.ts'
import { blockOf } from '../signing.ts'

const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
/** What one flooder offers when it is asked: as much as a node of its kind would keep. */
const OFFERED_MAX = 5_000

/** The key of a number; the platform signs, which takes some 50 µs. */
export function freeKey(seed: number): Signer {
  const raw = sha256(Buffer.from(`free key ${seed}`))
  const key = createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, raw]),
    format: 'der',
    type: 'pkcs8',
  })
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
  const publicKey = hexOf(spki.subarray(12)) as PublicKey
  return { publicKey, sign: (message) => new Uint8Array(sign(null, message, key)) }
}

export function aFreeProposal(signer: Signer, dataset: DatasetId, number: number): Uint8Array {
  const value = { ...file(`sybil-${number}`), content: contentOf(number) }
  const operations = [{ op: 'create' as const, value }]
  return blockOf({ family: 'proposal', dataset, operations, claimedAtMs: number }, signer)
}

function contentOf(number: number): Uint8Array {
  const head = Uint8Array.of(1, 0x55, 0x12, 0x20)
  return new Uint8Array([...head, ...sha256(Buffer.from(`content ${number}`))])
}

export class Flooder {
  readonly network: Libp2pNetwork
  readonly #dataset: DatasetId
  readonly #pool: MemorySet
  readonly #blocks: Map<EventId, Uint8Array>
  sent = 0

  private constructor(
    network: Libp2pNetwork,
    dataset: DatasetId,
    offered: { pool: MemorySet; blocks: Map<EventId, Uint8Array> },
  ) {
    this.network = network
    this.#dataset = dataset
    this.#pool = offered.pool
    this.#blocks = offered.blocks
  }

  /** Connected to all of these, and heard by them. */
  static async meet(dataset: DatasetId, addresses: readonly string[]): Promise<Flooder> {
    const [owner, pool] = [new MemorySet(), new MemorySet()]
    const blocks = new Map<EventId, Uint8Array>()
    const source = {
      sets: async () => ({ owner, pool }),
      blocks: async (ids: readonly EventId[]) => ids.map((id) => blocks.get(id)),
      depths: async (ids: readonly EventId[]) => ids.map(() => undefined),
      async *log() {},
    }
    const network = await aPeer({ request: createSyncServer({ source: () => source, heard() {} }) })
    const flooder = new Flooder(network, dataset, { pool, blocks })
    const peers: string[] = []
    for (const address of addresses) peers.push(await network.connect(address))
    network.join(dataset)
    const heard = () => peers.every((peer) => network.peersOf(dataset).includes(peer))
    await until('the flooder is heard', heard)
    return flooder
  }

  async say(block: Uint8Array): Promise<void> {
    this.sent++
    const id = eventIdOfBlock(block, sha256)
    this.#blocks.set(id, block)
    this.#pool.add(id)
    if (this.#blocks.size > OFFERED_MAX) {
      const [oldest] = this.#blocks.keys()
      this.#blocks.delete(oldest as EventId)
      this.#pool.delete(oldest as EventId)
    }
    await this.network.publish(this.#dataset, encodeGossip({ k: 'event', block }))
  }

  /** Says that it has what nobody else has. */
  async beckon(): Promise<void> {
    const { root, count } = this.#pool
    const none = { root: new Uint8Array(32), count: 0 }
    const have = { k: 'have' as const, roots: { owner: none, pool: { root, count } } }
    await this.network.publish(this.#dataset, encodeGossip(have))
  }
}

/** `keys` × `each` proposals, in turns through the flooders, at most so many a second in all. */
export async function flood(
  flooders: readonly Flooder[],
  dataset: DatasetId,
  { keys, each, perSecond }: { keys: number; each: number; perSecond: number },
): Promise<{ sent: number; seconds: number }> {
  const startMs = performance.now()
  let sent = 0
  for (let key = 0; key < keys; key++) {
    const signer = freeKey(key)
    for (let i = 0; i < each; i++) {
      const block = aFreeProposal(signer, dataset, key * each + i)
      await flooders[sent % flooders.length]?.say(block)
      sent++
      const aheadMs = (sent / perSecond) * 1_000 - (performance.now() - startMs)
      if (aheadMs > 5 || sent % 64 === 0) await pause(Math.max(0, aheadMs))
      if (sent % 2_000 === 0) for (const flooder of flooders) await flooder.beckon()
    }
  }
  for (const flooder of flooders) await flooder.beckon()
  return { sent, seconds: (performance.now() - startMs) / 1_000 }
}
