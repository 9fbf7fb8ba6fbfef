// The names of this node's protocols, and what to say of a peer that speaks others.
import { GonkError } from '../core/errors.ts'

export const SYNC_PROTOCOL = '/gonk/sync/1'
export const BLOCKS_PROTOCOL = '/gonk/blocks/1'
export const KAD_PROTOCOL = '/gonk/kad/1.0.0'
export const TOPIC_PREFIX = '/gonk/1/'

const SYNC_FAMILY = '/gonk/sync/'

/** Versions of the sync protocol among what identify told of a peer, such as `/gonk/sync/2`. */
export function syncVersions(protocols: readonly string[]): string[] {
  return protocols.filter((protocol) => protocol.startsWith(SYNC_FAMILY)).sort()
}

/** PEER_FAILED, naming what the peer speaks and what this node speaks. */
export function versionMismatch(peer: string, protocols: readonly string[]): GonkError {
  const theirs = syncVersions(protocols)
  const speaks = theirs.length > 0 ? theirs.join(', ') : 'no gonk protocol'
  return new GonkError(
    'PEER_FAILED',
    `peer ${peer} speaks ${speaks}, this node speaks ${SYNC_PROTOCOL}`,
    {
      hint: 'run the same version of gonk-node on both sides',
      details: { peer, theirs, ours: [SYNC_PROTOCOL, BLOCKS_PROTOCOL] },
    },
  )
}
