// Gossip messages ⇄ dag-cbor bytes: new events, and what a node holds. Strict, as sync messages are.
import type { Rejection } from '../core/errors.ts'
import { bytesOfHex, type EventId, hexOf } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { cidField, type Roots, rootsField, wireOfRoots } from './sync-messages.ts'
import { byteString, decoded, encode, onlyFields, refuse, uint } from './message-fields.ts'

export const gossipLimits = {
  /** Larger events are announced by id (`news`) and fetched from whoever forwards it. */
  eventBytesMax: 16 * 1024,
  messageBytesMax: 17 * 1024,
} as const

export interface Have {
  readonly roots: Roots
  /** CID bytes of the snapshot block, and of the state tree. */
  readonly snapshot?: Uint8Array
  readonly state?: Uint8Array
  /** CID bytes of the checkpoint that the state follows under. */
  readonly checkpoint?: Uint8Array
  /** Chance: gossip drops what it has seen before, also what another peer said in the same words. */
  readonly nonce?: Uint8Array
}

const NONCE_BYTES = 8

export type GossipMessage =
  | { readonly k: 'event'; readonly block: Uint8Array }
  | { readonly k: 'news'; readonly id: EventId; readonly sizeBytes: number; readonly kind: string }
  | ({ readonly k: 'have' } & Have)

export function encodeGossip(message: GossipMessage): Uint8Array {
  const { k } = message
  switch (message.k) {
    case 'event':
      return encode({ k, b: message.block })
    case 'news':
      return encode({ k, i: bytesOfHex(message.id), z: message.sizeBytes, t: message.kind })
    case 'have':
      return encode({
        k,
        ...wireOfRoots(message.roots),
        r: message.snapshot,
        t: message.state,
        c: message.checkpoint,
        n: message.nonce,
      })
  }
}

/** What to publish about a new event: the event itself, or its id when it is large. */
export function gossipOf(event: { id: EventId; block: Uint8Array; kind: string }): GossipMessage {
  const { id, block, kind } = event
  if (block.length <= gossipLimits.eventBytesMax) return { k: 'event', block }
  return { k: 'news', id, sizeBytes: block.length, kind }
}

export function decodeGossip(bytes: Uint8Array): GossipMessage | Rejection {
  return decoded(bytes, gossipLimits.messageBytesMax, (map) => {
    const k = map['k']
    switch (k) {
      case 'event': {
        onlyFields(map, ['k', 'b'])
        return { k, block: byteString(map['b'], 0, gossipLimits.eventBytesMax) }
      }
      case 'news': {
        onlyFields(map, ['k', 'i', 'z', 't'])
        const kind = map['t']
        if (typeof kind !== 'string' || kind.length > 64) refuse('t')
        const id = hexOf(byteString(map['i'], 32)) as EventId
        return { k, id, sizeBytes: uint(map['z'], limits.eventBytesMax), kind }
      }
      case 'have':
        onlyFields(map, ['k', 'o', 'p'], ['r', 't', 'c', 'n'])
        return {
          k,
          roots: rootsField(map),
          ...cidField(map, 'r', 'snapshot'),
          ...cidField(map, 't', 'state'),
          ...cidField(map, 'c', 'checkpoint'),
          ...(map['n'] !== undefined && { nonce: byteString(map['n'], NONCE_BYTES) }),
        }
      default:
        return refuse('k')
    }
  })
}
