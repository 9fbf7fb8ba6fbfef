// Multiaddrs as people write them.
import { type Multiaddr, multiaddr as parseMultiaddr } from '@multiformats/multiaddr'
import { GonkError } from '../core/errors.ts'
import type { PeerId } from '../ports.ts'

/** @throws BAD_ADDRESS unless `text` is a multiaddr over TCP */
export function parseAddress(text: string): Multiaddr {
  try {
    const address = parseMultiaddr(text)
    if (address.getComponents().some(({ name }) => name === 'tcp')) return address
  } catch (error) {
    throw new GonkError('BAD_ADDRESS', `not a multiaddr: ${text}`, { cause: error })
  }
  throw new GonkError('BAD_ADDRESS', `not a TCP address: ${text}`)
}

/** The peer that an address names with `/p2p/ID`. */
export function peerOf(address: Multiaddr): PeerId | undefined {
  return address.getComponents().find(({ name }) => name === 'p2p')?.value
}
