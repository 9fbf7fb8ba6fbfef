// Exactly the history of one root, and nothing that came after: what `clone --pin-only` keeps.
import type { CID } from 'multiformats/cid'
import { GonkError, isRejection } from '../../core/errors.ts'
import { decodeEvent } from '../../core/event-codec.ts'
import { cidOfEventId, type EventId } from '../../core/ids.ts'
import { entriesOf } from '../../core/trie.ts'
import type { PeerId } from '../../ports.ts'
import type { Replica } from '../../replica/replica.ts'
import type { NodeContext } from '../context.ts'
import type { ProgressOptions } from '../../contract/api.ts'

const EVENTS_PER_SUBMIT = 256

/**
 * Reads a root's tree of events from a peer and submits the events in an order in which parents
 * come first. Throws PEER_FAILED, NOT_HERE when the peer has dropped that tree, BAD_BLOCK.
 */
export async function fetchExactly(
  context: NodeContext,
  replica: Replica,
  eventsRoot: CID,
  peer: PeerId,
  options: ProgressOptions = {},
): Promise<void> {
  const { network, crypto } = context
  const get = async (cid: CID): Promise<Uint8Array> => {
    for await (const { bytes } of network.blocks(peer, replica.id, [cid], options)) {
      if (bytes) return bytes
    }
    throw new GonkError('NOT_HERE', `${peer} no longer has the tree of that root`, {
      hint: 'clone without --pin-only: the root is then recomputed from the history',
    })
  }
  const ids: EventId[] = []
  for await (const { key } of entriesOf(eventsRoot, { get })) ids.push(key as EventId)
  const held = await replica.log.hasMany(ids)
  const missing = ids.filter((_, i) => held[i] !== true).map(cidOfEventId)
  const levels = new Map<number, Uint8Array[]>()
  let done = 0
  for await (const { cid, bytes } of network.blocks(peer, replica.id, missing, options)) {
    if (bytes === undefined) throw new GonkError('NOT_HERE', `${peer} lacks ${cid.toString()}`)
    const event = decodeEvent(bytes, crypto.sha256)
    if (isRejection(event)) throw new GonkError('PEER_FAILED', `bad event: ${event.what}`)
    const depth = event.family === 'owner' ? event.depth : 0
    levels.set(depth, [...(levels.get(depth) ?? []), bytes])
    options.onProgress?.({ what: 'fetching events', done: ++done, total: missing.length, bytes: 0 })
  }
  for (const depth of [...levels.keys()].sort((a, b) => a - b)) {
    const blocks = levels.get(depth) ?? []
    for (let i = 0; i < blocks.length; i += EVENTS_PER_SUBMIT) {
      await replica.submit(blocks.slice(i, i + EVENTS_PER_SUBMIT))
    }
  }
}
