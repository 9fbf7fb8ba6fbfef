// Who may connect, and what may be dialled.
import type { ConnectionGater } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { PeerId } from '../ports.ts'

export interface GateNeeds {
  readonly isBanned: (peer: PeerId) => boolean
  /** Peers that may connect and be dialled; undefined: everybody. */
  readonly allow: readonly PeerId[] | undefined
  /** Whether an address that another peer told of may be dialled. */
  readonly mayDial: (multiaddr: string) => boolean
  /** Addresses the user gave, which are dialled whatever `mayDial` says. */
  readonly isNamed: (multiaddr: string) => boolean
}

/**
 * libp2p dials what this node asks for and what kad-dht needs for its queries, nothing else: no
 * relays, and names are resolved only where the user gave them.
 */
export function createGate({ isBanned, allow, mayDial, isNamed }: GateNeeds): ConnectionGater {
  const allowed = allow === undefined ? undefined : new Set(allow)
  const refuses = (peer: { toString(): string }): boolean => {
    const id = peer.toString()
    return isBanned(id) || (allowed !== undefined && !allowed.has(id))
  }
  return {
    denyDialPeer: refuses,
    denyDialMultiaddr: (address) => !isNamed(address.toString()) && !isPlainTcp(address, mayDial),
    denyInboundEncryptedConnection: refuses,
    denyOutboundEncryptedConnection: refuses,
    filterMultiaddrForPeer: (_peer, address) => isPlainTcp(address, () => true),
  }
}

/** `/ip4|ip6/ADDRESS/tcp/PORT`, perhaps with `/p2p/ID`. */
function isPlainTcp(address: Multiaddr, mayDial: (multiaddr: string) => boolean): boolean {
  const names = address.getComponents().map(({ name }) => name)
  const plain =
    (names[0] === 'ip4' || names[0] === 'ip6') &&
    names[1] === 'tcp' &&
    (names.length === 2 || (names.length === 3 && names[2] === 'p2p'))
  return plain && mayDial(address.toString())
}
