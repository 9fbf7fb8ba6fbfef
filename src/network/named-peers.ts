// Keeps the connections to the peers the user named: dials again, with growing pauses, for as long as
// the network runs. libp2p's own reconnecting gives up after a few tries.
import type { Logger, PeerId } from '../ports.ts'

export interface NamedPeersNeeds {
  /** Dials and gives the peer found there. */
  readonly dial: (multiaddr: string) => Promise<PeerId>
  readonly isConnected: (peer: PeerId) => boolean
  readonly log: Logger
}

export interface RedialOptions {
  readonly firstMs: number
  readonly longestMs: number
}

export const redialDefaults: RedialOptions = { firstMs: 1_000, longestMs: 60_000 }

interface NamedPeer {
  peer: PeerId | undefined
  failures: number
  timer: NodeJS.Timeout | undefined
}

export class NamedPeers {
  readonly #needs: NamedPeersNeeds
  readonly #options: RedialOptions
  readonly #named = new Map<string, NamedPeer>()
  #stopped = false

  constructor(needs: NamedPeersNeeds, options: RedialOptions) {
    this.#needs = needs
    this.#options = options
  }

  /** `peer` where it is connected now; otherwise the address is dialled at once, in the background. */
  add(multiaddr: string, peer?: PeerId): void {
    const known = this.#named.get(multiaddr)
    if (known !== undefined) {
      known.peer = peer ?? known.peer
      return
    }
    const named: NamedPeer = { peer, failures: 0, timer: undefined }
    this.#named.set(multiaddr, named)
    if (peer === undefined) void this.#dial(multiaddr, named)
  }

  has(multiaddr: string): boolean {
    return this.#named.has(multiaddr)
  }

  hasPeer(peer: PeerId): boolean {
    return [...this.#named.values()].some((named) => named.peer === peer)
  }

  /** A connection ended: named peers are dialled again. */
  lost(peer: PeerId): void {
    for (const [multiaddr, named] of this.#named) {
      if (named.peer === peer) this.#later(multiaddr, named)
    }
  }

  stop(): void {
    this.#stopped = true
    for (const named of this.#named.values()) clearTimeout(named.timer)
  }

  /** Between half the pause and all of it, so that many nodes do not dial in step. */
  #later(multiaddr: string, named: NamedPeer): void {
    if (this.#stopped || named.timer !== undefined) return
    const { firstMs, longestMs } = this.#options
    const ms = Math.min(longestMs, firstMs * 2 ** named.failures) * (0.5 + Math.random() / 2)
    named.timer = setTimeout(() => {
      named.timer = undefined
      void this.#dial(multiaddr, named)
    }, ms)
    named.timer.unref()
  }

  async #dial(multiaddr: string, named: NamedPeer): Promise<void> {
    const { dial, isConnected, log } = this.#needs
    if (this.#stopped) return
    if (named.peer !== undefined && isConnected(named.peer)) {
      named.failures = 0
      return
    }
    try {
      named.peer = await dial(multiaddr)
      named.failures = 0
    } catch (error) {
      named.failures++
      log.debug({ multiaddr, failures: named.failures, error: String(error) }, 'peer not reached')
      this.#later(multiaddr, named)
    }
  }
}
