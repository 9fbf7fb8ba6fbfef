// Peers that speak the protocols of a node and say what a test makes them say.
import { randomBytes } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { onTestFinished } from 'vitest'
import type { NodeApi } from '../../src/contract/api.ts'
import { cidOfEventId, type DatasetId, type EventId, eventIdOfText } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { createNetwork, type Libp2pNetwork } from '../../src/network/libp2p-network.ts'
import type { NetworkHandlers } from '../../src/ports.ts'
import { createSyncServer } from '../../src/replica/sync-server.ts'
import { syncSourceOf } from '../../src/replica/sync-source.ts'
import { makeNode } from '../api/make-node.ts'
import { aNeighbourhood, quiet } from '../network/makers.ts'

const silent: NetworkHandlers = {
  request: () => Promise.reject(new Error('says nothing')),
  block: async () => undefined,
  gossip: async () => 'ignore',
  peerSeen() {},
  gossipMissed() {},
  peerLost() {},
}

/** A network of a peer id of its own; goes with the test. */
export async function aPeer(handlers: Partial<NetworkHandlers> = {}): Promise<Libp2pNetwork> {
  const network = await createNetwork(
    { log: quiet },
    { seed: randomBytes(32), listen: ['/ip4/127.0.0.1/tcp/0'] },
  )
  onTestFinished(() => network.stop())
  await network.start({ ...silent, ...handlers })
  return network
}

/** A bare libp2p node that handles none of our protocols until told; goes with the test. */
export async function aStranger() {
  const neighbourhood = aNeighbourhood()
  onTestFinished(() => neighbourhood.close())
  return neighbourhood.stranger()
}

export function addressOf(network: Libp2pNetwork): string {
  return network.multiaddrs()[0] as string
}

/** Blocks that one peer has of a dataset. */
export async function blocksFrom(
  peer: { readonly address: string },
  dataset: DatasetId,
  cids: readonly CID[],
): Promise<Uint8Array[]> {
  const asking = await aPeer()
  const from = await asking.connect(peer.address)
  const blocks: Uint8Array[] = []
  for await (const { cid, bytes } of asking.blocks(from, dataset, cids)) {
    if (bytes === undefined) throw new Error(`no block ${cid.toString()}`)
    blocks.push(bytes)
  }
  return blocks
}

export const datasetIdOf = (text: string) => eventIdOfText(text) as DatasetId

export async function blockOf(
  peer: { readonly address: string },
  dataset: DatasetId,
  cid: string,
): Promise<Uint8Array> {
  return (await blocksFrom(peer, dataset, [CID.parse(cid)]))[0] as Uint8Array
}

/**
 * A peer that answers sync as a node would that holds just the events `keep` lets through, and
 * gives these blocks, and all blocks of the original where `block` says nothing else.
 */
export async function aMirror(
  original: { readonly address: string; readonly api: NodeApi },
  dataset: string,
  options: {
    readonly keep?: (entry: { kind: string; index: number; count: number }) => boolean
    readonly blocks?: ReadonlyMap<string, Uint8Array>
  },
): Promise<Libp2pNetwork> {
  const id = datasetIdOf((await original.api.showDataset(dataset)).id)
  const entries: { event: string; kind: string }[] = []
  for await (const { event, kind } of original.api.log(dataset)) entries.unshift({ event, kind })
  const kept = entries.filter(
    ({ kind }, index) => options.keep?.({ kind, index, count: entries.length }) ?? true,
  )
  const cids = kept.map(({ event }) => cidOfEventId(eventIdOfText(event) as EventId))
  const events = await blocksFrom(original, id, cids)

  const node = await makeNode()
  onTestFinished(() => node.close())
  await node.catalog.create(id, { name: dataset })
  const replica = await node.replicas.get(id)
  await replica.submit(events)
  const source = syncSourceOf(replica, node.nodes, sha256)
  return aPeer({
    request: createSyncServer({ source: () => source, heard() {} }),
    block: async (_peer, _dataset, cid) =>
      options.blocks?.get(cid.toString()) ?? (await node.nodes.get(cid)),
  })
}
