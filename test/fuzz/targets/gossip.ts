// Gossip: new events, and what a node holds.
import {
  decodeGossip,
  encodeGossip,
  type GossipMessage,
  gossipLimits,
} from '../../../src/replica/gossip-messages.ts'
import type { EventId } from '../../../src/core/ids.ts'
import { checkMessage } from '../messages.ts'
import { cborWords, eventBlocks } from '../seeds.ts'
import { hold, type Target } from '../target.ts'

const root = { root: new Uint8Array(32).fill(9), count: 3 }
const roots = { owner: root, pool: { root: new Uint8Array(32), count: 0 } }
const cid = new Uint8Array(36).fill(1)

const samples = (): GossipMessage[] => [
  { k: 'event', block: eventBlocks()[0] as Uint8Array },
  { k: 'news', id: 'ab'.repeat(32) as EventId, sizeBytes: 20_000, kind: 'propose' },
  { k: 'have', roots },
  { k: 'have', roots, snapshot: cid, state: cid },
]

export const target: Target = {
  seeds: () => samples().map(encodeGossip),
  words: [...cborWords, 'event', 'news', 'have', 'propose'],
  check: (bytes) => {
    const message = checkMessage(bytes, decodeGossip, encodeGossip)
    if (message?.k === 'event') hold(message.block.length <= gossipLimits.eventBytesMax, 'event')
  },
}
