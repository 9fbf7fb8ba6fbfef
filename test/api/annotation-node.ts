// Nodes in memory that can check documents against schemas, and fetch blocks from one another.
import type { NodeContext } from '../../src/api/context.ts'

import type { Operation, Proposal } from '../../src/core/event.ts'
import type { DatasetId } from '../../src/core/ids.ts'
import { sha256, systemRandom } from '../../src/crypto.ts'
import type { CatalogEntry } from '../../src/log/catalog.ts'
import type { Network, SchemaValidator, Signer } from '../../src/ports.ts'
import { FileKeeper } from '../../src/replica/file-keeper.ts'
import { type Replica, signDraft } from '../../src/replica/replica.ts'
import { makeNode, type TestNode } from './make-node.ts'

export interface AnnotationNode extends TestNode {
  /** The node on behalf of a key. */
  as(signer: Signer): NodeContext
  /** From now on, blocks come from there. */
  fetchFrom(other: AnnotationNode): void
}

export async function makeAnnotationNode(validator: SchemaValidator): Promise<AnnotationNode> {
  const node = await makeNode()
  let source: AnnotationNode | undefined
  const peers = () => (source === undefined ? [] : ['other'])
  const network = {
    peers: () => peers().map((peerId) => ({ peerId, multiaddrs: [], datasets: [] })),
    peersOf: peers,
    async *blocks(...[, , cids]: Parameters<Network['blocks']>) {
      for await (const cid of cids) yield { cid, bytes: await source?.files.blocks.get(cid) }
    },
  } as unknown as Network
  const keeper = new FileKeeper({ ...node, network }, { prefetchBytesMax: 0 })
  return {
    ...node,
    as(signer) {
      const me = { name: 'test', role: 'admin' as const, publicKey: signer.publicKey }
      return { ...node, network, keeper, validator, me, signer, random: systemRandom }
    },
    fetchFrom: (other) => (source = other),
    async close() {
      await keeper.close()
      await node.close()
    },
  }
}

/** Everything one replica knows, told to the other. */
export async function tell(from: Replica, to: Replica): Promise<void> {
  const blocks: Uint8Array[] = []
  for await (const [, id] of from.log.arrivals()) {
    blocks.push((await from.log.block(id)) as Uint8Array)
  }
  const { refused, missingParents } = await to.submit(blocks)
  if (refused.length + missingParents.length > 0) throw new Error('events were refused')
}

/** As if a peer had sent a proposal of a key that this node does not hold. */
export async function proposeFromAfar(
  replica: Replica,
  signer: Signer,
  operations: readonly Operation[],
): Promise<Proposal> {
  const draft = { family: 'proposal' as const, dataset: replica.id, operations, claimedAtMs: 0 }
  const { stored } = await replica.submit([signDraft(draft, signer, sha256)])
  const [event] = stored
  if (event?.family !== 'proposal') throw new Error('the proposal was refused')
  return event
}

/** A replica of the same dataset on another node. */
export async function replicaOn(node: TestNode, from: Replica): Promise<Replica> {
  const id: DatasetId = from.id
  const entry: CatalogEntry = await node.catalog.create(id, { name: 'cells' })
  const replica = await node.replicas.get(entry.id)
  await tell(from, replica)
  return replica
}

export const eventsOf = async (replica: Replica): Promise<number> => {
  let count = 0
  for await (const _ of replica.log.arrivals()) count++
  return count
}
